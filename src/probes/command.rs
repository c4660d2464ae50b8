//! The probe `command`: runs a program of the operator's, and takes its word.
//!
//! The program is told what to look at on its standard input, as one line of JSON. Its last line of output may be a JSON
//! object with a `verdict`; else its exit status speaks, as Nagios plugins have it. A program that hangs is killed with all
//! that it started, and is a finding: what it looked at did not come back.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Target;
use super::program::{self, Ending, Program, Remains};
use crate::config::checks::Command;
use crate::domain::check::cut;
use crate::domain::{Finding, FindingName, Measurement, Observation, Quantity, Verdict};

/// What a program found that names nothing.
const FAILED: &str = "command_failed";
/// What a program found that did not end.
pub(super) const HUNG: &str = "hung";
/// How long the name of a part of a node may be: a UUID of a MIG instance has 44 characters.
const DEVICE_BYTES: usize = 128;
/// How much of the standard error is told.
const STDERR_BYTES: usize = 512;
/// The keys of an answer, and those of a finding.
const KEYS: [&str; 9] =
    ["verdict", "finding", "xid", "recovery_action", "device", "detail", "findings", "measurements", "evidence"];
const FINDING_KEYS: [&str; 5] = ["finding", "xid", "recovery_action", "device", "detail"];

/// One run.
pub(super) async fn run(spec: &Command, target: &Target, timeout: Duration) -> Observation {
    let Some((program, arguments)) = spec.argv.split_first() else {
        return Observation::error("there is no program");
    };
    let input = match request(spec, target, timeout) {
        Ok(input) => input,
        Err(error) => return Observation::error(format!("the request cannot be written down: {error}")),
    };
    let variable = ("REMEDYD_CHECK", spec.check.as_str());
    let program = Program { path: Path::new(program), arguments, variable, input: &input };
    match program::run(program, timeout).await {
        Ok(remains) => read(&remains, timeout),
        Err(error) => Observation::error(format!("`{}` cannot be started: {error}", program.path.display())),
    }
}

/// What a program reads on its standard input, as one line.
#[derive(Serialize)]
struct Request<'a> {
    check: &'a str,
    cluster_id: &'a str,
    instance: RequestInstance<'a>,
    timeout_seconds: f64,
}

#[derive(Serialize)]
struct RequestInstance<'a> {
    id: &'a str,
    name: &'a str,
    host: &'a str,
    generation: &'a str,
    address: &'a str,
}

fn request(spec: &Command, target: &Target, timeout: Duration) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request {
        check: spec.check.as_str(),
        cluster_id: target.cluster_id.as_str(),
        instance: RequestInstance {
            id: target.instance_id.as_str(),
            name: &target.name,
            host: target.host_id.as_str(),
            generation: &target.generation,
            address: &target.address,
        },
        timeout_seconds: timeout.as_secs_f64(),
    })?;
    line.push(b'\n');
    Ok(line)
}

fn read(remains: &Remains, timeout: Duration) -> Observation {
    let code = match remains.ending {
        Ending::Exit(code) => code,
        Ending::Signal(signal) => return Observation::error(with_stderr(format!("ended by signal {signal}"), remains)),
        Ending::Flood => return Observation::error(with_stderr("says too much".to_owned(), remains)),
        Ending::Deadline => {
            let what = with_stderr(format!("no end within {timeout:?}, killed"), remains);
            return Observation::fail(vec![Finding::new(HUNG, what.as_str())], what);
        }
    };
    let text = String::from_utf8_lossy(&remains.stdout);
    let line = text.trim_end().rsplit('\n').next().unwrap_or_default().trim();
    match said(line) {
        Ok(Some(observation)) => observation,
        Ok(None) => of_code(code, &with_stderr(with_line(code, line), remains)),
        Err(why) => Observation::error(with_stderr(
            format!("its answer cannot be used: {why}; {}", with_line(code, line)),
            remains,
        )),
    }
}

/// 0 to 3 are those of Nagios plugins, whose warning counts as a failure: a check that is to warn of something else than
/// sickness is not to exit with it. 75 is `EX_TEMPFAIL` of sysexits.h, 77 is what test harnesses skip by. Everything else
/// (a wrong call, no such program, a crash in a shell) is trouble with the program.
fn of_code(code: i32, what: &str) -> Observation {
    match code {
        0 => Observation::pass(what),
        1 | 2 => Observation::fail(vec![Finding::new(FAILED, what)], what),
        3 | 75 => Observation::inconclusive(what),
        77 => Observation::skipped(what),
        _ => Observation::error(what),
    }
}

/// The answer that a line is, if it is meant to be one.
fn said(line: &str) -> Result<Option<Observation>, String> {
    if !line.starts_with('{') {
        return Ok(None);
    }
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|error| format!("no JSON object: {error}"))?;
    // An object with none of the keys is a line of a structured log.
    if !["verdict", "finding", "findings"].iter().any(|key| fields.contains_key(*key)) {
        return Ok(None);
    }
    known(&fields, &KEYS)?;
    let verdict = text(&fields, "verdict")?.ok_or("`verdict` is missing")?;
    let verdict = Verdict::parse(&verdict).ok_or_else(|| {
        format!("`verdict` is `{verdict}`; there are {}", Verdict::ALL.map(Verdict::as_str).join(", "))
    })?;
    let mut findings = Vec::from_iter(finding(&fields)?);
    for one in list(&fields)? {
        let fields = one.as_object().ok_or("`findings` holds something else than objects")?;
        known(fields, &FINDING_KEYS)?;
        findings.push(finding(fields)?.ok_or("one of `findings` has no `finding`")?);
    }
    let detail = text(&fields, "detail")?;
    let evidence = text(&fields, "evidence")?.or_else(|| detail.clone()).unwrap_or_else(|| verdict.to_string());
    let mut observation = match verdict {
        Verdict::Fail => {
            if findings.is_empty() {
                findings.push(Finding::new(FAILED, detail.unwrap_or_else(|| evidence.clone())));
            }
            findings.truncate(Finding::KEPT);
            Observation::fail(findings, evidence)
        }
        other if !findings.is_empty() => return Err(format!("there are findings, and the verdict is {other}")),
        Verdict::Pass => Observation::pass(evidence),
        Verdict::Inconclusive => Observation::inconclusive(evidence),
        Verdict::Error => Observation::error(evidence),
        Verdict::Skipped => Observation::skipped(evidence),
    };
    observation.measurements = measurements(&fields)?;
    Ok(Some(observation))
}

/// The finding that an object names, if it names one.
fn finding(fields: &Map<String, Value>) -> Result<Option<Finding>, String> {
    let Some(name) = text(fields, "finding")? else {
        // These would have no effect.
        let stray = ["xid", "recovery_action", "device"].into_iter().find(|key| fields.contains_key(*key));
        return stray.map_or(Ok(None), |key| Err(format!("`{key}` needs a `finding`")));
    };
    let name = FindingName::parse(&name).map_err(|error| error.to_string())?;
    let detail = text(fields, "detail")?.unwrap_or_else(|| name.to_string());
    let device = text(fields, "device")?.unwrap_or_default();
    if device.len() > DEVICE_BYTES {
        return Err(format!("`device` is longer than {DEVICE_BYTES} bytes"));
    }
    Ok(Some(Finding {
        name,
        device: device.into(),
        xid: number(fields, "xid")?,
        recovery_action: number(fields, "recovery_action")?,
        is_sticky: false,
        detail: cut(detail, Finding::DETAIL).into(),
    }))
}

fn measurements(fields: &Map<String, Value>) -> Result<Vec<Measurement>, String> {
    let Some(value) = fields.get("measurements") else { return Ok(Vec::new()) };
    let named = value.as_object().ok_or("`measurements` is no object")?;
    let one = |(name, value): (&String, &Value)| {
        let is_name = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let value = value.as_f64().and_then(Quantity::new).filter(|_| is_name);
        let value =
            value.ok_or_else(|| format!("`measurements.{}` is no name with a number", cut(name.clone(), 64)))?;
        Ok(Measurement { name: name.as_str().into(), device: Box::default(), value })
    };
    named.iter().take(Measurement::KEPT).map(one).collect()
}

fn known(fields: &Map<String, Value>, keys: &[&str]) -> Result<(), String> {
    match fields.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("`{}` is not known; there are {}", cut(key.clone(), 64), keys.join(", "))),
        None => Ok(()),
    }
}

fn text(fields: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(plain(text))),
        Some(_) => Err(format!("`{key}` is no text")),
    }
}

fn number(fields: &Map<String, Value>, key: &str) -> Result<Option<u32>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.map(Some).ok_or_else(|| format!("`{key}` is no whole number"))
        }
    }
}

fn list(fields: &Map<String, Value>) -> Result<&[Value], String> {
    match fields.get("findings") {
        None | Some(Value::Null) => Ok(&[]),
        Some(value) => Ok(value.as_array().ok_or("`findings` is no list")?),
    }
}

fn with_line(code: i32, line: &str) -> String {
    if line.is_empty() { format!("exit status {code}") } else { format!("exit status {code}: {}", plain(line)) }
}

fn with_stderr(what: String, remains: &Remains) -> String {
    let words = String::from_utf8_lossy(&remains.stderr);
    match words.trim() {
        "" => what,
        words => format!("{what}; it says: {}", cut(plain(words), STDERR_BYTES)),
    }
}

/// Escapes control characters, which could forge log lines and terminal output.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { plain.extend(letter.escape_default()) } else { plain.push(letter) }
    }
    plain
}

#[cfg(test)]
pub(super) mod tests;
