//! What the layer-7 plane works by: services that it answers itself, and the pools it asks in turn.
//!
//! A service names its pools; the plane resolves the names once, when it takes the snapshot, so that a request meets
//! pointers only.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::asking::{Breaker, Hedge, Outlier, Persistence, Queue, Retries};
use crate::policy::L7Policy;
use crate::snapshot::{Generation, Scheduler, Share, Weight};
use crate::{CertificateId, L4Port, MemberId, PoolId, Prefix, VirtualServiceId};

/// A protocol that the layer-7 plane speaks with clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum L7Protocol {
    /// HTTP/1.1.
    Http,
    /// The same inside of TLS, which ends here.
    Https,
    /// Whatever is said inside of TLS, which ends here or passes through.
    Tls,
    /// Whatever is said; to an operator it is layer 4's protocol of this name.
    Tcp,
}

impl L7Protocol {
    /// Whether it consists of requests that are understood here.
    pub fn has_requests(self) -> bool {
        match self {
            Self::Http | Self::Https => true,
            Self::Tls | Self::Tcp => false,
        }
    }
}

/// What the layer-7 plane works by: every service with its pools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Snapshot {
    /// The configuration this was compiled from.
    pub generation: Generation,
    /// The services, each once with all its addresses.
    pub services: Vec<L7Service>,
    /// The pools that they name.
    pub pools: Vec<L7Pool>,
    /// The certificates that they show.
    pub certificates: Vec<L7Certificate>,
}

/// A virtual service that the plane answers itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Service {
    /// The virtual service.
    pub id: VirtualServiceId,
    /// The addresses of its virtual IPs.
    pub addresses: Vec<IpAddr>,
    /// The port.
    pub port: L4Port,
    /// What clients speak.
    pub protocol: L7Protocol,
    /// Who serves it; without one every request is answered with 503.
    pub pool: Option<PoolId>,
    /// How long each phase may take.
    pub timeouts: L7Timeouts,
    /// How TLS ends here, for a protocol that has it.
    pub tls: Option<L7Tls>,
    /// What decides about its requests, in this order.
    pub policies: Vec<L7Policy>,
    /// Proxies whose connections begin by telling who the client is; others' must not.
    #[serde(default)]
    pub proxy_protocol_from: Vec<Prefix>,
    /// How much a client may ask for.
    #[serde(default)]
    pub limits: L7Limits,
    /// Which answers are made smaller, and how.
    #[serde(default)]
    pub compression: Option<L7Compression>,
}

/// How much a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Limits {
    /// Bytes of a request's head: its line and its fields.
    pub head_bytes: u32,
    /// Bytes of its target: path and query.
    pub target_bytes: u32,
    /// Bytes of its body.
    pub body_bytes: Option<u32>,
    /// Connections at a time, of all clients.
    pub connections: Option<NonZeroU32>,
    /// Connections at a time of one client.
    pub connections_per_source: Option<NonZeroU32>,
}

impl Default for L7Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 << 10,
            target_bytes: 16 << 10,
            body_bytes: None,
            connections: None,
            connections_per_source: None,
        }
    }
}

/// Which answers are made smaller, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Compression {
    /// By what, in the order of preference where a client likes several as well.
    pub codings: Vec<Coding>,
    /// Of these types, as `text/html`, or `text/*`.
    pub types: Vec<String>,
    /// Of so many bytes at least, where their length is known before.
    pub min_bytes: u32,
}

/// A way to make an answer smaller (RFC 9110, 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Coding {
    /// The oldest, which everybody understands.
    #[serde(rename = "gzip")]
    Gzip,
    /// The smallest of texts.
    #[serde(rename = "br")]
    Brotli,
    /// The quickest.
    #[serde(rename = "zstd")]
    Zstd,
}

impl Coding {
    /// As it stands in header fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// How a service ends TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Tls {
    /// What is shown: by the name that the client asks for, and the first one where no name fits.
    pub certificates: Vec<CertificateId>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// What browsers are told to speak from then on.
    #[serde(default)]
    pub hsts: Option<Hsts>,
    /// Who clients must be.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
}

/// That browsers speak TLS with this name from then on (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// For so many seconds.
    pub max_age_s: u32,
    /// With all names below it too.
    pub include_subdomains: bool,
    /// Browsers may know of it beforehand.
    pub preload: bool,
}

/// Certificates that clients show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// Whether a client without one is served too.
    pub optional: bool,
    /// Who vouches for clients, as PEM.
    pub ca: String,
    /// Certificates that do not count any more, as PEM: lists of those who vouch.
    pub crl: Option<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246, with forward secrecy and authenticated encryption only.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A certificate. Its key is sealed with the appliance's key file, here and wherever this is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Certificate {
    /// The certificate.
    pub id: CertificateId,
    /// It and those that lead to its root, as PEM.
    pub chain: String,
    /// Base64 of a nonce of 12 bytes, and its private key (PEM) under AES-256-GCM with [`KEY_SEAL`].
    pub sealed_key: String,
}

/// What is authenticated beside a sealed private key, so that a seal of something else is never taken for one.
pub const KEY_SEAL: &[u8] = b"penstock private key 1";

/// How long each phase of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Timeouts {
    /// Seconds without a byte after which a connection is closed, at either side.
    pub idle_s: u32,
    /// Seconds that a client has for the whole head of a request, from its first byte on.
    pub request_s: u32,
    /// Seconds in which a member must accept a connection.
    pub connect_s: u32,
    /// Seconds in which a member must begin to answer.
    pub response_s: u32,
    /// Seconds without a byte after which a tunnel (a WebSocket) is closed.
    #[serde(default = "tunnel_s")]
    pub tunnel_s: u32,
    /// Seconds that a tunnel has to end when its service is offered no more.
    #[serde(default = "drain_s")]
    pub drain_s: u32,
}

impl Default for L7Timeouts {
    fn default() -> Self {
        Self {
            idle_s: 300,
            request_s: 10,
            connect_s: 5,
            response_s: 60,
            tunnel_s: tunnel_s(),
            drain_s: drain_s(),
        }
    }
}

fn tunnel_s() -> u32 {
    3600
}

fn drain_s() -> u32 {
    60
}

/// The version of HTTP that members are asked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// RFC 9112.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// RFC 9113; by prior knowledge, or by ALPN inside of TLS.
    #[serde(rename = "2")]
    Http2,
}

/// Whether members are told who the client is before anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// They are not.
    #[default]
    None,
    /// In a line of text.
    V1,
    /// In bytes.
    V2,
}

/// How the members of a pool are spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// In which version of HTTP.
    pub http_version: HttpVersion,
    /// Whether inside of TLS.
    pub tls: Option<L7PoolTls>,
    /// Whether they are told who the client is.
    pub proxy_protocol: ProxyProtocol,
}

/// How members are spoken to inside of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7PoolTls {
    /// Who vouches for the members' certificates, as PEM; without it anything that they show is taken.
    pub ca: Option<String>,
    /// The name that is asked for and must be in the certificate; without it the member's address.
    pub server_name: Option<String>,
    /// What members are shown.
    pub certificate: Option<CertificateId>,
}

/// Members that serve the same, and how one of them is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Pool {
    /// The pool.
    pub id: PoolId,
    /// How a member is chosen for a request.
    pub scheduler: Scheduler,
    /// Which member a client keeps.
    #[serde(default)]
    pub persistence: Option<Persistence>,
    /// What is asked of another member.
    #[serde(default)]
    pub retries: Retries,
    /// Who is left out for a while.
    #[serde(default)]
    pub outlier: Option<Outlier>,
    /// What waits while every member has as many requests as it may.
    #[serde(default)]
    pub queue: Option<Queue>,
    /// When it is left alone as a whole.
    #[serde(default)]
    pub breaker: Option<Breaker>,
    /// What is asked of two members.
    #[serde(default)]
    pub hedge: Option<Hedge>,
    /// The members, in the order they were added.
    pub members: Vec<L7Member>,
    /// How they are spoken to.
    #[serde(default)]
    pub manner: Manner,
}

/// A member as the layer-7 plane sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is a fact of its own")]
pub struct L7Member {
    /// The member.
    pub id: MemberId,
    /// Its address.
    pub address: IpAddr,
    /// The port it serves on.
    pub port: L4Port,
    /// Whether it is given new requests.
    pub takes_new: bool,
    /// Whether it still serves clients that keep it: it drains.
    #[serde(default)]
    pub keeps: bool,
    /// Its share of new requests.
    pub weight: Weight,
    /// How much of that it is given now.
    #[serde(default)]
    pub share: Share,
    /// Whether it takes new requests only when no other member does.
    pub backup: bool,
    /// Whether it belongs to the backup pool: it takes new requests only when nobody of the pool itself does.
    #[serde(default)]
    pub reserve: bool,
    /// How many requests it may have at a time.
    pub request_limit: Option<NonZeroU32>,
}

/// What a service did since the plane was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7ServiceCounters {
    /// Connections that were accepted.
    pub connections: u64,
    /// Of these, those that are open now.
    pub connections_open: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Answers by the first digit of their code: 1xx to 5xx.
    pub answers: [u64; 5],
    /// Bytes from clients, inside of TLS.
    pub bytes_in: u64,
    /// Bytes to clients, inside of TLS.
    pub bytes_out: u64,
    /// How requests and connections ended that did not end well, by [`Ending::as_str`]; only what occurred.
    pub endings: BTreeMap<String, u64>,
    /// How long members took, from the head of a request to that of their answer.
    #[serde(default)]
    pub answer_times: Latencies,
    /// How long requests took, from their head to the end of the answer; tunnels are left out.
    #[serde(default)]
    pub request_times: Latencies,
}

/// The bounds by which times are counted, in microseconds.
pub const LATENCY_BOUNDS_US: [u64; 17] = [
    250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// For each of [`LATENCY_BOUNDS_US`] those that took no longer, but longer than the one before; at last all others.
    pub counts: Vec<u64>,
    /// All together, in microseconds.
    pub sum_us: u64,
}

impl Latencies {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What a member was given since the plane knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7MemberCounters {
    /// Connections that were opened to it.
    pub connections: u64,
    /// Requests that it was given.
    pub requests: u64,
    /// Of these, those that it has not answered yet.
    pub requests_open: u64,
    /// Requests that it did not answer: it could not be reached, was too slow or broke off.
    pub failures: u64,
}

macro_rules! endings {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal),+ $(,)?) => {
        /// How a request or connection ended that did not end well.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Ending {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Ending {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word used in records, in the API and in metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it means, in a sentence.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

endings! {
    /// The client sent what is no request, or one that could be read in two ways.
    BadRequest => "bad_request",
    /// The connection did not begin by telling who the client is.
    BadProxyHeader => "bad_proxy_header",
    /// No TLS came about: the client gave up, or nothing was found that both speak.
    TlsFailed => "tls_failed",
    /// The head of a request is larger than any may be.
    HeadTooLarge => "head_too_large",
    /// The body of a request is larger than the service takes.
    BodyTooLarge => "body_too_large",
    /// There were as many connections as there may be.
    TooManyConnections => "too_many_connections",
    /// The client did not show who it is.
    Unauthorized => "unauthorized",
    /// A policy refused the request.
    Rejected => "rejected",
    /// There were too many requests.
    RateLimited => "rate_limited",
    /// The client took too long to send its request.
    ClientTimeout => "client_timeout",
    /// The client took its requests back again and again before they were answered.
    TakenBack => "taken_back",
    /// The client went away before it had its answer.
    ClientGone => "client_gone",
    /// Nothing was said for too long on a connection that is passed on as it is.
    Silent => "silent",
    /// A tunnel or connection was cut since its service is offered no more.
    ServiceGone => "service_gone",
    /// No pool, or no member that takes new requests.
    NoMember => "no_member",
    /// Every member has as many requests as it may.
    MembersFull => "members_full",
    /// Every member has as many requests as it may, and so many wait as may.
    QueueFull => "queue_full",
    /// No member had room for the request in time.
    QueueTimeout => "queue_timeout",
    /// The pool fails as a whole, and is left alone for a while.
    CircuitOpen => "circuit_open",
    /// No connection to a member could be made.
    ConnectFailed => "connect_failed",
    /// The member showed no certificate that counts, or speaks no TLS that we do.
    MemberTls => "member_tls",
    /// The member took too long to begin its answer, or to go on with it.
    MemberTimeout => "member_timeout",
    /// The member closed the connection before it answered.
    MemberClosed => "member_closed",
    /// The member's answer is no HTTP.
    MemberProtocol => "member_protocol",
    /// The member broke off its answer.
    MemberCut => "member_cut",
}

impl Ending {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}
