//! `AF_XDP` from a pool that PCI devices can use too: no buffer crosses a page, and so there are gaps, which the driver does not
//! reckon with.

#![allow(clippy::unwrap_used)]

mod support;

use lb_dpdk::{Driver, Eal, EalConfig, EalError, MemoryKind, Mempool};
use support::{BUFFERS, Lab, PORT, echo, every_buffer_can_be_sent, open};

#[test]
fn every_buffer_works_in_a_pool_with_gaps() {
    let lab = Lab::new();
    // No such device: its being named is enough for the pool.
    let config = EalConfig { memory_mib: 96, pci: vec!["0000:00:1f.7".into()], ..EalConfig::default() };
    let eal = match Eal::init(&config) {
        Ok(eal) => eal,
        Err(refused) => {
            assert!(matches!(refused, EalError::PciNeedsHugePages { .. }), "{refused}");
            return;
        }
    };
    assert_eq!(eal.memory(), MemoryKind::HugePages);
    let pool = Mempool::new(eal, "frames", BUFFERS, Mempool::DEFAULT_CACHE).unwrap();
    let parked = BUFFERS - pool.capacity();
    assert!(parked > 0 && parked < BUFFERS / 50, "{parked} buffers are parked");

    let mut open_port = open(eal, &pool, Driver::af_xdp(PORT));
    echo(&lab, &mut open_port);
    every_buffer_can_be_sent(&lab, &pool, &mut open_port);
    assert_eq!(pool.used_count(), 2048);
}
