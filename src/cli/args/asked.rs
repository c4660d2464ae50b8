//! Words that several verbs take.

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::domain::{self, State, Verdict};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Repairs, from proposal to proof.
    #[value(alias = "remediation")]
    Remediations,
    /// What sources say, by episode.
    #[value(alias = "alert")]
    Alerts,
    /// The inventory.
    #[value(alias = "instance")]
    Instances,
    /// Nodes that nothing may touch.
    #[value(alias = "hold")]
    Holds,
    /// Alerts that could not be read.
    #[value(alias = "dead-letter")]
    DeadLetters,
    /// Kill switches that are on.
    #[value(alias = "pause")]
    Pauses,
    /// Runs of active checks, as far as they are kept.
    #[value(alias = "run")]
    Runs,
    /// What is believed of instances because of active checks.
    #[value(alias = "condition")]
    Conditions,
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// The rows as the API gives them.
    Json,
    /// One `kind/id` a line, for scripts.
    Name,
}

/// A repair, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub domain::Mode);

impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Mode; 5] = [
            Mode(domain::Mode::RebootVm),
            Mode(domain::Mode::VmOnly),
            Mode(domain::Mode::HostAware),
            Mode(domain::Mode::HostPowerCycle),
            Mode(domain::Mode::EvictWithoutReplacement),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

/// For what to wait after a word was taken.
#[derive(Clone, Debug, Default, Args)]
pub struct Wait {
    /// Wait until it has ended (TERMINAL), or was in this state: RUNNING, SUCCEEDED, FAILED, …
    #[arg(long, value_name = "STATE", num_args = 0..=1, require_equals = true, default_missing_value = TERMINAL, value_parser = until)]
    pub wait: Option<Until>,
    /// How long to wait; then exit 8.
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = crate::config::duration::parse, requires = "wait")]
    pub timeout: std::time::Duration,
}

const TERMINAL: &str = "TERMINAL";

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end, whichever.
    Terminal,
    /// This state.
    State(State),
}

fn until(text: &str) -> Result<Until, String> {
    if text == TERMINAL {
        return Ok(Until::Terminal);
    }
    let known = || State::ALL.map(State::as_str).join(", ");
    State::parse(text).map(Until::State).ok_or_else(|| format!("it is {TERMINAL} or one of {}", known()))
}

/// A verdict, in capitals or not.
pub(super) fn verdict(text: &str) -> Result<Verdict, String> {
    let known = || Verdict::ALL.map(Verdict::as_str).join(", ");
    Verdict::parse(&text.to_ascii_uppercase()).ok_or_else(|| format!("it is one of {}", known()))
}
