//! Services of several ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Driver, Namespace};
use serde_json::{Value, json};

use super::on_every_port;
use super::stage::{PATIENCE, Stage};

on_every_port!(every_port_of_a_range_is_the_same_port_of_a_member);

const FIRST: u16 = 8000;
const LAST: u16 = 8999;
/// Ports of the range that members listen on; by one of them nobody asks.
const PORTS: [u16; 3] = [FIRST, 8500, LAST];
/// Where members are checked, and no port of the range.
const CHECKED: u16 = 80;

impl Stage {
    /// A service of a thousand ports, by TCP or UDP, to both members.
    fn offer_range(&self, protocol: &str) -> Result<String> {
        let pool = self.api.create("/pools", &json!({ "name": protocol, "protocol": protocol }))?;
        let pool = pool["id"].as_str().context("a pool without an id")?;
        for address in MEMBERS {
            let member = json!({ "address": address, "port": CHECKED });
            self.api.create(&format!("/pools/{pool}/members"), &member)?;
        }
        let service = json!({
            "name": format!("range-{protocol}"), "virtual_ip_ids": [self.virtual_ip], "protocol": protocol,
            "port": FIRST, "port_end": LAST, "default_pool_id": pool,
        });
        let created = self.api.create("/virtual-services", &service)?;
        self.await_forwarding()?;
        Ok(format!("/virtual-services/{}", created["id"].as_str().context("a service without an id")?))
    }

    fn move_range(&self, service: &str, ports: &Value) -> Result<()> {
        let etag = self.api.get(service)?.etag.context("a service without an ETag")?;
        self.api.patch(service, &etag, ports)?.expect_status(200)?;
        self.await_forwarding()
    }
}

/// Answers one connection on each port with the member's number and the port.
fn listen(number: u16, member: &Namespace, ports: &[u16]) -> Result<Vec<TcpListener>> {
    let listeners = member.enter(|| {
        ports.iter().map(|port| Ok(TcpListener::bind((MEMBERS[usize::from(number)], *port))?)).collect()
    })?;
    let listeners: Vec<TcpListener> = listeners;
    for listener in &listeners {
        let listener = listener.try_clone()?;
        // It ends with the process; nobody waits for it.
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let port = listener.local_addr().map_or(0, |own| own.port());
                let _ = std::io::Write::write_all(&mut stream, &answer(number, port));
            }
        });
    }
    Ok(listeners)
}

fn answer(number: u16, port: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_be_bytes(), port.to_be_bytes());
    [a, b, c, d]
}

/// The member's number and port that a connection to a port of the virtual IP ends at.
fn ask(client: &Namespace, port: u16) -> Result<(u16, u16)> {
    let to = SocketAddr::from((VIRTUAL_IP, port));
    let mut stream = client.enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut answer)?;
    let [a, b, c, d] = answer;
    Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn every_port_of_a_range_is_the_same_port_of_a_member(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let client = stage.lab.client();
    let service = stage.offer_range("tcp")?;
    let members: Vec<_> = stage.lab.members().iter().map(|member| &member.namespace).collect();
    let _listeners = [listen(0, members[0], &PORTS)?, listen(1, members[1], &PORTS)?];
    for port in PORTS {
        let mut asked = [0, 0];
        for _ in 0..4 {
            let (member, at) = ask(&client, port)?;
            ensure!(at == port, "port {port} of the service is port {at} of a member");
            asked[usize::from(member)] += 1;
        }
        assert_eq!(asked, [2, 2]);
    }
    // Beside the range the address is the host's, and the service on port 80 another one.
    let beside = SocketAddr::from((VIRTUAL_IP, LAST + 1));
    let refused = client.enter(|| Ok(TcpStream::connect_timeout(&beside, PATIENCE)))?;
    ensure!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused));
    assert_eq!(stage.get_many(4)?, [2, 2]);

    // Of a range that moves what stays is served on, and what leaves is the host's.
    stage.move_range(&service, &json!({ "port": 8500, "port_end": LAST + 1 }))?;
    ensure!(ask(&client, 8500)?.1 == 8500 && ask(&client, LAST)?.1 == LAST);
    let gone = SocketAddr::from((VIRTUAL_IP, FIRST));
    let refused = client.enter(|| Ok(TcpStream::connect_timeout(&gone, PATIENCE)))?;
    ensure!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused));

    stage.offer_range("udp")?;
    let echo = members[0].enter(|| Ok(UdpSocket::bind((MEMBERS[0], 8700))?))?;
    let other = members[1].enter(|| Ok(UdpSocket::bind((MEMBERS[1], 8700))?))?;
    for server in [echo, other] {
        server.set_read_timeout(Some(PATIENCE))?;
        let socket = client.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((VIRTUAL_IP, 8700))?;
        socket.send(b"?")?;
        let (length, from) = server.recv_from(&mut [0; 16])?;
        server.send_to(&[0; 16][..length], from)?;
        ensure!(socket.recv(&mut [0; 16]).context("no answer came")? == length);
    }
    stage.balanced()
}
