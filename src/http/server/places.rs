//! How many connections are open, and which gives way when all places are taken.
//!
//! A connection that has a request under way keeps its place. Of those that wait for one, in a handshake, in the middle of a
//! head or kept for later, the one that has waited longest gives way to one that comes: whoever opens connections and says
//! nothing pushes out their own kind first, and never keeps somebody else waiting at the door.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The places of one kind of listener.
#[derive(Debug, Default)]
pub(super) struct Places {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    next_turn: u64,
    /// Who waits for a request, the longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Heard by the connection that has to go.
    give_way: Arc<Notify>,
    doing: Mutex<Doing>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In its handshake, or in the middle of a head, or it has not said anything yet.
    Head,
    /// A request is under way.
    Busy,
    /// Its answer is being sent.
    Answering,
    /// All of the answer is with the connection, which may still have some of it to send.
    Sent,
    /// It was answered and is kept.
    Idle,
}

#[derive(Debug)]
struct Doing {
    phase: Phase,
    /// Which change this was; tells a new phase from the same one again.
    change: u64,
    /// When its waiting began, in the order of all.
    turn: Option<u64>,
}

impl Places {
    /// Takes a place among at most `limit`. Comes with whether somebody had to give way.
    pub(super) async fn take(self: &Arc<Self>, limit: usize) -> (Place, bool) {
        let mut gave_way = false;
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if state.open < limit {
                    state.open += 1;
                    let give_way = Arc::<Notify>::default();
                    let turn = state.wait(&give_way);
                    let doing = Mutex::new(Doing { phase: Phase::Head, change: 0, turn: Some(turn) });
                    return (Place { places: Arc::clone(self), give_way, doing }, gave_way);
                }
                if let Some((_, longest)) = state.waiting.pop_first() {
                    longest.notify_one();
                    gave_way = true;
                }
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, give_way: &Arc<Notify>) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.waiting.insert(turn, Arc::clone(give_way));
        turn
    }
}

impl Place {
    /// Notes what the connection does from here on.
    pub(super) fn enter(&self, phase: Phase) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.lock();
        let was_told_to_go = doing.turn.is_some_and(|turn| state.waiting.remove(&turn).is_none());
        // Who was told to go does not wait again.
        let waits = matches!(phase, Phase::Head | Phase::Idle);
        doing.turn = (waits && !was_told_to_go).then(|| state.wait(&self.give_way));
        doing.phase = phase;
        doing.change += 1;
    }

    /// Bytes came: of a kept connection they are the next head.
    pub(super) fn heard(&self) {
        if self.phase().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Everything that was there to send is sent.
    pub(super) fn flushed(&self) {
        if self.phase().0 == Phase::Sent {
            self.enter(Phase::Idle);
        }
    }

    /// What it does, and a number that no other phase of it has.
    pub(super) fn phase(&self) -> (Phase, u64) {
        let doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        (doing.phase, doing.change)
    }

    /// Waits until this connection has to give way.
    pub(super) async fn must_go(&self) {
        self.give_way.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let doing = self.doing.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.lock();
        state.open -= 1;
        if let Some(turn) = doing.turn {
            state.waiting.remove(&turn);
        }
        drop(state);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it was told to go.
    fn is_told(place: &Place) -> bool {
        let mut told = std::pin::pin!(place.must_go());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        told.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn who_has_waited_longest_gives_way_and_nobody_with_a_request() {
        let places = Arc::<Places>::default();
        let (busy, _) = places.take(3).await;
        busy.enter(Phase::Busy);
        let (longest, _) = places.take(3).await;
        let (kept, gave_way) = places.take(3).await;
        assert!(!gave_way);
        kept.enter(Phase::Busy);
        kept.enter(Phase::Idle);

        let next = Arc::clone(&places);
        let next = tokio::spawn(async move { next.take(3).await });
        longest.must_go().await;
        assert!(!is_told(&busy) && !is_told(&kept) && !next.is_finished());
        drop(longest);
        let (next, gave_way) = next.await.unwrap();
        assert!(gave_way);

        // A kept connection that begins to speak waits anew.
        kept.heard();
        let last = Arc::clone(&places);
        let last = tokio::spawn(async move { last.take(3).await });
        next.must_go().await;
        assert!(!is_told(&kept));
        drop(next);
        last.await.unwrap();
    }

    #[tokio::test]
    async fn where_everybody_has_a_request_the_next_waits() {
        let places = Arc::<Places>::default();
        let (busy, _) = places.take(1).await;
        busy.enter(Phase::Busy);
        let mut next = std::pin::pin!(places.take(1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(busy);
        assert!(!next.await.1);
    }
}
