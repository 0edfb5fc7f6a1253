//! What remains of a change: a revision, a line in the audit log, an event.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::io::{BufRead, BufReader};

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{ADMIN, Api, PASSWORD, Server, program, send};

fn newest(api: &Api, list: &str) -> Value {
    api.get(list).body["items"][0].clone()
}

#[test]
fn a_change_leaves_a_revision_a_line_and_an_event() {
    let (_server, api) = Server::claimed();
    let pool = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let path = format!("{}?comment=f%C3%BCr%20den%20Schlussverkauf", pool.path);
    let changed = api.patch(&path, &pool.etag, &json!({ "name": "shop", "tags": ["sale"] }));
    assert_eq!(changed.status, 200, "{:#}", changed.body);
    let generation = changed.body["generation"].as_u64().unwrap();

    let revision = api.get(&format!("/api/v1/revisions/{generation}")).body;
    assert_eq!(revision["author"], ADMIN);
    assert_eq!(revision["comment"], "für den Schlussverkauf");
    let fields = json!([
        { "pointer": "/name", "before": "web", "after": "shop" },
        { "pointer": "/tags", "before": [], "after": ["sale"] },
    ]);
    assert_eq!(revision["changes"].as_array().unwrap().len(), 1);
    let change = &revision["changes"][0];
    assert_eq!((&change["action"], &change["resource"]), (&json!("update"), &json!("pools")));
    assert_eq!((&change["id"], &change["fields"]), (&json!(pool.id), &fields));

    let line = newest(&api, "/api/v1/audit");
    assert_eq!((&line["actor"], &line["outcome"]), (&json!(ADMIN), &json!("succeeded")));
    assert_eq!((&line["source"], &line["action"]), (&json!("127.0.0.1"), &json!("configuration.change")));
    assert_eq!(line["details"]["changes"][0]["fields"], fields);

    let event = newest(&api, "/api/v1/events?kind=configuration.changed");
    assert_eq!(event["message"], "admin changed pool `shop`");
    assert_eq!((&event["resource"], &event["resource_id"]), (&json!("pools"), &json!(pool.id)));

    let of_pool = api.get(&format!("/api/v1/revisions?resource_id={}", pool.id)).body;
    assert_eq!(of_pool["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_changes_nothing_leaves_nothing() {
    let (_server, api) = Server::claimed();
    let pool = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let (revision, line) = (newest(&api, "/api/v1/revisions"), newest(&api, "/api/v1/audit"));
    assert_eq!(api.patch(&pool.path, &pool.etag, &json!({ "name": "web" })).status, 200);
    assert_eq!(api.patch(&pool.path, &pool.etag, &json!({ "name": 7 })).status, 422);
    assert_eq!((newest(&api, "/api/v1/revisions"), newest(&api, "/api/v1/audit")), (revision, line));
    let comment = "x".repeat(1025);
    let answer = api.patch(&format!("{}?comment={comment}", pool.path), &pool.etag, &json!({ "name": "b" }));
    answer.is_problem(422, "validation_failed", [("?comment", "invalid")]);
}

#[test]
fn members_that_go_with_their_pool_are_in_its_revision() {
    let (_server, api) = Server::claimed();
    let pool = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let member =
        api.create(&format!("{}/members", pool.path), &json!({ "address": "198.51.100.1", "port": 80 }));
    assert_eq!(api.delete(&pool.path, &pool.etag).status, 204);
    let generation = newest(&api, "/api/v1/revisions")["generation"].clone();
    let changes = api.get(&format!("/api/v1/revisions/{generation}")).body["changes"].clone();
    let gone: Vec<_> =
        changes.as_array().unwrap().iter().map(|change| change["id"].as_str().unwrap()).collect();
    assert_eq!(gone, [member.id.as_str(), pool.id.as_str()]);
    assert_eq!(changes[0]["parent_id"], json!(pool.id));
}

#[test]
fn who_tries_to_sign_in_is_in_the_audit_log() {
    let (server, api) = Server::claimed();
    let wrong = json!({ "username": "eve", "password": "not the password" });
    assert_eq!(server.anonymous().post("/api/v1/sessions", &wrong).status, 401);
    server.sign_in();
    let lines = api.get("/api/v1/audit?action=session.create").body["items"].clone();
    let told: Vec<_> =
        lines.as_array().unwrap().iter().map(|line| (&line["actor"], &line["outcome"])).collect();
    assert_eq!(told[..2], [(&json!(ADMIN), &json!("succeeded")), (&json!("eve"), &json!("denied"))]);
    assert!(!api.get("/api/v1/audit").body.to_string().contains(PASSWORD));
}

#[test]
fn logs_are_read_in_pages_from_the_newest() {
    let (_server, api) = Server::claimed();
    for number in 0..5 {
        api.create("/api/v1/pools", &json!({ "name": format!("pool-{number}") }));
    }
    let mut seen = Vec::new();
    let mut next = "/api/v1/revisions?limit=2".to_owned();
    loop {
        let page = api.get(&next).body;
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["generation"].as_u64().unwrap()),
        );
        match page["next"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2]);
    let wrong = api.get("/api/v1/events?limit=0&colour=blue&cursor=x");
    let faults = [("?colour", "unknown_parameter"), ("?cursor", "invalid"), ("?limit", "out_of_range")];
    wrong.is_problem(422, "validation_failed", faults);
    assert_eq!(api.get("/api/v1/revisions/999").status, 404);
    assert_eq!(api.get("/api/v1/events/no").status, 404);
}

/// The next event of the stream: its number and kind.
fn next_event(stream: &mut impl BufRead) -> (String, String) {
    let (mut id, mut kind) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        match line.trim_end().split_once(':') {
            Some(("id", value)) => value.trim().clone_into(&mut id),
            Some(("event", value)) => value.trim().clone_into(&mut kind),
            None if !id.is_empty() => return (id, kind),
            _ => {}
        }
    }
}

#[test]
fn a_stream_goes_on_where_it_was_broken_off() {
    let (_server, api) = Server::claimed();
    let listen = |last: Option<&str>| {
        let request = api.request(Method::GET, "/api/v1/events/stream");
        let request = last.iter().fold(request, |request, last| request.header("last-event-id", *last));
        let answer = request.send().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        BufReader::new(answer)
    };
    let mut live = listen(None);
    api.create("/api/v1/pools", &json!({ "name": "one" }));
    let (first, kind) = next_event(&mut live);
    assert_eq!(kind, "configuration.changed");
    drop(live);

    api.create("/api/v1/pools", &json!({ "name": "two" }));
    api.create("/api/v1/pools", &json!({ "name": "three" }));
    let mut again = listen(Some(&first));
    let (second, third) = (next_event(&mut again).0, next_event(&mut again).0);
    assert!(first < second && second < third);
    let told = api.get(&format!("/api/v1/events/{third}")).body;
    assert_eq!(told["message"], "admin created pool `three`");

    let wrong = send(api.request(Method::GET, "/api/v1/events/stream").header("last-event-id", "x"));
    wrong.is_problem(422, "validation_failed", [("Last-Event-ID", "invalid")]);
}

#[test]
fn an_altered_audit_log_is_noticed() {
    let (mut server, api) = Server::claimed();
    api.create("/api/v1/pools?comment=as-it-was-written", &json!({ "name": "web" }));
    let found = api.get("/api/v1/audit/verification").body;
    assert_eq!((&found["intact"], &found["entries"]), (&json!(true), &json!(3)));
    assert_eq!(found["head"], newest(&api, "/api/v1/audit")["hash"]);
    let verify = |server: &Server| program(server.folder()).arg("verify-audit").output().unwrap();
    assert!(verify(&server).status.success());

    server.stop();
    let database = server.folder().join("state/penstock.db");
    let (written, altered) = (b"as-it-was-written", b"as-somebody-likes");
    let mut bytes = fs::read(&database).unwrap();
    let places: Vec<_> =
        (0..bytes.len() - written.len()).filter(|&at| bytes[at..].starts_with(written)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + altered.len()].copy_from_slice(altered);
    }
    fs::write(&database, bytes).unwrap();

    let output = verify(&server);
    assert!(!output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["intact"], &found["broken_at"]), (&json!(false), &json!(3)));
}
