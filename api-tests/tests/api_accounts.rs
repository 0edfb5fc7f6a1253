//! Who may do what: roles, sessions that can be ended, tokens for programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{ADMIN, Api, Created, PASSWORD, Server, credentials, send};

const SESSIONS: &str = "/api/v1/sessions";
const SECOND: &str = "spillway opens at noon";

fn user(admin: &Api, name: &str, role: &str) -> Created {
    admin.create("/api/v1/users", &json!({ "name": name, "role": role, "password": SECOND }))
}

fn signed_in(server: &Server, name: &str) -> Api {
    let answer = server.anonymous().post(SESSIONS, &json!({ "username": name, "password": SECOND }));
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    server.with_token(answer.body["access_token"].as_str().unwrap())
}

/// Every operation that names a permission: method, path with identifiers of nothing, permission.
fn guarded(server: &Server) -> Vec<(Method, String, String)> {
    let description = server.anonymous().get("/api/v1/openapi.json").body;
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(permission) = operation["x-permission"].as_str() else { continue };
            let path = path.split('/').map(|part| match part {
                "{generation}" => "999999",
                part if part.starts_with('{') => "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f",
                part => part,
            });
            let path = path.collect::<Vec<_>>().join("/");
            operations.push((method.to_uppercase().parse().unwrap(), path, permission.to_owned()));
        }
    }
    assert!(operations.len() > 30, "{operations:?}");
    operations
}

#[test]
fn each_role_may_do_what_its_permissions_say_and_no_more() {
    let (server, admin) = Server::claimed();
    let roles = admin.get("/api/v1/roles").body["items"].clone();
    assert_eq!(roles.as_array().unwrap().len(), 4);
    for role in roles.as_array().unwrap() {
        let name = role["name"].as_str().unwrap();
        user(&admin, &format!("a-{name}"), name);
        let caller = signed_in(&server, &format!("a-{name}"));
        for (method, path, permission) in guarded(&server) {
            if path.ends_with("/stream") {
                continue;
            }
            let answer = send(caller.request(method.clone(), &path));
            if role["permissions"].as_array().unwrap().contains(&json!(permission)) {
                assert!(![401, 403].contains(&answer.status), "{name}: {method} {path}: {:#}", answer.body);
            } else {
                answer.is_problem(403, "forbidden", []);
            }
        }
    }
    let denied = admin.get("/api/v1/audit?action=request&outcome=denied&limit=1").body["items"][0].clone();
    assert_eq!(denied["actor"], "a-auditor");
}

#[test]
fn a_refresh_token_is_good_once_and_a_copy_ends_the_session() {
    let (server, _) = Server::claimed();
    let begun = server.anonymous().post(SESSIONS, &credentials(PASSWORD)).body;
    let refresh = |token: &Value| {
        server.anonymous().post("/api/v1/sessions/refresh", &json!({ "refresh_token": token }))
    };
    let next = refresh(&begun["refresh_token"]);
    assert_eq!(next.status, 201, "{:#}", next.body);
    let api = server.with_token(next.body["access_token"].as_str().unwrap());
    assert_eq!(api.get("/api/v1/pools").status, 200);

    refresh(&begun["refresh_token"]).is_problem(401, "unauthenticated", []);
    refresh(&next.body["refresh_token"]).is_problem(401, "unauthenticated", []);
    api.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let admin = server.sign_in();
    assert_eq!(admin.get("/api/v1/audit?action=session.reuse").body["items"].as_array().unwrap().len(), 1);
    for nonsense in ["x", "psr_", "psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_x"] {
        refresh(&json!(nonsense)).is_problem(401, "unauthenticated", []);
    }
    refresh(&Value::Null).is_problem(422, "validation_failed", [("/refresh_token", "wrong_type")]);
}

#[test]
fn signing_out_ends_the_session_and_its_tokens() {
    let (server, admin) = Server::claimed();
    user(&admin, "jane", "viewer");
    let (jane, other) = (signed_in(&server, "jane"), signed_in(&server, "jane"));
    let listed = jane.get(SESSIONS).body["items"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "only her own");
    assert!(admin.get(SESSIONS).body["items"].as_array().unwrap().len() >= 3);

    let other_id =
        listed.as_array().unwrap().iter().find(|entry| entry["current"] == false).unwrap()["id"].clone();
    let end = |api: &Api, id: &Value| {
        send(api.request(Method::DELETE, &format!("{SESSIONS}/{}", id.as_str().unwrap())))
    };
    assert_eq!(end(&jane, &other_id).status, 204);
    other.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let admins = admin.get(SESSIONS).body["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["username"] == ADMIN)
        .unwrap()["id"]
        .clone();
    end(&jane, &admins).is_problem(404, "not_found", []);
    assert_eq!(send(jane.request(Method::DELETE, "/api/v1/sessions/current")).status, 204);
    jane.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
}

#[test]
fn a_token_does_what_it_is_for_and_no_more() {
    let (server, admin) = Server::claimed();
    let jane = user(&admin, "jane", "operator");
    let me = signed_in(&server, "jane");
    let tokens = format!("{}/tokens", jane.path);
    let until = lab::in_a_year(jane.body["created_at"].as_str().unwrap());
    let spec = |permissions: Value| json!({ "name": "job", "permissions": permissions, "expires_at": until });
    let created = me.post(&tokens, &spec(json!(["balancing:read", "accounts:write"])));
    assert_eq!(created.status, 201, "{:#}", created.body);
    let token = created.body["token"].as_str().unwrap();
    let job = server.with_token(token);
    assert_eq!(job.get("/api/v1/pools").status, 200);
    job.post("/api/v1/pools", &json!({ "name": "web" })).is_problem(403, "forbidden", []);
    // Its user may not either.
    job.post("/api/v1/users", &json!({})).is_problem(403, "forbidden", []);
    assert_eq!(job.get("/api/v1/sessions/current").body["permissions"], json!(["balancing:read"]));

    let path = created.header("location");
    let shown = me.get(&path);
    assert!(!shown.body.to_string().contains(token));
    let database = std::fs::read(server.folder().join("state/penstock.db-wal")).unwrap();
    assert!(!database.windows(token.len()).any(|window| window == token.as_bytes()), "only its hash is kept");

    me.post(&tokens, &spec(json!([]))).is_problem(
        422,
        "validation_failed",
        [("/permissions", "out_of_range")],
    );
    me.post(&tokens, &spec(json!(["pools:eat"]))).is_problem(
        422,
        "validation_failed",
        [("/permissions/0", "invalid")],
    );
    let other = format!(
        "/api/v1/users/{}/tokens",
        admin.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap()
    );
    me.post(&other, &spec(json!(["balancing:read"]))).is_problem(403, "forbidden", []);

    let disabled = me.patch(&path, &shown.etag(), &json!({ "enabled": false }));
    assert_eq!(disabled.status, 200);
    job.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let enabled =
        me.patch(&path, &disabled.etag(), &json!({ "enabled": true, "expires_at": "2020-01-01T00:00:00Z" }));
    assert_eq!(enabled.status, 200, "{:#}", enabled.body);
    job.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
}

#[test]
fn who_is_switched_off_or_gets_another_password_is_out() {
    let (server, admin) = Server::claimed();
    let jane = user(&admin, "jane", "viewer");
    assert!(!admin.get(&jane.path).body.to_string().contains("password"));
    let out = signed_in(&server, "jane");
    let answer = admin.patch(&jane.path, "*", &json!({ "password": "another gate at dusk" }));
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    out.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let answer = admin.patch(&jane.path, "*", &json!({ "password": SECOND, "description": "night shift" }));
    assert_eq!(answer.status, 200, "{:#}", answer.body);

    let stays = signed_in(&server, "jane");
    assert_eq!(admin.patch(&jane.path, "*", &json!({ "role": "auditor" })).status, 200);
    assert_eq!(stays.get("/api/v1/audit").status, 200, "another role counts at once");
    assert_eq!(admin.patch(&jane.path, "*", &json!({ "enabled": false })).status, 200);
    stays.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let closed = server.anonymous().post(SESSIONS, &json!({ "username": "jane", "password": SECOND }));
    closed.is_problem(401, "unauthenticated", []);
}

#[test]
fn one_changes_ones_own_password() {
    let (server, admin) = Server::claimed();
    user(&admin, "jane", "viewer");
    let jane = signed_in(&server, "jane");
    let change = |old: &str, new: &str| {
        jane.post("/api/v1/password", &json!({ "password": old, "new_password": new }))
    };
    change("not the password", "another gate at dusk").is_problem(401, "unauthenticated", []);
    change(SECOND, "jane").is_problem(422, "validation_failed", [("/new_password", "out_of_range")]);
    assert_eq!(change(SECOND, "another gate at dusk").status, 204);
    jane.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
}

#[test]
fn an_administrator_remains() {
    let (_server, admin) = Server::claimed();
    let me =
        format!("/api/v1/users/{}", admin.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap());
    admin.delete(&me, "*").is_problem(409, "in_use", []);
    admin.patch(&me, "*", &json!({ "role": "viewer" })).is_problem(409, "in_use", []);
    admin.patch(&me, "*", &json!({ "enabled": false })).is_problem(409, "in_use", []);
    user(&admin, "jane", "admin");
    assert_eq!(admin.delete(&me, "*").status, 204);
    admin.get("/api/v1/pools").is_problem(401, "unauthenticated", []);
}

#[test]
fn wrong_users_are_refused_field_by_field() {
    let (_server, admin) = Server::claimed();
    let wrong = json!({ "name": "a b", "role": "king", "password": "short", "username": "x" });
    let faults = [
        ("/name", "invalid"),
        ("/password", "out_of_range"),
        ("/role", "invalid"),
        ("/username", "unknown_field"),
    ];
    admin.post("/api/v1/users", &wrong).is_problem(422, "validation_failed", faults);
    let without = json!({ "name": "jane", "role": "viewer" });
    admin.post("/api/v1/users", &without).is_problem(422, "validation_failed", [("/password", "required")]);
    let generation = admin.get("/api/v1/status").body["generation"].clone();
    user(&admin, "jane", "viewer");
    assert_eq!(admin.get("/api/v1/status").body["generation"], generation, "the planes have nothing to do");
}

#[test]
fn guessing_many_names_from_one_address_is_slowed_down() {
    let (server, _) = Server::claimed();
    let attempt = |number: usize| {
        let guess = json!({ "username": format!("user-{number}"), "password": "a wrong password" });
        server.anonymous().post(SESSIONS, &guess).status
    };
    let statuses: Vec<_> = (0..20).map(attempt).collect();
    assert!(statuses.starts_with(&[401; 10]) && statuses.contains(&429), "{statuses:?}");
}
