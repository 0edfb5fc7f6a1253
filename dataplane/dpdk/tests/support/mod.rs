//! Two network namespaces without names, joined by a veth pair: `port0` for the port under test, `peer0` for who talks to it.
//! They are gone when this process is, however it ends.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss
)]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use lb_dpdk::{Burst, Driver, Eal, EalConfig, Mempool, OpenPort, Port, PortConfig, RxQueue, cycles};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

pub(crate) const PORT: &str = "port0";
pub(crate) const PEER: &str = "peer0";
pub(crate) const PORT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const BUFFERS: u32 = 16383;
/// The experimental `EtherType`, which the kernel ignores.
pub(crate) const ETHER_TYPE: u16 = 0x88b5;
const PATIENCE: Duration = Duration::from_secs(10);

/// The calling thread stays in the namespace of the port.
pub(crate) struct Lab {
    /// A raw socket at the other end.
    pub(crate) peer: RawSocket,
    /// A raw socket of the kernel's on the port's own interface.
    pub(crate) kernel: RawSocket,
    port_namespace: File,
    peer_namespace: File,
}

impl Lab {
    pub(crate) fn new() -> Self {
        enter_new_namespace();
        let peer_namespace = current_namespace();
        enter_new_namespace();
        let port_namespace = current_namespace();
        ip(&format!(
            "link add {PORT} address 02:00:00:00:00:01 type veth peer name {PEER} address 02:00:00:00:00:02"
        ));
        ip(&format!("link set {PEER} netns /proc/{}/fd/{}", std::process::id(), peer_namespace.as_raw_fd()));
        bring_up(PORT);
        enter(&peer_namespace);
        bring_up(PEER);
        let peer = RawSocket::new(PEER);
        enter(&port_namespace);
        Self { peer, kernel: RawSocket::new(PORT), port_namespace, peer_namespace }
    }

    /// Does something in the namespace of the peer.
    pub(crate) fn at_peer<T>(&self, act: impl FnOnce() -> T) -> T {
        enter(&self.peer_namespace);
        let result = act();
        enter(&self.port_namespace);
        result
    }
}

/// A packet socket of the kernel's.
pub(crate) struct RawSocket(OwnedFd);

impl RawSocket {
    pub(crate) fn new(interface: &str) -> Self {
        // SAFETY: plain system calls with arguments that live long enough.
        unsafe {
            let protocol = ETHER_TYPE.to_be();
            let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol.into());
            assert!(socket >= 0, "{}", io::Error::last_os_error());
            let socket = OwnedFd::from_raw_fd(socket);
            let mut address: libc::sockaddr_ll = mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            let name = std::ffi::CString::new(interface).unwrap();
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
            let size = mem::size_of_val(&address) as u32;
            let bound = libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size);
            assert_eq!(bound, 0, "{}", io::Error::last_os_error());
            Self(socket)
        }
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        assert_eq!(rustix::io::write(&self.0, frame).unwrap(), frame.len());
    }

    /// The next frame; `None` if none comes in time.
    pub(crate) fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut ready = [rustix::event::PollFd::new(&self.0, rustix::event::PollFlags::IN)];
        let timeout = patience.try_into().unwrap();
        if rustix::event::poll(&mut ready, Some(&timeout)).unwrap() == 0 {
            return None;
        }
        let mut frame = vec![0; 4096];
        let len = rustix::io::read(&self.0, &mut frame).unwrap();
        frame.truncate(len);
        Some(frame)
    }
}

pub(crate) fn start() -> (Eal, Mempool) {
    let eal = Eal::init(&EalConfig { memory_mib: 96, ..EalConfig::default() }).unwrap();
    eprintln!("memory: {:?}", eal.memory());
    let pool = Mempool::new(eal, "frames", BUFFERS, Mempool::DEFAULT_CACHE).unwrap();
    (eal, pool)
}

pub(crate) fn open(eal: Eal, pool: &Mempool, driver: Driver) -> OpenPort {
    Port::open(eal, pool, &PortConfig::new(driver)).unwrap_or_else(|error| panic!("{error}"))
}

/// A frame that can be told from others, from one address to another.
pub(crate) fn frame(from: [u8; 6], to: [u8; 6], number: usize, len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = [to, from].concat();
    frame.extend(ETHER_TYPE.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.resize(len, number.to_le_bytes()[0]);
    frame
}

/// The peer sends frames of all lengths, the port sends each back where it came from, the peer gets them all in order.
pub(crate) fn echo(lab: &Lab, open: &mut OpenPort) {
    const FRAMES: usize = 2000;
    let mut burst = Burst::new();
    let before = open.port.stats().unwrap();
    for first in (0..FRAMES).step_by(50) {
        let sent: Vec<_> = (first..first + 50)
            .map(|number| frame(PEER_MAC, PORT_MAC, number, 60 + number * 7 % 1455))
            .collect();
        for frame in &sent {
            lab.peer.send(frame);
        }
        let mut echoed = 0;
        let deadline = Instant::now() + PATIENCE;
        while echoed < sent.len() {
            assert!(Instant::now() < deadline, "{echoed} of {} frames came to the port", sent.len());
            open.rx[0].receive(&mut burst);
            burst.frames_mut().for_each(swap_addresses);
            echoed += burst.len();
            while !burst.is_empty() {
                open.tx[0].send(&mut burst);
            }
        }
        for frame in sent {
            let back = lab.peer.receive(PATIENCE).expect("the frame comes back");
            assert_eq!(&back[..6], &PEER_MAC);
            assert_eq!(&back[6..12], &PORT_MAC);
            assert_eq!(&back[12..], &frame[12..]);
        }
    }
    let after = open.port.stats().unwrap();
    assert_eq!(after.rx_packets - before.rx_packets, FRAMES as u64);
    assert_eq!(after.tx_packets - before.tx_packets, FRAMES as u64);
    assert_eq!((after.rx_missed, after.rx_no_buffer, after.tx_errors), (0, 0, 0));
    let named = open.port.extended_stats().unwrap();
    let good = named.iter().find(|stat| stat.name == "rx_good_packets").unwrap();
    assert_eq!(good.value, after.rx_packets);
}

/// Waits for the frames that are on their way, and returns them.
pub(crate) fn drain(rx: &mut RxQueue) -> Vec<Vec<u8>> {
    let mut burst = Burst::new();
    let deadline = Instant::now() + Duration::from_millis(100);
    let mut frames = Vec::new();
    while Instant::now() < deadline {
        rx.receive(&mut burst);
        frames.extend(burst.drain().map(|mbuf| mbuf.frame().to_vec()));
    }
    frames
}

/// The kernel must know the memory of all buffers, also of the last ones in the pool.
pub(crate) fn every_buffer_can_be_sent(lab: &Lab, pool: &Mempool, open_port: &mut OpenPort) {
    let free = pool.free_count();
    let all: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!(all.len(), free as usize);
    let mut burst = Burst::new();
    for (number, mut mbuf) in all.into_iter().enumerate() {
        let expected = frame(PORT_MAC, PEER_MAC, number, 60);
        mbuf.fill(&expected).unwrap();
        burst.push(mbuf).unwrap();
        while !burst.is_empty() {
            open_port.tx[0].send(&mut burst);
        }
        assert_eq!(lab.peer.receive(PATIENCE).expect("each buffer's frame arrives"), expected);
    }
    open_port.tx[0].flush();
}

/// Nanoseconds that a look into an empty queue costs.
pub(crate) fn idle_poll_ns(eal: Eal, rx: &mut RxQueue) -> f64 {
    const POLLS: u32 = 200_000;
    let mut burst = Burst::new();
    let best = (0..5).map(|_| {
        let start = cycles();
        for _ in 0..POLLS {
            rx.receive(&mut burst);
        }
        cycles() - start
    });
    let best = best.min().unwrap();
    assert!(burst.is_empty());
    best as f64 * 1e9 / eal.cycles_per_second() as f64 / f64::from(POLLS)
}

fn swap_addresses(frame: &mut [u8]) {
    let (to, rest) = frame.split_at_mut(6);
    to.swap_with_slice(&mut rest[..6]);
}

fn enter_new_namespace() {
    // SAFETY: only the network namespace of this thread changes; no descriptors are shared through it.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("tests of ports need root");
}

fn current_namespace() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Without the addresses and the chatter of IPv6.
fn bring_up(interface: &str) {
    ip(&format!("link set {interface} addrgenmode none"));
    ip(&format!("link set {interface} up"));
}

/// The child starts in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}
