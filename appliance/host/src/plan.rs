//! The plan for this host, checked: which addresses to hold, and which packets belong to the planes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_model::addr::{AddressError, check_host_address};
use lb_model::snapshot::{Endpoint, PortRange};
use lb_model::{Generation, HostPlan, L4Port};
use thiserror::Error;

/// Half of what the steering maps hold (`dataplane/xdp/steer.c`): while one plan takes the place of another, both are in.
const MAX_ENDPOINTS: usize = 131_072;

/// Why a plan is refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum PlanError {
    #[error("{address} cannot be that of a virtual IP or a member: {reason}")]
    Address { address: IpAddr, reason: AddressError },
    #[error("the service on {address} port {port} is on an address that is no virtual IP of the plan")]
    NotHeld { address: IpAddr, port: L4Port },
    #[error("{count} {what} are more than the {MAX_ENDPOINTS} that fit")]
    TooMany { what: &'static str, count: usize },
}

/// A plan that can be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) generation: Generation,
    /// The addresses to hold.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// The packets that are not the kernel's.
    pub(crate) tables: Tables,
}

/// What the steering program and nftables look packets up in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    /// Packets to one of these are ours.
    pub(crate) services: BTreeSet<Endpoint>,
    /// Packets to one of these, too. No two have a port in common.
    pub(crate) service_ranges: BTreeSet<PortRange>,
    /// The addresses of the services: fragments to them are ours.
    pub(crate) service_addrs: BTreeSet<IpAddr>,
    /// Packets from one of these, not addressed to this host, are ours.
    pub(crate) members: BTreeSet<Endpoint>,
    /// Packets from one of these, likewise.
    pub(crate) member_ranges: BTreeSet<PortRange>,
    /// The addresses of the members: fragments from them are ours.
    pub(crate) member_addrs: BTreeSet<IpAddr>,
    /// Of this host's addresses those that members see in the place of the clients: what members send to them is ours too.
    pub(crate) local_addrs: BTreeSet<IpAddr>,
}

/// What is to be added to and removed from a set to make it another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change<T> {
    pub(crate) add: Vec<T>,
    pub(crate) remove: Vec<T>,
}

impl<T: Copy + Ord> Change<T> {
    pub(crate) fn between(have: &BTreeSet<T>, want: &BTreeSet<T>) -> Self {
        let add = want.difference(have).copied().collect();
        let remove = have.difference(want).copied().collect();
        Self { add, remove }
    }
}

impl TryFrom<HostPlan> for Plan {
    type Error = PlanError;

    fn try_from(plan: HostPlan) -> Result<Self, PlanError> {
        let HostPlan { generation, addresses, services, members, .. } = plan;
        let HostPlan { service_ranges, member_ranges, local_addresses, .. } = plan;
        let addresses: BTreeSet<_> = addresses.into_iter().map(host_address).collect::<Result<_, _>>()?;
        let services = endpoints("services", services)?;
        let members = endpoints("members", members)?;
        let service_ranges = ranges("ports of services", service_ranges)?;
        let member_ranges = ranges("ports of members", member_ranges)?;
        let offered = || {
            let ranges = service_ranges.iter().map(|range| (range.address, range.first));
            services.iter().map(|service| (service.address, service.port)).chain(ranges)
        };
        if let Some((address, port)) = offered().find(|(address, _)| !addresses.contains(address)) {
            return Err(PlanError::NotHeld { address, port });
        }
        let service_addrs = offered().map(|(address, _)| address).collect();
        let local_addrs = local_addresses.into_iter().map(host_address).collect::<Result<_, _>>()?;
        let answering = member_ranges.iter().map(|range| range.address);
        let member_addrs = members.iter().map(|member| member.address).chain(answering).collect();
        let tables = Tables {
            services,
            service_ranges,
            service_addrs,
            members,
            member_ranges,
            member_addrs,
            local_addrs,
        };
        Ok(Self { generation, addresses, tables })
    }
}

fn endpoints(what: &'static str, endpoints: Vec<Endpoint>) -> Result<BTreeSet<Endpoint>, PlanError> {
    for endpoint in &endpoints {
        host_address(endpoint.address)?;
    }
    let set: BTreeSet<_> = endpoints.into_iter().collect();
    if set.len() > MAX_ENDPOINTS {
        return Err(PlanError::TooMany { what, count: set.len() });
    }
    Ok(set)
}

fn ranges(what: &'static str, ranges: Vec<PortRange>) -> Result<BTreeSet<PortRange>, PlanError> {
    for range in &ranges {
        host_address(range.address)?;
    }
    let set: BTreeSet<_> = PortRange::merged(ranges).into_iter().collect();
    let count = set.iter().map(|range| blocks(*range).count()).sum();
    if count > MAX_ENDPOINTS {
        return Err(PlanError::TooMany { what, count });
    }
    Ok(set)
}

/// A range in pieces that are known by the first bits of a port's number: a port, and how many.
pub(crate) fn blocks(range: PortRange) -> impl Iterator<Item = (u16, u32)> {
    let (first, end) = (u32::from(range.first.get()), u32::from(range.last.get()) + 1);
    let size = move |at: u32| 1 << at.trailing_zeros().min((end.saturating_sub(at)).max(1).ilog2());
    let starts = std::iter::successors(Some(first), move |at| Some(at + size(*at)));
    starts.take_while(move |at| *at < end).filter_map(move |at| {
        let bits = u16::BITS - u32::ilog2(size(at));
        Some((u16::try_from(at).ok()?, bits))
    })
}

fn host_address(address: IpAddr) -> Result<IpAddr, PlanError> {
    check_host_address(address).map_err(|reason| PlanError::Address { address, reason })?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use lb_model::snapshot::L4Protocol;

    use super::*;

    fn at(text: &str) -> Endpoint {
        let (address, port) = text.rsplit_once(':').unwrap();
        let port = L4Port::new(port.parse().unwrap()).unwrap();
        Endpoint { address: address.parse().unwrap(), port, protocol: L4Protocol::Tcp }
    }

    fn plan(addresses: &[&str], services: &[&str], members: &[&str]) -> Result<Plan, PlanError> {
        Plan::try_from(HostPlan {
            generation: Generation(3),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            services: services.iter().map(|text| at(text)).collect(),
            members: members.iter().map(|text| at(text)).collect(),
            ..HostPlan::default()
        })
    }

    fn range(first: u16, last: u16) -> PortRange {
        let [first, last] = [first, last].map(|port| L4Port::new(port).unwrap());
        PortRange { address: [10, 0, 0, 1].into(), protocol: L4Protocol::Tcp, first, last }
    }

    #[test]
    fn a_range_is_cut_into_blocks_that_hold_each_of_its_ports_once() {
        for (first, last) in [(1, 65535), (8000, 8999), (80, 80), (65535, 65535), (1, 2), (32768, 65535)] {
            let mut ports = Vec::new();
            for (port, bits) in blocks(range(first, last)) {
                assert!(bits <= 16 && u32::from(port).is_multiple_of(1 << (16 - bits)), "{port}/{bits}");
                ports.extend((0..1u32 << (16 - bits)).map(|more| u32::from(port) + more));
            }
            assert_eq!(ports, (u32::from(first)..=u32::from(last)).collect::<Vec<_>>());
            assert!(blocks(range(first, last)).count() <= 30);
        }
    }

    #[test]
    fn ranges_are_of_addresses_that_are_held_too() {
        let ranges = |held: &str| {
            Plan::try_from(HostPlan {
                addresses: vec![held.parse().unwrap()],
                service_ranges: vec![range(8000, 8999), range(9000, 9999)],
                member_ranges: vec![PortRange { address: [10, 1, 0, 1].into(), ..range(8000, 9999) }],
                ..HostPlan::default()
            })
        };
        let tables = ranges("10.0.0.1").unwrap().tables;
        assert_eq!(tables.service_ranges, [range(8000, 9999)].into());
        assert_eq!(tables.service_addrs.len(), 1);
        assert_eq!(tables.member_addrs, [[10, 1, 0, 1].into()].into());
        assert!(ranges("10.0.0.2").unwrap_err().to_string().contains("10.0.0.1 port 8000"));
    }

    #[test]
    fn services_share_the_address_that_fragments_are_known_by() {
        let plan =
            plan(&["10.0.0.1"], &["10.0.0.1:80", "10.0.0.1:443"], &["10.1.0.1:80", "10.1.0.1:80"]).unwrap();
        assert_eq!(plan.tables.services.len(), 2);
        assert_eq!(plan.tables.service_addrs.len(), 1);
        assert_eq!(plan.tables.members.len(), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |addresses: &[&str], services: &[&str], members: &[&str]| {
            plan(addresses, services, members).unwrap_err().to_string()
        };
        assert!(refused(&["127.0.0.1"], &[], &[]).contains("127.0.0.1"));
        assert!(refused(&[], &[], &["224.0.0.1:80"]).contains("224.0.0.1"));
        assert!(refused(&["fe80::1"], &[], &[]).contains("fe80::1"));
        assert!(refused(&["10.0.0.1"], &["10.0.0.2:80"], &[]).contains("10.0.0.2 port 80"));
        assert!(refused(&["2001:db8::1"], &["2001:db8::2:80"], &[]).contains("2001:db8::2 port 80"));
    }

    #[test]
    fn a_change_adds_what_is_missing_and_removes_what_is_too_much() {
        let change = |have: &[u8], want: &[u8]| {
            Change::between(&have.iter().copied().collect(), &want.iter().copied().collect())
        };
        assert_eq!(change(&[1, 2], &[2, 3]), Change { add: vec![3], remove: vec![1] });
        assert_eq!(change(&[1, 2], &[2, 1]), Change { add: vec![], remove: vec![] });
        assert_eq!(change(&[], &[]), Change { add: vec![], remove: vec![] });
    }
}
