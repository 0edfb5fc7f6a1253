//! How members are spoken to, and how long each phase may take: what is accepted and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use lab::Certificate;
use serde_json::{Value, json};
use support_api::Server;

const POOLS: &str = "/api/v1/pools";
const NOBODY: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";

#[test]
fn a_pool_says_how_its_members_are_spoken_to() {
    let (_server, api) = Server::claimed();
    let plain = api.create(POOLS, &json!({ "name": "plain" })).body;
    assert_eq!(
        (&plain["http_version"], &plain["tls"], &plain["proxy_protocol"]),
        (&json!("1.1"), &Value::Null, &json!("none"))
    );
    let folder = tempfile::tempdir().unwrap();
    let ca = Certificate::issue(folder.path(), "inside.example").unwrap().chain;
    let document = json!({
        "name": "inside", "http_version": "2", "proxy_protocol": "v2",
        "tls": { "ca": ca, "server_name": "inside.example" },
    });
    let created = api.create(POOLS, &document).body;
    let tls = json!({ "verify": true, "ca": ca, "server_name": "inside.example", "certificate_id": null });
    assert_eq!((&created["http_version"], &created["proxy_protocol"]), (&json!("2"), &json!("v2")));
    assert_eq!(created["tls"], tls);
}

#[test]
fn members_that_nobody_could_trust_are_refused() {
    let (_server, api) = Server::claimed();
    let refused = |fields: Value, fault: (&str, &str)| {
        let mut document = json!({ "name": "inside" });
        document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        api.post(POOLS, &document).is_problem(422, "validation_failed", [fault]);
    };
    refused(json!({ "tls": {} }), ("/tls/ca", "required"));
    refused(json!({ "tls": { "ca": "none" } }), ("/tls/ca", "invalid"));
    let named = |name: &str| json!({ "tls": { "verify": false, "server_name": name } });
    refused(named("a b"), ("/tls/server_name", "invalid"));
    let shown = json!({ "tls": { "verify": false, "certificate_id": NOBODY } });
    refused(shown, ("/tls/certificate_id", "not_found"));
    refused(json!({ "http_version": "3" }), ("/http_version", "invalid"));
    refused(json!({ "proxy_protocol": "v3" }), ("/proxy_protocol", "invalid"));
}

#[test]
fn only_services_with_requests_wait_for_their_phases() {
    let (_server, api) = Server::claimed();
    let virtual_ip =
        api.create("/api/v1/virtual-ips", &json!({ "name": "front", "address": "192.0.2.1" })).body;
    let service = |protocol: &str, fields: Value| {
        let mut document = json!({
            "name": protocol, "virtual_ip_ids": [virtual_ip["id"]], "protocol": protocol, "port": 80,
        });
        document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        api.post("/api/v1/virtual-services", &document)
    };
    let waits = json!({ "request_timeouts": { "tunnel_s": 60 } });
    service("tcp", waits.clone()).is_problem(
        422,
        "validation_failed",
        [("/request_timeouts", "unsupported")],
    );
    let believes = json!({ "proxy_protocol_from": ["192.0.2.0/24"] });
    service("tcp", believes).is_problem(
        422,
        "validation_failed",
        [("/proxy_protocol_from/0", "unsupported")],
    );
    let never = json!({ "request_timeouts": { "connect_s": 0 } });
    service("http", never).is_problem(
        422,
        "validation_failed",
        [("/request_timeouts/connect_s", "out_of_range")],
    );
    let created = service("http", waits);
    let expected = json!({ "head_s": 10, "connect_s": 5, "answer_s": 60, "tunnel_s": 60, "drain_s": 60 });
    assert_eq!((created.status, &created.body["request_timeouts"]), (201, &expected));
}
