//! What a client or a member sends, and what comes back. Everything runs in the namespace of the calling thread.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use pnet_datalink::{Channel, Config, channel, interfaces};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

/// How long silence is listened to: long after any answer of this machine, and before the first repetition.
const PATIENCE: Duration = Duration::from_millis(600);

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A reset: a kernel knows of no such connection.
    Reset,
    Silence,
}

fn at(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

/// Tries to open a connection, from any port.
pub(crate) fn connect(to: &str) -> Answer {
    connect_from("0.0.0.0:0", to)
}

/// Tries to open a connection from this address and port.
pub(crate) fn connect_from(from: &str, to: &str) -> Answer {
    let socket = socket(SocketType::STREAM, None);
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    rustix::net::bind(&socket, &SocketAddr::V4(at(from))).unwrap();
    match rustix::net::connect(&socket, &SocketAddr::V4(at(to))) {
        Err(Errno::INPROGRESS) => {}
        other => panic!("connecting to {to} ended at once: {other:?}"),
    }
    if !wait(&socket, PollFlags::OUT, Instant::now() + PATIENCE) {
        return Answer::Silence;
    }
    match sockopt::socket_error(&socket).unwrap() {
        Err(Errno::CONNREFUSED) => Answer::Reset,
        other => panic!("connecting to {to} ended otherwise: {other:?}"),
    }
}

/// Sends the first segment of a connection in two fragments.
pub(crate) fn send_fragments(from: &str, to: &str) -> Answer {
    let (from, to) = (at(from), at(to));
    let replies = socket(SocketType::RAW, Some(ipproto::TCP));
    let sender = socket(SocketType::RAW, Some(ipproto::RAW));
    let segment = syn(from, to);
    let more_fragments = 0x2000;
    for (offset, piece) in [(more_fragments, &segment[..16]), (2, &segment[16..])] {
        let packet = ipv4(*from.ip(), *to.ip(), offset, piece);
        rustix::net::sendto(&sender, &packet, SendFlags::empty(), &SocketAddr::V4(to)).unwrap();
    }
    await_reset(&replies, to)
}

/// The first segment of a connection, with its IP header; nobody looks at the checksum of that.
pub(crate) fn segment(from: &str, to: &str) -> Vec<u8> {
    let (from, to) = (at(from), at(to));
    let mut packet = ipv4(*from.ip(), *to.ip(), 0, &syn(from, to));
    packet[3] = 40;
    packet
}

/// Sends a frame to everybody; `rest` begins with its type.
pub(crate) fn send_frame(interface: &str, rest: &[u8]) {
    let interface = interfaces().into_iter().find(|candidate| candidate.name == interface).unwrap();
    let Channel::Ethernet(mut sender, _) = channel(&interface, Config::default()).unwrap() else {
        panic!("{interface} is not Ethernet");
    };
    let frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], rest].concat();
    sender.send_to(&frame, None).unwrap().unwrap();
}

fn await_reset(replies: &OwnedFd, from: SocketAddrV4) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    while wait(replies, PollFlags::IN, deadline) {
        let mut packet = [0; 128];
        let (len, _) = rustix::net::recv(replies, &mut packet[..], RecvFlags::empty()).unwrap();
        let (ip, tcp) = packet[..len].split_at(20);
        let is_from = ip[12..16] == from.ip().octets() && tcp[0..2] == from.port().to_be_bytes();
        let reset = 0x04;
        if is_from && tcp[13] & reset != 0 {
            return Answer::Reset;
        }
    }
    Answer::Silence
}

// The kernel fills in length and checksum (raw(7)).
fn ipv4(from: Ipv4Addr, to: Ipv4Addr, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 6, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

fn syn(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    let checksum = tcp_checksum(*from.ip(), *to.ip(), &segment);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

fn tcp_checksum(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> u16 {
    let words = [&from.octets()[..], &to.octets()[..], &[0, 6, 0, 20], segment].concat();
    let sum: u32 = words.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

fn socket(kind: SocketType, protocol: Option<Protocol>) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::INET, kind, flags, protocol).unwrap()
}

/// Waits until the socket is ready; false if it is not before the deadline.
fn wait(socket: &OwnedFd, what: PollFlags, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), what)], Some(&left)).unwrap() > 0
}
