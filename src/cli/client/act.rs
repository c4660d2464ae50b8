//! Create, approve, reject, cancel, abort: each command is about one remediation, names it in full, and is sent once.
//!
//! A selector becomes an explicit list before anything is sent (I19): it is shown with the versions, a person says yes to
//! exactly that, and each approval carries the version that was shown.

use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::{Value, json};

use super::fields::{Row, plain};
use super::select::Selection;
use super::text::{safe, safe_json};
use super::{CONFLICT, Failure, NOT_FOUND, Outcome, Session, USAGE, get, lists, wait};
use crate::cli::args::{Abort, Create, Decide, Form, Kind};
use crate::domain::{State, Timestamp};

/// A word on a remediation that has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Let it go ahead.
    Approve,
    /// Turn it down.
    Reject,
    /// Call it off.
    Cancel,
}

impl Word {
    const fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
        }
    }

    const fn participle(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Cancel => "cancelled",
        }
    }

    /// In which states it can be said.
    const fn states(self) -> &'static str {
        match self {
            Self::Approve | Self::Reject => "PENDING_APPROVAL",
            Self::Cancel => "PENDING_APPROVAL,PENDING",
        }
    }

    /// Which ends are what the caller wanted.
    const fn aims(self) -> &'static [State] {
        match self {
            Self::Approve => &[State::Succeeded, State::AutoResolved],
            Self::Reject | Self::Cancel => &[State::Cancelled],
        }
    }
}

/// `remedyd create remediation`
pub async fn create(session: &Session, asked: &Create) -> Outcome {
    let mut body = json!({"instance_id": Kind::Instances.bare(&asked.instance), "mode": asked.mode.0.as_str(), "reason": asked.reason});
    for (name, value) in [("cluster_id", &asked.cluster), ("remediation_id", &asked.id)] {
        if let Some(value) = value {
            body[name] = value.as_str().into();
        }
    }
    let row = remediation(session.daemon.post(&["remediations"], &body).await?)?;
    let id = plain(&row["id"]);
    match asked.output {
        Form::Table => said(&row, "created")?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&row).map_err(io::Error::other)?;
            writeln!(io::stdout(), "{}", safe_json(&text))?;
        }
        form @ (Form::Wide | Form::Name) => {
            get::show(session, Kind::Remediations, &[row], form, true, &mut io::stdout().lock())?;
        }
    }
    wait::wait(session, &asked.wait, &[id], Word::Approve.aims()).await
}

/// `remedyd abort`
pub async fn abort(session: &Session, asked: &Abort) -> Outcome {
    let row = lists::one(session, Kind::Remediations, &asked.id).await?;
    let id = plain(&row["id"]);
    let row =
        remediation(session.daemon.post(&["remediations", &id, "abort"], &json!({"reason": asked.reason})).await?)?;
    said(&row, "aborted")?;
    wait::wait(session, &asked.wait, &[id], &[State::Failed]).await
}

/// `remedyd approve|reject|cancel`: of several, each is tried, and the exit status is that of the worst.
pub async fn decide(session: &Session, asked: &Decide, word: Word) -> Outcome {
    if asked.mode.is_some() && word != Word::Approve {
        return Err(Failure::new(USAGE, "--mode: only an approval may choose another repair"));
    }
    if asked.version.is_some() && asked.ids.len() > 1 {
        return Err(Failure::new(USAGE, "--version: it belongs to one remediation; name one"));
    }
    let rows = match &asked.selector {
        Some(selector) => selected(session, asked, word, selector).await?,
        None => named(session, asked, word).await?,
    };
    let mut worst: Option<Failure> = None;
    let (mut sent, mut unread) = (Vec::new(), Ok(()));
    for row in &rows {
        match send(session, asked, word, row).await {
            Ok(done) => {
                // It is done, whether or not anybody reads that.
                unread = said(&done, word.participle()).and(unread);
                sent.push(plain(&done["id"]));
            }
            Err(failure) => {
                // One has its own message at the end.
                if rows.len() > 1 {
                    eprintln!("remedyd: {}: {}", safe(&plain(&row["id"])), safe(&failure.why));
                }
                worst = worst.into_iter().chain([failure]).max_by_key(|failure| failure.status);
            }
        }
    }
    let waited = wait::wait(session, &asked.wait, &sent, word.aims()).await;
    match (worst, rows.len()) {
        (None, _) => waited.and(unread),
        (Some(failure), 0 | 1) => Err(failure),
        (Some(failure), n) => {
            let why = format!("{} of {n} could not be {}", n - sent.len(), word.participle());
            Err(Failure::new(failure.status, why))
        }
    }
}

/// Those that ids name, all of them found before the first is touched.
async fn named(session: &Session, asked: &Decide, word: Word) -> Outcome<Vec<Row>> {
    capped(asked.ids.len(), asked, word)?;
    let mut rows: Vec<Row> = Vec::new();
    for id in &asked.ids {
        let row = lists::one(session, Kind::Remediations, id).await?;
        if rows.iter().all(|known| known["id"] != row["id"]) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Those that a selector means, after a person has seen and wanted exactly them.
async fn selected(session: &Session, asked: &Decide, word: Word, selector: &str) -> Outcome<Vec<Row>> {
    let mut selection = Selection::read(session, Kind::Remediations, Some(selector)).await?;
    let filters = [("state", word.states().to_owned())];
    let found = lists::all(session, Kind::Remediations, &filters, 0, |row| selection.holds(row)).await?;
    selection.must_be_met()?;
    if found.more {
        let why = "there are more remediations than are looked at; say with ids which ones are meant";
        return Err(Failure::new(USAGE, why));
    }
    if found.rows.is_empty() {
        let why = format!("nothing that could be {} is meant by that", word.participle());
        return Err(Failure::new(NOT_FOUND, why));
    }
    get::show(session, Kind::Remediations, &found.rows, Form::Wide, true, &mut io::stderr().lock())?;
    capped(found.rows.len(), asked, word)?;
    if !asked.yes {
        confirm(&format!("{} these {}?", word.verb(), found.rows.len()))?;
    }
    Ok(found.rows)
}

fn capped(n: usize, asked: &Decide, word: Word) -> Outcome {
    let (max, done) = (asked.max, word.participle());
    if n <= max {
        return Ok(());
    }
    Err(Failure::new(USAGE, format!("that means {n} remediations, and --max is {max}: nothing was {done}")))
}

fn confirm(question: &str) -> Outcome {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(USAGE, "nobody is there to say yes; look at the list, then add --yes"));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(super::FAILED, "nothing was done")),
    }
}

async fn send(session: &Session, asked: &Decide, word: Word, row: &Row) -> Outcome<Row> {
    let id = plain(&row["id"]);
    if asked.version.is_none() && asked.selector.is_none() && word == Word::Approve && asked.mode.is_none() {
        raised_lately(session.now(), &id, row)?;
    }
    let version = asked.version.map_or_else(|| row["version"].clone(), Value::from);
    let mut body = json!({"version": version, "comment": asked.comment});
    if let Some(mode) = asked.mode {
        body["mode"] = mode.0.as_str().into();
    }
    remediation(session.daemon.post(&["remediations", &id, word.verb()], &body).await?)
}

/// Whoever types an id has read the mode somewhere; where that was raised a moment ago, they may have read the old one
/// (DESIGN §4.5).
fn raised_lately(now: Timestamp, id: &str, row: &Row) -> Outcome {
    let raised = Timestamp::parse(&plain(&row["raised_at"])).ok();
    if raised.is_none_or(|at| now.since(at).as_secs() >= 60) {
        return Ok(());
    }
    let (mode, version) = (plain(&row["mode"]), plain(&row["version"]));
    let why =
        format!("{id} was raised to {mode} less than a minute ago; look again, then approve with --version {version}");
    Err(Failure::new(CONFLICT, why))
}

fn remediation(answer: Value) -> Outcome<Row> {
    match answer {
        row if row.is_object() => Ok(row),
        _ => Err(Failure::new(super::FAILED, "the answer is no remediation")),
    }
}

/// One line about what was done.
fn said(row: &Row, done: &str) -> Outcome {
    let text = |name: &str| safe(&plain(&row[name])).into_owned();
    let (id, state, mode, instance) = (text("id"), text("state"), text("mode"), text("instance_id"));
    writeln!(io::stdout(), "remediation/{id} {done}: {mode} on {instance} is {state}, version {}", text("version"))?;
    Ok(())
}
