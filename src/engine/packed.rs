//! A row as a small block of bytes, for as long as nobody looks at it.
//!
//! Rows of a kind say much the same: the same rule's texts, the same names of labels, the same fields. So a row is packed beside
//! a sample of others of its kind, by LZ4, and what it shares with them costs a few bytes.

use std::sync::Arc;

use lz4_flex::block;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row without its fields.
#[derive(Clone, Debug)]
pub struct Packed {
    /// How long its JSON is, and that as an LZ4 block.
    block: Box<[u8]>,
    /// What the block refers to.
    sample: Arc<Vec<u8>>,
}

impl Packed {
    #[cfg(test)]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// The row.
    pub fn open<V: DeserializeOwned>(&self) -> V {
        let json = block::decompress_size_prepended_with_dict(&self.block, &self.sample);
        let json = json.expect("a block that was made here and never left memory is whole");
        serde_json::from_slice(&json).expect("every row is read from its own JSON at each start")
    }
}

/// How long a sample is: about ten rows. A block refers to no more than 64 KiB, and each byte makes packing slower.
const SAMPLE: usize = 8 << 10;
/// After so many rows, or as many as there are, another sample is taken, since those that come may have become others. A
/// sample stays for as long as a row refers to it, so there are not to be many more samples than are worth their room.
const ROWS_OF_A_SAMPLE: usize = 4096;

/// Packs rows of one kind.
#[derive(Clone, Debug, Default)]
pub struct Packer {
    sample: Arc<Vec<u8>>,
    /// How many rows were packed beside it.
    rows: usize,
    /// The next sample, as far as it goes.
    next: Vec<u8>,
}

impl Packer {
    /// The row as a block. `among`: how many rows of its kind there are.
    pub fn pack<V: Serialize>(&mut self, row: &V, among: usize) -> Packed {
        let json = serde_json::to_vec(row).expect("rows have text keys only, and memory takes every byte");
        let block = block::compress_prepend_size_with_dict(&json, &self.sample).into();
        let packed = Packed { block, sample: Arc::clone(&self.sample) };
        self.rows += 1;
        if self.sample.is_empty() || self.rows > ROWS_OF_A_SAMPLE.max(among) {
            self.learn(&json);
        }
        packed
    }

    fn learn(&mut self, json: &[u8]) {
        let room = SAMPLE - self.next.len();
        self.next.extend_from_slice(&json[..json.len().min(room)]);
        if self.next.len() == SAMPLE {
            self.sample = Arc::new(std::mem::take(&mut self.next));
            self.rows = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::alert;
    use super::*;
    use crate::domain::{Alert, AlertId, Labels, Timestamp};
    use uuid::Uuid;

    /// An alert of a fleet: its node is its own, its rule's texts are everybody's.
    fn of_node(number: u32, rule: &str) -> Alert {
        let node = format!("worker-{number:04}");
        let summary = format!("{node} lost a GPU");
        let why = format!("The kernel of {node} says that a GPU is gone: see the runbook {rule}");
        Alert {
            id: AlertId::new(Uuid::from_u128(u128::from(number) * 0x1234_5678_9abc_def1_2345_6789)),
            labels: Labels::from_pairs([("alertname", rule), ("cluster", "prod-west"), ("instance", &node)]),
            annotations: Labels::from_pairs([("summary", &summary), ("description", &why)]),
            opened_at: Timestamp::from_micros(1_796_123_461_234_567 + i64::from(number) * 7919),
            ..alert(&node)
        }
    }

    #[test]
    fn a_row_among_others_of_its_kind_takes_a_quarter_of_its_room() {
        let mut packer = Packer::default();
        let (mut room, mut taken, mut worst) = (0, 0, 0);
        for number in 0..20_000 {
            // Half way every alert becomes one of another rule.
            let row =
                of_node(number, if number < 10_000 { "DmesgGpuFallenOffBus" } else { "NvidiaSmiEccUncorrectable" });
            let packed = packer.pack(&row, 1);
            assert_eq!(packed.open::<Alert>(), row);
            room += serde_json::to_vec(&row).unwrap().len();
            taken += packed.block.len();
            if number > 20 {
                worst = worst.max(packed.block.len());
            }
        }
        assert!(taken * 4 < room, "{taken} of {room} bytes");
        assert!(worst * 20_000 * 2 < room, "{worst} of {} bytes", room / 20_000);
    }

    #[test]
    fn rows_that_are_longer_than_a_sample_or_empty_come_back() {
        let mut packer = Packer::default();
        for long in [0, 1, SAMPLE - 2, SAMPLE, 3 * SAMPLE, 200_000] {
            let row = "0123456789".repeat(long / 10 + 1)[..long].to_owned();
            assert_eq!(packer.pack(&row, 1).open::<String>(), row);
        }
    }
}
