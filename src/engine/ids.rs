//! New ids from a seed: the same seed and the same steps give the same ids, and no step asks the machine for chance.

use uuid::Uuid;

use crate::domain::Timestamp;

/// Makes UUIDv7s that sort in the order in which they were made.
#[derive(Clone, Debug)]
pub struct IdSource {
    chance: u64,
    millis: u64,
    counter: u16,
}

impl IdSource {
    /// Ids of a run that begins with this seed; a shell takes it from the operating system, a test from its table.
    pub const fn new(seed: u64) -> Self {
        Self { chance: seed, millis: 0, counter: 0 }
    }

    /// The next id. Its time never goes back; within one millisecond a twelve-bit counter orders the ids, and a full
    /// counter borrows the next millisecond (RFC 9562 §6.2, method 1).
    pub fn next(&mut self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        if millis > self.millis {
            self.millis = millis;
            self.counter = 0;
        } else if self.counter == 0x0fff {
            self.millis += 1;
            self.counter = 0;
        } else {
            self.counter += 1;
        }
        let time = u128::from(self.millis & 0xffff_ffff_ffff) << 80;
        let version = 0x7_u128 << 76;
        let order = u128::from(self.counter) << 64;
        let variant = 0b10_u128 << 62;
        Uuid::from_u128(time | version | order | variant | u128::from(self.draw() >> 2))
    }

    /// One step of SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_in_which_they_were_made() {
        let mut source = IdSource::new(1);
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let ids: Vec<Uuid> = (0..10_000).map(|_| source.next(now)).collect();
        assert!(ids.is_sorted_by(|left, right| left < right));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let now = Timestamp::from_micros(5_000_000);
        assert_eq!(IdSource::new(7).next(now), IdSource::new(7).next(now));
        assert_ne!(IdSource::new(7).next(now), IdSource::new(8).next(now));
    }
}
