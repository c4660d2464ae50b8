//! How it stands, in one line: what `systemctl status` shows.

use std::fmt;

/// What the line is made of; where that is the same, so is the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Proposals that wait for a person.
    pub(super) waiting: usize,
    /// Approved, and not begun.
    pub(super) approved: usize,
    /// Under way.
    pub(super) in_flight: usize,
    /// Instances for which policy wants something that waits.
    pub(super) held: usize,
    /// The kill switch for everything is on.
    pub(super) is_paused: bool,
    /// Clusters whose kill switch is on.
    pub(super) paused_clusters: usize,
    /// The store was copied or restored, and nobody has enabled it.
    pub(super) may_not_act: bool,
    /// How much room the disk lacks, in words.
    pub(super) shortage: Option<String>,
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, approved, in_flight, held, .. } = self;
        write!(out, "{waiting} waiting for approval, {approved} approved, {in_flight} under way, {held} held back")?;
        if self.is_paused {
            write!(out, "; everything is paused")?;
        } else if self.paused_clusters > 0 {
            write!(out, "; {} cluster(s) paused", self.paused_clusters)?;
        }
        if self.may_not_act {
            write!(out, "; acts on nothing until an admin enables the store")?;
        }
        self.shortage.as_ref().map_or(Ok(()), |shortage| write!(out, "; takes nothing: {shortage}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_in_the_way() {
        let quiet = Standing { waiting: 3, in_flight: 1, held: 12, ..Standing::default() };
        assert_eq!(quiet.to_string(), "3 waiting for approval, 0 approved, 1 under way, 12 held back");
        let closed = Standing {
            paused_clusters: 2,
            may_not_act: true,
            shortage: Some("no room: 1 byte is free".to_owned()),
            ..quiet.clone()
        };
        assert_eq!(
            closed.to_string().strip_prefix(&quiet.to_string()),
            Some(
                "; 2 cluster(s) paused; acts on nothing until an admin enables the store; takes nothing: no room: 1 byte is free"
            ),
        );
        assert!(Standing { is_paused: true, ..closed }.to_string().contains("; everything is paused;"));
    }
}
