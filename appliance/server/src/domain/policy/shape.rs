//! The parts of a policy, for the API's description: lb-model itself knows no framework.
#![expect(dead_code, reason = "shapes for the API's description")]

use utoipa::ToSchema;

use crate::domain::schema::Identifier;

/// A question about a request.
#[derive(ToSchema)]
pub(super) struct PolicyRule {
    /// What is looked at.
    kind: Subject,
    /// Which header, cookie or query parameter; null for the others.
    #[schema(min_length = 1, max_length = 256, example = "x-version")]
    key: Option<String>,
    /// How it is compared; without it `exact`, and `network` for `source`.
    compare: Option<Compare>,
    /// With what: one of them must fit.
    #[schema(value_type = Vec<RuleValue>, max_items = 256, default = json!([]))]
    values: Vec<String>,
    /// Whether it fits where none of them does.
    #[schema(default = false)]
    invert: bool,
}

/// What a rule compares with: a text, a regular expression, a network. Names are compared in lower case.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 1024, example = "/api")]
pub(super) struct RuleValue(String);

/// What a rule looks at: `host` is the name that the client asks for, without a port; `path` is compared as if what can be written in
/// several ways (`%61`, `//`, `/./`, `/../`) was written in one; of a `header` with several lines each counts; `query` is a parameter,
/// decoded; `source` is the client's address; `sni` the name that it asked for when it began TLS, `client_subject` whom the certificate is for that
/// it has shown, as `CN=ann, O=Shop`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "path")]
#[expect(clippy::enum_variant_names, reason = "a certificate calls whom it is for its subject")]
pub(super) enum Subject {
    Host,
    Path,
    Header,
    Cookie,
    Query,
    Method,
    Source,
    Sni,
    ClientSubject,
}

/// How a rule compares: `prefix` of a path means whole segments (`/api` fits `/api/v1` and not `/apix`); `regex` matches anywhere
/// unless `^` and `$` say otherwise, in linear time; `present` is for `header`, `cookie` and `query`, `network` for `source`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "prefix")]
pub(super) enum Compare {
    Exact,
    Prefix,
    Suffix,
    Contains,
    Regex,
    Present,
    Network,
}

/// How many requests there may be: a token bucket.
#[derive(ToSchema)]
pub(super) struct RateLimit {
    /// So many.
    #[schema(minimum = 1, maximum = 1_000_000, example = 100)]
    requests: u32,
    /// In so many seconds.
    #[schema(minimum = 1, maximum = 86400, default = 1, example = 60)]
    per_s: u32,
    /// How many at once, if nobody asked for a while; null: as many as `requests`.
    #[schema(minimum = 1, maximum = 1_000_000, example = 20)]
    burst: Option<u32>,
    /// Whose requests are counted together: all that fit (`service`), those of one client's address, or those with one value of a header
    /// field (those without it together).
    #[schema(default = "source")]
    key: LimitKey,
    /// For `header`: which.
    #[schema(min_length = 1, max_length = 256, example = "x-api-key")]
    header: Option<String>,
}

/// Which other pages may ask (CORS).
#[derive(ToSchema)]
pub(super) struct Cors {
    /// Those of these origins, as `https://www.example`; `*`: all.
    #[schema(value_type = Vec<Origin>, min_items = 1, max_items = 64)]
    origins: Vec<String>,
    /// By these methods.
    #[schema(value_type = Vec<MethodName>, min_items = 1, max_items = 64, default = json!(["GET", "HEAD", "POST"]), required = false)]
    methods: Vec<String>,
    /// With these header fields, beside those that every page may send.
    #[schema(value_type = Vec<FieldName>, max_items = 64, default = json!([]))]
    headers: Vec<String>,
    /// They may read these fields of answers, beside those that every page may read.
    #[schema(value_type = Vec<FieldName>, max_items = 64, default = json!([]))]
    exposed_headers: Vec<String>,
    /// They may come with cookies. Not where `origins` has `*`.
    #[schema(default = false)]
    credentials: bool,
    /// So long a browser need not ask again beforehand.
    #[schema(minimum = 0, maximum = 86400, default = 600)]
    max_age_s: u32,
}

/// Where a page comes from.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 253, example = "https://www.shop.example")]
pub(super) struct Origin(String);

/// A method.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 32, example = "GET")]
pub(super) struct MethodName(String);

/// The name of a header field.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 256, example = "x-shop")]
pub(super) struct FieldName(String);

/// A token that clients must show. Its algorithm is the key's, never the token's choice; `exp` must be there, and `nbf` counts if it is.
#[derive(ToSchema)]
pub(super) struct Jwt {
    /// The public keys of who signs the tokens: the JSON document that the issuer publishes (RFC 7517), as text.
    #[schema(max_length = 65536, example = "{\"keys\": []}")]
    jwks: String,
    /// Who must have issued it (`iss`); null: anybody with one of these keys.
    #[schema(min_length = 1, max_length = 1024, example = "https://login.example")]
    issuer: Option<String>,
    /// Whom it must be for (`aud`): one of these. Empty: anybody.
    #[schema(value_type = Vec<Audience>, max_items = 64, default = json!([]))]
    audiences: Vec<String>,
    /// How much clocks may differ.
    #[schema(minimum = 0, maximum = 600, default = 30)]
    leeway_s: u32,
    /// The header field that tells the member whose token it is (`sub`). What the client itself says there is taken off. Null: none.
    #[schema(min_length = 1, max_length = 256, example = "x-user")]
    subject_header: Option<String>,
}

/// Whom a token is for.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 1024, example = "shop")]
pub(super) struct Audience(String);

/// A pool that gets copies of requests. Its members are asked as those of any pool are, and nothing is asked of them twice. A body goes along up to
/// 128 KiB, once it has come whole; a request with a larger one, one for a WebSocket, or one that comes while each worker has 256 copies on
/// their way is not copied.
#[derive(ToSchema)]
pub(super) struct Mirror {
    /// The pool.
    pool_id: Identifier,
    /// Of a hundred requests it gets so many.
    #[schema(minimum = 1, maximum = 100, default = 100, example = 10)]
    percent: u32,
}

/// Whose requests are counted together.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "source")]
pub(super) enum LimitKey {
    Service,
    Source,
    Header,
}

/// A pool, and its share beside the others'.
#[derive(ToSchema)]
pub(super) struct WeightedPool {
    /// The pool.
    pool_id: Identifier,
    /// Its share of the requests.
    #[schema(minimum = 0, maximum = 256, default = 1, example = 9)]
    weight: u16,
}

/// What is changed about a request before a member sees it, and about the answer before the client does.
#[derive(ToSchema)]
pub(super) struct Rewrite {
    /// Another path.
    path: Option<PathRewrite>,
    /// Another name in `Host`.
    #[schema(min_length = 1, max_length = 253, example = "inner.example")]
    host: Option<String>,
    /// Changes of the request's header.
    #[schema(max_items = 32, default = json!([]))]
    request_headers: Vec<HeaderChange>,
    /// Changes of the answer's header, also of one that no member gave.
    #[schema(max_items = 32, default = json!([]))]
    response_headers: Vec<HeaderChange>,
}

/// How a path becomes another; one that does not fit stays as it is.
#[derive(ToSchema)]
pub(super) struct PathRewrite {
    /// `prefix` replaces whole segments at the beginning, `regex` what the pattern matches first.
    #[schema(default = "prefix")]
    compare: PathCompare,
    /// What is replaced.
    #[schema(min_length = 1, max_length = 1024, example = "/api")]
    from: String,
    /// By what; for `regex`, `$1` is the first group.
    #[schema(max_length = 1024, example = "/v2")]
    to: String,
}

/// How a path is compared that is rewritten.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "prefix")]
pub(super) enum PathCompare {
    Prefix,
    Regex,
}

/// A change of one header field.
#[derive(ToSchema)]
pub(super) struct HeaderChange {
    /// `set` gives it this value and no other, `add` one more, `remove` takes it off.
    change: HeaderVerb,
    /// The field. Not those by which the proxy frames and passes on messages.
    #[schema(min_length = 1, max_length = 256, example = "x-shop")]
    name: String,
    /// The value; null for `remove`.
    #[schema(max_length = 1024, example = "yes")]
    value: Option<String>,
}

/// What is done to a header field.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "set")]
pub(super) enum HeaderVerb {
    Set,
    Add,
    Remove,
}

/// Where a client is sent.
#[derive(ToSchema)]
pub(super) struct Redirect {
    /// `http` or `https`.
    scheme: Option<UriScheme>,
    /// A name or address.
    #[schema(min_length = 1, max_length = 253, example = "www.shop.example")]
    host: Option<String>,
    /// A port; with a scheme and without a port it is the scheme's own.
    #[schema(minimum = 1, maximum = 65535, example = 8443)]
    port: Option<u16>,
    /// A path.
    #[schema(min_length = 1, max_length = 1024, example = "/new")]
    path: Option<String>,
    /// Whether the query goes along.
    #[schema(default = true)]
    keep_query: bool,
    /// 301, 302, 303, 307 or 308.
    #[schema(minimum = 301, maximum = 308, default = 302, example = 308)]
    code: u16,
}

/// What stands before `://`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "https")]
pub(super) enum UriScheme {
    Http,
    Https,
}

/// An answer that stands here.
#[derive(ToSchema)]
pub(super) struct Respond {
    /// The status.
    #[schema(minimum = 200, maximum = 599, default = 200, example = 503)]
    code: u16,
    /// What the body is.
    #[schema(max_length = 1024, default = "text/plain", example = "text/html; charset=utf-8")]
    content_type: String,
    /// The body, at most 64 KiB.
    #[schema(max_length = 65536, default = "", example = "<h1>Back at noon</h1>")]
    body: String,
}

/// A refusal.
#[derive(ToSchema)]
pub(super) struct Reject {
    /// The status.
    #[schema(minimum = 400, maximum = 599, default = 403, example = 403)]
    code: u16,
}
