//! How far back the past reaches: what lies behind a horizon is gone for everybody at once, and deleted later.

use serde::{Deserialize, Serialize};

use super::{Alert, AlertState, DeadLetter, Episode, Hold, Remediation, Run, Timestamp};

/// One horizon. It moves forward only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Horizon {
    /// Remediations and holds that ended before are gone, with everything that belongs to them.
    Remediations {
        /// That moment.
        before: Timestamp,
        /// When the horizon last moved.
        moved_at: Timestamp,
    },
    /// Alerts that cleared before, and dead letters that came before, are gone.
    Alerts {
        /// That moment.
        before: Timestamp,
        /// When the horizon last moved.
        moved_at: Timestamp,
    },
    /// Runs of active checks that ended before are gone.
    Runs {
        /// That moment.
        before: Timestamp,
        /// When the horizon last moved.
        moved_at: Timestamp,
    },
    /// The journal need not have turns before this one.
    Journal {
        /// The first turn that it has to have.
        from: u64,
    },
}

/// All horizons; what has none reaches back to the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizons {
    remediations: Option<(Timestamp, Timestamp)>,
    alerts: Option<(Timestamp, Timestamp)>,
    runs: Option<(Timestamp, Timestamp)>,
    journal: Option<u64>,
}

impl Horizons {
    /// Takes over one of them.
    pub fn set(&mut self, horizon: Horizon) {
        match horizon {
            Horizon::Remediations { before, moved_at } => self.remediations = Some((before, moved_at)),
            Horizon::Alerts { before, moved_at } => self.alerts = Some((before, moved_at)),
            Horizon::Runs { before, moved_at } => self.runs = Some((before, moved_at)),
            Horizon::Journal { from } => self.journal = Some(from),
        }
    }

    /// Remediations that ended before this moment are gone.
    pub fn remediations(&self) -> Option<Timestamp> {
        self.remediations.map(|(before, _)| before)
    }

    /// Alerts that cleared before this moment are gone.
    pub fn alerts(&self) -> Option<Timestamp> {
        self.alerts.map(|(before, _)| before)
    }

    /// Runs that ended before this moment are gone.
    pub fn runs(&self) -> Option<Timestamp> {
        self.runs.map(|(before, _)| before)
    }

    /// The first turn that the journal has to have.
    pub fn journal(&self) -> Option<u64> {
        self.journal
    }

    /// When those that follow time last moved; nothing where one of them never did.
    pub fn moved_at(&self) -> Option<Timestamp> {
        Some(self.remediations?.1.min(self.alerts?.1).min(self.runs?.1))
    }

    /// Whether this remediation is gone. One that is live never is.
    pub fn hides_remediation(&self, row: &Remediation) -> bool {
        let ended = row.state.is_terminal().then(|| row.ended_at.unwrap_or(row.updated_at));
        is_before(ended, self.remediations())
    }

    /// Whether this hold is gone.
    pub fn hides_hold(&self, row: &Hold) -> bool {
        is_before(row.ended.as_ref().map(|(at, _)| *at), self.remediations())
    }

    /// Whether this episode is gone. One that is open never is.
    pub fn hides_alert(&self, row: &Alert) -> bool {
        self.hides_episode(&row.into())
    }

    /// Whether the alert of this episode is gone.
    pub fn hides_episode(&self, row: &Episode) -> bool {
        let cleared = match row.state {
            AlertState::Resolved => Some(row.cleared_at.unwrap_or(row.opened_at)),
            AlertState::Firing | AlertState::RefiredUnconfirmed => None,
        };
        is_before(cleared, self.alerts())
    }

    /// Whether this run is gone.
    pub fn hides_run(&self, row: &Run) -> bool {
        is_before(Some(row.ended_at), self.runs())
    }

    /// Whether this letter is gone.
    pub fn hides_dead_letter(&self, row: &DeadLetter) -> bool {
        is_before(Some(row.received_at), self.alerts())
    }
}

fn is_before(ended: Option<Timestamp>, horizon: Option<Timestamp>) -> bool {
    matches!((ended, horizon), (Some(ended), Some(horizon)) if ended < horizon)
}
