//! Rows for tests, one of each kind, told apart by a number.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::alert::Joined;
use crate::domain::*;
use crate::engine::{Change, Effect, EffectKind, Look, LookPurpose};

/// A number below `below` from a source that is the same every time.
pub fn dice(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % below
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub fn cluster_id(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

pub fn instance_id(n: u32) -> InstanceId {
    InstanceId::parse(&format!("i-{n}")).unwrap()
}

pub fn remediation_id(n: u32) -> RemediationId {
    RemediationId::new(Uuid::from_u128(u128::from(n)))
}

pub fn cluster() -> Cluster {
    Cluster { id: cluster_id("train-a"), name: "Training A".to_owned() }
}

pub fn instance(n: u32) -> Instance {
    Instance {
        id: instance_id(n),
        name: format!("node-{n}"),
        cluster_id: cluster_id("train-a"),
        host_id: HostId::parse(&format!("h-{n}")).unwrap(),
        addresses: vec!["10.0.0.1".to_owned()],
        provider_id: "vm-1".to_owned(),
        pool: "b200".to_owned(),
        generation: "g1".to_owned(),
        domains: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        auto_remediation_enabled: true,
    }
}

/// An episode of the identity number `n`, joined to instance `n`, heard of at second `n`.
pub fn alert(n: u32, episode: u32) -> Alert {
    let source = SourceId::parse("main").unwrap();
    let labels = Labels::from_pairs([("alertname".to_owned(), "GpuXid".to_owned()), ("n".to_owned(), n.to_string())]);
    let identity = Identity::of(&source, &labels);
    Alert {
        id: AlertId::of(identity, episode),
        identity,
        episode,
        source,
        fingerprint: "00ff".to_owned(),
        labels,
        annotations: Labels::from_pairs([("summary", "a \"quoted\" ümlaut")]),
        truncated: false,
        state: AlertState::Firing,
        muted: false,
        severity: Severity::Critical,
        xid: Some(79),
        joined: Ok(Joined { cluster_id: cluster_id("train-a"), instance_id: instance_id(n) }),
        started_at: at(i64::from(n)),
        newest_start: at(i64::from(n)),
        resolved_at: None,
        previous_end: None,
        opened_at: at(i64::from(n)),
        cleared_at: None,
        last_seen_at: at(i64::from(n)),
        remediation_id: Some(remediation_id(n)),
        run_id: None,
    }
}

/// A proposal for instance `n`, created at second `n`.
pub fn remediation(n: u32) -> Remediation {
    Remediation {
        id: remediation_id(n),
        target: Target {
            cluster_id: cluster_id("train-a"),
            instance_id: instance_id(n),
            instance_name: format!("node-{n}"),
            host_id: HostId::parse(&format!("h-{n}")).unwrap(),
            provider_id: String::new(),
            generation: "g1".to_owned(),
        },
        mode: Mode::HostAware,
        trigger: Trigger::Automated,
        state: State::PendingApproval,
        version: 1,
        reason: "XID 79".to_owned(),
        requested_by: "remedyd".to_owned(),
        created_at: at(i64::from(n)),
        updated_at: at(i64::from(n)),
        review: None,
        started_at: None,
        ended_at: None,
        failure: None,
        note: None,
        rule: Some(RuleId::parse("gpu").unwrap()),
        auto_resolve: AutoResolve::Alert,
        opened_by: Some(alert(n, 1).id),
        opened_by_run: None,
        alias: None,
        links_omitted: 0,
        raised_at: None,
        clear_since: None,
        validating_since: None,
        validated_at: None,
        attempt: None,
        awaits: None,
        waits_for: None,
        next_try: None,
        due: Some(Due { at: at(9_999), why: DueWhy::Expire }),
    }
}

pub fn link(n: u32, place: u32) -> Link {
    let alert = alert(n, 1);
    Link {
        remediation_id: remediation_id(n),
        n: place,
        identity: alert.identity,
        alert_id: alert.id,
        source: alert.source,
        alert_name: "GpuXid".to_owned(),
        severity: Severity::Critical,
        annotations: alert.annotations,
        annotation: Annotation { title: "XID 79".to_owned(), ..Annotation::default() },
        started_at: at(1),
        resolved_at: None,
        cleared_at: None,
        refires: 0,
    }
}

pub fn transition(n: u32, version: u64) -> Transition {
    Transition {
        remediation_id: remediation_id(n),
        version,
        at: at(1),
        from: None,
        to: State::PendingApproval,
        mode: Mode::HostAware,
        principal: "remedyd".to_owned(),
        verb: "create".into(),
        reason: "XID 79".to_owned(),
    }
}

pub fn alias(n: u32, name: &str) -> Alias {
    Alias { cluster_id: cluster_id("train-a"), alias: name.to_owned(), remediation_id: remediation_id(n) }
}

pub fn hold(n: u32) -> Hold {
    Hold {
        id: HoldId::new(Uuid::from_u128(u128::from(n))),
        cluster_id: cluster_id("train-a"),
        instance_id: instance_id(n),
        reason: "maintenance".to_owned(),
        created_by: "ann".to_owned(),
        created_at: at(i64::from(n)),
        expires_at: at(9_999),
        ended: None,
    }
}

pub fn held(n: u32) -> Held {
    Held {
        cluster_id: cluster_id("train-a"),
        instance_id: instance_id(n),
        rule: RuleId::parse("gpu").unwrap(),
        mode: Some(Mode::RebootVm),
        why: HeldWhy::HostBusy(remediation_id(7)),
        since: at(1),
        until: None,
    }
}

pub fn node_memory(n: u32) -> NodeMemory {
    let repair = Repair {
        remediation_id: remediation_id(n),
        host_id: HostId::parse("h-1").unwrap(),
        mode: Mode::VmOnly,
        state: State::Succeeded,
        acted: true,
        ended_at: at(5),
    };
    NodeMemory { instance_id: instance_id(n), repairs: vec![repair] }
}

pub fn effect(n: u32) -> Effect {
    Effect {
        id: EffectId::new(Uuid::from_u128(u128::from(n))),
        created_at: at(1),
        kind: EffectKind::Look(Look {
            remediation_id: remediation_id(n),
            purpose: LookPurpose::Verify,
            wanted: BTreeMap::from([(SourceId::parse("main").unwrap(), vec![alert(n, 1).identity])]),
            checks: None,
        }),
    }
}

pub fn check_id(n: u32) -> CheckId {
    CheckId::parse(&format!("check-{n}")).unwrap()
}

/// A run of check `n` on instance `n` that ended at second `n`.
pub fn run(n: u32) -> Run {
    Run {
        id: RunId::new(Uuid::from_u128(u128::from(n))),
        check: check_id(n),
        kind: CheckKind::DcgmExporter,
        cluster_id: cluster_id("train-a"),
        instance_id: instance_id(n),
        generation: "g1".to_owned(),
        started_at: at(i64::from(n) - 1),
        ended_at: at(i64::from(n)),
        verdict: Verdict::Fail,
        findings: vec![finding()],
        measurements: Measurement::new("scrape_seconds", 0.25).into_iter().collect(),
        evidence: "DCGM_FI_DEV_XID_ERRORS 79".to_owned(),
        why: RunWhy::Flipped,
        set_aside: None,
    }
}

fn finding() -> Finding {
    Finding { xid: Some(79), is_sticky: true, ..Finding::new("xid", "79").on("GPU-7") }
}

/// What check `n` makes us believe of instance `n`.
pub fn condition(n: u32) -> Condition {
    Condition {
        check: check_id(n),
        kind: CheckKind::DcgmExporter,
        instance_id: instance_id(n),
        cluster_id: cluster_id("train-a"),
        generation: "g1".to_owned(),
        belief: Belief::Failing,
        since: at(i64::from(n)),
        verdict: Verdict::Fail,
        verdict_at: at(i64::from(n)),
        run_id: Some(run(n).id),
        fails: Some(Streak { count: 3, since: at(1) }),
        standing: vec![Standing { finding: finding(), trust: Trust::Believed, seen: 3, missed: 0, since: at(1) }],
        spent: Vec::new(),
        ripe_at: None,
    }
}

pub fn dead_letter(n: u32) -> DeadLetter {
    let source = SourceId::parse("main").unwrap();
    let raw = format!("{{\"n\": {n}}}");
    let reason = "labels: missing".to_owned();
    DeadLetter { id: DeadLetterId::of(&source, &reason, &raw), source, reason, raw, received_at: at(i64::from(n)) }
}

/// One row of every kind, in the order in which memory can be folded.
pub fn every_row() -> Vec<Change> {
    vec![
        Change::Cluster(Box::new(cluster())),
        Change::Instance(Box::new(instance(1))),
        Change::NodeMemory(Box::new(node_memory(1))),
        Change::Hold(Box::new(hold(1))),
        Change::Remediation(Box::new(remediation(1))),
        Change::Link(Box::new(link(1, 0))),
        Change::Transition(Box::new(transition(1, 1))),
        Change::Alias(Box::new(alias(1, "mine/1"))),
        Change::Alert(Box::new(alert(1, 1))),
        Change::Held(Box::new(held(1))),
        Change::Execution(Box::new(execution())),
        Change::Horizon(Box::new(Horizon::Remediations { before: at(-9), moved_at: at(1) })),
        Change::Horizon(Box::new(Horizon::Alerts { before: at(-9), moved_at: at(1) })),
        Change::Horizon(Box::new(Horizon::Journal { from: 1 })),
        Change::Pause(Box::new(pause(None))),
        Change::Pause(Box::new(pause(Some("train-a")))),
        Change::Run(Box::new(run(1))),
        Change::Condition(Box::new(condition(1))),
        Change::Pending(Box::new(effect(1))),
        Change::DeadLetter(Box::new(dead_letter(1))),
    ]
}

pub fn execution() -> Execution {
    Execution {
        epoch: 2,
        disabled_because: Some("it was copied".to_owned()),
        changed_at: at(1),
        changed_by: "remedyd".to_owned(),
    }
}

pub fn pause(cluster: Option<&str>) -> Pause {
    Pause {
        cluster_id: cluster.map(cluster_id),
        reason: "power work in hall 2".to_owned(),
        paused_by: "ann".to_owned(),
        paused_at: at(1),
        resumed: None,
    }
}

/// Every kind of row that can be removed, with its removal.
pub fn removals() -> Vec<(Change, Change)> {
    vec![
        (Change::Cluster(Box::new(cluster())), Change::ClusterGone(cluster().id)),
        (Change::Instance(Box::new(instance(1))), Change::InstanceGone(instance_id(1))),
        (Change::Held(Box::new(held(1))), Change::HeldGone(instance_id(1))),
        (Change::Condition(Box::new(condition(1))), Change::ConditionGone(check_id(1), instance_id(1))),
        (Change::Pending(Box::new(effect(1))), Change::Settled(effect(1).id)),
    ]
}
