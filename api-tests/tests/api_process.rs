//! The program: what it keeps when it is killed, and what it says when it cannot start.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Server, program, send, write_config};

const POOLS: &str = "/api/v1/pools";

fn post_with_key(api: &Api, key: &str, body: &Value) -> Answer {
    send(api.request(Method::POST, POOLS).header("idempotency-key", key).json(body))
}

/// Starts the program where it must fail: what it says.
fn failing(folder: &Path) -> String {
    let output = program(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap().to_owned();
    assert!(last.starts_with("penstockd: "), "{said}");
    last
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    let (mut server, api) = Server::claimed();
    let body = json!({ "name": "web" });
    let first = post_with_key(&api, "key-1", &body);
    assert_eq!(first.status, 201);
    let second = post_with_key(&api, "key-1", &body);
    assert_eq!((second.status, &second.body, second.etag()), (201, &first.body, first.etag()));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(api.get(POOLS).body["items"].as_array().unwrap().len(), 1);

    let other = json!({ "name": "other" });
    let reused = post_with_key(&api, "key-1", &other);
    reused.is_problem(422, "idempotency_key_reused", [("Idempotency-Key", "reused")]);
    post_with_key(&api, "", &other).is_problem(422, "validation_failed", [("Idempotency-Key", "invalid")]);
    // Without the key, or with another one, the name is taken.
    post_with_key(&api, "key-2", &body).is_problem(409, "taken", [("/name", "taken")]);
    // What was refused is not remembered.
    assert_eq!(post_with_key(&api, "key-2", &other).status, 201);

    server.kill_and_restart();
    let api = server.sign_in();
    assert_eq!(post_with_key(&api, "key-1", &body).body["id"], first.body["id"]);
}

#[test]
fn its_files_are_for_its_user_alone() {
    let (server, api) = Server::claimed();
    api.create(POOLS, &json!({ "name": "web" }));
    let state = server.folder().join("state");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("tls/key.pem")), 0o600);
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn it_stops_when_asked_to() {
    let (server, api) = Server::claimed();
    api.create(POOLS, &json!({ "name": "web" }));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn it_says_in_one_sentence_why_it_cannot_start() {
    let (server, _api) = Server::claimed();
    let taken = server.address().strip_prefix("https://").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();

    assert!(failing(at).contains("cannot read the configuration file"));
    fs::write(at.join("penstock.toml"), "colour = 1").unwrap();
    assert!(failing(at).contains("is not understood: line 1: unknown field `colour`"));

    write_config(at, taken);
    assert!(failing(at).contains(&format!("cannot listen on {taken}")));

    write_config(at, "127.0.0.1:0");
    fs::remove_dir_all(at.join("state")).unwrap();
    fs::write(at.join("state"), "a file").unwrap();
    assert!(failing(at).contains("cannot write into the directory"));
}
