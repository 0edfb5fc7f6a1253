//! Operations: what takes a while goes on by itself where the client prefers so, and tells how it went.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Server, send};

/// What an operation may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks without waiting, and gives the operation's address.
fn begin(api: &Api, method: Method, path: &str, body: &Value) -> Answer {
    let request = api.request(method, path).header("if-match", "*");
    let answer = send(request.header("prefer", "respond-async, wait=10").json(body));
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    assert_eq!((answer.header("preference-applied").as_str(), &answer.body), ("respond-async", &Value::Null));
    answer
}

/// How it ended.
fn end(api: &Api, begun: &Answer) -> Value {
    let since = Instant::now();
    loop {
        let operation = api.get(&begun.header("location")).body;
        if operation["state"] != "running" {
            assert!(operation["ended_at"].as_str() >= operation["created_at"].as_str(), "{operation:#}");
            return operation;
        }
        assert!(since.elapsed() < PATIENCE, "it goes on: {operation:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_backup_is_taken_and_restored_while_nobody_waits() {
    let (server, admin) = Server::claimed();
    admin.create("/api/v1/pools", &json!({ "name": "web" }));
    let order = json!({ "passphrase": "weir and sluice" });
    let taken = end(&admin, &begin(&admin, Method::POST, "/api/v1/backups", &order));
    assert_eq!((&taken["state"], &taken["status"]), (&json!("succeeded"), &json!(201)));
    assert_eq!((&taken["operation"], &taken["problem"]), (&json!("takeBackup"), &Value::Null));
    let backup = taken["location"].as_str().unwrap().to_owned();
    assert_eq!(admin.get(&backup).body["id"], taken["result"]["id"]);

    assert_eq!(admin.put("/api/v1/config", "*", &json!({})).status, 200);
    let restore = format!("{backup}/restore");
    let restored = end(&admin, &begin(&admin, Method::POST, &restore, &order));
    assert_eq!(
        (&restored["status"], &restored["result"]["changes"][0]["name"]),
        (&json!(200), &json!("web"))
    );
    assert_eq!(admin.get("/api/v1/pools").body["items"][0]["name"], "web");
    // Why one failed is what who waits would have been told.
    let wrong = json!({ "passphrase": "something else" });
    let failed = end(&admin, &begin(&admin, Method::POST, &restore, &wrong));
    assert_eq!(
        (&failed["state"], &failed["status"], &failed["result"]),
        (&json!("failed"), &json!(422), &Value::Null)
    );
    assert_eq!(failed["problem"]["errors"][0]["pointer"], "/passphrase");
    assert_eq!(failed["problem"]["request_id"], failed["id"]);

    // They are for who began them.
    let names: Vec<_> = admin.get("/api/v1/operations").body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["operation"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["restoreBackup", "restoreBackup", "takeBackup"]);
    let jane = json!({ "name": "jane", "role": "admin", "password": "spillway opens at noon" });
    admin.create("/api/v1/users", &jane);
    let session = json!({ "username": "jane", "password": "spillway opens at noon" });
    let session = server.anonymous().post("/api/v1/sessions", &session);
    let jane = server.with_token(session.body["access_token"].as_str().unwrap());
    assert_eq!(jane.get("/api/v1/operations").body["items"], json!([]));
    jane.get(&format!("/api/v1/operations/{}", failed["id"].as_str().unwrap())).is_problem(
        404,
        "not_found",
        [],
    );
}

#[test]
fn who_may_not_is_told_at_once_and_nothing_begins() {
    let (server, admin) = Server::claimed();
    let later = |api: &Api, method: Method, path: &str| {
        send(api.request(method, path).header("prefer", "respond-async").json(&json!({ "name": "x" })))
    };
    assert_eq!(later(&server.anonymous(), Method::POST, "/api/v1/backups").status, 401);
    assert_eq!(admin.get("/api/v1/operations").body["items"], json!([]));
    // What is done at once is, whatever one prefers.
    assert_eq!(later(&admin, Method::POST, "/api/v1/pools").status, 201);
    // Preconditions hold as ever.
    let refused = end(&admin, &{
        let request = admin.request(Method::PUT, "/api/v1/config").header("if-match", "\"0\"");
        send(request.header("prefer", "Respond-Async").json(&json!({})))
    });
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!(412), &json!("stale")));
    assert_eq!(admin.get("/api/v1/pools").body["items"][0]["name"], "x");
}
