//! `-l`: which rows Alertmanager matchers hold for.
//!
//! A name is looked for among the row's own fields, then among an alert's labels, then among pool and failure domains of
//! the row's instance, which are asked for only where a matcher needs them.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Row, plain, value_of};
use super::{Failure, MISTAKE, Outcome, Session, lists};
use crate::cli::args::Kind;
use crate::domain::matcher::Matchers;

/// What was asked for.
pub struct Selection {
    kind: Kind,
    matchers: Matchers,
    names: Vec<String>,
    /// Pool and domains by instance; empty where no matcher needs them.
    instances: BTreeMap<String, Row>,
    /// Names of matchers that some row had.
    met: BTreeSet<String>,
    /// Whether there was any row.
    is_tried: bool,
}

impl Selection {
    /// Reads the matchers; no text selects everything.
    pub async fn read(session: &Session, kind: Kind, text: Option<&str>) -> Outcome<Self> {
        let matchers = Matchers::parse(text.unwrap_or(""))
            .map_err(|error| Failure::new(super::USAGE, format!("--selector: {error}")))?;
        if text.is_some() && matchers.is_empty() {
            return Err(Failure::new(super::USAGE, "--selector: it is empty, which would mean everything"));
        }
        let names: Vec<String> = matchers.label_names().into_iter().map(str::to_owned).collect();
        let mut selection =
            Self { kind, matchers, names, instances: BTreeMap::new(), met: BTreeSet::new(), is_tried: false };
        let has_node = matches!(kind, Kind::Remediations | Kind::Alerts | Kind::Holds | Kind::Runs | Kind::Conditions);
        if has_node && selection.names.iter().any(|name| !KNOWN.contains(&name.as_str())) {
            let found = lists::all(session, Kind::Instances, &[], 0, |_| true).await?;
            selection.instances = found.rows.into_iter().map(|row| (plain(&row["id"]), row)).collect();
        }
        Ok(selection)
    }

    /// What the API can look for by itself: it has indexes.
    pub fn filters(&self) -> Vec<(&'static str, String)> {
        let able: &[(&str, &'static str)] = match self.kind {
            Kind::Remediations => &[
                ("state", "state"),
                ("mode", "mode"),
                ("trigger", "trigger"),
                ("cluster", "cluster_id"),
                ("instance", "instance_id"),
            ],
            Kind::Alerts => &[
                ("state", "state"),
                ("severity", "severity"),
                ("alertname", "alert_name"),
                ("cluster", "cluster_id"),
                ("instance", "instance_id"),
            ],
            Kind::Instances => &[("cluster", "cluster_id")],
            Kind::Holds => &[("instance", "instance_id")],
            Kind::Runs => {
                &[("cluster", "cluster_id"), ("instance", "instance_id"), ("check", "check"), ("verdict", "verdict")]
            }
            Kind::Conditions => {
                &[("cluster", "cluster_id"), ("instance", "instance_id"), ("check", "check"), ("belief", "belief")]
            }
            Kind::DeadLetters | Kind::Pauses => &[],
        };
        let required = |(name, parameter): &(&str, &'static str)| {
            let value = self.matchers.required(name).filter(|value| !value.is_empty())?;
            Some((*parameter, value.to_owned()))
        };
        able.iter().filter_map(required).collect()
    }

    /// Whether the matchers hold for a row.
    pub fn holds(&mut self, row: &Row) -> bool {
        let values: BTreeMap<&str, String> =
            self.names.iter().filter_map(|name| Some((name.as_str(), self.value(row, name)?))).collect();
        let holds = self.matchers.matches(|name| values.get(name).map_or("", String::as_str));
        let met: Vec<String> = values.keys().map(|name| (*name).to_owned()).collect();
        self.met.extend(met);
        self.is_tried = true;
        holds
    }

    fn value(&self, row: &Row, name: &str) -> Option<String> {
        if let Some(value) = value_of(self.kind, row, name) {
            return Some(value);
        }
        let label = row.get("labels").and_then(|labels| labels.get(name)).map(plain);
        label.or_else(|| {
            let node = match self.kind {
                Kind::Instances => Some(row),
                _ => self.instances.get(&plain(row.get("instance_id")?)),
            }?;
            match name {
                "pool" => node.get("pool").map(plain),
                _ => node.get("domains")?.get(name.strip_prefix("domain_").unwrap_or(name)).map(plain),
            }
        })
    }

    /// A name that no row had: most likely a slip of the pen, which a negative matcher turns into "everything".
    pub fn unmet(&self) -> Option<&str> {
        self.names.iter().find(|name| self.is_tried && !self.met.contains(*name)).map(String::as_str)
    }

    /// Refuses a selection with such a name.
    pub fn must_be_met(&self) -> Outcome {
        match self.unmet() {
            None => Ok(()),
            Some(name) => Err(Failure::new(MISTAKE, format!("--selector: no row has anything called `{name}`"))),
        }
    }
}

/// Fields that rows carry themselves; whatever else is asked for may be a domain.
const KNOWN: [&str; 27] = [
    "id",
    "state",
    "mode",
    "trigger",
    "cluster",
    "cluster_id",
    "instance",
    "instance_id",
    "name",
    "host",
    "host_id",
    "rule",
    "reason",
    "requested_by",
    "reviewed_by",
    "severity",
    "alertname",
    "alert_name",
    "source",
    "failure",
    "check",
    "kind",
    "verdict",
    "belief",
    "finding",
    "findings",
    "why",
];
