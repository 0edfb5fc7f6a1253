//! A virtual service: a protocol and port on one or more virtual IPs, served by a pool.

use std::net::IpAddr;
use std::num::NonZeroU32;

use lb_model::desired::{Proxied, ServiceForwarding, ServiceProtocol};
use lb_model::l7::{ClientAuth, Hsts, L7Compression, L7Protocol, TlsVersion};
use lb_model::snapshot::{Ended, Forwarding, L4Protocol, Timeouts, Unserved};
use lb_model::{CertificateId, L4Port, PoolId, Prefix, VirtualIpId, VirtualServiceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::edge::{self, Limits};
use super::fields::{self, Fault, Fields};
use super::rates::RateLimit;
use super::tunnel::{self, Tunnel};
use super::{Kind, Owner};

/// The protocols that are balanced.
const PROTOCOLS: &[(&str, ServiceProtocol)] = &[
    ("tcp", ServiceProtocol::L4(L4Protocol::Tcp)),
    ("udp", ServiceProtocol::L4(L4Protocol::Udp)),
    ("http", ServiceProtocol::L7(L7Protocol::Http)),
    ("https", ServiceProtocol::L7(L7Protocol::Https)),
    ("tls", ServiceProtocol::L7(L7Protocol::Tls)),
];

/// How what comes by TCP can reach the members.
const STREAMS: &[(&str, ServiceForwarding)] = &[
    ("nat", ServiceForwarding::Packets(Forwarding::Nat)),
    ("full_nat", ServiceForwarding::Packets(Forwarding::FullNat)),
    ("dr", ServiceForwarding::Packets(Forwarding::Dr)),
    ("tunnel", ServiceForwarding::Packets(Forwarding::Tunnel)),
    ("proxy", ServiceForwarding::Proxied(Proxied::Proxy)),
];

/// How datagrams can.
const PACKETS: &[(&str, ServiceForwarding)] = &[
    ("nat", ServiceForwarding::Packets(Forwarding::Nat)),
    ("full_nat", ServiceForwarding::Packets(Forwarding::FullNat)),
    ("dr", ServiceForwarding::Packets(Forwarding::Dr)),
    ("tunnel", ServiceForwarding::Packets(Forwarding::Tunnel)),
];

/// How what the appliance answers itself reaches the members.
const PROXIED: &[(&str, ServiceForwarding)] = &[("proxy", ServiceForwarding::Proxied(Proxied::Proxy))];

/// What those can be told whom nobody takes.
const UNSERVED: &[(&str, Unserved)] = &[("silence", Unserved::Silence), ("reset", Unserved::Reset)];

/// What both ends of a connection can be told that is ended.
const ENDED: &[(&str, Ended)] = &[("silence", Ended::Silence), ("reset", Ended::Reset)];

/// Datagrams have no connection that could be reset, and those that are proxied have two.
const ENDED_SILENTLY: &[(&str, Ended)] = &[("silence", Ended::Silence)];

/// What services that are proxied do about it is decided by the layer-7 plane.
const SILENT: &[(&str, Unserved)] = &[("silence", Unserved::Silence)];

/// The most half-open connections that cookies may wait for: as many as fit into a worker's table.
const COOKIES_MAX: u32 = 16_000_000;

/// The most networks that a list may have.
const NETWORKS_MAX: usize = 4096;

/// The most local addresses that one service has.
const LOCAL_ADDRESSES_MAX: usize = 64;

/// The most virtual IPs that one service is offered on.
const VIRTUAL_IPS_MAX: usize = 64;

/// What other fields of a service depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// Packets are forwarded.
    Packets,
    /// The appliance answers itself.
    Proxied,
}

impl Nature {
    /// None where that is wrong by which it is known.
    fn of(protocol: Option<ServiceProtocol>, forwarding: Option<ServiceForwarding>) -> Option<Self> {
        match (protocol, forwarding) {
            (Some(ServiceProtocol::L7(_)), _) => Some(Self::Proxied),
            (_, forwarding) => match forwarding? {
                ServiceForwarding::Packets(_) => Some(Self::Packets),
                ServiceForwarding::Proxied(_) => Some(Self::Proxied),
            },
        }
    }
}

/// A protocol and port on one or more virtual IPs, served by a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct VirtualService {
    /// The virtual IPs it is offered on. No other service has one of its ports by the same protocol on one of them.
    #[schema(value_type = Vec<super::schema::Identifier>, min_items = 1, max_items = 64)]
    pub(crate) virtual_ip_ids: Vec<VirtualIpId>,
    /// What clients speak.
    #[schema(value_type = super::schema::Protocol)]
    pub(crate) protocol: ServiceProtocol,
    /// The port clients connect to.
    #[schema(value_type = u16, minimum = 1, maximum = 65535, example = 80)]
    pub(crate) port: L4Port,
    /// The last one of several ports, of which `port` is the first: 1 to 65535 are all. Members get what is for them on the port that clients
    /// sent it to; the port of a member is where it is checked, and with forwarding `dr` and `tunnel` one of these. With null, there is one
    /// port. Not with forwarding `proxy`.
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 65535)]
    pub(crate) port_end: Option<L4Port>,
    /// How what clients send reaches the members; `nat` unless the protocol is `http`, `https` or `tls`, which are always `proxy`.
    #[schema(value_type = super::schema::Forwarding, required = false)]
    pub(crate) forwarding: ServiceForwarding,
    /// What packets are wrapped in, for forwarding `tunnel`; null for the others.
    #[schema(value_type = Option<super::tunnel::Shape>)]
    pub(crate) tunnel: Option<Tunnel>,
    /// What members see in the place of the clients, for forwarding `full_nat`: addresses that nobody else has, on a network of the
    /// appliance's, which holds them. Each has 64,512 connections to one member and port at most. Empty for the others.
    #[schema(value_type = Vec<super::schema::Address>, max_items = 64, default = json!([]))]
    pub(crate) local_addresses: Vec<IpAddr>,
    /// The pool that serves it; with null, new connections are dropped.
    #[schema(value_type = Option<super::schema::Identifier>)]
    pub(crate) default_pool_id: Option<PoolId>,
    /// When connections are forgotten.
    #[schema(value_type = super::schema::Timeouts, required = false)]
    pub(crate) timeouts: Timeouts,
    /// How many connections there may be at a time; with null, as many as come. Those over it are dropped; with forwarding
    /// `proxy` they are closed at once.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100_000_000, example = 10_000)]
    pub(crate) connection_limit: Option<NonZeroU32>,
    /// Networks whose clients may connect; if there are any, others may not. Not with forwarding `proxy`.
    #[schema(value_type = Vec<super::schema::Cidr>, max_items = 4096, default = json!([]))]
    pub(crate) allowed_cidrs: Vec<Prefix>,
    /// Networks whose clients may not connect. Of all networks in both lists the longest that holds a client decides;
    /// one that is in both is denied. Not with forwarding `proxy`.
    #[schema(value_type = Vec<super::schema::Cidr>, max_items = 4096, default = json!([]))]
    pub(crate) denied_cidrs: Vec<Prefix>,
    /// How fast clients may come; null: as fast as they like. Not with forwarding `proxy`, whose rates are in its policies.
    pub(crate) rate_limit: Option<RateLimit>,
    /// From how many half-open connections on SYNs are answered with cookies, which stand for what would have to be remembered: a flood of them takes no memory,
    /// and clients that hear the answer are served. 0: always. Null: never. Each worker of the data plane has an equal share of the number. Only with protocol
    /// `tcp` and forwarding `nat` and `full_nat`, where answers come back; members should say timestamps and window scales as clients do.
    #[schema(minimum = 0, maximum = 16_000_000, example = 10_000)]
    pub(crate) syn_cookies_from: Option<u32>,
    /// What new connections are told that nobody takes, because no member is there or all have as many as they may: `silence`, or
    /// `reset` (by UDP: that the port is unreachable). With forwarding `proxy` only `silence`.
    #[schema(value_type = super::schema::Unserved, default = "silence")]
    pub(crate) unserved: Unserved,
    /// What both ends of a connection are told that is ended here, because that was asked for, because its member was removed, is disabled
    /// or has drained for `drain_timeout_s`, or because nothing was heard of it for `timeouts.idle_s`: `silence`, or `reset`. With protocol
    /// `udp` and forwarding `proxy` only `silence`.
    #[schema(value_type = super::schema::Ended, default = "silence")]
    pub(crate) ended: Ended,
    /// How TLS ends here: for protocol `https`, and for `tls`, where with null it passes through to the member that the name leads to;
    /// null for the others.
    pub(crate) tls: Option<Tls>,
    /// Networks of proxies that stand before the appliance, and begin each connection by telling who the client is (PROXY protocol, version 1
    /// or 2). One from there that does not is closed. Only with forwarding `proxy`.
    #[schema(value_type = Vec<super::schema::Cidr>, max_items = 4096, default = json!([]))]
    pub(crate) proxy_protocol_from: Vec<Prefix>,
    /// How long each phase of a request may take, beside the silence in `timeouts.idle_s`: with forwarding `proxy`, and null for
    /// the others. Where connections are passed on as they are (`tcp`, `tls`) there are no answers to wait for, and no tunnels.
    pub(crate) request_timeouts: Option<RequestTimeouts>,
    /// How much a client may ask for: with forwarding `proxy`, and null for the others.
    pub(crate) limits: Option<Limits>,
    /// Answers that are made smaller for clients that understand it; null: none. Only for `http` and `https`.
    #[schema(value_type = Option<edge::shape::Compression>)]
    pub(crate) compression: Option<L7Compression>,
}

/// How long each phase of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(crate) struct RequestTimeouts {
    /// For a client to send a whole head, from its first byte, or to begin TLS and agree on it.
    #[schema(minimum = 1, maximum = 86400, default = 10)]
    pub(crate) head_s: u32,
    /// For a member to accept a connection, TLS included.
    #[schema(minimum = 1, maximum = 86400, default = 5)]
    pub(crate) connect_s: u32,
    /// For a member to begin to answer.
    #[schema(minimum = 1, maximum = 86400, default = 60)]
    pub(crate) answer_s: u32,
    /// For a WebSocket to say something, either side of it.
    #[schema(minimum = 1, maximum = 604_800, default = 3600)]
    pub(crate) tunnel_s: u32,
    /// For a WebSocket, or a connection that is passed on as it is, to end when the service is offered no more.
    #[schema(minimum = 0, maximum = 86400, default = 60)]
    pub(crate) drain_s: u32,
}

impl RequestTimeouts {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let head_s = fields.optional("head_s", 10, fields::number(1, 86_400));
        let connect_s = fields.optional("connect_s", 5, fields::number(1, 86_400));
        let answer_s = fields.optional("answer_s", 60, fields::number(1, 86_400));
        let tunnel_s = fields.optional("tunnel_s", 3600, fields::number(1, 604_800));
        let drain_s = fields.optional("drain_s", 60, fields::number(0, 86_400));
        Some(Self {
            head_s: head_s?,
            connect_s: connect_s?,
            answer_s: answer_s?,
            tunnel_s: tunnel_s?,
            drain_s: drain_s?,
        })
    }

    /// Whether they are there follows from the protocol and the forwarding.
    #[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there are any")]
    fn read_for(nature: Option<Nature>, fields: &mut Fields<'_>) -> Option<Option<Self>> {
        let key = "request_timeouts";
        match nature {
            Some(Nature::Proxied) => {
                let read = fields.nullable_object(key, Self::read)?;
                Some(Some(read.unwrap_or_default()))
            }
            Some(Nature::Packets) => {
                fields.nullable(key, |_| Err(Fault::new("unsupported", "only for services that are proxied")))
            }
            None => fields.nullable(key, |_| Ok(())).map(|_| None),
        }
    }
}

impl Default for RequestTimeouts {
    fn default() -> Self {
        Self { head_s: 10, connect_s: 5, answer_s: 60, tunnel_s: 3600, drain_s: 60 }
    }
}

/// How a service ends TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceTls)]
pub(crate) struct Tls {
    /// The certificates to show: by the name that the client asks for, and the first one where no name fits.
    #[schema(value_type = Vec<super::schema::Identifier>, min_items = 1, max_items = 256)]
    pub(crate) certificate_ids: Vec<CertificateId>,
    /// The oldest version that is spoken.
    #[schema(value_type = super::schema::TlsVersion, default = "1.2")]
    pub(crate) min_version: TlsVersion,
    /// Tells browsers to speak TLS from then on; null: does not. Only for `https`.
    #[schema(value_type = Option<edge::shape::Hsts>)]
    pub(crate) hsts: Option<Hsts>,
    /// Asks clients for certificates; null: does not.
    #[schema(value_type = Option<edge::shape::ClientAuth>)]
    pub(crate) client_auth: Option<ClientAuth>,
}

impl Tls {
    fn read(fields: &mut Fields<'_>, has_requests: bool) -> Option<Self> {
        let certificate_ids = fields.list("certificate_ids", 1..=256, fields::id);
        let versions = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
        let min_version = fields.optional("min_version", TlsVersion::Tls12, fields::supported(versions));
        let hsts = if has_requests {
            fields.nullable_object("hsts", edge::hsts)
        } else {
            fields.nullable("hsts", |_| Err(Fault::new("unsupported", "only for protocol https")))
        };
        let client_auth = fields.nullable_object("client_auth", edge::client_auth);
        Some(Self {
            certificate_ids: certificate_ids?,
            min_version: min_version?,
            hsts: hsts?,
            client_auth: client_auth?,
        })
    }

    /// Whether it is there follows from the protocol.
    #[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
    fn read_for(protocol: Option<ServiceProtocol>, fields: &mut Fields<'_>) -> Option<Option<Self>> {
        match protocol {
            Some(ServiceProtocol::L7(L7Protocol::Https)) => {
                fields.object("tls", |fields| Self::read(fields, true)).map(Some)
            }
            Some(ServiceProtocol::L7(L7Protocol::Tls)) => {
                fields.nullable_object("tls", |fields| Self::read(fields, false))
            }
            Some(_) => fields.nullable("tls", |_| {
                Err(Fault::new("unsupported", "only a service of protocol https or tls ends TLS"))
            }),
            // The protocol itself is wrong: nothing can be said of this.
            None => fields.nullable("tls", |_| Ok(())).map(|_| None),
        }
    }
}

/// The seconds after which silent connections are forgotten. Exchanges by UDP are short: theirs are forgotten sooner.
fn timeouts(fields: &mut Fields<'_>, protocol: Option<ServiceProtocol>) -> Option<Timeouts> {
    let by_udp = protocol.is_some_and(|protocol| protocol.transport() == L4Protocol::Udp);
    let (opening, idle) = if by_udp { (30, 120) } else { (60, 300) };
    let opening_s = fields.optional("opening_s", opening, fields::number(1, 86_400));
    let idle_s = fields.optional("idle_s", idle, fields::number(1, 86_400));
    let closing_s = fields.optional("closing_s", 60, fields::number(1, 86_400));
    Some(Timeouts { opening_s: opening_s?, idle_s: idle_s?, closing_s: closing_s? })
}

/// What fits the protocol; where that is wrong, anything that there is.
fn read_forwarding(protocol: Option<ServiceProtocol>, fields: &mut Fields<'_>) -> Option<ServiceForwarding> {
    let words = match protocol {
        Some(ServiceProtocol::L7(_)) => PROXIED,
        Some(ServiceProtocol::L4(L4Protocol::Udp)) => PACKETS,
        Some(ServiceProtocol::L4(L4Protocol::Tcp)) | None => STREAMS,
    };
    let (_, default) = words.first()?;
    fields.optional("forwarding", *default, fields::supported(words))
}

/// Where members see an address of ours there must be one, and elsewhere there is none.
fn read_local_addresses(
    forwarding: Option<ServiceForwarding>,
    fields: &mut Fields<'_>,
) -> Option<Vec<IpAddr>> {
    match forwarding {
        Some(ServiceForwarding::Packets(Forwarding::FullNat)) => {
            fields.list("local_addresses", 1..=LOCAL_ADDRESSES_MAX, fields::host_address)
        }
        Some(_) => fields.optional_list("local_addresses", LOCAL_ADDRESSES_MAX, |_| {
            Err(Fault::new("unsupported", "only for forwarding `full_nat`"))
        }),
        // The forwarding itself is wrong: nothing can be said of this.
        None => fields.optional_list("local_addresses", LOCAL_ADDRESSES_MAX, fields::host_address),
    }
}

/// Whether there are any follows from the protocol and the forwarding.
#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there are any")]
fn read_limits(nature: Option<Nature>, fields: &mut Fields<'_>) -> Option<Option<Limits>> {
    match nature {
        Some(Nature::Proxied) => {
            let read = fields.nullable_object("limits", Limits::read)?;
            Some(Some(read.unwrap_or_default()))
        }
        Some(Nature::Packets) => fields
            .nullable("limits", |_| Err(Fault::new("unsupported", "only for services that are proxied"))),
        None => fields.nullable("limits", |_| Ok(())).map(|_| None),
    }
}

#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether there is any")]
fn read_compression(
    protocol: Option<ServiceProtocol>,
    fields: &mut Fields<'_>,
) -> Option<Option<L7Compression>> {
    match protocol {
        Some(ServiceProtocol::L7(protocol)) if protocol.has_requests() => {
            fields.nullable_object("compression", edge::compression)
        }
        Some(_) => fields.nullable("compression", |_| {
            Err(Fault::new("unsupported", "only for services of protocol http and https"))
        }),
        None => fields.nullable("compression", |_| Ok(())).map(|_| None),
    }
}

/// A parser that, where packets are forwarded as they come, takes nothing.
fn of_proxied<T>(
    nature: Option<Nature>,
    parse: impl Fn(&Value) -> Result<T, Fault>,
) -> impl Fn(&Value) -> Result<T, Fault> {
    move |value| match nature {
        Some(Nature::Packets) => Err(Fault::new("unsupported", "only for services that are proxied")),
        _ => parse(value),
    }
}

/// A parser that, where the appliance answers itself, takes nothing: whom that serves is decided elsewhere.
fn of_packets<T>(
    nature: Option<Nature>,
    parse: impl Fn(&Value) -> Result<T, Fault>,
) -> impl Fn(&Value) -> Result<T, Fault> {
    move |value| match nature {
        Some(Nature::Proxied) => Err(Fault::new("unsupported", "not for services that are proxied")),
        _ => parse(value),
    }
}

impl Kind for VirtualService {
    type Id = VirtualServiceId;
    type Parent = ();

    const NOUN: &'static str = "virtual service";
    const OWNER: Owner = Owner::Project;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[
        ("/virtual_ip_ids/*", "virtual_ips"),
        ("/default_pool_id", "pools"),
        ("/tls/certificate_ids/*", "certificates"),
    ];
    const EXAMPLE: &'static str = r#"{
        "name": "shop-http",
        "virtual_ip_ids": ["01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"],
        "protocol": "tcp",
        "port": 80,
        "forwarding": "nat",
        "default_pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a",
        "timeouts": { "opening_s": 60, "idle_s": 300, "closing_s": 60 }
    }"#;

    fn new_id() -> VirtualServiceId {
        VirtualServiceId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let virtual_ip_ids = fields.list("virtual_ip_ids", 1..=VIRTUAL_IPS_MAX, fields::id);
        let protocol = fields.required("protocol", fields::supported(PROTOCOLS));
        let port = fields.required("port", fields::port);
        let forwarding = read_forwarding(protocol, fields);
        let nature = Nature::of(protocol, forwarding);
        let port_end = fields.nullable("port_end", of_packets(nature, fields::port));
        if let (Some(first), Some(Some(last))) = (port, port_end)
            && last < first
        {
            fields.fault("port_end", Fault::new("out_of_range", format!("want a port from {first} on")));
        }
        let tunnel = tunnel::read_for(forwarding, fields);
        let local_addresses = read_local_addresses(forwarding, fields);
        let default_pool_id = fields.nullable("default_pool_id", fields::id);
        let timeouts = fields.object("timeouts", |fields| timeouts(fields, protocol));
        let tls = Tls::read_for(protocol, fields);
        let proxies = of_proxied(nature, fields::network);
        let proxy_protocol_from = fields.optional_list("proxy_protocol_from", NETWORKS_MAX, proxies);
        let request_timeouts = RequestTimeouts::read_for(nature, fields);
        let limits = read_limits(nature, fields);
        let compression = read_compression(protocol, fields);
        let connection_limit = fields.nullable("connection_limit", fields::limit(100_000_000));
        let network = of_packets(nature, fields::network);
        let allowed_cidrs = fields.optional_list("allowed_cidrs", NETWORKS_MAX, &network);
        let denied_cidrs = fields.optional_list("denied_cidrs", NETWORKS_MAX, &network);
        let rate_limit = match nature {
            Some(Nature::Proxied) => fields.nullable("rate_limit", |_| {
                Err(Fault::new("unsupported", "not for services that are proxied"))
            }),
            _ => fields.nullable_object("rate_limit", RateLimit::read),
        };
        let syn_cookies_from = match (protocol.map(ServiceProtocol::transport), forwarding) {
            (
                Some(L4Protocol::Tcp),
                Some(ServiceForwarding::Packets(Forwarding::Nat | Forwarding::FullNat)),
            )
            | (None, _)
            | (_, None) => fields.nullable("syn_cookies_from", fields::number(0, COOKIES_MAX)),
            _ => fields.nullable("syn_cookies_from", |_| {
                Err(Fault::new("unsupported", "only with protocol tcp and forwarding nat or full_nat"))
            }),
        };
        let unserved = match nature {
            // What every service has by default is no reason to refuse one that is proxied.
            Some(Nature::Proxied) => {
                fields.optional("unserved", Unserved::Silence, fields::supported(SILENT))
            }
            _ => fields.optional("unserved", Unserved::Silence, fields::word(UNSERVED)),
        };
        let ended = match (nature, protocol.map(ServiceProtocol::transport)) {
            (Some(Nature::Proxied), _) | (_, Some(L4Protocol::Udp)) => {
                fields.optional("ended", Ended::Silence, fields::supported(ENDED_SILENTLY))
            }
            _ => fields.optional("ended", Ended::Silence, fields::word(ENDED)),
        };
        Some(Self {
            virtual_ip_ids: virtual_ip_ids?,
            protocol: protocol?,
            port: port?,
            port_end: port_end?,
            forwarding: forwarding?,
            tunnel: tunnel?,
            local_addresses: local_addresses?,
            default_pool_id: default_pool_id?,
            timeouts: timeouts?,
            tls: tls?,
            proxy_protocol_from: proxy_protocol_from?,
            request_timeouts: request_timeouts?,
            limits: limits?,
            compression: compression?,
            connection_limit: connection_limit?,
            allowed_cidrs: allowed_cidrs?,
            denied_cidrs: denied_cidrs?,
            rate_limit: rate_limit?,
            syn_cookies_from: syn_cookies_from?,
            unserved: unserved?,
            ended: ended?,
        })
    }
}
