//! `remedyd describe`: one page that answers, at three in the morning, what this is, why, what it waits for and what to do.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::fields::{Row, plain};
use super::text::{safe, time};
use super::{Outcome, Session, describe_node, describe_run, lists};
use crate::cli::args::{Describe, Described, Kind};
use crate::domain::Timestamp;

/// How many earlier repairs of a node are told.
pub const EARLIER: usize = 5;

/// Prints the page.
pub async fn describe(session: &Session, asked: &Describe) -> Outcome {
    let page = match asked.kind {
        Described::Remediation => remediation(session, &asked.id).await?,
        Described::Instance => describe_node::instance(session, &asked.id).await?,
        Described::Run => describe_run::run(session, &asked.id).await?,
        Described::Alert => describe_node::alert(session, &asked.id).await?,
    };
    io::stdout().lock().write_all(page.0.as_bytes())?;
    Ok(())
}

/// A page in the making: headings, and lines of a name and what is to be said.
#[derive(Default)]
pub struct Page(pub String);

impl Page {
    /// A heading, after a free line.
    pub fn heading(&mut self, text: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.put(&format!("{gap}{}\n", safe(text)));
    }

    /// One thing with its name; nothing where there is nothing to say.
    pub fn fact(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.put(&format!("  {name:<13} {}\n", safe(text)));
        }
    }

    /// A line of its own.
    pub fn line(&mut self, text: &str) {
        self.put(&format!("  {}\n", safe(text)));
    }

    /// Text of several lines, indented.
    pub fn text(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.put(&format!("      {}\n", safe(line)));
        }
    }

    fn put(&mut self, text: &str) {
        // Writing into a string cannot fail.
        let _ = self.0.write_str(text);
    }
}

async fn remediation(session: &Session, id: &str) -> Outcome<Page> {
    let row = lists::one(session, Kind::Remediations, id).await?;
    let id = plain(&row["id"]);
    let history = session.daemon.get(&["remediations", &id, "history"], &[]).await?;
    let of_node = [("instance_id", plain(&row["instance_id"]))];
    let earlier = lists::all(session, Kind::Remediations, &of_node, EARLIER, |other| other["id"] != row["id"]).await?;
    let pauses = lists::all(session, Kind::Pauses, &[], 0, |_| true).await?.rows;
    let holds = lists::all(session, Kind::Holds, &of_node, 0, |_| true).await?.rows;
    let mut page = Page::default();
    head(session, &row, &mut page);
    stops(session, &row, &pauses, &holds, &mut page);
    evidence(session, &row, &mut page);
    describe_run::opener(session, &row, &mut page).await?;
    attempt(session, &row, &mut page);
    page.heading("History");
    for entry in history["history"].as_array().map_or(&[][..], Vec::as_slice) {
        let at = |name: &str| plain(&entry[name]);
        page.line(&format!(
            "{}  {} by {}: {} {}{}",
            time(&at("time"), session.now()),
            at("verb"),
            at("principal"),
            at("to"),
            at("mode"),
            reason(&at("reason"))
        ));
    }
    if !earlier.rows.is_empty() {
        page.heading(&format!("Before, on {}", plain(&row["instance_id"])));
        earlier.rows.iter().for_each(|other| page.line(&short(session, other)));
    }
    next(&row, &mut page);
    Ok(page)
}

fn reason(text: &str) -> String {
    if text.is_empty() || text == "-" { String::new() } else { format!("  ({text})") }
}

fn head(session: &Session, row: &Row, page: &mut Page) {
    let (text, now) = (|name: &str| plain(&row[name]), session.now());
    page.heading(&format!("Remediation {}", text("id")));
    page.fact("state", &format!("{}, version {}", text("state"), text("version")));
    page.fact("repair", &text("mode"));
    let (instance, name, host) = (text("instance_id"), text("instance_name"), text("host_id"));
    page.fact("machine", &format!("{instance} ({name}) on host {host}, cluster {}", text("cluster_id")));
    page.fact("generation", &text("generation"));
    page.fact("why", &text("reason"));
    let rule = text("rule");
    if !rule.is_empty() {
        let resolves = match text("auto_resolve").as_str() {
            "never" => "only a person ends it",
            _ => "ends by itself once its alerts stay clear",
        };
        page.fact("rule", &format!("{rule}; {resolves}"));
    }
    page.fact("asked by", &format!("{}, {}", text("requested_by"), time(&text("created_at"), now)));
    let review = &row["review"];
    if review.is_object() {
        let at = time(&plain(&review["at"]), now);
        page.fact("reviewed by", &format!("{}, {at}{}", plain(&review["by"]), reason(&plain(&review["comment"]))));
    }
    for (name, field) in
        [("raised", "raised_at"), ("clear since", "clear_since"), ("started", "started_at"), ("ended", "ended_at")]
    {
        if !row[field].is_null() {
            page.fact(name, &time(&text(field), now));
        }
    }
    let why = &row["failure"];
    if why.is_object() {
        page.fact("failed", &format!("{}: {}", plain(&why["code"]), plain(&why["detail"])));
    }
    page.fact("note", &text("note"));
    page.fact("alias", &text("alias"));
    page.fact("waits for", &text("waits_for"));
    let due = &row["due"];
    if due.is_object() {
        let what = match plain(&due["why"]).as_str() {
            "resolve" => "it resolves by itself if its alerts stay clear",
            "expire" => "it expires if nobody decides",
            "start" => "it tries to start",
            "retry" => "the driver is asked or called again",
            "soak" => "its alerts are looked at once more",
            "verify_within" => "it fails if its alerts are not clear",
            _ => "it is looked at",
        };
        page.fact("next", &format!("{what}, {}", time(&plain(&due["at"]), now)));
    }
}

/// Whatever would keep it from starting.
fn stops(session: &Session, row: &Row, pauses: &[Row], holds: &[Row], page: &mut Page) {
    let now = session.now();
    for pause in pauses {
        if pause["cluster_id"].is_null() || pause["cluster_id"] == row["cluster_id"] {
            let (by, at) = (plain(&pause["paused_by"]), time(&plain(&pause["paused_at"]), now));
            page.fact("PAUSED", &format!("{} by {by}, {at}: {}", Kind::Pauses.id(pause), plain(&pause["reason"])));
        }
    }
    for hold in holds {
        let (by, until) = (plain(&hold["created_by"]), time(&plain(&hold["expires_at"]), now));
        page.fact("HELD", &format!("by {by} until {until}: {}", plain(&hold["reason"])));
    }
}

/// One line about an alert.
pub fn alert(row: &Row, now: Timestamp, further: &str, id: &str) -> String {
    let at = |name: &str| plain(&row[name]);
    format!("{} {} since {}{further}  [{id}]", at("severity"), at("alert_name"), time(&at("started_at"), now))
}

fn evidence(session: &Session, row: &Row, page: &mut Page) {
    let links = row["linked_alerts"].as_array().map_or(&[][..], Vec::as_slice);
    page.heading(&format!("Evidence: {} alert(s)", links.len()));
    let now = session.now();
    for link in links {
        let at = |name: &str| plain(&link[name]);
        let ended = if link["resolved_at"].is_null() {
            "fires".to_owned()
        } else {
            format!("ended {}", time(&at("resolved_at"), now))
        };
        let refires =
            if link["refires"] == 0 { String::new() } else { format!(", came back {} time(s)", at("refires")) };
        page.line(&alert(link, now, &format!(", {ended}{refires}"), &at("alert_id")));
        let annotation = &link["annotation"];
        for part in ["title", "summary_line", "description"] {
            page.text(&plain(&annotation[part]));
        }
        for xid in annotation["xids"].as_array().map_or(&[][..], Vec::as_slice) {
            page.text(&format!(
                "XID {} {} ({} time(s))",
                plain(&xid["code"]),
                plain(&xid["mnemonic"]),
                plain(&xid["count"])
            ));
        }
    }
    if row["links_omitted"].as_u64().is_some_and(|n| n > 0) {
        page.line(&format!("and {} more", plain(&row["links_omitted"])));
    }
}

fn attempt(session: &Session, row: &Row, page: &mut Page) {
    let attempt = &row["attempt"];
    if !attempt.is_object() {
        return;
    }
    let (at, now) = (|name: &str| plain(&attempt[name]), session.now());
    page.heading("Act");
    page.fact("driver", &format!("{}, operation {}", at("driver"), at("operation_key")));
    page.fact("begun", &time(&at("intended_at"), now));
    page.fact("answer", &format!("{} {}", at("outcome"), at("detail")));
    if !attempt["done_at"].is_null() {
        page.fact("done", &time(&at("done_at"), now));
    }
    let abort = &attempt["abort"];
    if abort.is_object() {
        page.fact(
            "aborted by",
            &format!("{}, {}: {}", plain(&abort["by"]), time(&plain(&abort["at"]), now), plain(&abort["reason"])),
        );
    }
}

/// One line about a remediation.
pub fn short(session: &Session, row: &Row) -> String {
    let text = |name: &str| plain(&row[name]);
    let note = reason(&Kind::Remediations.cell(row, "NOTE", session.now()));
    let at = time(&text("created_at"), session.now());
    format!("{at}  {} {} {}{note}", text("mode"), text("state"), text("id"))
}

/// What may be done, as commands that can be copied.
fn next(row: &Row, page: &mut Page) {
    let (id, version, instance) = (plain(&row["id"]), plain(&row["version"]), plain(&row["instance_id"]));
    let commands = match plain(&row["state"]).as_str() {
        "PENDING_APPROVAL" => vec![
            format!("remedyd approve {id} --version {version} -m '…'"),
            format!("remedyd reject {id} --version {version} -m '…'"),
            format!("remedyd hold {instance} --for 2h -m '…'"),
        ],
        "PENDING" => vec![
            format!("remedyd cancel {id} --version {version} -m '…'"),
            format!("remedyd hold {instance} --for 2h -m '…'"),
        ],
        "QUARANTINING" | "QUARANTINED" | "RUNNING" => vec![format!("remedyd abort {id} -m '…'")],
        _ => vec![format!("remedyd describe instance {instance}")],
    };
    page.heading("What you may do");
    commands.iter().for_each(|command| page.line(command));
}
