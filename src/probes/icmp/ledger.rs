//! Which echo requests are out, what is due next, and whose answer a message is: plain data, time is an argument.
//!
//! An answer counts once, before its run's end, and only where sender, sequence number, token, identifier and length are
//! all those of a request that is out. Times are spans since the pinger started.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::packet::{Echo, Heard};

/// So long an unanswered request is thought to be on its way back to us, and needs room in the socket's buffer.
const YOUNG: Duration = Duration::from_millis(100);

/// What one run sends.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// To whom.
    pub to: IpAddr,
    /// How many requests.
    pub packets: u32,
    /// From one to the next.
    pub interval: Duration,
    /// Bytes of payload, token included.
    pub size: usize,
    /// When it is over, whatever is missing.
    pub timeout: Duration,
}

/// What one run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echoes {
    /// How many requests left.
    pub sent: usize,
    /// How long each answer took.
    pub rtts: Vec<Duration>,
    /// The last word of somebody on the way, where there was one.
    pub unreachable: Option<Refusal>,
    /// Whether such words are heard at all.
    pub sees_errors: bool,
}

/// That a request did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who said so.
    pub by: IpAddr,
    /// The code's name.
    pub why: &'static str,
}

/// A request that may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The run.
    pub run: u64,
    /// To whom.
    pub to: IpAddr,
    /// Its marks.
    pub echo: Echo,
    /// Bytes of payload.
    pub size: usize,
}

/// All that is out over one socket. `T`: who waits for a run.
#[derive(Debug)]
pub struct Ledger<T> {
    id: u16,
    seq: u16,
    /// A datagram socket has an identifier of its own, which the kernel watches.
    is_id_ours: bool,
    last_run: u64,
    // What is in these two we count ourselves or the inventory says, so that nobody can choose keys which collide. Each request
    // looks there eleven times.
    runs: FxHashMap<u64, Run<T>>,
    out: FxHashMap<(IpAddr, u16), (u64, usize)>,
    /// Since when runs wait that have sent nothing, in the order in which they came. The first is under way, of
    /// some behind it the time may be over.
    fresh: VecDeque<(Duration, u64)>,
    /// When the next request of a run is due that has sent one.
    departures: BTreeSet<(Duration, u64)>,
    ends: BTreeSet<(Duration, u64)>,
    recent: VecDeque<(Duration, u64, usize)>,
    young: usize,
}

#[derive(Debug)]
struct Run<T> {
    order: Order,
    token: u64,
    departs_at: Duration,
    ends_at: Duration,
    requests: Vec<Request>,
    open: usize,
    echoes: Echoes,
    waiter: T,
}

#[derive(Debug)]
struct Request {
    seq: u16,
    sent_at: Duration,
    is_open: bool,
    is_young: bool,
}

impl<T> Ledger<T> {
    /// An empty one, whose requests bear `id` and count from `seq`.
    pub fn new(id: u16, seq: u16) -> Self {
        Self {
            id,
            seq,
            is_id_ours: true,
            last_run: 0,
            runs: FxHashMap::default(),
            out: FxHashMap::default(),
            fresh: VecDeque::new(),
            departures: BTreeSet::new(),
            ends: BTreeSet::new(),
            recent: VecDeque::new(),
            young: 0,
        }
    }

    /// Whether messages are to bear our identifier.
    pub fn set_id_ours(&mut self, is_id_ours: bool) {
        self.is_id_ours = is_id_ours;
    }

    /// How many runs are under way.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Begins a run, whose payloads bear `token`.
    pub fn open(&mut self, order: Order, token: u64, waiter: T, now: Duration) {
        self.last_run += 1;
        let ends_at = now.saturating_add(order.timeout);
        self.fresh.push_back((now, self.last_run));
        self.ends.insert((ends_at, self.last_run));
        let run = Run {
            order,
            token,
            departs_at: now,
            ends_at,
            requests: Vec::with_capacity(order.packets as usize),
            open: 0,
            echoes: Echoes::default(),
            waiter,
        };
        self.runs.insert(self.last_run, run);
    }

    /// The next request that is due, where its answer has room: no more than `room` may be on their way back.
    pub fn departure(&mut self, now: Duration, room: usize) -> Option<Departure> {
        let (due, key) = self.next_departure()?;
        self.age(now);
        if due > now || self.young >= room.max(1) {
            return None;
        }
        let run = self.runs.get(&key)?;
        let (to, token, size) = (run.order.to, run.token, run.order.size);
        // A number that is out to this node is not given again.
        let mut numbers = (0..=u16::MAX).map(|ahead| self.seq.wrapping_add(ahead));
        self.seq = numbers.find(|seq| !self.out.contains_key(&(to, *seq)))?;
        Some(Departure { run: key, to, echo: Echo { id: self.id, seq: self.seq, token }, size })
    }

    fn next_departure(&self) -> Option<(Duration, u64)> {
        self.fresh.front().into_iter().chain(self.departures.first()).min().copied()
    }

    /// Notes that it left.
    pub fn left(&mut self, departure: &Departure, now: Duration) {
        let Some(run) = self.runs.get_mut(&departure.run) else { return };
        let at = run.requests.len();
        if at > 0 {
            self.departures.remove(&(run.departs_at, departure.run));
        }
        let seq = departure.echo.seq;
        run.requests.push(Request { seq, sent_at: now, is_open: true, is_young: true });
        run.open += 1;
        run.echoes.sent += 1;
        self.young += 1;
        self.recent.push_back((now, departure.run, at));
        self.out.insert((run.order.to, seq), (departure.run, at));
        self.seq = seq.wrapping_add(1);
        if run.requests.len() < run.order.packets as usize {
            run.departs_at = now.saturating_add(run.order.interval);
            self.departures.insert((run.departs_at, departure.run));
        }
        if at == 0 {
            self.fresh.pop_front();
            self.pass_over_ended();
        }
    }

    fn pass_over_ended(&mut self) {
        while self.fresh.front().is_some_and(|(_, key)| !self.runs.contains_key(key)) {
            self.fresh.pop_front();
        }
    }

    /// Takes a message from `from`. Hands out the run that it completes.
    pub fn hear(&mut self, from: IpAddr, heard: Heard, now: Duration) -> Option<(T, Echoes)> {
        let (key, at) = self.whose(from, &heard)?;
        let run = self.runs.get_mut(&key)?;
        let request = run.requests.get_mut(at)?;
        request.is_open = false;
        if std::mem::take(&mut request.is_young) {
            self.young -= 1;
        }
        self.out.remove(&(run.order.to, request.seq));
        run.open -= 1;
        match heard {
            Heard::Reply { .. } => run.echoes.rtts.push(now.saturating_sub(request.sent_at)),
            Heard::Refused { why, .. } => run.echoes.unreachable = Some(Refusal { by: from, why }),
        }
        let is_complete = run.open == 0 && run.requests.len() == run.order.packets as usize;
        if is_complete { self.close(key) } else { None }
    }

    /// Which request a message answers: the run and the place in it.
    fn whose(&self, from: IpAddr, heard: &Heard) -> Option<(u64, usize)> {
        let (to, id, seq) = match heard {
            Heard::Reply { echo, .. } => (from, echo.id, echo.seq),
            Heard::Refused { to, id, seq, .. } => (*to, *id, *seq),
        };
        let (key, at) = *self.out.get(&(to, seq))?;
        let run = self.runs.get(&key)?;
        let is_ours = match heard {
            Heard::Reply { echo, size } => echo.token == run.token && *size == run.order.size,
            Heard::Refused { token, .. } => token.is_none_or(|token| token == run.token),
        };
        (is_ours && (id == self.id || !self.is_id_ours)).then_some((key, at))
    }

    /// A run whose time is over.
    pub fn overdue(&mut self, now: Duration) -> Option<(T, Echoes)> {
        let (due, key) = *self.ends.first()?;
        if due > now { None } else { self.close(key) }
    }

    /// Ends a run.
    pub fn close(&mut self, key: u64) -> Option<(T, Echoes)> {
        let run = self.runs.remove(&key)?;
        self.ends.remove(&(run.ends_at, key));
        self.departures.remove(&(run.departs_at, key));
        for request in run.requests.iter().filter(|request| request.is_open) {
            self.out.remove(&(run.order.to, request.seq));
        }
        self.young -= run.requests.iter().filter(|request| request.is_young).count();
        self.pass_over_ended();
        Some((run.waiter, run.echoes))
    }

    /// Ends all runs.
    pub fn close_all(&mut self) -> Vec<T> {
        let keys: Vec<u64> = self.runs.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.close(key)).map(|(waiter, _)| waiter).collect()
    }

    /// When something is due next, where nothing is heard before.
    pub fn next_due(&self, room: usize) -> Option<Duration> {
        let end = self.ends.first().map(|(at, _)| *at);
        let departure = self.next_departure().map(|(at, _)| match self.recent.front() {
            Some((sent_at, ..)) if self.young >= room.max(1) => at.max(sent_at.saturating_add(YOUNG)),
            _ => at,
        });
        end.into_iter().chain(departure).min()
    }

    /// Gives up on answers that are not on their way any more, and forgets those that came: a sweep would let the list of what
    /// was sent grow by itself.
    fn age(&mut self, now: Duration) {
        while let Some(&(sent_at, key, at)) = self.recent.front() {
            let is_old = sent_at.saturating_add(YOUNG) <= now;
            // Where as many are young as were sent, the first is.
            if !is_old && self.young == self.recent.len() {
                break;
            }
            if let Some(request) = self.runs.get_mut(&key).and_then(|run| run.requests.get_mut(at))
                && request.is_young
            {
                if !is_old {
                    break;
                }
                request.is_young = false;
                self.young -= 1;
            }
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
