//! Both ends of a packet, and what it is looked up by.

use std::net::IpAddr;

use crate::flow::{Key, WideAddresses, wide_key};
use crate::network::{raw, unraw, unwords, words};
use crate::tables::Endpoint;
use crate::wire::{ipv4, tcp};

/// Both ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
}

impl Ends {
    /// Of a packet with this key, and these addresses if it is IPv6.
    pub(crate) fn of(key: Key, wide: Option<&WideAddresses>) -> Self {
        let addresses = match *wide.unwrap_or(&[0; 4]) {
            [a, b, c, d] if key.is_wide() => [[a, b], [c, d]].map(|words| IpAddr::V6(unwords(words))),
            _ => [ipv4::low(key.addresses), ipv4::high(key.addresses)]
                .map(|address| IpAddr::V4(unraw(address))),
        };
        let end = |address, port| Endpoint { address, port, protocol: key.transport() };
        Self {
            source: end(addresses[0], tcp::low(key.ports)),
            destination: end(addresses[1], tcp::high(key.ports)),
        }
    }

    /// Of a packet that travels the other way.
    pub(crate) fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    /// What such a packet is looked up by, and its addresses if it is IPv6; nothing if its ends are of different families.
    pub(crate) fn key(&self, secret: [u64; 2]) -> Option<(Key, Option<WideAddresses>)> {
        let Self { source, destination } = self;
        let ports = tcp::pair(source.port, destination.port);
        match (source.address, destination.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let addresses = ipv4::pair(raw(from), raw(to));
                Some((Key { addresses, ports, protocol: source.protocol }, None))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ([a, b], [c, d]) = (words(from), words(to));
                let addresses = [a, b, c, d];
                Some((wide_key(&addresses, ports, source.protocol, secret), Some(addresses)))
            }
            _ => None,
        }
    }
}
