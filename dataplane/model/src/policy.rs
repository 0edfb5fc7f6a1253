//! What decides about a request at layer 7: policies, in their order, each with rules that it must fit and what is
//! done with it then. They stand here as the operator wrote them, in the database and in the snapshot alike; the plane
//! makes of them what it can decide by quickly.

use serde::{Deserialize, Serialize};

use crate::snapshot::Weight;
use crate::{L4Port, PolicyId, PoolId};

/// How large the program of a pattern may become, in bytes. Patterns match in linear time; this bounds the factor.
pub const PATTERN_SIZE: usize = 256 << 10;

/// What is done with requests that fit all rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Policy {
    /// The policy.
    pub id: PolicyId,
    /// All of them must fit; without any, every request does.
    pub rules: Vec<Rule>,
    /// What is changed about the request and its answer.
    pub rewrite: Option<Rewrite>,
    /// How many such requests there may be.
    pub rate_limit: Option<RateLimit>,
    /// Which other pages may ask.
    #[serde(default)]
    pub cors: Option<Cors>,
    /// What clients must show.
    #[serde(default)]
    pub jwt: Option<Jwt>,
    /// Names and passwords of which clients must show one.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Who else gets a copy of it.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// Who may serve it instead of the service's pool. Of these four at most one is there, and with it the search ends;
    /// without one it goes on with the next policy.
    pub pools: Vec<WeightedPool>,
    /// The client is sent elsewhere.
    pub redirect: Option<Redirect>,
    /// The client is answered without asking anybody.
    pub respond: Option<Respond>,
    /// The client is refused.
    pub reject: Option<Reject>,
}

/// A question about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What is looked at.
    pub kind: Subject,
    /// Which header, cookie or query parameter.
    pub key: Option<String>,
    /// How it is compared.
    pub compare: Compare,
    /// With what: one of them must fit.
    pub values: Vec<String>,
    /// Whether it fits where none of them does.
    pub invert: bool,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The name in the `Host` field, without a port, in lower case.
    Host,
    /// The path, with what can be written in several ways written in one.
    Path,
    /// A header field; of several lines each counts.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query, decoded.
    Query,
    /// The method.
    Method,
    /// The client's address.
    Source,
    /// The name that the client asked for when it began TLS.
    Sni,
    /// Whom the certificate is for that the client has shown.
    ClientSubject,
}

/// How a rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// It is the value.
    Exact,
    /// It begins with the value; of a path, with whole segments.
    Prefix,
    /// It ends with the value.
    Suffix,
    /// The value stands somewhere in it.
    Contains,
    /// The value is a pattern that matches somewhere in it.
    Regex,
    /// It is there, whatever it is.
    Present,
    /// The value is a network that it belongs to.
    Network,
}

/// How many requests there may be; more are answered with 429.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// So many.
    pub requests: u32,
    /// In so many seconds.
    pub per_s: u32,
    /// How many at once, if nobody asked for a while; without it, `requests`.
    pub burst: Option<u32>,
    /// Whose requests are counted together.
    pub key: LimitKey,
    /// For `header`: which.
    pub header: Option<String>,
}

/// Which other pages may ask, and what their browsers are told (CORS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Those of these origins, as `https://www.example`; `*`: all.
    pub origins: Vec<String>,
    /// By these methods.
    pub methods: Vec<String>,
    /// With these header fields.
    pub headers: Vec<String>,
    /// They may read these fields of answers.
    pub exposed_headers: Vec<String>,
    /// They may come with cookies.
    pub credentials: bool,
    /// So long they need not ask again.
    pub max_age_s: u32,
}

/// A token that clients must show (RFC 7519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The keys of who signs them: the document that the issuer publishes (RFC 7517).
    pub jwks: String,
    /// Who must have issued it.
    pub issuer: Option<String>,
    /// Whom it must be for: one of these.
    pub audiences: Vec<String>,
    /// How much clocks may differ.
    pub leeway_s: u32,
    /// The field that tells the member whose it is.
    pub subject_header: Option<String>,
}

/// Names and passwords that clients must show (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// What clients are asked for a password of.
    pub realm: String,
    /// Who is let in.
    pub users: Vec<BasicUser>,
    /// The field that tells the member who it is.
    pub user_header: Option<String>,
}

/// Somebody with a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicUser {
    /// What they are called.
    pub name: String,
    /// The password's hash (Argon2id, a PHC string).
    pub hash: String,
}

impl std::fmt::Debug for BasicUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A pool that gets copies of requests, and whose answers nobody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The pool.
    pub pool_id: PoolId,
    /// Of a hundred requests it gets so many.
    pub percent: u32,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKey {
    /// All that fit the policy.
    Service,
    /// Those of one client's address.
    Source,
    /// Those with one value of a header field.
    Header,
}

/// A pool, and its share beside the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedPool {
    /// The pool.
    pub pool_id: PoolId,
    /// Its share.
    pub weight: Weight,
}

/// What is changed about a request before a member sees it, and about the answer before the client does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Another path.
    pub path: Option<PathRewrite>,
    /// Another `Host`.
    pub host: Option<String>,
    /// Changes of the request's header.
    pub request_headers: Vec<HeaderChange>,
    /// Changes of the answer's header, also of one that no member gave.
    pub response_headers: Vec<HeaderChange>,
}

/// How a path becomes another; one that does not fit stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRewrite {
    /// `prefix` or `regex`.
    pub compare: Compare,
    /// What is replaced.
    pub from: String,
    /// By what; of a pattern, `$1` is its first group.
    pub to: String,
}

/// A change of one header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderChange {
    /// What is done.
    pub change: HeaderVerb,
    /// The field's name, in lower case.
    pub name: String,
    /// The value, unless it is removed.
    pub value: Option<String>,
}

/// What is done to a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderVerb {
    /// It has this value and no other.
    Set,
    /// It has this value beside others.
    Add,
    /// It is not there.
    Remove,
}

/// Where a client is sent. What is not given stays as the request, rewritten, has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<UriScheme>,
    /// A name or address.
    pub host: Option<String>,
    /// A port; without one, the scheme's own where the scheme is given.
    pub port: Option<L4Port>,
    /// A path.
    pub path: Option<String>,
    /// Whether the query goes along.
    pub keep_query: bool,
    /// 301, 302, 303, 307 or 308.
    pub code: u16,
}

/// What stands before `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UriScheme {
    /// Without TLS.
    Http,
    /// With it.
    Https,
}

impl UriScheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An answer that stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The status.
    pub code: u16,
    /// What the body is.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// The status.
    pub code: u16,
}

impl L7Policy {
    /// The pools that it names.
    pub fn pools(&self) -> impl Iterator<Item = PoolId> {
        let mirror = self.mirror.map(|mirror| mirror.pool_id);
        self.pools.iter().map(|pool| pool.pool_id).chain(mirror)
    }
}
