//! A flood of SYNs from addresses that nobody has.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

use crate::namespace::Namespace;

/// Where the SYNs say that they come from (RFC 6598): what is sent back goes nowhere.
const NOBODY: &str = "100.64.0.0/10";
const FIRST: u32 = 0x6440_0000;
/// How many are sent in a row.
const TRAIN: u32 = 20;

/// A flood that goes on in the background, until it is dropped.
pub struct Flood {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Floods an address and port with SYNs, pausing for so long after each twenty.
    pub fn flood(&self, to: SocketAddrV4, pause: Duration) -> Result<Flood> {
        self.run("ip", &["route", "replace", "blackhole", NOBODY])?;
        let out = self.enter(|| {
            // With a header of our own, as the protocol says.
            socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
                .context("cannot open a raw socket")
        })?;
        let (sent, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stop) = (Arc::clone(&sent), Arc::clone(&over));
        let sender = thread::spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..TRAIN {
                    // A full queue loses one: there are more.
                    if sendto(&out, &syn(number, to), SendFlags::empty(), &to).is_ok() {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    number = number.wrapping_add(1);
                }
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
        });
        Ok(Flood { sent, over, sender: Some(sender) })
    }
}

impl Flood {
    /// How many were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            // It sends, and nothing else.
            let _ = sender.join();
        }
    }
}

/// The packet of this number.
fn syn(number: u32, to: SocketAddrV4) -> [u8; 40] {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    let source = Ipv4Addr::from(FIRST | mixed >> 10);
    let port = 1024 + (mixed & 0x3ff);
    let mut packet = [0; 40];
    // The kernel fills in length, identification and checksum of the IP header.
    packet[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&u16::try_from(port).unwrap_or(1024).to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..28].copy_from_slice(&mixed.to_be_bytes());
    packet[32..36].copy_from_slice(&[0x50, 2, 0xff, 0xff]);
    let pseudo = u32::from(packet[9]) + 20;
    let words = packet[12..].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = pseudo + words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = !((folded & 0xffff) + (folded >> 16));
    let [.., high, low] = folded.to_be_bytes();
    packet[36..38].copy_from_slice(&[high, low]);
    packet
}
