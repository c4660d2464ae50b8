//! Every scrape under `tests/wire/dcgm`, and what it comes to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::checks::gpu::{Condition, Limits};
use crate::domain::{Measurement, Verdict};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/dcgm")
}

fn page(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `gpu1` for the UUID that the page gives GPU 1.
fn index(page: &str, device: &str) -> String {
    let at = page.find(&format!("\"{device}\"")).unwrap();
    let line = &page[page[..at].rfind('\n').unwrap() + 1..];
    let (_, rest) = line.split_once("gpu=\"").unwrap();
    format!("gpu{}", rest.split('"').next().unwrap())
}

/// What was found, in short: `gpu1:xid=79*` for a sticky XID, `recovery_action=2`, `gpu_count`.
fn told(page: &str, observation: &Observation) -> String {
    let one = |found: &Finding| {
        let mut text = if found.device.is_empty() { String::new() } else { index(page, &found.device) + ":" };
        text.push_str(found.name.as_str());
        text.extend(found.xid.or(found.recovery_action).map(|code| format!("={code}")));
        text.push_str(if found.is_sticky { "*" } else { "" });
        text
    };
    let words: Vec<String> = observation.findings.iter().map(one).collect();
    format!("{} {}", observation.verdict, words.join(" ")).trim_end().to_owned()
}

fn eight() -> DcgmExporter {
    DcgmExporter { limits: Limits { gpus: Some(8), ..Limits::default() }, ..DcgmExporter::default() }
}

#[test]
fn every_page_comes_to_what_it_shows() {
    let usual = DcgmExporter::default();
    let pending = BTreeSet::from([Condition::RowRemapPending]);
    let table = [
        ("dcgm2-blanks-healthy.prom", usual.clone(), "PASS"),
        ("dcgm3-healthy.prom", usual.clone(), "PASS"),
        ("dcgm3-full-healthy.prom", usual.clone(), "PASS"),
        ("dcgm3-8-gpus.prom", eight(), "PASS"),
        ("dcgm3-gpu-missing.prom", eight(), "FAIL gpu_count"),
        ("dcgm3-gpu-missing.prom", usual.clone(), "PASS"),
        ("dcgm3-xid-13.prom", usual.clone(), "FAIL gpu1:xid=13*"),
        ("dcgm3-xid-31.prom", usual.clone(), "FAIL gpu1:xid=31*"),
        ("dcgm3-xid-45.prom", usual.clone(), "FAIL gpu1:xid=45*"),
        ("dcgm3-xid-63.prom", usual.clone(), "FAIL gpu1:xid=63*"),
        ("dcgm3-xid-74.prom", usual.clone(), "FAIL gpu1:xid=74*"),
        ("dcgm3-xid-79.prom", usual.clone(), "FAIL gpu1:xid=79*"),
        ("dcgm3-xid-94.prom", usual.clone(), "FAIL gpu1:xid=94*"),
        ("dcgm3-xid-119.prom", usual.clone(), "FAIL gpu1:xid=119*"),
        ("dcgm3-double-bit-ecc.prom", usual.clone(), "FAIL gpu1:double_bit_ecc"),
        ("dcgm3-row-remap-failure.prom", usual.clone(), "FAIL gpu0:row_remap_failure"),
        ("dcgm3-nvlink-before.prom", usual.clone(), "PASS"),
        ("dcgm3-nvlink-after.prom", usual.clone(), "PASS"),
        ("dcgm3-hot.prom", usual.clone(), "FAIL gpu1:temperature"),
        ("dcgm3-throttled.prom", usual.clone(), "FAIL gpu0:throttling"),
        ("dcgm3-kubernetes-xid-48.prom", usual.clone(), "FAIL gpu0:xid=48*"),
        ("dcgm3-mig-xid-94.prom", usual.clone(), "FAIL gpu0:xid=94*"),
        ("dcgm4-healthy.prom", usual.clone(), "PASS"),
        ("dcgm4-lowercase-healthy.prom", usual.clone(), "PASS"),
        ("dcgm4-gpu-missing.prom", eight(), "FAIL gpu_count"),
        ("dcgm4-xid-13.prom", usual.clone(), "FAIL gpu1:xid=13*"),
        ("dcgm4-xid-31.prom", usual.clone(), "FAIL gpu1:xid=31*"),
        ("dcgm4-xid-45.prom", usual.clone(), "FAIL gpu1:xid=45*"),
        ("dcgm4-xid-63.prom", usual.clone(), "FAIL gpu1:xid=63*"),
        ("dcgm4-xid-74.prom", usual.clone(), "FAIL gpu1:xid=74*"),
        ("dcgm4-xid-79.prom", usual.clone(), "FAIL gpu1:xid=79*"),
        ("dcgm4-xid-94.prom", usual.clone(), "FAIL gpu1:xid=94*"),
        ("dcgm4-xid-119.prom", usual.clone(), "FAIL gpu1:xid=119*"),
        ("dcgm4-xid-window.prom", usual.clone(), "FAIL gpu1:xid=45* gpu1:xid=62"),
        ("dcgm4-double-bit-ecc.prom", usual.clone(), "FAIL gpu0:double_bit_ecc"),
        ("dcgm4-row-remap-failure.prom", usual.clone(), "FAIL gpu1:row_remap_failure"),
        ("dcgm4-row-remap-pending.prom", usual.clone(), "PASS"),
        (
            "dcgm4-row-remap-pending.prom",
            DcgmExporter { limits: Limits { conditions: pending, ..Limits::default() }, ..DcgmExporter::default() },
            "FAIL gpu1:row_remap_pending",
        ),
        ("dcgm4-nvlink-before.prom", usual.clone(), "PASS"),
        ("dcgm4-nvlink-after.prom", usual.clone(), "PASS"),
        (
            "dcgm4-nvlink-down.prom",
            DcgmExporter { limits: Limits { nvlinks: Some(18), ..Limits::default() }, ..DcgmExporter::default() },
            "FAIL gpu1:nvlink",
        ),
        ("dcgm4-hot.prom", usual.clone(), "FAIL gpu0:temperature"),
        ("dcgm4-throttled.prom", usual.clone(), "FAIL gpu1:throttling"),
        ("dcgm4-recovery-action-1.prom", usual.clone(), "FAIL gpu1:recovery_action=1"),
        ("dcgm4-recovery-action-2.prom", usual.clone(), "FAIL gpu1:recovery_action=2"),
        ("dcgm4-recovery-action-3.prom", usual.clone(), "FAIL gpu1:recovery_action=3"),
        ("dcgm4-recovery-action-4.prom", usual.clone(), "FAIL gpu1:recovery_action=4"),
        ("dcgm4-recovery-action-5.prom", usual.clone(), "FAIL gpu1:recovery_action=5"),
        ("dcgm4-recovery-action-6.prom", usual.clone(), "FAIL gpu1:recovery_action=6"),
        ("dcgm4-recovery-action-7.prom", usual.clone(), "FAIL gpu1:recovery_action=7"),
        (
            "dcgm4-renamed-faults.prom",
            usual.clone(),
            "FAIL gpu0:xid=119* gpu1:row_remap_failure gpu1:temperature gpu0:recovery_action=2",
        ),
        ("crlf-without-last-line-end.prom", usual.clone(), "FAIL gpu0:xid=79*"),
        ("truncated.prom", usual.clone(), "INCONCLUSIVE"),
        ("garbage.prom", usual.clone(), "INCONCLUSIVE"),
        ("no-gpus.prom", usual.clone(), "INCONCLUSIVE"),
        ("page.html", usual, "INCONCLUSIVE"),
    ];
    for (name, spec, expected) in &table {
        let page = page(name);
        let observation = read(&page, spec, None);
        assert_eq!(told(&page, &observation), *expected, "{name}: {}", observation.evidence);
        assert_eq!(observation.verdict == Verdict::Fail, !observation.findings.is_empty(), "{name}");
    }
    let judged: BTreeSet<&str> = table.iter().map(|(name, ..)| *name).collect();
    let there: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let forgotten: Vec<&String> = there.iter().filter(|name| !judged.contains(name.as_str())).collect();
    assert_eq!(forgotten, ["README.md"], "every page has its line above");
}

#[test]
fn errors_of_links_count_from_the_second_scrape_on() {
    for (version, expected, detail) in [
        ("dcgm3", "FAIL gpu0:nvlink gpu1:nvlink", "4 replays in 60 s"),
        ("dcgm4", "FAIL gpu1:nvlink", "1 recoveries in 60 s"),
    ] {
        let (before, after) =
            (page(&format!("{version}-nvlink-before.prom")), page(&format!("{version}-nvlink-after.prom")));
        let earlier = |page: &str| {
            let gpus = scrape(page).unwrap().gpus.into_iter();
            let link_errors = gpus.map(|gpu| (gpu.device, gpu.link_errors.unwrap())).collect();
            Before { elapsed: Duration::from_secs(60), link_errors }
        };
        let spec = DcgmExporter::default();
        let observation = read(&after, &spec, Some(&earlier(&before)));
        assert_eq!(told(&after, &observation), expected);
        assert!(observation.evidence.contains(detail), "{}", observation.evidence);
        assert_eq!(told(&after, &read(&after, &spec, Some(&earlier(&after)))), "PASS", "nothing new");
        assert_eq!(told(&before, &read(&before, &spec, Some(&earlier(&after)))), "PASS", "the count began anew");
    }
}

#[test]
fn a_gpu_without_current_samples_is_not_among_those_that_were_seen() {
    for version in ["dcgm3", "dcgm4"] {
        let page = page(&format!("{version}-xid-79.prom"));
        let observation = read(&page, &DcgmExporter::default(), None);
        let seen: Vec<String> = observation.devices.iter().map(|device| index(&page, device)).collect();
        assert_eq!(seen, ["gpu0"]);
        assert_eq!(observation.measurements[0], Measurement::new("gpus", 1.0).unwrap());
        let two = Limits { gpus: Some(2), ignore_xids: BTreeSet::from([79]), ..Limits::default() };
        let spec = DcgmExporter { limits: two, ..DcgmExporter::default() };
        assert_eq!(told(&page, &read(&page, &spec, None)), "FAIL gpu_count");
    }
}

#[test]
fn a_named_condition_without_a_value_leaves_no_conclusion() {
    let page = page("dcgm3-healthy.prom");
    let observation = read(&page, &DcgmExporter::default(), None);
    assert!(observation.evidence.contains("no value for double_bit_ecc"), "{}", observation.evidence);
    let conditions = BTreeSet::from([Condition::DoubleBitEcc]);
    let limits = Limits { conditions, is_explicit: true, ..Limits::default() };
    let observation = read(&page, &DcgmExporter { limits, ..DcgmExporter::default() }, None);
    assert_eq!(observation.verdict, Verdict::Inconclusive, "{}", observation.evidence);
}
