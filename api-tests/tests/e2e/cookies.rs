//! Floods of SYNs, and handshakes by cookies between real clients and members.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS_6, VIRTUAL_IP, VIRTUAL_IP_6};
use lab::{Answer, Driver, LabOptions, Member};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

/// From so many half-open connections on.
const FROM: u64 = 64;
/// In the back network, and nobody's until the appliance is told to hold it.
const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);

/// Whether a connection of its own is served.
fn is_served() -> bool {
    let served = || -> Result<bool> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((VIRTUAL_IP, 80)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.contains("member-"))
    };
    served().unwrap_or(false)
}

/// Real clients while a flood goes on, as long as `asks` says: those who are connected notice nothing, the others are served, and the table stays
/// small.
fn clients_are_served_under_a_flood(pause: Duration, mut asks: impl FnMut(usize) -> bool) -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    stage.change_service(&json!({ "syn_cookies_from": FROM }))?;
    assert_eq!(stage.get_many(4)?, [2, 2], "before it all is as ever");
    let download = stage.download()?;
    let flood = stage.lab.client().flood(SocketAddrV4::new(VIRTUAL_IP, 80), pause)?;
    stage.api.await_that("/stats", PATIENCE, |stats| stats["syn_cookies"]["given"].as_u64() > Some(1000))?;
    let (mut asked, mut served) = (0, 0);
    while asks(asked) {
        asked += 100;
        served += stage.lab.far_client().enter(|| Ok((0..100).filter(|_| is_served()).count()))?;
        let flows =
            stage.api.get("/stats")?.expect_status(200)?.body["flows"].as_u64().context("no flows")?;
        // Those of clients that are done stay for a minute.
        ensure!(flows <= FROM + 5 + asked as u64, "{flows} flows after {} SYNs", flood.sent());
    }
    ensure!(served * 100 >= asked * 99, "{served} of {asked} were served");
    stage.finish(download)?;
    let sent = flood.sent();
    drop(flood);
    let brought = |stats: &Value| stats["syn_cookies"]["taken"].as_u64() >= Some(served as u64);
    let stats = stage.api.await_that("/stats", PATIENCE, brought)?;
    println!("{served} of {asked} were served, beside {sent} SYNs: {}", stats["syn_cookies"]);
    stage.leave()
}

#[test]
fn clients_are_served_under_a_brief_flood() -> Result<()> {
    clients_are_served_under_a_flood(Duration::from_millis(5), |asked| asked < 100)
}

#[test]
#[ignore = "half a minute of as many SYNs as this machine can send"]
fn clients_are_served_under_a_long_flood() -> Result<()> {
    let begun = Instant::now();
    clients_are_served_under_a_flood(Duration::ZERO, |_| begun.elapsed() < Duration::from_secs(30))
}

/// What the stack of a member counts under this name.
fn counted(member: &Member, name: &str) -> Result<u64> {
    let text = member.namespace.run("cat", &["/proc/net/netstat"])?;
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let mut both = names.split(' ').zip(values.split(' '));
        if let Some((_, value)) = both.find(|(known, _)| *known == name) {
            return Ok(value.parse()?);
        }
    }
    anyhow::bail!("the kernel does not count {name}")
}

/// Each connection begins with a cookie, and some segments are lost: what the client says of them arrives as the member sent them.
fn connections_by_cookies_are_as_good_as_others(driver: Driver) -> Result<()> {
    let stage = Stage::set_with(&LabOptions { ipv6: true, ..LabOptions::for_test(driver, true)? })?;
    let always = json!({ "syn_cookies_from": 0 });
    stage.change_service(&always)?;
    assert_eq!(stage.get_many(6)?, [3, 3]);
    let client = stage.lab.client();
    // One of two hundred segments with data, on its way in.
    let rule = format!(
        "table ip lossy {{ chain in {{ type filter hook prerouting priority -400; \
         ip saddr {VIRTUAL_IP} meta length > 1000 numgen random mod 200 == 0 drop; }}; }}"
    );
    client.run("nft", &[&rule])?;
    let download = stage.download()?;
    let member = usize::from(download.member() == "member-2");
    stage.finish(download)?;
    client.run("nft", &["delete", "table", "ip", "lossy"])?;
    let member = &stage.lab.members()[member];
    ensure!(counted(member, "TCPSackRecovery")? > 0, "nothing was lost");
    assert_eq!(counted(member, "TCPSACKDiscard")?, 0, "what was lost was told in other numbers");

    stage.change_service(&json!({ "forwarding": "full_nat", "local_addresses": [LOCAL] }))?;
    assert_eq!(stage.get_many(6)?, [3, 3]);

    let id = |created: Value| created["id"].as_str().map(str::to_owned).context("no id");
    let front =
        id(stage.api.create("/virtual-ips", &json!({ "name": "front-6", "address": VIRTUAL_IP_6 }))?)?;
    let pool = id(stage.api.create("/pools", &json!({ "name": "web-6" }))?)?;
    for (number, address) in MEMBERS_6.iter().enumerate() {
        let member = json!({ "name": format!("member-{number}"), "address": address, "port": 80 });
        stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    }
    let service = json!({
        "name": "web-6", "virtual_ip_ids": [front], "protocol": "tcp", "port": 80, "default_pool_id": pool,
        "syn_cookies_from": 0,
    });
    stage.api.create("/virtual-services", &service)?;
    stage.await_forwarding()?;
    for _ in 0..6 {
        let answer = client.get(&format!("http://[{VIRTUAL_IP_6}]/"), PATIENCE)?;
        ensure!(matches!(answer, Answer::Body(_)), "{answer:?}");
    }
    stage.api.await_that("/stats", PATIENCE, |stats| stats["syn_cookies"]["taken"].as_u64() >= Some(19))?;
    stage.leave()
}

#[test]
fn connections_by_cookies_are_as_good_on_af_xdp() -> Result<()> {
    connections_by_cookies_are_as_good_as_others(Driver::AfXdp)
}

#[test]
fn connections_by_cookies_are_as_good_on_af_packet() -> Result<()> {
    connections_by_cookies_are_as_good_as_others(Driver::AfPacket)
}
