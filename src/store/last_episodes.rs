//! The last episode of identities that closed lately, so that an alert that fires again needs no look into sled.
//!
//! What is kept began with such a look: from then on every row that is written passes by here, so that a later episode is
//! known. Whatever is not known is looked up; nothing is believed that was not read or written.

use std::collections::HashMap;

use crate::domain::{Alert, AlertState, Episode, Identity};
use crate::engine::Back;

/// How many identities one generation holds; there are two. As many as fit into a table with 8192 places, of 80 bytes each, that
/// is to be no more than seven eighths full.
const GENERATION: usize = 8192 / 8 * 7;

/// What is known of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// The number of its newest episode; 0 for none.
    newest: u32,
    /// That episode, where it has ended.
    ended: Option<Episode>,
}

/// Two generations: what is asked for stays, and what was not for a while goes.
#[derive(Debug, Default)]
pub struct LastEpisodes {
    young: HashMap<Identity, Known>,
    old: HashMap<Identity, Known>,
}

impl LastEpisodes {
    /// The last episode, where it is enough. `Some(None)`: there was none at all; nothing: it has to be looked up.
    pub fn get(&mut self, identity: Identity, back: Back) -> Option<Option<Episode>> {
        let known = self.known(identity)?;
        match known.ended {
            Some(episode) => back.is_enough(&episode).then_some(Some(episode)),
            None => (known.newest == 0).then_some(None),
        }
    }

    /// What a look found: the last episode, or that there is none.
    pub fn found(&mut self, identity: Identity, last: Option<Episode>) {
        let ended = last.filter(|last| last.state == AlertState::Resolved);
        self.keep(identity, Known { newest: last.map_or(0, |last| last.episode), ended });
    }

    /// A row is written.
    pub fn written(&mut self, alert: &Alert) {
        // Of what was never looked up it is not known whether this is the newest.
        let Some(known) = self.known(alert.identity) else { return };
        if alert.episode >= known.newest {
            let ended = (alert.state == AlertState::Resolved).then(|| Episode::from(alert));
            self.keep(alert.identity, Known { newest: alert.episode, ended });
        }
    }

    fn known(&mut self, identity: Identity) -> Option<Known> {
        if let Some(known) = self.young.get(&identity) {
            return Some(*known);
        }
        let known = self.old.remove(&identity)?;
        self.keep(identity, known);
        Some(known)
    }

    fn keep(&mut self, identity: Identity, known: Known) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&identity) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(identity, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    fn alert(episode: u32, state: AlertState) -> Alert {
        Alert { state, ..samples::alert(7, episode) }
    }

    fn ended(episode: u32) -> Alert {
        let cleared_at = Some(samples::at(60));
        Alert { previous_end: Some(samples::at(1)), cleared_at, ..alert(episode, AlertState::Resolved) }
    }

    #[test]
    fn what_was_looked_up_is_followed_from_then_on() {
        let mut last = LastEpisodes::default();
        let identity = alert(1, AlertState::Firing).identity;
        // Nothing is known of what was never looked up, whatever is written.
        last.written(&ended(1));
        assert_eq!(last.get(identity, Back::Covered), None);
        last.found(identity, None);
        assert_eq!(last.get(identity, Back::Covered), Some(None));
        last.written(&alert(1, AlertState::Firing));
        assert_eq!(last.get(identity, Back::Covered), None, "one that goes on is none that has ended");
        last.written(&ended(1));
        assert_eq!(last.get(identity, Back::Covered), Some(Some(Episode::from(&ended(1)))));
        // Another that is recorded late, and after that the older row once more.
        let late = Alert { previous_end: None, opened_at: samples::at(60), ..ended(2) };
        last.written(&late);
        last.written(&ended(1));
        assert_eq!(last.get(identity, Back::Covered), None, "it does not say how far the earlier ones reached");
    }

    #[test]
    fn what_nobody_asks_for_goes_and_its_place_is_bounded() {
        let mut last = LastEpisodes::default();
        let identity = |n: usize| samples::alert(u32::try_from(n).unwrap(), 1).identity;
        last.found(identity(0), None);
        for n in 1..4 * GENERATION {
            last.found(identity(n), None);
            assert_eq!(last.get(identity(0), Back::Covered), Some(None), "{n}");
        }
        assert_eq!(last.get(identity(1), Back::Covered), None);
        assert!(last.young.len() + last.old.len() <= 2 * GENERATION);
    }
}
