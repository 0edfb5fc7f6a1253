//! Where checks connect to that travel as clients' packets do: networks of the TAP [`PROBE_TAP`], which nobody else sees.
//!
//! [`PROBE_TAP`]: crate::config::ApplianceConfig::PROBE_TAP

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::L4Port;

/// Of IPv4: addresses that no router forwards (RFC 3927), a part of them in which no cloud offers anything.
const V4: Ipv4Addr = Ipv4Addr::new(169, 254, 64, 0);
/// Of IPv6: unique local addresses (RFC 4193).
const V6: Ipv6Addr = Ipv6Addr::new(0xfd50, 0x656e, 0x7374, 0x6f63, 0, 0, 0, 0);
const V4_LEN: u8 = 18;
const V6_LEN: u8 = 64;

/// What this host is called on the TAP, with the lengths of its networks there.
pub const OWN: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(169, 254, 64, 1)), V4_LEN),
    (IpAddr::V6(Ipv6Addr::new(0xfd50, 0x656e, 0x7374, 0x6f63, 0, 0, 0, 1)), V6_LEN),
];

/// Ports below are those of services.
const FIRST_PORT: u16 = 1024;

/// Whether an address is one of these networks'.
pub fn holds(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => (address.to_bits() ^ V4.to_bits()) >> (32 - V4_LEN) == 0,
        IpAddr::V6(address) => (address.to_bits() ^ V6.to_bits()) >> (128 - V6_LEN) == 0,
    }
}

/// The place of this number, of the family of `like`. There are 2^30 places and as many numbers; others have the same ones again.
pub fn place(number: u64, like: IpAddr) -> (IpAddr, L4Port) {
    // None of the first hosts, of which one is our own, and not the last one, which stands for all.
    let hosts = (1 << (32 - V4_LEN)) - 3;
    let host = 2 + u32::try_from(number % hosts).unwrap_or(0);
    let ports = u64::from(u16::MAX - FIRST_PORT) + 1;
    let port = FIRST_PORT + u16::try_from(number / hosts % ports).unwrap_or(0);
    let address = match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(V4.to_bits() | host).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(V6.to_bits() | u128::from(host)).into(),
    };
    // Never 0.
    (address, L4Port::new(port).unwrap_or(L4Port::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_within_and_nobodys_else() {
        for (own, _) in OWN {
            for number in [0, 1, 16_380, 16_381, 1 << 29, u64::MAX] {
                let (address, port) = place(number, own);
                assert!(holds(address) && address.is_ipv4() == own.is_ipv4() && address != own, "{address}");
                assert!(port.get() >= FIRST_PORT);
            }
            assert_ne!(place(1, own), place(2, own));
            assert_ne!(place(1, own), place(16_382, own));
        }
        let last = place(16_380, OWN[0].0).0;
        assert_eq!(last, IpAddr::V4(Ipv4Addr::new(169, 254, 127, 254)));
        assert!(!holds(Ipv4Addr::new(169, 254, 128, 1).into()) && !holds(Ipv6Addr::LOCALHOST.into()));
    }
}
