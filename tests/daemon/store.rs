//! A store that somebody else uses, or that is damaged, is said and left alone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::daemon::{Daemon, End, refused, serve_on};
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;
use crate::support::{address_of_its_own, now};

/// The store is unusable (sysexits' EX_CONFIG).
const UNUSABLE: Option<i32> = Some(78);

/// A stopped site with a few turns in its store.
fn with_history() -> Site {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for n in 1..=5 {
        daemon.deliver(&firing(HEAVY, &format!("gpu-node-{n}"), now()));
    }
    daemon.stop();
    site
}

/// The one segment of the journal.
fn segment(site: &Site) -> PathBuf {
    let found: Vec<PathBuf> = files(&site.path("data/journal"));
    let [segment] = &found[..] else { panic!("one segment: {found:?}") };
    segment.clone()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn a_second_process_on_the_same_store_says_who_has_it_and_harms_nobody() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let before = daemon.wait_for("i-7", "PENDING_APPROVAL");

    let elsewhere = std::net::SocketAddr::new(address_of_its_own().into(), 9720);
    let (code, said) = refused(&site, serve_on(&site, elsewhere));
    assert_eq!(code, UNUSABLE, "{said}");
    assert!(said.contains("data/lock is held by another remedyd: only one process may use a store"), "{said}");

    assert_eq!(daemon.remediations(), std::slice::from_ref(&before));
    daemon.deliver(&firing(HEAVY, "gpu-node-4", now()));
    daemon.wait_for("i-4", "PENDING_APPROVAL");
    let daemon = daemon.restart(End::Stop);
    assert!(daemon.remediations().contains(&before));
    daemon.stop();
}

#[test]
fn a_flipped_byte_in_the_journal_is_named_and_nothing_is_cut_off() {
    let site = with_history();
    let segment = segment(&site);
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x40;
    fs::write(&segment, &damaged).unwrap();

    let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
    assert_eq!(code, UNUSABLE, "{said}");
    let file = segment.file_name().unwrap().to_str().unwrap();
    assert!(said.contains("the journal is damaged at byte ") && said.contains(file), "{said}");
    assert_eq!(fs::read(&segment).unwrap(), damaged, "the journal was changed");

    fs::write(&segment, &whole).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediations().len(), 5, "nothing else was changed either");
    daemon.stop();
}

#[test]
fn a_file_where_a_folder_should_be_is_named_and_left() {
    for name in ["data", "data/journal", "data/sled", "data/operations"] {
        let site = Site::webhook_only();
        fs::create_dir_all(site.path(name).parent().unwrap()).unwrap();
        fs::write(site.path(name), "a letter\n").unwrap();
        let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
        assert_eq!(code, UNUSABLE, "{name}: {said}");
        assert!(said.contains(&site.path(name).display().to_string()), "{name}: {said}");
        assert_eq!(site.read(name), "a letter\n", "{name}");
    }
}

#[test]
fn a_journal_that_is_gone_is_missed() {
    let site = with_history();
    let kept = site.path("kept");
    fs::rename(site.path("data/journal"), &kept).unwrap();
    let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
    assert_eq!(code, UNUSABLE, "{said}");
    assert!(said.contains("the journal ends at turn 0 while sled has turn "), "{said}");

    fs::remove_dir_all(site.path("data/journal")).unwrap();
    fs::rename(&kept, site.path("data/journal")).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediations().len(), 5);
    daemon.stop();
}

#[test]
fn sled_is_built_anew_from_the_journal_with_the_same_answers() {
    let site = with_history();
    let lists = ["alerts", "remediations", "instances"];
    let daemon = Daemon::start(&site);
    let before = lists.map(|kind| daemon.get(&format!("/api/v1/{kind}?page_size=1000")).body);
    daemon.stop();
    fs::remove_dir_all(site.path("data/sled")).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(lists.map(|kind| daemon.get(&format!("/api/v1/{kind}?page_size=1000")).body), before);
    daemon.stop();
}
