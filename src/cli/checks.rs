//! What active checks would do: the part of `remedyd check` about them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::config::checks::{Check, Probe, Schedule, coverage, findings};
use crate::config::{Config, Loaded, show_duration};
use crate::domain::{CheckId, ClusterId, Instance, Timestamp};
use crate::engine::settings::{CheckPolicy, Enforce, Rule};

/// How many of the next times of a `cron` check are shown.
const NEXT: usize = 3;

/// Says of every check what would run where, when, and what would come of it; with `only`, of those that look at that instance.
/// `now` is the moment from which times are counted; `may_ping` is whether this process may.
///
/// # Errors
/// `out` takes nothing.
pub(super) fn explain(
    loaded: &Loaded,
    only: Option<&Instance>,
    now: Timestamp,
    may_ping: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let config = &loaded.config;
    let mut runs_per_second = 0.0;
    let mut shown = 0;
    for (id, check) in &*config.checks {
        let Some(policy) = config.settings.checks.get(id) else { continue };
        if only.is_some_and(|instance| !policy.selects(instance)) {
            continue;
        }
        shown += 1;
        let own = only.map(std::slice::from_ref);
        let instances = own.unwrap_or(&loaded.instances);
        runs_per_second += explain_one(config, (id, check, policy), instances, now, out)?;
        if matches!(check.probe, Probe::Icmp(_)) && !may_ping {
            writeln!(
                out,
                "  this user may not ping on this machine: every run would be ERROR; see the drop-in icmp.conf"
            )?;
        }
    }
    if shown == 0 {
        let whom = only.map_or_else(|| "no checks".to_owned(), |one| format!("no check looks at {}", one.id));
        return writeln!(out, "{whom}");
    }
    let at_once = config.checks_limits.concurrency;
    writeln!(out, "{shown} check(s): {} run(s) a second, {at_once} at once", rate(runs_per_second))
}

/// Returns how many runs a second it makes all the time.
fn explain_one(
    config: &Config,
    (id, check, policy): (&CheckId, &Check, &CheckPolicy),
    instances: &[Instance],
    now: Timestamp,
    out: &mut impl Write,
) -> io::Result<f64> {
    let clusters = coverage::selected(policy, instances);
    let count: usize = clusters.values().map(Vec::len).sum();
    let kind = policy.kind.as_str();
    let mut runs_per_second = 0.0;
    match &check.schedule {
        Schedule::Every(every) => {
            runs_per_second = per_second(count, *every);
            let (every, rate) = (show_duration(*every), rate(runs_per_second));
            writeln!(out, "check {id}: {kind}, every {every}, spread over it: {rate} run(s) a second")?;
        }
        Schedule::Cron(cron) => {
            let next = std::iter::successors(cron.next_after(now), |at| cron.next_after(*at)).take(NEXT);
            let next: Vec<String> = next.map(minute).collect();
            writeln!(out, "check {id}: {kind}, at {cron}; next {}", next.join(", "))?;
        }
    }
    let of_each: Vec<String> = clusters.iter().map(|(cluster, of_it)| format!("{cluster} {}", of_it.len())).collect();
    let whom = if of_each.is_empty() { "none".to_owned() } else { of_each.join(", ") };
    let (timeout, at_once) = (show_duration(check.timeout), check.concurrency);
    writeln!(out, "  looks at {count} instance(s) ({whom}), {at_once} at once, each for at most {timeout}")?;
    let (failures, passes, severity) = (policy.failures_before, policy.passes_before, policy.severity.as_str());
    writeln!(out, "  believed after {failures} FAIL in a row, clear after {passes} PASS; its alerts are {severity}")?;
    if let Some(round) = slow_round(check, policy, count) {
        let round = show_duration(round);
        writeln!(
            out,
            "  slow: where no node answers a round takes {round}, longer than it should; raise its concurrency"
        )?;
    }
    // The findings that the same rules hear of stand in one line.
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (finding, then) in consequences(config, (id, policy), &clusters) {
        match lines.iter_mut().find(|(known, _)| *known == then) {
            Some((_, names)) => names.push(finding),
            None => lines.push((then, vec![finding])),
        }
    }
    for (then, names) in lines {
        writeln!(out, "  {}: {then}", names.join(", "))?;
    }
    Ok(runs_per_second)
}

/// What each finding would call for, by the first instance of each cluster.
fn consequences(
    config: &Config,
    (id, policy): (&CheckId, &CheckPolicy),
    clusters: &BTreeMap<&ClusterId, Vec<&Instance>>,
) -> Vec<(&'static str, String)> {
    let first = || clusters.values().filter_map(|of_cluster| of_cluster.first());
    let of_finding = |finding: &'static str| {
        let mut words: Vec<String> = Vec::new();
        for instance in first() {
            for (rule_id, rule) in coverage::rules_for(&config.settings, (id, policy), finding, instance) {
                let said = format!("{rule_id} {}", says(rule));
                if !words.contains(&said) {
                    words.push(said);
                }
            }
        }
        let then = if words.is_empty() { "no rule matches, opens nothing".to_owned() } else { words.join("; ") };
        (finding, then)
    };
    if clusters.is_empty() { Vec::new() } else { findings::of(policy.kind).into_iter().map(of_finding).collect() }
}

/// What a rule does, in words.
fn says(rule: &Rule) -> String {
    let verb = match rule.enforce {
        Enforce::Off => return "is off, opens nothing".to_owned(),
        Enforce::Shadow => "would count",
        Enforce::Propose => "proposes",
        Enforce::Auto => "orders",
    };
    let mode = rule.mode.map_or("nothing", |mode| mode.as_str());
    if rule.hold_for.is_zero() {
        format!("{verb} {mode}")
    } else {
        format!("{verb} {mode} after {}", show_duration(rule.hold_for))
    }
}

/// How long a round takes in which every run needs its whole timeout, where that is longer than a round should be.
fn slow_round(check: &Check, policy: &CheckPolicy, count: usize) -> Option<Duration> {
    let turns = count.div_ceil(check.concurrency.max(1));
    let round = check.timeout.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX));
    (turns > 1 && round > policy.round).then_some(round)
}

fn per_second(count: usize, every: Duration) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    f64::from(count) / every.as_secs_f64()
}

/// Two digits where there are few, none where there are many.
fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.2}") } else { format!("{per_second:.0}") }
}

/// A moment to the minute, in UTC.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let end = text.len().min("2026-01-01T00:00".len());
    format!("{}Z", text.get(..end).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Overrides, load};

    const MAIN: &str = r#"
storage.path = "data"
inventory.files = ["i.toml"]
policy.rules = ["r.toml"]
clusters.a.act = "d"
clusters.b.act = "d"
drivers.d.dry_run = {}
"#;
    const INSTANCES: &str = r#"
instances.i-1 = { cluster = "a", pool = "h100" }
instances.i-2 = { cluster = "a", pool = "h100" }
instances.i-3 = { cluster = "b", pool = "cpu" }
"#;
    const RULES: &str = r#"
[rules.silent]
match = ['kind="tcp"', 'finding=~"refused|timeout"']
for = "3m"
mode = "reboot_vm"
[rules.banner]
match = ['finding="banner"']
enforce = "off"
"#;

    /// The warnings, and what is said.
    fn run(checks: &str, only: Option<&str>) -> (Vec<String>, String) {
        let dir = tempfile::tempdir().unwrap();
        let main = format!("{MAIN}{checks}");
        for (name, text) in [("remedyd.toml", main.as_str()), ("i.toml", INSTANCES), ("r.toml", RULES)] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let loaded = load(&dir.path().join("remedyd.toml"), &Overrides::default()).unwrap();
        let only = only.map(|id| loaded.instances.iter().find(|one| one.id.as_str() == id).unwrap());
        let now = Timestamp::parse("2026-03-28T12:00:00Z").unwrap();
        let mut out = Vec::new();
        explain(&loaded, only, now, false, &mut out).unwrap();
        let folder = format!("{}/", dir.path().display());
        let warnings = loaded.warnings.iter().map(|warning| warning.to_string().replace(&folder, "")).collect();
        (warnings, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_check_is_explained() {
        let (warnings, out) = run("[checks.ssh]\nevery = \"10s\"\ntimeout = \"2s\"\ntcp.port = 22\n", None);
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(
            out,
            "check ssh: tcp, every 10s, spread over it: 0.30 run(s) a second\n  \
             looks at 3 instance(s) (a 2, b 1), 128 at once, each for at most 2s\n  \
             believed after 3 FAIL in a row, clear after 2 PASS; its alerts are critical\n  \
             refused, timeout: silent proposes reboot_vm after 3m\n  \
             unreachable, reset: no rule matches, opens nothing\n  \
             banner: banner is off, opens nothing\n\
             1 check(s): 0.30 run(s) a second, 1024 at once\n"
        );
    }

    #[test]
    fn a_crontab_shows_its_next_times_over_a_change_of_the_clocks() {
        let (_, out) = run("[checks.night]\ncron = \"30 3 * * *\"\nzone = \"Europe/London\"\ntcp.port = 22\n", None);
        let first = out.lines().next().unwrap();
        let next = "2026-03-29T02:30Z, 2026-03-30T02:30Z, 2026-03-31T02:30Z";
        assert_eq!(first, format!("check night: tcp, at 30 3 * * * Europe/London; next {next}"));
    }

    #[test]
    fn one_instance_shows_what_looks_at_it() {
        let checks = "[checks.ssh]\nselect = ['pool=\"h100\"']\ntcp.port = 22\n[checks.echo]\nicmp = {}\n";
        let (_, out) = run(checks, Some("i-3"));
        assert!(!out.contains("check ssh") && out.contains("check echo: icmp, every 30s"), "{out}");
        assert!(
            out.contains("  looks at 1 instance(s) (b 1)") && out.contains("may not ping on this machine"),
            "{out}"
        );
        assert_eq!(run("", Some("i-3")).1, "no check looks at i-3\n");
    }

    #[test]
    fn what_looks_at_nothing_or_opens_nothing_is_warned_of_at_its_place() {
        let checks = "[checks.ssh]\nselect = ['pool=\"h200\"']\ntcp.port = 22\n[checks.echo]\nicmp = {}\n";
        let (warnings, _) = run(checks, None);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let select = "remedyd.toml:8:9: checks.ssh: looks at no instance: `select` fits none of the inventory";
        let echo = "remedyd.toml:11:9: checks.echo: no rule matches what it finds, so that is seen and opens nothing";
        assert!(warnings.iter().any(|warning| warning == select), "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.starts_with(echo)), "{warnings:?}");
    }

    #[test]
    fn a_round_that_cannot_be_in_time_is_said() {
        let (_, out) = run("[checks.ssh]\nevery = \"5s\"\nconcurrency = 1\ntcp.port = 22\n", None);
        assert!(out.contains("  slow: where no node answers a round takes 15s"), "{out}");
    }
}
