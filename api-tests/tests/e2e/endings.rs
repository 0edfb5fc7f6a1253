//! Connections that nobody takes, and those of members that drain.

use std::time::Duration;

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
