//! The rules themselves, as tables.

use std::collections::BTreeSet;
use std::fmt;

use super::reading::{Named, Source};

/// The names of all rules.
pub const RULES: [&str; 13] = [
    "room",
    "import",
    "crate",
    "pure",
    "contract",
    "one way",
    "reads only",
    "unsafe",
    "name",
    "crate's name",
    "header",
    "length",
    "median",
];

/// Every room, and which others it may name. `app` builds everything; `main` and `lib` hold no code of their own.
const ROOMS: [(&str, &[&str]); 18] = [
    ("domain", &[]),
    ("engine", &["domain"]),
    ("clock", &["domain"]),
    ("config", &["domain", "engine", "inventory"]),
    ("store", &["clock", "domain", "engine", "writer"]),
    ("writer", &["clock", "domain", "engine", "store", "telemetry"]),
    ("sources", &["domain", "engine", "providers"]),
    ("inventory", &["domain", "engine", "providers"]),
    ("providers", &["domain"]),
    ("probes", &["clock", "config", "domain", "engine", "providers"]),
    ("executors", &["clock", "config", "domain", "engine", "providers"]),
    ("notices", &["clock", "domain", "engine", "providers"]),
    ("http", &["clock", "config", "domain", "engine", "store", "telemetry", "writer"]),
    ("telemetry", &["domain"]),
    ("cli", ANY),
    // Builds a world around the daemon, which it knows only by its flags and over HTTP.
    ("demo", &["clock", "config", "domain", "providers"]),
    ("app", ANY),
    ("main", ANY),
];
const ANY: &[&str] = &["*"];

/// Crates that belong to certain rooms.
const CRATES: [(&str, &[&str]); 28] = [
    ("axum", &["http", "demo"]),
    // The probe `http` speaks over a connection of its own, which a client with a pool does not give.
    ("hyper", &["http", "probes"]),
    ("hyper_util", &["http", "probes"]),
    ("http_body_util", &["http", "probes"]),
    ("tower", &["http"]),
    ("utoipa", &["http"]),
    ("reqwest", &["providers"]),
    ("tower_http", &["http"]),
    // A certificate that does not fit its key is a mistake of the configuration, with its place.
    ("rustls", &["providers", "http", "config", "probes"]),
    // Whom a check trusts is read with the configuration.
    ("rustls_native_certs", &["config"]),
    ("tokio_rustls", &["http", "probes"]),
    ("webpki", &["http"]),
    ("listenfd", &["http"]),
    ("sled", &["store"]),
    ("crc32c", &["store"]),
    ("prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tracing_logfmt", &["telemetry"]),
    ("tracing_journald", &["telemetry"]),
    ("sd_notify", &["telemetry"]),
    ("notify", &["config", "inventory"]),
    ("toml", &["config", "inventory", "cli"]),
    ("clap", &["cli", "demo", "main", "telemetry"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("csv", &["config"]),
    ("cron", &["config"]),
    ("nvml_wrapper", &["probes"]),
];

/// The rooms of plain functions over plain data.
const PURE: [&str; 2] = ["domain", "engine"];
/// What those rooms do not name: waiting, clocks, chance, order by hash, the world.
const IMPURE_WORDS: [&str; 14] = [
    "async",
    "await",
    "HashMap",
    "HashSet",
    "SystemTime",
    "Instant",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "println",
    "eprintln",
    "dbg",
    "thread_local",
];
const IMPURE_PATHS: [&[&str]; 7] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "io"],
    &["std", "sync", "mpsc"],
    &["std", "os"],
];
const IMPURE_CRATES: [&str; 4] = ["tokio", "tracing", "rustix", "bytes"];

/// What other rooms than these see of the engine is its contract: the data that goes in and comes out.
const DECIDERS: [&str; 5] = ["engine", "writer", "app", "cli", "main"];
const CONTRACT: [&str; 6] = ["change", "effect", "input", "past", "refusal", "settings"];
const NOT_CONTRACT: [&str; 4] = ["Engine", "Step", "Memory", "*"];

/// The engine's rooms, and which others each may call. What one leaves for another waits in the turn.
const ENGINE: [(&str, &[&str]); 5] = [
    ("health", &["policy", "guard", "remediation", "plan"]),
    ("policy", &["guard", "remediation", "plan"]),
    ("guard", &["remediation", "plan"]),
    ("remediation", &["plan"]),
    ("plan", &[]),
];

/// Files that may say `unsafe`: those that load a device library or lock the store. None does so far.
const MAY_BE_UNSAFE: [&str; 0] = [];

const LONGEST: usize = 500;
const LONGEST_MEDIAN: usize = 180;
const STD_CRATES: [&str; 5] = ["std", "core", "alloc", "proc_macro", "test"];
const NO_NAMES: [&str; 3] = ["Manager", "Helper", "Util"];
const NO_MODULES: [&str; 10] =
    ["util", "utils", "helper", "helpers", "manager", "common", "misc", "data", "shared", "types"];

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

struct Found<'a> {
    path: &'a str,
    offences: &'a mut Vec<Offence>,
}

impl Found<'_> {
    fn add(&mut self, line: usize, rule: &'static str, what: String) {
        assert!(RULES.contains(&rule), "`{rule}` is missing from the list");
        self.offences.push(Offence { path: self.path.to_owned(), line, rule, what });
    }
}

/// Judges the sources of the crate.
pub fn judge(sources: &[Source], dependencies: &BTreeSet<String>) -> Vec<Offence> {
    let only_tests: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    let mut offences = Vec::new();
    let mut lengths = Vec::new();
    for source in sources {
        let mut found = Found { path: &source.path, offences: &mut offences };
        header(source, &mut found);
        not_unsafe(source, &mut found);
        if only_tests.contains(&source.path) {
            continue;
        }
        names(source, dependencies, &mut found);
        let length = source.text.lines().count() - source.test_lines;
        if length > LONGEST {
            found.add(1, "length", format!("{length} lines without tests; look for the second thought inside"));
        }
        lengths.push((length, source.path.as_str()));
        imports(source, &mut found);
    }
    lengths.sort_unstable();
    if let Some((median, path)) = lengths.get(lengths.len() / 2)
        && *median > LONGEST_MEDIAN
    {
        let what = format!("half of all files have {median} lines or more; {LONGEST_MEDIAN} is the limit");
        offences.push(Offence { path: (*path).to_owned(), line: 1, rule: "median", what });
    }
    offences
}

/// Judges the tests, which may name everything.
pub fn judge_tests(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources {
        let mut found = Found { path: &source.path, offences: &mut offences };
        header(source, &mut found);
        not_unsafe(source, &mut found);
    }
    offences
}

fn header(source: &Source, found: &mut Found<'_>) {
    if !source.text.starts_with("//! ") {
        found.add(1, "header", "the first line does not say why the file exists (`//! …`)".to_owned());
    }
}

fn not_unsafe(source: &Source, found: &mut Found<'_>) {
    if MAY_BE_UNSAFE.contains(&source.path.as_str()) {
        return;
    }
    // Of the whole text: tests are not exempt.
    let whole =
        Source { code: Source::new(&source.path, &source.text.replace("#[cfg(test)]", "")).code, ..source.clone() };
    for named in whole.names().iter().filter(|named| named.segments.iter().any(|segment| segment == "unsafe")) {
        found.add(named.line, "unsafe", "this file is not among those that may".to_owned());
    }
}

fn names(source: &Source, dependencies: &BTreeSet<String>, found: &mut Found<'_>) {
    if let Some(module) = source.module().last() {
        if NO_MODULES.contains(&module.as_str()) {
            found.add(1, "name", format!("`{module}` says nothing about what is inside"));
        }
        if dependencies.contains(module) || STD_CRATES.contains(&module.as_str()) {
            found.add(1, "crate's name", format!("`{module}` is the name of a crate as well"));
        }
    }
    for (line, kind, name) in source.definitions() {
        let is_bad_module = kind == "mod" && NO_MODULES.contains(&name);
        let is_bad_type = NO_NAMES.iter().any(|bad| name.contains(bad)) || name == "Data";
        if is_bad_module || is_bad_type {
            found.add(line, "name", format!("`{name}` says nothing about what it is"));
        }
    }
}

fn imports(source: &Source, found: &mut Found<'_>) {
    let room = source.room();
    if room == "lib" {
        return;
    }
    let Some((_, neighbours)) = ROOMS.iter().find(|(known, _)| *known == room) else {
        found.add(1, "room", format!("the design has no room `{room}`"));
        return;
    };
    let here = (room == "engine").then(|| source.module().get(2).and_then(|module| engine_room(module))).flatten();
    for Named { line, segments } in source.names() {
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let shown = path.join("::");
        if let ["crate", other, ..] = path[..]
            && other != room
            && (other == "*" || ROOMS.iter().any(|(known, _)| *known == other))
            && *neighbours != ANY
            && !neighbours.contains(&other)
        {
            found.add(line, "import", format!("`{room}` may not name `{shown}`"));
        }
        if let [first, _, ..] = path[..]
            && let Some((_, owners)) = CRATES.iter().find(|(known, _)| *known == first)
            && !owners.contains(&room)
        {
            found.add(line, "crate", format!("`{shown}` belongs to {owners:?}"));
        }
        if PURE.contains(&room) {
            pure(&path, line, found);
        }
        if let ["crate", "engine", inner, ..] = path[..] {
            let is_module = inner.starts_with(char::is_lowercase);
            let is_contract = if is_module { CONTRACT.contains(&inner) } else { !NOT_CONTRACT.contains(&inner) };
            if !DECIDERS.contains(&room) && !is_contract {
                found.add(
                    line,
                    "contract",
                    format!("`{shown}` decides; other rooms see only what goes in and comes out"),
                );
            }
            if let (Some((here, callees)), Some((there, _))) = (here, engine_room(inner))
                && here != there
                && !callees.contains(&there)
            {
                found.add(line, "one way", format!("`{here}` may not call `{there}`"));
            }
        }
        if let ("http", ["crate", "store", inner, ..]) = (room, &path[..])
            && !["reader", "query"].contains(inner)
        {
            found.add(
                line,
                "reads only",
                format!("`{shown}`: the API reads the store and changes it through inputs only"),
            );
        }
    }
}

fn pure(path: &[&str], line: usize, found: &mut Found<'_>) {
    let word = path.iter().find(|segment| IMPURE_WORDS.contains(segment));
    let world = IMPURE_PATHS.iter().any(|impure| path.starts_with(impure));
    let is_crate = path.len() > 1 && IMPURE_CRATES.contains(&path[0]);
    if is_crate {
        found.add(line, "crate", format!("`{}` does not belong into plain functions", path.join("::")));
    } else if word.is_some() || world {
        found.add(line, "pure", format!("`{}` does not belong into plain functions", path.join("::")));
    }
}

fn engine_room(module: &str) -> Option<(&'static str, &'static [&'static str])> {
    ENGINE.into_iter().find(|(room, _)| module.starts_with(room))
}
