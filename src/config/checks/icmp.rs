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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::document::Document;
    use crate::config::mistake::Mistakes;

    fn load(text: &str) -> Result<Icmp, Vec<String>> {
        let mistakes = Mistakes::default();
        let document = Document::new(Path::new("f"), text, &mistakes);
        let root = document.parse();
        let icmp = read(Table::root(&document, &root));
        match mistakes.into_result() {
            Ok(_) => Ok(icmp.unwrap()),
            Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn every_key_is_read() {
        assert_eq!(load(""), Ok(Icmp::default()));
        let written = "packets = 10\ninterval = '10ms'\nsize = 16\nmax_loss_percent = 0\n";
        let expected = Icmp { packets: 10, interval: Duration::from_millis(10), size: 16, max_loss_percent: 0 };
        assert_eq!(load(written), Ok(expected.clone()));
        assert_eq!(expected.spread(), Duration::from_millis(90));
    }

    #[test]
    fn every_mistake_names_its_place_its_key_and_the_reason() {
        for (text, expected) in [
            ("packets = 0", "f:1:11: packets: must be a whole number from 1 to 10, not 0"),
            ("packets = 11", "f:1:11: packets: must be a whole number from 1 to 10, not 11"),
            ("interval = '9ms'", "f:1:12: interval: must be at least 10ms"),
            ("size = 15", "f:1:8: size: must be a whole number from 16 to 8972, not 15"),
            ("size = 8973", "f:1:8: size: must be a whole number from 16 to 8972, not 8973"),
            ("max_loss_percent = 100", "f:1:20: max_loss_percent: must be a whole number from 0 to 99, not 100"),
            (
                "count = 3",
                "f:1:1: count: is not a known key; known at the top: `packets`, `interval`, `size`, `max_loss_percent`",
            ),
        ] {
            assert_eq!(load(text), Err(vec![expected.to_owned()]), "{text}");
        }
    }
}
