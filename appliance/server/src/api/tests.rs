//! What must hold for the table of routes and the description made from it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Access, Route, openapi, routes};

fn description() -> Value {
    serde_json::from_str(openapi::json()).unwrap()
}

/// Every object in `value` with the way to it.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(at, object);
            object.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"), visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{at}/{index}"), visit));
        }
        _ => {}
    }
}

#[test]
fn only_these_routes_are_open() {
    let open: BTreeSet<_> = routes()
        .into_iter()
        .filter(|route| matches!(route.access, Access::Open | Access::Claimed))
        .map(|Route { path, access, .. }| (path, access == Access::Open))
        .collect();
    let expected = [
        ("/api/v1/claim", true),
        ("/api/v1/docs", true),
        ("/api/v1/docs/", true),
        ("/api/v1/docs/{*file}", true),
        ("/api/v1/openapi.json", true),
        ("/api/v1/sessions", false),
        ("/api/v1/sessions/refresh", false),
        ("/healthz", true),
        ("/readyz", true),
    ];
    assert_eq!(open, BTreeSet::from(expected.map(|(path, always)| (path.to_owned(), always))));
}

#[test]
fn the_description_is_the_one_that_was_looked_at() {
    let golden = std::fs::read_to_string("openapi.json").unwrap();
    assert!(
        golden == openapi::json(),
        "the API's description changed: look at it with `cargo run -p lb-server -- openapi`, and if it is right, \
         write it to appliance/server/openapi.json"
    );
}

#[test]
fn operations_have_different_names() {
    let operations: Vec<_> = routes().into_iter().filter_map(|route| route.operation?.operation_id).collect();
    let different: BTreeSet<_> = operations.iter().collect();
    assert_eq!(different.len(), operations.len());
    assert!(operations.len() > 20);
}

#[test]
fn references_lead_somewhere() {
    let description = description();
    walk(&description, "", &mut |at, object| {
        if let Some(Value::String(target)) = object.get("$ref") {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{at} refers to {target}");
        }
    });
}

#[test]
fn every_text_list_and_number_has_a_limit() {
    walk(&description(), "", &mut |at, object| {
        let has = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
        let kinds = match object.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        for kind in kinds {
            match kind {
                "string" => assert!(has(&["maxLength", "enum"]), "{at} has no maxLength"),
                "array" => assert!(has(&["maxItems"]), "{at} has no maxItems"),
                "integer" | "number" => assert!(has(&["maximum"]) && has(&["minimum"]), "{at} has no range"),
                _ => {}
            }
        }
    });
}

#[test]
fn writes_declare_every_way_to_fail() {
    let description = description();
    let answers = |path: &str, method: &str| -> BTreeSet<String> {
        description["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect()
    };
    let set =
        |statuses: &[&str]| -> BTreeSet<String> { statuses.iter().map(|&status| status.into()).collect() };
    assert_eq!(
        answers("/api/v1/pools", "post"),
        set(&["201", "400", "401", "403", "408", "409", "413", "415", "422", "500", "503"])
    );
    assert_eq!(
        answers("/api/v1/pools/{pool_id}/members/{id}", "patch"),
        set(&[
            "200", "400", "401", "403", "404", "408", "409", "412", "413", "415", "422", "428", "500", "503"
        ])
    );
    assert_eq!(
        answers("/api/v1/virtual-ips/{id}", "delete"),
        set(&["204", "401", "403", "404", "409", "412", "422", "428", "500", "503"])
    );
}

#[test]
fn whatever_needs_a_token_takes_the_cookie_too() {
    let description = description();
    for path in ["/api/v1/pools", "/api/v1/sessions/current"] {
        let security = &description["paths"][path]["get"]["security"];
        assert_eq!(*security, serde_json::json!([{ "bearer": [] }, { "cookie": [] }]));
    }
    assert_eq!(description["components"]["securitySchemes"]["cookie"]["name"], "__Host-penstock");
}
