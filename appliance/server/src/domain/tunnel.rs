//! How a service that is forwarded by a tunnel says which.

use lb_model::desired::ServiceForwarding;
use lb_model::snapshot::Forwarding;
use lb_model::{L4Port, Vni};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{self, Fault, Fields};

/// What packets are wrapped in on their way to the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub(crate) struct Tunnel(pub(crate) lb_model::Tunnel);

/// What packets are wrapped in on their way to the members, which must take them out again and hold the virtual IP on an
/// interface that does not announce it. `vxlan` and `geneve` carry frames: on each member the interface in the virtual
/// network has the Ethernet address 02:00 and the last four bytes of the member's address.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceTunnel)]
pub(crate) struct Shape {
    /// `ipip`: IP in IP. `gre`: GRE without key. `gue`: generic UDP encapsulation. In the three that are UDP the source port tells
    /// flows apart.
    kind: Kind,
    /// The port that members listen on, for `gue` (6080 if it is not said), `vxlan` (4789) and `geneve` (6081); null for the others.
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 65535, example = 4789)]
    port: Option<L4Port>,
    /// The number of the virtual network, for `vxlan` and `geneve`; null for the others.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 16_777_215, example = 7)]
    vni: Option<Vni>,
}

/// The kinds of tunnels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TunnelKind, example = "vxlan")]
pub(crate) enum Kind {
    Ipip,
    Gre,
    Gue,
    Vxlan,
    Geneve,
}

impl From<Tunnel> for Shape {
    fn from(Tunnel(tunnel): Tunnel) -> Self {
        let (kind, port, vni) = match tunnel {
            lb_model::Tunnel::Ipip {} => (Kind::Ipip, None, None),
            lb_model::Tunnel::Gre {} => (Kind::Gre, None, None),
            lb_model::Tunnel::Gue { port } => (Kind::Gue, Some(port), None),
            lb_model::Tunnel::Vxlan { port, vni } => (Kind::Vxlan, Some(port), Some(vni)),
            lb_model::Tunnel::Geneve { port, vni } => (Kind::Geneve, Some(port), Some(vni)),
        };
        Self { kind, port, vni }
    }
}

impl TryFrom<Shape> for Tunnel {
    type Error = &'static str;

    fn try_from(Shape { kind, port, vni }: Shape) -> Result<Self, Self::Error> {
        let (port, vni) =
            (port.ok_or("a tunnel without its port"), vni.ok_or("a tunnel without its network"));
        Ok(Self(match kind {
            Kind::Ipip => lb_model::Tunnel::Ipip {},
            Kind::Gre => lb_model::Tunnel::Gre {},
            Kind::Gue => lb_model::Tunnel::Gue { port: port? },
            Kind::Vxlan => lb_model::Tunnel::Vxlan { port: port?, vni: vni? },
            Kind::Geneve => lb_model::Tunnel::Geneve { port: port?, vni: vni? },
        }))
    }
}

const KINDS: &[(&str, Kind)] = &[
    ("ipip", Kind::Ipip),
    ("gre", Kind::Gre),
    ("gue", Kind::Gue),
    ("vxlan", Kind::Vxlan),
    ("geneve", Kind::Geneve),
];

/// Whether it is there follows from the forwarding.
#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
pub(super) fn read_for(
    forwarding: Option<ServiceForwarding>,
    fields: &mut Fields<'_>,
) -> Option<Option<Tunnel>> {
    match forwarding {
        Some(ServiceForwarding::Packets(Forwarding::Tunnel)) => fields.object("tunnel", read).map(Some),
        Some(_) => {
            fields.nullable("tunnel", |_| Err(Fault::new("unsupported", "only for forwarding `tunnel`")))
        }
        // The forwarding itself is wrong: nothing can be said of this.
        None => fields.nullable("tunnel", |_| Ok(())).map(|_| None),
    }
}

fn read(fields: &mut Fields<'_>) -> Option<Tunnel> {
    let kind = fields.required("kind", fields::word(KINDS));
    let (port, vni) = (port(kind, fields)?, vni(kind, fields)?);
    Tunnel::try_from(Shape { kind: kind?, port, vni }).ok()
}

/// The port, where the kind has one.
#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
fn port(kind: Option<Kind>, fields: &mut Fields<'_>) -> Option<Option<L4Port>> {
    let registered = match kind {
        Some(Kind::Ipip | Kind::Gre) => return unwanted("port", fields),
        Some(Kind::Gue) => lb_model::Tunnel::GUE_PORT,
        Some(Kind::Vxlan) => lb_model::Tunnel::VXLAN_PORT,
        Some(Kind::Geneve) => lb_model::Tunnel::GENEVE_PORT,
        None => return fields.nullable("port", fields::port),
    };
    let port = fields.nullable("port", fields::port)?;
    Some(port.or(L4Port::new(registered).ok()))
}

/// The virtual network, where the kind has one.
#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
fn vni(kind: Option<Kind>, fields: &mut Fields<'_>) -> Option<Option<Vni>> {
    let parse = |value: &Value| {
        let number = fields::number(0, Vni::MAX)(value)?;
        Vni::new(number).map_err(|error| Fault::new("out_of_range", error.to_string()))
    };
    match kind {
        Some(Kind::Ipip | Kind::Gre | Kind::Gue) => unwanted("vni", fields),
        Some(Kind::Vxlan | Kind::Geneve) => fields.required("vni", parse).map(Some),
        None => fields.nullable("vni", parse),
    }
}

#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
fn unwanted<T>(key: &'static str, fields: &mut Fields<'_>) -> Option<Option<T>> {
    fields.nullable(key, |_| Err(Fault::new("unsupported", "tunnels of this kind have none")))
}
