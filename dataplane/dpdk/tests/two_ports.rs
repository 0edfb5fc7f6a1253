//! Two `AF_XDP` ports at the ends of one veth pair, with one pool between them: what the forwarder does all day.

#![allow(clippy::unwrap_used)]

mod support;

use lb_dpdk::{Burst, Driver, Mempool, OpenPort};
use support::{BUFFERS, Lab, PEER, PEER_MAC, PORT, PORT_MAC, frame, open, start};

#[test]
fn frames_go_from_port_to_port_without_a_copy_in_between() {
    let lab = Lab::new();
    let (eal, pool) = start();
    let mut near = open(eal, &pool, Driver::af_xdp(PORT));
    let mut far = lab.at_peer(|| open(eal, &pool, Driver::af_xdp(PEER)));
    assert!(pool.capacity() > BUFFERS / 50 * 49);

    // More than there are buffers, so that all are used on both sides.
    for number in 0..2 * BUFFERS as usize {
        crosses(&pool, &mut near, &mut far, &frame(PORT_MAC, PEER_MAC, number, 60 + number % 1454));
    }
    near.tx[0].flush();
    far.tx[0].flush();
    assert_eq!(pool.used_count(), 2 * 2048);
}

/// Over and back; the frame that came is the one sent back.
fn crosses(pool: &Mempool, near: &mut OpenPort, far: &mut OpenPort, content: &[u8]) {
    let mut burst = Burst::new();
    let mut mbuf = pool.alloc().unwrap();
    mbuf.fill(content).unwrap();
    burst.push(mbuf).unwrap();
    hop(near, far, &mut burst);
    hop(far, near, &mut burst);
    assert_eq!(burst.len(), 1);
    assert_eq!(burst[0].frame(), content);
}

fn hop(from: &mut OpenPort, to: &mut OpenPort, burst: &mut Burst) {
    while !burst.is_empty() {
        from.tx[0].send(burst);
    }
    while to.rx[0].receive(burst) == 0 {}
}
