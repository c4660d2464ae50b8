//! `rules.d/*.toml`: the rules of policy, merged by key.
//!
//! Files are taken in the order of the patterns and, within one pattern, of their names. A rule that stands in several
//! files is one rule: a key of a later file replaces the same key of an earlier one, and the other keys stay. A site
//! changes a shipped rule by a file such as `90-site.toml` with nothing but the key that it wants to differ.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clusters::read_mode;
use super::table::{Table, Value};
use crate::domain::matcher::Matchers;
use crate::domain::{AutoResolve, Mode, RuleId, SourceId};
use crate::engine::settings::{Enforce, Rule, Source};

/// Reads the rules of all files, given in order. `has_checks`: there is a check that could prove an instance healthy.
pub(super) fn read<'a>(
    files: impl IntoIterator<Item = Table<'a>>,
    sources: &BTreeMap<SourceId, Source>,
    has_checks: bool,
) -> BTreeMap<RuleId, Rule> {
    let mut merged: BTreeMap<RuleId, Table<'a>> = BTreeMap::new();
    for mut file in files {
        for (id, value) in file.table("rules").named(RuleId::parse) {
            let Some(table) = value.table() else { continue };
            match merged.get_mut(&id) {
                Some(earlier) => earlier.merge(table),
                None => drop(merged.insert(id, table)),
            }
        }
        file.finish();
    }
    let blind = sources.iter().find(|(_, source)| !source.has_api).map(|(id, _)| id);
    merged.into_iter().filter_map(|(id, table)| Some((id, read_rule(table, blind, has_checks)?))).collect()
}

/// One rule; `blind` is a source that cannot be asked whether an alert still fires.
fn read_rule(mut table: Table<'_>, blind: Option<&SourceId>, has_checks: bool) -> Option<Rule> {
    let enforce = table.take("enforce").and_then(|value| {
        let enforce = read_enforce(&value)?;
        if let (Enforce::Auto, Some(source)) = (enforce, blind) {
            value.wrong(format!(
                "\"auto\" needs sources that can be asked before a machine is touched, and [sources.{source}] has no \
                 `alertmanagers`; use \"propose\", where the approval is the validation"
            ));
        }
        Some(enforce)
    });
    let enforce = enforce.unwrap_or(Enforce::Propose);
    let matchers = table.require("match").and_then(|value| read_match(&value));
    let hold_for = table.take("for").and_then(|value| value.duration()).unwrap_or(Duration::ZERO);
    let mode = if enforce == Enforce::Off { table.take("mode") } else { table.require("mode") };
    let mode = mode.and_then(|value| read_rule_mode(&value));
    let auto_resolve = table.take("auto_resolve").and_then(|value| read_auto_resolve(&value, has_checks));
    table.finish();
    Some(Rule {
        matchers: matchers?,
        hold_for,
        mode,
        enforce,
        auto_resolve: auto_resolve.unwrap_or(AutoResolve::Alert),
    })
}

fn read_match(value: &Value<'_>) -> Option<Matchers> {
    let items = value.texts()?;
    let read = |item: &Value<'_>| {
        let matchers = item.parsed(Matchers::parse)?;
        if matchers.is_empty() {
            item.wrong("requires nothing, so the rule would be about every alert");
            return None;
        }
        Some(matchers)
    };
    if items.is_empty() && value.list().is_some_and(|list| list.is_empty()) {
        value.wrong("must hold at least one matcher, such as 'alertname=\"NodeDown\"'");
        return None;
    }
    items.iter().map(|(_, item)| read(item)).try_fold(Matchers::default(), |all, one| Some(all.and(one?)))
}

fn read_rule_mode(value: &Value<'_>) -> Option<Mode> {
    let mode = read_mode(value)?;
    match mode {
        Mode::RebootVm | Mode::VmOnly | Mode::HostAware => Some(mode),
        Mode::HostPowerCycle => {
            value.wrong("`host_power_cycle` is never a rule's first choice; a person may ask for it");
            None
        }
        Mode::EvictWithoutReplacement => {
            value.wrong("`evict_without_replacement` removes a node for good; only a person chooses it");
            None
        }
    }
}

fn read_enforce(value: &Value<'_>) -> Option<Enforce> {
    value.parsed(|text| match text {
        "off" => Ok(Enforce::Off),
        "shadow" => Ok(Enforce::Shadow),
        "propose" => Ok(Enforce::Propose),
        "auto" => Ok(Enforce::Auto),
        _ => Err(format!("`{text}` is none of off, shadow, propose, auto")),
    })
}

fn read_auto_resolve(value: &Value<'_>, has_checks: bool) -> Option<AutoResolve> {
    let auto_resolve = value.parsed(|text| {
        let found = AutoResolve::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of alert, probe, never"))
    })?;
    if auto_resolve == AutoResolve::Probe && !has_checks {
        value.dangling("\"probe\" needs a check that can pass, and there is no [checks.<id>]; use alert or never");
    }
    Some(auto_resolve)
}
