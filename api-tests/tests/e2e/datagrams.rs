//! Servers and clients of datagrams, in both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use lab::{Member, Namespace};

use super::stage::PATIENCE;

/// Where they are served.
pub(super) const PORT: u16 = 53;

/// A server at each member, which answers a datagram with what it was sent and the member's number, until it is sent nothing.
pub(super) struct Servers(Vec<(Namespace, SocketAddr, JoinHandle<()>)>);

impl Servers {
    /// At these addresses of theirs.
    pub(super) fn start(members: &[Member], at: [impl Into<IpAddr>; 2]) -> Result<Self> {
        let servers = (0..).zip(members).zip(at).map(|((number, member), address)| {
            let (namespace, address) = (member.namespace.clone(), SocketAddr::new(address.into(), PORT));
            let socket = namespace.enter(|| Ok(UdpSocket::bind(address)?))?;
            let server = thread::spawn(move || serve(number, &socket));
            Ok((namespace, address, server))
        });
        servers.collect::<Result<_>>().map(Self)
    }

    /// Ends them: what they are sent comes from where they are, and so past the appliance.
    pub(super) fn end(self) -> Result<()> {
        for (namespace, address, server) in self.0 {
            namespace.enter(|| Ok(unbound(address.ip())?.send_to(&[], address)?))?;
            ensure!(server.join().is_ok(), "a server panicked");
        }
        Ok(())
    }
}

fn serve(number: u8, socket: &UdpSocket) {
    let mut buffer = [0; 9000];
    while let Ok((length @ 1.., from)) = socket.recv_from(&mut buffer) {
        buffer[length] = number;
        let _ = socket.send_to(&buffer[..=length], from);
    }
}

fn unbound(to: IpAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0))
}

/// A client of that address.
pub(super) fn connect(client: &Namespace, address: impl Into<IpAddr>) -> Result<UdpSocket> {
    let address = address.into();
    client.enter(|| {
        let socket = unbound(address)?;
        socket.connect((address, PORT))?;
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

/// Twenty clients that ask once more with questions of each of these lengths: how many each member answered.
pub(super) fn ask_many(
    client: &Namespace,
    address: impl Into<IpAddr>,
    lengths: &[usize],
) -> Result<[usize; 2]> {
    let (address, mut answers) = (address.into(), [0, 0]);
    for _ in 0..20 {
        let socket = connect(client, address)?;
        let first = ask(&socket, b"?")?;
        for length in lengths {
            let again = ask(&socket, &vec![0x5a; *length])?;
            ensure!(again == first, "the client of one socket keeps its member, by {length} bytes too");
        }
        answers[usize::from(first)] += 1;
    }
    Ok(answers)
}
