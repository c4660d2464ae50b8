//! The rows of the API as the command line speaks of them: short names for fields, and which columns a table has.

use serde_json::Value;

use super::text::age;
use crate::cli::args::Kind;
use crate::domain::Timestamp;

/// One row: an object, of which another release may lack a key. What is missing reads as nothing.
pub type Row = Value;

/// The text of a value: nothing for `null`, words for lists.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(pairs) => {
            pairs.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(",")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

impl Kind {
    /// The path of the list, and the name of the rows in the answer.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Remediations => "remediations",
            Self::Alerts => "alerts",
            Self::Instances => "instances",
            Self::Holds => "holds",
            Self::DeadLetters => "dead-letters",
            Self::Pauses => "pauses",
            Self::Runs => "runs",
            Self::Conditions => "conditions",
        }
    }

    /// One of them, as `-o name` says it.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Remediations => "remediation",
            Self::Alerts => "alert",
            Self::Instances => "instance",
            Self::Holds => "hold",
            Self::DeadLetters => "dead-letter",
            Self::Pauses => "pause",
            Self::Runs => "run",
            Self::Conditions => "condition",
        }
    }

    /// The id of what may be written as `-o name` prints it: `remediation/01a2…`.
    pub fn bare(self, id: &str) -> &str {
        id.strip_prefix(self.singular()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(id)
    }

    /// What tells a row from the others.
    pub fn id(self, row: &Row) -> String {
        match self {
            Self::Pauses => match &row["cluster_id"] {
                Value::String(cluster) => cluster.clone(),
                _ => "everything".to_owned(),
            },
            Self::Conditions => format!("{}/{}", plain(&row["check"]), plain(&row["instance_id"])),
            Self::Remediations | Self::Alerts | Self::Instances | Self::Holds | Self::DeadLetters | Self::Runs => {
                plain(&row["id"])
            }
        }
    }

    /// The columns of a table, and of a wide one.
    pub const fn headers(self, wide: bool) -> &'static [&'static str] {
        match (self, wide) {
            (Self::Remediations, false) => &["ID", "INSTANCE", "MODE", "STATE", "VERSION", "AGE", "NOTE"],
            (Self::Remediations, true) => &[
                "ID",
                "CLUSTER",
                "INSTANCE",
                "HOST",
                "MODE",
                "STATE",
                "VERSION",
                "AGE",
                "TRIGGER",
                "RULE",
                "ALERTS",
                "BY",
                "REVIEWED-BY",
                "REASON",
                "NOTE",
            ],
            (Self::Alerts, false) => &["ID", "ALERT", "SEVERITY", "STATE", "INSTANCE", "AGE"],
            (Self::Alerts, true) => &[
                "ID",
                "ALERT",
                "SEVERITY",
                "STATE",
                "MUTED",
                "CLUSTER",
                "INSTANCE",
                "SOURCE",
                "AGE",
                "REMEDIATION",
                "SUMMARY",
            ],
            (Self::Instances, false) => &["ID", "CLUSTER", "HOST", "POOL", "HELD", "WANTS"],
            (Self::Instances, true) => &[
                "ID",
                "NAME",
                "CLUSTER",
                "HOST",
                "POOL",
                "GENERATION",
                "PROVIDER-ID",
                "AUTO",
                "HELD",
                "WANTS",
                "RULE",
                "DOMAINS",
            ],
            (Self::Holds, false) => &["ID", "INSTANCE", "BY", "AGE", "EXPIRES", "REASON"],
            (Self::Holds, true) => &["ID", "CLUSTER", "INSTANCE", "BY", "AGE", "EXPIRES", "ENDED-BY", "REASON"],
            (Self::DeadLetters, false) => &["ID", "SOURCE", "AGE", "REASON"],
            (Self::DeadLetters, true) => &["ID", "SOURCE", "AGE", "REASON", "RAW"],
            (Self::Runs, false) => &["ID", "CHECK", "INSTANCE", "VERDICT", "AGE", "FINDINGS"],
            (Self::Runs, true) => {
                &["ID", "CHECK", "KIND", "CLUSTER", "INSTANCE", "VERDICT", "AGE", "TOOK", "WHY", "FINDINGS", "EVIDENCE"]
            }
            (Self::Conditions, false) => &["CHECK", "INSTANCE", "BELIEF", "AGE", "VERDICT", "FINDINGS"],
            (Self::Conditions, true) => {
                &["CHECK", "KIND", "CLUSTER", "INSTANCE", "BELIEF", "AGE", "VERDICT", "RUN", "FINDINGS", "SPENT"]
            }
            (Self::Pauses, _) => &["PAUSED", "BY", "AGE", "REASON"],
        }
    }

    /// What stands in a column.
    pub fn cell(self, row: &Row, header: &str, now: Timestamp) -> String {
        let ago = |name: &str| age(&plain(&row[name]), now);
        match (self, header) {
            (_, "ID" | "PAUSED") => self.id(row),
            (Self::Remediations | Self::Holds, "AGE") => ago("created_at"),
            (Self::Alerts, "AGE") => ago("started_at"),
            (Self::DeadLetters, "AGE") => ago("received_at"),
            (Self::Pauses, "AGE") => ago("paused_at"),
            (Self::Runs, "AGE") => ago("ended_at"),
            (Self::Conditions, "AGE") => ago("since"),
            (_, "EXPIRES") => ago("expires_at"),
            (Self::Remediations, "NOTE") => note(row),
            (Self::Remediations, "ALERTS") => row["linked_alerts"].as_array().map_or(0, Vec::len).to_string(),
            (Self::Alerts, "INSTANCE") if row["instance_id"].is_null() => {
                format!("({})", plain(&row["unjoined_reason"]))
            }
            (_, header) => value_of(self, row, &header.to_lowercase().replace('-', "_")).unwrap_or_default(),
        }
    }
}

/// What keeps it, or how it ended.
fn note(row: &Row) -> String {
    for text in [&row["waits_for"], &row["note"]] {
        if !text.is_null() {
            return plain(text);
        }
    }
    match &row["failure"] {
        why if why.is_object() => format!("{}: {}", plain(&why["code"]), plain(&why["detail"])),
        _ => String::new(),
    }
}

/// Each finding by its name, its XID and its part of the node: `xid:79@GPU-7`; what is not believed says so.
pub fn findings(list: &Value) -> String {
    let one = |finding: &Value| {
        let mut text = plain(&finding["name"]);
        if !finding["xid"].is_null() {
            text.push_str(&format!(":{}", plain(&finding["xid"])));
        }
        if finding["device"].as_str().is_some_and(|device| !device.is_empty()) {
            text.push_str(&format!("@{}", plain(&finding["device"])));
        }
        match finding["trust"].as_str() {
            None | Some("believed") => text,
            Some(trust) => format!("{text} ({trust})"),
        }
    };
    list.as_array().map_or(&[][..], Vec::as_slice).iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How long a run took: `0.25s`; nothing where its times are none.
pub fn took(run: &Row) -> String {
    let time = |name: &str| Timestamp::parse(run[name].as_str().unwrap_or(""));
    match (time("started_at"), time("ended_at")) {
        (Ok(started), Ok(ended)) => format!("{:.3}s", ended.since(started).as_secs_f64()),
        _ => String::new(),
    }
}

/// A field by the name that columns, matchers and `--sort-by` use: a short one, or the API's own. Nothing where rows of
/// this kind have no such field.
pub fn value_of(kind: Kind, row: &Row, name: &str) -> Option<String> {
    let name = match (kind, name) {
        (_, "cluster") => "cluster_id",
        (Kind::Instances, "host") | (Kind::Remediations, "host") => "host_id",
        (Kind::Instances, "auto") => "auto_remediation_enabled",
        (Kind::Remediations, "name") => "instance_name",
        (Kind::Remediations | Kind::Alerts | Kind::Holds | Kind::Runs | Kind::Conditions, "instance") => "instance_id",
        (Kind::Alerts, "alert" | "alertname") => "alert_name",
        (Kind::Alerts, "remediation") => "remediation_id",
        (Kind::Remediations, "by") => "requested_by",
        (Kind::Holds, "by") => "created_by",
        (Kind::Pauses, "by") => "paused_by",
        (Kind::Runs | Kind::Conditions, "finding") => "findings",
        (Kind::Conditions, "run") => "run_id",
        (_, other) => other,
    };
    let inner = |outer: &str, name: &str| row.get(outer).map(|value| plain(&value[name]));
    match (kind, name) {
        (Kind::Remediations, "reviewed_by") => inner("review", "by"),
        (Kind::Remediations, "failure") => inner("failure", "code"),
        (Kind::Instances, "held") => inner("held", "why"),
        (Kind::Instances, "wants") => inner("held", "mode"),
        (Kind::Instances, "rule") => inner("held", "rule"),
        (Kind::Runs, "findings") => row.get("findings").map(findings),
        (Kind::Conditions, "findings") => row.get("standing").map(findings),
        (Kind::Conditions, "spent") => row.get("spent").map(findings),
        (Kind::Runs, "took") => Some(took(row)),
        (Kind::Alerts, "summary") => inner("annotations", "summary"),
        (_, name) => row.get(name).map(plain),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_of_another_release_has_empty_cells() {
        for kind in Kind::value_variants() {
            for header in [kind.headers(false), kind.headers(true)].concat() {
                let cell = kind.cell(&json!({}), header, Timestamp::default());
                assert!(["", "0", "everything", "()"].contains(&cell.as_str()), "{kind:?} {header}: {cell}");
            }
        }
    }

    #[test]
    fn findings_are_told_from_each_other() {
        let run = json!({
            "findings": [{"name": "xid", "xid": 79, "device": "GPU-7"}, {"name": "timeout", "xid": null, "device": ""}],
            "started_at": "2026-11-20T18:00:00Z", "ended_at": "2026-11-20T18:00:00.250000Z",
        });
        assert_eq!(Kind::Runs.cell(&run, "FINDINGS", Timestamp::default()), "xid:79@GPU-7, timeout");
        assert_eq!(Kind::Runs.cell(&run, "TOOK", Timestamp::default()), "0.250s");
        let condition = json!({
            "check": "ssh", "instance_id": "i-7",
            "standing": [{"name": "refused", "trust": "believed"}, {"name": "timeout", "trust": "suspected"}],
        });
        assert_eq!(value_of(Kind::Conditions, &condition, "finding").unwrap(), "refused, timeout (suspected)");
        assert_eq!(Kind::Conditions.id(&condition), "ssh/i-7");
    }

    #[test]
    fn fields_have_short_names_and_those_of_the_api() {
        let row = json!({"cluster_id": "c", "host_id": "h", "review": {"by": "ann"}, "version": 3});
        for (name, value) in
            [("cluster", "c"), ("cluster_id", "c"), ("host", "h"), ("reviewed_by", "ann"), ("version", "3")]
        {
            assert_eq!(value_of(Kind::Remediations, &row, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(value_of(Kind::Remediations, &row, "rack"), None);
    }
}
