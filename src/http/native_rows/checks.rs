//! Active checks as our own API shows them: single runs, and what is believed because of them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{self, CheckId, ClusterId, InstanceId, RunId};
use crate::http::Shown;
use crate::http::openapi::words;

/// One execution of a check on one instance.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Run<'a> {
    #[schema(value_type = words::Id)]
    id: RunId,
    #[schema(value_type = String)]
    check: &'a CheckId,
    #[schema(value_type = words::CheckKind)]
    kind: &'static str,
    #[schema(value_type = String)]
    cluster_id: &'a ClusterId,
    #[schema(value_type = String)]
    instance_id: &'a InstanceId,
    /// The instance's generation when it began.
    generation: &'a str,
    started_at: Shown,
    ended_at: Shown,
    #[schema(value_type = words::Verdict)]
    verdict: &'static str,
    /// What is wrong; empty unless the verdict is FAIL.
    findings: Vec<Finding<'a>>,
    measurements: Vec<Measurement<'a>>,
    /// What was asked and what came back, for a person.
    evidence: &'a str,
    /// Why it is kept.
    #[schema(value_type = words::RunWhy)]
    why: &'static str,
    /// Why it counts for less than its verdict says; null where it counts in full.
    #[schema(required = true)]
    set_aside: Option<&'a str>,
}

impl<'a> Run<'a> {
    pub(in crate::http) fn new(row: &'a domain::Run) -> Self {
        Self {
            id: row.id,
            check: &row.check,
            kind: row.kind.as_str(),
            cluster_id: &row.cluster_id,
            instance_id: &row.instance_id,
            generation: &row.generation,
            started_at: Shown(row.started_at),
            ended_at: Shown(row.ended_at),
            verdict: row.verdict.as_str(),
            findings: row.findings.iter().map(Finding::new).collect(),
            measurements: row.measurements.iter().map(Measurement::new).collect(),
            evidence: &row.evidence,
            why: row.why.as_str(),
            set_aside: row.set_aside.as_deref(),
        }
    }
}

/// The runs that somebody asked for.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Probed<'a> {
    runs: Vec<Run<'a>>,
}

impl<'a> Probed<'a> {
    pub(in crate::http) fn new(runs: &'a [domain::Run]) -> Self {
        Self { runs: runs.iter().map(Run::new).collect() }
    }
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
struct Finding<'a> {
    /// Its class: `refused`, `timeout`, `xid`, `double_bit_ecc`.
    name: &'a str,
    /// Which part of the node, such as a GPU's UUID; empty where it is the node as a whole.
    device: &'a str,
    /// NVIDIA's code, where it is one.
    #[schema(required = true)]
    xid: Option<u32>,
    /// NVML's recovery action, where the driver asks for one.
    #[schema(required = true)]
    recovery_action: Option<u32>,
    /// It stays as it is until the machine is repaired, even where the fault is gone.
    is_sticky: bool,
    /// What was seen, in words.
    detail: &'a str,
}

impl<'a> Finding<'a> {
    fn new(row: &'a domain::Finding) -> Self {
        Self {
            name: row.name.as_str(),
            device: &row.device,
            xid: row.xid,
            recovery_action: row.recovery_action,
            is_sticky: row.is_sticky,
            detail: &row.detail,
        }
    }
}

/// One number that a run measured.
#[derive(Serialize, ToSchema)]
struct Measurement<'a> {
    /// What, with its unit: `connect_seconds`, `temperature_celsius`.
    name: &'a str,
    /// Of which part of the node; empty where it is the node as a whole.
    device: &'a str,
    value: f64,
}

impl<'a> Measurement<'a> {
    fn new(row: &'a domain::Measurement) -> Self {
        Self { name: &row.name, device: &row.device, value: row.value.get() }
    }
}

/// What is believed about an instance because of one check.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Condition<'a> {
    #[schema(value_type = String)]
    check: &'a CheckId,
    #[schema(value_type = words::CheckKind)]
    kind: &'static str,
    #[schema(value_type = String)]
    instance_id: &'a InstanceId,
    #[schema(value_type = String)]
    cluster_id: &'a ClusterId,
    /// The instance's generation: about another machine nothing is believed.
    generation: &'a str,
    #[schema(value_type = words::Belief)]
    belief: &'static str,
    /// Since when that is believed.
    since: Shown,
    /// The verdict of the last run that differed from the one before.
    #[schema(value_type = words::Verdict)]
    verdict: &'static str,
    /// When that run ended.
    verdict_at: Shown,
    /// The last run that is kept; null where all of them passed.
    #[schema(required = true, value_type = Option<words::Id>)]
    run_id: Option<RunId>,
    /// What was found and is not cleared, believed or not.
    standing: Vec<Standing<'a>>,
    /// Sticky findings from before a repair: while they stand as they are they say nothing.
    spent: Vec<Finding<'a>>,
}

impl<'a> Condition<'a> {
    pub(in crate::http) fn new(row: &'a domain::Condition) -> Self {
        Self {
            check: &row.check,
            kind: row.kind.as_str(),
            instance_id: &row.instance_id,
            cluster_id: &row.cluster_id,
            generation: &row.generation,
            belief: row.belief.as_str(),
            since: Shown(row.since),
            verdict: row.verdict.as_str(),
            verdict_at: Shown(row.verdict_at),
            run_id: row.run_id,
            standing: row.standing.iter().map(Standing::new).collect(),
            spent: row.spent.iter().map(Finding::new).collect(),
        }
    }
}

/// A finding that is not cleared, as it was seen first.
#[derive(Serialize, ToSchema)]
struct Standing<'a> {
    #[serde(flatten)]
    finding: Finding<'a>,
    #[schema(value_type = words::Trust)]
    trust: &'static str,
    /// Whether it is an alert that may open a remediation.
    is_believed: bool,
    /// When the first run ended that found it.
    since: Shown,
}

impl<'a> Standing<'a> {
    fn new(row: &'a domain::Standing) -> Self {
        Self {
            finding: Finding::new(&row.finding),
            trust: row.trust.as_str(),
            is_believed: row.trust == domain::Trust::Believed,
            since: Shown(row.since),
        }
    }
}
