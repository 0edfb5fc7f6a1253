//! How members are watched: what can be written, and what is refused with the field that is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use serde_json::{Value, json};
use support_api::Server;

const MONITORS: &str = "/api/v1/monitors";
const SERVICES: &str = "/api/v1/virtual-services";
const POOLS: &str = "/api/v1/pools";
const NOBODY: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";

#[test]
fn checks_that_cannot_work_are_refused_with_the_field() {
    let (_server, api) = Server::claimed();
    let before = api.everything();
    let refused = |kind: &str, more: Value, pointer: &str, code: &str| {
        let mut document = json!({ "name": "alive", "kind": kind });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.post(MONITORS, &document).is_problem(422, "validation_failed", [(pointer, code)]);
    };
    let settings = |settings: Value| json!({ "settings": settings });
    // It would become gigabytes of program.
    let exploding = "(((((a{1,99}){1,99}){1,99}){1,99}){1,99})";
    refused("http", settings(json!({ "body": exploding })), "/settings/body", "invalid");
    refused("http", settings(json!({ "body": "(" })), "/settings/body", "invalid");
    refused("tcp", settings(json!({ "expect": "x".repeat(1025) })), "/settings/expect", "out_of_range");
    refused(
        "udp",
        settings(json!({ "send": "ping", "expect": "x".repeat(1025) })),
        "/settings/expect",
        "out_of_range",
    );
    refused("tcp", settings(json!({ "expect": "\\q" })), "/settings/expect", "invalid");
    refused("http", settings(json!({ "codes": ["200-100"] })), "/settings/codes/0", "invalid");
    refused("tcp", json!({ "interval_ms": 1000, "timeout_ms": 1001 }), "/timeout_ms", "out_of_range");
    refused("tcp", json!({ "interval_ms": 50 }), "/interval_ms", "out_of_range");
    refused("tcp", json!({ "rise": 0 }), "/rise", "out_of_range");
    refused("smtp", json!({}), "/kind", "invalid");
    assert_eq!(api.everything(), before, "something changed");
}

#[test]
fn a_pool_says_what_happens_when_too_few_are_well() {
    let (_server, api) = Server::claimed();
    let spare = api.create(POOLS, &json!({ "name": "spare" }));
    let datagrams = api.create(POOLS, &json!({ "name": "datagrams", "protocol": "udp" }));
    let pool = api.create(
        POOLS,
        &json!({
            "name": "web", "min_healthy": 2, "below_min_healthy": "backup_pool", "backup_pool_id": spare.id,
            "slow_start_s": 30, "monitors_needed": "any",
        }),
    );
    assert_eq!(pool.body["backup_pool_id"], json!(spare.id));
    let read = api.get(&pool.path).body;
    assert_eq!(
        (&read["min_healthy"], &read["slow_start_s"], &read["monitors_needed"]),
        (&json!(2), &json!(30), &json!("any"))
    );

    let before = api.everything();
    let refuses = |change: Value, pointer: &str, code: &str| {
        api.patch(&pool.path, "*", &change).is_problem(422, "validation_failed", [(pointer, code)]);
    };
    refuses(json!({ "min_healthy": 0 }), "/min_healthy", "out_of_range");
    refuses(json!({ "below_min_healthy": "panic" }), "/below_min_healthy", "invalid");
    refuses(json!({ "backup_pool_id": null }), "/backup_pool_id", "required");
    refuses(json!({ "backup_pool_id": NOBODY }), "/backup_pool_id", "not_found");
    refuses(json!({ "backup_pool_id": datagrams.id }), "/backup_pool_id", "invalid");
    refuses(json!({ "backup_pool_id": pool.id }), "/backup_pool_id", "invalid");
    refuses(json!({ "slow_start_s": 3601 }), "/slow_start_s", "out_of_range");
    let round = json!({ "below_min_healthy": "backup_pool", "backup_pool_id": pool.id });
    let answer = api.patch(&spare.path, "*", &round);
    answer.is_problem(422, "validation_failed", [("/backup_pool_id", "invalid")]);
    api.delete(&spare.path, "*").is_problem(409, "in_use", []);
    assert_eq!(api.everything(), before, "something changed");
}

#[test]
fn a_configuration_with_a_backup_pool_comes_back_whole() {
    let (_server, api) = Server::claimed();
    let spare = api.create(POOLS, &json!({ "name": "spare" }));
    let web = json!({ "name": "a-web", "below_min_healthy": "backup_pool", "backup_pool_id": spare.id });
    api.create(POOLS, &web);
    let config = api.get("/api/v1/config?ids=false");
    let document = config.body.clone();
    assert!(
        document.to_string().contains(r#""backup_pool_id":"spare""#),
        "named, not numbered: {document:#}"
    );
    let mut empty = document.clone();
    empty["pools"] = json!([]);
    let emptied = api.put("/api/v1/config", "*", &empty);
    assert_eq!(emptied.status, 200, "{:#}", emptied.body);
    let again = api.put("/api/v1/config", "*", &document);
    assert_eq!(again.status, 200, "{:#}", again.body);
    assert_eq!(api.get("/api/v1/config?ids=false").body["pools"], document["pools"]);
}

#[test]
fn a_password_is_shown_to_nobody_and_stays_until_it_is_taken_away() {
    let (server, api) = Server::claimed();
    let secret = "open sesame 4711";
    let document =
        json!({ "name": "db", "kind": "postgres", "password": secret, "settings": { "role": "primary" } });
    let monitor = api.create(MONITORS, &document);
    let patched = api.patch(&monitor.path, "*", &json!({ "interval_ms": 3000 }));
    assert_eq!(patched.status, 200, "{:#}", patched.body);
    for place in
        [MONITORS, &monitor.path, "/api/v1/config", "/api/v1/events", "/api/v1/audit", "/api/v1/revisions"]
    {
        assert!(!api.get(place).body.to_string().contains(secret), "{place} shows it");
    }
    let database = std::fs::read(server.folder().join("state/penstock.db"))
        .or_else(|_| std::fs::read(server.folder().join("penstock.db")));
    let found = |bytes: Vec<u8>| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!database.is_ok_and(found), "the database shows it");
    let refused = json!({ "name": "web", "kind": "http", "password": secret });
    api.post(MONITORS, &refused).is_problem(422, "validation_failed", [("/password", "invalid")]);
}

#[test]
fn who_is_watched_by_nobody_is_not_checked_now() {
    let (_server, api) = Server::claimed();
    let pool = api.create(POOLS, &json!({ "name": "web" }));
    let members = format!("{}/members", pool.path);
    let member = api.create(&members, &json!({ "address": "198.51.100.1", "port": 80 }));
    api.post(&format!("{}/check", member.path), &json!({})).is_problem(409, "not_watched", []);
    api.post(&format!("{members}/{NOBODY}/check"), &json!({})).is_problem(404, "not_found", []);
}

#[test]
fn a_check_by_way_of_forwarding_needs_a_service_that_forwards() {
    let (_server, api) = Server::claimed();
    let virtual_ip = api.create("/api/v1/virtual-ips", &json!({ "name": "vip", "address": "198.51.100.10" }));
    let via = json!({ "name": "by-way", "kind": "tcp", "via_forwarding": true });
    let via = api.create(MONITORS, &via);
    assert_eq!(api.get(&via.path).body["via_forwarding"], json!(true));
    let direct = api.create(MONITORS, &json!({ "name": "direct", "kind": "tcp" }));
    assert_eq!(api.get(&direct.path).body["via_forwarding"], json!(false));
    let service = |name: &str, protocol: &str, port: u16, pool: &str| {
        json!({
            "name": name, "protocol": protocol, "port": port, "virtual_ip_ids": [virtual_ip.id],
            "default_pool_id": pool,
        })
    };
    let forwarded = api.create(POOLS, &json!({ "name": "forwarded", "monitor_ids": [via.id] }));
    api.create(SERVICES, &service("packets", "tcp", 80, &forwarded.id));
    let asked = api.create(POOLS, &json!({ "name": "asked", "monitor_ids": [direct.id] }));
    let shop = api.create(SERVICES, &service("shop", "http", 8080, &asked.id));
    let datagrams = api.create(POOLS, &json!({ "name": "datagrams", "protocol": "udp" }));

    let before = api.everything();
    let refused = |method: &str, path: &str, body: &Value, pointer: &str| {
        let answer = if method == "post" { api.post(path, body) } else { api.patch(path, "*", body) };
        answer.is_problem(422, "validation_failed", [(pointer, "invalid")]);
    };
    let monitor = |kind: &str, more: Value| {
        let mut document = json!({ "name": "wrong", "kind": kind, "via_forwarding": true });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    refused("post", MONITORS, &monitor("icmp", json!({})), "/via_forwarding");
    refused("post", MONITORS, &monitor("tcp", json!({ "port": 81 })), "/port");
    refused("post", MONITORS, &monitor("tcp", json!({ "address": "198.51.100.1" })), "/address");
    // A service of layer 7 asks its members itself.
    refused("patch", &asked.path, &json!({ "monitor_ids": [direct.id, via.id] }), "/monitor_ids/1");
    refused("patch", &direct.path, &json!({ "via_forwarding": true }), "/via_forwarding");
    refused("post", SERVICES, &service("other", "http", 8081, &forwarded.id), "/default_pool_id");
    let policy = json!({ "name": "part", "virtual_service_id": shop.id, "pools": [{ "pool_id": forwarded.id, "weight": 1 }] });
    refused("post", "/api/v1/policies", &policy, "/pools/0/pool_id");
    let behind = json!({ "below_min_healthy": "backup_pool", "backup_pool_id": forwarded.id });
    refused("patch", &asked.path, &behind, "/backup_pool_id");
    // A TCP connection does not get through a service of datagrams.
    refused("patch", &datagrams.path, &json!({ "monitor_ids": [via.id] }), "/monitor_ids/0");
    assert_eq!(api.everything(), before, "something changed");
}
