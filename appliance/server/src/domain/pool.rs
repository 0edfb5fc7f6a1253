//! A pool: members, and how one of them is chosen.

use lb_model::PoolId;
use lb_model::snapshot::{L4Protocol, Scheduler};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kind;
use super::fields::{self, Fields};

/// What members speak.
const PROTOCOLS: &[(&str, L4Protocol)] = &[("tcp", L4Protocol::Tcp), ("udp", L4Protocol::Udp)];

const ALGORITHMS: &[(&str, Scheduler)] = &[
    ("round_robin", Scheduler::RoundRobin),
    ("weighted_round_robin", Scheduler::WeightedRoundRobin),
    ("least_connections", Scheduler::LeastConnections),
    ("weighted_least_connections", Scheduler::WeightedLeastConnections),
    ("shortest_expected_delay", Scheduler::ShortestExpectedDelay),
    ("never_queue", Scheduler::NeverQueue),
    ("source_hash", Scheduler::SourceHash),
    ("source_port_hash", Scheduler::SourcePortHash),
    ("maglev", Scheduler::Maglev),
    ("power_of_two", Scheduler::PowerOfTwo),
    ("ordered", Scheduler::Ordered),
];

/// Members that serve the same, and how one of them is chosen for a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Pool {
    /// What the members speak.
    #[schema(value_type = super::schema::MemberProtocol, default = "tcp")]
    pub(crate) protocol: L4Protocol,
    /// How a member is chosen.
    #[schema(value_type = super::schema::Algorithm, default = "round_robin")]
    pub(crate) algorithm: Scheduler,
}

impl Kind for Pool {
    type Id = PoolId;
    type Parent = ();

    const NOUN: &'static str = "pool";
    const EXAMPLE: &'static str = r#"{ "name": "web", "protocol": "tcp", "algorithm": "round_robin" }"#;

    fn new_id() -> PoolId {
        PoolId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let protocol = fields.optional("protocol", L4Protocol::Tcp, fields::supported(PROTOCOLS));
        let algorithm = fields.optional("algorithm", Scheduler::RoundRobin, fields::supported(ALGORITHMS));
        Some(Self { protocol: protocol?, algorithm: algorithm? })
    }
}
