//! A member's end of tunnels that this machine's kernel does not have: it takes packets out and hands them to the member's own
//! kernel.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, Protocol, SocketType, ipproto, socket};

use crate::namespace::Namespace;

/// The ports that GUE and Geneve are registered for.
const GUE_PORT: u16 = 6080;
const GENEVE_PORT: u16 = 6081;
/// How long it takes to notice that it is to end.
const TURN: Duration = Duration::from_millis(50);
const IPV4_LEN: usize = 20;
const ETHERNET_LEN: usize = 14;

/// Runs until it is dropped.
pub struct Decapsulator {
    stop: Arc<AtomicBool>,
    counts: [Arc<AtomicU64>; 4],
    threads: Vec<JoinHandle<()>>,
}

/// What it takes packets out of, in the order of [`Decapsulator::counts`].
const KINDS: [Kind; 4] = [Kind::Ipip, Kind::Gre, Kind::Gue, Kind::Geneve];

#[derive(Clone, Copy)]
enum Kind {
    Ipip,
    Gre,
    Gue,
    Geneve,
}

impl Kind {
    fn socket(self, address: Ipv4Addr) -> Result<UdpSocket> {
        Ok(match self {
            Self::Ipip => raw(ipproto::IPIP)?,
            Self::Gre => raw(ipproto::GRE)?,
            Self::Gue => UdpSocket::bind((address, GUE_PORT))?,
            Self::Geneve => UdpSocket::bind((address, GENEVE_PORT))?,
        })
    }

    /// The packet in what a socket received, if it is what it should be. Raw sockets give the outer IP header too.
    fn inner(self, received: &[u8]) -> Option<&[u8]> {
        let before: &[u8] = match self {
            Self::Ipip => &[],
            Self::Gre => &[0, 0, 8, 0],
            Self::Gue => &[0, 4, 0, 0],
            Self::Geneve => &[0, 0, 0x65, 0x58, 0, 0, 7, 0],
        };
        match self {
            Self::Ipip | Self::Gre => received.get(IPV4_LEN..)?.strip_prefix(before),
            Self::Gue => received.strip_prefix(before),
            Self::Geneve => received.strip_prefix(before)?.get(ETHERNET_LEN..),
        }
    }
}

impl Decapsulator {
    /// In a member's namespace, for what is sent to `address`. Geneve's virtual network is 7.
    pub fn start(member: &Namespace, address: Ipv4Addr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts: [Arc<AtomicU64>; 4] = std::array::from_fn(|_| Arc::default());
        let mut threads = Vec::new();
        for (kind, count) in KINDS.into_iter().zip(&counts) {
            let (socket, hand) = member.enter(|| Ok((kind.socket(address)?, raw(ipproto::RAW)?)))?;
            socket.set_read_timeout(Some(TURN))?;
            let (stop, count) = (Arc::clone(&stop), Arc::clone(count));
            threads.push(thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while !stop.load(Ordering::Relaxed) {
                    let Ok(length) = socket.recv(&mut buffer) else { continue };
                    if let Some(packet) = kind.inner(&buffer[..length])
                        && hand_over(&hand, packet).is_ok()
                    {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        Ok(Self { stop, counts, threads })
    }

    /// How many packets it took out of IPIP, GRE, GUE and Geneve.
    pub fn counts(&self) -> [u64; 4] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for Decapsulator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Who panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A raw socket; std has no type of its own for one, and what it calls a UDP socket knows no more than to send and receive.
fn raw(protocol: Protocol) -> Result<UdpSocket> {
    let raw: OwnedFd =
        socket(AddressFamily::INET, SocketType::RAW, Some(protocol)).context("cannot open a raw socket")?;
    Ok(raw.into())
}

/// To the kernel of the namespace that `hand` is of, which holds the destination.
fn hand_over(hand: &UdpSocket, packet: &[u8]) -> io::Result<()> {
    let destination = packet.get(16..20).and_then(<[u8]>::first_chunk::<4>).copied();
    let destination = destination.ok_or(io::ErrorKind::InvalidData)?;
    hand.send_to(packet, (Ipv4Addr::from(destination), 0)).map(drop)
}
