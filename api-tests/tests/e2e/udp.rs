//! Services by UDP, and what ICMP says about connections.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{MEMBERS, VIRTUAL_IP};
use serde_json::json;

use super::datagrams::{PORT, Servers, ask_many, connect};
use super::on_every_port;
use super::stage::Stage;

on_every_port!(datagrams_are_shared_and_answered, a_refusal_of_a_member_reaches_the_client);

/// In the back network, and nobody's until the appliance is told to hold it.
const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);

impl Stage {
    /// A second service, by UDP, of two members of its own.
    fn offer_udp(&self) -> Result<()> {
        let pool = self.api.create("/pools", &json!({ "name": "names", "protocol": "udp" }))?;
        let pool = pool["id"].as_str().context("a pool without an id")?;
        for address in MEMBERS {
            let member = json!({ "address": address, "port": PORT });
            self.api.create(&format!("/pools/{pool}/members"), &member)?;
        }
        let service = json!({
            "name": "names", "virtual_ip_ids": [self.virtual_ip], "protocol": "udp", "port": PORT,
            "default_pool_id": pool,
        });
        self.api.create("/virtual-services", &service)?;
        self.await_forwarding()
    }
}

fn datagrams_are_shared_and_answered(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    stage.offer_udp()?;
    let servers = Servers::start(stage.lab.members(), MEMBERS)?;
    // Of AF_PACKET DPDK asks that the kernel join pieces, and has no room for what they are together.
    let lengths: &[usize] = if driver == Driver::AfPacket { &[1400] } else { &[1400, 4000] };
    assert_eq!(ask_many(&stage.lab.client(), VIRTUAL_IP, lengths)?, [10, 10]);
    // TCP on the same address is another service.
    assert_eq!(stage.get_many(4)?, [2, 2]);
    stage.lab.client().run("ping", &["-c", "1", "-W", "2", &VIRTUAL_IP.to_string()])?;
    servers.end()?;
    stage.leave()
}

fn a_refusal_of_a_member_reaches_the_client(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    stage.offer_udp()?;
    // Nobody listens there: the member's kernel says so by ICMP, and the client's socket hears it.
    let client = connect(&stage.lab.client(), VIRTUAL_IP)?;
    client.send(b"?")?;
    let refusal = client.recv(&mut [0; 16]).err().context("somebody answered")?;
    ensure!(refusal.kind() == ErrorKind::ConnectionRefused, "the client heard {refusal}");
    stage.leave()
}

#[test]
fn datagrams_are_answered_by_full_nat() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.offer_udp()?;
    let listed = stage.api.get("/virtual-services?name=names")?.expect_status(200)?.body;
    let service = listed["items"][0]["id"].as_str().context("a service without an id")?;
    let masked = json!({ "forwarding": "full_nat", "local_addresses": [LOCAL] });
    stage.api.change(&format!("/virtual-services/{service}"), &masked)?;
    stage.await_forwarding()?;
    for member in stage.lab.members() {
        // They know the way to their own network alone.
        member.namespace.run("ip", &["route", "del", "default"])?;
    }
    let servers = Servers::start(stage.lab.members(), MEMBERS)?;
    assert_eq!(ask_many(&stage.lab.client(), VIRTUAL_IP, &[1400])?, [10, 10]);
    servers.end()?;
    stage.leave()
}
