//! Members are watched: who fails gets no new connections, and gets them again once it is well.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Driver, LabOptions};
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
    let [told, seconds] = ["deliveries_total", "delivery_seconds_total"]
        .map(|name| format!("penstock_health_{name}{{process=\"penstock-l4\"}}"))
        .map(|name| number(&stage, &name));
    let (told, seconds) = (told?, seconds?);
    println!(
        "{driver:?}: {told} changes of health were in the plane {:.1} ms after the decision",
        seconds / told * 1e3
    );
    ensure!(told >= 2.0 && seconds < PATIENCE.as_secs_f64(), "{told} changes took {seconds} s");
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
    rewatch(&stage, &json!({ "fall": 2, "interval_ms": 1000, "timeout_ms": 900 }))?;
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
    assert_eq!(service["status_reason"], "no member is up: the only one is down: the backup pool serves");
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

/// A member that is well for three seconds and not for three others, and clients that must not notice.
#[test]
fn a_member_that_flaps_does_not_shake_the_pool() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, true)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": 8080,
        "default_pool_id": stage.pool,
    });
    stage.api.create("/virtual-services", &service)?;
    watch(&stage, &json!({ "kind": "http", "rise": 3 }))?;
    await_member(&stage, 1, "online")?;
    let wrk = wrk_for(&stage, 8080, "30s")?;
    let flapping = &stage.lab.members()[1].server;
    for _ in 0..4 {
        flapping.stop()?;
        thread::sleep(Duration::from_secs(3));
        flapping.resume();
        flapping.await_ready(PATIENCE)?;
        thread::sleep(Duration::from_secs(3));
    }
    let told = wrk.wait_with_output()?;
    let text = String::from_utf8_lossy(&told.stdout);
    let seen = await_member(&stage, 1, "online")?;
    println!("a member flaps, up {} and down {} times: {text}", seen["times_up"], seen["times_down"]);
    ensure!(told.status.success() && text.contains("Requests/sec"), "wrk failed: {text}");
    ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "requests were lost: {text}");
    // Each time it waits longer: it cannot have come back as often as it was well.
    ensure!(seen["times_down"].as_u64() < Some(4), "it was let in each time: {seen:#}");
    let other = stage.api.get(&stage.member_path(0))?.expect_status(200)?.body;
    assert_eq!((&other["times_up"], &other["times_down"]), (&json!(1), &json!(0)), "{other:#}");
    leave(stage)
}

/// Somebody sets the clock: checks go on as before, and what was decided stays.
#[test]
fn a_clock_that_is_set_moves_nobody() -> Result<()> {
    const DAY: i64 = 86_400;
    const RESULTS: usize = 10;
    let options = LabOptions { clock: true, ..LabOptions::for_test(Driver::AfPacket, false)? };
    let stage = Stage::set_with(&options)?;
    watch(&stage, &json!({ "kind": "tcp" }))?;
    patch(&stage, &format!("/pools/{}", stage.pool), &json!({ "slow_start_s": 1 }))?;
    await_member(&stage, 0, "online")?;
    let shown = |seen: &Value| -> Vec<String> {
        let results = seen["checks"][0]["results"].as_array().into_iter().flatten();
        results.filter_map(|result| Some(result["time"].as_str()?.to_owned())).collect()
    };
    let real = stage.api.get(&stage.member_path(0))?.expect_status(200)?.body;
    let begin = shown(&real).remove(0);
    // A day back, and from there a day forward again: a token would end in a real future.
    for (step, is_later) in [(-DAY, false), (0, true)] {
        let (set, before) = (Instant::now(), shown(&real).len());
        ensure!(before > 0, "nothing is checked");
        stage.lab.appliance().step_clock(step)?;
        let seen = stage.api.await_that(&stage.member_path(0), PATIENCE, |seen| {
            let shown = shown(seen);
            shown.len() == RESULTS && shown.iter().all(|time| (*time > begin) == is_later)
        })?;
        let took = set.elapsed();
        println!("{RESULTS} checks {took:?} after the clock was set by {step} s");
        // Eight pauses of 270 ms at least: the first check may have been under way, and the second one comes at its own time.
        ensure!(took > Duration::from_secs(1), "checks came in a burst: {took:?}");
        assert_eq!(
            (&seen["operating_status"], &seen["times_down"]),
            (&json!("online"), &json!(0)),
            "{seen:#}"
        );
        stage.lab.members()[1].server.stop()?;
        await_member(&stage, 1, "offline")?;
        stage.lab.members()[1].server.resume();
        await_member(&stage, 1, "online")?;
        stage.api.await_that(&stage.member_path(1), PATIENCE, |seen| seen["share"] == 100)?;
    }
    leave(stage)
}

/// Sixteen connections that ask as often as they can, for some seconds.
fn wrk(stage: &Stage, port: u16) -> Result<Child> {
    wrk_for(stage, port, "5s")
}

fn wrk_for(stage: &Stage, port: u16, time: &str) -> Result<Child> {
    let url = format!("http://{VIRTUAL_IP}:{port}/");
    let mut wrk = stage.lab.client().command("wrk");
    wrk.args(["--threads", "1", "--connections", "16", "--duration", time, "--timeout", "10s", &url]);
    Ok(wrk.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits until a member has answered often.
fn await_hits(stage: &Stage, member: usize) -> Result<()> {
    await_that(|| Ok(stage.lab.members()[member].hits() > 200))
}

/// A number that the appliance tells who collects such.
fn number(stage: &Stage, name: &str) -> Result<f64> {
    let metrics = stage.api.metrics()?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.with_context(|| format!("no {name} in {metrics}"))?.trim().parse().map_err(Into::into)
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
        json!({ "name": "alive", "interval_ms": 1000, "timeout_ms": 900, "rise": 2, "fall": 2 });
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
