//! The configuration as a whole: one document, several edits as one, going back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Server, send};

const CONFIG: &str = "/api/v1/config";

fn by_names() -> Value {
    json!({
        "virtual_ips": [{ "name": "shop", "address": "192.0.2.10" }],
        "pools": [
            { "name": "web", "members": [
                { "address": "198.51.100.1", "port": 80 },
                { "name": "two", "address": "198.51.100.2", "port": 80 },
            ] },
            { "name": "api" },
        ],
        "virtual_services": [{
            "name": "shop-http", "virtual_ip_ids": ["shop"], "protocol": "tcp", "port": 80,
            "default_pool_id": "web",
        }],
    })
}

fn summary(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let changes = answer.body["changes"].as_array().unwrap().iter();
    let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let mut changes: Vec<_> = changes
        .map(|change| {
            format!("{} {} {}", word(change, "action"), word(change, "resource"), word(change, "name"))
        })
        .collect();
    changes.sort();
    changes
}

fn text(api: &Api, path: &str) -> String {
    api.request(Method::GET, path).send().unwrap().text().unwrap()
}

#[test]
fn a_document_with_names_makes_everything_and_the_second_time_nothing() {
    let (_server, api) = Server::claimed();
    let first = api.put(CONFIG, "*", &by_names());
    let created = [
        "create members 198.51.100.1:80",
        "create members two",
        "create pools api",
        "create pools web",
        "create virtual_ips shop",
        "create virtual_services shop-http",
    ];
    assert_eq!(summary(&first), created);
    let again = api.put(CONFIG, &first.etag(), &by_names());
    assert_eq!((summary(&again).len(), again.etag()), (0, first.etag()));
    let service = api.get("/api/v1/virtual-services").body["items"][0].clone();
    let pool = api.get("/api/v1/pools?name=web").body["items"][0].clone();
    assert_eq!(service["default_pool_id"], pool["id"]);
    assert_eq!(api.get("/api/v1/revisions").body["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_exported_is_imported_byte_by_byte() {
    let (_one, api) = Server::claimed();
    assert_eq!(api.put(CONFIG, "*", &by_names()).status, 200);
    let (ids, names) = (text(&api, CONFIG), text(&api, "/api/v1/config?ids=false"));
    assert!(!names.contains("\"id\"") && names.contains("\"default_pool_id\":\"web\""), "{names}");

    let (_two, other) = Server::claimed();
    let answer = other.put(CONFIG, "*", &serde_json::from_str(&ids).unwrap());
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert_eq!(text(&other, CONFIG), ids);
    assert_eq!(text(&other, "/api/v1/config?ids=false"), names);

    let yaml = api.request(Method::GET, CONFIG).header("accept", "application/yaml").send().unwrap();
    assert_eq!(yaml.headers()["content-type"], "application/yaml");
    let yaml = yaml.text().unwrap();
    let back = other.request(Method::PUT, CONFIG).header("content-type", "application/yaml");
    let back = send(back.header("if-match", "*").body(yaml));
    assert_eq!(summary(&back).len(), 0, "the same in YAML");
}

#[test]
fn a_dry_run_says_what_applying_does_and_changes_nothing() {
    let (_server, api) = Server::claimed();
    assert_eq!(api.put(CONFIG, "*", &by_names()).status, 200);
    let mut document = api.get(CONFIG).body;
    let before = (api.everything(), text(&api, CONFIG), api.get("/api/v1/audit").body);
    // A service gets another pool and another virtual IP, and the old ones go.
    document["virtual_services"][0]["default_pool_id"] = document["pools"][1]["id"].clone();
    document["virtual_services"][0]["port"] = json!(81);
    document["pools"].as_array_mut().unwrap().remove(0);
    let id = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    document["virtual_ips"] = json!([{ "id": id, "name": "front", "address": "192.0.2.11" }]);
    document["virtual_services"][0]["virtual_ip_ids"] = json!([id]);
    let dry = api.put("/api/v1/config?dry_run=true", "*", &document);
    assert_eq!(dry.body["dry_run"], true);
    assert_eq!((api.everything(), text(&api, CONFIG), api.get("/api/v1/audit").body), before);

    let applied = api.put(CONFIG, "*", &document);
    assert_eq!(dry.body["changes"], applied.body["changes"]);
    assert_eq!(dry.body["generation"], applied.body["generation"]);
    let expected = [
        "create virtual_ips front",
        "delete members 198.51.100.1:80",
        "delete members two",
        "delete pools web",
        "delete virtual_ips shop",
        "update virtual_services shop-http",
    ];
    assert_eq!(summary(&applied), expected);
}

#[test]
fn everything_that_is_wrong_with_a_document_is_named() {
    let (_server, api) = Server::claimed();
    let before = api.everything();
    let mut document = by_names();
    document["pools"][0]["members"][1]["port"] = json!(0);
    document["pools"][1]["algorithm"] = json!("magic");
    let wrong = api.put(CONFIG, "*", &document);
    let faults = [("/pools/0/members/1/port", "out_of_range"), ("/pools/1/algorithm", "unsupported")];
    let told = wrong.faults();
    for (pointer, code) in faults {
        assert!(told.contains(&(pointer.to_owned(), code.to_owned())), "{told:?}");
    }

    let names = json!({ "virtual_services": [{
        "name": "a", "virtual_ip_ids": ["nowhere"], "protocol": "tcp", "port": 80, "default_pool_id": "none",
    }], "colours": [] });
    let faults = [
        ("/colours", "unknown_field"),
        ("/virtual_services/0/default_pool_id", "not_found"),
        ("/virtual_services/0/virtual_ip_ids/0", "not_found"),
    ];
    api.put(CONFIG, "*", &names).is_problem(422, "validation_failed", faults);
    let twice =
        json!({ "pools": [{ "name": "a", "id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f" }, { "name": "a" }] });
    assert_eq!(api.put(CONFIG, "*", &twice).status, 409);
    assert_eq!(api.everything(), before, "nothing of it was done");

    let without = send(api.request(Method::PUT, CONFIG).json(&by_names()));
    without.is_problem(428, "precondition_required", []);
    let etag = api.get(CONFIG).etag();
    api.create("/api/v1/pools", &json!({ "name": "meanwhile" }));
    api.put(CONFIG, &etag, &by_names()).is_problem(412, "stale", []);
    let yaml =
        api.request(Method::PUT, CONFIG).header("content-type", "application/yaml").header("if-match", "*");
    send(yaml.body("pools: [")).is_problem(400, "malformed_yaml", []);
}

#[test]
fn one_goes_back_to_any_revision() {
    let (_server, api) = Server::claimed();
    assert_eq!(api.put(CONFIG, "*", &by_names()).status, 200);
    let (then, generation) = (text(&api, CONFIG), api.get("/api/v1/status").body["generation"].clone());
    let pool = api.get("/api/v1/pools?name=web").body["items"][0].clone();
    let path = format!("/api/v1/pools/{}", pool["id"].as_str().unwrap());
    let service = api.get("/api/v1/virtual-services").body["items"][0].clone();
    let service = format!("/api/v1/virtual-services/{}", service["id"].as_str().unwrap());
    assert_eq!(api.delete(&service, "*").status, 204);
    assert_eq!(api.delete(&path, "*").status, 204);
    api.create("/api/v1/pools", &json!({ "name": "web" }));

    let rollback =
        |query: &str| api.post(&format!("/api/v1/revisions/{generation}/rollback{query}"), &json!({}));
    let dry = rollback("?dry_run=true");
    let done = rollback("?comment=that%20was%20wrong");
    assert_eq!(dry.body["changes"], done.body["changes"]);
    assert_eq!(text(&api, CONFIG), then);
    assert_eq!(api.get("/api/v1/revisions").body["items"][0]["comment"], "that was wrong");
    assert_eq!(summary(&rollback("")).len(), 0);
    let unknown = api.post("/api/v1/revisions/999/rollback", &json!({}));
    assert_eq!(unknown.status, 404);
}

#[test]
fn undoing_one_revision_keeps_what_others_did_since() {
    let (_server, api) = Server::claimed();
    let web = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let both = json!({ "pools": [
        { "id": web.id, "name": "web", "description": "ours" }, { "name": "api", "description": "new" },
    ] });
    let both = api.put(CONFIG, "*", &both);
    assert_eq!(summary(&both), ["create pools api", "update pools web"]);
    let generation = both.body["generation"].clone();
    assert_eq!(api.patch(&web.path, "*", &json!({ "description": "theirs" })).status, 200);
    let undone = api.post(&format!("/api/v1/revisions/{generation}/revert"), &json!({}));
    assert_eq!(
        (summary(&undone), &undone.body["kept"]),
        (vec!["delete pools api".to_owned()], &json!(["pool `web`"]))
    );
    assert_eq!(api.get(&web.path).body["description"], "theirs");
}

/// Waits for what another thread of the server does.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_nobody_confirms_is_reverted_across_a_kill() {
    let (mut server, api) = Server::claimed();
    let pool = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let kept =
        api.patch(&format!("{}?confirm_within=3600", pool.path), "*", &json!({ "description": "stays" }));
    let waiting = api.patch(&format!("{}?confirm_within=2", pool.path), "*", &json!({ "name": "shop" }));
    let number = |answer: &Answer| answer.body["generation"].as_u64().unwrap();
    let revision = |generation: u64| format!("/api/v1/revisions/{generation}");
    assert!(api.get(&revision(number(&waiting))).body["confirm_by"].is_string());
    let confirm = || api.post(&format!("{}/confirm", revision(number(&kept))), &json!({}));
    assert_eq!(confirm().status, 204);
    confirm().is_problem(409, "not_pending", []);

    server.kill_and_restart();
    let api = server.sign_in();
    eventually("it is reverted", || api.get(&pool.path).body["name"] == "web");
    assert_eq!(api.get(&pool.path).body["description"], "stays");
    let events = api.get("/api/v1/events?kind=configuration.reverted");
    assert_eq!(events.body["items"].as_array().unwrap().len(), 1, "{:#}", events.body);
    let wrong = api.patch(&format!("{}?confirm_within=0", pool.path), "*", &json!({ "name": "x" }));
    wrong.is_problem(422, "validation_failed", [("?confirm_within", "out_of_range")]);
}

#[test]
fn a_changeset_is_made_as_one_or_not_at_all() {
    let (_server, api) = Server::claimed();
    let web = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let id = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    let operations = json!([
        { "action": "create", "resource": "members", "parent_id": id,
          "document": { "address": "198.51.100.1", "port": 80 } },
        { "action": "create", "resource": "pools", "id": id, "document": { "name": "sale" } },
        { "action": "update", "resource": "pools", "id": web.id, "document": { "description": "old" } },
    ]);
    let set = api.create("/api/v1/changesets", &json!({ "name": "sale", "operations": operations }));
    let before = api.everything();
    let preview = api.get(&format!("{}/preview", set.path));
    assert_eq!(
        summary(&preview),
        ["create members 198.51.100.1:80", "create pools sale", "update pools web"]
    );
    assert_eq!(api.everything(), before);

    let apply =
        |etag: &str| send(api.request(Method::POST, &format!("{}/apply", set.path)).header("if-match", etag));
    // Somebody changes what it is about.
    assert_eq!(api.patch(&web.path, "*", &json!({ "tags": ["theirs"] })).status, 200);
    apply("*").is_problem(409, "taken", [("/operations/2", "conflict")]);
    let rewritten = api.patch(&set.path, &set.etag, &json!({ "description": "seen" }));
    apply(&set.etag).is_problem(412, "stale", []);
    assert_eq!(summary(&apply(&rewritten.etag())).len(), 4, "the changeset goes with it");
    assert_eq!(api.get(&set.path).status, 404);
    assert_eq!(api.get(&web.path).body["description"], "old");

    let wrong = json!({ "name": "x", "operations": [
        { "action": "update", "resource": "pools", "document": {} },
        { "action": "burn", "resource": "pools" },
    ] });
    let faults = [("/operations/0", "required"), ("/operations/1", "invalid")];
    api.post("/api/v1/changesets", &wrong).is_problem(422, "validation_failed", faults);
    let nowhere =
        json!({ "name": "x", "operations": [{ "action": "create", "resource": "users", "document": {} }] });
    let faults = [("/operations/0/resource", "not_found")];
    api.post("/api/v1/changesets", &nowhere).is_problem(422, "validation_failed", faults);
}

#[test]
fn many_writers_at_once_all_succeed() {
    let (_server, api) = Server::claimed();
    let pool = api.create("/api/v1/pools", &json!({ "name": "web" }));
    let members = format!("{}/members", pool.path);
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (api, members) = (api.clone(), &members);
            scope.spawn(move || {
                for number in 0..10 {
                    api.create(
                        members,
                        &json!({ "address": format!("198.51.100.{}", worker + 1), "port": 8000 + number }),
                    );
                }
            });
        }
    });
    assert_eq!(api.get(&format!("{members}?limit=500")).body["items"].as_array().unwrap().len(), 160);
    assert_eq!(api.get("/api/v1/audit/verification").body["intact"], true);
}
