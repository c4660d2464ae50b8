//! The router with a real store and a writer that gives canned replies: what reaches it, and how its answers are worded.

mod access;
mod checks;
mod commands;
mod native;
mod together;
mod webhook;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;
use uuid::Uuid;

use super::*;
use crate::config::Tokens;
use crate::config::tokens::Token;
use crate::domain::alert::Joined;
use crate::domain::*;
use crate::engine::settings::Source;
use crate::engine::{Change, Delivery, Selector, Settings};
use crate::store::{self, Appender, Opened, Port};
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
        newest_start: at(5),
        resolved_at: None,
        previous_end: None,
        opened_at: at(6),
        cleared_at: None,
        last_seen_at: at(6),
        remediation_id: None,
        run_id: None,
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

fn finding() -> Finding {
    Finding { xid: Some(79), is_sticky: true, ..Finding::new("xid", "fell off the bus").on("GPU-7") }
}

/// A run of a check on that instance.
pub(super) fn run() -> Run {
    Run {
        id: RunId::new(Uuid::from_u128(0xb1)),
        check: CheckId::parse("gpus").unwrap(),
        kind: CheckKind::DcgmExporter,
        cluster_id: instance().cluster_id,
        instance_id: instance().id,
        generation: "1".into(),
        started_at: at(1),
        ended_at: at(2),
        verdict: Verdict::Fail,
        findings: vec![finding()],
        measurements: Measurement::new("scrape_seconds", 0.25).into_iter().collect(),
        evidence: "DCGM_FI_DEV_XID_ERRORS 79".into(),
        why: RunWhy::Flipped,
        set_aside: None,
    }
}

/// What is believed because of it.
pub(super) fn condition() -> Condition {
    Condition {
        check: run().check,
        kind: run().kind,
        instance_id: run().instance_id,
        cluster_id: run().cluster_id,
        generation: run().generation,
        belief: Belief::Failing,
        since: at(2),
        verdict: Verdict::Fail,
        verdict_at: at(2),
        run_id: Some(run().id),
        fails: None,
        standing: vec![Standing { finding: finding(), trust: Trust::Believed, seen: 3, missed: 0, since: at(1) }],
        spent: Vec::new(),
        ripe_at: None,
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
        opened_by_run: None,
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
    /// Kept open; the folder goes with it.
    _store: (Appender, TempDir),
    _config: watch::Sender<Arc<Config>>,
}

fn token(role: &str) -> String {
    format!("token-{role}")
}

fn everybody() -> Tokens {
    let all = Role::ALL.map(|role| Principal { name: role.as_str().into(), role, clusters: None });
    let narrow = Principal {
        name: "narrow".into(),
        role: Role::Admin,
        clusters: Some([ClusterId::parse("c-2").unwrap()].into()),
    };
    let tokens = all.into_iter().chain([narrow]).map(|principal| Token {
        hash: Sha256::digest(token(&principal.name)).into(),
        until: None,
        principal: Arc::new(principal),
    });
    Tokens { tokens: tokens.collect(), clients: vec![] }
}

fn source() -> Source {
    Source { cluster_labels: vec![], instance_labels: vec![], default_cluster: None, has_api: false }
}

fn configured(sources: &[&str], tokens: Option<Tokens>) -> Config {
    let sources = sources.iter().map(|name| (SourceId::parse(name).unwrap(), source())).collect();
    let cluster = |id: &str| Cluster { id: ClusterId::parse(id).unwrap(), name: id.into() };
    Config {
        server: Default::default(),
        storage: Default::default(),
        tokens: tokens.map(Arc::new),
        alertmanagers: Default::default(),
        http_sd: Default::default(),
        drivers: Default::default(),
        receivers: Default::default(),
        checks: Default::default(),
        checks_limits: Default::default(),
        settings: Arc::new(Settings { sources, ..Settings::default() }),
        clusters: vec![cluster("c-1"), cluster("c-2")],
        instance_count: 1,
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
    furnished(config, &[], reload, reply)
}

/// A daemon whose store holds `rows`.
fn storing(config: Config, rows: &[Change]) -> House {
    furnished(config, rows, Arc::new(|| Box::pin(async { Ok(()) })), |_| Reply::Done)
}

/// The same, where checks can be run.
fn probing(config: Config, rows: &[Change], probe: ProbeNow) -> House {
    built(config, rows, Arc::new(|| Box::pin(async { Ok(()) })), |_| Reply::Done, Some(probe))
}

fn furnished(
    config: Config,
    rows: &[Change],
    reload: Reload,
    reply: impl Fn(&Command) -> Reply + Send + 'static,
) -> House {
    built(config, rows, reload, reply, None)
}

fn built(
    config: Config,
    rows: &[Change],
    reload: Reload,
    reply: impl Fn(&Command) -> Reply + Send + 'static,
    probe: Option<ProbeNow>,
) -> House {
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
            let Envelope { cause, input, reply: back, .. } = envelope;
            let answer = match &input {
                Input::Delivered(delivery) => {
                    let (stored, dead_lettered) = (delivery.reports().len() as u64, delivery.dead.len() as u64);
                    Reply::Received { stored, merged: 0, dead_lettered }
                }
                Input::Asked(_, command) => reply(command),
                other => panic!("{}", other.kind()),
            };
            log.lock().unwrap().push((cause, input));
            let _ = back.send(Ok(answer));
        }
    });
    let metrics = Arc::new(Metrics::new(at(1)));
    metrics.configured(
        Known { sources: config.settings.sources.keys().cloned().collect(), ..Known::default() },
        "",
        at(2),
    );
    let (config_sender, config) = watch::channel(Arc::new(config));
    let (reader, store) = store(rows);
    let shared = Shared::new(inlet, reader, config, Arc::clone(&metrics), reload, probe);
    House { router: router(shared), seen, metrics, _store: store, _config: config_sender }
}

fn store(rows: &[Change]) -> (Reader, (Appender, TempDir)) {
    let folder = TempDir::new().unwrap();
    let opening = store::open(folder.path(), store::Options::default()).unwrap();
    let Opened { mut appender, reader, .. } = opening.for_writing().unwrap();
    appender.stage(&crate::writer::Cause::system(), "test", rows);
    appender.commit(at(1)).unwrap();
    (reader, (appender, folder))
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

fn message(n: usize) -> String {
    let alert = |n| format!(r#"{{"status":"firing","labels":{{"n":"{n}"}},"startsAt":"2026-03-04T10:15:30Z"}}"#);
    format!(r#"{{"alerts":[{}]}}"#, (0..n).map(alert).collect::<Vec<_>>().join(","))
}
