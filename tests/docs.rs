//! What README and the reference say is so: their configurations load, their commands run, and what they name exists.

mod support;

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/reading.rs"]
mod reading;

use std::fs;
use std::path::Path;

use reading::{Block, blocks, merge};
use remedyd::config::keys::KEYS;
use remedyd::http::routes::ROUTES;
use support::daemon::remedyd;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(repository().join(format!("tests/golden/reference/{name}.md"))).unwrap()
}

/// What a fragment needs around it: a main file and what it names. A fragment's keys win.
const FRAME: [(&str, &str); 4] = [
    (
        "remedyd.toml",
        "storage.path = 'data'\nauth.tokens_file = 'tokens.toml'\ninventory.files = ['inventory.d/*.toml']\n\
         inventory.file_sd = ['sd.d/*.json']\n\
         policy.rules = ['rules.d/*.toml']\nclusters.train-a.act = 'rehearse'\ndrivers.rehearse.dry_run = {}\n\
         checks.page.tcp.port = 80\n",
    ),
    ("inventory.d/a.toml", "instances.i-7.cluster = 'train-a'\n"),
    ("rules.d/a.toml", ""),
    ("tokens.toml", "[tokens.nobody]\nrole = 'viewer'\nsha256 = 'ZEROS'\n"),
];

/// Where the tables of a file other than the main one belong.
fn file_of(block: &toml::Table) -> &'static str {
    match block.keys().next().map(String::as_str) {
        Some("rules") => "rules.d/a.toml",
        Some("instances") => "inventory.d/a.toml",
        Some("tokens" | "clients") => "tokens.toml",
        _ => "remedyd.toml",
    }
}

#[test]
fn every_configuration_that_is_shown_loads() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut tried = 0;
    for (name, text) in [("README.md", readme()), ("reference/config.md", page("config"))] {
        for Block { line, text, .. } in blocks(&text).into_iter().filter(|block| block.language == "toml") {
            let fragment: toml::Table = text.parse().unwrap_or_else(|error| panic!("{name}:{line}: {error}"));
            let folder = tempfile::tempdir().unwrap();
            // What fragments name beside themselves.
            fs::copy(repository().join("config/catalog/xid.csv"), folder.path().join("xid.csv")).unwrap();
            fs::write(folder.path().join("cert.pem"), pair.cert.pem()).unwrap();
            fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
            fs::create_dir(folder.path().join("sd.d")).unwrap();
            fs::write(folder.path().join("sd.d/a.json"), "[]").unwrap();
            fs::write(folder.path().join("netbox.token"), "s3cret\n").unwrap();
            for (file, frame) in FRAME {
                let mut table: toml::Table = frame.replace("ZEROS", &"0".repeat(64)).parse().unwrap();
                if file == file_of(&fragment) {
                    merge(&mut table, fragment.clone());
                }
                // A check is nothing without the table of its kind, which the page shows by itself.
                for check in table.get_mut("checks").and_then(toml::Value::as_table_mut).into_iter().flatten() {
                    let check = check.1.as_table_mut().unwrap();
                    if !check.values().any(toml::Value::is_table) {
                        check.insert("tcp".to_owned(), toml::toml! { port = 22 }.into());
                    }
                }
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, table.to_string()).unwrap();
            }
            let file = format!("--config.file={}", folder.path().join("remedyd.toml").display());
            let checked = remedyd().args(["check", &file]).output().unwrap();
            assert!(checked.status.success(), "{name}:{line}:\n{text}{}", String::from_utf8_lossy(&checked.stderr));
            tried += 1;
        }
    }
    // A table each, at least.
    assert!(tried > 10, "{tried}");
}

/// Text in backticks, outside of blocks, each with its line.
fn quoted(text: &str) -> Vec<(usize, String)> {
    let mut quoted = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            quoted.extend(line.split('`').skip(1).step_by(2).map(|word| (at + 1, word.to_owned())));
        }
    }
    quoted
}

#[test]
fn every_key_that_readme_names_exists() {
    let tables: Vec<&str> = KEYS.iter().filter_map(|key| key.path.split('.').next()).collect();
    for (line, word) in quoted(&readme()) {
        let plain = word.trim_matches(['[', ']']);
        let is_path = plain.split('.').count() > 1 && plain.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
        if is_path && tables.contains(&plain.split('.').next().unwrap()) {
            let exists = KEYS.iter().any(|key| key.path == plain || key.path.starts_with(&format!("{plain}.")));
            assert!(exists, "README.md:{line}: there is no key `{word}`");
        }
    }
}

#[test]
fn every_path_that_readme_names_is_served() {
    let patterns: Vec<String> = ROUTES.iter().map(|route| shape(route.path)).collect();
    let mut tried = 0;
    let text = readme();
    let words = text.split(|c: char| c.is_whitespace() || "`\"'|,;()".contains(c));
    for word in words {
        let path = word.split_once("127.0.0.1:9720").map_or(word, |(_, path)| path);
        let path = path.split(['?', '#']).next().unwrap();
        if !["/api/", "/v1/", "/v3/", "/-/", "/metrics"].iter().any(|begins| path.starts_with(begins)) {
            continue;
        }
        // `…` leaves out what follows; `[…]` may be there.
        let is_whole = !path.contains(['…', '[']);
        let path = shape(path.split(['…', '[']).next().unwrap());
        let served = patterns.iter().any(|known| if is_whole { *known == path } else { known.starts_with(&path) });
        assert!(served, "README.md names `{word}`, which no route is ({path})");
        tried += 1;
    }
    assert!(tried > 5, "{tried}");
}

/// A path in which every part that is somebody's id or name is alike.
fn shape(path: &str) -> String {
    let parts = path.trim_end_matches(['.', ':']).split('/');
    let part =
        |part: &str| if part.contains(['{', '$', '}']) || part == "NAME" { "*".to_owned() } else { part.to_owned() };
    parts.map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn every_metric_that_readme_names_is_exported() {
    let page = page("metrics");
    for (line, word) in quoted(&readme()) {
        let name = word.split('{').next().unwrap();
        if name.starts_with("remedyd_") {
            assert!(page.contains(&format!("| `{name}` |")), "README.md:{line}: there is no metric `{name}`");
        }
    }
}

#[test]
fn every_flag_of_ours_that_readme_names_exists() {
    let help = page("cli");
    let mut tried = 0;
    for Block { line, text, .. } in blocks(&readme()).into_iter().filter(|block| block.language == "sh") {
        for command in commands::of(&text).into_iter().filter(|command| commands::is_ours(command)) {
            for flag in command.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = flag.split('=').next().unwrap();
                let exists = help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n"));
                assert!(exists || flag == "--release", "README.md:{line}: there is no flag {flag} ({command})");
                tried += 1;
            }
        }
    }
    assert!(tried > 1, "{tried}");
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    for (name, text) in [("README.md", readme()), ("reference/config.md", page("config"))] {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            assert!(file.is_empty() || repository().join(file).exists(), "{name}: `{target}` leads nowhere");
            let there =
                if file.is_empty() { text.clone() } else { fs::read_to_string(repository().join(file)).unwrap() };
            let known = reading::anchors(&there);
            assert!(anchor.is_empty() || known.contains(&anchor.to_owned()), "{name}: no heading for `#{anchor}`");
        }
    }
}
