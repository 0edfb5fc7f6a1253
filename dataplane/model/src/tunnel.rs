//! Tunnels: what packets are wrapped in on their way to a member.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::L4Port;

/// The number of a virtual network, 0 to 16,777,215.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

/// More than 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} is too large for the number of a virtual network: want 0 to 16777215")]
pub struct VniTooLarge(u32);

impl Vni {
    /// The largest.
    pub const MAX: u32 = 0x00ff_ffff;

    /// Checks `number`.
    pub fn new(number: u32) -> Result<Self, VniTooLarge> {
        if number <= Self::MAX { Ok(Self(number)) } else { Err(VniTooLarge(number)) }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = VniTooLarge;

    fn try_from(number: u32) -> Result<Self, VniTooLarge> {
        Self::new(number)
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.get()
    }
}

/// What packets are wrapped in, and where members expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tunnel {
    /// IP in IP (RFC 2003, RFC 4213).
    Ipip {},
    /// GRE without key and checksum (RFC 2784).
    Gre {},
    /// Generic UDP encapsulation, variant 0 without flags (draft-ietf-intarea-gue).
    Gue {
        /// The port that members listen on.
        port: L4Port,
    },
    /// VXLAN (RFC 7348).
    Vxlan {
        /// The port that members listen on.
        port: L4Port,
        /// The virtual network.
        vni: Vni,
    },
    /// Geneve without options (RFC 8926).
    Geneve {
        /// The port that members listen on.
        port: L4Port,
        /// The virtual network.
        vni: Vni,
    },
}

impl Tunnel {
    /// The port that GUE is registered for.
    pub const GUE_PORT: u16 = 6080;
    /// The port that VXLAN is registered for.
    pub const VXLAN_PORT: u16 = 4789;
    /// The port that Geneve is registered for.
    pub const GENEVE_PORT: u16 = 6081;
}

/// The Ethernet address that packets in VXLAN and Geneve are sent to: a member's interface in the virtual network has the one
/// that its address stands for, so that nobody needs to ask for it.
#[must_use]
pub fn inner_mac(member: IpAddr) -> crate::MacAddr {
    let [a, b, c, d] = match member {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
    // Locally administered.
    crate::MacAddr([2, 0, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_network_has_24_bits() {
        assert_eq!(Vni::new(Vni::MAX).map(Vni::get), Ok(Vni::MAX));
        assert_eq!(Vni::new(Vni::MAX + 1), Err(VniTooLarge(Vni::MAX + 1)));
    }

    #[test]
    fn a_tunnel_is_read_as_it_is_written() {
        let tunnel = Tunnel::Vxlan { port: L4Port::new(4789).unwrap(), vni: Vni::new(7).unwrap() };
        let text = serde_json::to_string(&tunnel).unwrap();
        assert_eq!(text, r#"{"kind":"vxlan","port":4789,"vni":7}"#);
        assert_eq!(serde_json::from_str::<Tunnel>(&text).unwrap(), tunnel);
        assert!(serde_json::from_str::<Tunnel>(r#"{"kind":"ipip","vni":7}"#).is_err());
    }
}
