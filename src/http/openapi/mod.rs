//! What this API is, for machines: the OpenAPI document at `/openapi.json`.
//!
//! It is made of the table of routes, of what `operations` says about each of them, and of the schemas that are derived
//! beside the types which the handlers read and write. It says nothing about this site, so it is open to everybody; the
//! aliases that spare clients of two generations their base URL stay out of it.

mod operations;
mod parameters;
mod refusals;
pub(in crate::http) mod words;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Paths};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, InfoBuilder, License, OpenApi, RefOr, Response as Answer, ResponsesBuilder, Schema, Server,
};

use self::operations::Described;
use super::routes::{Dialect, METRICS, ROUTES, Route};

/// The name of the only security scheme.
const BEARER: &str = "bearerAuth";

/// Written once: the table of routes does not change while the daemon runs.
static WRITTEN: LazyLock<String> = LazyLock::new(|| {
    let mut text = document().to_pretty_json().expect("a document of our own making is JSON");
    text.push('\n');
    text
});

/// Writes the document, so that the first who asks does not wait for it.
pub(super) fn prepare() {
    LazyLock::force(&WRITTEN);
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], WRITTEN.as_str()).into_response()
}

fn document() -> OpenApi {
    let mut described: BTreeMap<_, Described> =
        operations::all().into_iter().map(|described| (described.place(), described)).collect();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = refusals::schemas().into_iter().collect();
    let mut paths = Paths::new();
    for route in ROUTES {
        // A test asks that there are none of which nothing is said.
        let Some(described) = described.remove(&(route.method, route.path)) else { continue };
        schemas.extend(described.schemas.iter().cloned());
        paths.add_path_operation(shown_path(route), vec![method(route.method)], operation(route, described));
    }
    let mut components = Components::new();
    components.schemas.extend(schemas);
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `remedyd token new`. Without tokens in the configuration none is asked for, and only this machine is served."))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let mut license = License::new("Apache License 2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("remedyd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(operations::ABOUT))
        .license(Some(license))
        .build();
    OpenApi::builder().info(info).servers(Some([Server::new("/")])).paths(paths).components(Some(components)).build()
}

fn operation(route: &Route, described: Described) -> Operation {
    let mut answers: BTreeMap<StatusCode, Answer> = refusals::of(route, &described.refuses).into_iter().collect();
    for (status, answer) in described.answers {
        let mut answer = refusals::with_request_id(answer);
        // One status may stand for an answer and for a refusal: a daemon that is not ready, and one that is too busy.
        if let Some(refusal) = answers.remove(&status) {
            answer.description = format!("{} {}", answer.description, refusal.description);
            answer.content.extend(refusal.content);
            answer.headers.extend(refusal.headers);
        }
        answers.insert(status, answer);
    }
    let responses = answers
        .into_iter()
        .fold(ResponsesBuilder::new(), |all, (status, answer)| all.response(status.as_str(), answer));
    let about = match route.needs {
        Some(role) => format!("{}\n\nNeeds the role {}.", described.about, role.as_str()),
        None => format!("{}\n\nOpen to everybody.", described.about),
    };
    let mut operation = OperationBuilder::new()
        .tag(described.tag)
        .operation_id(Some(described.id.unwrap_or(route.name)))
        .summary(Some(described.summary))
        .description(Some(about.trim()))
        .responses(responses.build())
        .request_body(described.body);
    let of_path = parameters::of_path(&shown_path(route));
    for parameter in of_path.into_iter().chain(described.parameters) {
        operation = operation.parameter(parameter);
    }
    if let Some(role) = route.needs {
        operation = operation.security(SecurityRequirement::new(BEARER, [role.as_str()]));
        if route.name == METRICS {
            operation = operation.security(SecurityRequirement::default());
        }
    }
    operation.build()
}

/// The path with its segments under the names that Together's document gives them.
fn shown_path(route: &Route) -> String {
    let path = route.path.replace("{cluster}", "{cluster_id}").replace("{instance}", "{instance_id}");
    match route.dialect {
        Dialect::Together => path.replace("{id}", "{remediation_id}"),
        Dialect::Problem => path,
    }
}

fn method(name: &str) -> HttpMethod {
    match name {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

#[cfg(test)]
mod tests;
