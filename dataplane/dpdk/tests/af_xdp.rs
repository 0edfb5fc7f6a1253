//! An `AF_XDP` port on a veth pair, with libxdp's own program, which takes everything.

#![allow(clippy::unwrap_used)]

mod support;

use lb_dpdk::{Driver, Port, PortConfig};
use support::{Lab, PORT, PORT_MAC, echo, every_buffer_can_be_sent, idle_poll_ns, open, start};

/// What the driver always holds ready for the kernel to receive into.
const FILL_RING: u32 = 2048;

#[test]
fn frames_go_both_ways() {
    let lab = Lab::new();
    let (eal, pool) = start();
    let mut open_port = open(eal, &pool, Driver::af_xdp(PORT));
    assert_eq!(open_port.port.driver_name(), "net_af_xdp");
    assert_eq!(open_port.port.mac().unwrap(), PORT_MAC);
    assert!(open_port.port.link().unwrap().up && !open_port.port.checks_rx());

    echo(&lab, &mut open_port);
    eprintln!("an empty poll of AF_XDP: {:.0} ns", idle_poll_ns(eal, &mut open_port.rx[0]));
    open_port.tx[0].flush();
    assert_eq!(pool.used_count(), FILL_RING);

    every_buffer_can_be_sent(&lab, &pool, &mut open_port);
    assert_eq!(pool.used_count(), FILL_RING);

    drop(open_port);
    let again = Port::open(eal, &pool, &PortConfig::new(Driver::af_xdp(PORT))).unwrap_err().to_string();
    assert!(again.contains("an earlier port of this one"), "{again}");
}
