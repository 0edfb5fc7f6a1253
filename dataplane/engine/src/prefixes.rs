//! Networks of both families, of which the longest that holds an address counts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use lb_model::Prefix;

use crate::hash::FastHasher;

/// Values by network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrefixMap<T> {
    v4: Vec<Length<T>>,
    v6: Vec<Length<T>>,
}

/// What is known of all networks of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Length<T> {
    len: u8,
    values: HashMap<IpAddr, T, BuildHasherDefault<FastHasher>>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T> PrefixMap<T> {
    /// What a network has.
    pub(crate) fn entry(&mut self, prefix: Prefix) -> Entry<'_, IpAddr, T> {
        let lengths = if prefix.network().is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        // The longest first.
        let at = lengths.partition_point(|length| length.len > prefix.len());
        if lengths.get(at).is_none_or(|length| length.len != prefix.len()) {
            lengths.insert(at, Length { len: prefix.len(), values: HashMap::default() });
        }
        lengths[at].values.entry(prefix.network())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// What the longest network has that holds `address`.
    pub(crate) fn longest(&self, address: IpAddr) -> Option<&T> {
        self.longest_entry(address).map(|(_, value)| value)
    }

    /// The longest network that holds `address`, and what it has.
    pub(crate) fn longest_entry(&self, address: IpAddr) -> Option<(Prefix, &T)> {
        let lengths = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.iter().find_map(|length| {
            let prefix = Prefix::new(address, length.len).ok()?;
            length.values.get(&prefix.network()).map(|value| (prefix, value))
        })
    }
}

/// The leading `len` bits of an IPv4 address.
pub(crate) fn mask_v4(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0)
}

/// The leading `len` bits of an IPv6 address.
pub(crate) fn mask_v6(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0)
}
