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
use super::program::{self, Ending, Program, Remains};
use crate::config::checks::Nvml;
use crate::domain::check::cut;
use crate::domain::{Finding, Observation};
use child::{Answer, NoAnswer};

/// The daemon itself, even where its file was replaced by an upgrade.
const MYSELF: &str = "/proc/self/exe";
/// What this machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// One run.
pub(super) async fn run(spec: &Nvml, target: &Target, timeout: Duration) -> Observation {
    if let Some(why) = elsewhere(spec, target) {
        return Observation::skipped(why);
    }
    look(spec, Path::new(MYSELF), &[child::VERB.to_owned()], timeout).await
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

async fn look(spec: &Nvml, program: &Path, arguments: &[String], timeout: Duration) -> Observation {
    let program = Program { path: program, arguments, variable: ("REMEDYD_CHECK", "nvml"), input: b"" };
    match program::run(program, timeout).await {
        Ok(remains) => read(&remains, spec, timeout),
        Err(error) => Observation::error(format!("the process that asks NVML cannot be started: {error}")),
    }
}

fn read(remains: &Remains, spec: &Nvml, timeout: Duration) -> Observation {
    let trouble = |what: String| {
        let words = String::from_utf8_lossy(&remains.stderr).trim().escape_debug().to_string();
        Observation::error(format!("the process that asks NVML {what}: {}", cut(words, 512)))
    };
    match remains.ending {
        Ending::Deadline => {
            let what = format!("NVML did not answer within {timeout:?}");
            Observation::fail(vec![Finding::new(HUNG, what.as_str())], what)
        }
        Ending::Flood => trouble("says too much".to_owned()),
        Ending::Signal(signal) => trouble(format!("ended by signal {signal}")),
        Ending::Exit(0) => match serde_json::from_slice(&remains.stdout) {
            Ok(answer) => observe(answer, spec),
            Err(error) => trouble(format!("says what cannot be read, {error}")),
        },
        Ending::Exit(code) => trouble(format!("ended with exit status {code}")),
    }
}

/// What NVML's answer comes to.
pub fn observe(answer: Answer, spec: &Nvml) -> Observation {
    match answer {
        Answer::Gpus { driver, gpus } => {
            let counted = u32::try_from(gpus.len()).ok();
            let mut observation = judge(&Reading { gpus, counted }, &spec.limits, None);
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
