//! `remedyd get`: lists, and what changes in them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use super::fields::{Row, value_of};
use super::select::Selection;
use super::table::Table;
use super::text::{safe, safe_json};
use super::{Failure, MISTAKE, Outcome, Session, UNREACHABLE, USAGE, lists};
use crate::cli::args::{Form, Get, Kind};
use crate::domain::Belief;

/// Lists once, or goes on.
pub async fn get(session: &Session, asked: &Get) -> Outcome {
    let kind = asked.kind;
    if asked.watch {
        return tokio::select! {
            ended = watch(session, asked) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
    }
    let mut rows = read(session, asked).await?;
    if let Some(field) = &asked.sort_by {
        sort(kind, &mut rows, field)?;
    }
    let mut out = io::stdout().lock();
    show(session, kind, &rows, asked.output, !asked.no_headers, &mut out)?;
    if rows.is_empty() && matches!(asked.output, Form::Table | Form::Wide) {
        eprintln!("no {} found", kind.path());
    }
    Ok(())
}

async fn read(session: &Session, asked: &Get) -> Outcome<Vec<Row>> {
    let kind = asked.kind;
    let flags = flags(asked)?;
    let mut selection = Selection::read(session, kind, asked.selector.as_deref()).await?;
    if !asked.ids.is_empty() {
        let mut rows = Vec::new();
        for id in &asked.ids {
            rows.push(lists::one(session, kind, id).await?);
        }
        rows.retain(|row| selection.holds(row));
        return Ok(rows);
    }
    let mut filters = selection.filters();
    filters.extend(flags);
    let found = lists::all(session, kind, &filters, asked.limit, |row| selection.holds(row)).await?;
    if found.more && !asked.watch {
        eprintln!("there are more than these {}; --limit 0 shows more, a selector fewer", found.rows.len());
    }
    if let Some(name) = selection.unmet().filter(|_| filters.is_empty() && !asked.watch) {
        eprintln!("no row has anything called `{}`", safe(name));
    }
    Ok(found.rows)
}

/// What the flags ask of the API. One that says nothing about rows of this kind is refused: it would filter nothing.
fn flags(asked: &Get) -> Outcome<Vec<(&'static str, String)>> {
    use Kind::{Alerts, Conditions, Holds, Remediations, Runs};
    let instance = asked.instance.as_deref().map(|id| Kind::Instances.bare(id).to_owned());
    let belief = asked.failing.then(|| Belief::Failing.as_str().to_owned());
    let verdict = asked.verdict.map(|verdict| verdict.as_str().to_owned());
    let flags: [(&str, &'static str, Option<String>, &[Kind]); 4] = [
        ("--instance", "instance_id", instance, &[Remediations, Alerts, Holds, Runs, Conditions]),
        ("--check", "check", asked.check.clone(), &[Runs, Conditions]),
        ("--verdict", "verdict", verdict, &[Runs]),
        ("--failing", "belief", belief, &[Conditions]),
    ];
    let mut filters = Vec::new();
    for (flag, parameter, value, kinds) in flags {
        let Some(value) = value else { continue };
        if !kinds.contains(&asked.kind) {
            let kinds = kinds.iter().map(|kind| kind.path()).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(
                USAGE,
                format!("{flag}: it says nothing about {}, only about {kinds}", asked.kind.path()),
            ));
        }
        filters.push((parameter, value));
    }
    Ok(filters)
}

/// Prints what was not there before, or is different, until somebody ends it. A daemon that is away for a while is waited for.
async fn watch(session: &Session, asked: &Get) -> Outcome {
    let kind = asked.kind;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let (mut is_first, mut is_away) = (true, false);
    loop {
        match read(session, asked).await {
            Ok(mut rows) => {
                let mut seen = BTreeMap::new();
                // Oldest first, as they happened.
                rows.reverse();
                rows.retain(|row| {
                    let (id, face) = (kind.id(row), face(kind, row, asked.output));
                    let is_new = known.get(&id) != Some(&face);
                    seen.insert(id, face);
                    is_new
                });
                known = seen;
                let mut out = io::stdout().lock();
                show(session, kind, &rows, asked.output, is_first && !asked.no_headers, &mut out)?;
                out.flush()?;
                (is_first, is_away) = (false, false);
            }
            Err(Failure { status: UNREACHABLE, why }) if !is_first => {
                if !is_away {
                    eprintln!("remedyd: {}; still trying", safe(&why));
                }
                is_away = true;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(asked.every).await;
    }
}

/// What has to differ for a row to be shown again: not that time has passed.
fn face(kind: Kind, row: &Row, form: Form) -> String {
    if form == Form::Json {
        return row.to_string();
    }
    let headers = kind.headers(form == Form::Wide).iter().filter(|header| !["AGE", "EXPIRES"].contains(header));
    headers.map(|header| kind.cell(row, header, Default::default())).collect::<Vec<_>>().join("\0")
}

/// Writes rows in a form.
pub fn show(session: &Session, kind: Kind, rows: &[Row], form: Form, headers: bool, out: &mut impl Write) -> Outcome {
    match form {
        Form::Json => {
            let text = serde_json::to_string_pretty(&json!({ kind.path(): rows }));
            writeln!(out, "{}", safe_json(&text.map_err(io::Error::other)?))?;
        }
        Form::Name => {
            for row in rows {
                writeln!(out, "{}/{}", kind.singular(), safe(&kind.id(row)))?;
            }
        }
        Form::Table | Form::Wide => {
            let columns = kind.headers(form == Form::Wide);
            let mut table = Table::new(columns);
            let now = session.now();
            for row in rows {
                table.row(columns.iter().map(|header| kind.cell(row, header, now)).collect());
            }
            if !rows.is_empty() {
                table.write(out, &table.widths(), headers, session.colours)?;
            }
        }
    }
    Ok(())
}

/// Numbers as numbers, everything else as text; `age` is newest first.
fn sort(kind: Kind, rows: &mut [Row], field: &str) -> Outcome {
    let name = field.to_lowercase().replace('-', "_");
    let name = match (name.as_str(), kind) {
        ("age", Kind::Alerts) => "started_at",
        ("age", Kind::DeadLetters) => "received_at",
        ("age", Kind::Pauses) => "paused_at",
        ("age", Kind::Runs) => "ended_at",
        ("age", Kind::Conditions) => "since",
        ("age", _) => "created_at",
        (other, _) => other,
    };
    if !rows.is_empty() && rows.iter().all(|row| value_of(kind, row, name).is_none()) {
        return Err(Failure::new(MISTAKE, format!("--sort-by: {} have no field `{field}`", kind.path())));
    }
    let key = |row: &Row| value_of(kind, row, name).unwrap_or_default();
    rows.sort_by(|one, other| {
        let (one, other) = (key(one), key(other));
        match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(&other),
        }
    });
    if field.eq_ignore_ascii_case("age") {
        rows.reverse();
    }
    Ok(())
}
