//! Whether we stood still ourselves: stopped, frozen, or starved of CPU. What did not answer in that time says nothing about
//! its node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Stopwatch;
use crate::domain::{Finding, Observation, Verdict};

/// How often it beats.
const BEAT: Duration = Duration::from_millis(50);
/// A beat, or a run, that is later than this was held up by us: a busy machine stays far below.
pub const LATE: Duration = Duration::from_millis(250);
/// What a run waits for the beat that is due, before its silence is believed.
const MOMENT: Duration = Duration::from_millis(5);

/// What a probe finds that heard nothing in time. Only these can be our own doing: everything else was said by the node.
const SILENCE: [&str; 4] = ["timeout", "hung", "loss", "exporter_down"];

/// It beats until the last of its users is gone.
#[derive(Debug)]
pub struct Pulse {
    missed: Arc<AtomicU64>,
    _beats: JoinSet<()>,
}

impl Pulse {
    /// Begins to beat.
    pub fn start() -> Arc<Self> {
        let missed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&missed);
        let mut beats = JoinSet::new();
        beats.spawn(async move {
            loop {
                let watch = Stopwatch::start();
                sleep(BEAT).await;
                if watch.elapsed() >= BEAT + LATE {
                    count.fetch_add(1, Ordering::Release);
                }
            }
        });
        Arc::new(Self { missed, _beats: beats })
    }

    /// How many beats came late so far.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Acquire)
    }

    /// The observation of a run that began when so many beats had been `missed`, and that took longer than a probe of its
    /// kind can take where `is_overdue`: silence while we stood still is our own trouble.
    pub async fn judge(&self, missed: u64, is_overdue: bool, observation: Observation) -> Observation {
        let is_silence = |finding: &Finding| SILENCE.contains(&finding.name.as_str());
        if observation.verdict != Verdict::Fail || !observation.findings.iter().all(is_silence) {
            return observation;
        }
        sleep(MOMENT).await;
        if !is_overdue && self.missed() == missed {
            return observation;
        }
        let said = observation.evidence;
        Observation::error(format!(
            "this daemon stood still meanwhile (stopped, or starved of CPU), so that says nothing: {said}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(names: &[&'static str]) -> Observation {
        Observation::fail(names.iter().map(|name| Finding::new(name, "")).collect(), "no answer")
    }

    /// Nothing else runs on this thread meanwhile, as if the process were stopped.
    fn stand_still() {
        let watch = Stopwatch::start();
        while watch.elapsed() < LATE * 2 {
            std::thread::park_timeout(LATE * 2);
        }
    }

    #[tokio::test]
    async fn silence_while_we_stood_still_says_nothing() {
        let pulse = Pulse::start();
        sleep(BEAT * 2).await;
        let missed = pulse.missed();
        assert_eq!(pulse.judge(missed, false, failed(&["timeout"])).await.verdict, Verdict::Fail);
        stand_still();
        for (observation, verdict) in [
            (failed(&["timeout"]), Verdict::Error),
            (failed(&["loss"]), Verdict::Error),
            // Somebody said that.
            (failed(&["refused"]), Verdict::Fail),
            (failed(&["timeout", "temperature"]), Verdict::Fail),
            (Observation::pass("it answered"), Verdict::Pass),
        ] {
            assert_eq!(pulse.judge(missed, false, observation.clone()).await.verdict, verdict, "{observation:?}");
        }
        // What begins after that is believed again.
        assert_eq!(pulse.judge(pulse.missed(), false, failed(&["timeout"])).await.verdict, Verdict::Fail);
    }

    #[tokio::test]
    async fn a_run_that_took_longer_than_it_can_was_held_up_by_us() {
        let pulse = Pulse::start();
        let judged = pulse.judge(pulse.missed(), true, failed(&["hung"])).await;
        assert_eq!(judged.verdict, Verdict::Error);
        assert!(
            judged.evidence.contains("stood still") && judged.evidence.ends_with("no answer"),
            "{}",
            judged.evidence
        );
    }
}
