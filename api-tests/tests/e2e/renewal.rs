//! The layer-7 plane is renewed while it serves: another process takes its sockets over, and nobody notices.

use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{MEMBERS, VIRTUAL_IP};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::manner::{Peer, id, python, script};
use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;
const SOCKETS: u16 = 8081;

/// A program that asks and asks until it is stopped.
fn begin(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Child> {
    let mut command = stage.lab.client().command(name);
    command.args(arguments).arg(format!("http://{VIRTUAL_IP}:{PORT}/")).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot run {name}"))
}

fn stop(child: Child) -> Result<String> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("it has no number")?;
    kill_process(pid, Signal::INT)?;
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

#[test]
fn penstock_l7_is_renewed_under_load_and_no_request_is_lost() -> Result<()> {
    let mut stage = Stage::set(Driver::AfXdp, true)?;
    let inside = &stage.lab.members()[0].namespace;
    let _server = Peer::start(&mut python(inside, &[&script("websocket_peer"), "serve", "5000"]))?;
    let pool = id(&stage.api.create("/pools", &json!({ "name": "sockets" }))?)?;
    let member = json!({ "name": "peer", "address": MEMBERS[0], "port": 5000 });
    stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    for (name, port, pool) in [("shop", PORT, stage.pool.clone()), ("sockets", SOCKETS, pool)] {
        let service = json!({
            "name": name, "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": port,
            "default_pool_id": pool,
        });
        stage.api.create("/virtual-services", &service)?;
    }
    stage.await_forwarding()?;

    // Some keep their connections, some make one for each request; the last has one for hours.
    let kept = begin(&stage, "wrk", &["--threads", "1", "--connections", "8", "--duration", "1h"])?;
    let close = ["--threads", "1", "--connections", "8", "--duration", "1h", "--header", "Connection: close"];
    let fresh = begin(&stage, "wrk", &close)?;
    let h2 =
        begin(&stage, "h2load", &["--duration", "10", "--clients", "4", "--max-concurrent-streams", "4"])?;
    let url = format!("ws://{VIRTUAL_IP}:{SOCKETS}/");
    let mut waiting =
        Peer::spawn(&mut python(&stage.lab.client(), &[&script("websocket_peer"), "wait", &url]))?;
    assert_eq!(waiting.line()?, "open");

    let first = stage.lab.appliance().l7.pid();
    let mut before = Vec::new();
    for _ in 0..3 {
        before.push(stage.lab.renew_l7()?);
        // The new one is told what is wanted, and what is made from now on it knows.
        stage.await_forwarding()?;
    }
    ensure!(
        stage.lab.appliance().l7.pid() != first && before[0].pid() == first,
        "the first one was left too early"
    );

    let h2 = String::from_utf8(h2.wait_with_output()?.stdout)?;
    ensure!(h2.contains(" 0 failed, 0 errored, 0 timeout"), "h2load lost requests: {h2}");
    for said in [stop(kept)?, stop(fresh)?] {
        ensure!(said.contains(" requests in "), "wrk did nothing: {said}");
        ensure!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "requests were lost: {said}");
    }
    // The first one serves the WebSocket, and ends with it.
    ensure!(before[0].pid() == first, "a WebSocket was cut");
    drop(waiting);
    for process in before {
        process.await_gone(PATIENCE)?;
    }
    let stats = stage.api.get("/stats")?.expect_status(200)?.body;
    ensure!(
        stats["l7"]["services"][0]["requests"].as_u64() > Some(0),
        "the last one served nothing: {stats:#}"
    );
    Ok(())
}
