//! `--wait`: until a remediation has ended, or was in a state.

use std::time::Duration;

use super::fields::{Row, plain};
use super::text::safe;
use super::{FAILED, Failure, Outcome, Session, TOO_LATE, UNREACHABLE};
use crate::cli::args::{Until, Wait};
use crate::clock::Stopwatch;
use crate::domain::State;

/// How often it is looked at: a second is soon enough for a person, and no burden.
const EVERY: Duration = Duration::from_secs(1);

/// Waits as asked, for each of them within the one time. `aims` are the ends that the caller wanted.
pub async fn wait(session: &Session, asked: &Wait, ids: &[String], aims: &[State]) -> Outcome {
    let Some(until) = asked.wait else { return Ok(()) };
    let watch = Stopwatch::start();
    let mut missed: Option<Failure> = None;
    for id in ids {
        let left = asked.timeout.saturating_sub(watch.elapsed());
        let waited = match tokio::time::timeout(left, reached(session, until, id, aims)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(too_late(session, asked, id).await),
        };
        if let Err(failure) = waited {
            if ids.len() > 1 {
                eprintln!("remedyd: {}", safe(&failure.why));
            }
            missed = missed.into_iter().chain([failure]).max_by_key(|failure| failure.status);
        }
    }
    match missed {
        None => Ok(()),
        Some(failure) if ids.len() == 1 => Err(failure),
        Some(failure) => Err(Failure::new(failure.status, "not all of them came to what was waited for")),
    }
}

async fn too_late(session: &Session, asked: &Wait, id: &str) -> Failure {
    let span = crate::config::show_duration(asked.timeout);
    let Ok(row) = look(session, id).await else {
        return Failure::new(TOO_LATE, format!("{id} cannot be looked at after {span}: the daemon does not answer"));
    };
    let waits = plain(&row["waits_for"]);
    let why = if waits.is_empty() { String::new() } else { format!("; it waits for: {waits}") };
    Failure::new(TOO_LATE, format!("{id} is {} after {span}{why}", plain(&row["state"])))
}

async fn reached(session: &Session, until: Until, id: &str, aims: &[State]) -> Outcome {
    let mut shown = String::new();
    loop {
        let row = match look(session, id).await {
            // It is restarted, perhaps; the repair goes on, and so does the waiting.
            Err(failure) if failure.status == UNREACHABLE => {
                tokio::time::sleep(EVERY).await;
                continue;
            }
            row => row?,
        };
        let state = State::parse(&plain(&row["state"]))
            .ok_or_else(|| Failure::new(FAILED, format!("{id} is in an unknown state {}", row["state"])))?;
        let line = format!("{id} is {}", state.as_str());
        if line != shown {
            eprintln!("{}", safe(&line));
            shown = line;
        }
        match until {
            Until::Terminal if state.is_terminal() => {
                return if aims.contains(&state) { Ok(()) } else { Err(Failure::new(FAILED, ended(id, &row))) };
            }
            // A state may have passed between two looks.
            Until::State(wanted) if state == wanted || was(session, id, wanted).await? => return Ok(()),
            Until::State(wanted) if state.is_terminal() => {
                let why = format!("{}; it was never {}", ended(id, &row), wanted.as_str());
                return Err(Failure::new(FAILED, why));
            }
            Until::Terminal | Until::State(_) => tokio::time::sleep(EVERY).await,
        }
    }
}

async fn look(session: &Session, id: &str) -> Outcome<Row> {
    match session.daemon.get(&["remediations", id], &[]).await? {
        row if row.is_object() => Ok(row),
        _ => Err(Failure::new(FAILED, format!("the answer about {id} is no remediation"))),
    }
}

async fn was(session: &Session, id: &str, state: State) -> Outcome<bool> {
    let answer = session.daemon.get(&["remediations", id, "history"], &[]).await?;
    let entries = answer["history"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(entries.iter().any(|entry| entry["to"] == state.as_str()))
}

fn ended(id: &str, row: &Row) -> String {
    let (code, detail, note) = (plain(&row["failure"]["code"]), plain(&row["failure"]["detail"]), plain(&row["note"]));
    let why = if code.is_empty() { note } else { format!("{code}, {detail}") };
    format!("{id} ended {}: {why}", plain(&row["state"]))
}
