//! The router with a writer that gives canned replies: what reaches it, and how its answers are worded.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tower::ServiceExt;
use uuid::Uuid;

use super::routes::{Dialect, ROUTES};
use super::*;
use crate::config::Tokens;
use crate::domain::alert::Joined;
use crate::domain::*;
use crate::engine::settings::Source;
use crate::engine::{Delivery, Refusal, Selector, Settings};
use crate::store;
use crate::telemetry::metrics::Known;
use crate::writer::{self, Envelope};

// What rows look like.

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn remediation_id() -> RemediationId {
    RemediationId::new(Uuid::from_u128(7))
}

pub(super) fn instance() -> Instance {
    Instance {
        id: InstanceId::parse("i-7").unwrap(),
        name: "gpu-node-7".into(),
        cluster_id: ClusterId::parse("c-1").unwrap(),
        host_id: HostId::parse("h-1").unwrap(),
        addresses: vec![],
        provider_id: String::new(),
        pool: "h100".into(),
        generation: "1".into(),
        domains: Default::default(),
        auto_remediation_enabled: true,
    }
}

pub(super) fn alert() -> Alert {
    let labels = Labels::from_pairs([("alertname", "DmesgXidError")]);
    let source = SourceId::parse("main").unwrap();
    Alert {
        id: AlertId::new(Uuid::from_u128(0xa1)),
        identity: Identity::of(&source, &labels),
        episode: 1,
        source,
        fingerprint: String::new(),
        labels,
        annotations: Labels::default(),
        truncated: false,
        state: AlertState::Firing,
        muted: false,
        severity: Severity::Critical,
        xid: Some(79),
        joined: Ok(Joined { cluster_id: instance().cluster_id, instance_id: instance().id }),
        started_at: at(5),
        resolved_at: None,
        opened_at: at(6),
        cleared_at: None,
        last_seen_at: at(6),
        remediation_id: None,
    }
}

pub(super) fn linked() -> Link {
    Link {
        remediation_id: remediation_id(),
        n: 0,
        identity: alert().identity,
        alert_id: alert().id,
        source: alert().source,
        alert_name: "DmesgXidError".into(),
        severity: Severity::Critical,
        annotations: Labels::from_pairs([("summary", "Xid 79")]),
        annotation: Annotation {
            title: "Xid 79".into(),
            description: String::new(),
            summary_line: "xid 79 x1".into(),
            xids: vec![XidEvent { code: 79, mnemonic: "GPU_LOST".into(), count: 1 }],
            slurm_reason: None,
        },
        started_at: at(5),
        resolved_at: None,
        cleared_at: None,
        refires: 0,
    }
}

pub(super) fn proposal() -> Record {
    let target = Target {
        cluster_id: instance().cluster_id,
        instance_id: instance().id,
        instance_name: instance().name,
        host_id: instance().host_id,
        provider_id: String::new(),
        generation: "1".into(),
    };
    let remediation = Remediation {
        id: remediation_id(),
        target,
        mode: Mode::HostAware,
        trigger: Trigger::Automated,
        state: State::PendingApproval,
        version: 1,
        reason: "Xid 79".into(),
        requested_by: "remedyd".into(),
        created_at: at(10),
        updated_at: at(10),
        review: None,
        started_at: None,
        ended_at: None,
        failure: None,
        note: None,
        rule: RuleId::parse("xid").ok(),
        auto_resolve: AutoResolve::Alert,
        opened_by: Some(alert().id),
        alias: None,
        links_omitted: 0,
        raised_at: None,
        clear_since: None,
        validating_since: None,
        validated_at: None,
        attempt: None,
        awaits: None,
        waits_for: None,
        next_try: None,
        due: None,
    };
    Record { remediation, links: vec![linked()] }
}

// The daemon around the router.

struct House {
    router: Router,
    /// Every input that reached the writer, with who caused it.
    seen: Arc<Mutex<Vec<(crate::writer::Cause, Input)>>>,
    metrics: Arc<Metrics>,
    _config: watch::Sender<Arc<Config>>,
    _ready: watch::Sender<Result<(), &'static str>>,
    _store: Stored,
}

fn token(role: &str) -> String {
    format!("token-{role}")
}

fn everybody() -> Tokens {
    let all = Role::ALL.map(|role| {
        let principal = Principal { name: role.as_str().into(), role, clusters: None };
        (Sha256::digest(token(role.as_str())).into(), principal)
    });
    let narrow = Principal {
        name: "narrow".into(),
        role: Role::Admin,
        clusters: Some([ClusterId::parse("c-2").unwrap()].into()),
    };
    Tokens(all.into_iter().chain([(Sha256::digest(token("narrow")).into(), narrow)]).collect())
}

fn source() -> Source {
    Source { cluster_labels: vec![], instance_labels: vec![], default_cluster: None, has_api: false }
}

fn configured(sources: &[&str], tokens: Option<Tokens>) -> Config {
    let sources = sources.iter().map(|name| (SourceId::parse(name).unwrap(), source())).collect();
    let cluster = |id: &str| Cluster { id: ClusterId::parse(id).unwrap(), name: id.into() };
    Config {
        listen: vec![],
        storage_path: Default::default(),
        tokens: tokens.map(Arc::new),
        alertmanagers: Default::default(),
        drivers: Default::default(),
        receivers: Default::default(),
        settings: Arc::new(Settings { sources, ..Settings::default() }),
        clusters: vec![cluster("c-1"), cluster("c-2")],
        instances: vec![instance()],
        watched: Default::default(),
        digest: String::new(),
    }
}

/// A writer that answers deliveries by their counts, and commands by `reply`; a configuration that does not load.
fn house(config: Config, reply: impl Fn(&Command) -> Reply + Send + 'static) -> House {
    let mistakes = || vec!["a:1:1: x: wrong".to_owned(), "b:2:2: y: too".to_owned()];
    house_with(config, Arc::new(move || Box::pin(async move { Err(mistakes()) })), reply)
}

fn house_with(config: Config, reload: Reload, reply: impl Fn(&Command) -> Reply + Send + 'static) -> House {
    let (inlet, mut lanes) = writer::inlet(8);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let envelope = tokio::select! {
                Some(envelope) = lanes.commands.recv() => envelope,
                Some(envelope) = lanes.signals.recv() => envelope,
                else => return,
            };
            let Envelope { cause, input, reply: back } = envelope;
            let answer = match &input {
                Input::Delivered(Delivery { reports, dead, .. }) => {
                    Reply::Received { stored: reports.len() as u64, merged: 0, dead_lettered: dead.len() as u64 }
                }
                Input::Asked(_, command) => reply(command),
                other => panic!("{}", other.kind()),
            };
            log.lock().unwrap().push((cause, input));
            let _ = back.send(answer);
        }
    });
    let metrics = Arc::new(Metrics::new(at(1)));
    metrics.configured(Known { sources: config.settings.sources.keys().cloned().collect(), ..Known::default() }, at(2));
    let (reader, stored) = empty_store();
    let (config_sender, config) = watch::channel(Arc::new(config));
    let (ready_sender, ready) = watch::channel(Ok(()));
    let shared = Shared::new(inlet, reader, config, Arc::clone(&metrics), ready, reload);
    House { router: router(shared), seen, metrics, _config: config_sender, _ready: ready_sender, _store: stored }
}

/// A store without a row, as long as the second part lives.
type Stored = (store::Appender, tempfile::TempDir);

fn empty_store() -> (Reader, Stored) {
    let folder = tempfile::tempdir().unwrap();
    let opened = store::open(folder.path(), store::Options { synced: Box::new(|_| {}) }).unwrap();
    (opened.reader, (opened.appender, folder))
}

fn quiet() -> House {
    house(configured(&["main"], None), |_| Reply::Remediation(Box::new(proposal())))
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl House {
    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:9720");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call("POST", path, &[], body).await
    }

    fn commands(&self) -> Vec<Command> {
        let seen = self.seen.lock().unwrap();
        let asked = seen.iter().filter_map(|(_, input)| match input {
            Input::Asked(_, command) => Some(command.clone()),
            _ => None,
        });
        asked.collect()
    }
}

const HOOK: &str = "/api/v1/webhooks/alertmanager";
const PLACE: &str = "/v1/compute/clusters/c-1/instances/i-7/remediations";

fn wire(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/tests/wire/alertmanager/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut bodies: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    bodies.sort();
    bodies
}

// The webhook.

#[tokio::test]
async fn every_alert_of_a_genuine_message_is_read() {
    let house = quiet();
    let bodies = wire("genuine");
    assert_eq!(bodies.len(), 50);
    for (name, body) in bodies {
        let sent = serde_json::from_slice::<Value>(&body).unwrap()["alerts"].as_array().unwrap().len();
        let answer = house.post(HOOK, body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.json(), json!({"received": sent, "stored": sent, "merged": 0, "dead_lettered": 0}), "{name}");
    }
}

#[tokio::test]
async fn broken_messages_are_refused_whole_and_broken_alerts_alone() {
    let house = quiet();
    let mut shown = Vec::new();
    for (name, body) in wire("handwritten") {
        let answer = house.post(HOOK, body).await;
        let (short, _) = name.split_once('-').unwrap();
        let said = match answer.status.as_u16() {
            200 => format!("read {}, dead {}", answer.json()["stored"], answer.json()["dead_lettered"]),
            status => format!("{status}: {}", answer.json()["detail"].as_str().unwrap()),
        };
        shown.push(format!("{short} {said}"));
    }
    let wanted = "\
        h01 400: the body is not JSON: EOF while parsing a string at line 1 column 326; nothing of it was taken\n\
        h02 400: the body is not JSON: EOF while parsing a value at line 1 column 0; nothing of it was taken\n\
        h03 read 1, dead 0\n\
        h04 read 1, dead 0\n\
        h05 400: `alerts` is null, not a list; nothing of the body was taken\n\
        h06 read 0, dead 0\n\
        h07 read 1, dead 0\n\
        h08 read 0, dead 1\n\
        h09 read 2, dead 2\n\
        h10 read 0, dead 1\n\
        h11a read 1, dead 0\n\
        h11b read 1, dead 0\n\
        h11c read 1, dead 0\n\
        h12 read 2, dead 0\n\
        h13 read 2, dead 0\n\
        h14 read 1, dead 0\n\
        h15 400: the body is not UTF-8 at byte 194; nothing of it was taken\n\
        h16 read 0, dead 1\n\
        h17 read 1, dead 0\n\
        h18 read 1, dead 0\n\
        h19 read 1, dead 0\n\
        h20 read 3, dead 0\n\
        h21 read 1, dead 0\n\
        h22 read 0, dead 1\n\
        h23 read 1, dead 0\n\
        h24 read 1, dead 0\n\
        h25 read 1, dead 0\n\
        h26 read 1, dead 0\n\
        h27 read 1, dead 0\n\
        h28 read 1, dead 0\n\
        h29 read 1, dead 0\n\
        h30 read 5, dead 0";
    assert_eq!(shown.join("\n"), wanted);
}

#[tokio::test]
async fn a_body_that_is_no_message_says_what_it_is() {
    let house = quiet();
    for (body, detail) in [
        ("[]", "the body is a list, not an object; nothing of it was taken"),
        ("7", "the body is a number, not an object; nothing of it was taken"),
        ("null", "the body is null, not an object; nothing of it was taken"),
        ("{}", "`alerts` is missing, not a list; nothing of the body was taken"),
        (r#"{"alerts":{"a":[1]}}"#, "`alerts` is an object, not a list; nothing of the body was taken"),
        (r#"{"alerts":[]}x"#, "the body is not JSON: trailing characters at line 1 column 14; nothing of it was taken"),
    ] {
        let answer = house.post(HOOK, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str().unwrap()), (400, detail));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert!(house.seen.lock().unwrap().is_empty());
}

fn message(n: usize) -> String {
    let alert = |n| format!(r#"{{"status":"firing","labels":{{"n":"{n}"}},"startsAt":"2026-03-04T10:15:30Z"}}"#);
    format!(r#"{{"alerts":[{}]}}"#, (0..n).map(alert).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_message_enters_in_order_and_in_chunks() {
    let house = quiet();
    let answer = house.post(HOOK, message(600)).await;
    assert_eq!(answer.json(), json!({"received": 600, "stored": 600, "merged": 0, "dead_lettered": 0}));
    let seen = house.seen.lock().unwrap();
    let chunks: Vec<_> = seen
        .iter()
        .map(|(_, input)| match input {
            Input::Delivered(delivery) => delivery,
            other => panic!("{}", other.kind()),
        })
        .collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.reports.len()).collect::<Vec<_>>(), [256, 256, 88]);
    let numbers = chunks.iter().flat_map(|chunk| &chunk.reports).map(|report| report.labels.get("n").unwrap());
    assert!(numbers.eq((0..600).map(|n| n.to_string()).collect::<Vec<_>>().iter()));
    assert_eq!(chunks[0].source.as_str(), "main");
}

#[tokio::test]
async fn a_message_too_large_is_refused_before_it_is_read() {
    let house = quiet();
    let size = (webhook::MAX_BODY_BYTES + 1).to_string();
    let answer = house.call("POST", HOOK, &[("content-length", &size)], Body::empty()).await;
    assert_eq!(answer.status, 413);
    let unannounced = Body::new(Chunks(40));
    assert_eq!(house.post(HOOK, unannounced).await.status, 413);
    let crowd = house.post(HOOK, message(webhook_body::MAX_ALERTS + 1)).await;
    assert_eq!(crowd.status, 413, "{}", crowd.text);
    assert!(house.seen.lock().unwrap().is_empty());
}

/// So many MiB of spaces.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        self.0 = self.0.saturating_sub(1);
        let frame = || Ok(hyper::body::Frame::data(bytes::Bytes::from(vec![b' '; 1 << 20])));
        std::task::Poll::Ready((self.0 > 0).then(frame))
    }
}

#[tokio::test]
async fn the_bare_path_means_the_only_source_or_main() {
    for (sources, bare) in [(&["a"][..], Some("a")), (&["a", "main"], Some("main")), (&["a", "b"], None), (&[], None)] {
        let house = house(configured(sources, None), |_| Reply::Done);
        let answer = house.post(HOOK, message(1)).await;
        let took = match &house.seen.lock().unwrap()[..] {
            [(_, Input::Delivered(delivery))] => Some(delivery.source.as_str().to_owned()),
            _ => None,
        };
        assert_eq!((answer.status == 200, took.as_deref()), (bare.is_some(), bare), "{sources:?}");
    }
    let house = quiet();
    assert_eq!(house.post(&format!("{HOOK}/main"), message(1)).await.status, 200);
    for unknown in ["other", "ma%2Fin", "%ff"] {
        assert_eq!(house.post(&format!("{HOOK}/{unknown}"), message(1)).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn what_was_received_is_counted_by_source() {
    let house = quiet();
    house.post(HOOK, r#"{"alerts":[1]}"#).await;
    house.post(HOOK, message(2)).await;
    house.post(HOOK, "x").await;
    let text = String::from_utf8(house.metrics.render().unwrap()).unwrap();
    for line in [
        "remedyd_alerts_received_total{source=\"main\"} 3",
        "remedyd_alerts_stored_total{source=\"main\"} 2",
        "remedyd_alerts_dead_lettered_total{source=\"main\"} 1",
        "remedyd_http_requests_total{code=\"200\",handler=\"webhook\"} 2",
        "remedyd_http_requests_total{code=\"400\",handler=\"webhook\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_writer_that_is_gone_is_a_503_in_every_dialect() {
    let (inlet, lanes) = writer::inlet(1);
    drop(lanes);
    let (_config, config) = watch::channel(Arc::new(configured(&["main"], None)));
    let (_ready, ready) = watch::channel(Err("starting"));
    let reload: Reload = Arc::new(|| Box::pin(async { Ok(()) }));
    let metrics = Arc::new(Metrics::new(at(1)));
    let (reader, stored) = empty_store();
    let router = router(Shared::new(inlet, reader, config, Arc::clone(&metrics), ready, reload));
    let house = House { router, seen: Arc::default(), metrics, _config, _ready, _store: stored };
    let hook = house.post(HOOK, message(1)).await;
    assert_eq!((hook.status.as_u16(), hook.header("retry-after")), (503, Some("1")));
    let cancel = house.post(&format!("{PLACE}/x/cancel"), "").await;
    assert_eq!((cancel.status.as_u16(), &cancel.json()["code"]), (503, &json!(14)));
    let ready = house.get("/-/ready").await;
    assert_eq!((ready.status.as_u16(), ready.text.as_str()), (503, "remedyd is not ready: starting\n"));
    assert_eq!(house.post("/-/reload", "").await.status, 200);
}

// Who may do what.

#[tokio::test]
async fn every_route_takes_its_role_and_no_less() {
    let house = house(configured(&["main"], Some(everybody())), |_| Reply::Remediation(Box::new(proposal())));
    for route in ROUTES {
        let path = route.path.replace("{cluster}", "c-1").replace("{instance}", "i-7").replace("{source}", "main");
        let path = path.replace("{id}", "00000000-0000-0000-0000-000000000007");
        let nobody = house.call(route.method, &path, &[], Body::empty()).await;
        let Some(needed) = route.needs else {
            assert!(nobody.status != 401 && nobody.status != 404, "{path}");
            continue;
        };
        assert_eq!(nobody.status, 401, "{path}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
        match route.dialect {
            Dialect::Together => assert_eq!(nobody.json()["code"], 16, "{path}"),
            Dialect::Problem => assert_eq!(nobody.json()["status"], 401, "{path}"),
        }
        for role in Role::ALL {
            let bearer = format!("Bearer {}", token(role.as_str()));
            let answer = house.call(route.method, &path, &[("authorization", &bearer)], Body::empty()).await;
            let let_in = answer.status != 401 && answer.status != 403;
            assert_eq!(let_in, role.includes(needed), "{} {path} as {}", route.method, role.as_str());
            assert_ne!(answer.status, 405, "{} {path}", route.method);
        }
    }
}

#[tokio::test]
async fn a_cluster_of_others_looks_like_one_that_does_not_exist() {
    let house = house(configured(&["main"], Some(everybody())), |_| Reply::Remediation(Box::new(proposal())));
    let bearer = format!("Bearer {}", token("narrow"));
    let ask = async |cluster: &str| {
        let path = format!("/v1/compute/clusters/{cluster}/instances/i-7/remediations/x/approve");
        house.call("POST", &path, &[("authorization", &bearer)], Body::empty()).await
    };
    let (foreign, absent, own) = (ask("c-1").await, ask("c-9").await, ask("c-2").await);
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.text, absent.text.replace("c-9", "c-1"));
    assert_eq!(own.status, 200);
    assert_eq!(house.commands().len(), 1);
}

#[tokio::test]
async fn without_tokens_web_pages_and_foreign_names_are_turned_away() {
    let house = quiet();
    let foreign = house.call("GET", "/v3/whoami", &[("host", "evil.example")], Body::empty()).await;
    assert_eq!((foreign.status.as_u16(), &foreign.json()["code"]), (403, &json!(7)));
    let page = house.call("POST", HOOK, &[("origin", "http://localhost:9720")], message(1)).await;
    assert_eq!(page.status, 403);
    assert!(house.seen.lock().unwrap().is_empty());
    assert_eq!(house.call("GET", "/-/healthy", &[("host", "10.0.0.1")], Body::empty()).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_worded_in_the_dialect_of_their_path() {
    let house = quiet();
    let native = house.get("/api/v1/nothing").await;
    assert_eq!((native.status.as_u16(), &native.json()["detail"]), (404, &json!("path `/api/v1/nothing` not found")));
    let together = house.get("/v1/nothing").await;
    assert_eq!((together.status.as_u16(), &together.json()["code"]), (404, &json!(5)));
    let method = house.call("PUT", PLACE, &[], Body::empty()).await;
    assert_eq!((method.status.as_u16(), &method.json()["code"]), (405, &json!(3)));
    assert!(method.header("allow").unwrap().contains("POST"));
}

#[tokio::test]
async fn a_request_id_comes_back_and_reaches_the_journal() {
    let house = quiet();
    let cancel = format!("{PLACE}/x/cancel");
    let answer = house.call("POST", &cancel, &[("x-request-id", "abc-1")], Body::empty()).await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    let long = "x".repeat(129);
    for bad in ["a b", "<script>", "", long.as_str()] {
        let answer = house.call("POST", &cancel, &[("x-request-id", bad)], Body::empty()).await;
        assert!(Uuid::try_parse(answer.header("x-request-id").unwrap()).is_ok(), "{bad}");
    }
    let seen = house.seen.lock().unwrap();
    assert_eq!((seen[0].0.principal.as_str(), seen[0].0.request_id.as_deref()), ("local", Some("abc-1")));
}

#[tokio::test]
async fn a_panic_ends_one_request_and_not_the_daemon() {
    let reload: Reload = Arc::new(|| Box::pin(async { panic!("a test of what a panic does") }));
    let house = house_with(configured(&["main"], None), reload, |_| Reply::Done);
    let answer = house.post("/-/reload", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (500, &json!(500)));
    assert_eq!(house.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn what_goes_wrong_inside_stays_inside() {
    let house = house(configured(&["main"], None), |_| Reply::Done);
    let answer = house.call("POST", &format!("{PLACE}/x/cancel"), &[("x-request-id", "q")], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!(13)));
    assert_eq!(answer.json()["message"], "internal error; the log has more under request id q");
}

// Together's dialect.

#[tokio::test]
async fn commands_carry_what_the_client_sent() {
    let house = quiet();
    let approve = r#"{"comment":"go","mode":"REMEDIATION_MODE_VM_ONLY","state":"IGNORED","linked_alerts":[]}"#;
    let create = r#"{"mode":"REMEDIATION_MODE_REBOOT_VM","reason":"slow","id":"ignored","state":7}"#;
    let create_path = format!("{PLACE}?remediation_id=k.1");
    for (path, body) in [
        (format!("{PLACE}/x%2Fy/approve"), approve),
        (format!("{PLACE}/x/approve"), "{}"),
        (format!("{PLACE}/x/reject"), r#"{"comment":null}"#),
        (format!("/v1{PLACE}/x/cancel"), ""),
        ("/v1/compute/clusters/c-1/instances/-/remediations/x/cancel".into(), ""),
        (create_path.clone(), create),
    ] {
        let answer = house.post(&path, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!("PENDING_APPROVAL")), "{path}");
    }
    house.call("POST", &create_path, &[("x-stainless-retry-count", "1")], create).await;
    let select = |instance: Option<&str>, remediation: &str| Selector {
        cluster_id: Some(ClusterId::parse("c-1").unwrap()),
        instance_id: instance.map(|name| InstanceId::parse(name).unwrap()),
        remediation: remediation.into(),
    };
    let approve = |remediation, mode, comment: &str| Command::Approve {
        selector: select(Some("i-7"), remediation),
        mode,
        comment: comment.into(),
        seen_version: None,
    };
    let create = |is_retry| Command::Create {
        cluster_id: ClusterId::parse("c-1").unwrap(),
        instance_id: InstanceId::parse("i-7").unwrap(),
        mode: Mode::RebootVm,
        reason: "slow".into(),
        alias: Some("k.1".into()),
        is_retry,
    };
    assert_eq!(
        house.commands(),
        [
            approve("x/y", Some(Mode::VmOnly), "go"),
            approve("x", None, ""),
            Command::Reject { selector: select(Some("i-7"), "x"), comment: String::new() },
            Command::Cancel { selector: select(Some("i-7"), "x") },
            Command::Cancel { selector: select(None, "x") },
            create(false),
            create(true),
        ]
    );
}

#[tokio::test]
async fn a_request_that_can_never_be_right_is_a_400_and_reaches_nobody() {
    let house = quiet();
    let long = format!(r#"{{"comment":"{}"}}"#, "x".repeat(5000));
    let dash = "/v1/compute/clusters/c-1/instances/-/remediations";
    for (path, body, part) in [
        (PLACE.to_owned(), "", "mode: missing"),
        (PLACE.to_owned(), r#"{"mode":"VM_ONLY"}"#, "mode: `VM_ONLY` is not one of REMEDIATION_MODE_REBOOT_VM"),
        (PLACE.to_owned(), r#"{"mode":7}"#, "expected a string"),
        (PLACE.to_owned(), "[]", "the body is not a JSON object"),
        (PLACE.to_owned(), r#"{"mode":"#, "the body cannot be read: EOF"),
        (format!("{PLACE}?remediation_id=a%20b"), "{}", "remediation_id: "),
        (dash.to_owned(), r#"{"mode":"REMEDIATION_MODE_VM_ONLY"}"#, "instance_id: `-`"),
        (format!("{PLACE}/x/approve"), r#"{"mode":"x"}"#, "mode: `x` is not one of"),
        (format!("{PLACE}/x/reject"), long.as_str(), "comment: longer than 4096 bytes"),
    ] {
        let answer = house.post(&path, body.to_owned()).await;
        let shown = answer.json();
        assert_eq!((answer.status.as_u16(), &shown["code"]), (400, &json!(3)), "{path} {body}");
        assert!(shown["message"].as_str().unwrap().contains(part), "{part}: {shown}");
        assert_eq!(shown["message"], shown["error"]["message"]);
    }
    assert_eq!(house.post(&format!("{PLACE}/x/reject"), " ".repeat(70_000)).await.status, 413);
    assert!(house.commands().is_empty());
}

#[tokio::test]
async fn each_refusal_has_its_code_and_both_forms() {
    let id = remediation_id();
    let place = "instance i-7".to_owned();
    let refusals = [
        (Refusal::NotFound { kind: "remediation", name: "x".into() }, 5, 404),
        (Refusal::WrongState { id, state: State::Running, verb: "approved", allowed: "PENDING_APPROVAL" }, 9, 400),
        (Refusal::Busy { id, state: State::Running, mode: Mode::VmOnly, place }, 9, 400),
        (Refusal::ModeRaised { id, mode: Mode::VmOnly }, 9, 400),
        (Refusal::VersionChanged { id, version: 2, seen: 1 }, 9, 400),
        (Refusal::Held { instance: "i-7".into(), reason: "x".into(), until: at(1) }, 9, 400),
        (Refusal::AliasTaken { alias: "k".into(), id }, 6, 409),
        (Refusal::Invalid { field: "mode", why: "no".into() }, 3, 400),
        (Refusal::NotAllowed { principal: "p".into(), verb: "approve", needed: "approver" }, 7, 403),
    ];
    for (refusal, code, status) in refusals {
        let message = refusal.to_string();
        let house = house(configured(&["main"], None), move |_| Reply::Refused(refusal.clone()));
        let answer = house.post(&format!("{PLACE}/x/cancel"), "").await;
        let shown = answer.json();
        assert_eq!((answer.status.as_u16(), &shown["code"]), (status, &json!(code)), "{message}");
        assert_eq!((&shown["message"], &shown["details"]), (&json!(message), &json!([])));
        let error = &shown["error"];
        assert_eq!((&error["message"], &error["param"]), (&json!(message), &Value::Null));
        let name = error["code"].as_str().unwrap();
        assert_eq!(error["type"], name.to_lowercase());
        assert_eq!(answer.header("x-should-retry"), (status == 409).then_some("false"), "{message}");
    }
}

#[tokio::test]
async fn whoami_and_empty_lists_have_every_key() {
    let house = quiet();
    for path in ["/v3/whoami", "/v1/v3/whoami"] {
        let shown = house.get(path).await.json();
        assert_eq!(shown["type"], "project_api_key");
        assert_eq!(shown["api_key"], json!({"id": "local"}));
        assert!(shown["project"]["slug"].is_string() && shown["organization"]["name"].is_string());
    }
    assert!(house.get("/v1/compute/clusters?projectId=p").await.json()["clusters"].is_array());
    for kind in ["alerts", "dead-letters", "instances", "remediations", "holds"] {
        let shown = house.get(&format!("/api/v1/{kind}?page_size=3")).await.json();
        assert_eq!(shown, json!({kind: [], "has_next": false, "next_page_token": ""}));
    }
}

// Our own dialect.

#[tokio::test]
async fn a_misspelt_parameter_is_refused_and_not_ignored() {
    let house = quiet();
    for path in [
        "alerts?stat=FIRING",
        "alerts?state=firing",
        "alerts?joined=yes",
        "alerts?cluster_id=a%20b",
        "dead-letters?x=1",
        "instances?pool=x",
        "remediations?mode=REMEDIATION_MODE_VM_ONLY",
        "holds?ended=1",
        "holds?page_size=-1",
        "alerts?page_token=AAAA",
    ] {
        let answer = house.get(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (400, &json!(400)), "{path}");
    }
    for path in ["remediations/x", "remediations/00000000-0000-0000-0000-000000000009/history"] {
        assert_eq!(house.get(&format!("/api/v1/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn holds_are_set_and_ended() {
    let hold = Hold {
        id: HoldId::new(Uuid::from_u128(9)),
        cluster_id: instance().cluster_id,
        instance_id: instance().id,
        reason: "swap".into(),
        created_by: "local".into(),
        created_at: at(1),
        expires_at: at(7201),
        ended: None,
    };
    let house = house(configured(&["main"], None), move |_| Reply::Hold(Box::new(hold.clone())));
    let set = house.post("/api/v1/holds", r#"{"instance_id":"i-7","reason":"swap","for":"2h"}"#).await;
    assert_eq!((set.status.as_u16(), &set.json()["expires_at"]), (201, &json!("1970-01-01T02:00:01.000000Z")));
    let path = format!("/api/v1/holds/{}", Uuid::from_u128(9));
    assert_eq!(house.call("DELETE", &path, &[], Body::empty()).await.status, 200);
    assert_eq!(
        house.commands(),
        [
            Command::Hold {
                instance_id: instance().id,
                reason: "swap".into(),
                span: std::time::Duration::from_secs(7200),
            },
            Command::Unhold { hold_id: HoldId::new(Uuid::from_u128(9)) },
        ]
    );
    for (body, status) in [
        (r#"{"instance_id":"i-7","reason":"swap","for":"soon"}"#, 400),
        (r#"{"instance_id":"i-7","reason":"swap"}"#, 400),
        (r#"{"instance_id":"i-7","reason":"swap","for":"2h","why":1}"#, 400),
        (r#"{"instance_id":"i/7","reason":"swap","for":"2h"}"#, 404),
    ] {
        assert_eq!(house.post("/api/v1/holds", body).await.status, status, "{body}");
    }
    assert_eq!(house.call("DELETE", "/api/v1/holds/x", &[], Body::empty()).await.status, 404);
}

// What operators ask.

#[tokio::test]
async fn operators_get_their_answers() {
    let house = quiet();
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(house.get(path).await.status, 200, "{path}");
        let head = house.call(Method::HEAD.as_str(), path, &[], Body::empty()).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
    }
    let reload = house.post("/-/reload", "").await;
    assert_eq!((reload.status.as_u16(), &reload.json()["detail"]), (400, &json!("a:1:1: x: wrong\nb:2:2: y: too")));
    let metrics = house.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text.contains("remedyd_build_info{version="));
}
