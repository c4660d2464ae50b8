//! What one run changes of what we believe, as one pure function.
//!
//! Only a FAIL speaks for a finding and only a PASS against it; a run with any other verdict changes nothing but what was
//! last seen. A finding is believed after `failures_before` FAIL runs in a row, and not before a whole round has shown
//! whether other nodes fail as well; it is cleared by `passes_before` PASS runs in a row that saw the part it is about.
//!
//! Whole-node findings are counted together: a node that refuses, then times out, then refuses has failed three times. A
//! finding about one part, such as a GPU, is counted by itself. A FAIL speaks against what it did not find as a PASS would:
//! against a part's finding where that part was seen, and against whole-node findings where it found only parts to blame. A
//! program of the site speaks for all parts, since only it knows them; and of a machine that was replaced it is enough that
//! any part was seen, since the part that was found is gone with the machine.

use super::super::settings::CheckPolicy;
use crate::domain::{Belief, CheckKind, Condition, Finding, Observation, Standing, Streak, Timestamp, Trust, Verdict};

/// What a run comes to, once what says nothing is taken out of it.
#[derive(Debug)]
pub struct Reading {
    /// PASS where only spent findings were left.
    pub verdict: Verdict,
    /// Those that say something.
    pub findings: Vec<Finding>,
    /// Why it counts for less than it says.
    pub set_aside: Option<String>,
}

/// What becomes of a condition.
#[derive(Debug)]
pub struct Next {
    /// The new condition; its `run_id` is still the old one.
    pub condition: Condition,
    /// Whether the run differs from the one before, in its verdict or in what it found.
    pub differs: bool,
    /// Findings that are believed from now on.
    pub believed: Vec<Finding>,
    /// Believed or doubted findings that are cleared.
    pub cleared: Vec<Finding>,
    /// Believed findings that were found again.
    pub asserted: Vec<Finding>,
}

/// Takes out of an observation what says nothing: sticky findings that stood there before a repair, and repeats.
pub fn read(condition: &Condition, observation: &Observation) -> Reading {
    let mut findings: Vec<Finding> = Vec::new();
    for finding in &observation.findings {
        let is_spent = condition.spent.iter().any(|spent| spent.is_same(finding));
        let is_repeat = findings.iter().any(|known| known.is_same(finding));
        if !is_spent && !is_repeat && findings.len() < Finding::KEPT {
            findings.push(finding.clone());
        }
    }
    let only_spent = findings.is_empty() && !observation.findings.is_empty();
    match observation.verdict {
        Verdict::Fail if only_spent => Reading {
            verdict: Verdict::Pass,
            findings,
            set_aside: Some(
                "what it found stood there before the last repair, and would stand there anyhow".to_owned(),
            ),
        },
        Verdict::Fail => Reading { verdict: Verdict::Fail, findings, set_aside: None },
        verdict @ (Verdict::Pass | Verdict::Inconclusive | Verdict::Error | Verdict::Skipped) => {
            Reading { verdict, findings: Vec::new(), set_aside: None }
        }
    }
}

/// What a run makes of `condition`. `fault` says that the prober seems to be at fault, so that no FAIL counts.
pub fn next(
    condition: &Condition,
    reading: &Reading,
    observation: &Observation,
    policy: &CheckPolicy,
    fault: bool,
    ended_at: Timestamp,
    now: Timestamp,
) -> Next {
    let speaks_for_all = condition.kind == CheckKind::Command;
    let is_seen = |finding: &Finding| {
        finding.device.is_empty() || speaks_for_all || observation.devices.contains(&finding.device)
    };
    let is_looked_for = |standing: &Standing| {
        is_seen(&standing.finding) || (standing.trust == Trust::Doubted && !observation.devices.is_empty())
    };
    let differs = condition.verdict != reading.verdict || is_another_class(condition, reading);
    let mut next =
        Next { condition: condition.clone(), differs, believed: Vec::new(), cleared: Vec::new(), asserted: Vec::new() };
    match reading.verdict {
        Verdict::Fail => {
            next.found(reading, fault, ended_at);
            if !fault {
                next.missed(policy, |standing| match standing.finding.device.is_empty() {
                    true => !blames_the_node(reading),
                    false => is_looked_for(standing) && !is_in(reading, &standing.finding),
                });
            }
        }
        Verdict::Pass => {
            next.condition.fails = None;
            next.missed(policy, is_looked_for);
        }
        Verdict::Inconclusive | Verdict::Error | Verdict::Skipped => {}
    }
    if matches!(reading.verdict, Verdict::Fail | Verdict::Pass) {
        // A gauge that moved has nothing to do with the repair any more.
        let stands = |spent: &Finding| observation.findings.iter().any(|found| found.is_same(spent)) || !is_seen(spent);
        next.condition.spent.retain(stands);
    }
    if differs {
        next.condition.verdict = reading.verdict;
        next.condition.verdict_at = ended_at;
    }
    next.settle(policy, fault, reading.verdict == Verdict::Fail, now);
    next
}

/// What time alone makes of a condition: what is ripe is believed, unless the prober seems to be at fault.
pub fn ripen(condition: &Condition, policy: &CheckPolicy, fault: bool, now: Timestamp) -> Next {
    let mut next = Next {
        condition: condition.clone(),
        differs: false,
        believed: Vec::new(),
        cleared: Vec::new(),
        asserted: Vec::new(),
    };
    if fault {
        next.forget_counts();
    }
    next.settle(policy, fault, true, now);
    next
}

/// What a restart makes of a condition: what is not believed yet waits for a whole round once more, as nobody saw meanwhile
/// whether other nodes fail as well.
pub fn restarted(condition: &Condition, policy: &CheckPolicy, now: Timestamp) -> Condition {
    let mut condition = condition.clone();
    if let Some(fails) = &mut condition.fails {
        fails.since = now;
    }
    for standing in condition.standing.iter_mut().filter(|one| one.trust != Trust::Believed && one.seen > 0) {
        standing.since = now;
    }
    condition.ripe_at = condition.ripe_at.map(|_| now.plus(policy.round));
    condition
}

/// Whether it found something about the node as a whole.
fn blames_the_node(reading: &Reading) -> bool {
    reading.findings.iter().any(|finding| finding.device.is_empty())
}

/// Whether something was found that is not believed, and counts.
pub fn is_counting(condition: &Condition) -> bool {
    let is_seen = |standing: &Standing| standing.trust != Trust::Believed && standing.seen > 0;
    condition.fails.is_some() || condition.standing.iter().any(is_seen)
}

fn is_in(reading: &Reading, finding: &Finding) -> bool {
    reading.findings.iter().any(|found| found.is_same(finding))
}

/// Whether there is room for one more. Where as much stands as is kept, what was only suspected goes, the oldest first: a new
/// finding is passed over only where all others are alerts, and the node is sick anyhow.
fn make_room(standing: &mut Vec<Standing>) -> bool {
    if standing.len() < Finding::KEPT {
        return true;
    }
    let suspected = (0..standing.len()).filter(|at| standing[*at].trust == Trust::Suspected);
    let oldest = suspected.min_by_key(|at| standing[*at].since);
    oldest.is_some_and(|oldest| {
        standing.remove(oldest);
        true
    })
}

/// Whether a FAIL found other things than the one before.
fn is_another_class(condition: &Condition, reading: &Reading) -> bool {
    let known = |finding: &Finding| condition.standing.iter().any(|standing| standing.finding.is_same(finding));
    reading.verdict == Verdict::Fail && !reading.findings.iter().all(known)
}

impl Next {
    /// Counts what a FAIL found; in a prober fault it is only noted.
    fn found(&mut self, reading: &Reading, fault: bool, ended_at: Timestamp) {
        if fault {
            self.forget_counts();
        } else if !blames_the_node(reading) {
            self.condition.fails = None;
        } else {
            let before = self.condition.fails;
            let since = before.map_or(ended_at, |fails| fails.since);
            let count = before.map_or(0, |fails| fails.count).saturating_add(1);
            self.condition.fails = Some(Streak { count, since });
        }
        for finding in &reading.findings {
            let counted = u32::from(!fault);
            let known = &mut self.condition.standing;
            match known.iter().position(|standing| standing.finding.is_same(finding)) {
                Some(at) => {
                    let standing = &mut known[at];
                    if standing.trust == Trust::Believed {
                        self.asserted.push(finding.clone());
                    }
                    if standing.seen == 0 && !fault {
                        standing.since = ended_at;
                    }
                    standing.seen = standing.seen.saturating_add(counted);
                    standing.missed = 0;
                    if standing.trust != Trust::Believed {
                        standing.finding = finding.clone();
                    }
                }
                None if make_room(known) => known.push(Standing {
                    finding: finding.clone(),
                    trust: Trust::Suspected,
                    seen: counted,
                    missed: 0,
                    since: ended_at,
                }),
                None => {}
            }
        }
        // A node that fails in another way than before is still the same failure: no row of PASS goes on over it, and that
        // other way is what stands.
        let is_whole = blames_the_node(reading);
        self.condition.standing.retain_mut(|standing| {
            let is_other = is_whole && standing.finding.device.is_empty() && !is_in(reading, &standing.finding);
            if is_other {
                standing.missed = 0;
                if standing.trust != Trust::Believed {
                    standing.seen = 0;
                }
            }
            !is_other || standing.trust != Trust::Suspected
        });
    }

    /// In a prober fault what was counted so far is not worth anything.
    fn forget_counts(&mut self) {
        self.condition.fails = None;
        for standing in self.condition.standing.iter_mut().filter(|standing| standing.trust != Trust::Believed) {
            standing.seen = 0;
        }
    }

    /// Counts a run that speaks against the findings for which `is_against` holds.
    fn missed(&mut self, policy: &CheckPolicy, is_against: impl Fn(&Standing) -> bool) {
        let mut cleared = Vec::new();
        self.condition.standing.retain_mut(|standing| {
            if !is_against(standing) {
                return true;
            }
            (standing.seen, standing.missed) = (0, standing.missed.saturating_add(1));
            let is_cleared = standing.trust != Trust::Suspected && standing.missed >= policy.passes_before;
            if is_cleared {
                cleared.push(standing.finding.clone());
            }
            standing.trust != Trust::Suspected && !is_cleared
        });
        self.cleared.append(&mut cleared);
    }

    /// Believes what was found often and long enough, and says what is believed of the whole. A run that is no FAIL makes
    /// nobody believe anything (`may_believe`): what is ripe then waits for the time, which asks for it right after.
    fn settle(&mut self, policy: &CheckPolicy, fault: bool, may_believe: bool, now: Timestamp) {
        let fails = self.condition.fails;
        let mut ripe_at: Option<Timestamp> = None;
        for standing in &mut self.condition.standing {
            let is_whole = standing.finding.device.is_empty();
            let (count, since) = match fails {
                Some(fails) if is_whole && standing.seen > 0 => (fails.count, fails.since),
                _ => (standing.seen, standing.since),
            };
            standing.seen = standing.seen.min(policy.failures_before);
            if standing.trust == Trust::Believed || fault || count < policy.failures_before {
                continue;
            }
            let ripe = since.plus(policy.round);
            if now >= ripe && may_believe {
                standing.trust = Trust::Believed;
                self.believed.push(standing.finding.clone());
            } else {
                ripe_at = Some(ripe_at.map_or(ripe, |known| known.min(ripe)));
            }
        }
        if let Some(fails) = &mut self.condition.fails {
            fails.count = fails.count.min(policy.failures_before);
        }
        self.condition.ripe_at = ripe_at;
        let is_failing = self.condition.standing.iter().any(|standing| standing.trust == Trust::Believed);
        let is_doubted = self.condition.standing.iter().any(|standing| standing.trust == Trust::Doubted);
        let belief = match (is_failing, self.condition.verdict, self.condition.belief) {
            (true, ..) => Belief::Failing,
            (false, ..) if is_doubted => Belief::Unknown,
            (false, Verdict::Pass, _) => Belief::Healthy,
            (false, _, Belief::Failing) => Belief::Unknown,
            (false, _, known) => known,
        };
        if belief != self.condition.belief {
            self.condition.belief = belief;
            self.condition.since = now;
        }
    }
}

#[cfg(test)]
#[path = "belief_tests.rs"]
mod tests;
