//! Connections and packets as they are asked for, where no plane answers: what is wrong is named first.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use serde_json::{Value, json};
use support_api::Server;

fn packet(changes: &Value) -> Value {
    let mut packet = json!({
        "source": { "address": "192.0.2.7", "port": 40000 }, "destination": { "address": "192.0.2.10", "port": 80 },
    });
    packet.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "packet": packet })
}

#[test]
fn every_wrong_part_of_a_packet_is_named() {
    let (_server, admin) = Server::claimed();
    let wrong = |body: &Value, pointer: &str, code: &str| {
        admin.post("/api/v1/explain/packet", body).is_problem(422, "validation_failed", [(pointer, code)]);
    };
    wrong(&json!({}), "/packet", "required");
    wrong(&json!({ "packet": null, "frame": null }), "/packet", "required");
    wrong(&packet(&json!({ "protocol": "sctp" })), "/packet/protocol", "invalid");
    wrong(
        &packet(&json!({ "source": { "address": "192.0.2.7", "port": 0 } })),
        "/packet/source/port",
        "out_of_range",
    );
    wrong(
        &packet(&json!({ "source": { "address": "::1", "port": 1 } })),
        "/packet/source/address",
        "invalid",
    );
    wrong(
        &packet(&json!({ "source": { "address": "2001:db8::1", "port": 1 } })),
        "/packet/destination",
        "invalid",
    );
    wrong(&packet(&json!({ "flags": ["syn", "urgent"] })), "/packet/flags/1", "invalid");
    wrong(&packet(&json!({ "length": 3 })), "/packet/length", "unknown_field");
    wrong(&json!({ "frame": "0200:0000 000" }), "/frame", "out_of_range");
    wrong(&json!({ "frame": "02000000000102000000000908004500z0" }), "/frame", "invalid");
    wrong(&json!({ "frame": "020000000001020000000009080045000" }), "/frame", "invalid");
    let mut both = packet(&json!({}));
    both["frame"] = json!("0200000000010200000000090800450000");
    wrong(&both, "/frame", "invalid");
}

#[test]
fn without_the_plane_it_is_said_that_it_is_away() {
    let (_server, admin) = Server::claimed();
    admin.post("/api/v1/explain/packet", &packet(&json!({}))).is_problem(503, "plane_unavailable", []);
    admin.get("/api/v1/connections").is_problem(503, "plane_unavailable", []);
    admin.get("/api/v1/connections?state=new").is_problem(422, "validation_failed", [("?state", "invalid")]);
    admin.get("/api/v1/requests").is_problem(503, "plane_unavailable", []);
    admin.get("/api/v1/requests?status=6").is_problem(422, "validation_failed", [("?status", "invalid")]);
    let known = "dGNwLDE5Mi4wLjIuNzo0MDAwMCwxOTIuMC4yLjEwOjgw";
    admin.delete(&format!("/api/v1/connections/{known}"), "*").is_problem(503, "plane_unavailable", []);
    admin.delete("/api/v1/connections/nobody", "*").is_problem(404, "not_found", []);
}
