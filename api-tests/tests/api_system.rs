//! The machine behind the API, where there is none: penstockd alone, without penstock-host.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use reqwest::Method;
use support_api::{Answer, Api, Server, send};

const UPDATE: &str = "/api/v1/system/update";

fn put_update(api: &Api, media_type: &str, bundle: Vec<u8>) -> Answer {
    send(api.request(Method::PUT, UPDATE).header("content-type", media_type).body(bundle))
}

#[test]
fn an_appliance_without_its_other_processes_is_not_ready() {
    let (server, _) = Server::claimed();
    let answer = server.anonymous().get("/readyz");
    assert_eq!((answer.status, answer.body["code"].as_str()), (503, Some("not_ready")));
}

#[test]
fn without_the_privileged_hand_nothing_is_done_to_the_machine() {
    let (server, api) = Server::claimed();
    assert_eq!(api.get("/api/v1/system").status, 503);
    let empty = serde_json::json!({});
    for order in ["rollback", "restart", "shutdown", "factory-reset"] {
        let answer = api.post(&format!("/api/v1/system/{order}"), &empty);
        assert_eq!((answer.status, answer.body["code"].as_str()), (503, Some("host_unavailable")), "{order}");
    }
    assert_eq!(api.get("/api/v1/system/settings").status, 503);
    assert_eq!(api.post("/api/v1/system/settings/confirm", &empty).status, 503);
    // Large enough that the answer comes while it is still being sent.
    let answer = put_update(&api, "application/octet-stream", vec![7; 32 << 20]);
    assert_eq!((answer.status, answer.body["code"].as_str()), (503, Some("host_unavailable")));
    assert!(!server.folder().join("state/update.raucb").exists(), "what cannot be installed is not kept");
}

#[test]
fn an_update_says_that_it_is_one() {
    let (_server, api) = Server::claimed();
    assert_eq!(put_update(&api, "application/json", b"{}".to_vec()).status, 415);
}
