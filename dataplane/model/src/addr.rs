//! Addresses and ports that have been checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A layer-4 port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct L4Port(NonZeroU16);

/// Port 0 is not a port that a service or member can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("port 0 is reserved: want 1 to 65535")]
pub struct PortZero;

impl L4Port {
    /// The last one.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// Checks `port`.
    pub fn new(port: u16) -> Result<Self, PortZero> {
        NonZeroU16::new(port).map(Self).ok_or(PortZero)
    }

    /// The number, in host byte order.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u16> for L4Port {
    type Error = PortZero;

    fn try_from(port: u16) -> Result<Self, PortZero> {
        Self::new(port)
    }
}

impl From<L4Port> for u16 {
    fn from(port: L4Port) -> Self {
        port.get()
    }
}

impl fmt::Display for L4Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Why a text is no network prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("`{0}` is not an address with a prefix length, as 192.0.2.0/24 or 2001:db8::/32")]
    Syntax(String),
    /// Longer than the address.
    #[error("prefix length {0} is longer than the address")]
    TooLong(u8),
}

/// A network: an address and a prefix length; the bits past the length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    network: IpAddr,
    len: u8,
}

impl Prefix {
    /// The network of `address` at `len` bits.
    pub fn new(address: impl Into<IpAddr>, len: u8) -> Result<Self, PrefixError> {
        let address = address.into();
        if len > longest(address) {
            return Err(PrefixError::TooLong(len));
        }
        Ok(Self { network: masked(address, len), len })
    }

    /// The network that is one address.
    pub fn of_host(address: impl Into<IpAddr>) -> Self {
        let network = address.into();
        Self { network, len: longest(network) }
    }

    /// The first address of the network.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// The number of leading bits that all addresses of the network share.
    #[expect(clippy::len_without_is_empty, reason = "the length of a prefix, not of a collection")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// Whether `address` belongs to the network.
    pub fn contains(self, address: impl Into<IpAddr>) -> bool {
        let address = address.into();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.len) == self.network
    }
}

/// The bits of an address of this family.
fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address without the bits past `len`.
fn masked(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(len.into())).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.len)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let syntax = || PrefixError::Syntax(text.to_owned());
        let (address, len) = text.split_once('/').ok_or_else(syntax)?;
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        Self::new(address, len.parse().map_err(|_| syntax())?)
    }
}

/// Why an address cannot be that of a virtual IP or a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// `0.0.0.0` or `::`.
    #[error("the unspecified address stands for no host")]
    Unspecified,
    /// 127.0.0.0/8 or `::1`.
    #[error("a loopback address is not reachable from another host")]
    Loopback,
    /// 224.0.0.0/4 or `ff00::/8`.
    #[error("a multicast address stands for many hosts")]
    Multicast,
    /// 255.255.255.255.
    #[error("the broadcast address stands for many hosts")]
    Broadcast,
    /// `fe80::/10`.
    #[error("a link-local address means something else on each link")]
    LinkLocal,
    /// 169.254.64.0/18 or `fd50:656e:7374:6f63::/64`.
    #[error("this address is in a network that the appliance's own checks use")]
    Probes,
    /// `::ffff:0:0/96`.
    #[error("an IPv4 address within an IPv6 one travels on no network: write it as IPv4")]
    Mapped,
}

/// Whether `address` can be that of one host on the network.
pub fn check_host_address(address: IpAddr) -> Result<(), AddressError> {
    if address.is_unspecified() {
        return Err(AddressError::Unspecified);
    }
    if address.is_loopback() {
        return Err(AddressError::Loopback);
    }
    if address.is_multicast() {
        return Err(AddressError::Multicast);
    }
    if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(AddressError::Broadcast);
    }
    if crate::probes::holds(address) {
        return Err(AddressError::Probes);
    }
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => Err(AddressError::LinkLocal),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Err(AddressError::Mapped),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_refused_also_from_json() {
        assert_eq!(L4Port::new(0), Err(PortZero));
        assert!(serde_json::from_str::<L4Port>("0").is_err());
        assert!(serde_json::from_str::<L4Port>("70000").is_err());
        assert_eq!(serde_json::from_str::<L4Port>("443").unwrap(), L4Port::new(443).unwrap());
    }

    #[test]
    fn prefix_masks_and_contains() {
        let prefix: Prefix = "192.0.2.77/24".parse().unwrap();
        assert_eq!(prefix.to_string(), "192.0.2.0/24");
        assert!(prefix.contains(Ipv4Addr::new(192, 0, 2, 255)));
        assert!(!prefix.contains(Ipv4Addr::new(192, 0, 3, 0)));
        let all: Prefix = "10.0.0.0/0".parse().unwrap();
        assert!(all.contains(Ipv4Addr::new(255, 1, 2, 3)));
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError::TooLong(33)));
        assert!("10.0.0/8".parse::<Prefix>().is_err());
    }

    #[test]
    fn a_network_of_one_family_holds_nobody_of_the_other() {
        let prefix: Prefix = "2001:DB8:0:1::7/64".parse().unwrap();
        assert_eq!(prefix.to_string(), "2001:db8:0:1::/64");
        assert!(prefix.contains("2001:db8:0:1:ffff::".parse::<Ipv6Addr>().unwrap()));
        assert!(!prefix.contains("2001:db8:0:2::".parse::<Ipv6Addr>().unwrap()));
        assert!(!"::/0".parse::<Prefix>().unwrap().contains(Ipv4Addr::LOCALHOST));
        assert!(!"0.0.0.0/0".parse::<Prefix>().unwrap().contains(Ipv6Addr::LOCALHOST));
        assert_eq!("::/129".parse::<Prefix>(), Err(PrefixError::TooLong(129)));
        assert_eq!(Prefix::of_host(Ipv6Addr::LOCALHOST).to_string(), "::1/128");
    }

    #[test]
    fn addresses_of_no_single_host_are_refused() {
        let check = |text: &str| check_host_address(text.parse().unwrap());
        assert_eq!(check("0.0.0.0"), Err(AddressError::Unspecified));
        assert_eq!(check("127.1.2.3"), Err(AddressError::Loopback));
        assert_eq!(check("224.0.0.1"), Err(AddressError::Multicast));
        assert_eq!(check("255.255.255.255"), Err(AddressError::Broadcast));
        assert_eq!(check("ff02::1"), Err(AddressError::Multicast));
        assert_eq!(check("fe80::1"), Err(AddressError::LinkLocal));
        assert_eq!(check("::ffff:192.0.2.1"), Err(AddressError::Mapped));
        assert_eq!(check("169.254.64.9"), Err(AddressError::Probes));
        assert_eq!(check("192.0.2.1"), Ok(()));
        assert_eq!(check("2001:db8::1"), Ok(()));
    }
}
