//! Lists of the API, page by page, and ids by their beginning.

use serde_json::Value;

use super::fields::Row;
use super::{FAILED, Failure, NOT_FOUND, Outcome, Session, USAGE};
use crate::cli::args::Kind;

/// Rows in one answer.
const PAGE: &str = "500";

/// Rows that are looked at for one list, at most: a filter that only we know must not read a store of millions.
const LOOKED_AT: usize = 100_000;

/// The fewest characters that stand for an id.
const SHORTEST: usize = 4;

/// What was found.
pub struct Found {
    /// In the order of the API, newest first.
    pub rows: Vec<Row>,
    /// Whether there may be more.
    pub more: bool,
}

/// Every row of a list for which `keep` says yes, at most `limit` of them; 0: as many as are looked at.
pub async fn all(
    session: &Session,
    kind: Kind,
    filters: &[(&str, String)],
    limit: usize,
    mut keep: impl FnMut(&Row) -> bool,
) -> Outcome<Found> {
    let (mut rows, mut looked_at, mut token) = (Vec::new(), 0, String::new());
    let limit = if limit == 0 { usize::MAX } else { limit };
    loop {
        let mut query: Vec<(&str, &str)> = filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // Switches are few: their list has one page.
        if kind != Kind::Pauses {
            query.push(("page_size", PAGE));
        }
        if !token.is_empty() {
            query.push(("page_token", token.as_str()));
        }
        let mut answer = session.daemon.get(&[kind.path()], &query).await?;
        let has_next = answer["has_next"] == true;
        let next = answer["next_page_token"].as_str().unwrap_or("").to_owned();
        let Some(Value::Array(page)) = answer.get_mut(kind.path()).map(Value::take) else {
            return Err(Failure::new(FAILED, format!("the answer holds no {}", kind.path())));
        };
        for row in page {
            if !row.is_object() {
                continue;
            }
            looked_at += 1;
            if keep(&row) {
                if rows.len() == limit {
                    return Ok(Found { rows, more: true });
                }
                rows.push(row);
            }
        }
        if !has_next || next.is_empty() {
            return Ok(Found { rows, more: false });
        }
        if looked_at >= LOOKED_AT {
            return Ok(Found { rows, more: true });
        }
        token = next;
    }
}

/// Whether so little of an id may name something by chance.
pub fn is_too_short(id: &str) -> bool {
    id.chars().count() < SHORTEST
}

/// What is said then.
pub fn too_short(id: &str) -> Failure {
    Failure::new(USAGE, format!("`{id}` is too short: write at least {SHORTEST} characters of the id"))
}

/// The one row that an id, or the beginning of one, names.
pub async fn one(session: &Session, kind: Kind, id: &str) -> Outcome<Row> {
    let id = kind.bare(id);
    let absent = || Failure::new(NOT_FOUND, format!("{} `{id}` not found", kind.singular()));
    // These alone have a place of their own in the API.
    if matches!(kind, Kind::Remediations | Kind::Runs) && id.len() == 36 {
        return match session.daemon.get(&[kind.path(), id], &[]).await? {
            row if row.is_object() => Ok(row),
            _ => Err(absent()),
        };
    }
    let by_name = matches!(kind, Kind::Instances | Kind::Pauses | Kind::Conditions);
    if !by_name && is_too_short(id) {
        return Err(too_short(id));
    }
    let filters = if kind == Kind::Holds { vec![("ended", "true".to_owned())] } else { Vec::new() };
    let found = all(session, kind, &filters, 0, |row| kind.id(row).starts_with(id)).await?;
    if let Some(whole) = found.rows.iter().find(|row| kind.id(row) == id) {
        return Ok(whole.clone());
    }
    match found.rows.as_slice() {
        [] if found.more => Err(Failure::new(
            NOT_FOUND,
            format!("no {} among the newest {LOOKED_AT} begins with `{id}`; write the whole id", kind.singular()),
        )),
        [] => Err(absent()),
        [_] if found.more => Err(Failure::new(
            USAGE,
            format!("older ones than the newest {LOOKED_AT} may begin with `{id}` too; write the whole id"),
        )),
        [row] => Ok(row.clone()),
        [one, other, ..] => {
            let why = format!("`{id}` may be {} or {}: write more of it", kind.id(one), kind.id(other));
            Err(Failure::new(USAGE, why))
        }
    }
}
