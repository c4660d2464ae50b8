//! Asks for the lists of targets that the configuration names, keeps what is new, and has it loaded.
//!
//! What is kept is a file like any other of the configuration, so a change is a reload: checked as a whole before it is
//! written, taken as a whole or not at all. Nothing is asked for where the daemon takes nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{self, JoinSet};
use tokio::time::sleep;
use tracing::{info, warn};

use super::effects::Hands;
use crate::config::Mistake;
use crate::config::watch::{Reload, ReloadError};
use crate::domain::{DiscoveryId, Timestamp};
use crate::inventory::http_sd::{FetchError, HttpSd, Verdict, judge};
use crate::inventory::target_groups::NoGroups;
use crate::telemetry::metrics::Fetched;

/// Within so much of a start everything is asked for once.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// How often it is looked whether the daemon takes anything.
const DOOR_LOOK: Duration = Duration::from_millis(200);

/// What would be wrong with the configuration with this answer in it.
pub type Rehearse = Arc<dyn Fn(&DiscoveryId, &str) -> Vec<Mistake> + Send + Sync>;

/// Asks until the daemon ends, by the configuration in force: a list that it still names as before goes on undisturbed.
pub async fn follow(hands: Arc<Hands>, reload: Reload, rehearse: Rehearse) {
    let mut config = hands.config.clone();
    // A set of one each, as its end ends the task.
    let mut asked: BTreeMap<DiscoveryId, (HttpSd, JoinSet<()>)> = BTreeMap::new();
    loop {
        let wanted = config.borrow_and_update().http_sd.clone();
        asked.retain(|id, (list, _)| wanted.get(id) == Some(list));
        for (id, list) in wanted {
            asked.entry(id.clone()).or_insert_with(|| {
                let mut set = JoinSet::new();
                let asker = Asker {
                    hands: Arc::clone(&hands),
                    reload: reload.clone(),
                    rehearse: Arc::clone(&rehearse),
                    id,
                    list: list.clone(),
                    said: Said::Well,
                    is_to_be_loaded: false,
                };
                set.spawn(asker.run());
                (list, set)
            });
        }
        if config.changed().await.is_err() {
            // The daemon is going.
            return std::future::pending().await;
        }
    }
}

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is no list of targets: {}:{}: {}", .0.at.line, .0.at.column, .0.what)]
    NoGroups(NoGroups),
    #[error("the answer cannot be taken: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    #[error("the answer cannot be kept: {0}")]
    Io(#[from] io::Error),
    #[error("reading the answer ended badly: {0}")]
    Task(#[from] task::JoinError),
}

/// What the log said last: each change is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Well,
    Empty,
    Failed,
}

/// Asks for one list.
struct Asker {
    hands: Arc<Hands>,
    reload: Reload,
    rehearse: Rehearse,
    id: DiscoveryId,
    list: HttpSd,
    said: Said,
    /// What is kept is newer than what is in force.
    is_to_be_loaded: bool,
}

impl Asker {
    async fn run(mut self) {
        sleep(FIRST_WITHIN.min(self.list.refresh).mul_f64(chance())).await;
        loop {
            while self.hands.inlet.door().is_ready().is_err() {
                sleep(DOOR_LOOK).await;
            }
            if let Some(at) = self.list.confirmed_at() {
                self.hands.metrics.confirmed(&self.id, timestamp(at));
            }
            let outcome = self.ask().await;
            self.tell(&outcome);
            if self.is_to_be_loaded {
                self.load().await;
            }
            // A tenth either way, so that many daemons do not ask together.
            sleep(self.list.refresh.mul_f64(0.9 + 0.2 * chance())).await;
        }
    }

    async fn ask(&mut self) -> Result<Verdict, Unusable> {
        let answer = self.list.fetch(&self.hands.client).await?;
        let (id, list, rehearse) = (self.id.clone(), self.list.clone(), Arc::clone(&self.rehearse));
        let now = self.hands.clock.now();
        let verdict = task::spawn_blocking(move || settle(&id, &list, &rehearse, &answer, now)).await??;
        self.is_to_be_loaded |= matches!(verdict, Verdict::New { .. });
        Ok(verdict)
    }

    fn tell(&mut self, outcome: &Result<Verdict, Unusable>) {
        let (id, url) = (&self.id, self.list.shown());
        let (fetched, now) = match outcome {
            Ok(Verdict::New { .. }) => (Fetched::Ok, Said::Well),
            Ok(Verdict::Unchanged) => (Fetched::Unchanged, Said::Well),
            Ok(Verdict::Empty { .. }) => (Fetched::Empty, Said::Empty),
            Err(_) => (Fetched::Failed, Said::Failed),
        };
        self.hands.metrics.fetched(id, fetched);
        if now == Said::Well {
            self.hands.metrics.confirmed(id, self.hands.clock.now());
        }
        let is_news = std::mem::replace(&mut self.said, now) != now;
        match outcome {
            Err(why) if is_news => warn!(inventory = %id, "{url}: {why}; what was known of it stays"),
            Ok(Verdict::Empty { known }) if is_news => {
                warn!(inventory = %id, "{url} knows no target any more; the {known} that were known stay");
            }
            Ok(Verdict::New { .. } | Verdict::Unchanged) if is_news => {
                info!(inventory = %id, "{url} answers well again")
            }
            Ok(_) | Err(_) => {}
        }
        if let Ok(Verdict::New { known, now }) = outcome {
            if now * 2 < *known {
                warn!(inventory = %id, "{url} knows {now} targets, of {known} before: more than half are gone at once");
            } else {
                info!(inventory = %id, "{url} knows {now} targets, {known} before");
            }
        }
    }

    async fn load(&mut self) {
        match self.reload.reload().await {
            Ok(()) => self.is_to_be_loaded = false,
            // Where it is taken, they were told; it is tried again after the next answer.
            Err(ReloadError::Mistakes(_) | ReloadError::Stopping) => {}
        }
    }
}

/// Judges an answer, and keeps or confirms it. It blocks.
fn settle(
    id: &DiscoveryId,
    list: &HttpSd,
    rehearse: &Rehearse,
    answer: &str,
    now: Timestamp,
) -> Result<Verdict, Unusable> {
    let verdict = judge(list.kept()?.as_deref(), answer).map_err(Unusable::NoGroups)?;
    match verdict {
        Verdict::Empty { .. } => {}
        Verdict::Unchanged => list.confirm(system_time(now))?,
        Verdict::New { .. } => {
            let mistakes = rehearse(id, answer);
            if !mistakes.is_empty() {
                return Err(Unusable::Mistakes(mistakes));
            }
            list.keep(answer)?;
        }
    }
    Ok(verdict)
}

/// Below 1, different each time.
fn chance() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from((high >> 32) as u32) / f64::from(u32::MAX)
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(at.as_micros().try_into().unwrap_or_default())
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
