//! Everything about NVML that can be shown without a GPU: who is asked, and what becomes of the process that asks.

use std::collections::BTreeSet;

use super::*;
use crate::config::checks::gpu::{Condition, Limits};
use crate::domain::{InstanceId, Verdict};
use crate::probes::command::tests::target;
use crate::probes::gpu::Gpu;

const LONG: Duration = Duration::from_secs(60);

fn usual() -> Limits {
    Limits::usual(&Condition::NVML)
}

fn hostname() -> String {
    std::fs::read_to_string(HOSTNAME).unwrap().trim().to_owned()
}

async fn shell(script: &str, timeout: Duration) -> Observation {
    let answer = look(Path::new("/bin/sh"), &["-c", script].map(str::to_owned), timeout).await;
    answer.map_or_else(|observation| observation, |answer| observe(answer, &Nvml::default(), |_| None))
}

fn answer(gpus: Vec<Gpu>) -> Answer {
    Answer::Gpus { driver: "580.95.05".to_owned(), gpus }
}

fn well(device: &str) -> Gpu {
    Gpu { device: device.into(), is_live: true, temperature_celsius: Some(40.0), ..Gpu::default() }
}

#[test]
fn only_the_instance_that_this_machine_is_is_looked_at() {
    let named = Nvml { instance: Some(InstanceId::parse("i-7").unwrap()), ..Nvml::default() };
    let other = Nvml { instance: Some(InstanceId::parse("i-8").unwrap()), ..Nvml::default() };
    assert_eq!(elsewhere(&named, &target("elsewhere", "")), None);
    assert!(elsewhere(&other, &target(&hostname(), "")).unwrap().starts_with("this machine is i-8, and"));

    let unnamed = Nvml::default();
    let short = hostname().split('.').next().unwrap().to_owned();
    for name in [hostname(), hostname().to_ascii_uppercase()] {
        assert_eq!(elsewhere(&unnamed, &target(&name, "")), None, "{name}");
    }
    if short == hostname() {
        assert_eq!(elsewhere(&unnamed, &target(&format!("{short}.example.org"), "")), None);
    }
    for name in [format!("{short}-2"), "gpu-node-7".to_owned()] {
        let why = elsewhere(&unnamed, &target(&name, "")).unwrap();
        assert!(why.contains(&hostname()) && why.contains(&name), "{why}");
    }
}

#[tokio::test]
async fn another_machine_is_skipped_with_the_reason() {
    let observation = run(&Nvml::default(), &target("gpu-node-7", "10.0.0.7"), &Memory::default(), LONG).await;
    assert_eq!(observation.verdict, Verdict::Skipped);
    assert!(observation.evidence.contains("and not gpu-node-7"), "{}", observation.evidence);
}

#[tokio::test]
async fn a_library_that_hangs_is_killed_and_is_a_finding() {
    let observation = shell("sleep 600", Duration::from_millis(300)).await;
    assert_eq!(observation.findings, [Finding::new(HUNG, "NVML did not answer within 300ms")]);
}

#[tokio::test]
async fn a_process_that_breaks_is_no_evidence() {
    for (script, evidence) in [
        ("kill -SEGV $$", "the process that asks NVML ended by signal 11"),
        ("echo '{\"gpus\":'", "the process that asks NVML says what cannot be read"),
        ("echo hello", "the process that asks NVML says what cannot be read"),
        ("yes", "the process that asks NVML says too much"),
        ("echo no room >&2; exit 1", "the process that asks NVML ended with exit status 1: no room"),
    ] {
        let observation = shell(script, LONG).await;
        assert_eq!(observation.verdict, Verdict::Error, "{script}");
        assert!(observation.evidence.starts_with(evidence), "{script}: {}", observation.evidence);
    }
}

#[tokio::test]
async fn what_the_process_says_is_judged_as_a_scrape_is() {
    let ill = Gpu { double_bit_ecc: Some(2), recovery_action: Some(2), last_xids: BTreeSet::new(), ..well("GPU-b") };
    let line = serde_json::to_string(&answer(vec![well("GPU-a"), ill])).unwrap();
    let observation = shell(&format!("echo '{line}'"), LONG).await;
    let named: Vec<(&str, &str)> =
        observation.findings.iter().map(|found| (found.name.as_str(), &*found.device)).collect();
    assert_eq!(named, [("double_bit_ecc", "GPU-b"), ("recovery_action", "GPU-b")]);
    assert!(observation.evidence.starts_with("driver 580.95.05: 2 of 2 GPUs answer"), "{}", observation.evidence);
    assert_eq!(observation.devices, ["GPU-a".into(), "GPU-b".into()]);
}

#[test]
fn a_gpu_that_does_not_answer_is_missing() {
    let lost = Gpu { is_live: false, temperature_celsius: None, ..well("1") };
    let observation = observe(answer(vec![well("GPU-a"), lost]), &Nvml::default(), |_| None);
    assert_eq!(observation.findings, [Finding::new("gpu_count", "1 of 2 GPUs answer; silent: 1")]);
    let eight = Nvml { limits: Limits { gpus: Some(8), ..usual() }, ..Nvml::default() };
    assert_eq!(
        observe(answer(Vec::new()), &eight, |_| None).findings,
        [Finding::new("gpu_count", "0 of 8 GPUs answer")]
    );
    assert_eq!(observe(answer(Vec::new()), &Nvml::default(), |_| None).verdict, Verdict::Inconclusive);
}

#[test]
fn where_nvml_says_nothing_it_is_told_why() {
    for (why, verdict) in [
        (NoAnswer::NoLibrary("libnvidia-ml.so.1: not found".to_owned()), Verdict::Skipped),
        (NoAnswer::Local("no permission".to_owned()), Verdict::Error),
        (NoAnswer::Unknown("the driver is not loaded".to_owned()), Verdict::Inconclusive),
    ] {
        assert_eq!(observe(Answer::None(why), &Nvml::default(), |_| None).verdict, verdict);
    }
}
