//! What the alerts of one instance call for together, and what becomes of it.

use std::time::Duration;

use super::super::remediation::{self, Opening};
use super::super::settings::Enforce;
use super::super::turn::Turn;
use super::super::{guard, holds};
use super::judge::{Verdict, judge};
use crate::domain::{
    Alert, AlertState, AutoResolve, Decided, Held, HeldWhy, Identity, Instance, InstanceId, Mode, RemediationId,
    RuleId, Timestamp,
};
use crate::engine::Change;

/// XIDs of one node this close together are one burst: the heaviest decides, the others attach (FAULTS §1, Bursts).
const BURST: Duration = Duration::from_secs(180);

/// One thing that one rule wants because of one alert.
#[derive(Clone, Debug)]
struct Want {
    rule: RuleId,
    mode: Mode,
    is_auto: bool,
    auto_resolve: AutoResolve,
    alert: Identity,
    started_at: Timestamp,
}

/// Everything that the alerts of an instance call for.
#[derive(Debug, Default)]
struct Wants {
    ready: Vec<Want>,
    /// Not yet: the earliest end of a rule's `for`.
    not_before: Option<(Timestamp, RuleId, Mode)>,
    /// Alerts with a code that calls for nothing by itself.
    attached: Vec<Identity>,
    /// A rule whose alert says that a person should look.
    support: Option<RuleId>,
}

/// Decides again for one instance.
pub fn evaluate(turn: &mut Turn<'_>, id: &InstanceId) {
    let Some(instance) = turn.memory().instances().get(id).cloned() else {
        release(turn, id);
        return;
    };
    let wants = read(turn, &instance);
    let live = turn.memory().live_on(id).map(|live| (live.remediation.id, live.remediation.created_at));
    let in_the_way = match live {
        Some((live, opened_at)) => {
            grow(turn, &instance, &wants, live, opened_at);
            Ok(())
        }
        None => propose(turn, &instance, &wants),
    };
    // Whatever waits or is live: when a rule's `for` passes, its alert is to be linked, and may raise the mode.
    let ready_at = wants.not_before.as_ref().map(|(at, ..)| *at);
    match (in_the_way, &wants.not_before) {
        (Err(held), _) => {
            let until = held.until.into_iter().chain(ready_at).min();
            hold_back(turn, Held { until, ..held });
        }
        (Ok(()), Some((at, rule, mode))) => {
            let held = held(turn, &instance, rule, Some(*mode), HeldWhy::For, Some(*at));
            hold_back(turn, held);
        }
        (Ok(()), None) => release(turn, id),
    }
}

/// Links what concerns a live remediation, and raises its mode where something heavier is wanted.
fn grow(turn: &mut Turn<'_>, instance: &Instance, wants: &Wants, live: RemediationId, opened_at: Timestamp) {
    for want in &wants.ready {
        if remediation::link(turn, live, want.alert) {
            turn.decide(&want.rule, Decided::Linked);
        }
    }
    attach(turn, wants, live, opened_at);
    if let Some(heaviest) = heaviest(turn, instance, &wants.ready) {
        let opening = opening(instance, &wants.ready, &heaviest, turn);
        if remediation::raise(turn, live, &opening) {
            turn.decide(&heaviest.rule, Decided::Raised);
        }
    }
    turn.stirred.insert(live);
}

fn held(
    turn: &Turn<'_>,
    instance: &Instance,
    rule: &RuleId,
    mode: Option<Mode>,
    why: HeldWhy,
    until: Option<Timestamp>,
) -> Held {
    let (cluster_id, instance_id) = (instance.cluster_id.clone(), instance.id.clone());
    Held { cluster_id, instance_id, rule: rule.clone(), mode, why, since: turn.now(), until }
}

/// Opens a proposal, or says what is in the way; `Ok` where nothing is wanted yet too.
fn propose(turn: &mut Turn<'_>, instance: &Instance, wants: &Wants) -> Result<(), Held> {
    let Some(first) = wants.ready.first() else {
        return match (&wants.not_before, &wants.support) {
            (None, Some(rule)) => Err(held(turn, instance, rule, None, HeldWhy::ContactSupport, None)),
            (Some(_), _) | (None, None) => Ok(()),
        };
    };
    let Some(heaviest) = heaviest(turn, instance, &wants.ready) else {
        let held = held(turn, instance, &first.rule, Some(first.mode), HeldWhy::NoDriver, None);
        // The node is held once: a person who lifts that hold means to act, and must be able to.
        let is_told = turn.memory().held().get(&instance.id).is_some_and(|before| before.why == HeldWhy::NoDriver);
        if !is_told {
            let reason = format!(
                "rule {} wants {}, and the driver of cluster {} can do neither that nor anything heavier",
                first.rule, first.mode, instance.cluster_id
            );
            holds::set_for_a_person(turn, instance.cluster_id.clone(), &instance.id, reason);
        }
        let until = turn.memory().hold_on(&instance.id).map(|hold| hold.expires_at);
        return Err(Held { until, ..held });
    };
    // The youngest cause counts: one that began after the last repair is enough to act on.
    let newest = wants.ready.iter().map(|want| want.started_at).max().unwrap_or(heaviest.started_at);
    guard::may_open(turn.memory(), &turn.settings().policy, instance, heaviest.mode, newest, turn.now())
        .map_err(|(why, until)| held(turn, instance, &heaviest.rule, Some(heaviest.mode), why, until))?;
    let opening = opening(instance, &wants.ready, &heaviest, turn);
    turn.decide(&heaviest.rule, Decided::Opened);
    let opened = remediation::open(turn, instance, &opening);
    for want in &wants.ready {
        remediation::link(turn, opened, want.alert);
    }
    let now = turn.now();
    attach(turn, wants, opened, now);
    turn.stirred.insert(opened);
    Ok(())
}

/// Reads every alert of the instance that fires and is not muted.
fn read(turn: &mut Turn<'_>, instance: &Instance) -> Wants {
    let mut wants = Wants::default();
    let mut shadows = Vec::new();
    let now = turn.now();
    let firing: Vec<&Alert> = turn
        .memory()
        .alerts_of(&instance.id)
        .filter(|alert| alert.state == AlertState::Firing && !alert.muted)
        .collect();
    let deciding = deciding_codes(turn, instance, &firing);
    for alert in firing {
        let is_drowned = is_secondary(turn, alert) && deciding.iter().any(|at| is_near(*at, alert.opened_at));
        for (id, rule, verdict) in judge(turn.settings(), instance, alert) {
            if rule.enforce == Enforce::Shadow {
                if alert.opened_at == now {
                    shadows.push(id.clone());
                }
                continue;
            }
            let ready_at = alert.opened_at.plus(rule.hold_for);
            match verdict {
                Verdict::Repair(_) if is_drowned => wants.attached.push(alert.identity),
                Verdict::Repair(mode) if ready_at > now => {
                    let is_earlier = wants.not_before.as_ref().is_none_or(|(at, ..)| ready_at < *at);
                    if is_earlier {
                        wants.not_before = Some((ready_at, id.clone(), mode));
                    }
                }
                Verdict::Repair(mode) => wants.ready.push(Want {
                    rule: id.clone(),
                    mode,
                    is_auto: rule.enforce == Enforce::Auto
                        && !rule.mode.is_some_and(|named| mode.is_heavier_than(named)),
                    auto_resolve: rule.auto_resolve,
                    alert: alert.identity,
                    started_at: alert.newest_start,
                }),
                Verdict::Nothing => wants.attached.extend(alert.xid.map(|_| alert.identity)),
                Verdict::ContactSupport => {
                    wants.attached.push(alert.identity);
                    wants.support.get_or_insert_with(|| id.clone());
                }
            }
        }
    }
    for rule in shadows {
        turn.decide(&rule, Decided::Shadowed);
    }
    wants
}

/// When the codes came that call for a repair by themselves: they drown follow-on noise of the same burst. A code that
/// calls for nothing drowns nothing.
fn deciding_codes(turn: &Turn<'_>, instance: &Instance, firing: &[&Alert]) -> Vec<Timestamp> {
    let decides = |alert: &Alert| {
        let mut verdicts = judge(turn.settings(), instance, alert);
        verdicts.any(|(_, rule, verdict)| rule.enforce != Enforce::Shadow && matches!(verdict, Verdict::Repair(_)))
    };
    firing
        .iter()
        .filter(|alert| alert.xid.is_some() && !is_secondary(turn, alert) && decides(alert))
        .map(|alert| alert.opened_at)
        .collect()
}

fn is_secondary(turn: &Turn<'_>, alert: &Alert) -> bool {
    let catalogue = &turn.settings().catalogue;
    alert.xid.and_then(|code| catalogue.0.get(&code)).is_some_and(|row| row.is_secondary)
}

fn is_near(one: Timestamp, other: Timestamp) -> bool {
    one.since(other).max(other.since(one)) <= BURST
}

/// Links codes that call for nothing themselves and came in the same burst as the remediation.
fn attach(turn: &mut Turn<'_>, wants: &Wants, live: RemediationId, opened_at: Timestamp) {
    for identity in &wants.attached {
        let opened = turn.memory().alerts().get(identity).map(|alert| alert.opened_at);
        if opened.is_some_and(|at| is_near(at, opened_at)) {
            remediation::link(turn, live, *identity);
        }
    }
}

/// The heaviest want, with its mode moved up to one that the cluster's driver can do; ties go to the first rule id.
fn heaviest(turn: &Turn<'_>, instance: &Instance, wants: &[Want]) -> Option<Want> {
    let modes = &turn.settings().clusters.get(&instance.cluster_id)?.modes;
    let mut best: Option<Want> = None;
    for want in wants {
        let Some(mode) = guard::fitting(want.mode, modes) else { continue };
        let is_better = best
            .as_ref()
            .is_none_or(|best| mode.is_heavier_than(best.mode) || (mode == best.mode && want.rule < best.rule));
        if is_better {
            // A rule approves what it names, or less: what was moved up is for a person (I8).
            let is_auto = want.is_auto && mode == want.mode;
            best = Some(Want { mode, is_auto, ..want.clone() });
        }
    }
    best
}

fn opening(instance: &Instance, wants: &[Want], heaviest: &Want, turn: &Turn<'_>) -> Opening {
    let alert = turn.memory().alerts().get(&heaviest.alert);
    let what = alert.map_or("alert", |alert| if alert.name().is_empty() { "alert" } else { alert.name() });
    let code = alert.and_then(|alert| alert.xid).map_or_else(String::new, |code| format!(" (xid {code})"));
    // The strictest of all that want something counts.
    let auto_resolve = wants.iter().map(|want| want.auto_resolve).max().unwrap_or(AutoResolve::Alert);
    Opening {
        mode: heaviest.mode,
        rule: heaviest.rule.clone(),
        is_auto: heaviest.is_auto,
        auto_resolve,
        alert: heaviest.alert,
        reason: format!("{what}{code} on {}", instance.name),
    }
}

fn release(turn: &mut Turn<'_>, id: &InstanceId) {
    if turn.memory().held().contains_key(id) {
        turn.record(Change::HeldGone(id.clone()));
    }
}

/// Writes down what waits, unless that is what is written already.
fn hold_back(turn: &mut Turn<'_>, held: Held) {
    let before = turn.memory().held().get(&held.instance_id);
    let same =
        before.is_some_and(|before| (&before.rule, before.mode, &before.why) == (&held.rule, held.mode, &held.why));
    let since = before.filter(|_| same).map_or(held.since, |before| before.since);
    if same && before.is_some_and(|before| before.until == held.until) {
        return;
    }
    if !same {
        turn.decide(&held.rule, Decided::Held);
    }
    turn.record(Change::Held(Box::new(Held { since, ..held })));
}
