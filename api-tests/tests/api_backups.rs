//! Backups: what goes in comes out again, here or elsewhere, and for nobody without the passphrase.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;

use lab::Certificate;
use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Server, send};

const BACKUPS: &str = "/api/v1/backups";
const PASSPHRASE: &str = "weir and sluice";

fn sealed_by(passphrase: &str) -> Value {
    json!({ "passphrase": passphrase })
}

fn export(api: &Api) -> String {
    api.request(Method::GET, "/api/v1/config").send().unwrap().text().unwrap()
}

/// Something of everything that has secrets.
fn configure(server: &Server, api: &Api) {
    let Certificate { chain, private_key, .. } = Certificate::issue(server.folder(), "shop.example").unwrap();
    api.create(
        "/api/v1/certificates",
        &json!({ "name": "shop", "chain": chain, "private_key": private_key }),
    );
    let monitor = json!({ "name": "cache", "kind": "redis", "password": "lock-keeper" });
    let monitor = api.create("/api/v1/monitors", &monitor).id;
    let pool = api.create("/api/v1/pools", &json!({ "name": "web", "monitor_ids": [monitor] })).path;
    api.create(&format!("{pool}/members"), &json!({ "address": "198.51.100.1", "port": 80 }));
}

fn take(api: &Api) -> String {
    let answer = api.post(&format!("{BACKUPS}?comment=before%20the%20sale"), &sealed_by(PASSPHRASE));
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.header("location")
}

fn download(api: &Api, backup: &str) -> Vec<u8> {
    let response = api.request(Method::GET, &format!("{backup}/file")).send().unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().unwrap().to_vec()
}

fn upload(api: &Api, file: &[u8]) -> Answer {
    let request = api.request(Method::POST, &format!("{BACKUPS}/upload")).body(file.to_vec());
    send(request.header("content-type", "application/octet-stream"))
}

fn restore(api: &Api, backup: &str, query: &str) -> Answer {
    api.post(&format!("{backup}/restore{query}"), &sealed_by(PASSPHRASE))
}

fn changes(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let changes = answer.body["changes"].as_array().unwrap().iter();
    let mut changes: Vec<_> = changes
        .map(|it| format!("{} {} {}", word(it, "action"), word(it, "resource"), word(it, "name")))
        .collect();
    changes.sort();
    changes
}

#[test]
fn what_was_lost_comes_back_as_it_was_tried_first() {
    let (server, api) = Server::claimed();
    configure(&server, &api);
    let before = export(&api);
    let backup = take(&api);
    let said = api.get(&backup).body;
    let generation = &api.get("/api/v1/status").body["generation"];
    assert_eq!((&said["comment"], &said["generation"]), (&json!("before the sale"), generation));

    let pool = api.get("/api/v1/pools").body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.delete(&format!("/api/v1/pools/{pool}"), "*").status, 204);
    let cache = api.get("/api/v1/monitors").body["items"][0]["id"].as_str().unwrap().to_owned();
    let other = json!({ "password": "another" });
    assert_eq!(api.patch(&format!("/api/v1/monitors/{cache}"), "*", &other).status, 200);
    api.create("/api/v1/pools", &json!({ "name": "new" }));
    let after = export(&api);

    let wrong = api.post(&format!("{backup}/restore"), &sealed_by("weir and sluicf"));
    wrong.is_problem(422, "validation_failed", [("/passphrase", "wrong")]);
    let expected =
        ["create members 198.51.100.1:80", "create pools web", "delete pools new", "update monitors cache"];
    assert_eq!(changes(&restore(&api, &backup, "?dry_run=true")), expected);
    assert_eq!(export(&api), after, "a dry run changes nothing");
    assert_eq!(changes(&restore(&api, &backup, "")), expected);
    assert_eq!(export(&api), before);
    // The passwords are the same again: there is nothing left to do.
    assert_eq!(changes(&restore(&api, &backup, "")), [""; 0]);
    let revision = api.get("/api/v1/revisions?limit=1").body["items"][0].clone();
    assert!(revision["comment"].as_str().unwrap().contains("backup"), "{revision:#}");
    let back = api.post(
        &format!("/api/v1/revisions/{}/rollback", revision["generation"].as_u64().unwrap() - 1),
        &json!({}),
    );
    assert_eq!(back.status, 200, "{:#}", back.body);
    assert_eq!(export(&api), after, "a restore is rolled back as any change");
}

#[test]
fn another_appliance_takes_it_over_whole_and_nobody_reads_it_on_the_way() {
    let (server, api) = Server::claimed();
    configure(&server, &api);
    let file = download(&api, &take(&api));
    let mut lines = file.splitn(3, |byte| *byte == b'\n');
    assert_eq!(lines.next().unwrap(), b"PENSTOCK BACKUP 1");
    let said: Value = serde_json::from_slice(lines.next().unwrap()).unwrap();
    assert_eq!(
        (&said["comment"], &said["sealing"]["key_from"]),
        (&json!("before the sale"), &json!("argon2id"))
    );
    let key = fs::read(server.folder().join("state/seal.key")).unwrap();
    for secret in [&b"lock-keeper"[..], b"SQLite format", b"redis", b"shop.example", &key] {
        assert!(!file.windows(secret.len()).any(|window| window == secret), "{}", secret.escape_ascii());
    }

    let (other, stranger) = Server::claimed();
    assert_ne!(fs::read(other.folder().join("state/seal.key")).unwrap(), key);
    let uploaded = upload(&stranger, &file);
    assert_eq!(uploaded.status, 201, "{:#}", uploaded.body);
    let backup = uploaded.header("location");
    assert_eq!(stranger.get(BACKUPS).body["items"][0]["comment"], "before the sale");
    assert_eq!(changes(&restore(&stranger, &backup, "")).len(), 4);
    assert_eq!(export(&stranger), export(&api));
    // Its secrets are there, sealed by its own key.
    assert_eq!(changes(&restore(&stranger, &backup, "")), [""; 0]);
    assert_eq!(stranger.delete(&backup, "*").status, 204);
    assert_eq!(stranger.get(&backup).status, 404);
    let actions = stranger.get("/api/v1/audit?limit=500").body.to_string();
    for action in ["backup.upload", "backup.delete"] {
        assert!(actions.contains(action), "{action} is not in the audit log");
    }
    let left: Vec<_> = fs::read_dir(other.folder().join("state/backups")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_no_backup_is_not_kept_nor_more_than_there_is_room_for() {
    let (_server, api) = Server::claimed();
    upload(&api, b"SQLite format 3").is_problem(422, "validation_failed", [("", "invalid")]);
    let typed = api.request(Method::POST, &format!("{BACKUPS}/upload")).json(&json!({}));
    send(typed).is_problem(415, "unsupported_media_type", []);
    api.post(BACKUPS, &sealed_by("too short")).is_problem(
        422,
        "validation_failed",
        [("/passphrase", "out_of_range")],
    );
    let file = download(&api, &take(&api));
    let cut = upload(&api, &file[..file.len() - 1]).header("location");
    restore(&api, &cut, "").is_problem(422, "validation_failed", [("/passphrase", "wrong")]);
    while api.get(BACKUPS).body["items"].as_array().unwrap().len() < 32 {
        assert_eq!(upload(&api, &file).status, 201);
    }
    upload(&api, &file).is_problem(409, "enough", []);
    api.post(BACKUPS, &sealed_by(PASSPHRASE)).is_problem(409, "enough", []);
}
