//! The reference is what the program prints, and what is committed is what it prints today.
//!
//! To renew it after a change: `REMEDYD_TEST_RENEW=1 cargo test --test reference`, and read the difference.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use remedyd::cli::reference::Page;
use support::daemon::{Daemon, remedyd};
use support::site::Site;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden(page: Page) -> PathBuf {
    repository().join(format!("tests/golden/reference/{}.md", page.as_str()))
}

fn printed(arguments: &[&str]) -> String {
    let output = remedyd().arg("reference").args(arguments).stdout(std::process::Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_committed_is_what_the_program_prints() {
    let renew = std::env::var_os("REMEDYD_TEST_RENEW").is_some();
    for page in Page::ALL {
        let now = printed(&[page.as_str()]);
        let path = golden(page);
        if renew {
            fs::write(&path, &now).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let first = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
        assert!(
            kept == now,
            "{} is not what `remedyd reference {}` prints; first difference: {first:?}\n\
             to renew: REMEDYD_TEST_RENEW=1 cargo test --test reference",
            path.display(),
            page.as_str(),
        );
    }
}

/// Names that begin with `remedyd_` in a text.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("remedyd_") && !word.ends_with('_')).map(str::to_owned).collect()
}

#[test]
fn every_family_that_is_named_in_the_code_or_scraped_is_in_the_reference() {
    let page = metric_names(&printed(&["metrics"]));
    let mut in_code = BTreeSet::new();
    for file in fs::read_dir(repository().join("src/telemetry/metrics")).unwrap() {
        let path = file.unwrap().path();
        // Samples in tests have suffixes of their own.
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = fs::read_to_string(path).unwrap();
        in_code.extend(code.split('"').skip(1).step_by(2).filter(|text| !text.contains(' ')).flat_map(metric_names));
    }
    let missing: Vec<_> = in_code.difference(&page).collect();
    assert!(missing.is_empty(), "give them a child in src/cli/reference/metrics.rs: {missing:?}");

    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let scrape = daemon.client().get("/metrics");
    let families = scrape.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let page = printed(&["metrics"]);
    for family in families {
        assert!(page.contains(&format!("| `{family}` |")), "{family}");
    }
    daemon.stop();
}

#[test]
fn every_verb_that_help_shows_is_in_the_reference() {
    let page = printed(&["cli"]);
    for verb in ["serve", "demo", "check", "token new", "store export", "audit verify", "reference"] {
        assert!(page.contains(&format!("\n## `remedyd {verb}`\n")), "{verb}");
    }
    // Parts of a demo are nobody's business.
    assert!(!page.contains("demo machine"), "{page}");
}

#[test]
fn the_manual_page_is_clean_roff() {
    let page = printed(&["config", "-o", "man"]);
    assert!(page.starts_with(".TH REMEDYD.TOML 5"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("remedyd.toml.5");
    fs::write(&path, &page).unwrap();
    assert!(page.contains("\\fBcompact_ttl\\fR (duration)"), "{page}");
    let judged = Command::new("groff").args(["-man", "-ww", "-z"]).arg(&path).output().expect("groff, of man-db");
    assert_eq!(String::from_utf8_lossy(&judged.stderr), "");
}
