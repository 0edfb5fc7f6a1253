//! An `AF_PACKET` port on a veth pair.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use lb_dpdk::{Driver, Port, PortConfig, PortError};
use support::{Lab, PEER_MAC, PORT, PORT_MAC, drain, echo, frame, idle_poll_ns, open, start};

#[test]
fn frames_go_both_ways() {
    let lab = Lab::new();
    let (eal, pool) = start();
    let mut open_port = open(eal, &pool, Driver::af_packet(PORT));
    assert_eq!(open_port.port.driver_name(), "net_af_packet");
    assert_eq!(open_port.port.mac().unwrap(), PORT_MAC);
    assert!(open_port.port.link().unwrap().up && !open_port.port.checks_rx());

    echo(&lab, &mut open_port);
    what_the_kernel_sends_is_not_received(&lab, &mut open_port);
    eprintln!("an empty poll of AF_PACKET: {:.0} ns", idle_poll_ns(eal, &mut open_port.rx[0]));
    assert_eq!(pool.used_count(), 0);

    // Closed, it can be opened again.
    drop(open_port);
    echo(&lab, &mut open(eal, &pool, Driver::af_packet(PORT)));
    wrong_configurations_are_named(|config| Port::open(eal, &pool, &config).unwrap_err());
    assert_eq!(pool.free_count(), pool.capacity());
}

fn what_the_kernel_sends_is_not_received(lab: &Lab, open_port: &mut lb_dpdk::OpenPort) {
    lab.kernel.send(&frame(PORT_MAC, PEER_MAC, 1, 60));
    let sent = lab.peer.receive(Duration::from_secs(5)).expect("the kernel's frame goes out");
    lab.peer.send(&frame(PEER_MAC, PORT_MAC, 2, 60));
    assert_eq!(sent, frame(PORT_MAC, PEER_MAC, 1, 60));
    assert_eq!(drain(&mut open_port.rx[0]), [frame(PEER_MAC, PORT_MAC, 2, 60)]);
}

fn wrong_configurations_are_named(refused: impl Fn(PortConfig) -> PortError) {
    let port = || PortConfig::new(Driver::af_packet(PORT));
    let missing = refused(PortConfig::new(Driver::af_packet("nosuch0")));
    assert_eq!(missing.to_string(), "there is no network interface `nosuch0`");
    assert!(matches!(refused(PortConfig { tx_queues: 2, ..port() }), PortError::Queues { rx: 1, tx: 2, .. }));
    assert!(matches!(refused(PortConfig { mtu: 9000, ..port() }), PortError::Mtu { mtu: 9000, .. }));
    let pci = refused(PortConfig::new(Driver::Pci { address: "0000:00:1f.7".into() }));
    assert!(matches!(pci, PortError::NoPciDevice { .. }));
    let unknown = refused(PortConfig::new(Driver::Vdev { device: "net_nosuch0".into() }));
    assert!(matches!(unknown, PortError::NoDriver { .. }), "{unknown}");
    let misspelt = refused(PortConfig::new(Driver::Vdev { device: "net_null0,sise=64".into() }));
    assert!(matches!(misspelt, PortError::Probe { .. }), "{misspelt}");
}
