//! What is seen of the layer-4 plane: connections listed and ended, packets explained before they are sent.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{CLIENT, MEMBERS, VIRTUAL_IP};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

/// All connections, page by page.
fn connections(stage: &Stage, query: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut next = Some(format!("/api/v1/connections?limit=7{query}"));
    while let Some(path) = next {
        let page = stage.api.get(path.trim_start_matches("/api/v1"))?.expect_status(200)?.body;
        let items = page["items"].as_array().context("a page without items")?;
        ensure!(items.len() <= 7, "{} on a page of 7", items.len());
        all.extend(items.iter().cloned());
        next = page["next"].as_str().map(ToOwned::to_owned);
    }
    Ok(all)
}

fn explain(stage: &Stage, source_port: u64, flags: &[&str]) -> Result<Value> {
    let packet = json!({
        "source": { "address": CLIENT, "port": source_port },
        "destination": { "address": VIRTUAL_IP, "port": 80 }, "flags": flags,
    });
    let answer = stage.api.post("/explain/packet", &json!({ "packet": packet }))?;
    Ok(answer.expect_status(200)?.body)
}

fn connections_are_seen_and_ended(driver: Driver) -> Result<()> {
    let stage = Stage::set(driver, true)?;
    let download = stage.download()?;
    let member = usize::from(download.member() == "member-2");
    stage.get_many(30)?;

    let all = connections(&stage, "")?;
    let ids: BTreeSet<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
    ensure!(all.len() == 31 && ids.len() == 31, "{} connections, {} of them different", all.len(), ids.len());
    let open = connections(&stage, &format!("&state=established&client={CLIENT}&protocol=tcp"))?;
    let [one] = &open[..] else { anyhow::bail!("one is open: {open:#?}") };
    ensure!(
        one["client"]["address"] == json!(CLIENT)
            && one["virtual_ip"] == json!({ "address": VIRTUAL_IP, "port": 80 })
    );
    ensure!(one["member"] == json!({ "address": MEMBERS[member], "port": 80 }), "{one:#}");
    ensure!(
        one["pool_id"] == json!(stage.pool)
            && stage.member_path(member).ends_with(one["member_id"].as_str().unwrap_or("?"))
    );
    let with_other = stage.member_path(1 - member);
    let other = with_other.rsplit('/').next().context("a path")?;
    ensure!(connections(&stage, &format!("&state=established&member_id={other}"))?.is_empty());
    ensure!(connections(&stage, "&client=192.0.2.0/24")?.is_empty());

    // By its ends, a packet of it is known.
    let told = explain(&stage, one["client"]["port"].as_u64().context("a port")?, &["ack"])?;
    ensure!(told["connection"]["id"] == one["id"] && told["choice"]["by"] == "connection", "{told:#}");
    ensure!(told["verdict"] == "send" && told["leaves"]["next_hop"] == json!(MEMBERS[member]), "{told:#}");

    let id = one["id"].as_str().context("an id")?;
    stage.api.delete(&format!("/connections/{id}"), "*")?.expect_status(204)?;
    stage.api.delete(&format!("/connections/{id}"), "*")?.expect_status(404)?;
    stage.api.await_that("/stats", PATIENCE, |stats| {
        stats["accounting"]["drops"]["no_flow"].as_u64().is_some_and(|drops| drops > 0)
    })?;
    ensure!(connections(&stage, "&state=established")?.is_empty(), "it was ended");
    let audit = stage.api.get("/audit?action=connection.end")?.expect_status(200)?.body;
    ensure!(audit["items"][0]["details"]["virtual_ip"] == json!(format!("{VIRTUAL_IP}:80")), "{audit:#}");
    drop(download);
    stage.balanced()
}

fn packets_are_explained_before_they_are_sent(driver: Driver) -> Result<()> {
    let stage = Stage::set(driver, true)?;
    stage.get_many(2)?;
    let before = stage.accounting_at_rest()?;
    let expected = |told: &Value| {
        let member = told["leaves"]["packet"]["destination"]["address"].as_str();
        MEMBERS.iter().position(|member_address| Some(member_address.to_string().as_str()) == member)
    };
    for _ in 0..4 {
        let told = explain(&stage, 40_000, &["syn"])?;
        ensure!(told == explain(&stage, 40_000, &["syn"])?, "asking again changed the answer");
        ensure!(
            told["choice"] == json!({ "by": "algorithm", "algorithm": "round_robin", "instead_of": null }),
            "{told:#}"
        );
        let turn = expected(&told).with_context(|| format!("no member: {told:#}"))?;
        let mut answers = [0, 0];
        answers[turn] = 1;
        ensure!(stage.get_many(1)? == answers, "member {turn} was foretold");
    }
    let counted = stage.accounting_at_rest()?;
    let told = explain(&stage, 40_001, &["ack"])?;
    ensure!(
        told["verdict"] == "drop" && told["reason"] == "no_flow" && told["connection"].is_null(),
        "{told:#}"
    );
    ensure!(stage.accounting_at_rest()?["drops"] == counted["drops"] && counted["drops"] == before["drops"]);

    // The frame that was made of the description leaves as it was told, and can be asked about itself.
    let told = explain(&stage, 40_000, &["syn"])?;
    let frame = told["leaves"]["frame"].as_str().context("a frame")?;
    ensure!(frame.len() == 2 * 54, "{frame}");
    let elsewhere = json!({ "frame": frame, "port": told["leaves"]["port"] });
    let told = stage.api.post("/explain/packet", &elsewhere)?.expect_status(200)?.body;
    ensure!(
        told["verdict"] == "drop" && told["reason"] != Value::Null,
        "a packet to a member is not for us: {told:#}"
    );
    let unknown = json!({ "frame": frame, "port": "nowhere" });
    let refused = stage.api.post("/explain/packet", &unknown)?.expect_status(409)?.body;
    ensure!(refused["detail"].as_str().is_some_and(|detail| detail.contains("nowhere")), "{refused:#}");
    stage.leave()
}

#[test]
fn connections_are_seen_and_ended_on_af_xdp() -> Result<()> {
    connections_are_seen_and_ended(Driver::AfXdp)
}

#[test]
fn connections_are_seen_and_ended_on_af_packet() -> Result<()> {
    connections_are_seen_and_ended(Driver::AfPacket)
}

#[test]
fn packets_are_explained_before_they_are_sent_on_af_xdp() -> Result<()> {
    packets_are_explained_before_they_are_sent(Driver::AfXdp)
}
