//! Full NAT: members see an address of the appliance's, and need no route through it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lab::network::{CLIENT, MEMBERS, VIRTUAL_IP};
use lab::{Answer, Driver, LabOptions};
use serde_json::{Value, json};

use super::on_every_port;
use super::stage::{PATIENCE, Stage, imbalance};

/// In the back network, and nobody's until the appliance is told to hold it.
const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);

on_every_port!(members_see_an_address_of_ours);

impl Stage {
    /// The service of the stage, by full NAT now.
    fn mask(&self) -> Result<()> {
        let listed = self.api.get("/virtual-services")?.expect_status(200)?.body;
        let service = listed["items"][0]["id"].as_str().context("a service without an id")?.to_owned();
        let service = format!("/virtual-services/{service}");
        let etag = self.api.get(&service)?.etag.context("a service without an ETag")?;
        let masked = |addresses: Value| json!({ "forwarding": "full_nat", "local_addresses": addresses });
        for (addresses, status, pointer) in [
            (json!([]), 422, "/local_addresses"),
            (json!([VIRTUAL_IP]), 409, "/local_addresses/0"),
            (json!([MEMBERS[0]]), 409, "/local_addresses/0"),
        ] {
            let refused = self.api.patch(&service, &etag, &masked(addresses))?;
            ensure!(refused.status == status, "{:#}", refused.body);
            ensure!(refused.body["errors"][0]["pointer"] == pointer, "{:#}", refused.body);
        }
        self.api.patch(&service, &etag, &masked(json!([LOCAL])))?.expect_status(200)?;
        let taken = self.api.post("/virtual-ips", &json!({ "name": "twice", "address": LOCAL }))?;
        ensure!(taken.status == 409, "{:#}", taken.body);
        self.await_forwarding()
    }

    /// Members that know the way to their own network alone, and count what comes from whom.
    fn cut_routes(&self) -> Result<()> {
        for member in self.lab.members() {
            member.namespace.run("ip", &["route", "del", "default"])?;
            let rules = format!(
                "table ip seen {{ counter local {{}}; counter client {{}}; chain in {{ type filter hook input priority 0; \
                 ip saddr {LOCAL} counter name local; ip saddr {CLIENT} counter name client; }}; }}"
            );
            member.namespace.run("nft", &[&rules])?;
        }
        Ok(())
    }

    fn seen(&self, name: &str) -> Result<u64> {
        let mut sum = 0;
        for member in self.lab.members() {
            let listed = member.namespace.run("nft", &["--json", "list", "counter", "ip", "seen", name])?;
            let listed: Value = serde_json::from_str(&listed)?;
            let counters = listed["nftables"].as_array().into_iter().flatten();
            sum += counters.filter_map(|entry| entry["counter"]["packets"].as_u64()).sum::<u64>();
        }
        Ok(sum)
    }
}

fn members_see_an_address_of_ours(driver: Driver, offload: bool) -> Result<()> {
    check(&LabOptions::for_test(driver, offload)?)
}

/// Replies find the worker that has the flow, through the one that has the queue.
#[test]
fn two_workers_share_the_ports_of_an_address() -> Result<()> {
    check(&LabOptions { workers: 2, ..LabOptions::for_test(Driver::AfXdp, true)? })
}

fn check(options: &LabOptions) -> Result<()> {
    let stage = Stage::set_with(options)?;
    stage.mask()?;
    stage.cut_routes()?;
    let answers = stage.get_many(40)?;
    assert!(answers[0] >= 15 && answers[1] >= 15, "{answers:?}");
    let download = stage.download()?;
    stage.finish(download)?;
    assert_eq!(stage.seen("client")?, 0);
    ensure!(stage.seen("local")? > 200, "members saw somebody else");
    // The host itself may still be asked at the address: its kernel answers.
    let members = stage.lab.members();
    members[0].namespace.run("ping", &["-c", "1", "-W", "2", &LOCAL.to_string()])?;
    let silent = members[0].namespace.get(&format!("http://{LOCAL}:81/"), PATIENCE)?;
    ensure!(silent == Answer::Refused, "nobody listens there, and the kernel says so: {silent:?}");
    let accounting = stage.accounting_at_rest()?;
    ensure!(imbalance(&accounting) == Some(0), "frames have no whereabouts: {accounting:#}");
    stage.balanced()
}
