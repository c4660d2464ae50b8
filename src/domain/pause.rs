//! The kill switch: "nothing new begins", everywhere or in one cluster, until a person says otherwise.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ClusterId, Timestamp};

/// One switch, as it was last turned: one for everything and one for each cluster. Unlike a hold it has no end of its
/// own, since what made a person reach for it does not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Where; nothing means everywhere.
    pub cluster_id: Option<ClusterId>,
    /// Why, in the words of whoever paused.
    pub reason: String,
    /// Principal.
    pub paused_by: String,
    /// When.
    pub paused_at: Timestamp,
    /// How it ended; nothing while it stands.
    pub resumed: Option<Resumed>,
}

/// A person's word that things may begin again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Principal.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in their words; may be empty.
    pub reason: String,
}

impl Pause {
    /// What is paused, in words: `everything` or `cluster train-a`.
    pub fn place(&self) -> Place<'_> {
        Place(self.cluster_id.as_ref())
    }
}

/// Where a switch stands, as it is said.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a>(pub Option<&'a ClusterId>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => out.write_str("everything"),
            Some(cluster) => write!(out, "cluster {cluster}"),
        }
    }
}
