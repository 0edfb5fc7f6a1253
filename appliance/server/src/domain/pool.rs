//! A pool: members, and how one of them is chosen.

use lb_model::asking::{Breaker, Hedge, Outlier, Persistence, Queue, Retries};
use lb_model::l7::{HttpVersion, ProxyProtocol};
use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{CertificateId, MonitorId, PoolId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::ServerName;
use utoipa::ToSchema;

use super::fields::{self, Fault, Fields};
use super::{Kind, Owner, asking, certificate};

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
    ("peak_ewma", Scheduler::PeakEwma),
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
    /// Which member a client keeps; null: none.
    #[schema(value_type = Option<asking::shape::Persistence>)]
    pub(crate) persistence: Option<Persistence>,
    /// What is asked of another member.
    #[schema(value_type = asking::shape::Retries, required = false)]
    pub(crate) retries: Retries,
    /// When a member is left out for a while; null: never.
    #[schema(value_type = Option<asking::shape::Outlier>)]
    pub(crate) outlier: Option<Outlier>,
    /// What waits while every member has as many requests (connections, of a service without requests) as its `connection_limit` says;
    /// null: nothing does. Only where the appliance asks the members itself.
    #[schema(value_type = Option<asking::shape::Queue>)]
    pub(crate) queue: Option<Queue>,
    /// When the pool is left alone as a whole, as too much of what it is asked fails; null: never. Only where the appliance asks the members itself.
    #[schema(value_type = Option<asking::shape::Breaker>)]
    pub(crate) breaker: Option<Breaker>,
    /// Which requests are asked of a second member as well, when the first one takes long; null: none. Only for services with requests.
    #[schema(value_type = Option<asking::shape::Hedge>)]
    pub(crate) hedge: Option<Hedge>,
    /// The version of HTTP that members are asked by, where the appliance asks. Tunnels (`websocket`) are opened by 1.1.
    #[schema(value_type = super::schema::HttpVersion, default = "1.1")]
    pub(crate) http_version: HttpVersion,
    /// With it the appliance speaks TLS with the members, where it asks them itself.
    pub(crate) tls: Option<MemberTls>,
    /// Whether a connection to a member, where the appliance makes it, begins by telling who the client is. Such a connection serves
    /// one request, or with `http_version` `2` none but this client's.
    #[schema(value_type = super::schema::ProxyProtocol, default = "none")]
    pub(crate) proxy_protocol: ProxyProtocol,
}

/// How TLS is spoken with members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MemberTls {
    /// Whether members must show a certificate that `ca` vouches for, with the right name. Without it anybody is taken for a member.
    #[schema(default = true)]
    pub(crate) verify: bool,
    /// The certificates of those who vouch, as PEM.
    #[schema(max_length = 65536, example = "-----BEGIN CERTIFICATE-----\n…")]
    pub(crate) ca: Option<String>,
    /// The name that members are asked for and must show; with null, each its own address.
    #[schema(max_length = 253, example = "internal.shop.example")]
    pub(crate) server_name: Option<String>,
    /// What members are shown that ask who the appliance is.
    #[schema(value_type = Option<super::schema::Identifier>)]
    pub(crate) certificate_id: Option<CertificateId>,
}

impl MemberTls {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let verify = fields.optional("verify", true, fields::boolean);
        let ca = fields.nullable("ca", certificate::chain);
        let server_name = fields.nullable("server_name", name);
        let certificate_id = fields.nullable("certificate_id", fields::id);
        if verify == Some(true) && ca == Some(None) {
            fields.fault(
                "ca",
                Fault::new("required", "want the certificates of those who vouch for the members"),
            );
        }
        Some(Self { verify: verify?, ca: ca?, server_name: server_name?, certificate_id: certificate_id? })
    }
}

/// A name that can stand in a certificate.
fn name(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=253)(value)?;
    match ServerName::try_from(text.as_str()) {
        Ok(_) => Ok(text),
        Err(_) => Err(Fault::new("invalid", "want a host name or an address")),
    }
}

const HTTP_VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];

const PROXY_PROTOCOLS: &[(&str, ProxyProtocol)] =
    &[("none", ProxyProtocol::None), ("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];

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
    const OWNER: Owner = Owner::Project;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[
        ("/monitor_ids/*", "monitors"),
        ("/backup_pool_id", "pools"),
        ("/tls/certificate_id", "certificates"),
    ];
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
        let queue = fields.nullable_object("queue", asking::queue);
        let breaker = fields.nullable_object("breaker", asking::breaker);
        let hedge = fields.nullable_object("hedge", asking::hedge);
        let drain_timeout_s = fields.nullable("drain_timeout_s", fields::number(0, 604_800));
        let http_version = fields.optional("http_version", HttpVersion::Http1, fields::word(HTTP_VERSIONS));
        let tls = fields.nullable_object("tls", MemberTls::read);
        let proxy_protocol =
            fields.optional("proxy_protocol", ProxyProtocol::None, fields::word(PROXY_PROTOCOLS));
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
            queue: queue?,
            breaker: breaker?,
            hedge: hedge?,
            http_version: http_version?,
            tls: tls?,
            proxy_protocol: proxy_protocol?,
        })
    }
}
