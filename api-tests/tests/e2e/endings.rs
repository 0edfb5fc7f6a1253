//! Connections that nobody takes, and those of members that drain.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{Answer, Driver};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

impl Stage {
    fn change(&self, path: &str, changes: &Value) -> Result<()> {
        let etag = self.api.get(path)?.etag.context("a resource without an ETag")?;
        self.api.patch(path, &etag, changes)?.expect_status(200)?;
        self.await_forwarding()
    }

    fn service_path(&self) -> Result<String> {
        let listed = self.api.get("/virtual-services")?.expect_status(200)?.body;
        let id = listed["items"][0]["id"].as_str().context("a service without an id")?;
        Ok(format!("/virtual-services/{id}"))
    }
}

fn who_nobody_takes_is_told_or_not(driver: Driver) -> Result<()> {
    let stage = Stage::set(driver, true)?;
    for member in 0..2 {
        stage.change(&stage.member_path(member), &json!({ "state": "drain" }))?;
    }
    let brief = Duration::from_secs(1);
    let url = format!("http://{}/", lab::network::VIRTUAL_IP);
    ensure!(stage.lab.client().get(&url, brief)? == Answer::Silence, "by default nothing is said");
    stage.change(&stage.service_path()?, &json!({ "unserved": "reset" }))?;
    let told = stage.get()?;
    ensure!(told == Answer::Refused, "the client heard {told:?}");
    stage.balanced()
}

fn connections_of_a_draining_member_end_in_time(driver: Driver) -> Result<()> {
    let stage = Stage::set(driver, true)?;
    let download = stage.download()?;
    let member = usize::from(download.member() == "member-2");
    stage.change(&stage.member_path(member), &json!({ "state": "drain" }))?;
    let before = download.received();
    download.await_bytes(before + (10 << 20), PATIENCE)?;
    let pool = format!("/pools/{}", stage.pool);
    stage.change(&pool, &json!({ "drain_timeout_s": 0 }))?;
    // As the sweep comes by.
    stage.api.await_that("/stats", Duration::from_secs(20), |stats| {
        let backends = stats["backends"].as_array().into_iter().flatten();
        let drops = stats["accounting"]["drops"]["no_flow"].as_u64().unwrap_or(0);
        drops > 0 && backends.map(|backend| backend["active"].as_u64().unwrap_or(0)).sum::<u64>() == 0
    })?;
    // Others go on with the other member.
    let mut answers = stage.get_many(4)?;
    ensure!(std::mem::take(&mut answers[member]) == 0 && answers.iter().sum::<usize>() == 4, "{answers:?}");
    drop(download);
    stage.balanced()
}

/// A connection of the client that is open and idle, and was served before.
fn idle(stage: &Stage) -> Result<TcpStream> {
    let to = SocketAddr::from((lab::network::VIRTUAL_IP, 80));
    let mut stream = stage.lab.client().enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")?;
    let mut answer = Vec::new();
    while !(answer.ends_with(b"member-1\n") || answer.ends_with(b"member-2\n")) {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("the connection was not served")?;
        answer.extend(byte);
    }
    Ok(stream)
}

/// Waits until so many resets have come to members.
fn await_resets_of_members(stage: &Stage, count: u64) -> Result<()> {
    let received = |member: &lab::Member| -> Result<u64> {
        let listed = member.namespace.run("nft", &["--json", "list", "counter", "ip", "lab", "received"])?;
        let listed: Value = serde_json::from_str(&listed)?;
        let counters = listed["nftables"].as_array().into_iter().flatten();
        Ok(counters.filter_map(|entry| entry["counter"]["packets"].as_u64()).sum())
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = stage.lab.members().iter().map(received).sum::<Result<u64>>()?;
        if seen >= count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "members heard of {seen} of {count} endings");
        thread::sleep(Duration::from_millis(100));
    }
}

fn await_reset(mut stream: TcpStream) -> Result<()> {
    let heard = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    ensure!(heard == Err(ErrorKind::ConnectionReset), "the client heard {heard:?}");
    Ok(())
}

/// Real connections, one under way and others idle, end with a reset on both sides, whatever they are ended by.
fn both_ends_are_reset(driver: Driver) -> Result<()> {
    let mut stage = Stage::set(driver, true)?;
    stage.change(&stage.service_path()?, &json!({ "ended": "reset", "timeouts": { "idle_s": 3 } }))?;
    // By its own silence.
    await_reset(idle(&stage)?)?;
    stage.change(&stage.service_path()?, &json!({ "timeouts": { "idle_s": 300 } }))?;
    await_resets_of_members(&stage, 1)?;

    // By who asks for it, while nothing is sent.
    let stream = idle(&stage)?;
    let listed = stage.api.get("/connections?state=established")?.expect_status(200)?.body;
    let items = listed["items"].as_array().context("no list")?;
    let of_stream =
        |one: &&Value| one["client"]["port"] == json!(stream.local_addr().map_or(0, |own| own.port()));
    let id = items.iter().find(of_stream).and_then(|one| one["id"].as_str()).context("it is not listed")?;
    stage.api.delete(&format!("/connections/{id}"), "*")?.expect_status(204)?;
    stage.api.delete(&format!("/connections/{id}"), "*")?.expect_status(404)?;
    await_reset(stream)?;
    await_resets_of_members(&stage, 2)?;

    // By the end of a drain, and by the loss of the other member, while a lot is.
    let idle_ones = [idle(&stage)?, idle(&stage)?];
    let download = stage.download()?;
    stage.change(&format!("/pools/{}", stage.pool), &json!({ "drain_timeout_s": 0 }))?;
    stage.change(&stage.member_path(0), &json!({ "state": "drain" }))?;
    stage.remove_member(1)?;
    for stream in idle_ones {
        await_reset(stream)?;
    }
    let ended = download.finish();
    ensure!(
        ended.as_ref().is_err_and(|error| error.to_string().contains("status: 56")),
        "curl(1), 56: {ended:?}"
    );
    await_resets_of_members(&stage, 5)?;
    stage.add_member(1)?;
    stage.get_many(2)?;
    stage.balanced()
}

#[test]
fn both_ends_are_reset_on_af_xdp() -> Result<()> {
    both_ends_are_reset(Driver::AfXdp)
}

#[test]
fn both_ends_are_reset_on_af_packet() -> Result<()> {
    both_ends_are_reset(Driver::AfPacket)
}

#[test]
fn who_nobody_takes_is_told_on_af_xdp() -> Result<()> {
    who_nobody_takes_is_told_or_not(Driver::AfXdp)
}

#[test]
fn who_nobody_takes_is_told_on_af_packet() -> Result<()> {
    who_nobody_takes_is_told_or_not(Driver::AfPacket)
}

#[test]
fn a_draining_member_is_empty_in_time() -> Result<()> {
    connections_of_a_draining_member_end_in_time(Driver::AfXdp)
}
