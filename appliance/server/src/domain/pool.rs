//! A pool: members, and how one of them is chosen.

use lb_model::asking::{Outlier, Persistence, Retries};
use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{MonitorId, PoolId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{self, Fault, Fields};
use super::{Kind, asking};

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
    /// The monitors that watch the members. Without one nobody watches, and every member counts as well.
    #[schema(value_type = Vec<super::schema::Identifier>, max_items = 8, default = json!([]))]
    pub(crate) monitor_ids: Vec<MonitorId>,
    /// Which of them must say that a member is well for it to be up.
    #[schema(default = "all")]
    pub(crate) monitors_needed: MonitorsNeeded,
    /// So many members must be able to take new connections: enabled, with a weight, and not known to be down.
    #[schema(minimum = 1, maximum = 65535, default = 1)]
    pub(crate) min_healthy: u32,
    /// What becomes of new connections when fewer can.
    #[schema(default = "refuse")]
    pub(crate) below_min_healthy: BelowMinHealthy,
    /// Who gets them if that is `backup_pool`: a pool whose members speak the same. It is not asked for its own backup pool in
    /// turn. Members of both pools that have the same address and port count as this one's.
    #[schema(value_type = Option<super::schema::Identifier>)]
    pub(crate) backup_pool_id: Option<PoolId>,
    /// Seconds in which a member that comes back is given more and more of its weight, in steps of 5 %; 0: all at once.
    #[schema(minimum = 0, maximum = 3600, default = 0, example = 30)]
    pub(crate) slow_start_s: u32,
    /// Seconds after which the connections of a member end that drains; with null they end by themselves. Not for `http` services.
    #[schema(minimum = 0, maximum = 604_800, example = 300)]
    pub(crate) drain_timeout_s: Option<u32>,
    /// Which member a client of an HTTP service keeps; null: none.
    #[schema(value_type = Option<asking::shape::Persistence>)]
    pub(crate) persistence: Option<Persistence>,
    /// What is asked of another member.
    #[schema(value_type = asking::shape::Retries, required = false)]
    pub(crate) retries: Retries,
    /// When a member is left out for a while; null: never.
    #[schema(value_type = Option<asking::shape::Outlier>)]
    pub(crate) outlier: Option<Outlier>,
}

/// Which monitors must say that a member is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MonitorsNeeded {
    /// All of them.
    #[default]
    All,
    /// One of them.
    Any,
}

const MONITORS_NEEDED: &[(&str, MonitorsNeeded)] =
    &[("all", MonitorsNeeded::All), ("any", MonitorsNeeded::Any)];

/// What becomes of new connections when too few members of a pool can take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BelowMinHealthy {
    /// They are refused, also by those that could take them.
    #[default]
    Refuse,
    /// All members get them, those that are down as well: rather a bad answer than the last ones overrun.
    AllMembers,
    /// The members of another pool get them.
    BackupPool,
}

const BELOW: &[(&str, BelowMinHealthy)] = &[
    ("refuse", BelowMinHealthy::Refuse),
    ("all_members", BelowMinHealthy::AllMembers),
    ("backup_pool", BelowMinHealthy::BackupPool),
];

impl Kind for Pool {
    type Id = PoolId;
    type Parent = ();

    const NOUN: &'static str = "pool";
    const REFERENCES: &'static [(&'static str, &'static str)] =
        &[("/monitor_ids/*", "monitors"), ("/backup_pool_id", "pools")];
    const EXAMPLE: &'static str = r#"{ "name": "web", "protocol": "tcp", "algorithm": "round_robin" }"#;

    fn new_id() -> PoolId {
        PoolId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let protocol = fields.optional("protocol", L4Protocol::Tcp, fields::supported(PROTOCOLS));
        let algorithm = fields.optional("algorithm", Scheduler::RoundRobin, fields::supported(ALGORITHMS));
        let monitor_ids = fields.optional_list("monitor_ids", MONITORS_MAX, fields::id);
        let monitors_needed =
            fields.optional("monitors_needed", MonitorsNeeded::All, fields::word(MONITORS_NEEDED));
        let min_healthy = fields.optional("min_healthy", 1, fields::number(1, 65_535));
        let below = fields.optional("below_min_healthy", BelowMinHealthy::Refuse, fields::word(BELOW));
        let backup_pool_id = fields.nullable("backup_pool_id", fields::id);
        if below == Some(BelowMinHealthy::BackupPool) && backup_pool_id == Some(None) {
            let fault = Fault::new("required", "with `below_min_healthy` `backup_pool` want the pool");
            fields.fault("backup_pool_id", fault);
        }
        let slow_start_s = fields.optional("slow_start_s", 0, fields::number(0, 3600));
        let persistence = fields.nullable_object("persistence", asking::persistence);
        let retries = fields.object("retries", asking::retries);
        let outlier = fields.nullable_object("outlier", asking::outlier);
        let drain_timeout_s = fields.nullable("drain_timeout_s", fields::number(0, 604_800));
        Some(Self {
            protocol: protocol?,
            algorithm: algorithm?,
            monitor_ids: monitor_ids?,
            monitors_needed: monitors_needed?,
            min_healthy: min_healthy?,
            below_min_healthy: below?,
            backup_pool_id: backup_pool_id?,
            slow_start_s: slow_start_s?,
            drain_timeout_s: drain_timeout_s?,
            persistence: persistence?,
            retries: retries?,
            outlier: outlier?,
        })
    }
}
