//! Who may connect, and how many at a time.

use anyhow::{Context as _, Result};
use lab::network::VIRTUAL_IP;
use lab::{Answer, Driver};
use serde_json::{Value, json};

use super::stage::{MOMENT, PATIENCE, Stage};

impl Stage {
    fn change_service(&self, patch: &Value) -> Result<()> {
        let listed = self.api.get("/virtual-services")?.expect_status(200)?.body;
        let id = listed["items"][0]["id"].as_str().context("no virtual service")?;
        self.api.change(&format!("/virtual-services/{id}"), patch)?;
        self.await_forwarding()
    }

    /// Waits until the API shows that something was dropped for this reason.
    fn await_drops(&self, reason: &str) -> Result<()> {
        let dropped =
            |stats: &Value| stats["accounting"]["drops"][reason].as_u64().is_some_and(|count| count > 0);
        self.api.await_that("/stats", PATIENCE, dropped).map(drop)
    }
}

#[test]
fn networks_and_limits_decide_who_is_served() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let (near, far) = (stage.lab.client(), stage.lab.far_client());
    let url = format!("http://{VIRTUAL_IP}/");
    // The far client's network, within all others.
    stage
        .change_service(&json!({ "allowed_cidrs": ["198.18.0.0/15"], "denied_cidrs": ["198.18.3.0/24"] }))?;
    assert_eq!(stage.get_many(4)?, [2, 2]);
    assert_eq!(far.get(&url, MOMENT)?, Answer::Silence);
    stage.await_drops("denied")?;

    stage.change_service(&json!({ "denied_cidrs": [], "connection_limit": 1 }))?;
    let download = stage.download()?;
    assert_eq!(near.get(&url, MOMENT)?, Answer::Silence, "the download is the one");
    stage.await_drops("service_full")?;
    stage.finish(download)?;
    assert!(matches!(far.get(&url, PATIENCE)?, Answer::Body(_)));
    stage.leave()
}
