//! What others make of the API's description: a client that is generated from it, and a linter's opinion.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lab::in_a_year;
use serde_json::json;
use support_api::Server;

/// What `.ci/<name>` installs.
fn installed(name: &str) -> String {
    let output = Command::new(format!("../.ci/{name}")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", told(&output.stdout), told(&output.stderr));
    output
}

#[test]
#[ignore = "installs a generator of clients: make test-full"]
fn a_generated_client_creates_a_service() {
    let (server, admin) = Server::claimed();
    let folder = server.folder();
    let me = admin.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap().to_owned();
    let until = admin.get(&format!("/api/v1/users/{me}")).body["created_at"].as_str().map(in_a_year);
    let token = json!({ "name": "client", "permissions": ["balancing:read", "balancing:write"], "expires_at": until });
    let token = admin.post(&format!("/api/v1/users/{me}/tokens"), &token).body["token"].take();

    let description = admin.get("/api/v1/openapi.json").body;
    fs::write(folder.join("openapi.json"), description.to_string()).unwrap();
    fs::write(folder.join("generator.yaml"), "post_hooks: []\n").unwrap();
    let programs = installed("client-generator");
    let generate = ["generate", "--meta", "none", "--path", "openapi.json", "--config", "generator.yaml"];
    succeeds(
        Command::new(format!("{programs}/openapi-python-client"))
            .current_dir(folder)
            .args(generate)
            .args(["--output-path", "penstock_client"]),
    );
    let script = Path::new("tests/generated_client.py").canonicalize().unwrap();
    let output = succeeds(
        Command::new(format!("{programs}/python"))
            .current_dir(folder)
            .env("PYTHONPATH", folder)
            .arg(script)
            .args([server.address(), token.as_str().unwrap(), "state/tls/certificate.pem"]),
    );

    let said = String::from_utf8(output.stdout).unwrap();
    let service = admin.get(&format!("/api/v1/virtual-services/{}", said.trim()));
    assert_eq!((service.status, &service.body["description"]), (200, &json!("made by a generated client")));
    let pool = service.body["default_pool_id"].as_str().unwrap();
    let members = admin.get(&format!("/api/v1/pools/{pool}/members")).body["items"].take();
    assert_eq!(members.as_array().unwrap().len(), 2);
}

#[test]
#[ignore = "installs spectral: make test-full"]
fn spectral_finds_no_error() {
    let place = installed("spectral");
    // Rule sets are looked for beside the file that names them.
    let folder = tempfile::tempdir_in(&place).unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::copy("tests/spectral.yaml", &rules).unwrap();
    let output = succeeds(
        Command::new(format!("{place}/node_modules/.bin/spectral"))
            .args([
                "lint",
                "--fail-severity",
                "error",
                "--display-only-failures",
                "--format",
                "text",
                "--ruleset",
            ])
            .arg(&rules)
            .arg("../appliance/server/openapi.json"),
    );
    println!("{}", String::from_utf8_lossy(&output.stdout));
}
