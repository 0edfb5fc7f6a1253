//! The words of lb-model's enums, for the API's description: lb-model itself knows no framework.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// What clients speak: `tcp` and `udp` are carried as they come; `http` is understood (HTTP/1.1 and HTTP/2), and so is `https`, whose
/// TLS ends here. Of `tls` only the name that the client asks for is looked at: TLS passes through, or ends here and what is in it is carried
/// as it comes.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "tcp")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Http,
    Https,
    Tls,
}

/// A version of HTTP.
#[derive(ToSchema)]
#[schema(example = "1.1")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum HttpVersion {
    #[schema(rename = "1.1")]
    Http1,
    #[schema(rename = "2")]
    Http2,
}

/// A version of the PROXY protocol: a line of text, or bytes.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "v2")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum ProxyProtocol {
    None,
    V1,
    V2,
}

/// A version of TLS.
#[derive(ToSchema)]
#[schema(example = "1.2")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum TlsVersion {
    #[schema(rename = "1.2")]
    Tls12,
    #[schema(rename = "1.3")]
    Tls13,
}

/// After how many seconds of silence a connection is forgotten.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(crate) struct Timeouts {
    /// As long as the handshake is not done, or of UDP only one datagram was seen. Without it, 60 for TCP and 30 for UDP.
    #[schema(minimum = 1, maximum = 86400, example = 60)]
    opening_s: Option<u32>,
    /// Once it is established. Without it, 300 for TCP and 120 for UDP.
    #[schema(minimum = 1, maximum = 86400, example = 300)]
    idle_s: Option<u32>,
    /// Once both sides have said that they have no more to send.
    #[schema(minimum = 1, maximum = 86400, default = 60, example = 60)]
    closing_s: Option<u32>,
}

/// What members speak.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "tcp")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum MemberProtocol {
    Tcp,
    Udp,
}

/// How what clients send reaches the members: `nat` rewrites the destination of packets and keeps the client's address;
/// replies come back through the appliance. `full_nat` rewrites the source too: members see one of `local_addresses`, and need not
/// have their route to the clients lead through the appliance. With `dr` (direct return) packets reach the member as they came, port
/// included, and it answers the client itself: it must hold the virtual IP on an interface that does not announce it, and be
/// on a network of the appliance's; connections are counted by what clients send. `tunnel` is the
/// same for members further away, to whom packets are sent wrapped in others, as `tunnel` says. With `proxy` the appliance answers itself, over connections of its own.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "nat")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Forwarding {
    Nat,
    FullNat,
    Dr,
    Tunnel,
    Proxy,
}

/// What new connections are told that nobody takes.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "silence")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Unserved {
    Silence,
    Reset,
}

/// What both ends of a connection are told that is ended here.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "silence")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Ended {
    Silence,
    Reset,
}

/// How a member is chosen for a new connection.
///
/// * `round_robin`: one after the other.
/// * `weighted_round_robin`: one after the other, each as often as its weight says, spread evenly.
/// * `least_connections`: the one with the fewest connections; `weighted_least_connections`: for its weight.
/// * `shortest_expected_delay`: the one that would have the fewest connections for its weight with this one.
/// * `never_queue`: one without connections; if all have some, as `shortest_expected_delay`.
/// * `source_hash`: by the client's address: the same client always has the same member; `source_port_hash`: by its
///   port too.
/// * `maglev`: by addresses and ports of both ends, in a table that changes little when members come and go.
/// * `power_of_two`: two are drawn, each as likely as its weight; the one with fewer connections for its weight.
/// * `peak_ewma`: the one that would answer soonest: by how long its last answers took, of which a slow one counts at once and is
///   forgotten slowly, how many requests it has, and its weight. Up to 64 members all are compared; of more, two that are drawn. Where
///   packets are forwarded, and answers not seen, as `shortest_expected_delay`; for `tcp` and `tls` with forwarding `proxy` by how long
///   connections to it took.
/// * `ordered`: the one with the highest weight (of equal ones the first added), and the next one only when that has
///   reached its `connection_limit` or takes no new connections.
///
/// Connections are counted by each worker for itself, so the algorithms that look at them balance each worker's.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "round_robin")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Algorithm {
    RoundRobin,
    WeightedRoundRobin,
    LeastConnections,
    WeightedLeastConnections,
    ShortestExpectedDelay,
    NeverQueue,
    SourceHash,
    SourcePortHash,
    Maglev,
    PowerOfTwo,
    PeakEwma,
    Ordered,
}

/// Whether a member takes new connections and keeps its old ones.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "enabled")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum MemberState {
    Enabled,
    Drain,
    Disabled,
}

/// An address of one host.
#[derive(ToSchema)]
#[schema(value_type = String, format = "ip", min_length = 2, max_length = 45, example = "192.0.2.200")]
pub(crate) struct Address(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// A network: an address and the length of its prefix.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 4, max_length = 43, example = "192.0.2.0/24")]
pub(crate) struct Cidr(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// What identifies a resource: a UUID.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    format = Uuid,
    min_length = 36,
    max_length = 36,
    example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
)]
pub(crate) struct Identifier(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// The machine's name, time and network.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct SettingsDocument {
    /// What the machine is called.
    #[schema(max_length = 253, example = "lb-1.example.net")]
    hostname: String,
    /// Where it is, as the time-zone database names it.
    #[schema(max_length = 64, example = "Europe/Zurich")]
    time_zone: String,
    /// Its interfaces: `management`, at which this API is, and the ports that there are, as `port1`.
    interfaces: BTreeMap<String, Interface>,
    /// Who resolves names for it. None: those that DHCP names.
    #[schema(max_items = 3)]
    dns_servers: Vec<HostName>,
    /// What is tried behind a name.
    #[schema(max_items = 6)]
    dns_search: Vec<HostName>,
    /// Whose time it takes. None: Debian's pool.
    #[schema(max_items = 8)]
    ntp_servers: Vec<HostName>,
    /// Who is sent its log (RFC 5424); null: nobody.
    #[schema(required)]
    syslog: Option<Syslog>,
}

/// How an interface is reached, and what is behind it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct Interface {
    /// Its address and the length of its network's prefix; null: management asks DHCP, a port has none.
    #[schema(max_length = 18, required, example = "192.0.2.10/24")]
    address: Option<String>,
    /// Where everything goes for which there is no other way; null: nowhere, or where DHCP says.
    #[schema(max_length = 15, required, example = "192.0.2.1")]
    gateway: Option<String>,
    /// Networks behind other gateways.
    #[schema(max_items = 64)]
    routes: Vec<NetworkRoute>,
}

/// A network that is reached through a gateway.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct NetworkRoute {
    /// The network.
    #[schema(max_length = 18, example = "10.9.0.0/16")]
    destination: String,
    /// A host of the interface's own network.
    #[schema(max_length = 15, example = "192.0.2.254")]
    gateway: String,
}

/// A server that takes logs.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct Syslog {
    /// Its name or address.
    #[schema(max_length = 253, example = "log.example.net")]
    server: String,
    /// Its port.
    #[schema(minimum = 1, maximum = 65535, example = 514)]
    port: u16,
    /// What carries the log: `udp` or `tcp`.
    #[schema(max_length = 3, example = "tcp")]
    protocol: String,
}

/// A name or an address of a host.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 253, example = "ntp.example.net")]
pub(crate) struct HostName(#[expect(dead_code, reason = "a shape for the API's description")] String);
