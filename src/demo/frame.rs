//! What a demo shows: everything that is known becomes the lines of one frame. Plain functions over plain data.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fleet::{IN_RACK, Node};
use super::terminal::Size;
use super::watch::{Event, Repair, Seen};
use crate::domain::Timestamp;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Faint,
    Bold,
    Good,
    Bad,
    Waits,
    Busy,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Waits => "\x1b[1;33m",
            Self::Busy => "\x1b[36m",
        }
    }

    /// By the state, or kind of event.
    fn of(kind: &str) -> Self {
        match kind {
            "PENDING_APPROVAL" | "HELD" | "UNJOINED" => Self::Waits,
            "PENDING" | "RUNNING" | "QUARANTINING" | "QUARANTINED" => Self::Busy,
            "SUCCEEDED" | "AUTO_RESOLVED" | "CLEARED" => Self::Good,
            "FAILED" | "FAULT" => Self::Bad,
            _ => Self::Plain,
        }
    }
}

/// One line, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Look, String)>);

impl Line {
    fn of(look: Look, text: impl Into<String>) -> Self {
        Self(vec![(look, text.into())])
    }

    fn and(mut self, look: Look, text: impl Into<String>) -> Self {
        self.0.push((look, text.into()));
        self
    }

    /// The line, not wider than `width`.
    pub(super) fn show(&self, width: usize, colours: bool) -> String {
        let mut left = width;
        let mut shown = String::new();
        for (look, text) in &self.0 {
            let piece: String = text.chars().take(left).collect();
            left -= piece.chars().count();
            let code = if colours { look.code() } else { "" };
            shown.push_str(code);
            shown.push_str(&piece);
            if !code.is_empty() {
                shown.push_str("\x1b[0m");
            }
        }
        shown
    }
}

/// How many events are remembered: more than any terminal has lines.
const REMEMBERED: usize = 200;

/// How long a remediation that ended is still shown.
const SHOWN_AFTER: Duration = Duration::from_secs(45);

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Board {
    pub nodes: Vec<Node>,
    /// `http://ADDRESS`
    pub url: String,
    pub started: Timestamp,
    /// Whether keys are heard.
    pub keys: bool,
    pub seen: Seen,
    pub events: VecDeque<Event>,
    /// Nodes that are sick at this moment.
    pub sick: BTreeMap<String, usize>,
}

impl Board {
    /// Something happened.
    pub(super) fn note(&mut self, event: Event) {
        if self.events.len() == REMEMBERED {
            self.events.pop_front();
        }
        // What was read a moment later may have happened a moment earlier.
        let at = self.events.partition_point(|known| known.at <= event.at);
        self.events.insert(at, event);
    }

    /// The event as a line of its own.
    pub(super) fn line(&self, event: &Event) -> Line {
        let since = event.at.since(self.started).as_secs_f64();
        Line::of(Look::Faint, format!("{since:6.1}s  "))
            .and(Look::Bold, format!("{:<8} ", event.node))
            .and(Look::of(&event.kind), format!("{:<17}", event.kind))
            .and(Look::Plain, event.words.clone())
    }

    /// How many remediations are in each state.
    fn count(&self, states: &[&str]) -> usize {
        self.seen.repairs.iter().filter(|repair| states.contains(&repair.state.as_str())).count()
    }

    /// One line that sums up.
    pub(super) fn summary(&self) -> String {
        let parts = [
            ("waiting for a person", self.count(&["PENDING_APPROVAL"])),
            ("under way", self.count(&["PENDING", "QUARANTINING", "QUARANTINED", "RUNNING"])),
            ("SUCCEEDED", self.count(&["SUCCEEDED"])),
            ("AUTO_RESOLVED", self.count(&["AUTO_RESOLVED"])),
            ("FAILED", self.count(&["FAILED"])),
            ("CANCELLED", self.count(&["CANCELLED"])),
        ];
        let shown = parts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}"));
        let shown: Vec<String> = shown.collect();
        if shown.is_empty() { "no remediation yet".to_owned() } else { shown.join(", ") }
    }

    /// The whole frame, which fits into the terminal.
    pub(super) fn frame(&self, now: Timestamp, (_, rows): Size) -> Vec<Line> {
        let mut lines = self.head(now);
        lines.extend(self.strip());
        let foot = self.foot();
        // One row stays free for the cursor.
        let room = rows.saturating_sub(lines.len() + foot.len() + 5);
        let shown: Vec<&Repair> = self.shown(now).take(room.div_ceil(2).max(1)).collect();
        lines.push(Line::default());
        let [node, mode, state, age, rule, next] = ["NODE", "MODE", "STATE", "AGE", "RULE", "WAITS FOR"];
        let titles = format!(" {node:<8} {mode:<11} {state:<17}{age:>5}  {rule:<29} {next}");
        lines.push(Line::of(Look::Faint, titles));
        lines.extend(shown.iter().map(|repair| self.row(repair, now)));
        lines.push(Line::default());
        let room = rows.saturating_sub(lines.len() + foot.len() + 2);
        let skip = self.events.len().saturating_sub(room);
        lines.extend(self.events.iter().skip(skip).map(|event| self.line(event)));
        lines.push(Line::default());
        lines.extend(foot);
        lines
    }

    fn head(&self, now: Timestamp) -> Vec<Line> {
        let seconds = now.since(self.started).as_secs();
        let Seen { firing, unjoined, held, .. } = &self.seen;
        let clock = format!("   {} simulated nodes   {}:{:02}   ", self.nodes.len(), seconds / 60, seconds % 60);
        let alerts =
            format!(" {firing} alert(s) firing, {unjoined} about no known node; {} node(s) held back", held.len());
        vec![
            Line::of(Look::Bold, " remedyd demo").and(Look::Plain, clock).and(Look::Busy, self.url.clone()),
            Line::of(Look::Plain, format!(" {}", self.summary())),
            Line::of(Look::Faint, alerts),
        ]
    }

    /// The live ones, those that a person is asked about first, then those that ended a short while ago.
    fn shown(&self, now: Timestamp) -> impl Iterator<Item = &Repair> {
        let (live, ended): (Vec<_>, Vec<_>) = self.seen.repairs.iter().partition(|repair| repair.ended_at.is_none());
        let (mut asked, mut busy): (Vec<_>, Vec<_>) = live.into_iter().partition(|repair| repair.is_proposal());
        asked.reverse();
        busy.reverse();
        let recent =
            ended.into_iter().filter(move |repair| repair.ended_at.is_some_and(|end| now.since(end) < SHOWN_AFTER));
        asked.into_iter().chain(busy).chain(recent)
    }

    fn row(&self, repair: &Repair, now: Timestamp) -> Line {
        let age = repair.ended_at.unwrap_or(now).since(repair.created_at).as_secs();
        let next = match repair.state.as_str() {
            "PENDING_APPROVAL" => "your approval",
            "SUCCEEDED" => "- (proven: its alerts cleared)",
            "AUTO_RESOLVED" => "- (its alerts cleared by themselves)",
            "FAILED" => repair.failure.as_str(),
            _ => repair.waits_for.as_str(),
        };
        let rule = if repair.alerts > 1 { format!("{} ×{}", repair.rule, repair.alerts) } else { repair.rule.clone() };
        Line::of(Look::Bold, format!(" {:<8} ", repair.node))
            .and(Look::Plain, format!("{:<11} ", repair.mode))
            .and(Look::of(&repair.state), format!("{:<17}", repair.state))
            .and(Look::Plain, format!("{age:>4}s  {rule:<29} "))
            .and(Look::Faint, next)
    }

    /// A cell for each node, a group for each rack; of large fleets, a cell for several nodes.
    fn strip(&self) -> Vec<Line> {
        const CELLS: usize = 64;
        let each = self.nodes.len().div_ceil(CELLS);
        let mut line = Line::of(Look::Faint, " ");
        for (at, nodes) in self.nodes.chunks(each).enumerate() {
            if at > 0 && at % IN_RACK == 0 {
                line = line.and(Look::Plain, " ");
            }
            let cell = nodes.iter().map(|node| self.cell(node)).max_by_key(|(rank, ..)| *rank);
            let (_, look, sign) = cell.unwrap_or((0, Look::Faint, "·"));
            line = line.and(look, sign);
        }
        let legend = " · well  ! alert  ? wants approval  * in repair  + repaired  o opted out";
        vec![line, Line::of(Look::Faint, legend)]
    }

    /// How much a node needs to be seen, and how it is drawn.
    fn cell(&self, node: &Node) -> (u8, Look, &'static str) {
        let latest = self.seen.repairs.iter().find(|repair| repair.node == node.name);
        match latest.map(|repair| repair.state.as_str()) {
            Some("PENDING_APPROVAL") => (5, Look::Waits, "?"),
            Some("PENDING" | "QUARANTINING" | "QUARANTINED" | "RUNNING") => (4, Look::Busy, "*"),
            _ if self.seen.held.get(&node.name).is_some_and(|why| why == "opted_out") => (2, Look::Waits, "o"),
            _ if self.sick.contains_key(&node.name) => (3, Look::Bad, "!"),
            Some("SUCCEEDED" | "AUTO_RESOLVED") => (1, Look::Good, "+"),
            _ => (0, Look::Faint, "·"),
        }
    }

    fn foot(&self) -> Vec<Line> {
        let mut lines: Vec<Line> =
            try_it(&self.url).into_iter().map(|text| Line::of(Look::Faint, format!(" {text}"))).collect();
        if self.keys {
            lines.push(
                Line::of(Look::Bold, " a")
                    .and(Look::Plain, " approve the oldest   ")
                    .and(Look::Bold, "r")
                    .and(Look::Plain, " reject it   ")
                    .and(Look::Bold, "q")
                    .and(Look::Plain, " quit"),
            );
        }
        lines
    }
}

/// What to try while it runs, in another terminal.
pub(super) fn try_it(url: &str) -> [String; 4] {
    [
        format!("remedyd get remediations --server {url}"),
        format!("curl -s '{url}/api/v1/remediations?state=PENDING_APPROVAL'"),
        format!("TOGETHER_BASE_URL={url} TOGETHER_API_KEY=none \\"),
        "  TOGETHER_PROJECT_ID=none together clusters remediations list train-a".to_owned(),
    ]
}
