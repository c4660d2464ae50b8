//! Stories in virtual time, written so that an operator can read them: `tests/scenarios/*.txt`.
//!
//! Each line is one thing that happens or one thing that must be true; `story/` knows the words. After every step the
//! harness also checks what must hold in every story: memory equals the fold of the stored rows, every transition is
//! known, one live remediation per instance and host, and no effect without its pending row.

mod story;

use std::fs;
use std::path::Path;

#[test]
fn every_story_ends_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the stories are in {}", folder.display());
    let mut failures = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).unwrap();
        // Told twice: as it is, and with the daemon restarted after every line.
        for restarts in [false, true] {
            if let Err(why) = story::tell(&text, restarts) {
                let how = if restarts { " (restarted after every line)" } else { "" };
                failures.push(format!("{name}{how}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn a_story_that_is_not_true_fails() {
    let setting = "cluster train-a\ninstance i-7 name=gpu-node-7\nrule r match=alertname=\"Sick\" mode=reboot_vm\n";
    for wrong in [
        "at 0s fires Sick node=gpu-node-7\nexpect i-7 RUNNING",
        "at 0s fires Sick node=gpu-node-7\nexpect i-7 PENDING_APPROVAL vm_only",
        "at 0s fires Sick node=gpu-node-7\nexpect i-7 PENDING_APPROVAL linked=2",
        "at 0s fires Sick node=gpu-node-7\nexpect i-7 nothing",
        "at 0s approve i-7",
        "at 0s fires Sick node=gpu-node-7\nat 1s approve i-7\nrefused anything",
        "at 0s nonsense",
        "expect acts=1",
    ] {
        assert!(story::tell(&format!("{setting}{wrong}"), false).is_err(), "{wrong}");
    }
}
