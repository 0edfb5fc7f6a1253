//! What is written and never shown: nobody finds it in the files of the database, in an answer, in the history or in the audit log.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::path::Path;

use lab::Certificate;
use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Api, Server, send};

const PASSWORD: &str = "weir-below-the-seventh-lock";

/// A line from within a key, as it stands in a file.
fn line(key: &str) -> String {
    key.lines().max_by_key(|line| line.len()).unwrap().to_owned()
}

/// Every file of the appliance's state in which one of these stands.
fn files_with(folder: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, secrets));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let has = |secret: &String| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        found.extend(
            secrets.iter().filter(|secret| has(secret)).map(|secret| format!("{}: {secret}", path.display())),
        );
    }
    found
}

fn operations(chain: &str, key: &str) -> Value {
    json!([
        { "action": "create", "resource": "certificates", "document": { "name": "shop", "chain": chain, "private_key": key } },
        { "action": "create", "resource": "monitors", "document": { "name": "db", "kind": "postgres", "password": PASSWORD } },
    ])
}

fn assert_hidden(admin: &Api, server: &Server, secrets: &[String]) {
    for path in ["changesets", "audit", "events", "revisions", "certificates", "monitors", "config"] {
        let text = admin.get(&format!("/api/v1/{path}")).body.to_string();
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{path}: {text}");
    }
    assert_eq!(files_with(&server.folder().join("state"), secrets), [""; 0]);
}

#[test]
fn a_changeset_keeps_secrets_sealed_and_applies_them() {
    let (server, admin) = Server::claimed();
    let Certificate { chain, private_key: key, .. } =
        Certificate::issue(server.folder(), "shop.example").unwrap();
    let secrets = [line(&key), PASSWORD.to_owned()];
    let body = json!({ "name": "autumn", "operations": operations(&chain, &key) });
    let request = admin.request(Method::POST, "/api/v1/changesets").header("idempotency-key", "one");
    let made = send(request.json(&body));
    assert_eq!(made.status, 201, "{:#}", made.body);
    assert_hidden(&admin, &server, &secrets);
    assert!(made.body["operations"][0]["document"].get("private_key").is_none());

    // Written back as it was read, with an operation more: what is not shown stays.
    let path = made.header("location");
    let mut again = made.body["operations"].clone();
    let pool = json!({ "action": "create", "resource": "pools", "document": { "name": "web" } });
    again.as_array_mut().unwrap().insert(0, pool);
    let changed = admin.patch(&path, "*", &json!({ "operations": again }));
    assert_eq!(changed.status, 200, "{:#}", changed.body);
    let preview = admin.get(&format!("{path}/preview"));
    assert_eq!(
        (preview.status, preview.body["changes"].as_array().unwrap().len()),
        (200, 3),
        "{:#}",
        preview.body
    );
    let request = admin.request(Method::POST, &format!("{path}/apply")).header("if-match", "*");
    assert_eq!(send(request.json(&json!({}))).status, 200);
    assert_eq!(admin.get("/api/v1/certificates").body["items"][0]["name"], "shop");
    assert_hidden(&admin, &server, &secrets);
}

#[test]
fn a_changeset_that_changes_a_secret_does_so() {
    let (server, admin) = Server::claimed();
    let issue = |name: &str| Certificate::issue(&server.folder().join(name), "shop.example");
    std::fs::create_dir(server.folder().join("one")).unwrap();
    std::fs::create_dir(server.folder().join("two")).unwrap();
    let (one, two) = (issue("one").unwrap(), issue("two").unwrap());
    let first = json!({ "name": "shop", "chain": one.chain, "private_key": one.private_key });
    let id = admin.create("/api/v1/certificates", &first).id;
    let document = json!({ "chain": two.chain, "private_key": two.private_key });
    let operation = json!({ "action": "update", "resource": "certificates", "id": id, "document": document });
    let changeset =
        admin.create("/api/v1/changesets", &json!({ "name": "renewal", "operations": [operation] }));
    let request = admin.request(Method::POST, &format!("{}/apply", changeset.path)).header("if-match", "*");
    let applied = send(request.json(&json!({})));
    assert_eq!(applied.status, 200, "the key of the new chain was written with it: {:#}", applied.body);
    assert_eq!(admin.get(&format!("/api/v1/certificates/{id}")).body["chain"], json!(two.chain));
}

#[test]
fn the_same_secret_in_the_whole_configuration_changes_nothing_and_another_one_does() {
    let (_server, admin) = Server::claimed();
    let put = |password: &str| {
        let monitor = json!({ "name": "db", "kind": "postgres", "password": password });
        let answer = admin.put("/api/v1/config", "*", &json!({ "monitors": [monitor] }));
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body["changes"].as_array().unwrap().len()
    };
    assert_eq!([put(PASSWORD), put(PASSWORD), put("another one"), put("another one")], [1, 0, 1, 0]);
}
