//! A pool: members, and how one of them is chosen.

use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{MonitorId, PoolId};
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

/// The most monitors that watch one pool.
const MONITORS_MAX: usize = 8;

/// Members that serve the same, and how one of them is chosen for a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Pool {
    /// What the members speak.
    #[schema(value_type = super::schema::MemberProtocol, default = "tcp")]
    pub(crate) protocol: L4Protocol,
    /// How a member is chosen.
    #[schema(value_type = super::schema::Algorithm, default = "round_robin")]
    pub(crate) algorithm: Scheduler,
    /// The monitors that watch the members: a member is up while all of them say so. Without one nobody watches, and
    /// every member counts as well.
    #[schema(value_type = Vec<super::schema::Identifier>, max_items = 8, default = json!([]))]
    pub(crate) monitor_ids: Vec<MonitorId>,
}

impl Kind for Pool {
    type Id = PoolId;
    type Parent = ();

    const NOUN: &'static str = "pool";
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("/monitor_ids/*", "monitors")];
    const EXAMPLE: &'static str = r#"{ "name": "web", "protocol": "tcp", "algorithm": "round_robin" }"#;

    fn new_id() -> PoolId {
        PoolId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let protocol = fields.optional("protocol", L4Protocol::Tcp, fields::supported(PROTOCOLS));
        let algorithm = fields.optional("algorithm", Scheduler::RoundRobin, fields::supported(ALGORITHMS));
        let monitor_ids = fields.optional_list("monitor_ids", MONITORS_MAX, fields::id);
        Some(Self { protocol: protocol?, algorithm: algorithm?, monitor_ids: monitor_ids? })
    }
}
