//! Stored rows that an input names and that memory does not hold: closed episodes, ended remediations.
//!
//! The engine says which it wants ([`super::Engine::wanted`]), the writer fetches them, the step gets them as values.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ClusterId, DeadLetterId, Episode, Identity, Record, RemediationId, Timestamp};

/// A row, or the rows, that an input names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PastKey {
    /// The last episodes of an identity, newest first, at most [`Past::EPISODES`], and none behind the first that is enough.
    Episodes(Identity, Back),
    /// A remediation with its links.
    Remediation(RemediationId),
    /// A remediation by the name that a client gave it.
    Alias(ClusterId, String),
    /// Whether this letter is already there.
    DeadLetter(DeadLetterId),
}

/// How far back into the episodes of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Back {
    /// As far as anything is kept.
    Far,
    /// To the first that says how far the earlier ones reached.
    Covered,
    /// To the first that went on at some time between these.
    During(Timestamp, Timestamp),
}

impl Back {
    /// Whether nothing before this episode is wanted.
    pub fn is_enough(self, episode: &Episode) -> bool {
        match self {
            Self::Far => false,
            Self::Covered => episode.covers_earlier(),
            Self::During(from, until) => episode.went_on_during(from, until),
        }
    }
}

/// What was found. A key that is missing here does not exist in the store.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// By identity, highest episode number first.
    pub episodes: BTreeMap<Identity, Vec<Episode>>,
    /// By id.
    pub remediations: BTreeMap<RemediationId, Record>,
    /// Which remediation a client's name stands for.
    pub aliases: BTreeMap<(ClusterId, String), RemediationId>,
    /// The letters that are already there.
    pub dead_letters: BTreeSet<DeadLetterId>,
}

impl Past {
    /// How many episodes of one identity a step sees: enough to tell a repeat of a late message from a new one.
    pub const EPISODES: usize = 16;
}
