//! How much of unanswered messages is held in memory at once, over all clients.
//!
//! Most messages are a few kilobytes; they have a part of their own, so that large ones never keep them waiting. Of large
//! ones a few may wait for one another, and the rest is told to come again at once: whoever waits holds a connection.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::Fault;
use crate::writer::Unavailable;

/// Up to here a message is a small one: about 150 alerts.
const SMALL_BYTES: usize = 256 * 1024;
/// As many as may be under way at once, half of them full.
const SMALL_ROOM_BYTES: usize = 32 * 1024 * 1024;
/// One of the largest, and what comes beside it.
const LARGE_ROOM_BYTES: usize = 48 * 1024 * 1024;
/// The unit in which room is counted.
const UNIT: usize = 1024;
/// How many large messages may hold or await room.
const LARGE_MESSAGES: usize = 16;
/// How long a message waits for room before it is told to come again.
const WAIT: Duration = Duration::from_secs(5);

/// What is left.
#[derive(Debug)]
pub(super) struct WebhookRoom {
    small: Semaphore,
    large: Semaphore,
    large_messages: Semaphore,
}

/// What one message holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    _bytes: SemaphorePermit<'a>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Default for WebhookRoom {
    fn default() -> Self {
        Self {
            small: Semaphore::new(SMALL_ROOM_BYTES / UNIT),
            large: Semaphore::new(LARGE_ROOM_BYTES / UNIT),
            large_messages: Semaphore::new(LARGE_MESSAGES),
        }
    }
}

impl WebhookRoom {
    /// Waits for room for a message of `size` bytes, the most that it may have where it does not say; not for ever.
    pub(super) async fn take(&self, size: usize) -> Result<Held<'_>, Fault> {
        let busy = || Fault::from(Unavailable::Overloaded);
        let is_small = size <= SMALL_BYTES;
        let turn = if is_small { None } else { Some(self.large_messages.try_acquire().map_err(|_| busy())?) };
        let room = if is_small { &self.small } else { &self.large };
        let units = u32::try_from((size / UNIT + 1).min(LARGE_ROOM_BYTES / UNIT)).expect("48 MiB are fewer units");
        let bytes = timeout(WAIT, room.acquire_many(units)).await.map_err(|_| busy())?;
        Ok(Held { _bytes: bytes.map_err(|_| busy())?, _turn: turn })
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Kind;
    use super::super::webhook::MAX_BODY_BYTES;
    use super::*;

    #[tokio::test]
    async fn large_messages_never_keep_a_small_one_waiting() {
        let room = WebhookRoom::default();
        let first = room.take(MAX_BODY_BYTES).await.unwrap();
        let waiting = (0..100).map(|_| room.take(MAX_BODY_BYTES));
        let (mut waiting, mut context) =
            (Vec::from_iter(waiting.map(Box::pin)), std::task::Context::from_waker(std::task::Waker::noop()));
        let refused = waiting.iter_mut().filter_map(|take| match take.as_mut().poll(&mut context) {
            std::task::Poll::Ready(taken) => Some(taken.unwrap_err().kind),
            std::task::Poll::Pending => None,
        });
        // At once, beyond those that may wait.
        assert_eq!(Vec::from_iter(refused), vec![Kind::Unavailable; 100 - (LARGE_MESSAGES - 1)]);
        drop(room.take(SMALL_BYTES).await.unwrap());
        drop((first, waiting));
        room.take(MAX_BODY_BYTES).await.unwrap();
    }
}
