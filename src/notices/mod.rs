//! Tells people: delivers each notice that the engine decided on, or says why it gave it up.
//!
//! Each receiver has its notices in the order in which they were handed over, one at a time; a receiver that hangs holds
//! up nobody else. What is neither delivered nor given up when the process ends is handed over again by the next one: the
//! notice is still a pending row. Addresses may hold secrets and are never logged; a receiver goes by its configured id.

mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::domain::{EffectId, NoticeId, Timestamp};
use crate::engine::Notice;
use crate::providers::http_client::HttpClient;
use webhook::Posted;

/// What a receiver did not take in a day nobody waits for any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Requests under way at once, over all receivers. One that hangs takes its place for the client's time limit at most.
const IN_FLIGHT: usize = 8;
/// Notices that wait for one receiver. Beyond that it has been dead for long, and the newest are not worth the memory.
const WAITING: usize = 10_000;
/// Results that wait to be written down. While this is full no further notice is sent.
const RESULTS: usize = 64;

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub effect_id: EffectId,
    /// For whom.
    pub receiver: NoticeId,
    /// Why it was given up; nothing when it was delivered.
    pub failure: Option<String>,
}

/// Delivers notices until it is dropped.
#[derive(Debug)]
pub struct Notices {
    post: Arc<Post>,
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    senders: BTreeMap<NoticeId, mpsc::Sender<Waiting>>,
    /// One task per receiver; they end with this.
    tasks: JoinSet<()>,
}

/// What every delivery needs.
#[derive(Debug)]
struct Post {
    client: HttpClient,
    clock: Arc<Clock>,
    receivers: watch::Sender<BTreeMap<NoticeId, String>>,
    places: Semaphore,
    results: mpsc::Sender<Told>,
    pauses: Pauses,
}

#[derive(Debug)]
struct Waiting {
    effect_id: EffectId,
    created_at: Timestamp,
    notice: Notice,
}

impl Notices {
    /// Begins with these receivers. The result of every notice that is handed over comes out of the second part.
    pub fn new(
        client: HttpClient,
        clock: Arc<Clock>,
        receivers: BTreeMap<NoticeId, String>,
    ) -> (Self, mpsc::Receiver<Told>) {
        Self::with_pauses(client, clock, receivers, Pauses::USUAL)
    }

    fn with_pauses(
        client: HttpClient,
        clock: Arc<Clock>,
        receivers: BTreeMap<NoticeId, String>,
        pauses: Pauses,
    ) -> (Self, mpsc::Receiver<Told>) {
        let (results, told) = mpsc::channel(RESULTS);
        let receivers = watch::Sender::new(receivers);
        let post = Post { client, clock, receivers, places: Semaphore::new(IN_FLIGHT), results, pauses };
        (Self { post: Arc::new(post), queues: Mutex::default() }, told)
    }

    /// Takes other receivers after a reload. What waits for one whose address changed goes to the new one at once; what
    /// waits for one that left is given up.
    pub fn replace_receivers(&self, receivers: BTreeMap<NoticeId, String>) {
        self.post.receivers.send_if_modified(|known| {
            let is_new = *known != receivers;
            *known = receivers;
            is_new
        });
    }

    /// Takes a notice over. Only inside a runtime.
    ///
    /// # Errors
    /// Too many wait for this receiver already: the notice is given up, and this is its result.
    pub fn hand_over(&self, effect_id: EffectId, created_at: Timestamp, notice: Notice) -> Result<(), Told> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let Queues { senders, tasks } = &mut *queues;
        let sender = senders.entry(notice.receiver.clone()).or_insert_with(|| {
            let (sender, queue) = mpsc::channel(WAITING);
            tasks.spawn(Arc::clone(&self.post).deliver_all(queue));
            sender
        });
        sender.try_send(Waiting { effect_id, created_at, notice }).map_err(|refused| {
            let Waiting { effect_id, notice, .. } = refused.into_inner();
            given_up(effect_id, &notice, format!("{WAITING} notices wait for this receiver already"))
        })
    }
}

impl Post {
    /// The task of one receiver.
    async fn deliver_all(self: Arc<Self>, mut queue: mpsc::Receiver<Waiting>) {
        while let Some(waiting) = queue.recv().await {
            let told = match self.deliver(&waiting).await {
                Ok(()) => {
                    Told { effect_id: waiting.effect_id, receiver: waiting.notice.receiver.clone(), failure: None }
                }
                Err(why) => given_up(waiting.effect_id, &waiting.notice, why),
            };
            if self.results.send(told).await.is_err() {
                // The daemon stops: the notice is still pending, and sent again by the next one.
                return;
            }
        }
    }

    /// Tries until the receiver has it, or says why that is to no purpose.
    async fn deliver(&self, Waiting { effect_id, created_at, notice }: &Waiting) -> Result<(), String> {
        let mut receivers = self.receivers.subscribe();
        let body = webhook::body(*effect_id, *created_at, notice);
        let mut last = String::from("it was not tried");
        for attempt in 0.. {
            let Some(url) = receivers.borrow_and_update().get(&notice.receiver).cloned() else {
                return Err("the receiver has left the configuration".to_owned());
            };
            if self.clock.now().since(*created_at) >= GIVE_UP_AFTER {
                return Err(format!("not delivered within 24 h; the last time: {last}"));
            }
            let place = self.places.acquire().await.map_err(|closed| closed.to_string())?;
            match webhook::post(&self.client, &url, *effect_id, body.clone()).await {
                Posted::Delivered => return Ok(()),
                Posted::Never(why) => return Err(why),
                Posted::Later(why) => last = why,
            }
            drop(place);
            if attempt == 0 {
                tracing::warn!(receiver = %notice.receiver, "receiver {} does not take notices: {last}", notice.receiver);
            }
            tokio::select! {
                () = tokio::time::sleep(self.pauses.before_retry(attempt, *effect_id)) => {}
                // Another address, or none: not worth waiting any longer.
                _ = receivers.wait_for(|known| known.get(&notice.receiver) != Some(&url)) => {}
            }
        }
        Err(last)
    }
}

fn given_up(effect_id: EffectId, notice: &Notice, why: String) -> Told {
    tracing::warn!(
        receiver = %notice.receiver, remediation.id = %notice.remediation_id,
        "gave up a notice to {} about {}: {why}", notice.receiver, notice.remediation_id
    );
    Told { effect_id, receiver: notice.receiver.clone(), failure: Some(why) }
}

/// How long to wait between two tries: doubling from the first to the longest.
#[derive(Clone, Copy, Debug)]
struct Pauses {
    first: Duration,
    longest: Duration,
}

impl Pauses {
    const USUAL: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    /// The pause after the failed try number `attempt`, from 0. Between the half and the whole of it is left to chance, so
    /// that receivers which failed together are not asked together; the chance is that in the notice's own id.
    fn before_retry(self, attempt: u32, id: EffectId) -> Duration {
        let whole = self.first.saturating_mul(1 << attempt.min(16)).min(self.longest);
        let chance = id.as_bytes().iter().fold(attempt.wrapping_mul(0x9e37_79b9), |mixed, byte| {
            (mixed ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        whole.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
