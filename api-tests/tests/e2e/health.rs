//! Members are watched: who fails gets no new connections, and gets them again once it is well.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::Driver;
use serde_json::{Value, json};

use super::on_every_port;
use super::stage::{PATIENCE, Stage};

on_every_port!(member_that_stops_is_out_and_comes_back);

fn member_that_stops_is_out_and_comes_back(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    watch(&stage, &json!({ "kind": "http", "settings": { "codes": ["200"] } }))?;
    await_member(&stage, 1, "online")?;
    let download = stage.download()?;
    let (stopped, left) = (1, [10, 0]);
    stage.lab.members()[stopped].server.stop()?;
    let seen = await_member(&stage, stopped, "offline")?;
    assert_eq!(seen["status_reason"], "connect refused");
    assert_eq!(seen["last_check"]["words"], "connect refused");
    await_shares(&stage, left)?;
    assert_eq!(status(&stage, &format!("/pools/{}", stage.pool))?, "degraded");
    assert_eq!(status(&stage, &format!("/virtual-ips/{}", stage.virtual_ip))?, "degraded");

    stage.lab.members()[stopped].server.resume();
    await_member(&stage, stopped, "online")?;
    await_shares(&stage, [5, 5])?;
    assert_eq!(status(&stage, &format!("/pools/{}", stage.pool))?, "online");
    if download.member() == "member-1" {
        stage.finish(download)?;
    }
    leave(stage)
}

#[test]
fn restarts_forget_nothing() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, false)?;
    watch(&stage, &json!({ "kind": "tcp", "interval_ms": 60_000, "fall": 1 }))?;
    await_member(&stage, 0, "online")?;
    stage.lab.members()[1].server.stop()?;
    // The next check is a minute away; changing the monitor checks at once.
    rewatch(&stage, &json!({ "fall": 2, "interval_ms": 300, "timeout_ms": 200 }))?;
    await_member(&stage, 1, "offline")?;
    await_shares(&stage, [10, 0])?;
    rewatch(&stage, &json!({ "interval_ms": 60_000 }))?;

    let (l4, penstockd) = (&stage.lab.appliance().l4, &stage.lab.appliance().penstockd);
    penstockd.kill_for_good()?;
    l4.kill()?;
    l4.await_ready(PATIENCE)?;
    await_shares(&stage, [10, 0])?;
    penstockd.resume();
    penstockd.await_ready(PATIENCE)?;
    stage.await_forwarding()?;
    assert_eq!(stage.get_many(10)?, [10, 0]);
    assert_eq!(await_member(&stage, 1, "offline")?["status_reason"], "connect refused");
    await_member(&stage, 0, "online")?;
    leave(stage)
}

/// Checks are frames, too: without them the accounting comes to rest.
fn leave(stage: Stage) -> Result<()> {
    patch(&stage, &format!("/pools/{}", stage.pool), &json!({ "monitor_ids": [] }))?;
    stage.await_forwarding()?;
    stage.balanced()
}

/// Lets a monitor watch the pool: a quick one, but for what is said otherwise.
fn watch(stage: &Stage, monitor: &Value) -> Result<()> {
    let mut document =
        json!({ "name": "alive", "interval_ms": 300, "timeout_ms": 200, "rise": 2, "fall": 2 });
    merge(&mut document, monitor);
    let monitor = stage.api.create("/monitors", &document)?;
    patch(stage, &format!("/pools/{}", stage.pool), &json!({ "monitor_ids": [monitor["id"]] }))?;
    stage.await_forwarding()
}

/// Changes the monitor.
fn rewatch(stage: &Stage, change: &Value) -> Result<()> {
    let pool = stage.api.get(&format!("/pools/{}", stage.pool))?.expect_status(200)?.body;
    let monitor = pool["monitor_ids"][0].as_str().unwrap_or_default().to_owned();
    patch(stage, &format!("/monitors/{monitor}"), change)
}

fn patch(stage: &Stage, path: &str, change: &Value) -> Result<()> {
    stage.api.patch(path, "*", change)?.expect_status(200).map(drop)
}

fn merge(document: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
}

fn await_member(stage: &Stage, member: usize, status: &str) -> Result<Value> {
    let path = stage.member_path(member);
    stage.api.await_that(&path, PATIENCE, |seen| seen["operating_status"] == status)
}

fn status(stage: &Stage, path: &str) -> Result<Value> {
    Ok(stage.api.get(path)?.expect_status(200)?.body["operating_status"].take())
}

/// Waits until ten requests are shared like this: what the API shows is in the plane a moment later.
fn await_shares(stage: &Stage, wanted: [usize; 2]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match stage.get_many(10) {
            Ok(shares) if shares == wanted => return Ok(()),
            other => ensure!(Instant::now() < deadline, "not shared as {wanted:?}: {other:?}"),
        }
    }
}
