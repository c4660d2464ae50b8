//! The page of the metrics, read from a scrape in which every family has a child.

use std::collections::{BTreeMap, BTreeSet};

use super::{head, row};
use crate::domain::{CheckId, ClusterId, DiscoveryId, DriverId, NoticeId, RuleId, SourceId, Timestamp};
use crate::telemetry::metrics::{Known, Metrics};

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The whole page.
pub(super) fn markdown() -> String {
    let mut page =
        "# Metrics\n\nMade by `remedyd reference metrics`. `GET /metrics`, in Prometheus' text format; open to \
        this machine, else role viewer. Counters begin at the start of the process.\n\n"
            .to_owned();
    page.push_str(&head(&["name", "type", "labels", "meaning"]));
    for (name, family) in families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        page.push_str(&row([&*format!("`{name}`"), &family.kind, &labels.join(", "), &family.help]));
    }
    page
}

fn families() -> BTreeMap<String, Family> {
    let metrics = Metrics::new(Timestamp::default());
    let mut known = Known::default();
    // Names that nobody sees: only the labels' own names are read.
    known.sources.extend(SourceId::parse("main").ok());
    known.discoveries.extend(DiscoveryId::parse("netbox").ok());
    known.rules.extend(RuleId::parse("rule").ok());
    known.receivers.extend(NoticeId::parse("chat").ok());
    known.clusters.extend(ClusterId::parse("train-a").ok());
    known.drivers.extend(DriverId::parse("vm").ok());
    known.checks.extend(CheckId::parse("ssh").ok());
    known.principals.insert("ann".to_owned());
    metrics.configured(known, "", Timestamp::default());
    metrics.scrubbed(&[("alerts", 0)], 0);
    metrics.request_began("alerts").stop_and_discard();
    metrics.request_ended("alerts", 200);
    let text = metrics.render().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    read(&text)
}

/// Prometheus' text format, of which a family's own labels count: not a histogram's `le`.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                current = name.to_owned();
                families.entry(current.clone()).or_default().help = help.to_owned();
            }
            ["#", "TYPE", name, kind] => families.entry(name.to_owned()).or_default().kind = kind.to_owned(),
            _ => {
                let labels =
                    line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
                let names =
                    labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
                let family = families.entry(current.clone()).or_default();
                family.labels.extend(names.filter(|name| name != "le"));
            }
        }
    }
    families
}
