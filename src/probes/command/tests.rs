//! What programs say, and real ones that say it.

use super::*;
use crate::domain::{CheckId, ClusterId, HostId, InstanceId};

const LONG: Duration = Duration::from_secs(60);

/// Some instance.
pub(in crate::probes) fn target(name: &str, address: &str) -> Target {
    Target {
        instance_id: InstanceId::parse("i-7").unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse("h-0042").unwrap(),
        name: name.into(),
        address: address.into(),
        generation: "1".into(),
    }
}

async fn shell(script: &str, timeout: Duration) -> Observation {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).into();
    let spec = Command { check: CheckId::parse("gpus").unwrap(), argv };
    run(&spec, &target("gpu-node-7", "10.0.0.7"), timeout).await
}

fn ended(code: i32, stdout: &str) -> Observation {
    let remains = Remains { ending: Ending::Exit(code), stdout: stdout.into(), stderr: Vec::new() };
    read(&remains, LONG)
}

#[test]
fn without_an_answer_the_exit_status_speaks() {
    for (code, verdict) in [
        (0, Verdict::Pass),
        (1, Verdict::Fail),
        (2, Verdict::Fail),
        (3, Verdict::Inconclusive),
        (75, Verdict::Inconclusive),
        (77, Verdict::Skipped),
        (4, Verdict::Error),
        (126, Verdict::Error),
        (127, Verdict::Error),
        (255, Verdict::Error),
    ] {
        for silence in ["", "\n\n", "all is well\n", "{\"level\":\"info\"}\n", "[1]\n"] {
            let observation = ended(code, silence);
            assert_eq!(observation.verdict, verdict, "{code} {silence:?}");
            let named: Vec<&str> = observation.findings.iter().map(|found| found.name.as_str()).collect();
            assert_eq!(named, if verdict == Verdict::Fail { vec![FAILED] } else { vec![] }, "{code}");
            assert!(observation.evidence.contains(&format!("exit status {code}")), "{}", observation.evidence);
        }
    }
}

#[test]
fn an_answer_outweighs_the_exit_status() {
    let line = concat!(
        r#"{"verdict":"FAIL","finding":"xid","xid":79,"device":"GPU-1","detail":"fell off","evidence":"dmesg says so","#,
        r#""findings":[{"finding":"ib_down","device":"mlx5_0"},{"finding":"recovery","recovery_action":2}],"#,
        r#""measurements":{"gpus":7,"ib_gbps":390.5}}"#
    );
    let observation = ended(0, &format!("noise\n{line}\r\n \n"));
    assert_eq!(observation.verdict, Verdict::Fail);
    assert_eq!(observation.evidence, "dmesg says so");
    let xid = Finding { xid: Some(79), ..Finding::new("xid", "fell off").on("GPU-1") };
    let link = Finding::new("ib_down", "ib_down").on("mlx5_0");
    let recovery = Finding { recovery_action: Some(2), ..Finding::new("recovery", "recovery") };
    assert_eq!(observation.findings, [xid, link, recovery]);
    let measured = [("gpus", 7.0), ("ib_gbps", 390.5)].map(|(name, value)| Measurement::new(name, value).unwrap());
    assert_eq!(observation.measurements, measured);

    assert_eq!(ended(2, r#"{"verdict":"PASS"}"#).verdict, Verdict::Pass);
    assert_eq!(ended(0, r#"{"verdict":"SKIPPED","detail":"a job runs"}"#), Observation::skipped("a job runs"));
    let bare = ended(0, r#"{"verdict":"FAIL","detail":"it is ill"}"#);
    assert_eq!(bare.findings, [Finding::new(FAILED, "it is ill")]);
}

#[test]
fn an_answer_that_cannot_be_used_is_an_error_whatever_the_exit_status() {
    for (line, why) in [
        (r#"{"verdict":"FAIL""#, "no JSON object"),
        (r#"{"verdict":"BROKEN"}"#, "`verdict` is `BROKEN`; there are PASS, FAIL"),
        (r#"{"verdict":1}"#, "`verdict` is no text"),
        (r#"{"finding":"xid"}"#, "`verdict` is missing"),
        (r#"{"verdict":"PASS","finding":"xid"}"#, "there are findings, and the verdict is PASS"),
        (r#"{"verdict":"FAIL","findings":[{"finding":"a b"}]}"#, "`a b` is no name of a finding"),
        (r#"{"verdict":"FAIL","findings":[{"xid":79}]}"#, "`xid` needs a `finding`"),
        (r#"{"verdict":"FAIL","findings":[{}]}"#, "one of `findings` has no `finding`"),
        (r#"{"verdict":"FAIL","findings":["xid"]}"#, "something else than objects"),
        (r#"{"verdict":"FAIL","findings":{}}"#, "`findings` is no list"),
        (r#"{"verdict":"FAIL","finding":"xid","xid":-1}"#, "`xid` is no whole number"),
        (r#"{"verdict":"FAIL","device":"GPU-1"}"#, "`device` needs a `finding`"),
        (r#"{"verdict":"PASS","measurements":{"a":"1"}}"#, "`measurements.a` is no name with a number"),
        (r#"{"verdict":"PASS","measurements":[1]}"#, "`measurements` is no object"),
        (r#"{"verdict":"PASS","evidnce":"x"}"#, "`evidnce` is not known"),
    ] {
        for code in [0, 1] {
            let observation = ended(code, line);
            assert_eq!(observation.verdict, Verdict::Error, "{line}");
            assert!(observation.evidence.contains(why), "{line}: {}", observation.evidence);
        }
    }
    let long = format!(r#"{{"verdict":"FAIL","finding":"x","device":"{}"}}"#, "d".repeat(129));
    assert_eq!(ended(0, &long).verdict, Verdict::Error);
}

#[test]
fn words_of_a_program_are_bounded_and_plain() {
    let bell = "\\u0007".repeat(1000);
    let line = format!(r#"{{"verdict":"FAIL","finding":"x","detail":"{bell}","evidence":"{bell}"}}"#);
    let observation = ended(0, &line);
    assert!(
        observation.findings[0].detail.len() <= Finding::DETAIL && observation.evidence.len() <= Observation::EVIDENCE
    );
    assert!(!observation.evidence.contains('\u{7}'));
    let many: Vec<String> = (0..100).map(|number| format!(r#"{{"finding":"f{number}"}}"#)).collect();
    let observation = ended(0, &format!(r#"{{"verdict":"FAIL","findings":[{}]}}"#, many.join(",")));
    assert_eq!(observation.findings.len(), Finding::KEPT);
}

#[tokio::test]
async fn a_program_is_told_what_to_look_at() {
    let echo = r#"read line; printf '{"verdict":"PASS","evidence":"%s"}\n' "$(printf %s "$line" | sed 's/"/\\"/g') $REMEDYD_CHECK""#;
    let observation = shell(echo, Duration::from_millis(61_500)).await;
    assert_eq!(observation.verdict, Verdict::Pass, "{}", observation.evidence);
    let told = concat!(
        r#"{"check":"gpus","cluster_id":"train-a","instance":{"id":"i-7","name":"gpu-node-7","host":"h-0042","generation":"1","#,
        r#""address":"10.0.0.7"},"timeout_seconds":61.5} gpus"#
    );
    assert_eq!(observation.evidence, told);
}

#[tokio::test]
async fn one_that_hangs_is_a_finding() {
    // What it said before is no answer: it did not end.
    let observation = shell("echo '{\"verdict\":\"PASS\"}'; echo stuck >&2; sleep 600", Duration::from_secs(2)).await;
    assert_eq!(observation.verdict, Verdict::Fail);
    assert_eq!(observation.findings, [Finding::new(HUNG, "no end within 2s, killed; it says: stuck")]);
}

#[tokio::test]
async fn trouble_with_the_program_is_no_evidence() {
    for (script, evidence) in [
        ("kill -9 $$", "ended by signal 9"),
        ("yes", "says too much"),
        ("exec /nonexistent/tool", "exit status 127"),
        ("echo no such option >&2; exit 64", "exit status 64; it says: no such option"),
    ] {
        let observation = shell(script, LONG).await;
        assert_eq!(observation.verdict, Verdict::Error, "{script}");
        assert!(observation.evidence.starts_with(evidence), "{script}: {}", observation.evidence);
    }
    let spec = Command { check: CheckId::parse("gpus").unwrap(), argv: vec!["/nonexistent/probe".to_owned()] };
    let observation = run(&spec, &target("gpu-node-7", "10.0.0.7"), LONG).await;
    assert_eq!(observation.verdict, Verdict::Error);
    assert!(observation.evidence.starts_with("`/nonexistent/probe` cannot be started: "), "{}", observation.evidence);
}
