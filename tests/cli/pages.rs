//! What is written about the verbs: help pages as they were last looked at, manual pages, completions.
//!
//! `REMEDYD_TEST_RENEW=1 cargo test --test cli help` writes the help pages anew; look at the difference.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use remedyd::cli::args::Cli;

use crate::asking::{Said, bare};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help")
}

/// Every verb with its help, as a terminal of 100 columns shows it.
fn help() -> Vec<(String, String)> {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut pages = Vec::new();
    add(root, "remedyd".to_owned(), &mut pages);
    pages
}

fn add(mut command: clap::Command, name: String, pages: &mut Vec<(String, String)>) {
    let text: String =
        command.render_long_help().to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        add(verb.clone(), format!("{name}-{}", verb.get_name()), pages);
    }
    pages.push((name, text));
}

#[test]
fn help_is_as_it_was_last_looked_at() {
    let pages = help();
    if std::env::var_os("REMEDYD_TEST_RENEW").is_some() {
        let _ = fs::remove_dir_all(folder());
        fs::create_dir_all(folder()).unwrap();
        for (name, text) in &pages {
            fs::write(folder().join(format!("{name}.txt")), text).unwrap();
        }
    }
    let known: BTreeSet<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let wanted: BTreeSet<String> = pages.iter().map(|(name, _)| format!("{name}.txt")).collect();
    assert_eq!(known, wanted);
    for (name, text) in pages {
        let golden = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        assert!(golden == text, "{name} has another help now; look at it, then renew:\n{text}");
    }
}

#[test]
fn every_example_can_be_read() {
    let mut examples = 0;
    for (name, text) in help() {
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("remedyd ") && !line.contains(" > ")) {
            let line = line.split(" && ").next().unwrap();
            let words = Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
            let words = String::from_utf8(words.stdout).unwrap();
            if let Err(error) = Cli::command().try_get_matches_from(words.lines()) {
                panic!("{name}: {line}: {error}");
            }
            examples += 1;
        }
    }
    assert!(examples >= 20, "{examples}");
}

#[test]
fn every_verb_has_a_manual_page_that_man_reads_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    Said::of(bare(&["man", &dir]).output().unwrap()).ends(0);
    let names: BTreeSet<String> = help().into_iter().map(|(name, _)| format!("{name}.1")).collect();
    let written: Vec<PathBuf> =
        fs::read_dir(folder.path().join("man1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_written = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(written.iter().map(is_written).collect::<BTreeSet<_>>(), names);
    for path in written {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "100");
        let said =
            man.stdout(Stdio::piped()).output().unwrap_or_else(|error| panic!("man: {error}: tests/run installs it"));
        assert!(said.status.success(), "{}: {said:?}", path.display());
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{}", path.display());
        assert!(said.stdout.len() > 500, "{}", path.display());
    }
    let refused = Said::of(bare(&["man", "/proc/nowhere"]).output().unwrap()).ends(1);
    assert!(refused.err.contains("cannot write the pages into /proc/nowhere"), "{refused:?}");
}

#[test]
fn completions_complete() {
    for (shell, program) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = Said::of(bare(&["completion", shell]).output().unwrap()).ends(0).out;
        for verb in ["approve", "describe", "unhold"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
        // Read by the shell itself, where it is there; bash always is.
        let is_there =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        assert!(is_there || shell != "bash");
        if is_there {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("completion");
            fs::write(&file, &script).unwrap();
            let read = Command::new(program).arg("-n").arg(&file).output().unwrap();
            assert!(read.status.success(), "{shell}: {read:?}");
        }
    }
    let probe = "source /dev/stdin; COMP_WORDS=(remedyd get rem); COMP_CWORD=2; _remedyd remedyd rem get; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", probe]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = bash.spawn().unwrap();
    let script = Said::of(bare(&["completion", "bash"]).output().unwrap()).out;
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), script.as_bytes()).unwrap();
    let said = Said::of(child.wait_with_output().unwrap()).ends(0);
    assert_eq!(said.out.trim(), "remediations");
}
