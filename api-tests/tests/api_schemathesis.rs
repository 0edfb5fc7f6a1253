//! schemathesis tries the API by its own description: examples, limits, chance, and calls that follow from each other.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::process::Command;

use lab::in_a_year;
use serde_json::json;
use support_api::Server;

/// What cannot be tried: streams have no end, the machine and the planes are not there, and who signs out or changes the
/// password has nothing more to try.
const EXCLUDED: &str = "^/api/v1/(system|events/stream|stats$|docs|claim|password|sessions)|^/readyz";

/// So many seconds it may take.
const MOST_S: &str = "90";

/// A token that may do everything but end itself. What was written may be refused for what no schema says (what it names does
/// not exist, somebody else has it): so that check is left out.
#[test]
#[ignore = "takes several minutes, and installs schemathesis: make test-full"]
fn schemathesis_finds_nothing() {
    let (server, admin) = Server::claimed();
    let me = admin.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap().to_owned();
    let pool = admin.create("/api/v1/pools", &json!({ "name": "first" }));
    let permissions = ["balancing:read", "balancing:write", "accounts:read", "accounts:write", "audit:read"];
    let expires = in_a_year(pool.body["created_at"].as_str().unwrap());
    let token = json!({ "name": "schemathesis", "permissions": permissions, "expires_at": expires });
    let token = admin.post(&format!("/api/v1/users/{me}/tokens"), &token).body["token"].take();

    let config = server.folder().join("schemathesis.toml");
    // 412 and 428 are what a precondition is answered with (RFC 9110, RFC 6585).
    let text = "[checks]\n\
                negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 503]\n\
                missing_required_header.expected-statuses = [406, 428]\n\
                positive_data_acceptance.enabled = false\n";
    fs::write(&config, text).unwrap();
    let output = Command::new(program())
        .current_dir(server.folder())
        .args(["--no-color", "--config-file"])
        .arg(&config)
        .args(["run", &format!("{}/api/v1/openapi.json", server.address()), "--tls-verify", "false"])
        .args(["--url", server.address(), "--header"])
        .arg(format!("Authorization: Bearer {}", token.as_str().unwrap()))
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--generation-deterministic"])
        .args(["--max-examples", "25", "--max-time", MOST_S, "--continue-on-failure"])
        .args(["--exclude-path-regex", EXCLUDED])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
    assert!(output.status.success(), "{said}");
}

fn program() -> String {
    let output = Command::new("../.ci/schemathesis").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
