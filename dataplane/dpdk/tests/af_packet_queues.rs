//! An `AF_PACKET` port with two queues, polled by two threads.

#![allow(clippy::unwrap_used)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use lb_dpdk::{Burst, Driver, Eal, Port, PortConfig, RxQueue, pin_current_thread, register_thread};
use support::{Lab, PEER_MAC, PORT, PORT_MAC, start};

const FLOWS: u16 = 64;
const FRAMES: u16 = 16 * FLOWS;

#[test]
fn flows_are_spread_over_the_queues() {
    let lab = Lab::new();
    let (eal, pool) = start();
    let config = PortConfig::new(Driver::af_packet(PORT)).with_queues(2);
    let open = Port::open(eal, &pool, &config).unwrap();
    let workers: Vec<_> = open.rx.into_iter().map(|rx| thread::spawn(move || count_ports(eal, rx))).collect();
    for number in 0..FRAMES {
        lab.peer.send(&udp(number % FLOWS));
    }
    let seen: Vec<Vec<u16>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();

    assert_eq!(seen[0].len() + seen[1].len(), usize::from(FRAMES));
    for ports in &seen {
        assert!(!ports.is_empty());
    }
    assert!(!seen[0].iter().any(|port| seen[1].contains(port)), "a flow stays on its queue");
    drop(open.tx);
    assert_eq!(open.port.stats().unwrap().rx_packets, u64::from(FRAMES));
    assert_eq!(pool.used_count(), 0);
}

/// The source ports of what arrives within a second.
fn count_ports(eal: Eal, mut rx: RxQueue) -> Vec<u16> {
    pin_current_thread(rx.number()).unwrap();
    let _registration = register_thread(eal).unwrap();
    let mut burst = Burst::new();
    let mut ports = Vec::new();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        rx.receive(&mut burst);
        ports.extend(burst.drain().map(|mbuf| u16::from_be_bytes([mbuf.frame()[34], mbuf.frame()[35]])));
    }
    ports
}

/// As much of a UDP packet as spreading looks at.
fn udp(port: u16) -> Vec<u8> {
    let mut frame = [PORT_MAC, PEER_MAC].concat();
    frame.extend([8, 0]);
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 0, 2, 198, 18, 0, 1]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 53, 0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}
