//! A monitor: how members are watched. One can serve many pools, and a pool can have several.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use lb_model::snapshot::L4Protocol;
use lb_model::{L4Port, MonitorId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{self, Fault, Fields};
use super::{Kind, Owner, certificate};
use crate::vault::{self, Sealed};

/// A monitor: a check that is repeated, and how its results are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Monitor {
    /// Kind and settings.
    #[serde(flatten)]
    pub(crate) check: Check,
    pub(crate) interval_ms: u32,
    pub(crate) down_interval_ms: Option<u32>,
    pub(crate) timeout_ms: u32,
    pub(crate) rise: u32,
    pub(crate) fall: u32,
    pub(crate) jitter_percent: u32,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<L4Port>,
    pub(crate) via_forwarding: bool,
    /// What a database or Redis is shown; sealed, never shown again.
    #[serde(skip)]
    pub(crate) password: Option<Sealed>,
}

/// What is done to find out whether a member is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "settings", rename_all = "snake_case")]
pub(crate) enum Check {
    Icmp(IcmpSettings),
    Tcp(TcpSettings),
    Udp(UdpSettings),
    Tls(TlsSettings),
    Http(HttpSettings),
    Https(HttpsSettings),
    Grpc(GrpcSettings),
    Postgres(DatabaseSettings),
    Mysql(DatabaseSettings),
    Redis(RoleSettings),
    Agent(AgentSettings),
}

/// How a monitor is written and shown.
#[derive(ToSchema)]
#[schema(as = Monitor)]
#[expect(dead_code, reason = "a shape for the API's description")]
struct MonitorShape {
    /// What is done: `icmp` pings; `tcp` connects, and can send something and expect an answer; `udp` sends something and
    /// wants an answer; `tls` shakes hands and looks at the certificate; `http` and `https` ask for a page; `grpc` asks the
    /// standard health service; `postgres`, `mysql` and `redis` ask for the role in the replication; `agent` lets the member
    /// say itself how it is (the agent protocol of `HAProxy`): one line of words, `up` or `down`, `drain` or `ready`, and a share
    /// of its weight as `75%`; what follows a `#` is the reason.
    kind: CheckKind,
    /// What this kind needs beside: `TcpSettings` for `tcp`, and so on; `DatabaseSettings` for `postgres` and `mysql`,
    /// `RoleSettings` for `redis`; nothing for `icmp`.
    #[schema(default = json!({}))]
    settings: SettingsShape,
    /// Milliseconds from one check to the next of a member.
    #[schema(minimum = 100, maximum = 3_600_000, default = 5000, example = 5000)]
    interval_ms: u32,
    /// The same for a member that is down; null: as for others.
    #[schema(minimum = 100, maximum = 3_600_000)]
    down_interval_ms: Option<u32>,
    /// Milliseconds that a check may take, not more than `interval_ms`; 2000 or, if that is less, the interval.
    #[schema(minimum = 10, maximum = 3_600_000, example = 2000)]
    timeout_ms: Option<u32>,
    /// So many checks in a row must pass before a member that is down is up. More if it went down often lately.
    #[schema(minimum = 1, maximum = 100, default = 2)]
    rise: u32,
    /// So many checks in a row must fail before a member that is up is down.
    #[schema(minimum = 1, maximum = 100, default = 3)]
    fall: u32,
    /// So much less than the interval a pause is at most, another part of it each time, so that checks do not fall into step.
    #[schema(minimum = 0, maximum = 50, default = 10)]
    jitter_percent: u32,
    /// The password for `postgres` (SCRAM-SHA-256 or in clear), `mysql` (native or cached SHA-256) and `redis`: written and never
    /// shown. One that is not given stays as it is; an empty one takes it away.
    #[schema(write_only, max_length = 256)]
    password: Option<String>,
    /// Another address to check in the place of the member's.
    #[schema(value_type = Option<String>, format = "ip", max_length = 45)]
    address: Option<IpAddr>,
    /// Another port to check in the place of the member's.
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 65535)]
    port: Option<L4Port>,
    /// Whether the check travels as clients' packets do, by way of each layer-4 service that the member serves (NAT, full NAT,
    /// direct return, tunnel) and in its mode: a member can be well and be out of reach that way. Only for pools of layer-4
    /// services; not with `address`, `port` or `icmp`.
    #[schema(default = false)]
    via_forwarding: bool,
}

impl PartialSchema for Monitor {
    fn schema() -> RefOr<Schema> {
        MonitorShape::schema()
    }
}

impl ToSchema for Monitor {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        MonitorShape::schemas(schemas);
    }
}

/// What a monitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case", example = "http")]
pub(crate) enum CheckKind {
    Icmp,
    Tcp,
    Udp,
    Tls,
    Http,
    Https,
    Grpc,
    Postgres,
    Mysql,
    Redis,
    Agent,
}

const KINDS: &[(&str, CheckKind)] = &[
    ("icmp", CheckKind::Icmp),
    ("tcp", CheckKind::Tcp),
    ("udp", CheckKind::Udp),
    ("tls", CheckKind::Tls),
    ("http", CheckKind::Http),
    ("https", CheckKind::Https),
    ("grpc", CheckKind::Grpc),
    ("postgres", CheckKind::Postgres),
    ("mysql", CheckKind::Mysql),
    ("redis", CheckKind::Redis),
    ("agent", CheckKind::Agent),
];

/// The settings of one kind or another.
struct SettingsShape;

/// A schema with its name.
fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

fn settings_schemas() -> [(String, RefOr<Schema>); 10] {
    [
        named::<IcmpSettings>(),
        named::<TcpSettings>(),
        named::<UdpSettings>(),
        named::<TlsSettings>(),
        named::<HttpSettings>(),
        named::<HttpsSettings>(),
        named::<GrpcSettings>(),
        named::<DatabaseSettings>(),
        named::<RoleSettings>(),
        named::<AgentSettings>(),
    ]
}

impl PartialSchema for SettingsShape {
    fn schema() -> RefOr<Schema> {
        let any = settings_schemas()
            .into_iter()
            .fold(AnyOfBuilder::new(), |any, (name, _)| any.item(Ref::from_schema_name(name)));
        any.description(Some("What a kind of monitor needs.")).into()
    }
}

impl ToSchema for SettingsShape {
    fn name() -> std::borrow::Cow<'static, str> {
        "MonitorSettings".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(settings_schemas());
        HttpSettings::schemas(schemas);
        RoleSettings::schemas(schemas);
    }
}

impl Kind for Monitor {
    type Id = MonitorId;
    type Parent = ();

    const NOUN: &'static str = "monitor";
    const OWNER: Owner = Owner::Project;
    const WRITE_ONLY: &'static [&'static str] = &["password"];
    const EXAMPLE: &'static str = r#"{
        "name": "shop-alive",
        "kind": "http",
        "settings": { "path": "/health", "codes": ["200-299"] },
        "interval_ms": 5000,
        "timeout_ms": 2000
    }"#;

    fn new_id() -> MonitorId {
        MonitorId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let check = Check::read(fields);
        let interval = fields.optional("interval_ms", 5000, fields::number(100, 3_600_000));
        // With a wrong interval, nothing can be said about what depends on it.
        let (least, most) = (interval.unwrap_or(100), interval.unwrap_or(3_600_000));
        let down_interval = fields.nullable("down_interval_ms", fields::number(100, 3_600_000));
        let timeout = fields.optional("timeout_ms", most.min(2000), |value| {
            let timeout = fields::number(10, 3_600_000)(value)?;
            if timeout <= most { Ok(timeout) } else { Err(longer_than_interval(least)) }
        });
        let rise = fields.optional("rise", 2, fields::number(1, 100));
        let fall = fields.optional("fall", 3, fields::number(1, 100));
        let jitter = fields.optional("jitter_percent", 10, fields::number(0, 50));
        let address = fields.nullable("address", fields::host_address);
        let port = fields.nullable("port", fields::port);
        let via_forwarding = fields.optional("via_forwarding", false, fields::boolean);
        if via_forwarding == Some(true) {
            if matches!(check, Some(Check::Icmp(_))) {
                let detail = "no service forwards pings: want another kind, or a direct check";
                fields.fault("via_forwarding", Fault::new("invalid", detail));
            }
            let elsewhere =
                [("address", matches!(address, Some(Some(_)))), ("port", matches!(port, Some(Some(_))))];
            for (key, _) in elsewhere.into_iter().filter(|(_, is_given)| *is_given) {
                let detail = "a check by way of forwarding goes where clients' packets go: want none";
                fields.fault(key, Fault::new("invalid", detail));
            }
        }
        let password = fields.nullable("password", password);
        let shows_it = check.as_ref().is_none_or(Check::shows_password);
        if !shows_it && matches!(password, Some(Some(_))) {
            fields.fault("password", Fault::new("invalid", "this kind of monitor shows nobody a password"));
        }
        Some(Self {
            check: check?,
            interval_ms: interval?,
            down_interval_ms: down_interval?,
            timeout_ms: timeout?,
            rise: rise?,
            fall: fall?,
            jitter_percent: jitter?,
            address: address?,
            port: port?,
            via_forwarding: via_forwarding?,
            password: password?,
        })
    }

    fn reveal(&self, key: &vault::Key) -> Map<String, Value> {
        // No password is said too: a monitor that has got one since loses it.
        let opened = match &self.password {
            None => self.check.shows_password().then(Vec::new),
            Some(sealed) => vault::open_password_with(key, sealed),
        };
        let text = opened.and_then(|opened| String::from_utf8(opened).ok());
        text.map(|text| ("password".to_owned(), Value::String(text))).into_iter().collect()
    }

    fn inherit(&mut self, before: &Self) {
        let kept = || before.password.clone().filter(|_| self.check.shows_password());
        self.password = self.password.take().or_else(kept).filter(|password| !password.is_none());
    }
}

/// A password, sealed; an empty one is the sign that there is to be none.
fn password(value: &Value) -> Result<Sealed, Fault> {
    let text = fields::text(0..=256)(value)?;
    if text.is_empty() {
        return Ok(Sealed::none());
    }
    vault::seal_password(text.as_bytes()).map_err(|error| Fault::new("unavailable", error.to_string()))
}

fn longer_than_interval(interval: u32) -> Fault {
    Fault::new("out_of_range", format!("a check may not take longer than the interval of {interval} ms"))
}

impl Check {
    /// Whether who is checked may want a password.
    fn shows_password(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::Mysql(_) | Self::Redis(_))
    }

    /// What it speaks; nothing for a ping.
    pub(crate) fn protocol(&self) -> Option<L4Protocol> {
        match self {
            Self::Icmp(_) => None,
            Self::Udp(_) => Some(L4Protocol::Udp),
            _ => Some(L4Protocol::Tcp),
        }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let Some(kind) = fields.required("kind", fields::word(KINDS)) else {
            // Of an unknown kind nothing more can be said.
            fields.optional("settings", (), |_| Ok(()));
            return None;
        };
        match kind {
            CheckKind::Icmp => fields.object("settings", |_| Some(Self::Icmp(IcmpSettings {}))),
            CheckKind::Tcp => fields.object("settings", TcpSettings::read).map(Self::Tcp),
            CheckKind::Udp => fields.object("settings", UdpSettings::read).map(Self::Udp),
            CheckKind::Tls => fields.object("settings", TlsSettings::read).map(Self::Tls),
            CheckKind::Http => fields.object("settings", HttpSettings::read).map(Self::Http),
            CheckKind::Https => fields.object("settings", HttpsSettings::read).map(Self::Https),
            CheckKind::Grpc => fields.object("settings", GrpcSettings::read).map(Self::Grpc),
            CheckKind::Postgres => fields.object("settings", DatabaseSettings::read).map(Self::Postgres),
            CheckKind::Mysql => fields.object("settings", DatabaseSettings::read).map(Self::Mysql),
            CheckKind::Redis => fields.object("settings", RoleSettings::read).map(Self::Redis),
            CheckKind::Agent => fields.object("settings", AgentSettings::read).map(Self::Agent),
        }
    }
}

/// What is sent to a member that accepts a TCP connection, and what it must answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TcpSettings {
    /// A text to send once connected; `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes.
    #[schema(value_type = Option<String>, max_length = 1024, example = "PING\\r\\n")]
    pub(crate) send: Option<Bytes>,
    /// A text that the first 16 KiB of the answer must contain, written as `send`; null: connecting is enough.
    #[schema(value_type = Option<String>, max_length = 1024, example = "PONG")]
    pub(crate) expect: Option<Bytes>,
}

impl TcpSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let send = fields.nullable("send", bytes);
        let expect = fields.nullable("expect", bytes);
        Some(Self { send: send?, expect: expect? })
    }
}

/// A ping needs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IcmpSettings {}

/// What is sent to a member over UDP, and what it must answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct UdpSettings {
    /// The datagram; `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes.
    #[schema(value_type = String, min_length = 1, max_length = 1024, example = "ping")]
    pub(crate) send: Bytes,
    /// A text that the answer must contain, written as `send`; null: any answer is well.
    #[schema(value_type = Option<String>, max_length = 1024, example = "pong")]
    pub(crate) expect: Option<Bytes>,
}

impl UdpSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let send = fields.required("send", bytes);
        let expect = fields.nullable("expect", bytes);
        Some(Self { send: send?, expect: expect? })
    }
}

/// What is sent to a member's agent before it says how the member is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AgentSettings {
    /// A text to send once connected, written as for `tcp`; null: nothing.
    #[schema(value_type = Option<String>, max_length = 1024, example = "web-1\\n")]
    pub(crate) send: Option<Bytes>,
}

impl AgentSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let send = fields.nullable("send", bytes);
        Some(Self { send: send? })
    }
}

/// What a member's certificate must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TlsSettings {
    /// The name that is asked for and that must be in the certificate; null: none is asked for.
    #[schema(max_length = 253, example = "shop.example")]
    pub(crate) server_name: Option<String>,
    /// With fewer days until the certificate ends, the member is shown as degraded; it serves until then. One that has ended
    /// fails the check.
    #[schema(minimum = 0, maximum = 3650, default = 14, example = 14)]
    pub(crate) days_left: u32,
    /// Certificates (PEM) of which one must have issued the member's, at once or by way of others; null: anybody may have.
    #[schema(max_length = 65536)]
    #[serde(default)]
    pub(crate) ca: Option<String>,
}

impl TlsSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let server_name = fields.nullable("server_name", server_name);
        let days_left = fields.optional("days_left", 14, fields::number(0, 3650));
        let ca = fields.nullable("ca", certificate::chain);
        Some(Self { server_name: server_name?, days_left: days_left?, ca: ca? })
    }
}

/// How a page is asked for inside of TLS, and what must come back. The certificate is a `tls` monitor's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HttpsSettings {
    pub(crate) server_name: Option<String>,
    #[serde(flatten)]
    pub(crate) http: HttpSettings,
}

impl PartialSchema for HttpsSettings {
    fn schema() -> RefOr<Schema> {
        let mut schema = HttpSettings::schema();
        if let (RefOr::T(Schema::Object(object)), RefOr::T(Schema::Object(tls))) =
            (&mut schema, TlsSettings::schema())
        {
            object.properties.extend(tls.properties.into_iter().filter(|(name, _)| name == "server_name"));
        }
        schema
    }
}

impl ToSchema for HttpsSettings {}

impl HttpsSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let server_name = fields.nullable("server_name", server_name);
        let http = HttpSettings::read(fields);
        Some(Self { server_name: server_name?, http: http? })
    }
}

/// Which service is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GrpcSettings {
    /// Its name in the health service; empty: the server as a whole.
    #[schema(max_length = 120, default = "", example = "shop.Cart")]
    pub(crate) service: String,
}

impl GrpcSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let service = fields.optional("service", String::new(), grpc_service);
        Some(Self { service: service? })
    }
}

/// Which role in a replication is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Both.
    Any,
    /// The one that takes writes.
    Primary,
    /// One that follows it.
    Replica,
}

const ROLES: &[(&str, Role)] = &[("any", Role::Any), ("primary", Role::Primary), ("replica", Role::Replica)];

/// Which role a member must have: the pool follows the roles by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RoleSettings {
    /// The role.
    #[schema(value_type = ReplicationRole, default = "any")]
    pub(crate) role: Role,
    /// So many seconds a replica may be behind; null: any number.
    #[schema(minimum = 0, maximum = 86_400)]
    pub(crate) lag_max_s: Option<u32>,
}

/// A role in a replication.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "primary")]
#[expect(dead_code, reason = "a shape for the API's description")]
enum ReplicationRole {
    Any,
    Primary,
    Replica,
}

impl RoleSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let role = fields.optional("role", Role::Any, fields::word(ROLES));
        let lag_max_s = fields.nullable("lag_max_s", fields::number(0, 86_400));
        Some(Self { role: role?, lag_max_s: lag_max_s? })
    }
}

/// Who asks a database, and which role it must have. Without a `password` of the monitor the database must let this user in
/// without one from the appliance's address; it needs no rights. Checks do not speak TLS with databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DatabaseSettings {
    /// The user.
    #[schema(min_length = 1, max_length = 63, default = "penstock", example = "penstock")]
    pub(crate) user: String,
    /// The database, for PostgreSQL; null: `postgres`.
    #[schema(min_length = 1, max_length = 63)]
    pub(crate) database: Option<String>,
    /// The role.
    #[schema(value_type = ReplicationRole, default = "any")]
    pub(crate) role: Role,
    /// So many seconds a replica may be behind (PostgreSQL); null: any number.
    #[schema(minimum = 0, maximum = 86_400)]
    pub(crate) lag_max_s: Option<u32>,
}

impl DatabaseSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let user = fields.optional("user", "penstock".to_owned(), fields::text(1..=63));
        let database = fields.nullable("database", fields::text(1..=63));
        let role = RoleSettings::read(fields);
        let RoleSettings { role, lag_max_s } = role?;
        Some(Self { user: user?, database: database?, role, lag_max_s })
    }
}

fn server_name(value: &Value) -> Result<String, Fault> {
    let name = fields::text(1..=253)(value)?;
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
    };
    if name.split('.').all(label) {
        Ok(name)
    } else {
        Err(Fault::new("invalid", "this is not the name of a host"))
    }
}

fn grpc_service(value: &Value) -> Result<String, Fault> {
    let text = fields::text(0..=120)(value)?;
    if text.is_ascii() { Ok(text) } else { Err(Fault::new("invalid", "want plain ASCII")) }
}

/// How a page is asked for, and what must come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct HttpSettings {
    /// The version of HTTP. 2 without TLS is spoken at once, as gRPC does; inside of TLS it must be agreed on.
    #[schema(default = "1.1")]
    #[serde(default)]
    pub(crate) version: HttpVersion,
    /// `GET`, `HEAD` or `OPTIONS`.
    #[schema(max_length = 16, default = "GET", example = "GET")]
    pub(crate) method: String,
    /// The path, with its query.
    #[schema(min_length = 1, max_length = 2048, default = "/", example = "/health")]
    pub(crate) path: String,
    /// What is sent as `Host`; null: the member's address.
    #[schema(max_length = 255, example = "shop.example")]
    pub(crate) host: Option<String>,
    /// More headers, each as `Name: value`.
    #[schema(value_type = Vec<HeaderLine>, max_items = 16, default = json!([]), example = json!(["X-Probe: penstock"]))]
    pub(crate) headers: Vec<Header>,
    /// The codes that are well, one by one or as ranges.
    #[schema(value_type = Vec<CodeRange>, min_items = 1, max_items = 16, default = json!(["200-399"]), example = json!(["200", "301-302"]))]
    pub(crate) codes: Vec<Codes>,
    /// A regular expression that the first 64 KiB of the body must match.
    #[schema(value_type = Option<String>, max_length = 1024, example = "\"status\": *\"ok\"")]
    pub(crate) body: Option<Pattern>,
}

/// A header: `Name: value`.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 3, max_length = 1024, example = "X-Probe: penstock")]
struct HeaderLine(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// A code or a range of codes.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 3, max_length = 7, example = "200-399")]
struct CodeRange(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum HttpVersion {
    /// RFC 9112.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// RFC 9113.
    #[serde(rename = "2")]
    Http2,
}

const VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];

const METHODS: &[(&str, &str)] = &[("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS")];

impl HttpSettings {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let version = fields.optional("version", HttpVersion::Http1, fields::word(VERSIONS));
        let method = fields.optional("method", "GET", fields::word(METHODS));
        let path = fields.optional("path", "/".to_owned(), path);
        let host = fields.nullable("host", host);
        let headers =
            fields.optional_list("headers", 16, parsed::<Header>("a header, as \"X-Probe: penstock\""));
        let all = || Some(vec![Codes { first: 200, last: 399 }]);
        let code = parsed::<Codes>("a code or a range, as \"200-399\"");
        let codes = if fields.has("codes") { fields.list("codes", 1..=16, code) } else { all() };
        let body = fields.nullable("body", pattern);
        Some(Self {
            version: version?,
            method: method?.to_owned(),
            path: path?,
            host: host?,
            headers: headers?,
            codes: codes?,
            body: body?,
        })
    }
}

fn path(value: &Value) -> Result<String, Fault> {
    let path = fields::text(1..=2048)(value)?;
    let visible = path.chars().all(|character| character.is_ascii_graphic());
    if path.starts_with('/') && visible {
        return Ok(path);
    }
    Err(Fault::new("invalid", "want a path that begins with `/`, without blanks"))
}

fn host(value: &Value) -> Result<String, Fault> {
    let host = fields::text(1..=255)(value)?;
    let fits = |character: char| character.is_ascii_alphanumeric() || "-._:[]".contains(character);
    if host.chars().all(fits) {
        Ok(host)
    } else {
        Err(Fault::new("invalid", "this is not the name of a host"))
    }
}

/// A text that means something else.
fn parsed<T: FromStr<Err: fmt::Display>>(want: &'static str) -> impl Fn(&Value) -> Result<T, Fault> {
    move |value| {
        let text = fields::text(1..=1024)(value)?;
        text.parse().map_err(|error| Fault::new("invalid", format!("{error}: want {want}")))
    }
}

fn bytes(value: &Value) -> Result<Bytes, Fault> {
    parsed("a text with \\r, \\n, \\t, \\\\ and \\xHH")(value)
}

fn pattern(value: &Value) -> Result<Pattern, Fault> {
    parsed("a regular expression")(value)
}

/// Bytes as they are written in JSON: text with escapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Bytes {
    written: String,
    meant: Vec<u8>,
}

impl Bytes {
    /// What they are.
    pub(crate) fn meant(&self) -> &[u8] {
        &self.meant
    }

    /// How they were written.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let mut meant = Vec::with_capacity(written.len());
        let mut rest = written;
        while let Some((before, after)) = rest.split_once('\\') {
            meant.extend_from_slice(before.as_bytes());
            let (byte, taken) = escaped(after).ok_or("a backslash that means nothing")?;
            meant.push(byte);
            rest = &after[taken..];
        }
        meant.extend_from_slice(rest.as_bytes());
        Ok(Self { written: written.to_owned(), meant })
    }
}

/// What follows a backslash: the byte, and how long its name is.
fn escaped(after: &str) -> Option<(u8, usize)> {
    match after.chars().next()? {
        'r' => Some((b'\r', 1)),
        'n' => Some((b'\n', 1)),
        't' => Some((b'\t', 1)),
        '\\' => Some((b'\\', 1)),
        'x' => Some((u8::from_str_radix(after.get(1..3)?, 16).ok()?, 3)),
        _ => None,
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        written.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.written
    }
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, &'static str> {
        let (name, value) = line.split_once(':').ok_or("there is no colon")?;
        let token = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if name.is_empty() || !name.chars().all(token) {
            return Err("the name has other characters than letters, digits and `-`");
        }
        if !value.chars().all(|character| character.is_ascii_graphic() || character == ' ') {
            return Err("the value is not plain ASCII");
        }
        Ok(Self { name: name.to_owned(), value: value.trim().to_owned() })
    }
}

impl TryFrom<String> for Header {
    type Error = &'static str;

    fn try_from(line: String) -> Result<Self, &'static str> {
        line.parse()
    }
}

impl From<Header> for String {
    fn from(Header { name, value }: Header) -> Self {
        format!("{name}: {value}")
    }
}

/// Status codes from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Codes {
    first: u16,
    last: u16,
}

impl Codes {
    /// Whether this code is one of them.
    pub(crate) fn contain(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { first.fmt(f) } else { write!(f, "{first}\u{2013}{last}") }
    }
}

impl FromStr for Codes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            (Some(_), Some(_)) => Err("the range ends before it begins"),
            _ => Err("codes are numbers from 100 to 599"),
        }
    }
}

impl TryFrom<String> for Codes {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Codes> for String {
    fn from(Codes { first, last }: Codes) -> Self {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }
}

/// How large a compiled expression may become: one that explodes is refused when it is written.
const PATTERN_BYTES: usize = 1 << 20;

/// A regular expression. Matching takes time linear in what is matched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Whether it is found in `text`.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// How it was written.
    pub(crate) fn written(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let built = regex::bytes::RegexBuilder::new(text).size_limit(PATTERN_BYTES).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "this expression becomes too large".to_owned(),
            // The last line says what is wrong; those before draw where.
            other => {
                other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.written().to_owned()
    }
}
