//! `remedyd probe run`: active checks, now.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::fields::{Row, findings, plain, took};
use super::table::colour;
use super::text::safe;
use super::{FAILED, Failure, Outcome, SICK, Session, TOO_LATE, get};
use crate::cli::args::{Form, Kind, ProbeRun};
use crate::clock::Stopwatch;
use crate::config::show_duration;

/// How often a person is told that it still waits.
const TOLD: Duration = Duration::from_secs(1);

/// How much longer the connection holds than we wait.
const MORE: Duration = Duration::from_secs(10);

/// Has checks run, waits for them, and prints what they found.
pub async fn run(session: &Session, asked: &ProbeRun) -> Outcome {
    let instance = Kind::Instances.bare(&asked.instance);
    let body = asked.check.as_ref().map_or_else(|| json!({}), |check| json!({ "check": check }));
    let runs = probed(session, asked, instance, &body).await?;
    let mut out = io::stdout().lock();
    match asked.output {
        Form::Table => runs.iter().try_for_each(|run| block(session, run, &mut out))?,
        form @ (Form::Wide | Form::Json | Form::Name) => get::show(session, Kind::Runs, &runs, form, true, &mut out)?,
    }
    out.flush()?;
    judge(&runs)
}

async fn probed(session: &Session, asked: &ProbeRun, instance: &str, body: &Value) -> Outcome<Vec<Row>> {
    let path = ["instances", instance, "probe"];
    // The wait below ends first, and says what it waited for.
    let answer = session.daemon.post_within(&path, body, asked.timeout.saturating_add(MORE));
    tokio::pin!(answer);
    let (watch, mut shown) = (Stopwatch::start(), false);
    let told = io::stderr().is_terminal();
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break Some(answer),
            () = tokio::time::sleep(asked.timeout.saturating_sub(watch.elapsed())) => break None,
            () = tokio::time::sleep(TOLD), if told => {
                shown = true;
                eprint!("\r\x1b[Kchecks run on {} … {}s", safe(instance), watch.elapsed().as_secs());
            }
        }
    };
    if shown {
        eprint!("\r\x1b[K");
    }
    let Some(answer) = answer else {
        let span = show_duration(asked.timeout);
        return Err(Failure::new(
            TOO_LATE,
            format!("the checks of {instance} have not ended after {span}; they go on"),
        ));
    };
    match answer?.get_mut("runs").map(Value::take) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(Failure::new(FAILED, "the answer holds no runs")),
    }
}

/// A run in some lines: verdict, check, time, then what it found and why.
fn block(session: &Session, run: &Row, out: &mut impl Write) -> io::Result<()> {
    let text = |name: &str| safe(&plain(&run[name])).into_owned();
    let verdict = text("verdict");
    let shown = match colour(&verdict).filter(|_| session.colours) {
        Some(code) => format!("\x1b[{code}m{verdict}\x1b[0m"),
        None => verdict,
    };
    writeln!(out, "{shown}  {} on {}, {}  [run {}]", text("check"), text("instance_id"), took(run), text("id"))?;
    for one in run["findings"].as_array().map_or(&[][..], Vec::as_slice) {
        let name = findings(&Value::Array(vec![one.clone()]));
        writeln!(out, "  {}: {}", safe(&name), safe(&plain(&one["detail"])))?;
    }
    for line in plain(&run["evidence"]).lines().filter(|line| !line.trim().is_empty()) {
        writeln!(out, "      {}", safe(line))?;
    }
    if !run["set_aside"].is_null() {
        writeln!(out, "  set aside: {}", text("set_aside"))?;
    }
    Ok(())
}

/// Whether all is well. The runs were printed, so there is nothing to say where a check speaks for itself.
fn judge(runs: &[Row]) -> Outcome {
    if runs.is_empty() {
        return Err(Failure::new(FAILED, "nothing that was run is kept: the instance may be another machine by now"));
    }
    if runs.iter().any(|run| run["verdict"] == "FAIL") {
        return Err(Failure::new(SICK, ""));
    }
    if runs.iter().all(|run| run["verdict"] == "PASS") { Ok(()) } else { Err(Failure::new(FAILED, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_sick_from_unknown() {
        let status = |verdicts: &[&str]| {
            let runs: Vec<Row> = verdicts.iter().map(|verdict| json!({ "verdict": verdict })).collect();
            judge(&runs).map_or_else(|failure| failure.status, |()| 0)
        };
        assert_eq!(status(&["PASS", "PASS"]), 0);
        assert_eq!(status(&["PASS", "ERROR", "FAIL"]), SICK);
        for unknown in ["ERROR", "SKIPPED", "INCONCLUSIVE", "ANOTHER"] {
            assert_eq!(status(&["PASS", unknown]), FAILED, "{unknown}");
        }
        assert_eq!(status(&[]), FAILED);
    }
}
