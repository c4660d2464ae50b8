//! Medians and ranges over the rounds; ratios are those of each round, since both sides of it met the same machine.

use std::fmt::Write;

use serde_json::{Value, json};

use super::measured::Figures;

/// Everything that was measured, in the order of the first round.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    who: &'static str,
    rounds: Vec<Figures>,
}

/// One figure over all rounds.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

/// What must hold of the ratio of ours to theirs.
enum Bar {
    AtLeast(f64),
    AtMost(f64),
    None,
}

type Reading = fn(&Figures) -> f64;

const PER_SECOND: Reading = |figures| figures.checks as f64 / figures.wall.as_secs_f64();
const CPU_MICROS: Reading = |figures| figures.cpu.as_secs_f64() * 1e6 / figures.checks as f64;
const SECONDS: Reading = |figures| figures.wall.as_secs_f64();
const MEBIBYTES: Reading = |figures| figures.rss_bytes as f64 / f64::from(1 << 20);
const WRONG: Reading = |figures| figures.wrong as f64;

/// What is read of each figure.
const READINGS: [(&str, Reading); 5] = [
    ("checks per second", PER_SECOND),
    ("CPU per check, µs", CPU_MICROS),
    ("seconds", SECONDS),
    ("RSS, MiB", MEBIBYTES),
    ("wrong", WRONG),
];

impl Report {
    pub fn add(&mut self, name: &'static str, who: &'static str, figures: Figures) {
        let at = self.rows.iter().position(|row| row.name == name && row.who == who).unwrap_or_else(|| {
            self.rows.push(Row { name, who, rounds: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[at].rounds.push(figures);
    }

    /// The ratios first, then the figures.
    pub fn table(&self) -> String {
        let mut out = String::from("remedyd ÷ peer, median (least to most) of the rounds\n");
        for (ours, theirs) in self.pairs() {
            for (what, reading) in READINGS.iter().take(4) {
                let Some(bar) = bar(ours.name, what) else { continue };
                let ratio = ratio(ours, theirs, *reading);
                let verdict = match bar {
                    Bar::AtLeast(bar) => format!("bar ≥ {bar}: {}", said(ratio.median >= bar)),
                    Bar::AtMost(bar) => format!("bar ≤ {bar}: {}", said(ratio.median <= bar)),
                    Bar::None => String::new(),
                };
                let name = format!("{} : {what} ÷ {}", ours.name, theirs.who);
                let _ = writeln!(out, "  {name:<68} {:<28} {verdict}", ratio.text());
            }
        }
        out.push_str("\nfigures, median (least to most)\n");
        for row in &self.rows {
            let _ = writeln!(out, "  {} · {}, {} rounds", row.name, row.who, row.rounds.len());
            for (what, reading) in READINGS {
                let _ = writeln!(out, "    {what:<20} {}", spread(row.rounds.iter().map(reading)).text());
            }
        }
        out
    }

    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let rounds = row.rounds.iter().map(|figures| {
                json!({
                    "checks": figures.checks,
                    "wrong": figures.wrong,
                    "seconds": figures.wall.as_secs_f64(),
                    "cpu_seconds": figures.cpu.as_secs_f64(),
                    "rss_bytes": figures.rss_bytes,
                })
            });
            json!({ "row": row.name, "who": row.who, "rounds": rounds.collect::<Vec<_>>() })
        });
        let ratios = self.pairs().into_iter().flat_map(|(ours, theirs)| {
            READINGS.iter().take(4).map(move |(what, reading)| {
                let ratio = ratio(ours, theirs, *reading);
                json!({
                    "row": ours.name, "peer": theirs.who, "what": what,
                    "median": ratio.median, "least": ratio.least, "most": ratio.most,
                })
            })
        });
        json!({ "ratios": ratios.collect::<Vec<_>>(), "figures": rows.collect::<Vec<_>>() })
    }

    /// Ours and each peer's of the same row.
    fn pairs(&self) -> Vec<(&Row, &Row)> {
        let ours = |row: &&Row| row.who == "remedyd";
        let pairs = self.rows.iter().filter(ours).flat_map(|mine| {
            let peers =
                self.rows.iter().filter(move |row| row.name == mine.name && !ours(row) && !row.who.ends_with("alone"));
            peers.map(move |peer| (mine, peer))
        });
        pairs.collect()
    }
}

fn bar(row: &str, what: &str) -> Option<Bar> {
    match (row, what) {
        ("tcp", "checks per second") => Some(Bar::AtLeast(5.0)),
        ("tcp", "CPU per check, µs") => Some(Bar::AtMost(0.2)),
        ("http", "checks per second") => Some(Bar::AtLeast(2.5)),
        ("tcp" | "http", "seconds") => None,
        (_, "seconds") => Some(Bar::AtMost(1.0)),
        ("tcp" | "http", _) => Some(Bar::None),
        (_, "checks per second") => None,
        _ => Some(Bar::None),
    }
}

const fn said(holds: bool) -> &'static str {
    if holds { "held" } else { "MISSED" }
}

fn ratio(ours: &Row, theirs: &Row, reading: Reading) -> Spread {
    spread(ours.rounds.iter().zip(&theirs.rounds).map(|(mine, other)| reading(mine) / reading(other)))
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    Spread { median: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
}

impl Spread {
    fn text(&self) -> String {
        let show = |value: f64| match value.abs() {
            value if value >= 100.0 => format!("{value:.0}"),
            value if value >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.3}"),
        };
        format!("{} ({} to {})", show(self.median), show(self.least), show(self.most))
    }
}
