//! Who gets a connection is what the pool and its members say, also while they change.

use anyhow::{Result, bail, ensure};
use lab::Driver;
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

impl Stage {
    fn change_member(&self, member: usize, patch: &Value) -> Result<()> {
        self.api.change(&self.member_path(member), patch)?;
        self.await_forwarding()
    }

    fn change_pool(&self, patch: &Value) -> Result<()> {
        self.api.change(&format!("/pools/{}", self.pool), patch)?;
        self.await_forwarding()
    }
}

#[test]
fn weights_states_backups_and_limits_decide_who_gets_a_connection() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.change_pool(&json!({ "algorithm": "weighted_round_robin" }))?;
    stage.change_member(0, &json!({ "weight": 3 }))?;
    assert_eq!(stage.get_many(40)?, [30, 10]);

    stage.change_member(0, &json!({ "weight": 0 }))?;
    assert_eq!(stage.get_many(10)?, [0, 10], "weight 0");
    stage.change_member(0, &json!({ "weight": 1, "state": "drain" }))?;
    assert_eq!(stage.get_many(10)?, [0, 10], "drain");
    stage.change_member(0, &json!({ "state": "enabled", "backup": true }))?;
    assert_eq!(stage.get_many(10)?, [0, 10], "backup");
    stage.change_member(1, &json!({ "state": "disabled" }))?;
    assert_eq!(stage.get_many(10)?, [10, 0], "backup alone");

    stage.change_member(0, &json!({ "backup": false, "weight": 9, "connection_limit": 1 }))?;
    stage.change_member(1, &json!({ "state": "enabled" }))?;
    stage.change_pool(&json!({ "algorithm": "ordered" }))?;
    let download = stage.download()?;
    ensure!(download.member() == "member-1", "the heaviest is the first: {}", download.member());
    assert_eq!(stage.get_many(10)?, [0, 10], "the first is full");
    stage.finish(download)?;
    stage.api.await_that("/stats", PATIENCE, |stats| active(stats) == [0, 0])?;
    assert_eq!(stage.get_many(2)?, [2, 0], "it has room again");
    stage.leave()
}

#[test]
fn a_client_keeps_its_member_by_source_hash() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.change_pool(&json!({ "algorithm": "source_hash" }))?;
    let answers = stage.get_many(20)?;
    assert!(answers.contains(&20), "{answers:?}");
    stage.leave()
}

#[test]
fn a_client_keeps_its_member_by_its_address_also_when_that_drains() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    assert_eq!(stage.get_many(4)?, [2, 2], "it takes turns");
    stage.change_pool(&json!({ "persistence": { "kind": "source", "timeout_s": 3600 } }))?;
    let answers = stage.get_many(10)?;
    let Some(kept) = answers.iter().position(|count| *count == 10) else {
        bail!("the client had both members: {answers:?}");
    };
    stage.change_member(kept, &json!({ "state": "drain" }))?;
    assert_eq!(stage.get_many(10)?[kept], 10, "it drains");
    stage.change_member(kept, &json!({ "state": "disabled" }))?;
    assert_eq!(stage.get_many(10)?[1 - kept], 10, "it is gone");
    stage.change_member(kept, &json!({ "state": "enabled" }))?;
    assert_eq!(stage.get_many(10)?[1 - kept], 10, "the client has another now");
    stage.leave()
}

#[test]
fn least_connections_avoids_the_busy_one() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.change_pool(&json!({ "algorithm": "least_connections" }))?;
    let downloads = [stage.download()?, stage.download()?];
    assert_ne!(downloads[0].member(), downloads[1].member());
    downloads.into_iter().try_for_each(|download| stage.finish(download))?;
    stage.leave()
}

/// Connections that each member has now.
fn active(stats: &Value) -> Vec<u64> {
    let backends = stats["backends"].as_array().into_iter().flatten();
    backends.map(|backend| backend["active"].as_u64().unwrap_or(u64::MAX)).collect()
}
