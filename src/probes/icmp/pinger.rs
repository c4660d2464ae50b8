//! The one task that sends all echo requests of the daemon and hears their answers.
//!
//! It starts with the first run, and again where it ended. Requests leave in bursts, and after each burst all that came back
//! is read, so that the kernel's buffer holds no more than the answers to what is on its way.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

pub use super::ledger::Order;

use super::ledger::{Echoes, Ledger};
use super::packet::{self, Family};
use super::socket::{CannotOpen, Socket};
use crate::clock::Stopwatch;

/// How many requests leave before the next look at what came back.
const BURST: usize = 64;
/// How many messages are read before others get their turn.
const GULP: usize = 1024;
/// How many runs may be under way per family; the next ones wait.
const RUNS: usize = 32_768;
/// How many runs may wait for the task; more than that wait for a place among them.
const WAITING: usize = RUNS;
/// The largest message, with its IP header.
const LARGEST: usize = 1 << 16;
/// How long to wait where the kernel has no room for a request.
const PAUSE: Duration = Duration::from_millis(1);

/// Why there is no result: nothing that the node is to blame for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no socket.
    #[error(transparent)]
    CannotOpen(#[from] CannotOpen),
    /// Our kernel did not send it.
    #[error("our own machine did not send it: {0}")]
    Send(io::Error),
    /// The socket failed while the run was under way.
    #[error("our own socket failed while waiting for the answer")]
    Socket,
    /// The task ended in the middle of the run.
    #[error("the pinger ended in the middle of it")]
    Ended,
}

/// Sends echo requests for all runs.
#[derive(Debug, Default)]
pub struct Pinger {
    orders: Mutex<Option<mpsc::Sender<Asked>>>,
    /// Counted tokens would do to tell runs apart; hashed with a secret, nobody can guess the next one either, and the kernel
    /// need not be asked for each.
    tokens: AtomicU64,
    secret: RandomState,
}

type Waiter = oneshot::Sender<Result<Echoes, Trouble>>;

#[derive(Debug)]
struct Asked {
    order: Order,
    token: u64,
    waiter: Waiter,
}

impl Pinger {
    /// One run. It is over within the order's timeout, give or take what the task is late.
    pub async fn ping(&self, order: Order) -> Result<Echoes, Trouble> {
        let token = self.token();
        let (waiter, result) = oneshot::channel();
        let asked = Asked { order, token, waiter };
        match self.orders().try_send(asked) {
            Ok(()) => {}
            Err(TrySendError::Full(asked)) => {
                Box::pin(self.orders().send(asked)).await.map_err(|_| Trouble::Ended)?;
            }
            Err(TrySendError::Closed(_)) => return Err(Trouble::Ended),
        }
        result.await.unwrap_or(Err(Trouble::Ended))
    }

    fn token(&self) -> u64 {
        self.secret.hash_one(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    fn orders(&self) -> mpsc::Sender<Asked> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = orders.as_ref().filter(|orders| !orders.is_closed()) {
            return orders.clone();
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(work(receiver, self.token()));
        orders.insert(sender).clone()
    }
}

/// Works until nobody can ask any more.
async fn work(mut orders: mpsc::Receiver<Asked>, seed: u64) {
    let watch = Stopwatch::start();
    let (id, seq) = ((seed >> 16) as u16, seed as u16);
    let mut lanes = [Lane::new(Family::V4, id, seq), Lane::new(Family::V6, id, seq)];
    let mut bytes = vec![0; LARGEST];
    loop {
        let mut is_busy = false;
        for lane in &mut lanes {
            is_busy |= lane.listen(&mut bytes, &watch);
            is_busy |= lane.send(&watch);
            lane.end(watch.elapsed());
        }
        let is_full = lanes.iter().any(|lane| lane.ledger.len() >= RUNS);
        if !is_full {
            for _ in 0..BURST {
                let Ok(asked) = orders.try_recv() else { break };
                lane_of(&mut lanes, &asked).take(asked, watch.elapsed());
                is_busy = true;
            }
        }
        if is_busy {
            tokio::task::yield_now().await;
            continue;
        }
        let due = lanes.iter().filter_map(Lane::next_due).min();
        let wait = due.map(|due| due.saturating_sub(watch.elapsed()));
        let [v4, v6] = &lanes;
        tokio::select! {
            asked = orders.recv(), if !is_full => {
                let Some(asked) = asked else { return };
                lane_of(&mut lanes, &asked).take(asked, watch.elapsed());
            }
            // What went wrong shows when it is read.
            () = v4.readable() => {}
            () = v6.readable() => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

fn lane_of<'a>(lanes: &'a mut [Lane; 2], asked: &Asked) -> &'a mut Lane {
    let [v4, v6] = lanes;
    match Family::of(asked.order.to) {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

/// Everything of one family.
struct Lane {
    family: Family,
    id: u16,
    socket: Option<Socket>,
    ledger: Ledger<Waiter>,
    message: Vec<u8>,
    /// The largest payload so far, by which the room for answers is reckoned.
    size: usize,
    /// When the kernel may have room again.
    paused_until: Duration,
}

impl Lane {
    fn new(family: Family, id: u16, seq: u16) -> Self {
        let (ledger, message) = (Ledger::new(id, seq), Vec::new());
        Self { family, id, socket: None, ledger, message, size: 0, paused_until: Duration::ZERO }
    }

    fn take(&mut self, asked: Asked, now: Duration) {
        let Asked { order, token, waiter } = asked;
        if self.socket.is_none() {
            match Socket::open(self.family, self.id) {
                Ok(socket) => {
                    self.ledger.set_id_ours(socket.is_raw());
                    self.socket = Some(socket);
                }
                Err(err) => return answer(waiter, Err(err.into())),
            }
        }
        self.size = self.size.max(order.size);
        self.ledger.open(order, token, waiter, now);
    }

    /// Reads what came; whether there may be more.
    fn listen(&mut self, bytes: &mut [u8], watch: &Stopwatch) -> bool {
        let Some(socket) = &self.socket else { return false };
        let sees_errors = socket.is_raw();
        for _ in 0..GULP {
            match socket.receive(bytes) {
                Ok((read, from)) => {
                    let heard = packet::read(self.family, socket.has_ip_header(), &bytes[..read]);
                    let done = heard.and_then(|heard| self.ledger.hear(from, heard, watch.elapsed()));
                    if let Some((waiter, echoes)) = done {
                        answer(waiter, Ok(Echoes { sees_errors, ..echoes }));
                    }
                }
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR) => {}
                Err(_) => {
                    // The next run opens another.
                    self.socket = None;
                    self.ledger.close_all().into_iter().for_each(|waiter| answer(waiter, Err(Trouble::Socket)));
                    return false;
                }
            }
        }
        true
    }

    /// Sends a burst of what is due; whether anything left.
    fn send(&mut self, watch: &Stopwatch) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        let mut now = watch.elapsed();
        if now < self.paused_until {
            return false;
        }
        let room = socket.room(self.size);
        for sent in 0..BURST {
            let Some(departure) = self.ledger.departure(now, room) else { return sent > 0 };
            packet::write(self.family, departure.echo, departure.size, &mut self.message);
            now = watch.elapsed();
            match socket.send(&self.message, departure.to) {
                Ok(()) => self.ledger.left(&departure, now),
                Err(Errno::AGAIN | Errno::NOBUFS) => {
                    self.paused_until = now + PAUSE;
                    return sent > 0;
                }
                Err(Errno::INTR) => {}
                Err(Errno::MSGSIZE) if socket.allow_fragments() => {}
                Err(err) => {
                    if let Some((waiter, _)) = self.ledger.close(departure.run) {
                        answer(waiter, Err(Trouble::Send(err.into())));
                    }
                }
            }
        }
        true
    }

    /// Ends what is overdue.
    fn end(&mut self, now: Duration) {
        let sees_errors = self.socket.as_ref().is_some_and(Socket::is_raw);
        while let Some((waiter, echoes)) = self.ledger.overdue(now) {
            answer(waiter, Ok(Echoes { sees_errors, ..echoes }));
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let room = self.socket.as_ref().map_or(0, |socket| socket.room(self.size));
        self.ledger.next_due(room).map(|due| due.max(self.paused_until))
    }

    async fn readable(&self) {
        match &self.socket {
            Some(socket) => {
                let _ = socket.readable().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Who waited may have given up.
fn answer(waiter: Waiter, result: Result<Echoes, Trouble>) {
    let _ = waiter.send(result);
}
