//! The probe `nvml`: this machine's GPUs, as NVIDIA's library sees them.
//!
//! NVML blocks on a GPU that is lost, so it is asked in a process of its own ([`child`]), which is killed at the deadline.
//! The check is about one instance: the one that this machine is. It skips all others.

pub mod child;

use std::path::Path;
use std::time::Duration;

use super::Target;
use super::command::HUNG;
use super::gpu::{Reading, judge};
use super::links::{Before, Memory};
use super::program::{self, Ending, Program, Remains};
use crate::config::checks::Nvml;
use crate::domain::check::cut;
use crate::domain::{CheckKind, Finding, Observation};
use child::{Answer, NoAnswer};

/// The daemon itself, even where its file was replaced by an upgrade.
const MYSELF: &str = "/proc/self/exe";
/// What this machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// One run.
pub(super) async fn run(spec: &Nvml, target: &Target, memory: &Memory, timeout: Duration) -> Observation {
    if let Some(why) = elsewhere(spec, target) {
        return Observation::skipped(why);
    }
    match look(Path::new(MYSELF), &[child::VERB.to_owned()], timeout).await {
        Ok(answer) => observe(answer, spec, |reading| memory.exchange(target, CheckKind::Nvml, reading)),
        Err(observation) => observation,
    }
}

/// Why this machine's GPUs say nothing about the target.
fn elsewhere(spec: &Nvml, target: &Target) -> Option<String> {
    if let Some(instance) = &spec.instance {
        let why = format!("this machine is {instance}, and an nvml check sees only the GPUs of the machine it runs on");
        return (*instance != target.instance_id).then_some(why);
    }
    let hostname = std::fs::read_to_string(HOSTNAME).unwrap_or_default();
    let hostname = hostname.trim();
    let is_named = |name: &str| {
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        // One of the two may be a full name.
        name.eq_ignore_ascii_case(hostname)
            || (name.contains('.') != hostname.contains('.') && short(name) == short(hostname))
    };
    let why = format!(
        "this machine is `{hostname}` and not {}: an nvml check sees only the GPUs of the machine it runs on (`instance` \
         says which one that is)",
        target.name
    );
    (hostname.is_empty() || !is_named(&target.name)).then_some(why)
}

/// What NVML says, or what its silence means.
async fn look(program: &Path, arguments: &[String], timeout: Duration) -> Result<Answer, Observation> {
    let program = Program { path: program, arguments, variable: ("REMEDYD_CHECK", "nvml"), input: b"" };
    match program::run(program, timeout).await {
        Ok(remains) => heard(&remains, timeout),
        Err(error) => Err(Observation::error(format!("the process that asks NVML cannot be started: {error}"))),
    }
}

fn heard(remains: &Remains, timeout: Duration) -> Result<Answer, Observation> {
    let trouble = |what: String| {
        let words = String::from_utf8_lossy(&remains.stderr).trim().escape_debug().to_string();
        Observation::error(format!("the process that asks NVML {what}: {}", cut(words, 512)))
    };
    match remains.ending {
        Ending::Deadline => {
            let what = format!("NVML did not answer within {timeout:?}");
            Err(Observation::fail(vec![Finding::new(HUNG, what.as_str())], what))
        }
        Ending::Flood => Err(trouble("says too much".to_owned())),
        Ending::Signal(signal) => Err(trouble(format!("ended by signal {signal}"))),
        Ending::Exit(0) => serde_json::from_slice(&remains.stdout)
            .map_err(|error| trouble(format!("says what cannot be read, {error}"))),
        Ending::Exit(code) => Err(trouble(format!("ended with exit status {code}"))),
    }
}

/// What NVML's answer comes to; `before` is asked for the reading before it.
pub fn observe(answer: Answer, spec: &Nvml, before: impl FnOnce(&Reading) -> Option<Before>) -> Observation {
    match answer {
        Answer::Gpus { driver, gpus } => {
            let reading = Reading { counted: u32::try_from(gpus.len()).ok(), gpus };
            let mut observation = judge(&reading, &spec.limits, before(&reading).as_ref());
            observation.evidence = cut(format!("driver {driver}: {}", observation.evidence), Observation::EVIDENCE);
            observation
        }
        Answer::None(NoAnswer::NoLibrary(why)) => {
            Observation::skipped(format!("there is no NVML on this machine: {why}"))
        }
        Answer::None(NoAnswer::Local(why)) => Observation::error(format!("NVML cannot be asked: {why}")),
        Answer::None(NoAnswer::Unknown(why)) => Observation::inconclusive(format!("NVML says: {why}")),
    }
}

#[cfg(test)]
mod tests;
