//! The words that stories are told in.

mod checks;
#[path = "../rows/mod.rs"]
mod rows;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use remedyd::domain::matcher::Matchers;
use remedyd::domain::{AutoResolve, Mode, RuleId, State};
use remedyd::engine::settings::{Enforce, Rule};
use world::World;

/// Tells a story; the error names the line.
pub fn tell(text: &str, restarts: bool) -> Result<(), String> {
    let mut world = World::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        one(&mut world, line).map_err(|why| format!("line {}: `{line}`: {why}", n + 1))?;
        world.check().map_err(|why| format!("line {}: `{line}`: {why}", n + 1))?;
        if restarts && !is_question(line) {
            world.restart();
            world.check().map_err(|why| format!("after line {} and a restart: {why}", n + 1))?;
        }
    }
    world.settled_refusal()
}

/// Whether a line only asks how it stands, now or later.
fn is_question(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next();
    let verb = if first == Some("at") { words.nth(1) } else { first };
    matches!(verb, Some("expect" | "refused"))
}

fn one(world: &mut World, line: &str) -> Result<(), String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words[0] == "at" {
        world.advance(duration(words.get(1).ok_or("at when?")?)?);
        words.drain(..2);
    }
    let Some((verb, rest)) = words.split_first() else { return Ok(()) };
    match *verb {
        "policy" => policy(world, rest),
        "source" => world.source(rest),
        "cluster" => world.cluster(rest),
        "instance" => world.instance(rest),
        "gone" => world.gone(rest[0]),
        "catalogue" => world.catalogue(rest),
        "rule" => rule(world, line),
        "fires" | "resolves" => world.deliver(words.split(|word| *word == "&")),
        "again" => world.deliver_again(),
        "check" => world.checks(rest),
        "run" => world.run(rest.split(|word| *word == "&")),
        "approve" | "reject" | "cancel" | "abort" => world.review(verb, rest),
        "create" => world.create(rest),
        "hold" => world.hold(rest),
        "unhold" => world.unhold(rest[0]),
        "pause" | "resume" => world.switch(verb, rest),
        "restored" => {
            world.restored();
            Ok(())
        }
        "enable" => world.enable(),
        "refused" => world.refused(&rest.join(" ")),
        "look" => world.answer_look(rest),
        "driver" => world.answer_call(rest),
        "restart" => {
            world.restart();
            Ok(())
        }
        "expect" => expect(world, rest),
        other => Err(format!("the word `{other}` is not known")),
    }
}

fn policy(world: &mut World, words: &[&str]) -> Result<(), String> {
    for (key, value) in pairs(words)? {
        world.configure(|settings| {
            let policy = &mut settings.policy;
            let slot = match key.as_str() {
                "compact_ttl" => &mut policy.compact_ttl,
                "cooldown" => &mut policy.cooldown,
                "proposal_ttl" => &mut policy.proposal_ttl,
                "dispatch_delay" => &mut policy.dispatch_delay,
                "settle" => &mut policy.settle,
                "refire_hold" => &mut policy.refire_hold,
                "max_evidence_age" => &mut policy.max_evidence_age,
                "validate_within" => &mut policy.validate_within,
                "soak" => &mut policy.soak,
                "verify_within" => &mut policy.verify_within,
                "in_flight" => {
                    settings.limits.in_flight = value.parse().map_err(|_| "a number")?;
                    settings.limits.in_flight_percent = 100;
                    return Ok(());
                }
                other => return Err(format!("no policy key {other}")),
            };
            *slot = duration(&value)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// `rule ID match=… mode=… [for=…] [enforce=…] [auto_resolve=…]`; the matchers may hold no blank.
fn rule(world: &mut World, line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace().skip(1);
    let id = RuleId::parse(words.next().ok_or("which rule?")?).map_err(|error| error.to_string())?;
    let mut rule = Rule {
        matchers: Matchers::default(),
        hold_for: Duration::ZERO,
        mode: None,
        enforce: Enforce::Propose,
        auto_resolve: AutoResolve::Alert,
    };
    for word in words {
        let (key, value) = word.split_once('=').ok_or("key=value")?;
        match key {
            "match" => rule.matchers = Matchers::parse(value).map_err(|error| error.to_string())?,
            "mode" => rule.mode = Some(Mode::parse(value).ok_or("which mode?")?),
            "for" => rule.hold_for = duration(value)?,
            "enforce" => {
                rule.enforce = match value {
                    "off" => Enforce::Off,
                    "shadow" => Enforce::Shadow,
                    "propose" => Enforce::Propose,
                    "auto" => Enforce::Auto,
                    other => return Err(format!("no enforce {other}")),
                }
            }
            "auto_resolve" if value == "never" => rule.auto_resolve = AutoResolve::Never,
            "auto_resolve" if value == "probe" => rule.auto_resolve = AutoResolve::Probe,
            other => return Err(format!("no rule key {other}")),
        }
    }
    world.configure(|settings| {
        settings.rules.insert(id, rule);
        Ok(())
    })
}

/// `expect i-7 PENDING_APPROVAL host_aware linked=2 clear=1 because=… waits=…`, `expect i-7 nothing`,
/// `expect i-7 held cooldown`, `expect i-7 records=2`, `expect alert NAME STATE`, `expect call act`, `expect acts=1`,
/// `expect look`, `expect idle`, `expect notices=3`, `expect open NAME STATE`, where `nothing` means that no episode is.
///
/// Of checks: `expect ssh i-7 FAILING`, `expect ssh i-7 unprobed`, `expect fault`, `expect no fault`, `expect runs=3`,
/// `expect look ssh,gpu`: the checks that the waiting look has run. An alert of one node is called `ssh@i-7`.
///
/// Of a remediation: `run=ssh`, it was opened by a kept FAIL run of that check; `detail=` a part of why it failed, `linked=` all links, `clear=` and `open=` the two kinds of them,
/// `xids=` the codes in their annotations, `at_least=` a mode.
fn expect(world: &mut World, words: &[&str]) -> Result<(), String> {
    match words {
        ["alert", name, state] => same("the alert", world.alert_state(name), (*state).to_owned()),
        ["open", name, state] => same("the open episode", world.open_episode(name), (*state).to_owned()),
        ["call", verb] => same("the waiting call", world.waiting_call(), Some((*verb).to_owned())),
        ["look", checks] => same("the checks of the waiting look", world.waiting_checks().as_str(), checks),
        ["fault"] => same("whether the prober seems to be at fault", world.fault(), true),
        ["no", "fault"] => same("whether the prober seems to be at fault", world.fault(), false),
        ["look"] => same("whether a look is waiting", world.waiting_look(), true),
        ["idle"] => same("waiting calls and looks", (world.waiting_call(), world.waiting_look()), (None, false)),
        [count] if count.starts_with("acts=") => same("acts so far", format!("acts={}", world.acts()), (*count).into()),
        [count] if count.starts_with("runs=") => {
            same("runs that are kept", format!("runs={}", world.runs()), (*count).into())
        }
        [check, instance, belief @ ("UNKNOWN" | "HEALTHY" | "FAILING" | "unprobed")] => {
            same("what is believed", world.belief(check, instance).as_str(), *belief)
        }
        [count] if count.starts_with("notices=") => {
            same("notices so far", format!("notices={}", world.notices()), (*count).into())
        }
        [instance, "nothing"] => same("live remediations", world.live(instance).map(|row| row.0.state), None),
        [instance, "held", why] => same("what is in the way", world.held(instance), Some((*why).to_owned())),
        [instance, "free"] => same("what is in the way", world.held(instance), None),
        [instance, count] if count.starts_with("records=") => {
            same("remediations so far", format!("records={}", world.records(instance)), (*count).into())
        }
        [instance, state, rest @ ..] => {
            let (row, links) = world.newest(instance).ok_or("there is no remediation")?;
            same("the state", Some(row.state), State::parse(state))?;
            for word in rest {
                match word.split_once('=') {
                    None => same("the mode", row.mode.as_str(), word)?,
                    Some(("linked", n)) => same("linked alerts", links.len().to_string().as_str(), n)?,
                    Some(("clear", n)) => {
                        let clear = links.iter().filter(|link| link.cleared_at.is_some()).count();
                        same("clear alerts", clear.to_string().as_str(), n)?;
                    }
                    Some(("open", n)) => {
                        let open = links.iter().filter(|link| link.cleared_at.is_none()).count();
                        same("open alerts", open.to_string().as_str(), n)?;
                    }
                    Some(("xids", codes)) => {
                        let codes_of =
                            links.iter().flat_map(|link| &link.annotation.xids).map(|xid| xid.code.to_string());
                        same("the codes that a person reads", codes_of.collect::<Vec<_>>().join(",").as_str(), codes)?;
                    }
                    Some(("at_least", mode)) => {
                        let mode = Mode::parse(mode).ok_or("which mode?")?;
                        if mode.is_heavier_than(row.mode) {
                            return Err(format!("the mode: {}, lighter than {mode}", row.mode));
                        }
                    }
                    Some(("run", check)) => {
                        same("the run that opened it", world.opened_by(&row), Some(check.to_owned()))?
                    }
                    Some(("version", n)) => same("the version", row.version.to_string().as_str(), n)?,
                    Some(("because", why)) => {
                        let failure = row.failure.as_ref().map(|failure| failure.code.as_str().to_owned());
                        let reason = failure.or(row.note.clone()).unwrap_or_default();
                        if !reason.replace(' ', "_").contains(why) {
                            return Err(format!("it ended because of {reason:?}"));
                        }
                    }
                    Some(("detail", part)) => {
                        let detail = row.failure.as_ref().map(|failure| failure.detail.clone()).unwrap_or_default();
                        if !detail.replace(' ', "_").contains(part) {
                            return Err(format!("it failed with {detail:?}"));
                        }
                    }
                    Some(("waits", why)) => {
                        let waits = row.waits_for.clone().unwrap_or_default();
                        if !waits.replace(' ', "_").contains(why) {
                            return Err(format!("it waits for {waits:?}"));
                        }
                    }
                    Some((other, _)) => return Err(format!("nothing is known of `{other}`")),
                }
            }
            Ok(())
        }
        _ => Err("what is expected?".to_owned()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, expected: T) -> Result<(), String> {
    if is == expected { Ok(()) } else { Err(format!("{what}: {is:?}, not {expected:?}")) }
}

/// `key=value` words.
pub fn pairs(words: &[&str]) -> Result<BTreeMap<String, String>, String> {
    words
        .iter()
        .map(|word| {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no key=value"))?;
            Ok((key.to_owned(), value.replace('_', " ").trim_matches('"').to_owned()))
        })
        .collect::<Result<_, String>>()
        .map(|mut pairs: BTreeMap<String, String>| {
            // Only annotations and reasons have blanks; ids keep their underscores.
            for (key, value) in &mut pairs {
                if !matches!(key.as_str(), "summary" | "description" | "reason" | "comment") {
                    *value = value.replace(' ', "_");
                }
            }
            pairs
        })
}

/// `90s`, `5m`, `2h`, `1d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time"))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(format!("`{text}` is no time")),
    };
    Ok(Duration::from_secs(number * seconds))
}
