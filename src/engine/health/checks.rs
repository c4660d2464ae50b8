//! What active checks found: every run is read against what is believed of its instance, and what becomes believed or
//! cleared is an alert of the built-in source `checks`.

use std::collections::BTreeSet;

use super::super::agenda;
use super::super::change::Change;
use super::super::effect::Look;
use super::super::memory::{Memory, Subject};
use super::super::past::{Back, PastKey};
use super::super::refusal::Reply;
use super::super::said::Said;
use super::super::settings::{CheckPolicy, Settings};
use super::super::turn::Turn;
use super::belief::{self, Next, Reading};
use super::check_alert::{self, Found};
use crate::domain::{
    Belief, CheckId, Condition, Finding, Instance, InstanceId, Probed, RemediationId, Run, RunId, RunWhy, Timestamp,
    Trust, Verdict,
};

/// From how many nodes on a failing prober is thought of at all, and from which share (I20).
const FAULT_NODES: usize = 3;
const FAULT_PERCENT: usize = 30;

/// Who wanted runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The schedule.
    Schedule,
    /// A person.
    Person,
    /// A remediation.
    Remediation,
}

/// The stored rows that runs name: earlier episodes of what may become an alert, found by this run or before.
pub fn wanted_by_runs(memory: &Memory, settings: &Settings, runs: &[Probed]) -> Vec<PastKey> {
    let mut keys = BTreeSet::new();
    for run in runs.iter().filter(|run| run.observation.verdict == Verdict::Fail) {
        let Some(instance) = memory.instances().get(&run.instance_id) else { continue };
        let Some(policy) = settings.checks.get(&run.check) else { continue };
        let known = memory.conditions().get(&run.check, &run.instance_id);
        let condition = known.cloned().unwrap_or_else(|| unknown(run, instance, policy));
        let is_open = |finding: &Finding| {
            condition.standing.iter().any(|one| one.trust == Trust::Believed && one.finding.is_same(finding))
        };
        let standing = condition.standing.iter().map(|standing| &standing.finding);
        let new = run.observation.findings.iter().chain(standing).filter(|finding| !is_open(finding));
        keys.extend(new.map(|finding| PastKey::Episodes(check_alert::identity(&condition, finding), Back::Covered)));
    }
    keys.into_iter().collect()
}

/// The same of what is ripe by `now`.
pub fn wanted_by_time(memory: &Memory, now: Timestamp) -> Vec<PastKey> {
    let due = memory.agenda().iter().take_while(|(at, _)| *at <= now).take(agenda::AT_ONCE);
    let ripe = due.filter_map(|(_, subject)| match subject {
        Subject::Condition(whose) => memory.conditions().get(&whose.0, &whose.1),
        Subject::Remediation(_) | Subject::Hold(_) | Subject::Instance(_) | Subject::Horizons => None,
    });
    let standing = |condition: &Condition| -> Vec<PastKey> {
        let waiting = condition.standing.iter().filter(|standing| standing.trust != Trust::Believed);
        waiting
            .map(|standing| PastKey::Episodes(check_alert::identity(condition, &standing.finding), Back::Covered))
            .collect()
    };
    ripe.flat_map(standing).collect()
}

/// Why what fails is taken for a fault of the prober, if it is: of at least three nodes, and at least 30 % of all that are
/// probed, something was found that is not believed yet (I20).
///
/// What is believed does not count: it was found before, on one node after the other.
pub fn prober_fault(memory: &Memory, now: Timestamp) -> Option<String> {
    let (probed, suspect) = (memory.conditions().probed(), memory.conditions().suspects(now));
    is_fault(probed, suspect).then(|| {
        format!("{suspect} of {probed} nodes that are probed from here fail at once: taken for a fault of ours")
    })
}

fn is_fault(probed: usize, suspect: usize) -> bool {
    suspect >= FAULT_NODES && suspect * 100 >= probed * FAULT_PERCENT
}

/// Takes over what runs came to; says which are kept.
pub fn probed(turn: &mut Turn<'_>, runs: &[Probed], asker: Asker) -> Reply {
    let kept = runs.iter().filter_map(|run| take(turn, run, asker)).collect();
    Reply::Probed(kept)
}

/// What a run is about, where that is still there and still looked at.
fn taken_by<'a>(turn: &Turn<'a>, run: &Probed) -> Option<(Instance, &'a CheckPolicy)> {
    let instance = turn.memory().instances().get(&run.instance_id)?;
    let policy = turn.settings().checks.get(&run.check)?;
    (run.generation == instance.generation && policy.selects(instance)).then(|| (instance.clone(), policy))
}

/// One run. Nothing where it is not kept, or where it is about what is not there any more.
fn take(turn: &mut Turn<'_>, run: &Probed, asker: Asker) -> Option<RunId> {
    let (instance, policy) = taken_by(turn, run)?;
    let known = turn.memory().conditions().get(&run.check, &run.instance_id);
    let is_first = known.is_none();
    let before = known.cloned().unwrap_or_else(|| unknown(run, &instance, policy));
    let mut reading = belief::read(&before, &run.observation);
    let would_be = would_be_fault(turn.memory(), &before, &reading, turn.now());
    let fault = would_be.is_some();
    if fault {
        reading.set_aside = would_be;
        // Where it begins, what was counted elsewhere is not worth anything either, however soon it ends again.
        if prober_fault(turn.memory(), turn.now()).is_none() {
            forget_counts(turn);
        }
    }
    let mut next = belief::next(&before, &reading, &run.observation, policy, fault, run.ended_at, turn.now());
    if is_first {
        next.condition.verdict = reading.verdict;
        next.differs = reading.verdict != Verdict::Pass;
    }
    let why = match asker {
        Asker::Person => Some(RunWhy::OnDemand),
        Asker::Remediation => Some(RunWhy::Verification),
        Asker::Schedule if !next.believed.is_empty() || !next.cleared.is_empty() => Some(RunWhy::Flipped),
        Asker::Schedule => next.differs.then_some(RunWhy::Changed),
    };
    let kept = why.map(|why| keep(turn, run, &instance, policy, reading, why));
    next.condition.run_id = kept.or(next.condition.run_id);
    write(turn, before, next, Found { policy, instance: &instance, run: Some(run) }, is_first);
    kept
}

/// Nothing is known so far.
fn unknown(run: &Probed, instance: &Instance, policy: &CheckPolicy) -> Condition {
    Condition {
        check: run.check.clone(),
        kind: policy.kind,
        instance_id: instance.id.clone(),
        cluster_id: instance.cluster_id.clone(),
        generation: instance.generation.clone(),
        belief: Belief::Unknown,
        since: run.ended_at,
        verdict: Verdict::Skipped,
        verdict_at: run.ended_at,
        run_id: None,
        fails: None,
        standing: Vec::new(),
        spent: Vec::new(),
        ripe_at: None,
    }
}

/// Why this FAIL is taken for a fault of the prober, with itself counted in, if it is one and it is.
fn would_be_fault(memory: &Memory, condition: &Condition, reading: &Reading, now: Timestamp) -> Option<String> {
    if reading.verdict != Verdict::Fail {
        return None;
    }
    let is_believed = |finding: &Finding| {
        condition.standing.iter().any(|one| one.trust == Trust::Believed && one.finding.is_same(finding))
    };
    let (conditions, id) = (memory.conditions(), &condition.instance_id);
    let counts = !conditions.is_suspect(id, now) && !reading.findings.iter().all(is_believed);
    let probed = conditions.probed() + usize::from(!conditions.is_probed(id));
    let suspect = conditions.suspects(now) + usize::from(counts);
    let why = || format!("{suspect} of {probed} nodes failed at once: taken for a fault of the prober");
    is_fault(probed, suspect).then(why)
}

fn forget_counts(turn: &mut Turn<'_>) {
    let now = turn.now();
    recount(turn, |condition, policy| belief::ripen(condition, policy, true, now).condition);
}

/// The process is new.
pub fn restarted(turn: &mut Turn<'_>) {
    let now = turn.now();
    recount(turn, |condition, policy| belief::restarted(condition, policy, now));
}

/// Writes anew what counts and is not believed.
fn recount(turn: &mut Turn<'_>, anew: impl Fn(&Condition, &CheckPolicy) -> Condition) {
    let counted: Vec<Condition> =
        turn.memory().conditions().all().filter(|condition| belief::is_counting(condition)).cloned().collect();
    for before in counted {
        let Some(policy) = turn.settings().checks.get(&before.check) else { continue };
        let condition = anew(&before, policy);
        if condition != before {
            turn.record(Change::Condition(Box::new(condition)));
        }
    }
}

fn keep(
    turn: &mut Turn<'_>,
    run: &Probed,
    instance: &Instance,
    policy: &CheckPolicy,
    reading: Reading,
    why: RunWhy,
) -> RunId {
    let id = RunId::new(turn.new_id());
    turn.record(Change::Run(Box::new(Run {
        id,
        check: run.check.clone(),
        kind: policy.kind,
        cluster_id: instance.cluster_id.clone(),
        instance_id: instance.id.clone(),
        generation: instance.generation.clone(),
        started_at: run.started_at,
        ended_at: run.ended_at,
        verdict: run.observation.verdict,
        findings: run.observation.findings.clone(),
        measurements: run.observation.measurements.clone(),
        evidence: run.observation.evidence.clone(),
        why,
        set_aside: reading.set_aside,
    })));
    id
}

/// Writes what became of a condition, where something did, and lets its alerts follow.
fn write(turn: &mut Turn<'_>, before: Condition, next: Next, found: Found<'_>, is_first: bool) {
    let Next { condition, believed, cleared, asserted, differs: _ } = next;
    if is_first || condition != before {
        turn.record(Change::Condition(Box::new(condition.clone())));
    }
    for finding in believed {
        check_alert::open(turn, found, &condition, &finding);
    }
    let ended_at = found.run.map_or(turn.now(), |run| run.ended_at);
    for finding in cleared {
        check_alert::close(turn, &condition, &finding, ended_at);
    }
    for finding in asserted {
        check_alert::assert_again(turn, found, &condition, &finding);
    }
}

/// What stands has been looked at long enough: it is believed, unless the prober seems to be at fault.
pub fn ripen(turn: &mut Turn<'_>, check: &CheckId, id: &InstanceId) {
    let Some(before) = turn.memory().conditions().get(check, id).cloned() else { return };
    let policy = turn.settings().checks.get(check);
    let instance = turn.memory().instances().get(id).cloned();
    let (Some(policy), Some(instance)) = (policy, instance) else {
        return turn.record(Change::Condition(Box::new(Condition { ripe_at: None, ..before })));
    };
    let fault = prober_fault(turn.memory(), turn.now()).is_some();
    let next = belief::ripen(&before, policy, fault, turn.now());
    write(turn, before, next, Found { policy, instance: &instance, run: None }, false);
}

/// A machine was repaired: what stays on it until then says nothing from now on.
pub fn spend(turn: &mut Turn<'_>, id: &InstanceId) {
    let conditions: Vec<Condition> = turn.memory().conditions().of(id).cloned().collect();
    for before in conditions {
        let mut condition = before.clone();
        for standing in condition.standing.iter().filter(|standing| standing.finding.is_sticky) {
            if !condition.spent.iter().any(|spent| spent.is_same(&standing.finding)) {
                condition.spent.push(standing.finding.clone());
            }
        }
        condition.standing.retain(|standing| !standing.finding.is_sticky || standing.trust != Trust::Suspected);
        condition.spent.truncate(Finding::KEPT);
        if condition != before {
            turn.record(Change::Condition(Box::new(condition)));
        }
    }
}

/// A configuration was taken: what is believed of machines that were replaced is doubted, and what no check looks at any
/// more is forgotten, unless somebody waits for it.
pub fn recheck(turn: &mut Turn<'_>) {
    let conditions: Vec<Condition> = turn.memory().conditions().all().cloned().collect();
    for before in conditions {
        let instance = turn.memory().instances().get(&before.instance_id).cloned();
        let policy = turn.settings().checks.get(&before.check);
        match (instance, policy) {
            (Some(instance), Some(policy)) if policy.kind == before.kind && policy.selects(&instance) => {
                let is_same = before.generation == instance.generation && before.cluster_id == instance.cluster_id;
                if !is_same {
                    doubt(turn, before, &instance);
                }
            }
            _ => leave(turn, before),
        }
    }
}

/// The condition was that of another machine.
fn doubt(turn: &mut Turn<'_>, before: Condition, instance: &Instance) {
    if before.cluster_id != instance.cluster_id {
        // Its alerts belong to the cluster that it left.
        return leave(turn, before);
    }
    for standing in before.standing.iter().filter(|standing| standing.trust == Trust::Believed) {
        check_alert::doubt(turn, &before, &standing.finding);
    }
    let mut condition = Condition {
        generation: instance.generation.clone(),
        belief: Belief::Unknown,
        since: turn.now(),
        verdict: Verdict::Skipped,
        verdict_at: turn.now(),
        fails: None,
        spent: Vec::new(),
        ripe_at: None,
        ..before
    };
    condition.standing.retain(|standing| standing.trust != Trust::Suspected);
    for standing in &mut condition.standing {
        (standing.trust, standing.seen, standing.missed) = (Trust::Doubted, 0, 0);
    }
    turn.record(Change::Condition(Box::new(condition)));
}

/// Its check or its instance left. An alert that a live remediation waits for stays as it is: that nobody looks any more
/// is no good news.
fn leave(turn: &mut Turn<'_>, condition: Condition) {
    let standing = condition.standing.iter().filter(|standing| standing.trust != Trust::Suspected);
    let open: Vec<&Finding> = standing.map(|standing| &standing.finding).collect();
    let is_awaited =
        |finding: &&Finding| turn.memory().linked_to(check_alert::identity(&condition, finding)).next().is_some();
    if open.iter().any(is_awaited) {
        return;
    }
    let now = turn.now();
    for finding in open {
        check_alert::close(turn, &condition, finding, now);
    }
    turn.record(Change::ConditionGone(condition.check, condition.instance_id));
}

/// What runs said, once they have been taken over: a finding that was spent speaks for nothing, and nor does a FAIL while
/// the prober seems to be at fault, or a run that was not taken.
pub fn say(turn: &Turn<'_>, look: &Look, runs: &[Probed]) -> Said {
    let mut said = Said::default();
    let Some(of) = &look.checks else { return said };
    let memory = turn.memory();
    let fault = prober_fault(memory, turn.now());
    for check in &of.checks {
        let run = runs.iter().rev().find(|run| run.check == *check && run.instance_id == of.instance_id);
        let taken = run.is_some_and(|run| taken_by(turn, run).is_some());
        let condition = memory.conditions().get(check, &of.instance_id);
        let evidence = |run: &Probed| format!("{}: {}", run.observation.verdict, run.observation.evidence);
        match (run, condition) {
            (Some(run), Some(condition)) if taken => match condition.verdict {
                Verdict::Pass => {}
                Verdict::Fail if fault.is_some() => {
                    said.silent.insert(check.clone(), fault.clone().unwrap_or_default());
                }
                Verdict::Fail => {
                    if is_about(memory, look.remediation_id, condition, run) {
                        said.confirming.insert(check.clone());
                    }
                    said.failing.insert(check.clone(), evidence(run));
                }
                Verdict::Inconclusive | Verdict::Error | Verdict::Skipped => {
                    said.silent.insert(check.clone(), evidence(run));
                }
            },
            (Some(_), _) => drop(said.silent.insert(check.clone(), "it ran on another machine than this".to_owned())),
            (None, _) => drop(said.silent.insert(check.clone(), "it did not run".to_owned())),
        }
    }
    said
}

/// Whether a FAIL found what is linked to a remediation. A node that fails as a whole in another way than before is still
/// the same failure.
fn is_about(memory: &Memory, id: RemediationId, condition: &Condition, run: &Probed) -> bool {
    let counts = |found: &&Finding| !condition.spent.iter().any(|spent| spent.is_same(found));
    let found: Vec<&Finding> = run.observation.findings.iter().filter(counts).collect();
    let blames_the_node = found.iter().any(|found| found.device.is_empty());
    let linked = condition.standing.iter().filter(|standing| {
        memory.linked_to(check_alert::identity(condition, &standing.finding)).any(|linked| linked == id)
    });
    linked.map(|standing| &standing.finding).any(|finding| match finding.device.is_empty() {
        true => blames_the_node,
        false => found.iter().any(|found| found.is_same(finding)),
    })
}
