//! The table that all rows end in: what was measured, what must hold, and the peer beside it.

use std::fmt::Write;

use serde_json::{Value, json};

/// One figure over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of the values of the rounds, of which there is at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
    }

    /// `median (least to most)`.
    pub fn text(&self) -> String {
        format!("{} ({} to {})", digits(self.median), digits(self.least), digits(self.most))
    }

    pub fn json(&self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// A number with three digits that count.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 || size == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

/// What must hold of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// It is shown, and nothing is asked of it.
    Shown,
}

impl Bar {
    /// Nothing where nothing is asked.
    pub fn holds(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtLeast(bar) => Some(figure >= bar),
            Self::AtMost(bar) => Some(figure <= bar),
            Self::Shown => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {}", short(bar)),
            Self::AtMost(bar) => format!("≤ {}", short(bar)),
            Self::Shown => String::new(),
        }
    }
}

fn short(bar: f64) -> String {
    format!("{}", (bar * 1000.0).round() / 1000.0)
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured, in which unit.
    pub what: String,
    pub bar: Bar,
    /// What is worth reaching for beyond the bar.
    pub reach: Bar,
    pub figure: Spread,
    /// What it is made of: our own figure and the peer's, or how it was looked at.
    pub beside: String,
}

impl Line {
    /// A line without anything beside it.
    pub fn new(what: impl Into<String>, bar: Bar, reach: Bar, figure: Spread) -> Self {
        Self { what: what.into(), bar, reach, figure, beside: String::new() }
    }

    #[must_use]
    pub fn beside(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }

    fn verdict(&self) -> &'static str {
        match (self.bar.holds(self.figure.median), self.reach.holds(self.figure.median)) {
            (Some(false), _) => "MISSED",
            (Some(true), Some(true)) => "held, and what to reach for",
            (Some(true), _) => "held",
            (None, _) => "",
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "what": self.what, "bar": self.bar.text(), "reach": self.reach.text(), "figure": self.figure.json(),
            "beside": self.beside, "verdict": self.verdict(),
        })
    }
}

/// As a table for people.
pub fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    let width = lines.iter().map(|line| line.what.chars().count()).max().unwrap_or_default();
    for line in lines {
        let _ = writeln!(
            out,
            "{:<width$}  {:<30} {:<9} {:<28} {}",
            line.what,
            line.figure.text(),
            line.bar.text(),
            line.verdict(),
            line.beside
        );
    }
    out
}

/// As a table of Markdown.
pub fn markdown(lines: &[Line]) -> String {
    let mut out =
        String::from("| what | figure, median (least to most) | bar | | beside it |\n|---|---|---|---|---|\n");
    for line in lines {
        let (figure, bar) = (line.figure.text(), line.bar.text());
        let _ = writeln!(out, "| {} | {figure} | {bar} | {} | {} |", line.what, line.verdict(), line.beside);
    }
    out
}
