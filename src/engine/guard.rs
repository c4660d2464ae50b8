//! Whether it may: what keeps a proposal from opening and an approved repair from starting.
//!
//! A guard answers with its reason and, where it knows it, the time at which the answer may change. It stops only opening
//! and starting: resolving, cancelling, rejecting and recording always go on.

use std::collections::BTreeSet;

use super::memory::Memory;
use super::settings::{Limits, Policy};
use super::{execution, pauses};
use crate::domain::{ClusterId, HeldWhy, Instance, Mode, Remediation, State, Timestamp};

/// The lightest mode that is at least as heavy as `wanted` and that a driver can do.
///
/// A power cycle is never reached this way: only a person, or the ladder, chooses it (DESIGN §4.3).
pub fn fitting(wanted: Mode, modes: &BTreeSet<Mode>) -> Option<Mode> {
    [Mode::RebootVm, Mode::VmOnly, Mode::HostAware]
        .into_iter()
        .filter(|mode| modes.contains(mode))
        .find(|mode| *mode == wanted || mode.is_heavier_than(wanted))
}

/// May a proposal open on this instance? `evidence` is the start of the youngest cause.
pub fn may_open(
    memory: &Memory,
    policy: &Policy,
    instance: &Instance,
    mode: Mode,
    evidence: Timestamp,
    now: Timestamp,
) -> Result<(), (HeldWhy, Option<Timestamp>)> {
    if !instance.auto_remediation_enabled {
        return Err((HeldWhy::OptedOut, None));
    }
    if pauses::on(memory, &instance.cluster_id).is_some() {
        return Err((HeldWhy::Paused, None));
    }
    if let Some(hold) = memory.hold_on(&instance.id) {
        return Err((HeldWhy::Hold(hold.id), Some(hold.expires_at)));
    }
    if let Some(live) = memory.live_on_host(&instance.host_id).next() {
        return Err((HeldWhy::HostBusy(live.remediation.id), None));
    }
    let repairs = memory.node(&instance.id).map_or(&[][..], |node| node.repairs.as_slice());
    if let Some(last) = repairs.first() {
        let settled_at = last.ended_at.plus(policy.settle);
        if evidence <= last.ended_at && now < settled_at {
            return Err((HeldWhy::Settle, Some(settled_at)));
        }
    }
    // Each repair has a cooldown of its own: a light one by hand does not end that of the heavy one before it.
    let cools_until = repairs
        .iter()
        .filter(|repair| starts_cooldown(repair.state) && !mode.is_heavier_than(repair.mode))
        .map(|repair| repair.ended_at.plus(policy.cooldown))
        .max();
    if let Some(until) = cools_until.filter(|until| now < *until) {
        return Err((HeldWhy::Cooldown, Some(until)));
    }
    Ok(())
}

const fn starts_cooldown(state: State) -> bool {
    match state {
        State::Succeeded | State::Failed | State::Cancelled => true,
        State::AutoResolved
        | State::PendingApproval
        | State::Pending
        | State::Quarantining
        | State::Quarantined
        | State::Running => false,
    }
}

/// May an approved repair start now? `Err` says in words what it waits for.
pub fn may_start(memory: &Memory, limits: &Limits, remediation: &Remediation) -> Result<(), String> {
    execution::may_act(memory)?;
    pauses::may_begin(memory, remediation.cluster_id())?;
    if let Some(hold) = memory.hold_on(remediation.instance_id()) {
        return Err(format!("the node is held until {}: {}", hold.expires_at, hold.reason));
    }
    let busy = memory
        .live_on_host(&remediation.target.host_id)
        .find(|live| live.remediation.id != remediation.id && live.remediation.state.is_in_flight());
    if let Some(live) = busy {
        // What another cluster does on a shared host is not this one's to know.
        let is_ours = live.remediation.cluster_id() == remediation.cluster_id();
        let who =
            if is_ours { format!("remediation {}", live.remediation.id) } else { "another remediation".to_owned() };
        return Err(format!("{who} is in flight on host {}", remediation.target.host_id));
    }
    has_place(memory, limits, remediation.cluster_id())
}

/// Is a place in flight free in this cluster? `Err` says in words that none is.
pub fn has_place(memory: &Memory, limits: &Limits, cluster: &ClusterId) -> Result<(), String> {
    let (taken, cap) = (memory.places_taken(cluster), in_flight_cap(memory, limits, cluster));
    if taken < cap { Ok(()) } else { Err(format!("{taken} of {cap} are in flight in cluster {cluster}")) }
}

/// min(absolute, max(1, ⌊percent of the cluster's instances⌋)); none where the cluster has no instances (I15).
pub fn in_flight_cap(memory: &Memory, limits: &Limits, cluster: &ClusterId) -> usize {
    let eligible = memory.instances_in(cluster);
    if eligible == 0 {
        return 0;
    }
    let share = (eligible * limits.in_flight_percent as usize / 100).max(1);
    share.min(limits.in_flight as usize)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::change::Change;
    use super::super::testing::{at, instance, memory, node};
    use super::*;

    #[test]
    fn a_mode_that_drivers_lack_is_skipped_upwards_but_never_to_a_power_cycle() {
        let all: BTreeSet<Mode> = Mode::ALL.into();
        let some: BTreeSet<Mode> = [Mode::HostAware, Mode::HostPowerCycle].into();
        for (wanted, modes, expected) in [
            (Mode::RebootVm, &all, Some(Mode::RebootVm)),
            (Mode::RebootVm, &some, Some(Mode::HostAware)),
            (Mode::HostAware, &some, Some(Mode::HostAware)),
            (Mode::VmOnly, &[Mode::RebootVm, Mode::HostPowerCycle].into(), None),
            (Mode::HostPowerCycle, &all, None),
        ] {
            assert_eq!(fitting(wanted, modes), expected, "{wanted} {modes:?}");
        }
    }

    #[test]
    fn cooldown_follows_what_ended_and_is_pierced_by_a_heavier_mode_only() {
        let policy = Policy::default();
        let host = instance("i-7", "train-a", "gpu-node-7", &[]);
        let answer = |state, mode, now| {
            let mut memory = memory(std::slice::from_ref(&host));
            memory.apply(&Change::NodeMemory(Box::new(node("i-7", state, Mode::VmOnly, at(100)))));
            may_open(&memory, &policy, &host, mode, at(101), at(now)).map_err(|(why, _)| why)
        };
        for state in [State::Succeeded, State::Failed, State::Cancelled] {
            assert_eq!(answer(state, Mode::VmOnly, 200), Err(HeldWhy::Cooldown), "{state:?}");
            assert_eq!(answer(state, Mode::RebootVm, 100 + 1799), Err(HeldWhy::Cooldown));
            assert_eq!(answer(state, Mode::HostAware, 200), Ok(()));
            assert_eq!(answer(state, Mode::VmOnly, 100 + 1800), Ok(()));
        }
        assert_eq!(answer(State::AutoResolved, Mode::VmOnly, 200), Ok(()));
    }

    #[test]
    fn a_lighter_repair_does_not_end_the_cooldown_of_the_heavier_one_before_it() {
        let host = instance("i-7", "train-a", "gpu-node-7", &[]);
        let mut memory = memory(std::slice::from_ref(&host));
        let mut rows = node("i-7", State::Succeeded, Mode::RebootVm, at(200));
        rows.repairs.extend(node("i-7", State::Cancelled, Mode::HostAware, at(100)).repairs);
        memory.apply(&Change::NodeMemory(Box::new(rows)));
        let answer = |now| may_open(&memory, &Policy::default(), &host, Mode::VmOnly, at(201), at(now));
        assert_eq!(answer(300), Err((HeldWhy::Cooldown, Some(at(100 + 1800)))));
        assert_eq!(answer(100 + 1800), Ok(()));
    }

    #[test]
    fn evidence_from_before_the_repair_has_to_outlast_settle() {
        let policy = Policy { cooldown: Duration::ZERO, ..Policy::default() };
        let host = instance("i-7", "train-a", "gpu-node-7", &[]);
        let mut memory = memory(std::slice::from_ref(&host));
        memory.apply(&Change::NodeMemory(Box::new(node("i-7", State::Succeeded, Mode::VmOnly, at(100)))));
        let answer = |evidence, now| may_open(&memory, &policy, &host, Mode::VmOnly, at(evidence), at(now));
        assert_eq!(answer(100, 699), Err((HeldWhy::Settle, Some(at(700)))));
        assert_eq!(answer(100, 700), Ok(()));
        assert_eq!(answer(101, 102), Ok(()));
    }

    #[test]
    fn the_cap_is_the_smaller_one_and_never_less_than_one_node() {
        let cap = |nodes: usize, in_flight, in_flight_percent| {
            let hosts: Vec<Instance> =
                (0..nodes).map(|n| instance(&format!("i-{n}"), "train-a", &format!("n{n}"), &[])).collect();
            let limits = Limits { in_flight, in_flight_percent };
            in_flight_cap(&memory(&hosts), &limits, &ClusterId::parse("train-a").unwrap())
        };
        assert_eq!(cap(0, 3, 5), 0);
        assert_eq!(cap(1, 3, 5), 1);
        assert_eq!(cap(40, 3, 5), 2);
        assert_eq!(cap(400, 3, 5), 3);
    }
}
