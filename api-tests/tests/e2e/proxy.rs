//! Services that the appliance answers itself: what clients and members see of the layer-7 plane.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Answer, Driver};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

/// Beside the layer-4 service of the stage, on the same address.
const PORT: u16 = 8080;

/// The stage with a service of protocol `http` beside its layer-4 service.
fn set(driver: Driver) -> Result<Stage> {
    // What the kernel gets through a twin has its checksums, as on a real wire.
    let stage = Stage::set(driver, driver != Driver::Owned)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "default_pool_id": stage.pool,
    });
    stage.api.create("/virtual-services", &service)?;
    stage.await_forwarding()?;
    Ok(stage)
}

/// `curl` at the client, with these arguments before the address: what it printed.
fn curl(stage: &Stage, arguments: &[&str], path: &str) -> Result<String> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"];
    let all: Vec<&str> =
        fixed.iter().copied().chain(arguments.iter().copied()).chain([url.as_str()]).collect();
    stage.lab.client().run("curl", &all)
}

fn get_many(stage: &Stage, requests: usize) -> Result<[usize; 2]> {
    let mut answers = [0, 0];
    for _ in 0..requests {
        match curl(stage, &["--fail"], "/")?.trim() {
            "member-1" => answers[0] += 1,
            "member-2" => answers[1] += 1,
            other => anyhow::bail!("an answer from `{other}`"),
        }
    }
    Ok(answers)
}

fn status(stage: &Stage, path: &str) -> Result<String> {
    curl(stage, &["--output", "/dev/null", "--write-out", "%{http_code}"], path)
}

/// The stage's end; it wants the layer-4 service to have done something.
fn leave(stage: Stage) -> Result<()> {
    assert_eq!(stage.get_many(2)?.iter().sum::<usize>(), 2, "the layer-4 service beside it");
    stage.leave()
}

fn proxy_stats(stage: &Stage) -> Result<Value> {
    // Fresh numbers, not those that a reader before was shown.
    std::thread::sleep(Duration::from_millis(300));
    Ok(stage.api.get("/stats")?.expect_status(200)?.body["l7"].take())
}

#[test]
fn requests_are_shared_and_a_removed_member_gets_none() -> Result<()> {
    let mut stage = set(Driver::AfXdp)?;
    assert_eq!(get_many(&stage, 20)?, [10, 10]);
    assert_eq!(stage.get_many(10)?, [5, 5], "the layer-4 service beside it");
    stage.remove_member(0)?;
    assert_eq!(get_many(&stage, 6)?, [0, 6]);
    stage.remove_member(1)?;
    assert_eq!(status(&stage, "/")?, "503");
    stage.add_member(0)?;
    assert_eq!(get_many(&stage, 6)?, [6, 0]);

    let stats = proxy_stats(&stage)?;
    let service = &stats["services"][0];
    assert_eq!(service["requests"], 33);
    assert_eq!((&service["answers"]["2xx"], &service["answers"]["5xx"]), (&json!(32), &json!(1)));
    assert_eq!(service["endings"], json!({ "no_member": 1 }));
    assert_eq!(service["connections_open"], 0);
    leave(stage)
}

#[test]
fn on_owned_ports_it_is_served_through_the_twins() -> Result<()> {
    let stage = set(Driver::Owned)?;
    assert_eq!(get_many(&stage, 10)?, [5, 5]);
    leave(stage)
}

#[test]
fn a_large_body_passes_whole() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let url = format!("http://{VIRTUAL_IP}:{PORT}/big");
    let download = stage.lab.client().download(&url, 1 << 30)?;
    stage.finish(download)?;
    leave(stage)
}

#[test]
fn killed_penstock_l7_comes_back_without_penstockd() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    stage.lab.appliance().penstockd.kill_for_good()?;
    let l7 = &stage.lab.appliance().l7;
    let killed = Instant::now();
    l7.kill()?;
    l7.await_ready(PATIENCE)?;
    let away = killed.elapsed();
    ensure!(away < Duration::from_secs(1), "penstock-l7 was away for {away:?}");
    assert_eq!(get_many(&stage, 10)?, [5, 5]);
    stage.lab.appliance().penstockd.resume();
    stage.lab.appliance().penstockd.await_ready(PATIENCE)?;
    stage.await_forwarding()?;
    assert_eq!(get_many(&stage, 10)?.iter().sum::<usize>(), 10);
    leave(stage)
}

#[test]
fn a_removed_service_is_offered_no_more() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    assert_eq!(get_many(&stage, 2)?, [1, 1]);
    let services = stage.api.get("/virtual-services?name=shop")?.expect_status(200)?.body;
    let id = services["items"][0]["id"].as_str().context("no service")?.to_owned();
    stage.api.remove(&format!("/virtual-services/{id}"))?;
    stage.await_forwarding()?;
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    assert_eq!(stage.lab.client().get(&url, PATIENCE)?, Answer::Refused);
    assert_eq!(stage.get_many(4)?, [2, 2], "the layer-4 service goes on");
    Ok(())
}

#[test]
fn members_that_do_not_answer_are_told_apart() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    // Nobody listens at one of them: the other serves.
    stage.lab.members()[0].server.stop()?;
    assert_eq!(get_many(&stage, 6)?, [0, 6]);
    // Nobody listens at either.
    stage.lab.members()[1].server.stop()?;
    assert_eq!(status(&stage, "/")?, "502");
    let endings = proxy_stats(&stage)?["services"][0]["endings"].take();
    assert_eq!(endings, json!({ "connect_failed": 1 }));
    Ok(())
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let smuggled = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for hostile in [
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n{smuggled}"),
        "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n{smuggled}"),
    ] {
        let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, hostile.as_bytes(), PATIENCE)?;
        ensure!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{hostile:?} was answered by {answer:?}");
        ensure!(answer.matches("HTTP/1.1 ").count() == 1, "{hostile:?} was answered twice: {answer:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, long.as_bytes(), PATIENCE)?;
    ensure!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    assert_eq!(
        stage.lab.members().iter().map(lab::Member::hits).sum::<u64>(),
        0,
        "members saw nothing of it"
    );
    assert_eq!(get_many(&stage, 4)?, [2, 2]);
    leave(stage)
}

#[test]
fn a_request_of_http_1_0_without_a_host_reaches_members_with_one() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, b"GET /echo HTTP/1.0\r\n\r\n", PATIENCE)?;
    // A server that speaks HTTP/1.1 refuses a request without it (RFC 9112, 3.2).
    ensure!(answer.contains(&format!("member-1 GET {VIRTUAL_IP}:{PORT} /echo")), "{answer}");
    leave(stage)
}

#[test]
fn who_asks_what_would_become_of_a_request_takes_nobodys_turn() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let service = stage.api.get("/virtual-services?name=shop")?.expect_status(200)?.body;
    let described = json!({ "virtual_service_id": service["items"][0]["id"] });
    let explained = || -> Result<Value> {
        Ok(stage.api.post("/explain", &described)?.expect_status(200)?.body["member_id"].take())
    };
    let next = explained()?;
    assert_eq!(explained()?, next);
    let member = format!("/pools/{}/members/{}", stage.pool, next.as_str().context("nobody")?);
    let name = stage.api.get(&member)?.expect_status(200)?.body["name"].take();
    assert_eq!(json!(curl(&stage, &[], "/")?.trim()), name);
    assert_ne!(explained()?, next);
    leave(stage)
}

#[test]
fn requests_follow_each_other_on_one_connection() -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let both = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, both.as_bytes(), PATIENCE)?;
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answer}");
    assert_eq!((answer.matches("member-1\n").count(), answer.matches("member-2\n").count()), (1, 1));
    assert_eq!(answer.matches("connection: close\r\n").count(), 1);
    let stats = proxy_stats(&stage)?;
    assert_eq!(
        (&stats["services"][0]["connections"], &stats["services"][0]["requests"]),
        (&json!(1), &json!(2))
    );
    leave(stage)
}

#[test]
fn changes_under_load_lose_no_request() -> Result<()> {
    change_under_load(200)
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_changes_under_load_lose_no_request() -> Result<()> {
    change_under_load(10_000)
}

/// Changes everything that a service can be made of, one thing after the other, while `wrk` asks it.
fn change_under_load(changes: usize) -> Result<()> {
    let stage = set(Driver::AfXdp)?;
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    let mut wrk = stage.lab.client().command("wrk");
    // It is stopped when all is done.
    wrk.args(["--threads", "1", "--connections", "16", "--duration", "1h", &url]).stdout(Stdio::piped());
    let wrk = wrk.spawn().context("cannot run wrk")?;
    let members = stage.api.get(&format!("/pools/{}/members", stage.pool))?.expect_status(200)?.body;
    let member = members["items"][0]["id"].as_str().context("no member")?;
    let member = format!("/pools/{}/members/{member}", stage.pool);
    for change in 0..changes {
        match change % 4 {
            0 => patch(&stage, &member, &json!({ "state": "drain" }))?,
            1 => patch(&stage, &member, &json!({ "state": "enabled", "weight": 1 + change % 7 }))?,
            2 => {
                let other = json!({
                    "name": "other", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": 9090,
                    "default_pool_id": stage.pool,
                });
                stage.api.create("/virtual-services", &other)?;
            }
            _ => {
                let listed = stage.api.get("/virtual-services?name=other")?.expect_status(200)?.body;
                let id = listed["items"][0]["id"].as_str().context("no service")?;
                stage.api.remove(&format!("/virtual-services/{id}"))?;
            }
        }
    }
    stage.await_forwarding()?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(wrk.id())?).context("wrk has no number")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let said = String::from_utf8(wrk.wait_with_output()?.stdout)?;
    ensure!(said.contains(" requests in "), "wrk did nothing: {said}");
    ensure!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "requests were lost: {said}");
    let endings = proxy_stats(&stage)?["services"][0]["endings"].take();
    // Those of wrk's requests that it stopped waiting for.
    ensure!(endings.as_object().is_none_or(|all| all.keys().all(|name| name == "client_gone")), "{endings}");
    Ok(())
}

fn patch(stage: &Stage, path: &str, change: &Value) -> Result<()> {
    stage.api.patch(path, "*", change)?.expect_status(200).map(drop)
}
