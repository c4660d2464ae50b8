//! Active checks: what one probe found out about one instance.
//!
//! Only FAIL is evidence of sickness and only PASS is evidence of health; the three other verdicts say something about the
//! prober or about the circumstances, and neither open nor clear anything (DESIGN §4.2, SAFETY I20 and I21).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CheckId, FindingName, InstanceId, Timestamp};

/// The built-in source of alerts that are findings of checks; no configured source may have its name.
pub const SOURCE: &str = "checks";

/// What a check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Connects to a port.
    Tcp,
    /// Asks for a page.
    Http,
    /// Sends echo requests.
    Icmp,
    /// Asks a name server.
    Dns,
    /// Runs a program of the operator's.
    Command,
    /// Scrapes the node's dcgm-exporter.
    DcgmExporter,
    /// Reads this machine's GPUs through NVML.
    Nvml,
}

impl CheckKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Tcp, Self::Http, Self::Icmp, Self::Dns, Self::Command, Self::DcgmExporter, Self::Nvml];

    /// The name of its table in the configuration, and the value of the label `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Icmp => "icmp",
            Self::Dns => "dns",
            Self::Command => "command",
            Self::DcgmExporter => "dcgm_exporter",
            Self::Nvml => "nvml",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything that was looked at is well.
    Pass,
    /// Something is wrong with the node.
    Fail,
    /// The answer allows no conclusion.
    Inconclusive,
    /// The prober itself failed.
    Error,
    /// It did not run, for a reason.
    Skipped,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Inconclusive, Self::Error, Self::Skipped];

    /// The name on every wire: `PASS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Error => "ERROR",
            Self::Skipped => "SKIPPED",
        }
    }

    /// The value of the label `verdict` in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the name that [`Verdict::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One thing that is wrong, as a FAIL names it. Two findings with the same name, device and XID are the same finding,
/// whatever their details say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Its class, the value of the label `finding`: `refused`, `timeout`, `xid`, `double_bit_ecc`.
    pub name: FindingName,
    /// Which part of the node, such as a GPU's UUID; empty where it is the node as a whole.
    pub device: Box<str>,
    /// NVIDIA's code, where the finding is one.
    pub xid: Option<u32>,
    /// What the driver asks for, where it says so: NVML's recovery action (FAULTS §1).
    pub recovery_action: Option<u32>,
    /// It stays as it is until the machine is repaired, even where the fault is gone: DCGM's gauge of the last XID. One that was
    /// there before a repair says nothing after it.
    pub is_sticky: bool,
    /// What was seen, in words, at most [`Finding::DETAIL`] bytes.
    pub detail: Box<str>,
}

impl Finding {
    /// How long a detail may be, in bytes.
    pub const DETAIL: usize = 512;
    /// How many findings of one run count.
    pub const KEPT: usize = 32;

    /// A finding about the node as a whole. `name` is a constant of the probe.
    ///
    /// # Panics
    /// Where `name` is no name: use it with constants.
    pub fn new(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name: FindingName::parse(name).expect("the names of findings are constants"),
            device: Box::default(),
            xid: None,
            recovery_action: None,
            is_sticky: false,
            detail: cut(detail.into(), Self::DETAIL).into(),
        }
    }

    /// The same of one part of the node.
    pub fn on(self, device: &str) -> Self {
        Self { device: device.into(), ..self }
    }

    /// Whether both are the same finding.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.device, self.xid) == (&other.name, &other.device, other.xid)
    }
}

/// Text of the outside, cut at a character so that it has at most `bytes` bytes.
pub fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut at = bytes.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push('…');
    }
    text
}

/// A finite number. Rows are compared, so there is no NaN among them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(f64);

impl Quantity {
    /// Nothing for what is not finite.
    pub fn new(value: f64) -> Option<Self> {
        // -0.0 and 0.0 are equal and must look equal.
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Quantity {}

/// One number that a probe measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// What, with its unit: `connect_seconds`, `temperature_celsius`.
    pub name: Box<str>,
    /// Of which part of the node; empty where it is the node as a whole.
    pub device: Box<str>,
    /// How much.
    pub value: Quantity,
}

impl Measurement {
    /// How many measurements of one run are kept.
    pub const KEPT: usize = 128;

    /// A measurement of the node as a whole; nothing for what is not finite.
    pub fn new(name: &str, value: f64) -> Option<Self> {
        Some(Self { name: name.into(), device: Box::default(), value: Quantity::new(value)? })
    }
}

/// What one execution of a probe came to: the part of a run that the probe itself knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How it ended.
    pub verdict: Verdict,
    /// What is wrong; not empty exactly where the verdict is FAIL.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// What a person should read, at most [`Observation::EVIDENCE`] bytes: what was asked and what came back.
    pub evidence: String,
    /// Which parts of the node were seen alive, such as the UUIDs of GPUs with current samples. A finding about a part that is
    /// not among them is not cleared by a PASS. A program of the site names none: it speaks for all parts.
    pub devices: Vec<Box<str>>,
}

impl Observation {
    /// How long evidence may be, in bytes.
    pub const EVIDENCE: usize = 2048;

    /// All is well.
    pub fn pass(evidence: impl Into<String>) -> Self {
        Self::of(Verdict::Pass, evidence)
    }

    /// This is wrong.
    pub fn fail(findings: Vec<Finding>, evidence: impl Into<String>) -> Self {
        Self { findings, ..Self::of(Verdict::Fail, evidence) }
    }

    /// No conclusion.
    pub fn inconclusive(why: impl Into<String>) -> Self {
        Self::of(Verdict::Inconclusive, why)
    }

    /// The prober failed.
    pub fn error(why: impl Into<String>) -> Self {
        Self::of(Verdict::Error, why)
    }

    /// It did not run.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::of(Verdict::Skipped, why)
    }

    /// The same with one more measurement, where it is finite.
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.measurements.extend(Measurement::new(name, value));
        self
    }

    fn of(verdict: Verdict, evidence: impl Into<String>) -> Self {
        let evidence = cut(evidence.into(), Self::EVIDENCE);
        Self { verdict, findings: Vec::new(), measurements: Vec::new(), evidence, devices: Vec::new() }
    }
}

/// One execution of a check on one instance, as the prober reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Which check.
    pub check: CheckId,
    /// On which instance.
    pub instance_id: InstanceId,
    /// The instance's generation when it began: what was probed then is no evidence about another machine.
    pub generation: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it came to.
    pub observation: Observation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("äää".into(), 6), "äää");
        assert_eq!(cut("ääää".into(), 7), "ää…");
        assert_eq!(cut("ääää".into(), 6), "ä…");
    }

    #[test]
    fn there_is_one_zero_and_no_nan() {
        assert_eq!(Quantity::new(-0.0), Quantity::new(0.0));
        assert_eq!(Quantity::new(f64::NAN), None);
    }

    #[test]
    fn a_finding_is_the_same_whatever_its_detail_says() {
        let one = Finding::new("timeout", "no answer within 3s").on("eth0");
        assert!(one.is_same(&Finding::new("timeout", "no answer within 5s").on("eth0")));
        assert!(!one.is_same(&Finding::new("timeout", "no answer within 3s")));
    }
}
