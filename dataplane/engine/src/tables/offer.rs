//! Where services are offered, and where their members answer: on one port, or on several.

use lb_model::snapshot::{L4Backend, L4Service, L4Snapshot, PortRange};

use super::{AS_ASKED, Endpoint, endpoint};
use crate::ranges::Ranges;

/// Where a service is offered: on one port, or from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    pub(crate) first: Endpoint,
    /// As a number.
    pub(crate) last: u16,
}

impl Offer {
    pub(super) fn of(service: &L4Service) -> Self {
        let first = endpoint(service.address, service.port.get(), service.protocol.number());
        Self { first, last: service.port_end.unwrap_or(service.port).get() }
    }
}

/// Where a backend of a service is known to be.
pub(super) fn member_end(service: &L4Service, backend: &L4Backend) -> Endpoint {
    let port = if service.port_end.is_some() { AS_ASKED } else { backend.port.get() };
    endpoint(backend.address, port, service.protocol.number())
}

/// From where members answer who get packets on the ports that clients sent them to.
pub(super) fn member_ranges(snapshot: &L4Snapshot) -> Ranges<()> {
    let several = snapshot.services.iter().filter(|service| service.port_end.is_some());
    let returning = several.filter(|service| service.forwarding.replies_return());
    let members = returning
        .flat_map(|service| service.backends.iter().map(|backend| service.ports_at(backend.address)));
    let offer = |range: PortRange| Offer {
        first: endpoint(range.address, range.first.get(), range.protocol.number()),
        last: range.last.get(),
    };
    Ranges::new(PortRange::merged(members).into_iter().map(|range| (offer(range), ())))
}
