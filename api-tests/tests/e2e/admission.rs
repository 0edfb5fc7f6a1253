//! Who may connect, and how many at a time.

use std::net::{SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Answer, Driver};
use serde_json::{Value, json};

use super::stage::{MOMENT, PATIENCE, Stage};

impl Stage {
    pub(crate) fn change_service(&self, patch: &Value) -> Result<()> {
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

#[test]
fn rates_decide_how_fast_clients_are_served() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.change_service(&json!({ "rate_limit": { "connections_per_s": 1 } }))?;
    let connect = || {
        let to = SocketAddr::from((VIRTUAL_IP, 80));
        // Those that are refused ask again until they are served.
        stage.lab.client().enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE).map(drop)))
    };
    let all = thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(connect)).collect();
        asked.into_iter().map(|one| one.join().is_ok_and(|one| matches!(one, Ok(Ok(()))))).collect::<Vec<_>>()
    });
    ensure!(all.iter().any(|served| *served), "nobody is served");
    stage.await_drops("connection_rate")?;

    let of_source = json!({ "connections_per_s": null, "source_packets_per_s": 1 });
    stage.change_service(&json!({ "rate_limit": of_source }))?;
    // A connection takes more packets than one.
    stage.lab.client().get(&format!("http://{VIRTUAL_IP}/"), MOMENT)?;
    stage.await_drops("source_packet_rate")?;

    let enough = json!({ "connections_per_s": 1000, "packets_per_s": 1_000_000, "kbits_per_s": 100_000_000 });
    stage.change_service(&json!({ "rate_limit": null }))?;
    stage.change_service(&json!({ "rate_limit": enough }))?;
    let download = stage.download()?;
    stage.finish(download)?;
    stage.balanced()
}
