//! The plan for this host, checked: which addresses to hold, and which packets belong to the planes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_model::addr::{AddressError, check_host_address};
use lb_model::snapshot::Endpoint;
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
    /// The addresses of the services: fragments to them are ours.
    pub(crate) service_addrs: BTreeSet<IpAddr>,
    /// Packets from one of these, not addressed to this host, are ours.
    pub(crate) members: BTreeSet<Endpoint>,
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
        let HostPlan { generation, addresses, services, members, local_addresses } = plan;
        let addresses: BTreeSet<_> = addresses.into_iter().map(host_address).collect::<Result<_, _>>()?;
        let services = endpoints("services", services)?;
        let members = endpoints("members", members)?;
        if let Some(service) = services.iter().find(|service| !addresses.contains(&service.address)) {
            return Err(PlanError::NotHeld { address: service.address, port: service.port });
        }
        let service_addrs = services.iter().map(|service| service.address).collect();
        let local_addrs = local_addresses.into_iter().map(host_address).collect::<Result<_, _>>()?;
        let member_addrs = members.iter().map(|member| member.address).collect();
        let tables = Tables { services, service_addrs, members, member_addrs, local_addrs };
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
            local_addresses: Vec::new(),
        })
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
