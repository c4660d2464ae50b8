//! What pages say of active checks: a run with its evidence, and what is believed because of runs.

use super::describe::Page;
use super::fields::{Row, findings, plain, took};
use super::text::time;
use super::{Failure, NOT_FOUND, Outcome, Session, lists};
use crate::cli::args::Kind;
use crate::domain::Timestamp;

/// A run: what was asked, what came back, what it measured.
pub async fn run(session: &Session, id: &str) -> Outcome<Page> {
    let row = lists::one(session, Kind::Runs, id).await?;
    let (text, now) = (|name: &str| plain(&row[name]), session.now());
    let mut page = Page::default();
    page.heading(&format!("Run {}", text("id")));
    page.fact("check", &format!("{} ({})", text("check"), text("kind")));
    page.fact("verdict", &text("verdict"));
    page.fact("instance", &format!("{}, cluster {}", text("instance_id"), text("cluster_id")));
    page.fact("generation", &text("generation"));
    page.fact("ended", &format!("{}, after {}", time(&text("ended_at"), now), took(&row)));
    page.fact("kept because", why(&text("why")));
    page.fact("set aside", &text("set_aside"));
    found(&row, &mut page);
    let measured = row["measurements"].as_array().map_or(&[][..], Vec::as_slice);
    if !measured.is_empty() {
        page.heading("Measured");
    }
    for one in measured {
        let device = plain(&one["device"]);
        let of = if device.is_empty() { String::new() } else { format!(" of {device}") };
        page.line(&format!("{}{of}: {}", plain(&one["name"]), plain(&one["value"])));
    }
    page.heading("What you may do");
    page.line(&format!("remedyd describe instance {}", text("instance_id")));
    page.line(&format!("remedyd probe run {} --check {}", text("instance_id"), text("check")));
    Ok(page)
}

/// The run of a check that opened a remediation, where one did.
pub async fn opener(session: &Session, remediation: &Row, page: &mut Page) -> Outcome {
    let id = plain(&remediation["opened_by_run"]);
    if id.is_empty() {
        return Ok(());
    }
    page.heading(&format!("Opened by run {id}"));
    let row = match lists::one(session, Kind::Runs, &id).await {
        Ok(row) => row,
        Err(Failure { status: NOT_FOUND, .. }) => {
            page.line("it is not kept any more");
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let ended = time(&plain(&row["ended_at"]), session.now());
    page.line(&format!("{} {}, ended {ended}", plain(&row["check"]), plain(&row["verdict"])));
    found(&row, page);
    Ok(())
}

/// What is believed of an instance, a line for each check.
pub fn conditions(rows: &[Row], now: Timestamp, page: &mut Page) {
    if rows.is_empty() {
        return;
    }
    page.heading(&format!("Checks: {}", rows.len()));
    for row in rows {
        let text = |name: &str| plain(&row[name]);
        let standing = findings(&row["standing"]);
        let standing = if standing.is_empty() { String::new() } else { format!(": {standing}") };
        let run = text("run_id");
        let run = if run.is_empty() { String::new() } else { format!("  [run {run}]") };
        let since = time(&text("since"), now);
        let last = format!("last verdict {}", text("verdict"));
        page.line(&format!("{} {} since {since}, {last}{standing}{run}", text("check"), text("belief")));
    }
}

/// Findings and evidence of a run.
fn found(row: &Row, page: &mut Page) {
    let list = row["findings"].as_array().map_or(&[][..], Vec::as_slice);
    if !list.is_empty() {
        page.heading(&format!("Found: {}", list.len()));
    }
    for one in list {
        let name = findings(&serde_json::Value::Array(vec![one.clone()]));
        page.line(&format!("{name}: {}", plain(&one["detail"])));
    }
    page.heading("Evidence");
    page.text(&plain(&row["evidence"]));
}

/// Why a run is kept, in words.
fn why(why: &str) -> &str {
    match why {
        "changed" => "it differs from the run before",
        "flipped" => "it changed what is believed",
        "on_demand" => "somebody asked for it",
        "verification" => "a remediation asked for it",
        other => other,
    }
}
