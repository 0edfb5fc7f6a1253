//! Services by UDP, and what ICMP says about connections.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Driver, Namespace};
use serde_json::json;

use super::on_every_port;
use super::stage::{PATIENCE, Stage};

on_every_port!(datagrams_are_shared_and_answered, a_refusal_of_a_member_reaches_the_client);

pub(super) const PORT: u16 = 53;
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

/// A server that answers each datagram with its own name and what it was sent, until it is sent nothing.
pub(super) fn serve(
    member: usize,
    namespace: &Namespace,
    address: Ipv4Addr,
) -> Result<thread::JoinHandle<()>> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind((address, PORT))?))?;
    Ok(thread::spawn(move || {
        let mut buffer = [0; 9000];
        while let Ok((length @ 1.., from)) = socket.recv_from(&mut buffer) {
            let name = u8::try_from(member).unwrap_or(u8::MAX);
            buffer[length] = name;
            let _ = socket.send_to(&buffer[..=length], from);
        }
    }))
}

fn client(stage: &Stage) -> Result<UdpSocket> {
    stage.lab.client().enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect((VIRTUAL_IP, PORT))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    })
}

/// The member that answers `question`, which comes back whole.
pub(super) fn ask(client: &UdpSocket, question: &[u8]) -> Result<u8> {
    client.send(question)?;
    let mut answer = [0; 9000];
    let length = client.recv(&mut answer).context("no answer came")?;
    ensure!(answer[..length - 1] == *question, "the answer is not to the question");
    Ok(answer[length - 1])
}

fn datagrams_are_shared_and_answered(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    stage.offer_udp()?;
    let members: Vec<_> = stage.lab.members().iter().map(|member| &member.namespace).collect();
    let servers = [serve(0, members[0], MEMBERS[0])?, serve(1, members[1], MEMBERS[1])?];
    let mut answers = [0, 0];
    for _ in 0..20 {
        let client = client(&stage)?;
        let first = ask(&client, b"?")?;
        answers[usize::from(first)] += 1;
        ensure!(ask(&client, &[0x5a; 1400])? == first, "the client of one socket keeps its member");
        // Of AF_PACKET DPDK asks that the kernel join pieces, and has no room for what they are together.
        if driver != Driver::AfPacket {
            ensure!(ask(&client, &[0x5b; 4000])? == first, "in pieces both ways");
        }
    }
    assert_eq!(answers, [10, 10]);
    // TCP on the same address is another service.
    assert_eq!(stage.get_many(4)?, [2, 2]);
    stage.lab.client().run("ping", &["-c", "1", "-W", "2", &VIRTUAL_IP.to_string()])?;
    for (member, server) in servers.into_iter().enumerate() {
        // To itself, and so past the appliance.
        members[member].enter(|| {
            UdpSocket::bind(("0.0.0.0", 0))?
                .send_to(&[], (MEMBERS[member], PORT))
                .map(drop)
                .map_err(Into::into)
        })?;
        ensure!(server.join().is_ok(), "a server panicked");
    }
    stage.leave()
}

fn a_refusal_of_a_member_reaches_the_client(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    stage.offer_udp()?;
    // Nobody listens there: the member's kernel says so by ICMP, and the client's socket hears it.
    let client = client(&stage)?;
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
    let members: Vec<_> = stage.lab.members().iter().map(|member| &member.namespace).collect();
    for member in &members {
        // They know the way to their own network alone.
        member.run("ip", &["route", "del", "default"])?;
    }
    let servers = [serve(0, members[0], MEMBERS[0])?, serve(1, members[1], MEMBERS[1])?];
    let mut answers = [0, 0];
    for _ in 0..20 {
        let client = client(&stage)?;
        let first = ask(&client, b"?")?;
        answers[usize::from(first)] += 1;
        ensure!(ask(&client, &[0x5a; 1400])? == first, "the client of one socket keeps its member");
    }
    assert_eq!(answers, [10, 10]);
    for (member, server) in servers.into_iter().enumerate() {
        members[member].enter(|| {
            UdpSocket::bind(("0.0.0.0", 0))?
                .send_to(&[], (MEMBERS[member], PORT))
                .map(drop)
                .map_err(Into::into)
        })?;
        ensure!(server.join().is_ok(), "a server panicked");
    }
    stage.leave()
}
