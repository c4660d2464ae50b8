//! The ids of requests whose client named none: unlike any other, and cheap enough for every request.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::{Builder, Uuid};

/// Makes ids from one random number and a count. Nobody must be kept from guessing them: they find a request in logs and in the
/// journal and open nothing, so the system need not be asked for randomness each time.
#[derive(Debug)]
pub(super) struct RequestIds {
    seed: u128,
    made: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self { seed: Uuid::new_v4().as_u128(), made: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// The next one, in the form of a random UUID.
    pub(super) fn next(&self) -> String {
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        // A multiplication by an odd number and a rotation take no two counts to the same number.
        let mixed =
            self.seed ^ (u128::from(count) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).rotate_left(64);
        Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_uuids_and_never_the_same() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let ids: BTreeSet<String> = (0..20_000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 4)));
    }
}
