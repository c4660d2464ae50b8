//! The `process_*` family, read from `/proc/self` at each scrape.
//!
//! Written by hand: the library's collector takes the start time from `/proc/stat`, which a hardened unit hides, and
//! then reports zero. What cannot be read keeps its last value; a scrape never fails for it.

use std::fs;

use prometheus::{Counter, Gauge};

use super::families::Families;
use crate::domain::Timestamp;

/// `USER_HZ`: the unit of CPU times in `/proc`, fixed at 100 by the kernel's interface on every Linux we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The gauges of our own process.
pub(super) struct Process {
    cpu_seconds: Counter,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
}

impl Process {
    /// Registers the family; `started` is when the process began.
    pub(super) fn register(families: &Families<'_>, started: Timestamp) -> prometheus::Result<Self> {
        let start = ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
        families.gauge(start)?.set(started.as_micros() as f64 / 1e6);
        let cpu_seconds = ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
        Ok(Self {
            cpu_seconds: families.counter(cpu_seconds)?,
            resident_bytes: families.gauge(("process_resident_memory_bytes", "Resident memory size in bytes."))?,
            virtual_bytes: families.gauge(("process_virtual_memory_bytes", "Virtual memory size in bytes."))?,
            open_fds: families.gauge(("process_open_fds", "Number of open file descriptors."))?,
            max_fds: families.gauge(("process_max_fds", "Maximum number of open file descriptors."))?,
            threads: families.gauge(("process_threads", "Number of OS threads in the process."))?,
        })
    }

    /// Reads everything anew.
    pub(super) fn refresh(&self) {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for (gauge, key, unit) in [
                (&self.resident_bytes, "VmRSS:", 1024.0),
                (&self.virtual_bytes, "VmSize:", 1024.0),
                (&self.threads, "Threads:", 1.0),
            ] {
                if let Some(value) = number_after(&status, key) {
                    gauge.set(value * unit);
                }
            }
        }
        if let Some(limit) = fs::read_to_string("/proc/self/limits")
            .ok()
            .as_deref()
            .and_then(|text| number_after(text, "Max open files"))
        {
            self.max_fds.set(limit);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // The listing itself holds one descriptor.
            self.open_fds.set(entries.count().saturating_sub(1) as f64);
        }
    }
}

/// User and system time; the command's name in parentheses may itself hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn number_after(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line[key.len()..].split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("garbage"), None);
    }

    #[test]
    fn a_refresh_reads_this_very_process() {
        let registry = Registry::new();
        let process = Process::register(&Families(&registry), Timestamp::from_micros(5_000_000)).unwrap();
        process.refresh();
        assert!(process.resident_bytes.get() > 100_000.0);
        assert!(process.open_fds.get() >= 3.0 && process.max_fds.get() >= process.open_fds.get());
        assert!(process.threads.get() >= 1.0);
    }
}
