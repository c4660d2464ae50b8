//! The document says what the table of routes says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn parsed() -> Value {
    serde_json::from_str(&WRITTEN).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    let described: Vec<_> = operations::all().iter().map(Described::place).collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routes, "src/http/openapi/operations.rs");
    assert_eq!(described.len(), routes.len(), "one is described twice");
    let document = parsed();
    let shown: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(shown, ROUTES.len());
}

#[test]
fn the_document_is_as_it_was_committed() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/openapi.json");
    if std::env::var_os("REMEDYD_TEST_RENEW").is_some() {
        std::fs::write(golden, WRITTEN.as_bytes()).unwrap();
    }
    let committed = std::fs::read_to_string(golden).unwrap_or_default();
    let first = committed.lines().zip(WRITTEN.lines()).position(|(old, new)| old != new);
    assert!(
        committed == *WRITTEN,
        "tests/wire/openapi.json is not what the daemon serves (line {}); look at the difference and, if it is meant, renew \
         it: REMEDYD_TEST_RENEW=1 cargo test --lib the_document_is_as_it_was_committed",
        first.map_or(0, |line| line + 1)
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_name_is_used_once() {
    let document = parsed();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = WRITTEN.as_str();
    for reference in text.split("\"$ref\": \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas.contains_key(name), "{reference}");
    }
    for name in schemas.keys() {
        assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "nobody uses {name}");
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[test]
fn every_operation_says_what_it_needs_and_how_it_refuses() {
    let document = parsed();
    for route in ROUTES {
        let operation = &document["paths"][shown_path(route)][route.method.to_lowercase()];
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{}", route.name);
        assert_eq!(answers.contains_key("401"), route.needs.is_some(), "{}", route.name);
        assert_eq!(operation["security"].is_array(), route.needs.is_some(), "{}", route.name);
        assert!(!operation["summary"].as_str().unwrap().is_empty());
        let wanted = match route.dialect {
            Dialect::Problem => "application/problem+json",
            Dialect::Together => "application/json",
        };
        assert!(operation["responses"]["500"]["content"][wanted].is_object(), "{}", route.name);
    }
}
