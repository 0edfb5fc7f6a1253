//! Policies: what is accepted, and that every wrong field is named.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use serde_json::{Value, json};
use support_api::{Answer, Api, Server};

const POLICIES: &str = "/api/v1/policies";

struct Stage {
    api: Api,
    http: String,
    tcp: String,
    pool: String,
    _server: Server,
}

impl Stage {
    fn set() -> Self {
        let (server, api) = Server::claimed();
        let ip = api.create("/api/v1/virtual-ips", &json!({ "name": "front", "address": "192.0.2.10" })).id;
        let service = |name: &str, protocol: &str, port: u16| {
            let document =
                json!({ "name": name, "virtual_ip_ids": [ip], "protocol": protocol, "port": port });
            api.create("/api/v1/virtual-services", &document).id
        };
        let (http, tcp) = (service("shop", "http", 80), service("mail", "tcp", 25));
        let pool = api.create("/api/v1/pools", &json!({ "name": "web" })).id;
        Self { api, http, tcp, pool, _server: server }
    }

    /// Posts a policy of the HTTP service with these fields.
    fn post(&self, fields: &Value) -> Answer {
        let mut document = json!({ "name": "policy", "virtual_service_id": self.http });
        document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.api.post(POLICIES, &document)
    }

    fn refused<const N: usize>(&self, fields: &Value, mut faults: [(&str, &str); N]) {
        faults.sort_unstable();
        self.post(fields).is_problem(422, "validation_failed", faults);
    }
}

#[test]
fn a_policy_is_shown_as_it_was_written() {
    let stage = Stage::set();
    let document = json!({
        "name": "canary", "virtual_service_id": stage.http, "position": 7,
        "rules": [
            { "kind": "host", "values": ["Shop.Example"] },
            { "kind": "header", "key": "X-Canary", "compare": "present", "invert": true },
            { "kind": "source", "values": ["192.0.2.0/24"] },
        ],
        "rewrite": { "path": { "from": "/shop", "to": "/" } },
        "pools": [{ "pool_id": stage.pool }],
    });
    let created = stage.api.create(POLICIES, &document);
    assert_eq!(created.body["rules"][0]["values"], json!(["shop.example"]));
    assert_eq!(created.body["rules"][1]["key"], "x-canary");
    assert_eq!(created.body["rules"][2]["compare"], "network");
    assert_eq!(created.body["rewrite"]["path"]["compare"], "prefix");
    assert_eq!(created.body["pools"][0]["weight"], 1);
    // What it does becomes something else by one patch.
    let change = json!({ "pools": [], "redirect": { "scheme": "https" } });
    let patched = stage.api.patch(&created.path, "*", &change);
    assert_eq!((patched.status, &patched.body["redirect"]["code"]), (200, &json!(302)));

    let exported = stage.api.get("/api/v1/config?ids=false").body;
    assert_eq!(exported["policies"][0]["virtual_service_id"], "shop", "by name, to be carried elsewhere");
    let revision = stage.api.get(&format!("/api/v1/revisions/{}", created.body["generation"])).body;
    assert!(revision.to_string().contains("canary"), "{revision:#}");
}

#[test]
fn every_wrong_field_is_named() {
    let stage = Stage::set();
    let nobody = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    let reject = json!({ "code": 403 });
    stage.refused(&json!({}), [("/pools", "required")]);
    stage.refused(&json!({ "pools": [{ "pool_id": nobody }] }), [("/pools/0/pool_id", "not_found")]);
    stage.refused(&json!({ "pools": [{ "pool_id": stage.pool, "weight": 0 }] }), [("/pools", "invalid")]);
    stage.refused(
        &json!({ "pools": [{ "pool_id": stage.pool }], "reject": reject }),
        [("/reject", "invalid")],
    );
    stage.refused(
        &json!({ "reject": reject, "virtual_service_id": nobody }),
        [("/virtual_service_id", "not_found")],
    );
    stage.refused(
        &json!({ "reject": reject, "virtual_service_id": stage.tcp }),
        [("/virtual_service_id", "invalid")],
    );
    let rules = json!([
        { "kind": "path", "compare": "regex", "values": ["/ok", "("] },
        { "kind": "path", "compare": "regex", "values": ["(\\w{500}){500}"] },
        { "kind": "header", "values": ["x"] },
        { "kind": "cookie", "key": "a b", "values": ["x"] },
        { "kind": "host", "key": "x", "values": ["shop.example"] },
        { "kind": "method", "compare": "prefix", "values": ["GET"] },
        { "kind": "source", "values": ["192.0.2.1/24"] },
        { "kind": "path", "values": [] },
        { "kind": "path", "values": ["shop"] },
        { "kind": "weather", "values": ["rain"], "color": "blue" },
    ]);
    stage.refused(
        &json!({ "reject": reject, "rules": rules }),
        [
            ("/rules/0/values/1", "invalid"),
            ("/rules/1/values/0", "out_of_range"),
            ("/rules/2/key", "required"),
            ("/rules/3/key", "invalid"),
            ("/rules/4/key", "invalid"),
            ("/rules/5/compare", "invalid"),
            ("/rules/6/values/0", "invalid"),
            ("/rules/7/values", "required"),
            ("/rules/8/values/0", "invalid"),
            ("/rules/9/kind", "invalid"),
            ("/rules/9/color", "unknown_field"),
        ],
    );
    let rewrite = json!({
        "path": { "compare": "regex", "from": "[", "to": "/a b" },
        "host": "shop.example:80",
        "request_headers": [
            { "change": "set", "name": "Content-Length", "value": "5" },
            { "change": "set", "name": "x-a" },
            { "change": "remove", "name": "x-a", "value": "1" },
            { "change": "set", "name": "x-a", "value": "a\r\nb: c" },
        ],
    });
    stage.refused(
        &json!({ "rewrite": rewrite }),
        [
            ("/rewrite/path/from", "invalid"),
            ("/rewrite/path/to", "invalid"),
            ("/rewrite/host", "invalid"),
            ("/rewrite/request_headers/0/name", "invalid"),
            ("/rewrite/request_headers/1/value", "required"),
            ("/rewrite/request_headers/2/value", "invalid"),
            ("/rewrite/request_headers/3/value", "invalid"),
        ],
    );
    stage.refused(
        &json!({ "redirect": { "code": 304, "path": "new", "host": "a b" } }),
        [("/redirect/code", "out_of_range"), ("/redirect/path", "invalid"), ("/redirect/host", "invalid")],
    );
    stage.refused(
        &json!({ "rate_limit": { "requests": 0, "key": "header" } }),
        [("/rate_limit/header", "required"), ("/rate_limit/requests", "out_of_range")],
    );
    assert_eq!(stage.api.get(POLICIES).body["items"], json!([]), "nothing of it was kept");
}

#[test]
fn what_a_policy_needs_stays() {
    let stage = Stage::set();
    let policy = stage.api.create(
        POLICIES,
        &json!({ "name": "p", "virtual_service_id": stage.http, "pools": [{ "pool_id": stage.pool }] }),
    );
    let service = format!("/api/v1/virtual-services/{}", stage.http);
    let pool = format!("/api/v1/pools/{}", stage.pool);
    stage.api.delete(&service, "*").is_problem(409, "in_use", []);
    stage.api.delete(&pool, "*").is_problem(409, "in_use", []);
    let tcp = json!({ "protocol": "tcp", "forwarding": "nat", "request_timeouts": null, "limits": null });
    let to_tcp = stage.api.patch(&service, "*", &tcp);
    to_tcp.is_problem(422, "validation_failed", [("/protocol", "invalid")]);
    let to_udp = stage.api.patch(&pool, "*", &json!({ "protocol": "udp" }));
    to_udp.is_problem(422, "validation_failed", [("/protocol", "invalid")]);
    assert_eq!(stage.api.delete(&policy.path, "*").status, 204);
    assert_eq!(stage.api.delete(&service, "*").status, 204);
    assert_eq!(stage.api.delete(&pool, "*").status, 204);
}

#[test]
fn a_document_brings_services_and_their_policies() {
    let stage = Stage::set();
    let document = json!({
        "virtual_ips": [{ "name": "front", "address": "192.0.2.10" }],
        "pools": [{ "name": "blue" }, { "name": "green" }],
        "virtual_services":
            [{ "name": "shop", "virtual_ip_ids": ["front"], "protocol": "http", "port": 80 }],
        "policies": [{
            "name": "split", "virtual_service_id": "shop",
            "pools": [{ "pool_id": "blue", "weight": 9 }, { "pool_id": "green" }],
        }],
    });
    assert_eq!(stage.api.put("/api/v1/config", "*", &document).status, 200);
    let again = stage.api.put("/api/v1/config", "*", &document);
    assert_eq!(again.body["changes"], json!([]), "the same document twice changes nothing");
    let mut nowhere = document.clone();
    nowhere["policies"][0]["pools"][1]["pool_id"] = json!("red");
    stage.api.put("/api/v1/config", "*", &nowhere).is_problem(
        422,
        "validation_failed",
        [("/policies/0/pools/1/pool_id", "not_found")],
    );
}

#[test]
fn how_members_are_asked_is_checked_as_well() {
    let stage = Stage::set();
    let pool = format!("/api/v1/pools/{}", stage.pool);
    let shown = stage.api.get(&pool).body;
    assert_eq!(shown["retries"], json!({ "attempts": 2, "codes": [], "budget_percent": 100 }));
    assert_eq!((&shown["persistence"], &shown["outlier"]), (&json!(null), &json!(null)));
    let set = |change: Value| stage.api.patch(&pool, "*", &change);
    let refused = |change: Value, faults: [(&str, &str); 1]| {
        set(change).is_problem(422, "validation_failed", faults);
    };
    assert_eq!(set(json!({ "persistence": { "kind": "cookie" } })).body["persistence"]["name"], "penstock");
    set(json!({ "persistence": null }));
    let persistence = |fields: Value| json!({ "persistence": fields });
    refused(persistence(json!({ "kind": "app_cookie" })), [("/persistence/name", "required")]);
    refused(persistence(json!({ "kind": "header", "name": "a b" })), [("/persistence/name", "invalid")]);
    refused(
        persistence(json!({ "kind": "source", "prefix": 33 })),
        [("/persistence/prefix", "out_of_range")],
    );
    refused(
        persistence(json!({ "kind": "source", "prefix_v6": 129 })),
        [("/persistence/prefix_v6", "out_of_range")],
    );
    refused(
        persistence(json!({ "kind": "header", "name": "x", "timeout_s": 5 })),
        [("/persistence/timeout_s", "invalid")],
    );
    refused(persistence(json!({ "kind": "cookie", "shared": true })), [("/persistence/shared", "invalid")]);
    let by_address =
        json!({ "kind": "source", "timeout_s": 5, "prefix": 24, "prefix_v6": 56, "shared": true });
    let kept = set(persistence(by_address.clone())).body["persistence"].clone();
    assert_eq!(kept["name"], json!(null));
    for (field, value) in by_address.as_object().into_iter().flatten() {
        assert_eq!(&kept[field], value, "{field}");
    }
    set(json!({ "persistence": null }));
    refused(json!({ "retries": { "codes": [200] } }), [("/retries/codes/0", "out_of_range")]);
    refused(json!({ "outlier": { "max_percent": 100 } }), [("/outlier/max_percent", "out_of_range")]);
    assert_eq!(set(json!({ "outlier": {} })).body["outlier"]["consecutive"], 5);
    refused(json!({ "queue": { "length": 0 } }), [("/queue/length", "out_of_range")]);
    refused(json!({ "queue": { "timeout_s": 601 } }), [("/queue/timeout_s", "out_of_range")]);
    assert_eq!(set(json!({ "queue": {} })).body["queue"], json!({ "length": 100, "timeout_s": 5 }));
    assert_eq!(set(json!({ "queue": null })).body["queue"], json!(null));
    refused(json!({ "breaker": { "percent": 0 } }), [("/breaker/percent", "out_of_range")]);
    refused(json!({ "breaker": { "open_s": 601 } }), [("/breaker/open_s", "out_of_range")]);
    let breaker = json!({ "percent": 50, "requests": 20, "open_s": 10 });
    assert_eq!(set(json!({ "breaker": {} })).body["breaker"], breaker);
    refused(json!({ "hedge": {} }), [("/hedge/delay_ms", "required")]);
    refused(json!({ "hedge": { "delay_ms": 0 } }), [("/hedge/delay_ms", "out_of_range")]);
    assert_eq!(set(json!({ "hedge": { "delay_ms": 20 } })).body["hedge"], json!({ "delay_ms": 20 }));
    assert_eq!(set(json!({ "algorithm": "peak_ewma" })).body["algorithm"], "peak_ewma");
}

#[test]
fn passwords_of_clients_are_written_and_never_shown() {
    const PASSWORD: &str = "weir-below-the-eighth-lock";
    let stage = Stage::set();
    let fields = json!({ "basic_auth": { "users": ["ann"] }, "passwords": format!("ann:{PASSWORD}") });
    let made = stage.post(&fields);
    assert_eq!(made.status, 201, "{:#}", made.body);
    let path = made.header("location");
    let basic = json!({ "realm": "restricted", "users": ["ann"], "user_header": null });
    assert_eq!((&made.body["basic_auth"], made.body.get("passwords")), (&basic, None));
    // What is written again as it was read keeps what is not shown.
    let etag = made.etag();
    let again = json!({ "name": "policy", "virtual_service_id": stage.http, "basic_auth": basic });
    assert_eq!(stage.api.put(&path, &etag, &again).status, 200);
    for of in ["policies", "config", "revisions", "audit", "events"] {
        let text = stage.api.get(&format!("/api/v1/{of}")).body.to_string();
        assert!(!text.contains(PASSWORD) && !text.contains("argon2id"), "{of}: {text}");
    }
    let hash = |cost: &str| {
        format!("$argon2id$v=19${cost}$cGVuc3RvY2stbm9ib2R5$CX0IiUsD4DGJFvEzV2Ez2xPvyzIEgMXBzvvMlnNrVDk")
    };
    let change = |passwords: Value| stage.api.patch(&path, "*", &json!({ "passwords": passwords }));
    assert_eq!(change(json!(format!("ann:{}\n", hash("m=19456,t=2,p=1")))).status, 200);
    for (passwords, code) in [
        (json!(format!("ann:{}", hash("m=2000000,t=2,p=1"))), "out_of_range"),
        (json!("ann:$argon2id$v=19$nothing"), "invalid"),
        (json!("ann:short\nbob:long enough"), "out_of_range"),
        (json!("a b:long enough"), "invalid"),
        (json!("nobody knows whose"), "invalid"),
        (json!({ "ann": PASSWORD }), "wrong_type"),
    ] {
        change(passwords).is_problem(422, "validation_failed", [("/passwords", code)]);
    }
    let users = |users: Value| stage.api.patch(&path, "*", &json!({ "basic_auth": { "users": users } }));
    users(json!([])).is_problem(422, "validation_failed", [("/basic_auth/users", "out_of_range")]);
    users(json!(["a b"])).is_problem(422, "validation_failed", [("/basic_auth/users/0", "invalid")]);
    users(json!(["eve"])).is_problem(422, "validation_failed", [("/passwords", "required")]);
    let realm = json!({ "basic_auth": { "realm": "a\"b" } });
    stage.api.patch(&path, "*", &realm).is_problem(
        422,
        "validation_failed",
        [("/basic_auth/realm", "invalid")],
    );
}

#[test]
fn a_mirror_is_a_pool_that_is_there_and_stays() {
    let stage = Stage::set();
    let nobody = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    stage.refused(&json!({ "mirror": { "pool_id": nobody } }), [("/mirror/pool_id", "not_found")]);
    let percent = json!({ "mirror": { "pool_id": stage.pool, "percent": 101 } });
    stage.refused(&percent, [("/mirror/percent", "out_of_range")]);
    let datagrams = stage.api.create("/api/v1/pools", &json!({ "name": "dns", "protocol": "udp" })).id;
    stage.refused(&json!({ "mirror": { "pool_id": datagrams } }), [("/mirror/pool_id", "invalid")]);
    let made = stage.post(&json!({ "mirror": { "pool_id": stage.pool } }));
    assert_eq!((made.status, &made.body["mirror"]["percent"]), (201, &json!(100)));
    let pool = format!("/api/v1/pools/{}", stage.pool);
    assert_eq!(stage.api.delete(&pool, "*").status, 409);
    let found = stage.api.get(&format!("{POLICIES}?pool_id={}", stage.pool)).body;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
}
