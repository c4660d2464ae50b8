//! The process that asks NVML, as the binary runs it.

use std::path::Path;
use std::process::Command;

use remedyd::config::checks::Nvml;
use remedyd::domain::Verdict;
use remedyd::probes::nvml::child::Answer;
use remedyd::probes::nvml::observe;

#[test]
fn a_machine_without_nvml_says_so_and_is_skipped() {
    let output = Command::new(env!("CARGO_BIN_EXE_remedyd")).arg("nvml-probe").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let answer: Answer = serde_json::from_slice(&output.stdout).unwrap();
    let observation = observe(answer, &Nvml::default(), |_| None);
    if Path::new("/dev/nvidiactl").exists() {
        assert_ne!(observation.verdict, Verdict::Skipped, "{}", observation.evidence);
    } else {
        assert_eq!(observation.verdict, Verdict::Skipped, "{}", observation.evidence);
        let why = "there is no NVML on this machine: a libloading error occurred: libnvidia-ml.so.1: ";
        assert!(observation.evidence.starts_with(why), "{}", observation.evidence);
    }
}
