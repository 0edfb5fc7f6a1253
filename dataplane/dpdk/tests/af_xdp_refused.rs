//! A machine without libxdp's BPF objects, where DPDK's driver says no more than "Invalid argument".

#![allow(clippy::unwrap_used)]

mod support;

use std::env;

use lb_dpdk::{Driver, Port, PortConfig};
use support::{Lab, PORT, start};

#[test]
fn missing_objects_are_named() {
    let _lab = Lab::new();
    let (eal, pool) = start();
    // SAFETY: no other thread reads the environment at this time.
    unsafe { env::set_var("LIBXDP_OBJECT_PATH", "/nonexistent") };
    let refused = Port::open(eal, &pool, &PortConfig::new(Driver::af_xdp(PORT))).unwrap_err();
    assert!(refused.to_string().contains("package libxdp1"), "{refused}");
}
