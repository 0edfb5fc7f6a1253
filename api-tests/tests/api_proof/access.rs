//! Who may call what: each route with each role.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;

use crate::support_api::{Answer, Api, send};
use crate::walk::Operation;
use crate::world::World;

/// Routes for whoever is signed in: they show and change what is the caller's own.
const SIGNED_IN: [&str; 13] = [
    "changePassword",
    "confirmSecondFactor",
    "deleteSession",
    "endSecondFactor",
    "endSession",
    "enrolSecondFactor",
    "listRoles",
    "listSessions",
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
