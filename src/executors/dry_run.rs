//! The driver that touches nothing: waits a while and says done, so that the whole flow can be rehearsed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Answer;
use crate::domain::Outcome;
use crate::engine::{Call, CallVerb};

/// How many finished rehearsals are remembered: far more than can be asked about at once, and still bounded.
const REMEMBERED: usize = 10_000;

/// What was rehearsed in this process. A restart forgets it, as a backend that lost the request would.
#[derive(Debug, Default)]
pub(super) struct Rehearsals {
    finished: Mutex<VecDeque<String>>,
}

impl Rehearsals {
    /// Pretends for `takes`, or as long as there is time.
    pub(super) async fn carry_out(&self, call: &Call, takes: Duration, left: Duration) -> Answer {
        match call.verb {
            CallVerb::Query if self.has_finished(&call.operation_key) => done(),
            CallVerb::Query => Answer::of(Outcome::Absent, "dry run: no such operation in this process"),
            CallVerb::Undo => {
                self.forget(&call.operation_key);
                done()
            }
            CallVerb::Act if takes > left => {
                tokio::time::sleep(left).await;
                Answer::of(Outcome::Unknown, "dry run: the deadline passed first")
            }
            CallVerb::Act => {
                tokio::time::sleep(takes).await;
                self.remember(&call.operation_key);
                done()
            }
        }
    }

    fn has_finished(&self, key: &str) -> bool {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == key)
    }

    fn forget(&self, key: &str) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != key);
    }

    fn remember(&self, key: &str) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.len() == REMEMBERED {
            finished.pop_front();
        }
        finished.push_back(key.to_owned());
    }
}

fn done() -> Answer {
    Answer::of(Outcome::Done, "dry run: nothing was touched")
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;

    #[tokio::test]
    async fn a_rehearsal_takes_its_time_and_is_remembered() {
        let rehearsals = Rehearsals::default();
        let (takes, left) = (Duration::from_millis(5), Duration::from_secs(60));
        let absent = rehearsals.carry_out(&call(CallVerb::Query, "k"), takes, left).await;
        assert_eq!(absent.outcome, Outcome::Absent);
        assert_eq!(rehearsals.carry_out(&call(CallVerb::Act, "k"), takes, left).await, done());
        assert_eq!(rehearsals.carry_out(&call(CallVerb::Query, "k"), takes, left).await, done());
        let other = rehearsals.carry_out(&call(CallVerb::Query, "other"), takes, left).await;
        assert_eq!(other.outcome, Outcome::Absent);
        for key in ["k", "k", "never"] {
            assert_eq!(rehearsals.carry_out(&call(CallVerb::Undo, key), takes, left).await, done());
            let undone = rehearsals.carry_out(&call(CallVerb::Query, key), takes, left).await;
            assert_eq!(undone.outcome, Outcome::Absent);
        }
    }

    #[tokio::test]
    async fn a_rehearsal_that_outlives_its_deadline_is_unknown() {
        let rehearsals = Rehearsals::default();
        let (takes, left) = (Duration::from_secs(60), Duration::from_millis(5));
        let answer = rehearsals.carry_out(&call(CallVerb::Act, "k"), takes, left).await;
        assert_eq!(answer.outcome, Outcome::Unknown);
        assert!(!rehearsals.has_finished("k"));
    }
}
