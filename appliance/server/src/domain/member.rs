//! A member: one server of a pool.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use lb_model::desired::MemberState;
use lb_model::snapshot::Weight;
use lb_model::{L4Port, MemberId, PoolId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{self, Fields};
use super::{Kind, Owner};

const STATES: &[(&str, MemberState)] =
    &[("enabled", MemberState::Enabled), ("drain", MemberState::Drain), ("disabled", MemberState::Disabled)];

/// One server of a pool. Without a name it is called by its address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Member {
    /// The server's IPv4 or IPv6 address. Where clients' packets are forwarded (`nat`, `dr`) it is of the same family as the
    /// addresses that the service is offered on.
    #[schema(value_type = String, format = "ip", max_length = 45, example = "198.51.100.11")]
    pub(crate) address: IpAddr,
    /// The port it serves on; address and port are unique in the pool.
    #[schema(value_type = u16, minimum = 1, maximum = 65535, example = 8080)]
    pub(crate) port: L4Port,
    /// `enabled` takes new connections, `drain` only keeps those it has, `disabled` serves nothing, as does a
    /// member with `enabled: false`.
    #[schema(value_type = super::schema::MemberState, default = "enabled")]
    pub(crate) state: MemberState,
    /// Its share of new connections beside the others', for algorithms that heed weights. With 0 it takes none, whatever
    /// the algorithm, and keeps those it has.
    #[schema(value_type = u16, minimum = 0, maximum = 256, default = 1, example = 10)]
    pub(crate) weight: Weight,
    /// A backup takes new connections only while no other member takes any.
    #[schema(default = false)]
    pub(crate) backup: bool,
    /// How many connections it may have at a time, over all services; with null, as many as come.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100_000_000, example = 1000)]
    pub(crate) connection_limit: Option<NonZeroU32>,
}

impl Kind for Member {
    type Id = MemberId;
    type Parent = PoolId;

    const NOUN: &'static str = "member";
    const OWNER: Owner = Owner::Parent("pools");
    const EXAMPLE: &'static str = r#"{ "name": "web-1", "address": "198.51.100.11", "port": 8080 }"#;

    fn new_id() -> MemberId {
        MemberId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let address = fields.required("address", fields::host_address);
        let port = fields.required("port", fields::port);
        let state = fields.optional("state", MemberState::Enabled, fields::word(STATES));
        let weight = fields.optional("weight", Weight::default(), fields::weight);
        let backup = fields.optional("backup", false, fields::boolean);
        let connection_limit = fields.nullable("connection_limit", fields::limit(100_000_000));
        Some(Self {
            address: address?,
            port: port?,
            state: state?,
            weight: weight?,
            backup: backup?,
            connection_limit: connection_limit?,
        })
    }

    fn default_name(own: Option<&Self>) -> Option<String> {
        Some(own.map_or_else(String::new, |Self { address, port, .. }| {
            SocketAddr::new(*address, port.get()).to_string()
        }))
    }
}
