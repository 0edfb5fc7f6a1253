//! The maps that the ports share, as sets that can grow and shrink entry by entry: a packet of what stays never misses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};

use super::SteeringError;
use crate::plan::{Change, Endpoint4, Tables};

/// The layout of the maps in `steer.c`. A program with another one gets maps of its own, beside these.
const LAYOUT: u32 = 1;

/// What directories of maps are called, but for the layout.
pub(super) const MAPS_PREFIX: &str = "maps-v";

/// Maps that all ports look in, as `steer.c` calls them.
pub(super) const SHARED: [&str; 5] = ["services", "service_addrs", "members", "locals", "local_addrs"];

/// Maps that each port has for itself.
pub(super) const OWN: [&str; 2] = ["xsks_map", "counters"];

/// `struct endpoint` of `steer.c`: address and port in network byte order, protocol, zero.
pub(super) type EndpointKey = [u8; 8];

/// An address in network byte order.
pub(super) type AddressKey = [u8; 4];

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

fn failed(map: &'static str, source: MapError) -> SteeringError {
    SteeringError::Map { map, source: Box::new(source) }
}

/// The maps that follow the plan.
#[derive(Debug)]
pub(super) struct SharedMaps {
    services: PinnedSet<EndpointKey>,
    service_addrs: PinnedSet<AddressKey>,
    members: PinnedSet<EndpointKey>,
    local_addrs: PinnedSet<AddressKey>,
}

impl SharedMaps {
    pub(super) fn open(directory: &Path) -> Result<Self, SteeringError> {
        Ok(Self {
            services: PinnedSet::open(directory, "services")?,
            service_addrs: PinnedSet::open(directory, "service_addrs")?,
            members: PinnedSet::open(directory, "members")?,
            local_addrs: PinnedSet::open(directory, "local_addrs")?,
        })
    }

    pub(super) fn grow(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        let Tables { services, service_addrs, members, local_addrs } = tables;
        self.local_addrs.grow(&address_keys(local_addrs))?;
        self.service_addrs.grow(&address_keys(service_addrs))?;
        self.services.grow(&endpoint_keys(services))?;
        self.members.grow(&endpoint_keys(members))
    }

    pub(super) fn shrink(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        let Tables { services, service_addrs, members, local_addrs } = tables;
        self.members.shrink(&endpoint_keys(members))?;
        self.local_addrs.shrink(&address_keys(local_addrs))?;
        self.services.shrink(&endpoint_keys(services))?;
        self.service_addrs.shrink(&address_keys(service_addrs))
    }
}

pub(super) fn address_keys(addresses: &BTreeSet<Ipv4Addr>) -> BTreeSet<AddressKey> {
    addresses.iter().map(Ipv4Addr::octets).collect()
}

fn endpoint_keys(endpoints: &BTreeSet<Endpoint4>) -> BTreeSet<EndpointKey> {
    endpoints.iter().copied().map(endpoint_key).collect()
}

pub(super) fn endpoint_key(endpoint: Endpoint4) -> EndpointKey {
    let [a, b, c, d] = endpoint.address.octets();
    let [high, low] = endpoint.port.get().to_be_bytes();
    [a, b, c, d, high, low, endpoint.protocol.number(), 0]
}
