//! What happens to the fleet, and when: an opening that shows every kind of end within a minute, then more of the same for
//! as long as anybody watches. The same seed tells the same story.

use std::collections::VecDeque;
use std::time::Duration;

use super::fleet::Node;

/// What is wrong with a machine. How it looks is [`super::symptom`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// XID 79.
    FellOffBus,
    /// The driver's own word for the same, from the kernel log.
    FellOffBusSeenTwice,
    /// A row of memory that cannot be remapped.
    RowRemap,
    /// Too hot, again and again, until it cools.
    Thermal,
    /// A link that comes back by itself.
    LinkDown,
    /// Firmware that hangs; the repair says done and mends nothing.
    FirmwareHang,
    /// Bad memory on a machine whose owner wants to be asked first.
    OptedOut,
    /// Bad memory on a machine that nobody knows.
    Stranger,
}

/// One fault of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong.
    pub trouble: Trouble,
    /// The machine's name.
    pub node: String,
    /// Its cluster.
    pub cluster: &'static str,
    /// Which of its GPUs, or rails.
    pub part: u8,
}

impl Fault {
    /// Whether it goes away without a repair, so that somebody who knows would wait.
    pub(super) const fn passes(&self) -> bool {
        matches!(self.trouble, Trouble::LinkDown | Trouble::Thermal)
    }

    /// Whether a repair mends it.
    pub(super) const fn is_mendable(&self) -> bool {
        !matches!(self.trouble, Trouble::FirmwareHang)
    }
}

/// A fault appears, or goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// After the start of the story.
    pub after: Duration,
    /// Of which fault.
    pub fault: Fault,
    /// It appears.
    pub fires: bool,
}

/// The whole story, told as time passes.
#[derive(Debug)]
pub(super) struct Script {
    dice: Dice,
    /// By time.
    turns: VecDeque<Turn>,
    /// Names, clusters and whether repairs are wanted.
    nodes: Vec<(String, &'static str)>,
    /// How far the story is written.
    written: f64,
}

/// Where the opted-out node of a fleet of `n` stands.
pub(super) const fn opted_out(n: usize) -> usize {
    n / 2 + 3
}

/// When the opening is over, in seconds.
const OPENING: f64 = 60.0;

impl Script {
    /// Writes the opening for these nodes.
    pub(super) fn new(seed: u64, nodes: &[Node]) -> Self {
        let names = nodes.iter().filter(|node| !node.opted_out).map(|node| (node.name.clone(), node.cluster));
        let mut script = Self { dice: Dice(seed), turns: VecDeque::new(), nodes: names.collect(), written: OPENING };
        let opted_out = nodes.iter().find(|node| node.opted_out).map(|node| (node.name.clone(), node.cluster));
        let stranger = ("gpu-999".to_owned(), super::fleet::CLUSTERS[0]);
        let [bus, link, remap, hot, liar] = [(); 5].map(|()| script.draw());
        script.scene(Trouble::FellOffBus, &bus, &[(2.0, true)]);
        script.scene(Trouble::LinkDown, &link, &[(5.0, true), (14.0, false)]);
        script.scene(Trouble::Stranger, &stranger, &[(8.0, true)]);
        script.scene(Trouble::FellOffBusSeenTwice, &bus, &[(4.0, true)]);
        script.scene(Trouble::RowRemap, &remap, &[(11.0, true)]);
        if let Some(node) = opted_out {
            script.scene(Trouble::OptedOut, &node, &[(14.0, true)]);
        }
        let flaps = [(17.0, true), (22.0, false), (26.0, true), (31.0, false), (35.0, true), (40.0, false)];
        script.scene(Trouble::Thermal, &hot, &flaps);
        script.scene(Trouble::FirmwareHang, &liar, &[(19.0, true)]);
        script
    }

    /// What has happened until `after` and was not told yet.
    pub(super) fn until(&mut self, after: Duration) -> Vec<Turn> {
        while after.as_secs_f64() + 30.0 > self.written {
            self.another_scene();
        }
        let due = self.turns.iter().take_while(|turn| turn.after <= after).count();
        self.turns.drain(..due).collect()
    }

    fn another_scene(&mut self) {
        let begins = self.written + 4.0 + self.dice.below(10) as f64;
        let node = self.draw();
        match self.dice.below(4) {
            0 => self.scene(Trouble::FellOffBus, &node, &[(begins, true)]),
            1 => self.scene(Trouble::RowRemap, &node, &[(begins, true)]),
            2 => self.scene(Trouble::LinkDown, &node, &[(begins, true), (begins + 9.0, false)]),
            _ => {
                let flaps = [(begins, true), (begins + 5.0, false), (begins + 9.0, true), (begins + 14.0, false)];
                self.scene(Trouble::Thermal, &node, &flaps);
            }
        }
        self.written = begins + 6.0;
    }

    /// A node that had no part in the story yet, as long as there is one.
    fn draw(&mut self) -> (String, &'static str) {
        let at = self.dice.below(self.nodes.len().max(1));
        if self.nodes.len() > 8 { self.nodes.swap_remove(at) } else { self.nodes[at].clone() }
    }

    fn scene(&mut self, trouble: Trouble, (node, cluster): &(String, &'static str), times: &[(f64, bool)]) {
        let part = u8::try_from(self.dice.below(8)).unwrap_or(0);
        let fault = Fault { trouble, node: node.clone(), cluster, part };
        for (seconds, fires) in times {
            let turn = Turn { after: Duration::from_secs_f64(*seconds), fault: fault.clone(), fires: *fires };
            let at = self.turns.partition_point(|known| known.after <= turn.after);
            self.turns.insert(at, turn);
        }
    }
}

/// Numbers that look like chance and are the same for the same seed (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
