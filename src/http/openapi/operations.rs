//! What each route does, in words and in types.

use axum::http::StatusCode;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use super::parameters::{any_of, name, or_empty, paging, port, query, text, truth};
use super::words::one_of;
use crate::domain::{AlertState, Belief, Mode, Severity, State, Trigger, Verdict};
use crate::http::error::Kind;
use crate::http::together::{cluster, lists, render, whoami};
use crate::http::{
    native, native_checks, native_commands as commands, native_rows as rows, sd, status, together, webhook,
};

/// What the document as a whole is about.
pub(super) const ABOUT: &str = "Remediation daemon for GPU clusters: alerts come in, one proposal opens, a person \
    approves it, one action is carried out, its success is proven by the alerts that clear, and everything is written \
    down.\n\nTwo dialects over the same records: our own under `/api/v1`, which refuses parameters and fields that it \
    does not know and words refusals as RFC 9457 problems; and Together's under `/v1` and `/v3`, which ignores what it \
    does not know and words refusals as Google's status.";

const ALERTS: &str = "alerts";
const CHECKS: &str = "checks";
const REMEDIATIONS: &str = "remediations";
const OPERATIONS: &str = "operations";
const TOGETHER: &str = "together";

/// What may be wrong with a body.
const BODY: &[Kind] = &[Kind::Invalid, Kind::TooLarge, Kind::TooSlow];

/// One route, described.
pub(super) struct Described {
    method: &'static str,
    path: &'static str,
    pub(super) tag: &'static str,
    /// Where the route's own name is not unique.
    pub(super) id: Option<&'static str>,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: Vec<(StatusCode, Response)>,
    pub(super) refuses: Vec<Kind>,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    fn new(
        tag: &'static str,
        method: &'static str,
        path: &'static str,
        summary: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            tag,
            id: None,
            summary,
            about,
            parameters: vec![],
            body: None,
            answers: vec![],
            refuses: vec![],
            schemas: vec![],
        }
    }

    /// Which route of the table it is.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        (self.method, self.path)
    }

    fn called(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A page of a list, which can be refused for its parameters.
    fn pages<T: ToSchema>(self, filters: impl IntoIterator<Item = Parameter>) -> Self {
        // Of the two dialects, Together's takes what is empty for what was left out.
        let is_lenient = self.tag == TOGETHER;
        let paging = paging().map(|parameter| if is_lenient { or_empty(parameter) } else { parameter });
        self.takes(filters).takes(paging).gives::<T>(StatusCode::OK).refuses(&[Kind::Invalid])
    }

    fn schema<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }

    fn reads<T: ToSchema>(mut self, required: Required) -> Self {
        let schema = self.schema::<T>();
        self.reads_schema(schema, required)
    }

    fn reads_schema(mut self, schema: impl Into<RefOr<Schema>>, required: Required) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(required));
        self.body = Some(body.build());
        self.refuses(BODY)
    }

    fn gives<T: ToSchema>(mut self, status: StatusCode) -> Self {
        let content = ContentBuilder::new().schema(Some(self.schema::<T>())).build();
        let response = ResponseBuilder::new().description(title(status)).content("application/json", content);
        self.answers.push((status, response.build()));
        self
    }

    fn says(mut self, status: StatusCode, about: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(text())).build();
        let response = ResponseBuilder::new().description(about).content("text/plain", content);
        self.answers.push((status, response.build()));
        self
    }

    fn refuses(mut self, kinds: &[Kind]) -> Self {
        self.refuses.extend(kinds);
        self
    }
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Answered")
}

/// Every description.
pub(super) fn all() -> Vec<Described> {
    [
        operations(),
        alerts(),
        checks(),
        remediations(),
        commands(),
        pauses(),
        store(),
        together_reads(),
        together_commands(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn operations() -> Vec<Described> {
    let get = |path, summary, about| Described::new(OPERATIONS, "GET", path, summary, about);
    let any = ObjectBuilder::new().schema_type(Type::Object).description(Some("An OpenAPI 3.1 document."));
    let document = ContentBuilder::new().schema(Some(any)).build();
    let document = ResponseBuilder::new().description("This document.").content("application/json", document).build();
    let mut openapi = get("/openapi.json", "This document", "The same on every daemon of this version.");
    openapi.answers.push((StatusCode::OK, document));
    vec![
        get("/-/healthy", "Whether the process answers", "HEAD works as well.").says(StatusCode::OK, "It answers."),
        get("/-/ready", "Whether work is taken", "HEAD works as well.")
            .says(StatusCode::OK, "It is.")
            .says(StatusCode::SERVICE_UNAVAILABLE, "It is not; the text says what is missing."),
        Described::new(
            OPERATIONS,
            "POST",
            "/-/reload",
            "Load the configuration again",
            "As a whole, or not at all: where it has mistakes the answer lists each with file, line, column and key, \
                and the configuration in force stays.",
        )
        .says(StatusCode::OK, "It was taken.")
        .refuses(&[Kind::Invalid]),
        get("/metrics", "Every metric, in Prometheus's text format", "From this machine no token is needed.")
            .says(StatusCode::OK, "Text format 0.0.4."),
        openapi,
        get("/api/v1/status/buildinfo", "Which program answers", "").gives::<status::BuildAnswer>(StatusCode::OK),
        get("/api/v1/status/runtimeinfo", "How this process is doing", "")
            .gives::<status::RuntimeAnswer>(StatusCode::OK),
        get(
            "/api/v1/status/config",
            "The configuration in force, without secrets",
            "With its digest, when it was taken, and why the files as they are were not, if so.",
        )
        .gives::<status::ConfigurationAnswer>(StatusCode::OK),
    ]
}

fn alerts() -> Vec<Described> {
    let get = |path, summary, about| Described::new(ALERTS, "GET", path, summary, about);
    let message = |path, summary| {
        let about = "200 means that every alert of the message is on disk. An alert that cannot be read becomes a dead \
            letter, and the rest is taken.";
        Described::new(ALERTS, "POST", path, summary, about)
            .reads_schema(alertmanager_message(), Required::True)
            .gives::<webhook::Answer>(StatusCode::OK)
            .refuses(&[Kind::Invalid, Kind::TooLarge, Kind::NotFound])
    };
    // A message that comes too slowly is to be sent again: a 503.
    let sent_again = |mut described: Described| {
        described.refuses.retain(|kind| *kind != Kind::TooSlow);
        described
    };
    vec![
        sent_again(message(
            "/api/v1/webhooks/alertmanager",
            "A message of Alertmanager, from the only source or `main`",
        )),
        sent_again(message("/api/v1/webhooks/alertmanager/{source}", "A message of Alertmanager, from a source"))
            .called("webhook_of_source"),
        get("/api/v1/alerts", "Alerts, newest first", "").pages::<rows::Alerts<'_>>([
            query("cluster_id", "Only of this cluster.", name()),
            query("instance_id", "Only of this instance.", name()),
            query("state", "Only in this state.", one_of(AlertState::ALL.map(AlertState::as_str))),
            query("severity", "Only of this severity.", one_of(Severity::ALL.map(Severity::as_str))),
            query("alert_name", "Only with this label `alertname`.", text().min_length(Some(1))),
            truth("joined", "Only those that joined an instance, or only those that joined none."),
        ]),
        get("/api/v1/dead-letters", "Alerts that could not be read, newest first", "")
            .pages::<rows::DeadLetters<'_>>([]),
    ]
}

fn alertmanager_message() -> ObjectBuilder {
    let example = serde_json::json!({
        "status": "firing",
        "labels": {"alertname": "GPUFellOffBus", "node": "gpu-node-7", "severity": "critical"},
        "annotations": {"summary": "GPU 3 on gpu-node-7 fell off the bus"},
        "startsAt": "2026-11-20T18:01:02Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "a1b2c3"
    });
    let alert = ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
        .description(Some("One alert, as Alertmanager sends it; what cannot be read becomes a dead letter."))
        .examples([example]);
    let list = ArrayBuilder::new().items(alert).max_items(Some(crate::http::webhook_body::MAX_ALERTS));
    ObjectBuilder::new()
        .property("alerts", list)
        .required("alerts")
        .description(Some("Alertmanager's webhook message, version 4; its other fields are not needed."))
}

fn remediations() -> Vec<Described> {
    let new = |method, path, summary, about| Described::new(REMEDIATIONS, method, path, summary, about);
    vec![
        new("GET", "/api/v1/instances", "Instances, with what policy wants for them and why it waits", "")
            .pages::<rows::Instances<'_>>([query("cluster_id", "Only of this cluster.", name())]),
        new("GET", "/api/v1/remediations", "Remediations, newest first", "").pages::<rows::Remediations<'_>>([
            query("cluster_id", "Only of this cluster.", name()),
            query("instance_id", "Only of this instance.", name()),
            any_of("state", "Only in this state.", State::ALL.map(State::as_str)),
            any_of("mode", "Only of this mode.", Mode::ALL.map(Mode::as_str)),
            any_of("trigger", "Only of this trigger.", Trigger::ALL.map(Trigger::as_str)),
        ]),
        new("GET", "/api/v1/remediations/{id}", "One remediation with its links", "")
            .gives::<rows::Remediation<'_>>(StatusCode::OK)
            .refuses(&[Kind::NotFound]),
        new("GET", "/api/v1/remediations/{id}/history", "Every transition of a remediation, in order", "")
            .gives::<rows::History>(StatusCode::OK)
            .refuses(&[Kind::NotFound]),
        new(
            "POST",
            "/api/v1/remediations/{id}/abort",
            "Stop a remediation whose act has begun",
            "An answer that is out is awaited, an unknown one asked for, and an act that stands is undone.",
        )
        .reads::<commands::NewAbort>(Required::True)
        .gives::<rows::Remediation<'_>>(StatusCode::OK)
        .refuses(&[Kind::NotFound, Kind::Precondition]),
        new("GET", "/api/v1/holds", "Holds, newest first", "").pages::<rows::Holds<'_>>([
            query("instance_id", "Only of this instance.", name()),
            truth("ended", "Those that ended, and not those that stand."),
        ]),
        new("POST", "/api/v1/holds", "Hold a node: nothing touches it", "")
            .reads::<native::NewHold>(Required::True)
            .gives::<rows::Hold<'_>>(StatusCode::CREATED)
            .refuses(&[Kind::NotFound, Kind::Precondition]),
        new("DELETE", "/api/v1/holds/{id}", "End a hold", "").gives::<rows::Hold<'_>>(StatusCode::OK).refuses(&[
            Kind::NotFound,
            Kind::Precondition,
            Kind::Unavailable,
        ]),
    ]
}

fn checks() -> Vec<Described> {
    let get = |path, summary, about| Described::new(CHECKS, "GET", path, summary, about);
    let kept = "Kept are runs that changed something, that somebody asked for, or that a remediation asked for.";
    vec![
        get("/api/v1/runs", "Runs of checks, newest first", kept).pages::<rows::Runs<'_>>([
            query("cluster_id", "Only of this cluster.", name()),
            query("instance_id", "Only on this instance.", name()),
            query("check", "Only of this check.", name()),
            query("verdict", "Only with this verdict.", one_of(Verdict::ALL.map(Verdict::as_str))),
        ]),
        get("/api/v1/runs/{id}", "One run with its evidence", "")
            .gives::<rows::Run<'_>>(StatusCode::OK)
            .refuses(&[Kind::NotFound]),
        get("/api/v1/conditions", "What is believed because of checks, by check and instance", "")
            .pages::<rows::Conditions<'_>>([
                query("cluster_id", "Only of this cluster.", name()),
                query("instance_id", "Only of this instance.", name()),
                query("check", "Only because of this check.", name()),
                query("belief", "Only where this is believed.", one_of(Belief::ALL.map(Belief::as_str))),
            ]),
        Described::new(
            CHECKS,
            "POST",
            "/api/v1/instances/{id}/probe",
            "Run the checks of an instance now",
            "All that select it, or the one that is named. The answer comes once every run has ended and is on disk; \
                the runs count as all others do.",
        )
        .reads::<native_checks::NewProbe>(Required::False)
        .gives::<rows::Probed<'_>>(StatusCode::OK)
        .refuses(&[Kind::NotFound, Kind::Precondition, Kind::Unavailable]),
    ]
}

fn commands() -> Vec<Described> {
    let post = |path, summary, about| {
        Described::new(REMEDIATIONS, "POST", path, summary, about).refuses(&[
            Kind::NotFound,
            Kind::Precondition,
            Kind::Unavailable,
        ])
    };
    vec![
        post(
            "/api/v1/remediations",
            "Create a remediation",
            "It goes to PENDING at once. Under an id of the client's own the same request gives the same remediation.",
        )
        .reads::<commands::NewRemediation>(Required::True)
        .gives::<rows::Remediation<'_>>(StatusCode::CREATED)
        .refuses(&[Kind::Taken]),
        post(
            "/api/v1/remediations/{id}/approve",
            "Approve a proposal, as it was seen",
            "Only in PENDING_APPROVAL, and only the version that is sent. host_power_cycle is no mode to approve with.",
        )
        .reads::<commands::Approval>(Required::True)
        .gives::<rows::Remediation<'_>>(StatusCode::OK),
        post("/api/v1/remediations/{id}/reject", "Reject a proposal", "Only in PENDING_APPROVAL.")
            .reads::<commands::Refusal>(Required::False)
            .gives::<rows::Remediation<'_>>(StatusCode::OK),
        post("/api/v1/remediations/{id}/cancel", "Cancel a remediation", "Only in PENDING_APPROVAL or PENDING.")
            .reads::<commands::Refusal>(Required::False)
            .gives::<rows::Remediation<'_>>(StatusCode::OK),
    ]
}

fn pauses() -> Vec<Described> {
    let post = |path, summary, about| {
        Described::new(OPERATIONS, "POST", path, summary, about)
            .gives::<commands::PauseRow<'_>>(StatusCode::OK)
            .refuses(&[Kind::NotFound, Kind::Precondition])
    };
    vec![
        Described::new(OPERATIONS, "GET", "/api/v1/pauses", "The kill switches that are on", "")
            .takes([truth("ended", "Also those that were turned off.")])
            .gives::<commands::Pauses<'_>>(StatusCode::OK)
            .refuses(&[Kind::Invalid]),
        post("/api/v1/pause", "Turn a kill switch on: nothing begins", "In one cluster, or everywhere.")
            .reads::<commands::NewPause>(Required::True),
        post("/api/v1/resume", "Turn a kill switch off", "Of one cluster, or the one for everything.")
            .reads::<commands::Resumption>(Required::False),
    ]
}

fn store() -> Vec<Described> {
    vec![
        Described::new(
            OPERATIONS,
            "GET",
            "/sd/http",
            "The inventory, as Prometheus's http_sd reads it",
            "A target for each instance, with the labels by which its alerts find it again.",
        )
        .takes([
            query("cluster_id", "Only of this cluster.", name()),
            query("pool", "Only of this pool.", text().min_length(Some(1))),
            query("port", "Where the targets are scraped.", port()),
        ])
        .gives::<sd::Groups>(StatusCode::OK)
        .refuses(&[Kind::Invalid]),
        Described::new(OPERATIONS, "GET", "/api/v1/store", "What the store may do", "")
            .gives::<rows::Store>(StatusCode::OK),
        Described::new(
            OPERATIONS,
            "POST",
            "/api/v1/store/enable",
            "Let a store that was copied or restored act again",
            "Make sure first that nobody else acts for the original.",
        )
        .gives::<rows::Store>(StatusCode::OK)
        .refuses(&[Kind::Precondition]),
    ]
}

const CLUSTERS: &str = "/v1/compute/clusters";
const IN_CLUSTER: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations";
const ONE: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}";

fn together_reads() -> Vec<Described> {
    let get = |path, summary| Described::new(TOGETHER, "GET", path, summary, "");
    vec![
        get("/v3/whoami", "Who the token belongs to").gives::<whoami::WhoAmI<'_>>(StatusCode::OK),
        get("/v1/whoami", "Who the token belongs to, as older clients ask")
            .called("together_whoami_v1")
            .gives::<whoami::FlatWhoAmI<'_>>(StatusCode::OK),
        get(CLUSTERS, "Every cluster with its nodes").gives::<cluster::Clusters>(StatusCode::OK),
        get("/v1/compute/clusters/{cluster}", "One cluster with its nodes")
            .gives::<cluster::Cluster>(StatusCode::OK)
            .refuses(&[Kind::NotFound]),
        get(IN_CLUSTER, "Remediations of an instance, or of all with `-`")
            .pages::<together::List>([
                or_empty(any_of("mode", "Only of this mode.", Mode::ALL.map(lists::mode_name))),
                or_empty(any_of("state", "Only in this state.", State::ALL.map(State::as_str))),
                or_empty(any_of("trigger", "Only of this trigger.", Trigger::ALL.map(lists::trigger_name))),
                query(
                    "order_by",
                    "`create_time` or `update_time`, and `asc` or `desc`; newest first where it is missing.",
                    text().pattern(Some("^((create|update)_time( (asc|desc))?)?$")),
                ),
            ])
            .refuses(&[Kind::NotFound]),
        get(ONE, "One remediation with its linked alerts")
            .gives::<render::Remediation>(StatusCode::OK)
            .refuses(&[Kind::NotFound]),
    ]
}

fn together_commands() -> Vec<Described> {
    let post =
        |path, summary, about| {
            Described::new(TOGETHER, "POST", path, summary, about)
                .gives::<render::Remediation>(StatusCode::OK)
                .refuses(&[Kind::Invalid, Kind::NotFound, Kind::Precondition])
        };
    vec![
        post(
            IN_CLUSTER,
            "Create a remediation",
            "It goes to PENDING at once. Those that rules open wait in PENDING_APPROVAL.",
        )
        .takes([query(
            "remediation_id",
            "The client's own id: the same id with the same body gives the same remediation.",
            text().pattern(Some("^[A-Za-z0-9._-]{0,128}$")),
        )])
        .reads::<together::Create>(Required::True)
        .refuses(&[Kind::Taken]),
        post(
            concat!("/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}", "/approve"),
            "Approve a proposal",
            "Only in PENDING_APPROVAL. HOST_POWER_CYCLE is no mode to approve with.",
        )
        .reads::<together::Approve>(Required::False),
        post(
            concat!("/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}", "/reject"),
            "Reject a proposal",
            "Only in PENDING_APPROVAL.",
        )
        .reads::<together::Reject>(Required::False),
        post(
            concat!("/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}", "/cancel"),
            "Cancel a remediation",
            "Only in PENDING_APPROVAL or PENDING.",
        )
        .reads::<together::Cancel>(Required::False),
    ]
}
