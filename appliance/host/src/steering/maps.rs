//! The maps that the ports share, as sets that can grow and shrink entry by entry: a packet of what stays never misses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError};
use lb_model::snapshot::{Endpoint, L4Protocol, PortRange};

use super::SteeringError;
use crate::plan::{Change, Tables, blocks};

/// The layout of the maps in `steer.c`. A program with another one gets maps of its own, beside these.
const LAYOUT: u32 = 5;

/// What directories of maps are called, but for the layout.
pub(super) const MAPS_PREFIX: &str = "maps-v";

/// Maps that all ports look in, as `steer.c` calls them.
pub(super) const SHARED: [&str; 16] = [
    "services",
    "service_ranges",
    "service_addrs",
    "members",
    "member_ranges",
    "member_addrs",
    "locals",
    "local_addrs",
    "services6",
    "service_ranges6",
    "service_addrs6",
    "members6",
    "member_ranges6",
    "member_addrs6",
    "locals6",
    "local_addrs6",
];

/// Maps that each port has for itself.
pub(super) const OWN: [&str; 2] = ["xsks_map", "counters"];

/// A family of addresses, as its maps have them: in network byte order.
pub(super) trait Family {
    /// Where its maps are.
    const NAMES: Names;
    /// `struct endpoint`: address, zero, protocol, port.
    type Endpoint: Pod + Ord;
    /// An address.
    type Address: Pod + Ord;

    /// The key of an address, if it is of this family.
    fn address(address: IpAddr) -> Option<Self::Address>;
    /// The key of an endpoint, if its address is.
    fn endpoint(address: IpAddr, protocol: L4Protocol, port: u16) -> Option<Self::Endpoint>;
}

/// What `steer.c` calls the maps of a family.
pub(super) struct Names {
    services: &'static str,
    service_ranges: &'static str,
    service_addrs: &'static str,
    members: &'static str,
    member_ranges: &'static str,
    member_addrs: &'static str,
    pub(super) locals: &'static str,
    local_addrs: &'static str,
}

#[derive(Debug)]
pub(super) struct V4;

impl Family for V4 {
    const NAMES: Names = Names {
        services: "services",
        service_ranges: "service_ranges",
        service_addrs: "service_addrs",
        members: "members",
        member_ranges: "member_ranges",
        member_addrs: "member_addrs",
        locals: "locals",
        local_addrs: "local_addrs",
    };
    type Endpoint = [u8; 8];
    type Address = [u8; 4];

    fn address(address: IpAddr) -> Option<[u8; 4]> {
        match address {
            IpAddr::V4(address) => Some(address.octets()),
            IpAddr::V6(_) => None,
        }
    }

    fn endpoint(address: IpAddr, protocol: L4Protocol, port: u16) -> Option<[u8; 8]> {
        Self::address(address).map(|address| endpoint_key(&address, protocol, port))
    }
}

#[derive(Debug)]
pub(super) struct V6;

impl Family for V6 {
    const NAMES: Names = Names {
        services: "services6",
        service_ranges: "service_ranges6",
        service_addrs: "service_addrs6",
        members: "members6",
        member_ranges: "member_ranges6",
        member_addrs: "member_addrs6",
        locals: "locals6",
        local_addrs: "local_addrs6",
    };
    type Endpoint = [u8; 20];
    type Address = [u8; 16];

    fn address(address: IpAddr) -> Option<[u8; 16]> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address.octets()),
        }
    }

    fn endpoint(address: IpAddr, protocol: L4Protocol, port: u16) -> Option<[u8; 20]> {
        Self::address(address).map(|address| endpoint_key(&address, protocol, port))
    }
}

fn endpoint_key<const N: usize>(address: &[u8], protocol: L4Protocol, port: u16) -> [u8; N] {
    let [high, low] = port.to_be_bytes();
    let mut key = [0; N];
    let rest = [0, protocol.number(), high, low];
    key.iter_mut().zip(address.iter().chain(&rest)).for_each(|(place, byte)| *place = *byte);
    key
}

/// Where the maps of the current layout are pinned.
pub(super) fn directory(bpf_dir: &Path) -> PathBuf {
    bpf_dir.join(format!("{MAPS_PREFIX}{LAYOUT}"))
}

/// A pinned map that is used as a set.
#[derive(Debug)]
pub(super) struct PinnedSet<K: Pod> {
    name: &'static str,
    map: HashMap<MapData, K, u8>,
}

impl<K: Pod + Ord> PinnedSet<K> {
    pub(super) fn open(directory: &Path, name: &'static str) -> Result<Self, SteeringError> {
        let open = || HashMap::try_from(Map::from_map_data(MapData::from_pin(directory.join(name))?)?);
        let map = open().map_err(|source| failed(name, source))?;
        Ok(Self { name, map })
    }

    /// Adds what is in `want` and not in the map.
    pub(super) fn grow(&mut self, want: &BTreeSet<K>) -> Result<(), SteeringError> {
        for key in self.change_to(want)?.add {
            self.map.insert(key, 1, 0).map_err(|source| failed(self.name, source))?;
        }
        Ok(())
    }

    /// Removes what is in the map and not in `want`.
    pub(super) fn shrink(&mut self, want: &BTreeSet<K>) -> Result<(), SteeringError> {
        for key in self.change_to(want)?.remove {
            self.map.remove(&key).map_err(|source| failed(self.name, source))?;
        }
        Ok(())
    }

    // The map itself says what it holds: it was filled before this process started, or half by a change that failed.
    fn change_to(&self, want: &BTreeSet<K>) -> Result<Change<K>, SteeringError> {
        let have = self.map.keys().collect::<Result<_, _>>().map_err(|source| failed(self.name, source))?;
        Ok(Change::between(&have, want))
    }
}

/// A pinned map of ports, each of which is known by its first bits.
#[derive(Debug)]
struct PinnedPorts<K: Pod> {
    name: &'static str,
    map: LpmTrie<MapData, K, u8>,
}

impl<K: Pod + Ord> PinnedPorts<K> {
    fn open(directory: &Path, name: &'static str) -> Result<Self, SteeringError> {
        let open = || LpmTrie::try_from(Map::from_map_data(MapData::from_pin(directory.join(name))?)?);
        let map = open().map_err(|source| failed(name, source))?;
        Ok(Self { name, map })
    }

    fn grow(&mut self, want: &BTreeSet<(u32, K)>) -> Result<(), SteeringError> {
        for (bits, key) in self.change_to(want)?.add {
            self.map.insert(&Key::new(bits, key), 1, 0).map_err(|source| failed(self.name, source))?;
        }
        Ok(())
    }

    fn shrink(&mut self, want: &BTreeSet<(u32, K)>) -> Result<(), SteeringError> {
        for (bits, key) in self.change_to(want)?.remove {
            self.map.remove(&Key::new(bits, key)).map_err(|source| failed(self.name, source))?;
        }
        Ok(())
    }

    fn change_to(&self, want: &BTreeSet<(u32, K)>) -> Result<Change<(u32, K)>, SteeringError> {
        let keys = self.map.keys().map(|key| key.map(|key| (key.prefix_len(), key.data())));
        let have = keys.collect::<Result<_, _>>().map_err(|source| failed(self.name, source))?;
        Ok(Change::between(&have, want))
    }
}

fn failed(map: &'static str, source: MapError) -> SteeringError {
    SteeringError::Map { map, source: Box::new(source) }
}

/// The maps that follow the plan.
#[derive(Debug)]
pub(super) struct SharedMaps {
    v4: FamilyMaps<V4>,
    v6: FamilyMaps<V6>,
}

impl SharedMaps {
    pub(super) fn open(directory: &Path) -> Result<Self, SteeringError> {
        Ok(Self { v4: FamilyMaps::open(directory)?, v6: FamilyMaps::open(directory)? })
    }

    pub(super) fn grow(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        self.v4.grow(tables)?;
        self.v6.grow(tables)
    }

    pub(super) fn shrink(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        self.v4.shrink(tables)?;
        self.v6.shrink(tables)
    }
}

/// Those of one family.
#[derive(Debug)]
struct FamilyMaps<F: Family> {
    services: PinnedSet<F::Endpoint>,
    service_ranges: PinnedPorts<F::Endpoint>,
    service_addrs: PinnedSet<F::Address>,
    members: PinnedSet<F::Endpoint>,
    member_ranges: PinnedPorts<F::Endpoint>,
    member_addrs: PinnedSet<F::Address>,
    local_addrs: PinnedSet<F::Address>,
}

impl<F: Family> FamilyMaps<F> {
    fn open(directory: &Path) -> Result<Self, SteeringError> {
        Ok(Self {
            services: PinnedSet::open(directory, F::NAMES.services)?,
            service_ranges: PinnedPorts::open(directory, F::NAMES.service_ranges)?,
            service_addrs: PinnedSet::open(directory, F::NAMES.service_addrs)?,
            members: PinnedSet::open(directory, F::NAMES.members)?,
            member_ranges: PinnedPorts::open(directory, F::NAMES.member_ranges)?,
            member_addrs: PinnedSet::open(directory, F::NAMES.member_addrs)?,
            local_addrs: PinnedSet::open(directory, F::NAMES.local_addrs)?,
        })
    }

    fn grow(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        let Tables { services, service_ranges, service_addrs, local_addrs, .. } = tables;
        let Tables { members, member_ranges, member_addrs, .. } = tables;
        self.local_addrs.grow(&address_keys::<F>(local_addrs))?;
        self.service_addrs.grow(&address_keys::<F>(service_addrs))?;
        self.service_ranges.grow(&port_keys::<F>(service_ranges))?;
        self.services.grow(&endpoint_keys::<F>(services))?;
        self.member_addrs.grow(&address_keys::<F>(member_addrs))?;
        self.member_ranges.grow(&port_keys::<F>(member_ranges))?;
        self.members.grow(&endpoint_keys::<F>(members))
    }

    fn shrink(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        let Tables { services, service_ranges, service_addrs, local_addrs, .. } = tables;
        let Tables { members, member_ranges, member_addrs, .. } = tables;
        self.members.shrink(&endpoint_keys::<F>(members))?;
        self.member_ranges.shrink(&port_keys::<F>(member_ranges))?;
        self.member_addrs.shrink(&address_keys::<F>(member_addrs))?;
        self.local_addrs.shrink(&address_keys::<F>(local_addrs))?;
        self.services.shrink(&endpoint_keys::<F>(services))?;
        self.service_ranges.shrink(&port_keys::<F>(service_ranges))?;
        self.service_addrs.shrink(&address_keys::<F>(service_addrs))
    }
}

pub(super) fn address_keys<F: Family>(addresses: &BTreeSet<IpAddr>) -> BTreeSet<F::Address> {
    addresses.iter().filter_map(|address| F::address(*address)).collect()
}

fn endpoint_keys<F: Family>(endpoints: &BTreeSet<Endpoint>) -> BTreeSet<F::Endpoint> {
    let key = |end: &Endpoint| F::endpoint(end.address, end.protocol, end.port.get());
    endpoints.iter().filter_map(key).collect()
}

/// All bits of an address and protocol, and the first ones of ports.
fn port_keys<F: Family>(ranges: &BTreeSet<PortRange>) -> BTreeSet<(u32, F::Endpoint)> {
    let whole = u32::try_from(size_of::<F::Endpoint>()).unwrap_or(0) * u8::BITS;
    let keys = |range: &PortRange| {
        let PortRange { address, protocol, .. } = *range;
        blocks(*range).filter_map(move |(port, bits)| {
            Some((whole - u16::BITS + bits, F::endpoint(address, protocol, port)?))
        })
    };
    ranges.iter().flat_map(keys).collect()
}
