//! HTTP/2 from clients: by ALPN inside of TLS, by prior knowledge outside.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Download, Driver};
use serde_json::{Value, json};

use super::stage::{PATIENCE, RATE, Stage};

const PORT: u16 = 8080;

/// The stage with a service of protocol `http` beside its layer-4 service.
fn set() -> Result<Stage> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "default_pool_id": stage.pool,
    });
    stage.api.create("/virtual-services", &service)?;
    stage.await_forwarding()?;
    Ok(stage)
}

fn curl(stage: &Stage, arguments: &[&str], path: &str) -> Result<String> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "--http2-prior-knowledge"];
    let all: Vec<&str> =
        fixed.iter().copied().chain(arguments.iter().copied()).chain([url.as_str()]).collect();
    stage.lab.client().run("curl", &all)
}

/// A client that does not mean well, or does no more than it says.
fn attacker(stage: &Stage, kind: &str) -> Command {
    let mut python = stage.lab.client().command("/usr/bin/python3");
    python.args(["tests/peers/hostile_h2.py", &VIRTUAL_IP.to_string(), &PORT.to_string(), kind]);
    python
}

/// What came of an attack.
fn attack(stage: &Stage, kind: &str) -> Result<Value> {
    let output = attacker(stage, kind).output().context("cannot run the attacker")?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("the attacker said {output:?}"))
}

fn download(stage: &Stage, rate: u64) -> Result<Download> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}/big");
    stage.lab.client().download_with(&url, rate, &["--http2-prior-knowledge"])
}

fn service_stats(stage: &Stage) -> Result<Value> {
    // Fresh numbers, not those that a reader before was shown.
    std::thread::sleep(std::time::Duration::from_millis(300));
    Ok(stage.api.get("/stats")?.expect_status(200)?.body["l7"]["services"][0].take())
}

#[test]
fn it_is_spoken_by_prior_knowledge() -> Result<()> {
    let stage = set()?;
    let version = ["--write-out", "%{http_version}"];
    assert_eq!(curl(&stage, &version, "/")?, "member-1\n2");
    assert_eq!(curl(&stage, &[], "/")?, "member-2\n");
    // On one connection, three requests.
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    let said = stage.lab.client().run("h2load", &["-n", "3", "-c", "1", &url])?;
    ensure!(said.contains("3 succeeded, 0 failed, 0 errored"), "{said}");
    let stats = service_stats(&stage)?;
    assert_eq!((&stats["connections"], &stats["requests"]), (&json!(3), &json!(5)));
    assert_eq!((&stats["answers"]["2xx"], &stats["endings"]), (&json!(5), &json!({})));
    ensure!(stats["bytes_in"].as_u64() > Some(100) && stats["bytes_out"].as_u64() > Some(100), "{stats}");
    Ok(())
}

#[test]
fn a_large_body_passes_whole() -> Result<()> {
    let stage = set()?;
    stage.finish(download(&stage, 1 << 30)?)
}

#[test]
fn an_answer_that_comes_before_the_body_was_sent_is_heard() -> Result<()> {
    let stage = set()?;
    let body = "x".repeat(100_000);
    let put = ["--output", "/dev/null", "--write-out", "%{http_code}", "--request", "PUT", "--data", &body];
    // The member serves files, and wants no other.
    assert_eq!(curl(&stage, &put, "/big")?, "405");
    Ok(())
}

#[test]
fn many_requests_on_many_connections_are_answered() -> Result<()> {
    let stage = set()?;
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    let said = stage.lab.client().run("h2load", &["-n", "10000", "-c", "20", "-m", "20", &url])?;
    ensure!(said.contains("10000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    ensure!(said.contains("status codes: 10000 2xx"), "{said}");
    let hits: Vec<u64> = stage.lab.members().iter().map(lab::Member::hits).collect();
    assert_eq!(hits, [5000, 5000]);
    Ok(())
}

#[test]
fn hostile_clients_are_cut_off_and_others_go_on() -> Result<()> {
    let stage = set()?;
    for kind in ["rapid_reset", "patient_reset", "continuation_flood", "header_bomb"] {
        let outcome = attack(&stage, kind)?;
        // ENHANCE_YOUR_CALM (RFC 9113, 7).
        assert_eq!((&outcome["goaway"], &outcome["closed"]), (&json!(11), &json!(true)), "{kind}: {outcome}");
        ensure!(outcome["sent"].as_u64() < Some(8 << 20), "{kind} went on for long: {outcome}");
        assert!(curl(&stage, &[], "/")?.starts_with("member-"));
    }
    Ok(())
}

#[test]
fn connections_of_a_removed_service_end_with_their_last_request() -> Result<()> {
    let stage = set()?;
    let mut idle = attacker(&stage, "idle");
    let mut idle = idle.stdout(Stdio::piped()).spawn().context("cannot run the idle client")?;
    // It says so when it has its answer.
    let mut said = BufReader::new(idle.stdout.take().context("no output")?);
    said.read_line(&mut String::new())?;
    let download = download(&stage, RATE)?;
    download.await_bytes(RATE / 2, PATIENCE)?;
    let services = stage.api.get("/virtual-services?name=shop")?.expect_status(200)?.body;
    let id = services["items"][0]["id"].as_str().context("no service")?.to_owned();
    stage.api.remove(&format!("/virtual-services/{id}"))?;
    stage.await_forwarding()?;
    stage.finish(download)?;
    // The other connection was told to go, and did not wait to be silent for a minute.
    let outcome: Value = serde_json::from_reader(said)?;
    idle.wait()?;
    assert_eq!((&outcome["goaway"], &outcome["closed"]), (&json!(0), &json!(true)), "{outcome}");
    Ok(())
}
