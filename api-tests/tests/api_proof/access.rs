//! Who may call what: each route with each role.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::json;

use crate::support_api::{Answer, Api, send};
use crate::walk::Operation;
use crate::world::{One, World};

/// Routes for whoever is signed in: they show and change what is the caller's own.
const SIGNED_IN: [&str; 15] = [
    "changePassword",
    "confirmSecondFactor",
    "deleteSession",
    "endSecondFactor",
    "endSession",
    "enrolSecondFactor",
    "listOperations",
    "listRoles",
    "listSessions",
    "readOperation",
    "readSecondFactor",
    "readSession",
    "renewSession",
    "refreshSession",
    "createSession",
];

/// Calls with nothing beside the address: whoever may come in is told what else is missing, and nothing is changed.
fn call(api: &Api, operation: &Operation) -> Answer {
    send(api.request(operation.method.clone(), &operation.nowhere()))
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let world = World::new();
    let roles = world.admin.get("/api/v1/roles").body;
    let permissions: BTreeMap<&str, BTreeSet<&str>> = roles["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| {
            let words = role["permissions"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
            (role["name"].as_str().unwrap(), words.collect())
        })
        .collect();
    assert_eq!(permissions.keys().copied().collect::<Vec<_>>(), ["admin", "auditor", "operator", "viewer"]);
    let before = world.state();
    let callers: Vec<(&str, Api)> =
        permissions.keys().filter(|role| **role != "admin").map(|role| (*role, world.user(role))).collect();
    let mut guarded = 0;
    for operation in world.description.operations() {
        if operation.is_open() {
            continue;
        }
        let what = format!("{} {}", operation.method, operation.path);
        let answer = call(&world.server.anonymous(), &operation);
        assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("unauthenticated")), "{what}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        let broken = call(&world.server.with_token("pst_nonsense"), &operation);
        assert_eq!(broken.status, 401, "{what}");
        let Some(permission) = operation.permission() else {
            assert!(SIGNED_IN.contains(&operation.id()), "{what} demands no permission");
            continue;
        };
        for (role, api) in &callers {
            let may = permissions[role].contains(permission);
            if may && operation.id() == "streamEvents" {
                continue; // It has no end.
            }
            let answer = call(api, &operation);
            let refused = answer.status == 403 && answer.body["code"] == "forbidden";
            assert_eq!(refused, !may, "{role} at {what}: {:#}", answer.body);
            assert_ne!(answer.status, 401, "{role} at {what}");
        }
        guarded += 1;
    }
    assert!(guarded > 60, "only {guarded} routes are guarded");
    let mut after = world.state();
    // The callers themselves are new.
    let users = world.resources.iter().position(|one| one.collection == "/api/v1/users").unwrap() + 1;
    assert_eq!(
        after[users].as_array().unwrap().len(),
        before[users].as_array().unwrap().len() + callers.len()
    );
    after[users] = before[users].clone();
    assert_eq!(after, before, "a call without a body changed something");
}

/// What a project's users may do there, whatever else their role lets others do.
const WITHIN_PROJECTS: [&str; 4] = ["balancing:read", "balancing:write", "accounts:read", "accounts:write"];

#[test]
fn who_belongs_to_a_project_comes_in_nowhere_else() {
    let world = World::new();
    let project = world.admin.create("/api/v1/projects", &json!({ "name": "elsewhere" })).id;
    let roles = world.admin.get("/api/v1/roles").body;
    let roles = roles["items"].as_array().unwrap();
    let callers: Vec<(&serde_json::Value, Api)> = roles
        .iter()
        .map(|role| (role, world.user_of(role["name"].as_str().unwrap(), &json!(project))))
        .collect();
    let before = world.state();
    let (mut scoped, mut closed) = (0, 0);
    for operation in world.description.operations() {
        let Some(permission) = operation.permission() else { continue };
        let what = format!("{} {}", operation.method, operation.path);
        for (role, api) in &callers {
            let has = role["permissions"].as_array().unwrap().iter().any(|word| word == permission);
            let may = has && operation.is_scoped() && WITHIN_PROJECTS.contains(&permission);
            let answer = call(api, &operation);
            let refused = answer.status == 403 && answer.body["code"] == "forbidden";
            assert_eq!(refused, !may, "{} of a project at {what}: {:#}", role["name"], answer.body);
            if may { scoped += 1 } else { closed += 1 }
        }
    }
    assert!(scoped > 100 && closed > 200, "{scoped} were let, {closed} were not");

    // What is in another project is not there: neither to be read nor to be changed, by nobody.
    for One { collection, list, created, another } in &world.resources {
        for (role, api) in &callers {
            let what = format!("{} of another project at {}", role["name"], created.path);
            let not_there = |answer: &Answer| {
                let code = answer.body["code"].as_str();
                assert!(
                    matches!((answer.status, code), (404, Some("not_found")) | (403, Some("forbidden"))),
                    "{what}: {} {:#}",
                    answer.status,
                    answer.body
                );
                answer.status
            };
            let read = not_there(&api.get(&created.path));
            not_there(&api.put(&created.path, "*", another));
            not_there(&api.patch(&created.path, "*", &json!({ "description": "mine" })));
            not_there(&api.delete(&created.path, "*"));
            // A role that sees such things in its own project is told that there is none, as of what nobody has.
            let path = format!("{collection}/{{id}}");
            let reading = |operation: &Operation| operation.path == path && operation.method == Method::GET;
            let operations = world.description.operations();
            let operation = operations.iter().find(|operation| reading(operation)).unwrap();
            assert_eq!(read, call(api, operation).status, "{what}");
            let listed = api.get(list);
            if listed.status == 200 {
                let items = listed.body["items"].as_array().unwrap();
                assert!(items.iter().all(|item| item["id"] != created.id), "{what}: it is listed");
            } else {
                not_there(&listed);
            }
            // Below what is not theirs nothing can be made.
            if list != collection {
                not_there(&api.post(list, another));
            }
        }
    }
    assert_eq!(world.state()[1..], before[1..]);
}

#[test]
fn what_is_nowhere_and_what_is_not_offered_is_a_problem_everywhere() {
    let world = World::new();
    let operations = world.description.operations();
    let mut methods: BTreeMap<&str, Vec<Method>> = BTreeMap::new();
    for operation in &operations {
        methods.entry(&operation.path).or_default().push(operation.method.clone());
    }
    for operation in operations.iter().filter(|operation| operation.path.contains('{')) {
        let request = world.admin.request(operation.method.clone(), &operation.nowhere());
        let request = request.header("if-match", "*");
        let request = match operation.method {
            Method::GET | Method::DELETE => request,
            _ => request.json(&body(&world, operation)),
        };
        let answer = send(request);
        let what = format!("{} {}: {:#}", operation.method, operation.path, answer.body);
        assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some("not_found")), "{what}");
        assert!(operation.declares(404), "{what} is not declared");
    }
    for (path, offered) in &methods {
        let path = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
            if !offered.contains(&method) {
                let answer = send(world.admin.request(method.clone(), &path));
                assert_eq!(answer.status, 405, "{method} {path}");
                let allowed = answer.header("allow");
                assert!(offered.iter().all(|method| allowed.contains(method.as_str())), "{path}: {allowed}");
            }
        }
    }
}

/// A body that is well but for its address.
fn body(world: &World, operation: &Operation) -> serde_json::Value {
    let of = |one: &&crate::world::One| operation.path.starts_with(one.collection);
    // The longest that fits: members are below pools.
    let one = world.resources.iter().filter(of).max_by_key(|one| one.collection.len());
    one.map_or(serde_json::json!({}), |one| one.another.clone())
}
