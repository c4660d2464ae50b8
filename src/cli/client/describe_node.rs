//! The pages about an instance and about an alert.

use serde_json::Value;

use super::describe::{self, EARLIER, Page, short};
use super::fields::plain;
use super::text::time;
use super::{Outcome, Session, describe_run, lists};
use crate::cli::args::Kind;

/// A node: where it is, what fires on it, what keeps it from being repaired, what was done.
pub async fn instance(session: &Session, id: &str) -> Outcome<Page> {
    let row = lists::one(session, Kind::Instances, id).await?;
    let id = plain(&row["id"]);
    let of_node = [("instance_id", id.clone())];
    let firing = lists::all(session, Kind::Alerts, &of_node, 0, |alert| alert["state"] != "RESOLVED").await?;
    let repairs = lists::all(session, Kind::Remediations, &of_node, EARLIER, |_| true).await?;
    let holds = lists::all(session, Kind::Holds, &of_node, 0, |_| true).await?.rows;
    let conditions = lists::all(session, Kind::Conditions, &of_node, 0, |_| true).await?.rows;
    let pauses = lists::all(session, Kind::Pauses, &[], 0, |pause| {
        pause["cluster_id"].is_null() || pause["cluster_id"] == row["cluster_id"]
    });
    let pauses = pauses.await?.rows;
    let (text, now) = (|name: &str| plain(&row[name]), session.now());
    let mut page = Page::default();
    page.heading(&format!("Instance {id}"));
    page.fact("name", &text("name"));
    page.fact("cluster", &text("cluster_id"));
    page.fact("host", &text("host_id"));
    page.fact("pool", &text("pool"));
    page.fact("addresses", &text("addresses"));
    page.fact("provider id", &text("provider_id"));
    page.fact("generation", &text("generation"));
    page.fact("domains", &text("domains"));
    if row["auto_remediation_enabled"] == false {
        page.fact("opted out", "nothing opens here by itself; a person may create a remediation");
    }
    let held = &row["held"];
    if held.is_object() {
        let until = plain(&held["until"]);
        let until = if until.is_empty() { String::new() } else { format!(", until {}", time(&until, now)) };
        page.fact(
            "waits",
            &format!("rule {} wants {}: {}{until}", plain(&held["rule"]), plain(&held["mode"]), plain(&held["why"])),
        );
    }
    for pause in &pauses {
        page.fact(
            "PAUSED",
            &format!("{} by {}: {}", Kind::Pauses.id(pause), plain(&pause["paused_by"]), plain(&pause["reason"])),
        );
    }
    for hold in &holds {
        let until = time(&plain(&hold["expires_at"]), now);
        page.fact("HELD", &format!("by {} until {until}: {}", plain(&hold["created_by"]), plain(&hold["reason"])));
    }
    page.heading(&format!("Fires: {} alert(s)", firing.rows.len()));
    for alert in &firing.rows {
        let muted = if alert["muted"] == true { ", muted at its source" } else { "" };
        page.line(&describe::alert(alert, now, muted, &plain(&alert["id"])));
    }
    describe_run::conditions(&conditions, now, &mut page);
    page.heading("Repairs, newest first");
    repairs.rows.iter().for_each(|other| page.line(&short(session, other)));
    page.heading("What you may do");
    let live = repairs.rows.iter().find(|other| {
        ["PENDING_APPROVAL", "PENDING", "QUARANTINING", "QUARANTINED", "RUNNING"]
            .contains(&plain(&other["state"]).as_str())
    });
    match live {
        Some(live) => page.line(&format!("remedyd describe remediation {}", plain(&live["id"]))),
        None => page.line(&format!("remedyd create remediation {id} --mode reboot_vm -m '…'")),
    }
    match holds.is_empty() {
        true => page.line(&format!("remedyd hold {id} --for 2h -m '…'")),
        false => page.line(&format!("remedyd unhold {id}")),
    }
    Ok(page)
}

/// An alert: what was said, and what became of it.
pub async fn alert(session: &Session, id: &str) -> Outcome<Page> {
    let row = lists::one(session, Kind::Alerts, id).await?;
    let (text, now) = (|name: &str| plain(&row[name]), session.now());
    let mut page = Page::default();
    page.heading(&format!("Alert {}", text("id")));
    page.fact("name", &text("alert_name"));
    page.fact(
        "state",
        &format!("{}{}", text("state"), if row["muted"] == true { ", muted at its source" } else { "" }),
    );
    page.fact("severity", &text("severity"));
    page.fact("source", &text("source"));
    page.fact("cluster", &text("cluster_id"));
    page.fact("instance", &text("instance_id"));
    page.fact("not joined", &text("unjoined_reason"));
    for (name, field) in [("began", "started_at"), ("ended", "resolved_at"), ("last heard", "last_seen_at")] {
        if !row[field].is_null() {
            page.fact(name, &time(&text(field), now));
        }
    }
    page.fact("remediation", &text("remediation_id"));
    for (heading, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
        page.heading(heading);
        for (name, value) in row[field].as_object().into_iter().flatten() {
            page.line(&format!("{name}: {}", plain(value)));
        }
    }
    page.heading("What you may do");
    match (&row["remediation_id"], &row["instance_id"]) {
        (Value::String(id), _) => page.line(&format!("remedyd describe remediation {id}")),
        (_, Value::String(id)) => page.line(&format!("remedyd describe instance {id}")),
        _ => page.line("join it to an instance: the inventory has none by a name of its labels"),
    }
    Ok(page)
}
