//! Runs, conditions, and checks that are run on demand.

use super::*;
use crate::config::checks::{Check, Probe, Schedule, Tcp};

/// A newer run of another check, on a node of another cluster.
fn foreign() -> Run {
    Run {
        id: RunId::new(Uuid::from_u128(0xb2)),
        check: CheckId::parse("other").unwrap(),
        cluster_id: ClusterId::parse("c-2").unwrap(),
        instance_id: InstanceId::parse("i-2").unwrap(),
        ended_at: at(3),
        ..run()
    }
}

fn rows() -> Vec<Change> {
    let (cluster_id, instance_id) = (foreign().cluster_id, foreign().instance_id);
    vec![
        Change::Instance(Box::new(instance())),
        Change::Run(Box::new(run())),
        Change::Run(Box::new(foreign())),
        Change::Condition(Box::new(condition())),
        Change::Condition(Box::new(Condition { belief: Belief::Healthy, cluster_id, instance_id, ..condition() })),
    ]
}

fn bearer(name: &str) -> String {
    format!("Bearer {}", token(name))
}

fn ids(answer: &Answer, list: &str, key: &str) -> Vec<String> {
    let rows = answer.json()[list].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
    rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_filtered() {
    let house = storing(configured(&["main"], None), &rows());
    let (mine, other) = (run().id.to_string(), foreign().id.to_string());
    for (query, wanted) in [
        ("", vec![&other, &mine]),
        ("?cluster_id=c-1", vec![&mine]),
        ("?instance_id=i-7", vec![&mine]),
        ("?check=other", vec![&other]),
        ("?verdict=FAIL&page_size=7", vec![&other, &mine]),
        ("?verdict=PASS", vec![]),
    ] {
        let answer = house.get(&format!("/api/v1/runs{query}")).await;
        assert_eq!(ids(&answer, "runs", "id").iter().collect::<Vec<_>>(), wanted, "{query}");
    }
    let first = house.get("/api/v1/runs?page_size=1").await.json();
    assert_eq!(first["has_next"], true);
    let next = format!("/api/v1/runs?page_size=1&page_token={}", first["next_page_token"].as_str().unwrap());
    assert_eq!(ids(&house.get(&next).await, "runs", "id"), [mine]);
    for bad in ["verdict=fail", "check=a%20b", "state=FAIL", "instance_id=", "page_token=AAAA"] {
        assert_eq!(house.get(&format!("/api/v1/runs?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn conditions_are_listed_by_check_and_instance_and_filtered() {
    let house = storing(configured(&["main"], None), &rows());
    for (query, wanted) in [
        ("", vec!["i-2", "i-7"]),
        ("?belief=FAILING", vec!["i-7"]),
        ("?belief=HEALTHY&cluster_id=c-1", vec![]),
        ("?check=gpus&instance_id=i-2", vec!["i-2"]),
        ("?check=other", vec![]),
    ] {
        let answer = house.get(&format!("/api/v1/conditions{query}")).await;
        assert_eq!(ids(&answer, "conditions", "instance_id"), wanted, "{query}");
    }
    let first = house.get("/api/v1/conditions?check=gpus&page_size=1").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let next = house.get(&format!("/api/v1/conditions?check=gpus&page_size=1&page_token={token}")).await;
    assert_eq!(ids(&next, "conditions", "instance_id"), ["i-7"]);
    assert_eq!(house.get(&format!("/api/v1/conditions?page_token={token}")).await.status, 400);
    assert_eq!(house.get("/api/v1/conditions?belief=failing").await.status, 400);
}

#[tokio::test]
async fn rows_of_others_are_absent() {
    let house = storing(configured(&["main"], Some(everybody())), &rows());
    let narrow = bearer("narrow");
    let ask = async |path: &str| house.call("GET", path, &[("authorization", &narrow)], Body::empty()).await;
    assert_eq!(ids(&ask("/api/v1/runs").await, "runs", "id"), [foreign().id.to_string()]);
    assert_eq!(ids(&ask("/api/v1/conditions").await, "conditions", "cluster_id"), ["c-2"]);
    assert!(ids(&ask("/api/v1/conditions?belief=FAILING").await, "conditions", "check").is_empty());
    assert_eq!(ask(&format!("/api/v1/runs/{}", foreign().id)).await.status, 200);
    let nobody = Uuid::from_u128(9).to_string();
    let (hidden, absent) =
        (ask(&format!("/api/v1/runs/{}", run().id)).await, ask(&format!("/api/v1/runs/{nobody}")).await);
    assert_eq!((hidden.status.as_u16(), absent.status.as_u16()), (404, 404));
    assert_eq!(hidden.text, absent.text.replace(&nobody, &run().id.to_string()));
    assert_eq!(ask("/api/v1/runs/x").await.status, 404);
}

/// A configuration with the check `gpus`.
fn with_check() -> Config {
    let mut config = configured(&["main"], Some(everybody()));
    config.checks = Arc::new([(run().check, any_check())].into());
    config
}

fn any_check() -> Check {
    let every = std::time::Duration::from_secs(30);
    let probe = Probe::Tcp(Tcp { port: 22, banner: None });
    Check { schedule: Schedule::Every(every), timeout: every, concurrency: 1, probe }
}

/// Asks for a run of everything on i-7.
async fn run_all(house: &House, who: &str, path: &str, body: &str) -> Answer {
    house.call("POST", path, &[("authorization", &bearer(who))], body.to_owned()).await
}

const PROBE: &str = "/api/v1/instances/i-7/probe";

#[tokio::test]
async fn a_run_on_demand_answers_with_whole_rows() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let probe: ProbeNow = Arc::new(move |cause, instance, check| {
        log.lock().unwrap().push((cause.principal, instance.to_string(), check.map(|check| check.to_string())));
        Box::pin(async { Ok(vec![run().id, RunId::new(Uuid::from_u128(99))]) })
    });
    let house = probing(with_check(), &rows(), probe);
    for body in ["", "{}", r#"{"check":"gpus"}"#] {
        let answer = run_all(&house, "operator", PROBE, body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        let runs = answer.json()["runs"].clone();
        // The other one is not there any more.
        assert_eq!(runs.as_array().unwrap().len(), 1);
        assert_eq!((&runs[0]["id"], &runs[0]["verdict"]), (&json!(run().id), &json!("FAIL")));
        assert_eq!(runs[0]["evidence"], "DCGM_FI_DEV_XID_ERRORS 79");
    }
    let who = |check: Option<&str>| ("operator".to_owned(), "i-7".to_owned(), check.map(str::to_owned));
    assert_eq!(*asked.lock().unwrap(), [who(None), who(None), who(Some("gpus"))]);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_runs() {
    let probe: ProbeNow = Arc::new(|_, _, _| panic!("nothing is to be run"));
    let house = probing(with_check(), &rows(), probe);
    for (who, path, body, status) in [
        ("operator", "/api/v1/instances/i-8/probe", "{}", 404),
        ("operator", "/api/v1/instances/i%2F7/probe", "{}", 404),
        ("narrow", PROBE, "{}", 404),
        ("operator", PROBE, r#"{"check":"other"}"#, 404),
        ("operator", PROBE, r#"{"check":"a b"}"#, 404),
        ("operator", PROBE, r#"{"checks":["gpus"]}"#, 400),
        ("operator", PROBE, "[]", 400),
        ("viewer", PROBE, "{}", 403),
    ] {
        let answer = run_all(&house, who, path, body).await;
        assert_eq!(answer.status, status, "{who} {path} {body}: {}", answer.text);
    }
}

#[tokio::test]
async fn runs_end_without_who_asked_and_no_more_than_some_wait() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (end, ends) = watch::channel(false);
    let (done, mut dones) = tokio::sync::mpsc::unbounded_channel();
    let probe: ProbeNow = Arc::new(move |_, _, _| {
        let (begun, mut ends, done) = (begun.clone(), ends.clone(), done.clone());
        Box::pin(async move {
            begun.send(()).unwrap();
            ends.wait_for(|end| *end).await.unwrap();
            done.send(()).unwrap();
            Ok(vec![])
        })
    });
    let house = probing(with_check(), &rows(), probe);
    for _ in 0..PROBES {
        tokio::select! {
            answer = run_all(&house, "operator", PROBE, "") => panic!("{}", answer.text),
            Some(()) = begins.recv() => {}
        }
    }
    let refused = run_all(&house, "operator", PROBE, "").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_some()), (503, true));
    end.send(true).unwrap();
    for _ in 0..PROBES {
        dones.recv().await.unwrap();
    }
    // Their places are free as soon as their tasks are gone.
    while run_all(&house, "operator", PROBE, "").await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_prober_has_its_words_and_its_status() {
    for (refusal, status) in [
        (ProbeRefusal::NotSelected("no check looks at instance i-7".into()), 409),
        (ProbeRefusal::Unavailable("the checks are stopping".into()), 503),
        (ProbeRefusal::Closed("the disk is full".into()), 503),
    ] {
        let words = refusal.to_string();
        let probe: ProbeNow = Arc::new(move |_, _, _| {
            let refusal = refusal.clone();
            Box::pin(async { Err(refusal) })
        });
        let answer = run_all(&probing(with_check(), &rows(), probe), "operator", PROBE, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (status, &json!(words)));
    }
    let alone = storing(with_check(), &rows());
    assert_eq!(run_all(&alone, "operator", PROBE, "").await.status, 409);
}
