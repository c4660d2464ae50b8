//! sled damaged in random places between two runs of the real daemon: every answer is what it was, sooner or later, after
//! at most one more start, as systemd makes it. `REMEDYD_TEST_DAMAGES` replaces the number of times,
//! `REMEDYD_TEST_SEED` the first seed.

#[path = "dice/mod.rs"]
mod dice;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dice::{Dice, number};
use support::daemon::Daemon;
use support::eventually;
use support::posts::{HEAVY, firing, resolved};
use support::site::Site;
use support::{SOON, now};

/// What fits into some twenty seconds of a debug build.
const DAMAGES: u64 = 40;

/// The ways in which a disk, a file system or a person damages files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    /// One bit.
    Flip,
    /// A hundred bytes, each anywhere.
    Scatter,
    /// A page of zeros.
    Zeros,
    /// The end is gone.
    Cut,
    /// Nothing of it is left but its length.
    Garbage,
    /// A file is gone.
    Gone,
    /// The folder is gone.
    AllGone,
}

const DAMAGED: [Damage; 7] =
    [Damage::Flip, Damage::Scatter, Damage::Zeros, Damage::Cut, Damage::Garbage, Damage::Gone, Damage::AllGone];

/// A stopped site with open and ended things of every kind that a message can make.
fn with_history() -> Site {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for round in 0..6 {
        for n in 1..=8 {
            let node = format!("gpu-node-{n}");
            daemon.deliver(&firing(&format!("Note{round}"), &node, now()));
            daemon.deliver(&firing(HEAVY, &node, now()));
            if (n + round) % 3 == 0 {
                daemon.deliver(&resolved(&format!("Note{round}"), &node, now(), now()));
            }
        }
    }
    for n in [2, 5] {
        let waiting = daemon.wait_for(&format!("i-{n}"), "PENDING_APPROVAL");
        let path =
            format!("/v1/compute/clusters/train-a/instances/-/remediations/{}/reject", waiting["id"].as_str().unwrap());
        assert!(daemon.post(&path, &serde_json::json!({"comment": "no"})).is_success());
    }
    daemon.stop();
    site
}

/// Every list, every remediation and every history.
fn answers(daemon: &Daemon<'_>) -> Result<BTreeMap<String, String>, String> {
    let get = |path: String| match daemon.client().ask("GET", &path, None) {
        Ok(answer) if answer.status == 200 => Ok((path, answer.body)),
        Ok(answer) => Err(format!("{path}: {answer}")),
        Err(error) => Err(format!("{path}: {error}")),
    };
    let mut all = BTreeMap::new();
    for list in ["alerts", "remediations", "instances", "dead-letters"] {
        all.extend([get(format!("/api/v1/{list}?page_size=1000"))?]);
    }
    all.extend([get("/api/v1/holds?ended=true&page_size=1000".to_owned())?]);
    all.extend([get("/v1/compute/clusters/train-a/instances/-/remediations?page_size=1000".to_owned())?]);
    let listed: serde_json::Value = serde_json::from_str(&all["/api/v1/remediations?page_size=1000"]).unwrap();
    for row in listed["remediations"].as_array().unwrap() {
        let id = row["id"].as_str().unwrap();
        all.extend([get(format!("/api/v1/remediations/{id}"))?]);
        all.extend([get(format!("/api/v1/remediations/{id}/history"))?]);
    }
    Ok(all)
}

fn damage(dice: &mut Dice, sled: &Path, how: Damage) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(sled).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0);
    files.sort();
    let file = dice.one_of(files).expect("sled has files");
    let mut bytes = fs::read(&file).unwrap();
    let any = |dice: &mut Dice| dice.upto(0, bytes.len() as u64 - 1) as usize;
    match how {
        Damage::Flip => {
            let at = any(dice);
            bytes[at] ^= 1 << dice.upto(0, 7);
        }
        Damage::Scatter => {
            for _ in 0..100 {
                let at = dice.upto(0, bytes.len() as u64 - 1) as usize;
                bytes[at] ^= dice.upto(1, 255) as u8;
            }
        }
        Damage::Zeros => {
            let at = any(dice) & !4095;
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
        }
        Damage::Cut => {
            let at = any(dice);
            bytes.truncate(at);
        }
        Damage::Garbage => bytes.iter_mut().for_each(|byte| *byte = dice.next() as u8),
        Damage::Gone => {
            fs::remove_file(&file).unwrap();
            return file;
        }
        Damage::AllGone => {
            fs::remove_dir_all(sled).unwrap();
            return sled.to_owned();
        }
    }
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn every_answer_is_what_it_was_however_sled_was_damaged() {
    let site = with_history();
    let daemon = Daemon::start(&site);
    let before = answers(&daemon).unwrap();
    assert!(before.len() > 20, "{}", before.len());
    daemon.stop();

    let seed = number("REMEDYD_TEST_SEED", 1);
    let times = number("REMEDYD_TEST_DAMAGES", DAMAGES);
    let (mut healed_at_start, mut healed_after, mut harmless) = (0, 0, 0);
    for n in 0..times {
        let mut dice = Dice(seed + n);
        // Small damage is the hardest to notice, so it comes most often.
        let how = if dice.one_in(2) { Damage::Flip } else { dice.one_of(DAMAGED).unwrap() };
        let _ = fs::remove_dir_all(site.path("data/sled.damaged"));
        let file = damage(&mut dice, &site.path("data/sled"), how);
        let what = format!("REMEDYD_TEST_SEED={}: {how:?} in {}", seed + n, file.display());

        let mut daemon = Daemon::spawn(&site);
        let mut starts = 1;
        let after = eventually(SOON, &what, || {
            if daemon.has_ended() {
                starts += 1;
                assert!(starts <= 2, "{what}: a crash loop\n{}", daemon.log_tail());
                daemon = Daemon::spawn(&site);
            }
            answers(&daemon)
        });
        assert_eq!(after, before, "{what}\n{}", daemon.log_tail());
        match (starts, site.path("data/sled.damaged").exists()) {
            (2.., _) => healed_after += 1,
            (_, true) => healed_at_start += 1,
            (_, false) if how == Damage::AllGone => healed_at_start += 1,
            (_, false) => harmless += 1,
        }
        daemon.end_somehow();
    }
    println!(
        "{times} times damaged from seed {seed}: the same answers every time; {healed_at_start} built anew at the start, \
         {healed_after} after a read or the daemon itself found the damage, {harmless} harmless"
    );
    assert!(healed_at_start > 0);
}
