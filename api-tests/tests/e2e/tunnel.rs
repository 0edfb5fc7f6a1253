//! Tunnels: members take packets for the virtual IP out of others, and answer the client past the appliance.
//!
//! VXLAN ends in the members' own kernels; for the kinds that this machine's kernel may not have, in the lab's decapsulator.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lab::network::MEMBERS;
use lab::{Answer, Decapsulator, Driver, Namespace};
use serde_json::{Value, json};

use super::datagrams::{PORT, Servers, ask, connect};
use super::on_every_port;
use super::stage::{PATIENCE, Stage, imbalance};

/// In the back network.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 100);
/// A client in the back network.
const CLIENT: &str = "198.18.2.2";
/// Many times what fits into a packet; less than what the members' servers take.
const UPLOAD: usize = 512 << 10;

on_every_port!(members_take_packets_out_of_tunnels_and_answer);

/// As a member of a tunnel must be: it holds the address, says so to nobody, and takes what comes from another way than answers go.
fn join(number: usize, member: &Namespace) -> Result<Decapsulator> {
    for setting in ["all.arp_ignore=1", "all.arp_announce=2", "all.rp_filter=0", "default.rp_filter=0"] {
        member.run("sysctl", &["-qw", &format!("net.ipv4.conf.{setting}")])?;
    }
    member.run("ip", &["addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"])?;
    let own = MEMBERS[number];
    let [a, b, c, d] = own.octets();
    let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    let vxlan = ["type", "vxlan", "id", "7", "dstport", "4789", "local", &own.to_string(), "nolearning"];
    member.run("ip", &[&["link", "add", "vx7", "address", &mac][..], &vxlan].concat())?;
    member.run("ip", &["link", "set", "vx7", "up"])?;
    Decapsulator::start(member, own)
}

/// How many packets the kernels' own tunnels took out.
fn received_by_vxlan(stage: &Stage) -> Result<u64> {
    let mut sum = 0;
    for member in stage.lab.members() {
        let listed = member.namespace.run("ip", &["-s", "-j", "link", "show", "vx7"])?;
        let listed: Value = serde_json::from_str(&listed)?;
        sum += listed[0]["stats64"]["rx"]["packets"].as_u64().context("an interface without counters")?;
    }
    Ok(sum)
}

impl Stage {
    /// A second service by a tunnel, to the same members on the same port; its path.
    fn offer_by_tunnel(&self) -> Result<String> {
        let virtual_ip = self.api.create("/virtual-ips", &json!({ "name": "back", "address": ADDRESS }))?;
        let virtual_ip = virtual_ip["id"].as_str().context("a virtual IP without an id")?;
        let mut service = json!({
            "name": "far", "virtual_ip_ids": [virtual_ip], "protocol": "tcp", "port": 81,
            "forwarding": "tunnel", "tunnel": { "kind": "ipip" }, "default_pool_id": self.pool,
        });
        let refused = self.api.post("/virtual-services", &service)?;
        ensure!(refused.status == 422, "another port than the members': {:#}", refused.body);
        ensure!(refused.body["errors"][0]["pointer"] == "/forwarding", "{:#}", refused.body);
        service["port"] = json!(80);
        let created = self.api.create("/virtual-services", &service)?;
        self.await_forwarding()?;
        Ok(format!("/virtual-services/{}", created["id"].as_str().context("a service without an id")?))
    }

    fn change_tunnel(&self, service: &str, tunnel: &Value) -> Result<()> {
        let etag = self.api.get(service)?.etag.context("a service without an ETag")?;
        self.api.patch(service, &etag, &json!({ "tunnel": tunnel }))?.expect_status(200)?;
        self.await_forwarding()
    }
}

/// A request whose packets are as large as the client's own network allows, until it is told that less fits.
fn upload(client: &Namespace, file: &str) -> Result<String> {
    let url = format!("http://{ADDRESS}/");
    let body =
        client.run("curl", &["-sf", "--noproxy", "*", "--max-time", "20", "--data-binary", file, &url])?;
    Ok(body.trim_end().to_owned())
}

fn members_take_packets_out_of_tunnels_and_answer(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let mut ends = Vec::new();
    for (number, member) in stage.lab.members().iter().enumerate() {
        ends.push(join(number, &member.namespace)?);
    }
    let service = stage.offer_by_tunnel()?;
    // The switch is a host of the back network itself: packets to it pass nobody.
    let client = stage.lab.switch();
    client.run("ip", &["addr", "add", &format!("{CLIENT}/24"), "dev", "bridge0"])?;
    let body = stage.lab.folder().join("upload");
    std::fs::write(&body, vec![0x5a; UPLOAD])?;
    let body = format!("@{}", body.display());
    let taken_out = || -> Result<Vec<u64>> {
        let sums = (0..4).map(|kind| ends.iter().map(|end| end.counts()[kind]).sum());
        Ok(sums.chain([received_by_vxlan(&stage)?]).collect())
    };
    let tunnels = [
        json!({ "kind": "ipip", "port": null, "vni": null }),
        json!({ "kind": "gre", "port": null, "vni": null }),
        json!({ "kind": "gue", "port": null, "vni": null }),
        json!({ "kind": "geneve", "port": null, "vni": 7 }),
        json!({ "kind": "vxlan", "port": 4789, "vni": 7 }),
    ];
    for (at, tunnel) in tunnels.iter().enumerate() {
        stage.change_tunnel(&service, tunnel)?;
        let before = taken_out()?;
        let mut answers = [0, 0];
        for request in 0..10 {
            match client.get(&format!("http://{ADDRESS}/"), PATIENCE)? {
                Answer::Body(body) if body == "member-1" => answers[0] += 1,
                Answer::Body(body) if body == "member-2" => answers[1] += 1,
                other => anyhow::bail!("{tunnel}: request {request} was answered by {other:?}"),
            }
        }
        assert_eq!(answers, [5, 5], "{tunnel}");
        // What the client has learnt of the path is forgotten: each kind has to tell it anew.
        client.run("ip", &["route", "flush", "cache"])?;
        let member = upload(&client, &body).with_context(|| format!("{tunnel}"))?;
        ensure!(member.starts_with("member-"), "{tunnel}: {member}");
        let path = client.run("ip", &["route", "get", &ADDRESS.to_string()])?;
        let room = [1480, 1476, 1468, 1450, 1450][at];
        ensure!(path.contains(&format!("mtu {room}")), "{tunnel}: the client was told otherwise: {path}");
        let after = taken_out()?;
        for (kind, (before, after)) in before.iter().zip(&after).enumerate() {
            ensure!((after > before) == (kind == at), "{tunnel}: kind {kind} took {before} and then {after}");
        }
    }
    let stats = stage.api.get("/stats")?.expect_status(200)?.body;
    for backend in stats["backends"].as_array().into_iter().flatten() {
        ensure!(backend["packets_out"] == 0, "replies came through the appliance: {backend:#}");
    }
    let accounting = stage.accounting_at_rest()?;
    ensure!(imbalance(&accounting) == Some(0), "frames have no whereabouts: {accounting:#}");
    stage.leave()
}

#[test]
fn datagrams_reach_members_as_they_are() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let members: Vec<_> = stage.lab.members().iter().map(|member| &member.namespace).collect();
    let _ends = [join(0, members[0])?, join(1, members[1])?];
    let virtual_ip = stage.api.create("/virtual-ips", &json!({ "name": "back", "address": ADDRESS }))?;
    let pool = stage.api.create("/pools", &json!({ "name": "names", "protocol": "udp" }))?;
    let pool = pool["id"].as_str().context("a pool without an id")?;
    for address in MEMBERS {
        let member = json!({ "address": address, "port": PORT });
        stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    }
    let service = json!({
        "name": "names", "virtual_ip_ids": [virtual_ip["id"]], "protocol": "udp", "port": PORT,
        "forwarding": "dr", "default_pool_id": pool,
    });
    let service = stage.api.create("/virtual-services", &service)?;
    let service = format!("/virtual-services/{}", service["id"].as_str().context("a service without an id")?);
    stage.await_forwarding()?;
    // The switch is a host of the back network itself: packets to it pass nobody.
    let switch = stage.lab.switch();
    switch.run("ip", &["addr", "add", &format!("{CLIENT}/24"), "dev", "bridge0"])?;
    let servers = Servers::start(stage.lab.members(), [ADDRESS; 2])?;
    let tunnel = |kind: &str, vni: Option<u32>| json!({ "kind": kind, "port": null, "vni": vni });
    let ways = [
        None,
        Some(tunnel("ipip", None)),
        Some(tunnel("gre", None)),
        Some(tunnel("gue", None)),
        Some(tunnel("geneve", Some(7))),
        Some(tunnel("vxlan", Some(7))),
    ];
    for way in ways {
        let what = format!("{way:?}");
        if let Some(tunnel) = way {
            stage.api.change(&service, &json!({ "forwarding": "tunnel", "tunnel": tunnel }))?;
            stage.await_forwarding()?;
        }
        let mut answers = [0, 0];
        for _ in 0..10 {
            let client = connect(&switch, ADDRESS)?;
            answers[usize::from(ask(&client, &[0x5a; 1300]).with_context(|| what.clone())?)] += 1;
        }
        assert_eq!(answers, [5, 5], "{what}");
    }
    servers.end()?;
    stage.leave()
}
