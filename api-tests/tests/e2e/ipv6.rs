//! The same in IPv6, beside the service in IPv4: real clients, real servers.

use std::net::Ipv6Addr;

use anyhow::{Context as _, Result, bail, ensure};
use lab::network::{MEMBERS_6, VIRTUAL_IP_6};
use lab::{Answer, Driver, LabOptions, Namespace};
use serde_json::{Value, json};

use super::datagrams::{PORT, Servers, ask_many};
use super::stage::{PATIENCE, RATE, Stage, imbalance};

/// A port of a service of protocol `http`.
const PROXY: u16 = 8080;
/// In the back network, for direct return.
const DIRECT: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 2, 0, 0, 0, 0x100);
/// In the back network too, and nobody's until the appliance is told to hold it.
const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 2, 0, 0, 0, 0x200);
/// The switch, as a host of the back network.
const NEAR: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 2, 0, 0, 0, 2);

/// The stage, whose networks have IPv6, with a pool of the members' addresses there.
struct Stage6 {
    stage: Stage,
    virtual_ip: String,
    pool: String,
}

impl Stage6 {
    fn set(driver: Driver, offload: bool) -> Result<Self> {
        let stage = Stage::set_with(&LabOptions { ipv6: true, ..LabOptions::for_test(driver, offload)? })?;
        let virtual_ip = json!({ "name": "front-6", "address": VIRTUAL_IP_6 });
        let virtual_ip = id(&stage.api.create("/virtual-ips", &virtual_ip)?)?;
        let pool = pool(&stage, "web-6", "tcp", 80)?;
        let this = Self { stage, virtual_ip, pool };
        this.offer("web-6", "tcp", 80, &this.pool)?;
        Ok(this)
    }

    fn offer(&self, name: &str, protocol: &str, port: u16, pool: &str) -> Result<()> {
        let service = json!({
            "name": name, "virtual_ip_ids": [self.virtual_ip], "protocol": protocol, "port": port,
            "default_pool_id": pool,
        });
        self.stage.api.create("/virtual-services", &service)?;
        self.stage.await_forwarding()
    }

    fn get_many(&self, requests: usize) -> Result<[usize; 2]> {
        get_many(&self.stage.lab.client(), &format!("http://[{VIRTUAL_IP_6}]/"), requests)
    }

    fn leave(self) -> Result<()> {
        assert_eq!(self.stage.get_many(4)?, [2, 2], "the service in IPv4 beside it");
        let accounting = self.stage.accounting_at_rest()?;
        ensure!(imbalance(&accounting) == Some(0), "frames have no whereabouts: {accounting:#}");
        self.stage.leave()
    }
}

fn pool(stage: &Stage, name: &str, protocol: &str, port: u16) -> Result<String> {
    let pool = id(&stage.api.create("/pools", &json!({ "name": name, "protocol": protocol }))?)?;
    for address in MEMBERS_6 {
        let member = json!({ "address": address, "port": port });
        stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    }
    Ok(pool)
}

fn id(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().context("a resource without an id")?.to_owned())
}

fn get_many(client: &Namespace, url: &str, requests: usize) -> Result<[usize; 2]> {
    let mut answers = [0, 0];
    for request in 0..requests {
        match client.get(url, PATIENCE)? {
            Answer::Body(body) if body == "member-1" => answers[0] += 1,
            Answer::Body(body) if body == "member-2" => answers[1] += 1,
            other => bail!("request {request} to {url} was answered by {other:?}"),
        }
    }
    Ok(answers)
}

fn streams_and_datagrams_are_translated(driver: Driver, offload: bool) -> Result<()> {
    let this = Stage6::set(driver, offload)?;
    let (stage, client) = (&this.stage, this.stage.lab.client());
    assert_eq!(this.get_many(20)?, [10, 10]);

    let download = client.download(&format!("http://[{VIRTUAL_IP_6}]/big"), RATE)?;
    download.await_bytes(RATE / 2, PATIENCE)?;
    let l4 = &stage.lab.appliance().l4;
    l4.kill()?;
    l4.await_ready(PATIENCE)?;
    stage.finish(download)?;
    assert_eq!(this.get_many(10)?, [5, 5], "after a restart, in which flows were kept");

    let names = pool(stage, "names-6", "udp", PORT)?;
    this.offer("names-6", "udp", PORT, &names)?;
    let servers = Servers::start(stage.lab.members(), MEMBERS_6)?;
    assert_eq!(ask_many(&client, VIRTUAL_IP_6, &[1400])?, [10, 10]);
    servers.end()?;

    // The kernel answers for the address itself, and a port without a service is nobody's.
    client.run("ping", &["-6", "-c", "1", "-W", "2", &VIRTUAL_IP_6.to_string()])?;
    let other = format!("http://[{VIRTUAL_IP_6}]:81/");
    ensure!(client.get(&other, PATIENCE)? == Answer::Refused, "the kernel says that nobody is there");
    this.leave()
}

#[test]
fn streams_and_datagrams_are_translated_on_af_xdp() -> Result<()> {
    streams_and_datagrams_are_translated(Driver::AfXdp, false)
}

#[test]
fn streams_and_datagrams_are_translated_on_af_xdp_with_offload() -> Result<()> {
    streams_and_datagrams_are_translated(Driver::AfXdp, true)
}

#[test]
fn streams_and_datagrams_are_translated_on_af_packet() -> Result<()> {
    streams_and_datagrams_are_translated(Driver::AfPacket, false)
}

/// A client beside the members: the switch, as a host of the back network itself. Packets to it pass nobody.
fn near(stage: &Stage) -> Result<Namespace> {
    let client = stage.lab.switch();
    for scope in ["all", "bridge0"] {
        client.run("sysctl", &["-qw", &format!("net.ipv6.conf.{scope}.disable_ipv6=0")])?;
    }
    client.run("ip", &["-6", "addr", "add", &format!("{NEAR}/64"), "dev", "bridge0", "nodad"])?;
    Ok(client)
}

/// As the member of a direct return must be. No neighbour is told of an address on lo (`ndisc_recv_ns` looks at the
/// interface that was asked).
fn hold(member: &Namespace) -> Result<()> {
    member.run("ip", &["-6", "addr", "add", &format!("{DIRECT}/128"), "dev", "lo", "nodad"]).map(drop)
}

#[test]
fn members_answer_past_the_appliance() -> Result<()> {
    let this = Stage6::set(Driver::AfXdp, false)?;
    let stage = &this.stage;
    let members = stage.lab.members();
    members.iter().try_for_each(|member| hold(&member.namespace))?;
    let virtual_ip =
        id(&stage.api.create("/virtual-ips", &json!({ "name": "back-6", "address": DIRECT }))?)?;
    let names = pool(stage, "names-6", "udp", PORT)?;
    for (name, protocol, port, pool) in
        [("direct", "tcp", 80, &this.pool), ("direct-names", "udp", PORT, &names)]
    {
        let service = json!({
            "name": name, "virtual_ip_ids": [virtual_ip], "protocol": protocol, "port": port,
            "forwarding": "dr", "default_pool_id": pool,
        });
        stage.api.create("/virtual-services", &service)?;
    }
    stage.await_forwarding()?;
    let client = near(stage)?;
    assert_eq!(get_many(&client, &format!("http://[{DIRECT}]/"), 20)?, [10, 10]);
    let servers = Servers::start(members, [DIRECT; 2])?;
    assert_eq!(ask_many(&client, DIRECT, &[1400])?, [10, 10]);
    servers.end()?;
    let stats = stage.api.await_that("/stats", PATIENCE, |stats| {
        let backends = stats["backends"].as_array().into_iter().flatten();
        backends.filter(|backend| backend["connections"] == 10).count() == 4
    })?;
    for backend in stats["backends"].as_array().into_iter().flatten() {
        ensure!(backend["packets_out"] == 0, "replies came through the appliance: {backend:#}");
    }
    this.leave()
}

#[test]
fn members_see_an_address_of_ours() -> Result<()> {
    let this = Stage6::set(Driver::AfXdp, true)?;
    let stage = &this.stage;
    let names = pool(stage, "names-6", "udp", PORT)?;
    for (name, protocol, port, pool) in
        [("masked", "tcp", 81, &this.pool), ("masked-names", "udp", PORT, &names)]
    {
        let service = json!({
            "name": name, "virtual_ip_ids": [this.virtual_ip], "protocol": protocol, "port": port,
            "forwarding": "full_nat", "local_addresses": [LOCAL], "default_pool_id": pool,
        });
        stage.api.create("/virtual-services", &service)?;
    }
    stage.await_forwarding()?;
    let members = stage.lab.members();
    for member in members {
        // They know the way to their own network alone.
        member.namespace.run("ip", &["-6", "route", "del", "default"])?;
    }
    let client = stage.lab.client();
    assert_eq!(get_many(&client, &format!("http://[{VIRTUAL_IP_6}]:81/"), 20)?, [10, 10]);
    let servers = Servers::start(stage.lab.members(), MEMBERS_6)?;
    assert_eq!(ask_many(&client, VIRTUAL_IP_6, &[1400])?, [10, 10]);
    servers.end()?;
    this.leave()
}

/// As a member of a tunnel must be: it takes frames out of VXLAN, and holds the address.
fn join(member: &Namespace, own: Ipv6Addr) -> Result<()> {
    hold(member)?;
    let [.., a, b, c, d] = own.octets();
    let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    let own = own.to_string();
    let vxlan =
        ["type", "vxlan", "id", "7", "dstport", "4789", "local", &own, "nolearning", "udp6zerocsumrx"];
    member.run("ip", &[&["link", "add", "vx7", "address", &mac][..], &vxlan].concat())?;
    member.run("sysctl", &["-qw", "net.ipv6.conf.vx7.disable_ipv6=0"])?;
    member.run("ip", &["link", "set", "vx7", "up"]).map(drop)
}

#[test]
fn members_take_packets_out_of_tunnels() -> Result<()> {
    let this = Stage6::set(Driver::AfXdp, false)?;
    let stage = &this.stage;
    let members = stage.lab.members();
    for (member, own) in members.iter().zip(MEMBERS_6) {
        join(&member.namespace, own)?;
    }
    let virtual_ip =
        id(&stage.api.create("/virtual-ips", &json!({ "name": "back-6", "address": DIRECT }))?)?;
    let names = pool(stage, "names-6", "udp", PORT)?;
    for (name, protocol, port, pool) in [("far", "tcp", 80, &this.pool), ("far-names", "udp", PORT, &names)] {
        let service = json!({
            "name": name, "virtual_ip_ids": [virtual_ip], "protocol": protocol, "port": port,
            "forwarding": "tunnel", "tunnel": { "kind": "vxlan", "vni": 7 }, "default_pool_id": pool,
        });
        stage.api.create("/virtual-services", &service)?;
    }
    stage.await_forwarding()?;
    let client = near(stage)?;
    assert_eq!(get_many(&client, &format!("http://[{DIRECT}]/"), 20)?, [10, 10]);
    let servers = Servers::start(members, [DIRECT; 2])?;
    // What goes in whole comes out whole; 1,400 bytes are too many within a frame of the back network.
    assert_eq!(ask_many(&client, DIRECT, &[1300])?, [10, 10]);
    servers.end()?;
    for member in members {
        let listed = member.namespace.run("ip", &["-s", "-j", "link", "show", "vx7"])?;
        let listed: Value = serde_json::from_str(&listed)?;
        ensure!(listed[0]["stats64"]["rx"]["packets"].as_u64() >= Some(20), "{listed:#}");
    }
    this.leave()
}

#[test]
fn checks_and_requests_reach_members_by_ipv6() -> Result<()> {
    let this = Stage6::set(Driver::AfXdp, true)?;
    this.offer("shop-6", "http", PROXY, &this.pool.clone())?;
    let client = this.stage.lab.client();
    let url = format!("http://[{VIRTUAL_IP_6}]:{PROXY}/");
    assert_eq!(get_many(&client, &url, 10)?, [5, 5]);

    let monitors = [
        json!({ "name": "http-6", "kind": "http", "interval_ms": 1000, "timeout_ms": 900, "rise": 1, "fall": 2 }),
        json!({ "name": "icmp-6", "kind": "icmp", "interval_ms": 1000, "timeout_ms": 900, "rise": 1, "fall": 2 }),
    ];
    let monitors: Vec<String> = monitors
        .iter()
        .map(|monitor| id(&this.stage.api.create("/monitors", monitor)?))
        .collect::<Result<_>>()?;
    let path = format!("/pools/{}", this.pool);
    this.stage.api.patch(&path, "*", &json!({ "monitor_ids": monitors }))?.expect_status(200)?;
    this.stage.api.await_that(&path, PATIENCE, |pool| pool["operating_status"] == "online")?;
    this.stage.lab.members()[1].server.stop()?;
    this.stage.api.await_that(&path, PATIENCE, |pool| pool["operating_status"] == "degraded")?;
    this.stage.await_forwarding()?;
    assert_eq!(this.get_many(10)?, [10, 0], "by packets");
    assert_eq!(get_many(&client, &url, 10)?, [10, 0], "by requests");
    this.stage.lab.members()[1].server.resume();
    this.stage.api.await_that(&path, PATIENCE, |pool| pool["operating_status"] == "online")?;
    this.leave()
}
