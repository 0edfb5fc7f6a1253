//! Members are watched: who fails gets no new connections, and gets them again once it is well.

use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{MEMBERS, VIRTUAL_IP};
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

#[test]
fn a_pool_with_too_few_members_hands_over_to_its_backup_pool() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, false)?;
    stage.remove_member(1)?;
    let spare = stage.api.create("/pools", &json!({ "name": "spare" }))?;
    let path = format!("/pools/{}", spare["id"].as_str().unwrap_or_default());
    let member = json!({ "name": "member-2", "address": MEMBERS[1], "port": 80 });
    stage.api.create(&format!("{path}/members"), &member)?;
    let pool = format!("/pools/{}", stage.pool);
    patch(&stage, &pool, &json!({ "below_min_healthy": "backup_pool", "backup_pool_id": spare["id"] }))?;
    watch(&stage, &json!({ "kind": "tcp" }))?;
    let monitors = stage.api.get(&pool)?.expect_status(200)?.body["monitor_ids"].take();
    patch(&stage, &path, &json!({ "monitor_ids": monitors }))?;
    stage.api.await_that(&path, PATIENCE, |spare| spare["operating_status"] == "online")?;
    await_member(&stage, 0, "online")?;
    assert_eq!(stage.get_many(4)?, [4, 0]);

    stage.lab.members()[0].server.stop()?;
    await_member(&stage, 0, "offline")?;
    await_shares(&stage, [0, 10])?;
    let service = stage.api.get("/virtual-services")?.expect_status(200)?.body["items"][0].take();
    assert_eq!(service["operating_status"], "degraded");
    assert_eq!(service["status_reason"], "no member is up: all 1 are down: the backup pool serves");
    stage.lab.members()[0].server.resume();
    await_member(&stage, 0, "online")?;
    await_shares(&stage, [10, 0])?;
    patch(&stage, &path, &json!({ "monitor_ids": [] }))?;
    let told = ["pool.degraded", "pool.online", "virtual_service.degraded", "virtual_ip.degraded"];
    for kind in told {
        stage
            .api
            .await_that(&format!("/events?kind={kind}"), PATIENCE, |list| list["items"][0] != Value::Null)?;
    }
    leave(stage)
}

#[test]
fn who_comes_back_is_given_its_weight_step_by_step() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, false)?;
    patch(&stage, &format!("/pools/{}", stage.pool), &json!({ "slow_start_s": 3600 }))?;
    watch(&stage, &json!({ "kind": "tcp" }))?;
    await_member(&stage, 1, "online")?;
    await_shares(&stage, [5, 5])?;
    stage.lab.members()[1].server.stop()?;
    await_member(&stage, 1, "offline")?;
    stage.lab.members()[1].server.resume();
    let back = await_member(&stage, 1, "online")?;
    assert_eq!((&back["share"], &back["times_up"], &back["times_down"]), (&json!(5), &json!(2), &json!(1)));
    // A twentieth of the other's: one of 21.
    await_that(|| Ok(stage.get_many(21)? == [20, 1]))?;
    patch(&stage, &format!("/pools/{}", stage.pool), &json!({ "slow_start_s": 1 }))?;
    stage.api.await_that(&stage.member_path(1), PATIENCE, |seen| seen["share"] == 100)?;
    await_shares(&stage, [5, 5])?;
    leave(stage)
}

#[test]
fn clients_of_a_proxied_service_lose_no_request_when_a_member_dies() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, true)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": 8080,
        "default_pool_id": stage.pool,
    });
    stage.api.create("/virtual-services", &service)?;
    watch(&stage, &json!({ "kind": "http" }))?;
    await_member(&stage, 1, "online")?;
    let wrk = wrk(&stage, 8080)?;
    await_hits(&stage, 1)?;
    stage.lab.members()[1].server.stop()?;
    await_member(&stage, 1, "offline")?;
    let told = wrk.wait_with_output()?;
    let text = String::from_utf8_lossy(&told.stdout);
    println!("layer 7, a member dies: {text}");
    ensure!(told.status.success() && text.contains("Requests/sec"), "wrk failed: {text}");
    ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "requests were lost: {text}");
    stage.lab.members()[1].server.resume();
    leave(stage)
}

#[test]
fn clients_of_a_forwarded_service_lose_the_connections_of_the_member_that_dies_and_no_others() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, true)?;
    watch(&stage, &json!({ "kind": "tcp", "interval_ms": 5000, "timeout_ms": 1000, "fall": 3 }))?;
    await_member(&stage, 1, "online")?;
    let wrk = wrk(&stage, 80)?;
    await_hits(&stage, 1)?;
    let begin = Instant::now();
    stage.lab.members()[1].server.stop()?;
    // Three intervals would be ten seconds at least: its clients' failed connections have it checked before.
    let seen = await_member(&stage, 1, "offline")?;
    let out = begin.elapsed();
    ensure!(seen["times_suspected"].as_u64() > Some(0), "nobody suspected it: {seen:#}");
    let before = stage.lab.members()[0].hits();
    let told = wrk.wait_with_output()?;
    println!("layer 4, a member dies, out after {out:?}: {}", String::from_utf8_lossy(&told.stdout));
    ensure!(stage.lab.members()[0].hits() > before, "the other one was asked no more");
    assert_eq!(stage.get_many(20)?, [20, 0], "once it is out, nobody is sent there");
    stage.lab.members()[1].server.resume();
    leave(stage)
}

/// Sixteen connections that ask as often as they can, for some seconds.
fn wrk(stage: &Stage, port: u16) -> Result<Child> {
    let url = format!("http://{VIRTUAL_IP}:{port}/");
    let mut wrk = stage.lab.client().command("wrk");
    wrk.args(["--threads", "1", "--connections", "16", "--duration", "5s", "--timeout", "10s", &url]);
    Ok(wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits until a member has answered often.
fn await_hits(stage: &Stage, member: usize) -> Result<()> {
    await_that(|| Ok(stage.lab.members()[member].hits() > 200))
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
    await_that(|| Ok(stage.get_many(10)? == wanted)).with_context(|| format!("not shared as {wanted:?}"))
}

fn await_that(holds: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match holds() {
            Ok(true) => return Ok(()),
            other => ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {other:?}"),
        }
    }
}
