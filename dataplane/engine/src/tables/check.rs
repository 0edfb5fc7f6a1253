//! What no tables are made of: snapshots that are too large, or whose parts do not fit each other.

use std::collections::HashSet;
use std::net::IpAddr;

use lb_model::snapshot::{Forwarding, L4Backend, L4Probe, L4Snapshot, PortRange};
use lb_model::{MemberId, VirtualServiceId};
use thiserror::Error;

use super::offer::Offer;
use super::{MAX_BACKENDS, MAX_SERVICES, endpoint};

/// Why a snapshot was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TablesError {
    /// A member of another family than the service, which its forwarding cannot reach.
    #[error("packets to {service} cannot be forwarded to {member}, an address of another family")]
    Families {
        /// The service's address.
        service: IpAddr,
        /// The member's.
        member: IpAddr,
    },
    /// Too many services.
    #[error("{0} virtual services are more than the {MAX_SERVICES} that the plane has room for")]
    TooManyServices(usize),
    /// Too many backends.
    #[error("{0} members are more than the {MAX_BACKENDS} that the plane has room for")]
    TooManyBackends(usize),
    /// Full NAT without an address that members could see.
    #[error("virtual service {0} is forwarded by full NAT, and has no local address")]
    NoLocalAddress(VirtualServiceId),
    /// A way to a member that is none of the service's.
    #[error(
        "checks of member {member} are to go by way of virtual service {service}, which it does not serve"
    )]
    NoWay {
        /// The service.
        service: VirtualServiceId,
        /// The member.
        member: MemberId,
    },
    /// A tunnel of which it is not said what it is.
    #[error("virtual service {0} is forwarded by a tunnel, and has none")]
    NoTunnel(VirtualServiceId),
    /// Two services on one address and port.
    #[error("two virtual services on {address} port {port}")]
    Conflict {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
}

pub(super) fn check(snapshot: &L4Snapshot) -> Result<(), TablesError> {
    if snapshot.services.len() > MAX_SERVICES {
        return Err(TablesError::TooManyServices(snapshot.services.len()));
    }
    let backends =
        snapshot.services.iter().map(|service| service.backends.len()).sum::<usize>() + snapshot.probes.len();
    if backends > MAX_BACKENDS {
        return Err(TablesError::TooManyBackends(backends));
    }
    check_ports(snapshot)?;
    for service in &snapshot.services {
        let address = service.address;
        if service.forwarding == Forwarding::FullNat && service.local_addresses.is_empty() {
            return Err(TablesError::NoLocalAddress(service.id));
        }
        if service.forwarding == Forwarding::Tunnel && service.tunnel.is_none() {
            return Err(TablesError::NoTunnel(service.id));
        }
        let apart = !service.forwarding.joins_families();
        let other = |backend: &&L4Backend| apart && backend.address.is_ipv4() != address.is_ipv4();
        if let Some(backend) = service.backends.iter().find(other) {
            return Err(TablesError::Families { service: address, member: backend.address });
        }
        let local = service.local_addresses.iter().find(|local| local.is_ipv4() != address.is_ipv4());
        if let Some(local) = local {
            return Err(TablesError::Families { service: address, member: *local });
        }
    }
    check_probes(snapshot)
}

/// That no packet is for two services.
fn check_ports(snapshot: &L4Snapshot) -> Result<(), TablesError> {
    let mut offered: Vec<_> =
        snapshot.services.iter().map(|service| (service.ports_at(service.address), service.id)).collect();
    let Some([_, (PortRange { address, first, .. }, _)]) = PortRange::clash(&mut offered) else {
        return Ok(());
    };
    Err(TablesError::Conflict { address, port: first.get() })
}

fn check_probes(snapshot: &L4Snapshot) -> Result<(), TablesError> {
    let mut taken: HashSet<_> = snapshot.services.iter().map(|service| Offer::of(service).first).collect();
    let backends = snapshot.services.iter().flat_map(|service| {
        service.backends.iter().map(|backend| (service.id, service.address, backend.member))
    });
    let ways: HashSet<_> = if snapshot.probes.is_empty() { HashSet::new() } else { backends.collect() };
    for L4Probe { at, service, address, member } in &snapshot.probes {
        let (service, member) = (*service, *member);
        if !ways.contains(&(service, *address, member)) {
            return Err(TablesError::NoWay { service, member });
        }
        if at.address.is_ipv4() != address.is_ipv4() {
            return Err(TablesError::Families { service: *address, member: at.address });
        }
        if !taken.insert(endpoint(at.address, at.port.get(), at.protocol.number())) {
            return Err(TablesError::Conflict { address: at.address, port: at.port.get() });
        }
    }
    Ok(())
}
