//! A persistent TAP, made by somebody else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use lb_dpdk::{Tap, TapError};
use rustix::event::{PollFd, PollFlags, poll};
use support::{Lab, PEER_MAC, PORT_MAC, RawSocket, frame, ip};

#[test]
fn frames_go_to_the_kernel_and_come_from_it() {
    let _lab = Lab::new();
    assert!(matches!(Tap::open("twin0", false), Err(TapError::Missing { .. })));
    assert!(matches!(Tap::open("a name too long", false), Err(TapError::Missing { .. })));
    assert!(matches!(Tap::open("a name that is too long", false), Err(TapError::Name(_))));
    ip("tuntap add twin0 mode tap");
    ip("tuntap add queues0 mode tap multi_queue");
    ip("link set twin0 addrgenmode none");

    let mut tap = Tap::open("twin0", false).unwrap();
    assert!(!tap.write(&frame(PEER_MAC, PORT_MAC, 0, 60)).unwrap(), "the interface is down");
    ip("link set twin0 up");
    let kernel = RawSocket::new("twin0");
    assert!(tap.write(&frame(PEER_MAC, PORT_MAC, 1, 60)).unwrap());
    assert_eq!(kernel.receive(Duration::from_secs(5)).unwrap(), frame(PEER_MAC, PORT_MAC, 1, 60));

    let mut buffer = [0; 2048];
    assert_eq!(tap.read(&mut buffer).unwrap(), None);
    kernel.send(&frame(PORT_MAC, PEER_MAC, 2, 1514));
    poll(&mut [PollFd::new(&tap, PollFlags::IN)], Some(&Duration::from_secs(5).try_into().unwrap())).unwrap();
    let len = tap.read(&mut buffer).unwrap().expect("a frame");
    assert_eq!(buffer[..len], frame(PORT_MAC, PEER_MAC, 2, 1514));

    assert!(matches!(Tap::open("twin0", false), Err(TapError::Attach { .. })), "it has one queue");
    assert!(matches!(Tap::open("port0", false), Err(TapError::Attach { .. })), "it is no TAP");
    let _first = Tap::open("queues0", true).unwrap();
    let _second = Tap::open("queues0", true).unwrap();
}
