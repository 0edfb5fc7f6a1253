//! Writes that say what they change, and writes that may come twice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support_api::send;
use crate::world::{One, World};

/// Tags that are nobody's: of another version, weak, and not a tag at all.
fn wrong_tags(right: &str) -> [String; 3] {
    ["\"0\"".to_owned(), format!("W/{right}"), "nonsense".to_owned()]
}

#[test]
fn every_write_says_which_version_it_changes() {
    let world = World::new();
    let before = world.state();
    for One { created, another, collection, .. } in &world.resources {
        let tag = world.admin.get(&created.path).etag();
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let request = || {
                let request = world.admin.request(method.clone(), &created.path);
                if method == Method::DELETE { request } else { request.json(another) }
            };
            send(request()).is_problem(428, "precondition_required", []);
            for wrong in wrong_tags(&tag) {
                send(request().header("if-match", &wrong)).is_problem(412, "stale", []);
            }
        }
        assert_eq!(world.admin.get(&created.path).etag(), tag, "{collection} was changed");
        let known = world.admin.request(Method::GET, &created.path).header("if-none-match", &tag);
        assert_eq!(send(known).status, 304, "{collection}");
    }
    let declared = world.description.operations();
    let singles = declared.iter().filter(|operation| operation.takes("header", "If-Match"));
    for operation in singles.filter(|operation| operation.path == "/api/v1/config") {
        let request = || world.admin.request(operation.method.clone(), "/api/v1/config").json(&json!({}));
        send(request()).is_problem(428, "precondition_required", []);
        send(request().header("if-match", "\"0\"")).is_problem(412, "stale", []);
    }
    assert_eq!(world.state(), before);
    // What declares no If-Match changes nothing that has a version.
    for operation in &declared {
        let changes = [Method::PUT, Method::PATCH, Method::DELETE].contains(&operation.method);
        let has_version =
            declared.iter().any(|read| read.path == operation.path && read.takes("header", "If-None-Match"));
        if changes && has_version {
            assert!(operation.takes("header", "If-Match"), "{} {}", operation.method, operation.path);
        }
    }
}

#[test]
fn what_is_written_back_as_it_was_read_changes_nothing() {
    let world = World::new();
    for One { created, collection, .. } in &world.resources {
        let read = world.admin.get(&created.path);
        let writable = writable(&world, collection, &read.body);
        let before = world.state();
        let put = world.admin.put(&created.path, &read.etag(), &writable);
        assert_eq!((put.status, put.etag()), (200, read.etag()), "{collection}: {:#}", put.body);
        let patched = world.admin.patch(&created.path, &read.etag(), &json!({}));
        assert_eq!((patched.status, patched.etag()), (200, read.etag()), "{collection}: {:#}", patched.body);
        assert_eq!(world.state(), before, "{collection}");
        // And a change changes the version, and back again.
        let changed = world.admin.patch(&created.path, &read.etag(), &json!({ "description": "other" }));
        assert_eq!(changed.status, 200, "{collection}: {:#}", changed.body);
        assert_ne!(changed.etag(), read.etag(), "{collection}");
        let back = world.admin.patch(&created.path, &changed.etag(), &json!({ "description": null }));
        assert_eq!((back.status, back.etag()), (200, read.etag()), "{collection}: {:#}", back.body);
    }
}

/// The fields of `body` that can be written, by the description.
fn writable(world: &World, collection: &str, body: &Value) -> Value {
    let operations = world.description.operations();
    let create = operations.iter().find(|it| it.path == collection && it.method == Method::POST).unwrap();
    let spec = world.description.follow(create.body().unwrap());
    let known = spec["properties"].as_object().unwrap();
    let fields = body.as_object().unwrap().iter().filter(|(name, _)| known.contains_key(*name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn every_creation_can_be_repeated_safely() {
    let world = World::new();
    let operations = world.description.operations();
    for One { collection, list, another, .. } in &world.resources {
        let create =
            operations.iter().find(|it| it.path == *collection && it.method == Method::POST).unwrap();
        if !create.takes("header", "Idempotency-Key") {
            // Its answer holds a secret that is not kept, so it cannot be given twice.
            assert_eq!(create.id(), "createToken");
            continue;
        }
        let post = |body: &Value, key: &str| {
            send(world.admin.request(Method::POST, list).header("idempotency-key", key).json(body))
        };
        let first = post(another, collection);
        assert_eq!(first.status, 201, "{collection}: {:#}", first.body);
        let before = world.state();
        let second = post(another, collection);
        assert_eq!((second.status, &second.body["id"]), (201, &first.body["id"]), "{collection}");
        assert_eq!((second.etag(), second.header("location")), (first.etag(), first.header("location")));
        let mut other = another.clone();
        other["description"] = json!("another body");
        post(&other, collection).is_problem(422, "idempotency_key_reused", [("Idempotency-Key", "reused")]);
        post(another, &"k".repeat(256)).is_problem(
            422,
            "validation_failed",
            [("Idempotency-Key", "invalid")],
        );
        assert_eq!(world.state(), before, "{collection}: the repetition did something");
    }
}
