//! Projects: each with its own users, who see what is its own and nothing else; and how much each may have.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use lab::in_a_year;
use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Api, Server, send};

const DEFAULT: &str = "00000000-0000-7000-8000-000000000000";
const SECRET: &str = "spillway opens at noon";

/// An appliance with two projects and something in the default one.
struct Stage {
    server: Server,
    admin: Api,
    shop: String,
    bank: String,
}

impl Stage {
    fn set() -> Self {
        let (server, admin) = Server::claimed();
        let project = |name: &str| admin.create("/api/v1/projects", &json!({ "name": name })).id;
        let (shop, bank) = (project("shop"), project("bank"));
        Self { server, admin, shop, bank }
    }

    /// A user of a project, signed in.
    fn user(&self, role: &str, project: &str) -> Api {
        let name = format!("{role}-{project}");
        let body = json!({ "name": name, "role": role, "password": SECRET, "project_id": project });
        self.admin.create("/api/v1/users", &body);
        self.sign_in(&name)
    }

    fn sign_in(&self, name: &str) -> Api {
        let session = json!({ "username": name, "password": SECRET });
        let answer = self.server.anonymous().post("/api/v1/sessions", &session);
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        self.server.with_token(answer.body["access_token"].as_str().unwrap())
    }
}

/// The names on a list.
fn names(api: &Api, list: &str) -> Vec<String> {
    let items = api.get(list).body["items"].take();
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_one_makes_is_in_ones_project_and_names_nothing_outside() {
    let stage = Stage::set();
    let (operator, other) = (stage.user("operator", &stage.shop), stage.user("operator", &stage.bank));
    let ip = operator.create("/api/v1/virtual-ips", &json!({ "name": "shop", "address": "192.0.2.10" }));
    let pool = operator.create("/api/v1/pools", &json!({ "name": "shop" }));
    let members = format!("{}/members", pool.path);
    operator.create(&members, &json!({ "address": "198.51.100.1", "port": 80 }));
    let service = json!({
        "name": "shop", "virtual_ip_ids": [ip.id], "protocol": "tcp", "port": 80, "default_pool_id": pool.id,
    });
    let service = operator.create("/api/v1/virtual-services", &service);
    for created in [&ip, &pool, &service] {
        assert_eq!(created.body["project_id"], json!(stage.shop));
    }
    let mine = stage.admin.create("/api/v1/pools", &json!({ "name": "everybody's" }));
    assert_eq!(mine.body["project_id"], DEFAULT);
    assert_eq!(names(&operator, "/api/v1/pools"), ["shop"]);
    assert_eq!(names(&other, "/api/v1/pools"), [""; 0]);
    assert_eq!(names(&stage.admin, "/api/v1/pools"), ["shop", "everybody's"]);
    assert_eq!(names(&stage.admin, &format!("/api/v1/pools?project_id={}", stage.shop)), ["shop"]);

    // Others' things are not there, neither to see nor to name; that a name or an address is taken is all that is told.
    other.get(&service.path).is_problem(404, "not_found", []);
    let theirs = json!({
        "name": "bank", "virtual_ip_ids": [ip.id], "protocol": "tcp", "port": 80, "default_pool_id": pool.id,
    });
    let refused = other.post("/api/v1/virtual-services", &theirs);
    let faults = [("/default_pool_id", "not_found"), ("/virtual_ip_ids/0", "not_found")];
    refused.is_problem(422, "validation_failed", faults);
    let refused = other.post("/api/v1/virtual-ips", &json!({ "name": "bank", "address": "192.0.2.10" }));
    refused.is_problem(409, "taken", [("/address", "taken")]);
    assert!(!refused.body.to_string().contains("shop"), "{:#}", refused.body);
    let refused = other.post("/api/v1/pools", &json!({ "name": "shop" }));
    refused.is_problem(409, "taken", [("/name", "taken")]);
    // Not even the administrator joins two projects.
    let refused = stage.admin.patch(&mine.path, "*", &json!({ "backup_pool_id": pool.id }));
    refused.is_problem(422, "validation_failed", [("/backup_pool_id", "not_found")]);

    // Where a thing is, it stays.
    let elsewhere = json!({ "name": "other", "project_id": stage.bank });
    operator.post("/api/v1/pools", &elsewhere).is_problem(
        422,
        "validation_failed",
        [("/project_id", "not_found")],
    );
    let moved = stage.admin.patch(&pool.path, "*", &json!({ "project_id": stage.bank }));
    moved.is_problem(422, "validation_failed", [("/project_id", "unsupported")]);
    assert_eq!(stage.admin.create("/api/v1/pools", &elsewhere).body["project_id"], json!(stage.bank));
    let nowhere = json!({ "name": "third", "project_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f" });
    let refused = stage.admin.post("/api/v1/pools", &nowhere);
    refused.is_problem(422, "validation_failed", [("/project_id", "not_found")]);
}

#[test]
fn a_project_has_as_many_as_it_may_have_and_no_more() {
    let stage = Stage::set();
    let project = format!("/api/v1/projects/{}", stage.shop);
    let quotas = json!({ "quotas": { "pools": 2, "members": 3, "certificates": 0 } });
    assert_eq!(stage.admin.patch(&project, "*", &quotas).status, 200);
    let operator = stage.user("operator", &stage.shop);
    let pools: Vec<_> =
        ["a", "b"].map(|name| operator.create("/api/v1/pools", &json!({ "name": name }))).into();
    let third = json!({ "name": "c" });
    let refused = operator.post("/api/v1/pools", &third);
    refused.is_problem(409, "quota_exceeded", []);
    assert_eq!(refused.body["detail"], "project `shop` may have 2 of pools, and has them");
    for (index, port) in [0, 1, 0].into_iter().zip(8001..) {
        let member = json!({ "address": "198.51.100.1", "port": port });
        operator.create(&format!("{}/members", pools[index].path), &member);
    }
    let member = json!({ "address": "198.51.100.1", "port": 8010 });
    // Nor may the administrator put more there, in whatever way.
    for api in [&operator, &stage.admin] {
        api.post(&format!("{}/members", pools[1].path), &member).is_problem(409, "quota_exceeded", []);
    }
    let operations = json!([{ "action": "create", "resource": "pools", "document": { "name": "c", "project_id": stage.shop } }]);
    let changeset =
        stage.admin.create("/api/v1/changesets", &json!({ "name": "more", "operations": operations }));
    let apply = stage.admin.request(Method::POST, &format!("{}/apply", changeset.path));
    let refused = send(apply.header("if-match", "*"));
    refused.is_problem(409, "taken", [("/operations/0", "quota_exceeded")]);
    let certificate = operator.post("/api/v1/certificates", &json!({ "name": "shop" }));
    certificate.is_problem(409, "quota_exceeded", []);

    // They see how much that is, and cannot change it.
    let seen = operator.get(&project);
    assert_eq!((&seen.body["used"]["pools"], &seen.body["used"]["members"]), (&json!(2), &json!(3)));
    operator.patch(&project, "*", &json!({ "quotas": {} })).is_problem(403, "forbidden", []);
    assert_eq!(names(&operator, "/api/v1/projects"), ["shop"]);
    // Elsewhere it does not count; and what is given up can be had again.
    stage.user("operator", &stage.bank).create("/api/v1/pools", &third);
    assert_eq!(operator.delete(&pools[1].path, "*").status, 204);
    operator.create("/api/v1/pools", &json!({ "name": "d" }));
    // Less than there is takes nothing away.
    assert_eq!(stage.admin.patch(&project, "*", &json!({ "quotas": { "pools": 1 } })).status, 200);
    assert_eq!(names(&operator, "/api/v1/pools").len(), 2);
}

#[test]
fn the_administrator_of_a_project_has_its_users_alone() {
    let stage = Stage::set();
    let admin = stage.user("admin", &stage.shop);
    let current = admin.get("/api/v1/sessions/current").body;
    assert_eq!(current["project_id"], json!(stage.shop));
    let permissions = json!(["balancing:read", "balancing:write", "accounts:read", "accounts:write"]);
    assert_eq!(current["permissions"], permissions);
    let clerk = json!({ "name": "clerk", "role": "viewer", "password": SECRET });
    let clerk = admin.create("/api/v1/users", &clerk);
    assert_eq!(clerk.body["project_id"], json!(stage.shop));
    assert_eq!(names(&admin, "/api/v1/users"), [format!("admin-{}", stage.shop), "clerk".to_owned()]);
    let stranger = json!({ "name": "spy", "role": "admin", "password": SECRET, "project_id": stage.bank });
    admin.post("/api/v1/users", &stranger).is_problem(
        422,
        "validation_failed",
        [("/project_id", "not_found")],
    );
    let raised = admin.patch(&clerk.path, "*", &json!({ "role": "admin" }));
    assert_eq!(raised.status, 200);
    let freed = admin.patch(&clerk.path, "*", &json!({ "project_id": null }));
    assert_eq!((freed.status, &freed.body["project_id"]), (200, &json!(stage.shop)));
    // Nor others' sessions, nor the last administrator's place.
    let sessions = admin.get("/api/v1/sessions").body["items"].take();
    assert!(
        sessions.as_array().unwrap().iter().all(|session| session["username"] != "admin"),
        "{sessions:#}"
    );
    let owner = stage.admin.get("/api/v1/sessions/current").body["user_id"].take();
    let last = stage.admin.patch(
        &format!("/api/v1/users/{}", owner.as_str().unwrap()),
        "*",
        &json!({ "enabled": false }),
    );
    last.is_problem(409, "in_use", []);
}

#[test]
fn a_token_can_be_good_for_one_project_alone() {
    let stage = Stage::set();
    stage.admin.create("/api/v1/pools", &json!({ "name": "everybody's" }));
    let owner = stage.admin.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap().to_owned();
    let tokens = format!("/api/v1/users/{owner}/tokens");
    let now = stage.admin.get("/api/v1/projects").body["items"][0]["created_at"].as_str().unwrap().to_owned();
    let until = in_a_year(&now);
    let body = json!({
        "name": "deploy", "permissions": ["balancing:read", "balancing:write", "accounts:write", "system:write"],
        "expires_at": until, "project_id": stage.shop,
    });
    let created = stage.admin.post(&tokens, &body);
    assert_eq!(created.status, 201, "{:#}", created.body);
    let bound = stage.server.with_token(created.body["token"].as_str().unwrap());
    bound.create("/api/v1/pools", &json!({ "name": "shop" }));
    assert_eq!(names(&bound, "/api/v1/pools"), ["shop"]);
    bound.get("/api/v1/config").is_problem(403, "forbidden", []);
    bound.post("/api/v1/system/restart", &json!({})).is_problem(403, "forbidden", []);
    // It makes no other that is good for more, and does not free itself.
    let free = json!({ "name": "free", "permissions": ["balancing:read"], "expires_at": until });
    bound.post(&tokens, &free).is_problem(404, "not_found", []);
    let path = created.header("location");
    bound.patch(&path, "*", &json!({ "project_id": null })).is_problem(404, "not_found", []);

    // That of a project's user is the project's, and of no other.
    let operator = stage.user("operator", &stage.bank);
    let user = operator.get("/api/v1/sessions/current").body["user_id"].as_str().unwrap().to_owned();
    let tokens = format!("/api/v1/users/{user}/tokens");
    let elsewhere = json!({ "name": "x", "permissions": ["balancing:read"], "expires_at": until, "project_id": stage.shop });
    operator.post(&tokens, &elsewhere).is_problem(422, "validation_failed", [("/project_id", "not_found")]);
    let created = operator.post(&tokens, &free);
    let bound = stage.server.with_token(created.body["token"].as_str().unwrap());
    assert_eq!(names(&bound, "/api/v1/pools"), [""; 0]);
}

#[test]
fn a_project_goes_when_nothing_is_in_it_and_the_default_one_stays() {
    let stage = Stage::set();
    let path = format!("/api/v1/projects/{}", stage.shop);
    let pool = stage.admin.create("/api/v1/pools", &json!({ "name": "web", "project_id": stage.shop }));
    let refused = stage.admin.delete(&path, "*");
    refused.is_problem(409, "in_use", []);
    assert_eq!(refused.body["detail"], "project `shop` still has 1 pools");
    assert_eq!(stage.admin.delete(&pool.path, "*").status, 204);
    assert_eq!(stage.admin.delete(&path, "*").status, 204);
    stage.admin.delete(&format!("/api/v1/projects/{DEFAULT}"), "*").is_problem(409, "in_use", []);
}

#[test]
fn projects_are_part_of_the_configuration_and_are_carried_by_name() {
    let stage = Stage::set();
    let quota = json!({ "quotas": { "pools": 5 } });
    stage.admin.patch(&format!("/api/v1/projects/{}", stage.shop), "*", &quota);
    stage.admin.create("/api/v1/pools", &json!({ "name": "web", "project_id": stage.shop }));
    let document = stage.admin.get("/api/v1/config?ids=false").body;
    assert_eq!(document["pools"][0]["project_id"], "shop");
    let (_server, elsewhere) = Server::claimed();
    let put = |document: &Value| elsewhere.put("/api/v1/config", "*", document);
    assert_eq!(put(&document).status, 200);
    assert_eq!(elsewhere.get("/api/v1/config?ids=false").body, document);
    let projects = elsewhere.get("/api/v1/projects").body["items"].take();
    assert!(projects.as_array().unwrap().iter().any(|it| it["id"] == DEFAULT), "{projects:#}");
    // A document that knows of no project makes the default one all there is.
    let old = json!({ "pools": [{ "name": "web" }] });
    assert_eq!(put(&json!({})).status, 200);
    assert_eq!(put(&old).status, 200);
    assert_eq!(names(&elsewhere, "/api/v1/projects"), ["default"]);
    assert_eq!(elsewhere.get("/api/v1/pools").body["items"][0]["project_id"], DEFAULT);
}
