//! Members that have as many requests as they may: further ones wait for their turn, or are told at once.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{MEMBERS, VIRTUAL_IP};
use serde_json::{Value, json};

use super::manner::{Peer, id, python, script};
use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;
/// Where the member serves; beside it, its gate.
const SERVES: u16 = 5000;

/// A service whose only member takes one request at a time, and answers when the test lets it.
struct Gate {
    peer: Peer,
    stage: Stage,
    pool: String,
    member: String,
}

impl Gate {
    fn set(queue: &Value) -> Result<Self> {
        let stage = Stage::set(Driver::AfXdp, true)?;
        let inside = &stage.lab.members()[0].namespace;
        let peer = Peer::start(&mut python(inside, &[&script("gate_peer"), &SERVES.to_string()]))?;
        let document = json!({ "name": "gate", "queue": queue, "retries": { "attempts": 0 } });
        let pool = id(&stage.api.create("/pools", &document)?)?;
        let member = json!({ "name": "gate", "address": MEMBERS[0], "port": SERVES, "connection_limit": 1 });
        let path = format!("/pools/{pool}/members");
        let member = format!("{path}/{}", id(&stage.api.create(&path, &member)?)?);
        let service = json!({
            "name": "gate", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
            "default_pool_id": pool,
        });
        stage.api.create("/virtual-services", &service)?;
        stage.await_forwarding()?;
        Ok(Self { peer, stage, pool, member })
    }

    /// A request of the client, which is told its status.
    fn ask(&self, path: &str) -> Result<Child> {
        let mut curl = self.stage.lab.client().command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "60", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code}", &format!("http://{VIRTUAL_IP}:{PORT}{path}")]);
        curl.stdout(Stdio::piped()).spawn().context("cannot run curl")
    }

    /// The member answers the oldest request that it has.
    fn open(&self) -> Result<()> {
        let opener = format!("exec 3<>/dev/tcp/127.0.0.1/{}", SERVES + 1);
        self.stage.lab.members()[0].namespace.run("bash", &["-c", &opener]).map(drop)
    }

    /// Waits until so many requests wait.
    fn await_waiting(&self, count: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let queues = self.stage.api.get("/stats")?.expect_status(200)?.body["l7"]["queues"].take();
            if queues[0]["requests_waiting"] == count && queues[0]["pool_id"] == *self.pool {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "want {count} that wait: {queues:#}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What became of the last request that ended so.
    fn last(&self, ending: &str) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut body =
                self.stage.api.get(&format!("/requests?ending={ending}&limit=1"))?.expect_status(200)?.body;
            if body["items"][0].is_object() {
                return Ok(body["items"][0].take());
            }
            ensure!(Instant::now() < deadline, "nothing ended by {ending}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn status(curl: Child) -> Result<String> {
    Ok(String::from_utf8(curl.wait_with_output()?.stdout)?)
}

#[test]
fn what_finds_no_room_waits_for_its_turn() -> Result<()> {
    let mut gate = Gate::set(&json!({ "length": 2, "timeout_s": 60 }))?;
    let first = gate.ask("/first")?;
    assert_eq!(gate.peer.line()?, "/first");
    let second = gate.ask("/second")?;
    gate.await_waiting(1)?;
    let third = gate.ask("/third")?;
    gate.await_waiting(2)?;
    // No more than two may wait.
    assert_eq!(status(gate.ask("/fourth")?)?, "503");
    let full = gate.last("queue_full")?;
    assert_eq!((&full["path"], &full["tries"]), (&json!("/fourth"), &json!(0)));

    gate.open()?;
    assert_eq!((status(first)?.as_str(), gate.peer.line()?.as_str()), ("200", "/second"));
    gate.await_waiting(1)?;
    // Where there is more room all of a sudden, the next one has it at once.
    gate.stage.api.change(&gate.member, &json!({ "connection_limit": 2 }))?;
    assert_eq!(gate.peer.line()?, "/third");
    gate.await_waiting(0)?;
    gate.open()?;
    gate.open()?;
    assert_eq!((status(second)?.as_str(), status(third)?.as_str()), ("200", "200"));
    let told = gate.stage.api.get("/requests?status=200&limit=3")?.expect_status(200)?.body;
    let waited = |path: &str| {
        let items = told["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = items.iter().find(|item| item["path"] == path);
        of.and_then(|item| item["times"]["queue_us"].as_u64())
    };
    ensure!(waited("/second") > Some(0), "{told:#}");
    ensure!(waited("/first") == Some(0), "{told:#}");
    Ok(())
}

#[test]
fn what_waits_too_long_or_may_not_wait_is_told() -> Result<()> {
    let mut gate = Gate::set(&json!({ "length": 2, "timeout_s": 1 }))?;
    let first = gate.ask("/first")?;
    assert_eq!(gate.peer.line()?, "/first");
    assert_eq!(status(gate.ask("/late")?)?, "503");
    let late = gate.last("queue_timeout")?;
    assert_eq!(late["path"], "/late");
    ensure!(late["times"]["queue_us"].as_u64() >= Some(1_000_000), "{late:#}");
    // Whoever gives up is no more in the line.
    gate.await_waiting(0)?;
    gate.stage.api.change(&format!("/pools/{}", gate.pool), &json!({ "queue": null }))?;
    gate.stage.await_forwarding()?;
    assert_eq!(status(gate.ask("/refused")?)?, "503");
    assert_eq!(gate.last("members_full")?["path"], "/refused");
    gate.open()?;
    assert_eq!(status(first)?, "200");
    Ok(())
}
