//! Every scrape under `tests/wire/dcgm`, and what it comes to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::checks::gpu::{Condition, Limits};
use crate::domain::{Measurement, Verdict};
use crate::probes::command::tests::target;

fn usual() -> Limits {
    Limits::usual(&Condition::ALL)
}

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
    DcgmExporter { limits: Limits { gpus: Some(8), ..usual() }, ..DcgmExporter::default() }
}

#[test]
fn every_page_comes_to_what_it_shows() {
    let default = DcgmExporter::default();
    let pending = BTreeSet::from([Condition::RowRemapPending]);
    let table = [
        ("dcgm2-blanks-healthy.prom", default.clone(), "PASS"),
        ("dcgm3-healthy.prom", default.clone(), "PASS"),
        ("dcgm3-full-healthy.prom", default.clone(), "PASS"),
        ("dcgm3-8-gpus.prom", eight(), "PASS"),
        ("dcgm3-gpu-missing.prom", eight(), "FAIL gpu_count"),
        ("dcgm3-gpu-missing.prom", default.clone(), "PASS"),
        ("dcgm3-xid-13.prom", default.clone(), "FAIL gpu1:xid=13*"),
        ("dcgm3-xid-31.prom", default.clone(), "FAIL gpu1:xid=31*"),
        ("dcgm3-xid-45.prom", default.clone(), "FAIL gpu1:xid=45*"),
        ("dcgm3-xid-63.prom", default.clone(), "FAIL gpu1:xid=63*"),
        ("dcgm3-xid-74.prom", default.clone(), "FAIL gpu1:xid=74*"),
        ("dcgm3-xid-79.prom", default.clone(), "FAIL gpu1:xid=79*"),
        ("dcgm3-xid-94.prom", default.clone(), "FAIL gpu1:xid=94*"),
        ("dcgm3-xid-119.prom", default.clone(), "FAIL gpu1:xid=119*"),
        ("dcgm3-double-bit-ecc.prom", default.clone(), "FAIL gpu1:double_bit_ecc"),
        ("dcgm3-row-remap-failure.prom", default.clone(), "FAIL gpu0:row_remap_failure"),
        ("dcgm3-nvlink-before.prom", default.clone(), "PASS"),
        ("dcgm3-nvlink-after.prom", default.clone(), "PASS"),
        ("dcgm3-hot.prom", default.clone(), "FAIL gpu1:temperature"),
        ("dcgm3-throttled.prom", default.clone(), "FAIL gpu0:throttling"),
        ("dcgm3-kubernetes-xid-48.prom", default.clone(), "FAIL gpu0:xid=48*"),
        ("dcgm3-mig-xid-94.prom", default.clone(), "FAIL gpu0:xid=94*"),
        ("dcgm4-healthy.prom", default.clone(), "PASS"),
        ("dcgm4-lowercase-healthy.prom", default.clone(), "PASS"),
        ("dcgm4-gpu-missing.prom", eight(), "FAIL gpu_count"),
        ("dcgm4-xid-13.prom", default.clone(), "FAIL gpu1:xid=13*"),
        ("dcgm4-xid-31.prom", default.clone(), "FAIL gpu1:xid=31*"),
        ("dcgm4-xid-45.prom", default.clone(), "FAIL gpu1:xid=45*"),
        ("dcgm4-xid-63.prom", default.clone(), "FAIL gpu1:xid=63*"),
        ("dcgm4-xid-74.prom", default.clone(), "FAIL gpu1:xid=74*"),
        ("dcgm4-xid-79.prom", default.clone(), "FAIL gpu1:xid=79*"),
        ("dcgm4-xid-94.prom", default.clone(), "FAIL gpu1:xid=94*"),
        ("dcgm4-xid-119.prom", default.clone(), "FAIL gpu1:xid=119*"),
        ("dcgm4-xid-window.prom", default.clone(), "FAIL gpu1:xid=45* gpu1:xid=62"),
        ("dcgm4-double-bit-ecc.prom", default.clone(), "FAIL gpu0:double_bit_ecc"),
        ("dcgm4-row-remap-failure.prom", default.clone(), "FAIL gpu1:row_remap_failure"),
        ("dcgm4-row-remap-pending.prom", default.clone(), "PASS"),
        (
            "dcgm4-row-remap-pending.prom",
            DcgmExporter { limits: Limits { conditions: pending, ..usual() }, ..DcgmExporter::default() },
            "FAIL gpu1:row_remap_pending",
        ),
        ("dcgm4-nvlink-before.prom", default.clone(), "PASS"),
        ("dcgm4-nvlink-after.prom", default.clone(), "PASS"),
        (
            "dcgm4-nvlink-down.prom",
            DcgmExporter { limits: Limits { nvlinks: Some(18), ..usual() }, ..DcgmExporter::default() },
            "FAIL gpu1:nvlink",
        ),
        ("dcgm4-hot.prom", default.clone(), "FAIL gpu0:temperature"),
        ("dcgm4-throttled.prom", default.clone(), "FAIL gpu1:throttling"),
        ("dcgm4-recovery-action-1.prom", default.clone(), "FAIL gpu1:recovery_action=1"),
        ("dcgm4-recovery-action-2.prom", default.clone(), "FAIL gpu1:recovery_action=2"),
        ("dcgm4-recovery-action-3.prom", default.clone(), "FAIL gpu1:recovery_action=3"),
        ("dcgm4-recovery-action-4.prom", default.clone(), "FAIL gpu1:recovery_action=4"),
        ("dcgm4-recovery-action-5.prom", default.clone(), "FAIL gpu1:recovery_action=5"),
        ("dcgm4-recovery-action-6.prom", default.clone(), "FAIL gpu1:recovery_action=6"),
        ("dcgm4-recovery-action-7.prom", default.clone(), "FAIL gpu1:recovery_action=7"),
        (
            "dcgm4-renamed-faults.prom",
            default.clone(),
            "FAIL gpu0:xid=119* gpu1:row_remap_failure gpu1:temperature gpu0:recovery_action=2",
        ),
        ("crlf-without-last-line-end.prom", default.clone(), "FAIL gpu0:xid=79*"),
        ("truncated.prom", default.clone(), "INCONCLUSIVE"),
        ("garbage.prom", default.clone(), "INCONCLUSIVE"),
        ("no-gpus.prom", default.clone(), "INCONCLUSIVE"),
        ("page.html", default, "INCONCLUSIVE"),
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
        let two = Limits { gpus: Some(2), ignore_xids: BTreeSet::from([79]), ..usual() };
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
    let limits = Limits { conditions, is_explicit: true, ..usual() };
    let observation = read(&page, &DcgmExporter { limits, ..DcgmExporter::default() }, None);
    assert_eq!(observation.verdict, Verdict::Inconclusive, "{}", observation.evidence);
}

/// Answers every connection with these bytes; then it says nothing more, and keeps the connection open where `is_open`.
async fn exporter(answer: Vec<u8>, is_open: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                assert!(request[..read].starts_with(b"GET /metrics HTTP/1.1\r\n"));
                let _ = stream.write_all(&answer).await;
                if is_open {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    port
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn probe(spec: DcgmExporter, memory: &Memory) -> Observation {
    run(&spec, &target("gpu-node-7", "127.0.0.1"), &Resolver::default(), memory, Duration::from_secs(60)).await
}

#[tokio::test]
async fn an_exporter_is_asked_over_http() {
    let memory = Memory::default();
    let page = page("dcgm4-xid-79.prom");
    let port = exporter(answer("200 OK", &page), false).await;
    let observation = probe(DcgmExporter { port, ..DcgmExporter::default() }, &memory).await;
    assert_eq!(told(&page, &observation), "FAIL gpu1:xid=79*");

    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(format!("{:x}\r\n{page}\r\n0\r\n\r\n", page.len()).into_bytes());
    let port = exporter(chunked, true).await;
    let observation = probe(DcgmExporter { port, ..DcgmExporter::default() }, &memory).await;
    assert_eq!(told(&page, &observation), "FAIL gpu1:xid=79*");
}

#[tokio::test]
async fn the_scrape_before_is_remembered_of_the_same_machine() {
    let memory = Memory::default();
    let [before, after] = ["before", "after"].map(|when| page(&format!("dcgm4-nvlink-{when}.prom")));
    let [before, after] = [scrape(&before).unwrap(), scrape(&after).unwrap()];
    let node = target("gpu-node-8", "127.0.0.1");
    let limits = usual();
    let verdict = |node: &Target, reading: &Reading| {
        judge(reading, &limits, memory.exchange(node, CheckKind::DcgmExporter, reading).as_ref()).verdict
    };
    assert_eq!(verdict(&node, &after), Verdict::Pass, "what was before the first scrape is history");
    assert_eq!(verdict(&node, &before), Verdict::Pass);
    assert_eq!(verdict(&node, &after), Verdict::Fail);
    assert_eq!(verdict(&node, &after), Verdict::Pass, "nothing new");
    assert_eq!(verdict(&node, &before), Verdict::Pass);
    let rebuilt = Target { generation: "2".into(), ..node };
    assert_eq!(verdict(&rebuilt, &after), Verdict::Pass, "another machine's counters are no measure");
}

#[tokio::test]
async fn where_there_is_no_page_the_operator_says_whose_fault_that_is() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nDCGM_FI_DEV_GPU_TEMP{gpu=\"0\"} 4".to_vec();
    for (port, evidence) in [
        (closed, "connecting: Connection refused"),
        (
            exporter(answer("500 Internal Server Error", "no host engine"), false).await,
            "it answers 500 Internal Server Error",
        ),
        (exporter(cut, false).await, "the answer breaks off"),
        (exporter(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), true).await, "invalid HTTP version parsed"),
    ] {
        let spec = DcgmExporter { port, ..DcgmExporter::default() };
        let observation = probe(spec.clone(), &Memory::default()).await;
        assert_eq!(observation.verdict, Verdict::Inconclusive, "{evidence}");
        assert!(observation.evidence.contains(evidence), "{}", observation.evidence);
        let observation = probe(DcgmExporter { unreachable: Unreachable::Fail, ..spec }, &Memory::default()).await;
        assert_eq!(observation.findings[0].name.as_str(), DOWN, "{evidence}");
    }
}

#[tokio::test]
async fn an_exporter_that_stalls_is_left_at_the_deadline() {
    let page = page("dcgm4-healthy.prom");
    let half = answer("200 OK", &page)[..2000].to_vec();
    let port = exporter(half, true).await;
    let spec = DcgmExporter { port, ..DcgmExporter::default() };
    let observation = run(
        &spec,
        &target("gpu-node-8", "127.0.0.1"),
        &Resolver::default(),
        &Memory::default(),
        Duration::from_millis(300),
    )
    .await;
    assert_eq!(observation.verdict, Verdict::Inconclusive);
    assert!(observation.evidence.ends_with("no whole answer within 300ms"), "{}", observation.evidence);
}

#[tokio::test]
async fn a_page_without_end_is_not_read_to_its_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(PAGE_BYTES + 4096, b'x');
    let port = exporter(endless, true).await;
    let observation = probe(DcgmExporter { port, ..DcgmExporter::default() }, &Memory::default()).await;
    assert_eq!(observation.verdict, Verdict::Inconclusive);
    assert!(observation.evidence.ends_with("more than 16777216 bytes"), "{}", observation.evidence);
}

#[tokio::test]
async fn trouble_on_this_side_is_an_error() {
    let spec = DcgmExporter { unreachable: Unreachable::Fail, ..DcgmExporter::default() };
    let observation =
        run(&spec, &target("x", "no such name"), &Resolver::default(), &Memory::default(), Duration::from_secs(60))
            .await;
    assert_eq!(observation.verdict, Verdict::Error, "{}", observation.evidence);
}
