//! Services of several ports, as they are configured; what becomes of their packets is in `cases/ports.txt`.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::Ipv4Addr;

use lb_engine::tables::{Planner, TablesError};
use lb_model::snapshot::{L4Protocol, L4Service, L4Snapshot};
use lb_model::{L4Port, VirtualServiceId};
use support::*;
use uuid::Uuid;

fn service(number: u128, first: u16, last: Option<u16>) -> L4Service {
    let port = |number| L4Port::new(number).unwrap();
    let mut service = two_members().services.remove(0);
    service.id = VirtualServiceId(Uuid::from_u128(number));
    (service.port, service.port_end) = (port(first), last.map(port));
    service
}

fn publish(services: Vec<L4Service>) -> Result<(), TablesError> {
    Planner::new(1).publish(&L4Snapshot { services, ..two_members() })
}

#[test]
fn no_two_services_have_a_port_in_common() {
    let range = || service(1, 8000, Some(8999));
    for (first, last, port) in [
        (8000, None, 8000),
        (8999, None, 8999),
        (8999, Some(9001), 8999),
        (7000, Some(8000), 8000),
        (1, Some(65535), 8000),
        (8100, Some(8100), 8100),
    ] {
        let refused = Err(TablesError::Conflict { address: VIP.into(), port });
        assert_eq!(publish(vec![range(), service(2, first, last)]), refused, "{first} to {last:?}");
        assert_eq!(publish(vec![service(2, first, last), range()]), refused, "{first} to {last:?}");
    }
    for (first, last) in [(7999, None), (9000, None), (9000, Some(65535)), (1, Some(7999))] {
        assert_eq!(publish(vec![range(), service(2, first, last)]), Ok(()));
    }
    let by_udp = L4Service { protocol: L4Protocol::Udp, ..service(2, 1, Some(65535)) };
    let elsewhere =
        L4Service { address: Ipv4Addr::new(198, 18, 1, 101).into(), ..service(3, 1, Some(65535)) };
    assert_eq!(publish(vec![range(), by_udp, elsewhere]), Ok(()));
}

#[test]
fn services_of_one_port_and_of_several_are_told_apart() {
    let mut lb = Lb::new(&L4Snapshot {
        services: vec![service(1, 80, None), service(2, 81, Some(99)), service(3, 100, None)],
        ..two_members()
    });
    let mut to = |port| lb.send(Frame::tcp((CLIENT, port), (VIP, port), SYN, b"")).1.dst();
    assert_eq!([80, 81, 99, 100].map(&mut to).map(|(_, port)| port), [8080, 81, 99, 8080]);
}

#[test]
fn a_member_of_many_ports_that_is_down_gets_nothing_new() {
    let mut lb = Lb::new(&L4Snapshot { services: vec![service(1, 80, Some(99))], ..two_members() });
    let first = lb.open(1);
    let mut changed = service(1, 80, Some(99));
    let down = changed.backends.iter_mut().find(|backend| backend.address == first.0);
    down.unwrap().takes_new = false;
    let epoch = lb.tables.epoch;
    lb.planner.restate(&changed);
    lb.refresh();
    assert_eq!(lb.tables.epoch, epoch, "no flow has to look anything up again");
    assert!((2..20).all(|port| lb.open(port).0 != first.0));
    assert_eq!(lb.send(from_client(1, ACK, b"x")).1.dst(), first);
}
