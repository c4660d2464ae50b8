//! The house rules: which room may name what, how large a file may be, what a name must not be.
//!
//! The table of rooms is the one of the design; every rule here is tried on a sabotaged snippet as well, because a guard
//! that cannot fail is worth nothing. A rule that stands in the way of good code is changed here, in the open.

#[path = "house/reading.rs"]
mod reading;
#[path = "house/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reading::Source;
use rules::{Offence, RULES};

/// The files at the top of the repository, and nothing else (DESIGN §3).
const TOP: [&str; 16] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "config",
    "src",
    "systemd",
    "tests",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources_below(folder: &str) -> Vec<Source> {
    let mut waiting = vec![repository().join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = waiting.pop() {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.collect::<BTreeSet<PathBuf>>() {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(repository()).unwrap().display().to_string();
                sources.push(Source::new(&name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources
}

fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

fn report(offences: &[Offence]) -> String {
    offences.iter().map(|offence| format!("\n{offence}")).collect()
}

#[test]
fn the_sources_keep_the_house_rules() {
    let offences = rules::judge(&sources_below("src"), &dependencies());
    assert!(offences.is_empty(), "{}", report(&offences));
}

#[test]
fn the_tests_keep_the_rules_that_hold_for_them() {
    let offences = rules::judge_tests(&sources_below("tests"));
    assert!(offences.is_empty(), "{}", report(&offences));
}

#[test]
fn the_top_of_the_repository_holds_what_the_design_lists() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(repository()).output();
    let Ok(listed) = listed.map(|output| String::from_utf8(output.stdout).unwrap()) else {
        return; // An unpacked archive: what lies beside the sources is the unpacker's business.
    };
    let names: BTreeSet<&str> = listed.lines().filter_map(|path| path.split('/').next()).collect();
    let strangers: Vec<_> = names.into_iter().filter(|name| !TOP.contains(name)).collect();
    assert!(strangers.is_empty(), "not in the list of the design: {strangers:?}");
}

/// A file that breaks one rule, and the line at which it does.
fn sabotage() -> Vec<(&'static str, &'static str, String, usize)> {
    let file = |line: &str| format!("//! Says why.\n\n{line}\n");
    let long = format!("//! Says why.\n{}", "fn a() {}\n".repeat(501));
    vec![
        ("room", "src/attic/mod.rs", file("fn a() {}"), 1),
        ("import", "src/engine/guard.rs", file("use crate::store::reader::Reader;"), 3),
        ("import", "src/domain/alert.rs", file("use super::super::engine::Change;"), 3),
        ("import", "src/executors/slurm.rs", file("use crate::{domain::Mode, http::auth};"), 3),
        ("import", "src/executors/slurm.rs", file("fn a() { crate::probes::tcp::run() }"), 3),
        ("import", "src/probes/tcp.rs", file("use crate::store::{self as disk};"), 3),
        ("import", "src/sources/mod.rs", file("fn a(reader: &crate::store::reader::Reader) {}"), 3),
        ("import", "src/notices/mod.rs", file("use crate::executors::Answer;"), 3),
        ("import", "src/sources/mod.rs", file("use crate::*;"), 3),
        ("import", "src/telemetry/logs.rs", file("use crate::http::Server;"), 3),
        ("crate", "src/cli/mod.rs", file("use axum::Router;"), 3),
        ("crate", "src/notices/webhook.rs", file("use reqwest::Client;"), 3),
        ("crate", "src/writer.rs", file("fn a(db: &sled::Db) {}"), 3),
        ("crate", "src/engine/mod.rs", file("fn a() { tracing::info!(\"x\") }"), 3),
        ("crate", "src/http/ops.rs", file("use {prometheus::Counter as Quiet};"), 3),
        ("pure", "src/engine/guard.rs", file("async fn a() {}"), 3),
        ("pure", "src/engine/guard.rs", file("use std::collections::{BTreeMap, HashMap as Map};"), 3),
        ("pure", "src/domain/time.rs", file("fn a() { std::fs::read(\"x\"); }"), 3),
        ("pure", "src/domain/time.rs", file("use std::net::{IpAddr, UdpSocket};"), 3),
        ("pure", "src/domain/time.rs", file("fn a(i: std::time::Instant) {}"), 3),
        ("contract", "src/store/applier.rs", file("use crate::engine::guard;"), 3),
        ("contract", "src/http/together.rs", file("use crate::engine::{Command, Engine};"), 3),
        ("contract", "src/http/together.rs", file("use crate::engine::*;"), 3),
        ("one way", "src/engine/policy/judge.rs", file("use super::super::health::deliver;"), 3),
        ("one way", "src/engine/plan.rs", file("use super::remediation;"), 3),
        ("one way", "src/engine/guard.rs", file("fn a() { super::policy::evaluate() }"), 3),
        ("one way", "src/engine/remediation/open.rs", file("use crate::engine::{change::Change, guard};"), 3),
        ("reads only", "src/http/native.rs", file("use crate::store::journal::Journal;"), 3),
        ("unsafe", "src/store/lock.rs", file("fn a() { unsafe { b() } }"), 3),
        ("name", "src/engine/plan.rs", file("struct PlanManager;"), 3),
        ("name", "src/engine/plan.rs", file("pub mod util;"), 3),
        ("name", "src/engine/helpers.rs", file("fn a() {}"), 1),
        ("crate's name", "src/notices/notify.rs", file("fn a() {}"), 1),
        ("crate's name", "src/engine/core.rs", file("fn a() {}"), 1),
        ("header", "src/engine/plan.rs", "fn a() {}\n".to_owned(), 1),
        ("length", "src/engine/plan.rs", long, 1),
        ("median", "src/engine/plan.rs", format!("//! Says why.\n{}", "fn a() {}\n".repeat(200)), 1),
    ]
}

#[test]
fn every_rule_finds_its_sabotage() {
    let dependencies = dependencies();
    for (rule, path, text, line) in sabotage() {
        let offences = rules::judge(&[Source::new(path, &text)], &dependencies);
        let found = offences.iter().any(|offence| (offence.rule, offence.line) == (rule, line) && offence.path == path);
        assert!(found, "`{rule}` did not find line {line} of {path}:\n{text}{}", report(&offences));
    }
    let tried: BTreeSet<&str> = sabotage().iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tried, BTreeSet::from(RULES), "every rule has its sabotage");
}

#[test]
fn what_is_allowed_is_not_found() {
    let decoys = r##"
        // use crate::store::reader::Reader; async unsafe HashMap
        /* use axum::Router; /* nested */ unsafe */
        const TEXT: &str = "unsafe \" crate::store::reader";
        const RAW: &str = r#"use "sled"; unsafe"#;
        const BYTES: &[u8] = br"unsafe";
        const QUOTES: [char; 3] = ['"', '\'', '\\'];
        fn life<'a>(text: &'a str) -> &'a str { text } // 'unsafe
        use super::settings::{self, Settings};
        use std::net::IpAddr;
        #[cfg(test)]
        use std::collections::HashMap;
        #[cfg(test)]
        mod tests { use crate::store::reader::Reader; fn a() { { async {} } } }
        #[cfg(test)]
        mod testing;
    "##;
    let sources = [
        Source::new("src/engine/guard.rs", &format!("//! Says why.\n{decoys}")),
        // Declared for tests only, so what it names is theirs.
        Source::new("src/engine/guard/testing.rs", "//! Says why.\nuse crate::store::reader::Reader;\n"),
        Source::new(
            "src/engine/health/act.rs",
            "//! Says why.\nuse super::super::{guard, policy, remediation::open};\n",
        ),
        Source::new("src/http/native.rs", "//! Says why.\nuse crate::store::{query::Page, reader::Reader};\n"),
        Source::new("src/app.rs", "//! Says why.\nuse crate::{engine::Engine, http, store::journal};\n"),
    ];
    let offences = rules::judge(&sources, &dependencies());
    assert!(offences.is_empty(), "{}", report(&offences));
    // The decoys end before this: the same file with one more line is found.
    let text = format!("//! Says why.\n{decoys}\nuse crate::store::reader::Reader;");
    assert_eq!(rules::judge(&[Source::new("src/engine/guard.rs", &text)], &dependencies()).len(), 1);
}

#[test]
fn the_walks_through_the_files_name_each_file_once_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = fs::read_to_string(root.join("lib.rs")).unwrap();
    let walks: Vec<&str> = text.split("//! # One ").skip(1).collect();
    assert_eq!(walks.len(), 2, "one alert and one approval are walked through");
    for walk in walks {
        let named: Vec<&str> = walk.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")).collect();
        assert!(named.len() > 8, "{named:?}");
        for (at, name) in named.iter().enumerate() {
            assert!(!named[..at].contains(name), "{name} is named twice");
            assert!(root.join(name).is_file() || root.join("engine").join(name).is_file(), "there is no {name}");
        }
    }
}
