//! Direct return, on one network: members hold the virtual IP on lo, and answer the client past the appliance.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lab::{Answer, Driver, Namespace};
use serde_json::json;

use super::on_every_port;
use super::stage::{PATIENCE, Stage, imbalance};

/// In the back network.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 100);

on_every_port!(members_answer_past_the_appliance);

/// As the member of a direct return must be: it holds the address, and says so to nobody.
fn hold_quietly(member: &Namespace) -> Result<()> {
    for setting in ["arp_ignore=1", "arp_announce=2"] {
        member.run("sysctl", &["-qw", &format!("net.ipv4.conf.all.{setting}")])?;
    }
    member.run("ip", &["addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"]).map(drop)
}

impl Stage {
    /// A second service by direct return, to the same members on the same port.
    fn offer_direct(&self) -> Result<()> {
        for member in self.lab.members() {
            hold_quietly(&member.namespace)?;
        }
        let virtual_ip = self.api.create("/virtual-ips", &json!({ "name": "back", "address": ADDRESS }))?;
        let virtual_ip = virtual_ip["id"].as_str().context("a virtual IP without an id")?;
        let mut service = json!({
            "name": "direct", "virtual_ip_ids": [virtual_ip], "protocol": "tcp", "port": 81,
            "forwarding": "dr", "default_pool_id": self.pool,
        });
        let refused = self.api.post("/virtual-services", &service)?;
        ensure!(refused.status == 422, "another port than the members': {:#}", refused.body);
        ensure!(refused.body["errors"][0]["pointer"] == "/forwarding", "{:#}", refused.body);
        service["port"] = json!(80);
        self.api.create("/virtual-services", &service)?;
        self.await_forwarding()
    }
}

fn members_answer_past_the_appliance(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    stage.offer_direct()?;
    // The switch is a host of the back network itself: packets to it pass nobody.
    let client = stage.lab.switch();
    client.run("ip", &["addr", "add", "198.18.2.2/24", "dev", "bridge0"])?;
    let mut answers = [0, 0];
    for request in 0..20 {
        match client.get(&format!("http://{ADDRESS}/"), PATIENCE)? {
            Answer::Body(body) if body == "member-1" => answers[0] += 1,
            Answer::Body(body) if body == "member-2" => answers[1] += 1,
            other => anyhow::bail!("request {request} was answered by {other:?}"),
        }
    }
    assert_eq!(answers, [10, 10]);
    let stats = stage.api.await_that("/stats", PATIENCE, |stats| {
        let backends = stats["backends"].as_array().into_iter().flatten();
        backends.filter(|backend| backend["connections"] == 10).count() == 2
    })?;
    for backend in stats["backends"].as_array().into_iter().flatten() {
        ensure!(backend["packets_out"] == 0, "replies came through the appliance: {backend:#}");
    }
    let accounting = stage.accounting_at_rest()?;
    ensure!(imbalance(&accounting) == Some(0), "frames have no whereabouts: {accounting:#}");
    stage.leave()
}
