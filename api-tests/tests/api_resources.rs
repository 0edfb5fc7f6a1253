//! The resources: what can be written, what is refused, and that nothing changes then.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Created, Server, send};

const NOBODY: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
const VIRTUAL_IPS: &str = "/api/v1/virtual-ips";
const SERVICES: &str = "/api/v1/virtual-services";
const POOLS: &str = "/api/v1/pools";

/// A virtual IP, a pool with a member, and a service that joins them.
struct Shop {
    _server: Server,
    api: Api,
    virtual_ip: Created,
    pool: Created,
    member: Created,
    service: Created,
}

impl Shop {
    fn open() -> Self {
        let (server, api) = Server::claimed();
        let virtual_ip = api.create(VIRTUAL_IPS, &json!({ "name": "front", "address": "192.0.2.10" }));
        let pool = api.create(POOLS, &json!({ "name": "web" }));
        let member = json!({ "address": "198.51.100.1", "port": 8080 });
        let member = api.create(&format!("{}/members", pool.path), &member);
        let service = api.create(SERVICES, &service("shop", &virtual_ip.id, 80, &json!(pool.id)));
        Self { _server: server, api, virtual_ip, pool, member, service }
    }

    /// The resource, when it operates as `wanted`: what the checks say follows a change at once, but not within it.
    fn await_operating(&self, path: &str, wanted: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let body = self.api.get(path).body;
            if body["operating_status"] == wanted {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} is not {wanted}: {body}");
        }
    }

    /// That `request` is refused and nothing changes.
    #[track_caller]
    fn refuses<const N: usize>(
        &self,
        request: impl FnOnce(&Api) -> Answer,
        status: u16,
        code: &str,
        faults: [(&str, &str); N],
    ) -> Answer {
        let before = self.api.everything();
        let answer = request(&self.api);
        answer.is_problem(status, code, faults);
        assert_eq!(self.api.everything(), before, "something changed");
        answer
    }
}

fn service(name: &str, virtual_ip: &str, port: u16, pool: &Value) -> Value {
    json!({
        "name": name,
        "virtual_ip_ids": [virtual_ip],
        "protocol": "tcp",
        "port": port,
        "default_pool_id": pool,
    })
}

fn with(mut document: Value, field: &str, value: Value) -> Value {
    document[field] = value;
    document
}

#[test]
fn what_was_written_is_read_again() {
    let shop = Shop::open();
    for created in [&shop.virtual_ip, &shop.pool, &shop.member, &shop.service] {
        shop.await_operating(&created.path, "unknown");
        let read = shop.api.get(&created.path);
        assert_eq!((read.status, read.etag()), (200, created.etag.clone()));
        // The pool had no member yet when it was created.
        let mut expected = created.body.clone();
        expected["operating_status"] = json!("unknown");
        assert_eq!(read.body, expected);
    }
    let body = &shop.service.body;
    assert_eq!(body["timeouts"], json!({ "opening_s": 60, "idle_s": 300, "closing_s": 60 }));
    assert_eq!(body["forwarding"], "nat");
    assert_eq!(
        (&body["tags"], &body["enabled"], &body["description"]),
        (&json!([]), &json!(true), &json!(""))
    );
    assert_eq!(shop.member.body["name"], "198.51.100.1:8080");
    assert_eq!(shop.member.body["state"], "enabled");
}

#[test]
fn without_a_plane_everything_is_pending_and_says_why() {
    let shop = Shop::open();
    // Nobody watches the member.
    let body = shop.await_operating(&shop.service.path, "unknown");
    assert_eq!(body["provisioning_status"], "pending");
    assert_eq!(body["status_reason"], "penstock-l4 is not connected");
    assert_eq!(body["observed_generation"], 0);
    assert!(body["generation"].as_u64().unwrap() > 1);
    let conditions = body["conditions"].as_array().unwrap();
    assert_eq!(conditions[0]["type"], "forwarding");
    assert_eq!(conditions[0]["reason"], "not_connected");

    let status = shop.api.get("/api/v1/status").body;
    assert_eq!(status["generation"], body["generation"]);
    assert_eq!(status["processes"]["l4"]["connected"], false);
    assert!(status["processes"]["host"]["error"].as_str().unwrap().contains("host.sock"));
    shop.api.get("/api/v1/stats").is_problem(503, "plane_unavailable", []);
}

#[test]
fn what_cannot_serve_by_its_configuration_is_offline() {
    let shop = Shop::open();
    let is = |path: &str, wanted: &str| drop(shop.await_operating(path, wanted));
    let patched = shop.api.patch(&shop.member.path, "*", &json!({ "state": "drain" }));
    assert_eq!(patched.body["operating_status"], "draining");
    is(&shop.pool.path, "offline");
    is(&shop.service.path, "offline");
    shop.api.patch(&shop.member.path, "*", &json!({ "state": null }));
    is(&shop.service.path, "unknown");
    shop.api.patch(&shop.service.path, "*", &json!({ "default_pool_id": null }));
    is(&shop.service.path, "offline");
    shop.api.patch(&shop.virtual_ip.path, "*", &json!({ "enabled": false }));
    is(&shop.virtual_ip.path, "offline");
}

#[test]
fn addresses_that_are_none_are_refused() {
    let shop = Shop::open();
    for (address, code) in [
        (json!("shop"), "invalid"),
        (json!("192.0.2.256"), "invalid"),
        (json!("0.0.0.0"), "invalid"),
        (json!("127.0.0.1"), "invalid"),
        (json!("224.0.0.1"), "invalid"),
        (json!("fe80::1"), "invalid"),
        (json!("::1"), "invalid"),
        (json!("::ffff:192.0.2.1"), "invalid"),
        (json!("2001:db8::10000"), "invalid"),
        (json!(17), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        let faults = [("/address", code)];
        let virtual_ip = json!({ "name": "new", "address": address });
        shop.refuses(|api| api.post(VIRTUAL_IPS, &virtual_ip), 422, "validation_failed", faults);
        let members = format!("{}/members", shop.pool.path);
        let member = json!({ "address": address, "port": 80 });
        shop.refuses(|api| api.post(&members, &member), 422, "validation_failed", faults);
    }
}

#[test]
fn ports_that_are_none_are_refused() {
    let shop = Shop::open();
    for port in [json!(0), json!(70000), json!(-1), json!(1.5)] {
        let faults = [("/port", "out_of_range")];
        let body = with(service("new", &shop.virtual_ip.id, 81, &Value::Null), "port", port.clone());
        shop.refuses(|api| api.post(SERVICES, &body), 422, "validation_failed", faults);
        let patch = json!({ "port": port });
        let paths = [&shop.service.path, &shop.member.path];
        for path in paths {
            shop.refuses(|api| api.patch(path, "*", &patch), 422, "validation_failed", faults);
        }
    }
}

#[test]
fn names_of_what_does_not_exist_are_refused() {
    let shop = Shop::open();
    let body = service("new", &shop.virtual_ip.id, 81, &json!(NOBODY));
    let faults = [("/default_pool_id", "not_found")];
    shop.refuses(|api| api.post(SERVICES, &body), 422, "validation_failed", faults);
    let patch = json!({ "default_pool_id": NOBODY });
    shop.refuses(|api| api.patch(&shop.service.path, "*", &patch), 422, "validation_failed", faults);
    let body = service("new", NOBODY, 81, &json!(NOBODY));
    let faults = [("/default_pool_id", "not_found"), ("/virtual_ip_ids/0", "not_found")];
    shop.refuses(|api| api.post(SERVICES, &body), 422, "validation_failed", faults);
}

#[test]
fn what_another_has_is_refused() {
    let shop = Shop::open();
    let body = service("other", &shop.virtual_ip.id, 80, &Value::Null);
    let answer = shop.refuses(|api| api.post(SERVICES, &body), 409, "taken", [("/port", "taken")]);
    assert!(answer.body["detail"].as_str().unwrap().contains("`shop` is on 192.0.2.10 port 80"));

    let other = shop.api.create(SERVICES, &service("other", &shop.virtual_ip.id, 81, &Value::Null));
    let patch = json!({ "port": 80 });
    shop.refuses(|api| api.patch(&other.path, "*", &patch), 409, "taken", [("/port", "taken")]);

    let body = json!({ "name": "back", "address": "192.0.2.10" });
    shop.refuses(|api| api.post(VIRTUAL_IPS, &body), 409, "taken", [("/address", "taken")]);
    let body = json!({ "name": "front", "address": "192.0.2.10" });
    let faults = [("/address", "taken"), ("/name", "taken")];
    shop.refuses(|api| api.post(VIRTUAL_IPS, &body), 409, "taken", faults);

    let members = format!("{}/members", shop.pool.path);
    let body = json!({ "name": "again", "address": "198.51.100.1", "port": 8080 });
    shop.refuses(|api| api.post(&members, &body), 409, "taken", [("/port", "taken")]);
    // Another pool may have the same member.
    let pool = shop.api.create(POOLS, &json!({ "name": "api" }));
    shop.api.create(&format!("{}/members", pool.path), &body);
}

#[test]
fn what_others_need_is_not_deleted() {
    let shop = Shop::open();
    let answer = shop.refuses(|api| api.delete(&shop.pool.path, "*"), 409, "in_use", []);
    assert_eq!(answer.body["detail"], "pool `web` still serves virtual service `shop`");
    let answer = shop.refuses(|api| api.delete(&shop.virtual_ip.path, "*"), 409, "in_use", []);
    assert_eq!(answer.body["detail"], "virtual IP `front` still carries virtual service `shop`");

    // In the right order all of it goes; members go with their pool.
    for created in [&shop.service, &shop.pool, &shop.virtual_ip] {
        assert_eq!(shop.api.delete(&created.path, &created.etag).status, 204);
        shop.api.get(&created.path).is_problem(404, "not_found", []);
    }
    shop.api.get(&shop.member.path).is_problem(404, "not_found", []);
}

#[test]
fn unknown_and_read_only_fields_are_never_dropped() {
    let shop = Shop::open();
    let body = json!({ "name": "new", "colour": "blue", "id": NOBODY, "algorithm": "fastest" });
    let faults = [("/algorithm", "unsupported"), ("/colour", "unknown_field"), ("/id", "read_only")];
    shop.refuses(|api| api.post(POOLS, &body), 422, "validation_failed", faults);
    shop.refuses(|api| api.put(&shop.pool.path, "*", &body), 422, "validation_failed", faults);
    let body = json!({ "colour": null, "generation": 7 });
    let faults = [("/colour", "unknown_field"), ("/generation", "read_only")];
    shop.refuses(|api| api.patch(&shop.pool.path, "*", &body), 422, "validation_failed", faults);
    let body =
        json!({ "timeouts": { "idle_s": 86_401, "syn_s": 3 }, "protocol": "ipx", "forwarding": "pigeon" });
    let faults = [
        ("/forwarding", "unsupported"),
        ("/protocol", "unsupported"),
        ("/timeouts/idle_s", "out_of_range"),
        ("/timeouts/syn_s", "unknown_field"),
    ];
    shop.refuses(|api| api.patch(&shop.service.path, "*", &body), 422, "validation_failed", faults);
}

#[test]
fn a_write_needs_the_version_that_it_changes() {
    let shop = Shop::open();
    let path = &shop.pool.path;
    let change = json!({ "description": "mine" });
    for method in [Method::PUT, Method::PATCH] {
        let request = |api: &Api| send(api.request(method.clone(), path).json(&json!({ "name": "web" })));
        shop.refuses(request, 428, "precondition_required", []);
    }
    shop.refuses(|api| send(api.request(Method::DELETE, path)), 428, "precondition_required", []);

    let changed = shop.api.patch(path, &shop.pool.etag, &change);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.etag(), shop.pool.etag);
    let late = json!({ "description": "yours" });
    shop.refuses(|api| api.patch(path, &shop.pool.etag, &late), 412, "stale", []);
    shop.refuses(|api| api.put(path, &shop.pool.etag, &json!({ "name": "web" })), 412, "stale", []);
    shop.refuses(|api| api.delete(path, &shop.pool.etag), 412, "stale", []);
    // Weak tags compare equal to nothing here (RFC 9110, 13.1.1).
    shop.refuses(|api| api.patch(path, &format!("W/{}", changed.etag()), &late), 412, "stale", []);

    let known = shop.api.request(Method::GET, path).header("if-none-match", changed.etag());
    assert_eq!(send(known).status, 304);
}

#[test]
fn a_patch_merges_and_a_put_replaces() {
    let shop = Shop::open();
    let at = &shop.service.path;
    let patch = json!({ "tags": ["a"], "timeouts": { "idle_s": 60 }, "default_pool_id": null });
    let patched = shop.api.patch(at, &shop.service.etag, &patch);
    assert_eq!(patched.status, 200, "{:#}", patched.body);
    assert_eq!(patched.body["tags"], json!(["a"]));
    assert_eq!(patched.body["timeouts"]["idle_s"], 60);
    assert_eq!(patched.body["default_pool_id"], Value::Null);
    assert_eq!(patched.body["port"], 80);
    assert!(patched.body["generation"].as_u64() > shop.service.body["generation"].as_u64());

    let again = shop.api.patch(at, &patched.etag(), &json!({ "tags": ["a"] }));
    assert_eq!(again.body, patched.body, "what changes nothing raises nothing");

    let body = service("renamed", &shop.virtual_ip.id, 8080, &json!(shop.pool.id));
    let replaced = shop.api.put(at, &patched.etag(), &body);
    assert_eq!(replaced.status, 200, "{:#}", replaced.body);
    assert_eq!(replaced.body["tags"], json!([]), "what is not named has its default");
    assert_eq!(replaced.body["timeouts"]["idle_s"], 300);
    assert_eq!(replaced.body["name"], "renamed");
    assert_eq!(replaced.body["created_at"], shop.service.body["created_at"]);
}

#[test]
fn bodies_that_are_no_json_object_are_refused() {
    let shop = Shop::open();
    let post = |api: &Api, kind: &str, body: &str| {
        send(api.request(Method::POST, POOLS).header("content-type", kind).body(body.to_owned()))
    };
    let json = "application/json";
    shop.refuses(|api| post(api, json, "{\"name\": "), 400, "malformed_json", []);
    shop.refuses(|api| post(api, json, "{\"name\":\"a\",\"name\":\"b\"}"), 400, "malformed_json", []);
    shop.refuses(|api| post(api, json, "[]"), 422, "validation_failed", [("", "wrong_type")]);
    shop.refuses(|api| post(api, "text/plain", "{}"), 415, "unsupported_media_type", []);
    shop.refuses(|api| post(api, "application/merge-patch+json", "{}"), 415, "unsupported_media_type", []);
    shop.refuses(|api| send(api.request(Method::POST, POOLS)), 415, "unsupported_media_type", []);
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(1 << 20));
    shop.refuses(|api| post(api, json, &large), 413, "payload_too_large", []);
}

#[test]
fn what_is_nowhere_is_404_and_what_is_not_offered_405() {
    let shop = Shop::open();
    let members = format!("{POOLS}/{NOBODY}/members");
    for path in
        ["/api", "/api/v1/nothing", "/api/v1/pools/not-a-uuid", &format!("{POOLS}/{NOBODY}"), &members]
    {
        shop.api.get(path).is_problem(404, "not_found", []);
    }
    // A member is found in its own pool only.
    let other = shop.api.create(POOLS, &json!({ "name": "other" }));
    shop.api.get(&format!("{}/members/{}", other.path, shop.member.id)).is_problem(404, "not_found", []);
    shop.api.post(&members, &json!({ "address": "198.51.100.1", "port": 1 })).is_problem(
        404,
        "not_found",
        [],
    );

    let answer = send(shop.api.request(Method::DELETE, POOLS));
    answer.is_problem(405, "method_not_allowed", []);
    assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
}

#[test]
fn services_have_no_port_in_common() {
    let shop = Shop::open();
    let own = |name: &str, first: u16, last: Option<u16>| {
        with(service(name, &shop.virtual_ip.id, first, &json!(shop.pool.id)), "port_end", json!(last))
    };
    let range = shop.api.create(SERVICES, &own("range", 8000, Some(8999)));
    assert_eq!((&range.body["port"], &range.body["port_end"]), (&json!(8000), &json!(8999)));
    assert_eq!(shop.service.body["port_end"], Value::Null);
    for (first, last, pointer) in [
        (8000, None, "/port"),
        (8999, None, "/port"),
        (8500, Some(9500), "/port"),
        (7000, Some(8000), "/port_end"),
        (1, Some(65535), "/port_end"),
    ] {
        let refused = shop.refuses(
            |api| api.post(SERVICES, &own("other", first, last)),
            409,
            "taken",
            [(pointer, "taken")],
        );
        assert!(refused.body["errors"][0]["detail"].as_str().unwrap().contains("is on 192.0.2.10 port"));
    }
    let backwards = |api: &Api| api.post(SERVICES, &own("other", 9000, Some(8999)));
    shop.refuses(backwards, 422, "validation_failed", [("/port_end", "out_of_range")]);
    let proxied = |api: &Api| {
        let service = with(own("other", 9000, Some(9001)), "protocol", json!("http"));
        api.post(SERVICES, &service)
    };
    shop.refuses(proxied, 422, "validation_failed", [("/port_end", "unsupported")]);
    shop.api.create(SERVICES, &own("beside", 9000, Some(65535)));
    let grows = |api: &Api| api.patch(&range.path, "*", &json!({ "port_end": 9000 }));
    shop.refuses(grows, 409, "taken", [("/port_end", "taken")]);
    let smaller = shop.api.patch(&range.path, "*", &json!({ "port_end": 8499 }));
    assert_eq!((smaller.status, &smaller.body["port_end"]), (200, &json!(8499)));
    shop.api.create(SERVICES, &own("between", 8500, None));
}

#[test]
fn of_several_ports_a_server_is_one_member() {
    let shop = Shop::open();
    let members = format!("{}/members", shop.pool.path);
    let range =
        with(service("range", &shop.virtual_ip.id, 8000, &json!(shop.pool.id)), "port_end", json!(8999));
    let twice = json!({ "address": "198.51.100.1", "port": 8081 });
    let second = shop.api.create(&members, &twice);
    shop.refuses(
        |api| api.post(SERVICES, &range),
        422,
        "validation_failed",
        [("/default_pool_id", "invalid")],
    );
    shop.api.delete(&second.path, "*");
    let created = shop.api.create(SERVICES, &range);
    shop.refuses(|api| api.post(&members, &twice), 409, "taken", [("/address", "taken")]);
    // What is left as it is must come by one of the ports.
    let direct = json!({ "forwarding": "dr" });
    assert_eq!(shop.api.patch(&created.path, "*", &direct).status, 200);
    let checked_elsewhere = json!({ "address": "198.51.100.2", "port": 80 });
    shop.refuses(
        |api| api.post(&members, &checked_elsewhere),
        422,
        "validation_failed",
        [("/port", "invalid")],
    );
    shop.api.create(&members, &json!({ "address": "198.51.100.2", "port": 8999 }));
}

#[test]
fn rates_are_whole_numbers_and_at_least_one() {
    let shop = Shop::open();
    let limited = |limit: Value| json!({ "rate_limit": limit });
    let wrong = json!({ "connections_per_s": 0, "source_prefix": 33, "bits_per_s": 1 });
    let faults = [
        ("/rate_limit/bits_per_s", "unknown_field"),
        ("/rate_limit/connections_per_s", "out_of_range"),
        ("/rate_limit/source_prefix", "out_of_range"),
    ];
    let patch = |api: &Api, limit: &Value| api.patch(&shop.service.path, "*", &limited(limit.clone()));
    shop.refuses(|api| patch(api, &wrong), 422, "validation_failed", faults);
    let none = [("/rate_limit/connections_per_s", "required")];
    shop.refuses(|api| patch(api, &json!({ "source_prefix": 24 })), 422, "validation_failed", none);
    let proxied =
        with(service("pages", &shop.virtual_ip.id, 8080, &json!(shop.pool.id)), "protocol", json!("http"));
    let proxied = with(proxied, "rate_limit", json!({ "packets_per_s": 1 }));
    shop.refuses(
        |api| api.post(SERVICES, &proxied),
        422,
        "validation_failed",
        [("/rate_limit", "unsupported")],
    );

    let right = patch(&shop.api, &json!({ "source_connections_per_s": 100, "kbits_per_s": 400_000_000 }));
    let all = json!({
        "connections_per_s": null, "source_connections_per_s": 100, "source_packets_per_s": null,
        "source_prefix": 32, "source_prefix_v6": 64, "packets_per_s": null, "kbits_per_s": 400_000_000,
    });
    assert_eq!((right.status, &right.body["rate_limit"]), (200, &all));
    assert_eq!(
        shop.api.patch(&shop.service.path, "*", &limited(Value::Null)).body["rate_limit"],
        Value::Null
    );
}

#[test]
fn only_connections_that_pass_as_packets_are_reset_when_they_are_ended() {
    let shop = Shop::open();
    let told = |protocol: &str, port: u16| {
        let of =
            with(service(protocol, &shop.virtual_ip.id, port, &Value::Null), "protocol", json!(protocol));
        with(of, "ended", json!("reset"))
    };
    for (protocol, port) in [("udp", 53), ("http", 8080)] {
        let unsupported = [("/ended", "unsupported")];
        shop.refuses(|api| api.post(SERVICES, &told(protocol, port)), 422, "validation_failed", unsupported);
    }
    let silent = shop.api.get(&shop.service.path);
    assert_eq!(silent.body["ended"], "silence");
    let reset = shop.api.patch(&shop.service.path, "*", &json!({ "ended": "reset" }));
    assert_eq!((reset.status, &reset.body["ended"]), (200, &json!("reset")));
}

#[test]
fn cookies_are_given_where_answers_come_back() {
    let shop = Shop::open();
    let own = &shop.service.path;
    let patch = |change: Value| move |api: &Api| api.patch(own, "*", &change);
    let guarded = |protocol: &str, forwarding: &str| {
        let of = with(service(protocol, &shop.virtual_ip.id, 53, &Value::Null), "protocol", json!(protocol));
        with(with(of, "forwarding", json!(forwarding)), "syn_cookies_from", json!(0))
    };
    for (protocol, forwarding) in [("udp", "nat"), ("tcp", "dr"), ("tcp", "proxy"), ("http", "proxy")] {
        let unsupported = [("/syn_cookies_from", "unsupported")];
        let asked = guarded(protocol, forwarding);
        shop.refuses(|api| api.post(SERVICES, &asked), 422, "validation_failed", unsupported);
    }
    let too_many = [("/syn_cookies_from", "out_of_range")];
    shop.refuses(patch(json!({ "syn_cookies_from": 16_000_001 })), 422, "validation_failed", too_many);
    let always = patch(json!({ "syn_cookies_from": 0 }))(&shop.api);
    assert_eq!((always.status, &always.body["syn_cookies_from"]), (200, &json!(0)));
    let never = patch(json!({ "syn_cookies_from": null }))(&shop.api);
    assert_eq!((never.status, &never.body["syn_cookies_from"]), (200, &Value::Null));
}
