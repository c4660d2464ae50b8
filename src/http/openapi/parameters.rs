//! Parameters of paths and queries.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Required};

use super::words::one_of;

/// The variable segments of a path.
pub(super) fn of_path(path: &str) -> Vec<Parameter> {
    let segments = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    segments.map(|name| parameter(name, ParameterIn::Path, about(name), text())).collect()
}

fn about(segment: &str) -> &'static str {
    match segment {
        "cluster_id" => "The cluster.",
        "instance_id" => "The instance; `-` stands for any, except where a remediation is created.",
        "remediation_id" => "The remediation's id, or the id that its creator gave it.",
        "source" => "The name of the source, as configured under `[sources]`.",
        _ => "The id.",
    }
}

/// Any text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A name that the configuration may hold.
pub(super) fn name() -> ObjectBuilder {
    text().pattern(Some("^[A-Za-z0-9._-]{1,253}$"))
}

/// A port.
pub(super) fn port() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(65535))
}

fn parameter(name: &str, place: ParameterIn, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let required = if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// A parameter of the query.
pub(super) fn query(name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Query, about, schema)
}

/// A filter that takes several of some names, joined by commas; they are repeated as well, by some clients.
pub(super) fn any_of(name: &str, about: &str, names: impl IntoIterator<Item = &'static str>) -> Parameter {
    let list = ArrayBuilder::new().items(one_of(names)).min_items(Some(1));
    let about = format!("{about} Several are joined by commas or repeated; any of them fits.");
    let mut parameter = query(name, &about, list);
    parameter.style = Some(ParameterStyle::Form);
    parameter.explode = Some(false);
    parameter
}

/// A filter that is true or false.
pub(super) fn truth(name: &str, about: &str) -> Parameter {
    query(name, about, ObjectBuilder::new().schema_type(Type::Boolean))
}

/// The parameter, where an empty value counts as none: some clients write out filters that were not set.
pub(super) fn or_empty(mut parameter: Parameter) -> Parameter {
    parameter.extensions = Some([("allowEmptyValue", true)].into_iter().collect());
    parameter
}

/// How much of a list, and from where.
pub(super) fn paging() -> [Parameter; 2] {
    let size = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .maximum(Some(i64::MAX))
        .default(Some(50.into()));
    [
        query("page_size", "How many rows at most; 0 means 50, and more than 1000 means 1000.", size),
        query("page_token", "Where to go on: the `next_page_token` of the page before, with the same filters.", text()),
    ]
}
