//! Medians and ranges over the rounds; ratios are those of each round, since both sides of it met the same machine.

use serde_json::{Value, json};

use super::super::measured::Figures;
use super::super::table::{Bar, Line, Spread, digits};

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

type Reading = fn(&Figures) -> f64;

const PER_SECOND: Reading = |figures| figures.checks as f64 / figures.wall.as_secs_f64();
const CPU_MICROS: Reading = |figures| figures.cpu.as_secs_f64() * 1e6 / figures.checks as f64;
const SECONDS: Reading = |figures| figures.wall.as_secs_f64();
const MEBIBYTES: Reading = |figures| figures.rss_bytes as f64 / f64::from(1 << 20);

/// What is read of each figure.
const READINGS: [(&str, Reading); 4] = [
    ("checks per second", PER_SECOND),
    ("CPU per check, µs", CPU_MICROS),
    ("seconds", SECONDS),
    ("RSS, MiB", MEBIBYTES),
];

impl Report {
    pub fn add(&mut self, name: &'static str, who: &'static str, figures: Figures) {
        let at = self.rows.iter().position(|row| row.name == name && row.who == who).unwrap_or_else(|| {
            self.rows.push(Row { name, who, rounds: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[at].rounds.push(figures);
    }

    /// The ratios; beside each, what it is made of.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (ours, theirs) in self.pairs() {
            for (what, reading) in READINGS.iter() {
                let Some(bar) = bar(ours.name, what) else { continue };
                let median = |row: &Row| digits(Spread::of(row.rounds.iter().map(*reading)).median);
                let wrong = |row: &Row| row.rounds.iter().map(|figures| figures.wrong).sum::<u64>();
                let what = format!("{}: {what} ÷ {}", ours.name, theirs.who);
                let beside = format!(
                    "{}; {}; {} and {} wrong verdicts",
                    median(ours),
                    median(theirs),
                    wrong(ours),
                    wrong(theirs)
                );
                lines.push(Line::new(what, bar, Bar::Shown, ratio(ours, theirs, *reading)).beside(beside));
            }
        }
        for (ours, theirs, front) in self.fronts() {
            let values = ours.rounds.iter().zip(&theirs.rounds).zip(&front.rounds);
            let ratio = Spread::of(
                values.map(|((mine, other), front)| CPU_MICROS(mine) / (CPU_MICROS(other) - CPU_MICROS(front))),
            );
            let what = format!("{}: CPU per check ÷ {} less its front", ours.name, theirs.who);
            lines.push(Line::new(what, Bar::Shown, Bar::Shown, ratio));
        }
        lines
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
            READINGS.iter().map(move |(what, reading)| {
                let ratio = ratio(ours, theirs, *reading);
                json!({
                    "row": ours.name, "peer": theirs.who, "what": what,
                    "median": ratio.median, "least": ratio.least, "most": ratio.most,
                })
            })
        });
        json!({ "ratios": ratios.collect::<Vec<_>>(), "figures": rows.collect::<Vec<_>>() })
    }

    /// Ours and a peer's, with what asking the peer costs by itself: its HTTP server is no part of a check.
    fn fronts(&self) -> Vec<(&Row, &Row, &Row)> {
        let with_front = self.pairs().into_iter().filter_map(|(ours, theirs)| {
            let front = self.rows.iter().find(|row| row.name == ours.name && row.who.ends_with("alone"))?;
            Some((ours, theirs, front))
        });
        with_front.collect()
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
        ("tcp" | "http", "seconds") | (_, "checks per second") => None,
        (_, "seconds") => Some(Bar::AtMost(1.0)),
        _ => Some(Bar::Shown),
    }
}

fn ratio(ours: &Row, theirs: &Row, reading: Reading) -> Spread {
    Spread::of(ours.rounds.iter().zip(&theirs.rounds).map(|(mine, other)| reading(mine) / reading(other)))
}
