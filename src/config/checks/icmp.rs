//! `[checks.<id>.icmp]`

use std::time::Duration;

use crate::config::duration;
use crate::config::table::{Table, Value};

/// Sends echo requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// How many requests one run sends, whether or not the first is answered.
    pub packets: u32,
    /// From one request to the next.
    pub interval: Duration,
    /// Bytes of payload behind the eight of the ICMP header.
    pub size: u32,
    /// Of the requests of one run, how many may stay unanswered, in percent. A run without any answer fails in any case.
    pub max_loss_percent: u32,
}

impl Icmp {
    /// How many packets a run may send.
    pub const PACKETS: std::ops::RangeInclusive<u32> = 1..=10;
    /// How large a payload may be: it holds our token, and fits a jumbo frame of 9,000 bytes.
    pub const SIZE: std::ops::RangeInclusive<u32> = 16..=8_972;
    /// Requests that follow closer on each other get lost together, so that more of them tell nothing more.
    const SHORTEST: Duration = Duration::from_millis(10);

    /// From the first request to the last: the check's timeout has to be longer, or the last has no time to be answered.
    pub fn spread(&self) -> Duration {
        self.interval * self.packets.saturating_sub(1)
    }
}

impl Default for Icmp {
    /// Half of three may get lost, which is one: a network that drops one packet in a hundred makes a run fail once in
    /// 3,000 then, and not once in 33.
    fn default() -> Self {
        Self { packets: 3, interval: Duration::from_millis(100), size: 56, max_loss_percent: 50 }
    }
}

/// Reads the table.
pub(super) fn read(mut table: Table<'_>) -> Option<Icmp> {
    let mut icmp = Icmp::default();
    let number = |value: Option<Value<'_>>, range, otherwise| match value {
        Some(value) => value.number(range),
        None => Some(otherwise),
    };
    let packets = number(table.take("packets"), Icmp::PACKETS, icmp.packets);
    let interval = match table.take("interval") {
        Some(value) => read_interval(&value),
        None => Some(icmp.interval),
    };
    let size = number(table.take("size"), Icmp::SIZE, icmp.size);
    let max_loss_percent = number(table.take("max_loss_percent"), 0..=99, icmp.max_loss_percent);
    table.finish();
    icmp = Icmp { packets: packets?, interval: interval?, size: size?, max_loss_percent: max_loss_percent? };
    Some(icmp)
}

fn read_interval(value: &Value<'_>) -> Option<Duration> {
    let interval = value.duration()?;
    if interval < Icmp::SHORTEST {
        value.wrong(format!("must be at least {}", duration::show(Icmp::SHORTEST)));
        return None;
    }
    Some(interval)
}
