//! Bad input, given to the running product: the right status, a pointer to the field, and nothing changed.

use anyhow::{Context as _, Result, ensure};
use lab::{Driver, Reply};
use serde_json::{Value, json};

use super::stage::Stage;

/// That it was refused with this status, blaming this field; an empty pointer blames none.
fn assert_refused(what: &str, reply: &Reply, status: u16, pointer: &str) -> Result<()> {
    ensure!(reply.status == status, "{what}: {} instead of {status}: {:#}", reply.status, reply.body);
    let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
    let blamed = errors.iter().any(|error| error["pointer"] == pointer);
    ensure!(pointer.is_empty() || blamed, "{what}: {pointer} is not blamed: {:#}", reply.body);
    Ok(())
}

/// All that an operator has written.
fn written(stage: &Stage) -> Result<Vec<Value>> {
    let members = format!("/pools/{}/members", stage.pool);
    let lists = ["/virtual-ips", "/virtual-services", "/pools", &members];
    lists.iter().map(|list| Ok(stage.api.get(list)?.expect_status(200)?.body)).collect()
}

#[test]
fn bad_input_is_refused_and_changes_nothing() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let before = written(&stage)?;
    let api = &stage.api;
    let members = format!("/pools/{}/members", stage.pool);
    let service = |changes: Value| {
        let mut service = json!({
            "name": "other", "virtual_ip_ids": [stage.virtual_ip], "protocol": "tcp", "port": 81,
            "default_pool_id": stage.pool,
        });
        if let (Some(service), Value::Object(changes)) = (service.as_object_mut(), changes) {
            service.extend(changes);
        }
        api.post("/virtual-services", &service)
    };

    let reply = api.post("/virtual-ips", &json!({ "name": "x", "address": "198.18.1.300" }))?;
    assert_refused("an address that is none", &reply, 422, "/address")?;
    for port in [0, 70_000] {
        assert_refused("a service's port", &service(json!({ "port": port }))?, 422, "/port")?;
        let reply = api.post(&members, &json!({ "address": "198.18.2.13", "port": port }))?;
        assert_refused("a member's port", &reply, 422, "/port")?;
    }
    for (field, value) in [("weight", json!(257)), ("connection_limit", json!(0)), ("backup", json!("yes"))] {
        let mut member = json!({ "address": "198.18.2.13", "port": 80 });
        member[field] = value;
        assert_refused("a member's own field", &api.post(&members, &member)?, 422, &format!("/{field}"))?;
    }
    let nobody = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    let reply = service(json!({ "default_pool_id": nobody }))?;
    assert_refused("a pool that does not exist", &reply, 422, "/default_pool_id")?;
    assert_refused("a taken address and port", &service(json!({ "port": 80 }))?, 409, "/port")?;
    let hosts = service(json!({ "allowed_cidrs": ["198.18.1.9/24"] }))?;
    assert_refused("a network with the bits of a host", &hosts, 422, "/allowed_cidrs/0")?;
    let packets = service(json!({ "limits": { "head_bytes": 4096 } }))?;
    assert_refused("a limit where it is not kept", &packets, 422, "/limits")?;
    assert_refused("an unknown field", &service(json!({ "colour": "red" }))?, 422, "/colour")?;

    let pool = format!("/pools/{}", stage.pool);
    let etag = api.get(&pool)?.etag.context("a pool without an ETag")?;
    assert_refused("a pool in use", &api.delete(&pool, &etag)?, 409, "")?;
    let reply = api.patch(&pool, "\"stale\"", &json!({ "description": "new" }))?;
    assert_refused("a stale ETag", &reply, 412, "")?;

    assert_eq!(written(&stage)?, before);
    assert_eq!(stage.get_many(4)?, [2, 2]);
    stage.leave()
}
