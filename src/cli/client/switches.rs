//! Holds on nodes, and the kill switch.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::fields::plain;
use super::text::{safe, time};
use super::{Failure, NOT_FOUND, Outcome, Session, USAGE, lists};
use crate::cli::args::{Hold, Kind, Lift, Switch};

/// `remedyd hold`
pub async fn hold(session: &Session, asked: &Hold) -> Outcome {
    let body = json!({"instance_id": Kind::Instances.bare(&asked.instance), "for": asked.span, "reason": asked.reason});
    let row = session.daemon.post(&["holds"], &body).await?;
    let (id, instance, until) = (plain(&row["id"]), plain(&row["instance_id"]), plain(&row["expires_at"]));
    writeln!(io::stdout(), "hold/{} on {} until {}", safe(&id), safe(&instance), time(&until, session.now()))?;
    Ok(())
}

/// `remedyd unhold`
pub async fn unhold(session: &Session, asked: &Lift) -> Outcome {
    let which = Kind::Instances.bare(Kind::Holds.bare(&asked.which));
    let filters = [("instance_id", which.to_owned())];
    let mut holds = lists::all(session, Kind::Holds, &filters, 0, |_| true).await?.rows;
    // Every id begins alike: a few letters would name the only hold that there is, whichever it is.
    if holds.is_empty() && !lists::is_too_short(which) {
        let by_id = lists::all(session, Kind::Holds, &[], 0, |row| plain(&row["id"]).starts_with(which)).await?.rows;
        holds = by_id;
        if holds.len() > 1 {
            return Err(Failure::new(USAGE, format!("`{which}` may be several holds: write more of it")));
        }
    }
    if holds.is_empty() {
        return Err(Failure::new(NOT_FOUND, format!("`{which}` is neither a node that is held nor the id of a hold")));
    }
    for hold in holds {
        let id = plain(&hold["id"]);
        let row = session.daemon.delete(&["holds", &id]).await?;
        writeln!(io::stdout(), "hold/{} on {} ended", safe(&id), safe(&plain(&row["instance_id"])))?;
    }
    Ok(())
}

/// `remedyd pause|resume`
pub async fn switch(session: &Session, asked: &Switch, verb: &'static str) -> Outcome {
    let mut body = json!({"reason": asked.reason});
    if let Some(cluster) = &asked.cluster {
        body["cluster_id"] = cluster.as_str().into();
    }
    let row = session.daemon.post(&[verb], &body).await?;
    let text = |name: &str| safe(&plain(&row[name])).into_owned();
    let place = match &row["cluster_id"] {
        Value::String(cluster) => format!("cluster {}", safe(cluster)),
        _ => "everything".to_owned(),
    };
    let now = session.now();
    if verb == "pause" {
        writeln!(
            io::stdout(),
            "{place} is paused by {} since {}: {}",
            text("paused_by"),
            time(&text("paused_at"), now),
            text("reason")
        )?;
        return Ok(());
    }
    writeln!(
        io::stdout(),
        "{place} goes on, resumed by {}; it was paused by {}: {}",
        text("resumed_by"),
        text("paused_by"),
        text("reason")
    )?;
    let others = lists::all(session, Kind::Pauses, &[], 0, |_| true).await?.rows;
    for other in others {
        let id = safe(&Kind::Pauses.id(&other)).into_owned();
        eprintln!("still paused: {id}, by {}: {}", safe(&plain(&other["paused_by"])), safe(&plain(&other["reason"])));
    }
    Ok(())
}
