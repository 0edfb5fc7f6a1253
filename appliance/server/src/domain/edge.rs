//! What a service that is proxied asks of its clients, and does for them: limits, TLS certificates, smaller answers.

use std::num::NonZeroU32;

use lb_model::l7::{ClientAuth, Coding, Hsts, L7Compression, L7Limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateRevocationListDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use utoipa::ToSchema;

use super::certificate;
use super::fields::{self, Fault, Fields};

/// What browsers and programs read, and what is not small already.
const TYPES: &[&str] = &[
    "text/html",
    "text/css",
    "text/plain",
    "text/xml",
    "text/javascript",
    "application/javascript",
    "application/json",
    "application/xml",
    "application/wasm",
    "image/svg+xml",
];
const CODINGS: &[(&str, Coding)] = &[("br", Coding::Brotli), ("zstd", Coding::Zstd), ("gzip", Coding::Gzip)];
const TYPES_MAX: usize = 64;
const CRL_MAX: usize = 128 << 10;

/// How much a client of a service that is proxied may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceLimits)]
pub(crate) struct Limits {
    /// Bytes of a request's head, its line and all fields; more is answered with 431.
    #[schema(minimum = 1024, maximum = 262_144, default = 32768)]
    pub(crate) head_bytes: u32,
    /// Bytes of a request's path and query; more is answered with 414.
    #[schema(minimum = 64, maximum = 16384, default = 16384)]
    pub(crate) target_bytes: u32,
    /// Bytes of a request's body; more is answered with 413. Null: any number.
    #[schema(minimum = 0, maximum = 4_294_967_295_u64, example = 1_048_576)]
    pub(crate) body_bytes: Option<u32>,
    /// Connections of one client at a time: of one IPv4 address, or one IPv6 network of 64 bits. More are closed at once. Null: any number.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000, example = 100)]
    pub(crate) connections_per_source: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        let L7Limits { head_bytes, target_bytes, body_bytes, connections: _, connections_per_source } =
            L7Limits::default();
        Self { head_bytes, target_bytes, body_bytes, connections_per_source }
    }
}

impl Limits {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let Self { head_bytes, target_bytes, .. } = Self::default();
        let head_bytes = fields.optional("head_bytes", head_bytes, fields::number(1024, 256 << 10));
        let target_bytes = fields.optional("target_bytes", target_bytes, fields::number(64, 16 << 10));
        let body_bytes = fields.nullable("body_bytes", fields::number(0, u32::MAX));
        let connections_per_source = fields.nullable("connections_per_source", fields::limit(1_000_000));
        Some(Self {
            head_bytes: head_bytes?,
            target_bytes: target_bytes?,
            body_bytes: body_bytes?,
            connections_per_source: connections_per_source?,
        })
    }

    /// What the plane works by, with the service's own `connection_limit`.
    pub(crate) fn with(self, connections: Option<NonZeroU32>) -> L7Limits {
        let Self { head_bytes, target_bytes, body_bytes, connections_per_source } = self;
        L7Limits { head_bytes, target_bytes, body_bytes, connections, connections_per_source }
    }
}

pub(super) fn compression(fields: &mut Fields<'_>) -> Option<L7Compression> {
    let codings = if fields.has("codings") {
        fields.list("codings", 1..=CODINGS.len(), fields::word(CODINGS))
    } else {
        fields.optional("codings", CODINGS.iter().map(|(_, coding)| *coding).collect(), |_| Ok(Vec::new()))
    };
    let types = if fields.has("types") {
        fields.list("types", 1..=TYPES_MAX, media_type)
    } else {
        fields.optional("types", TYPES.iter().map(|of| (*of).to_owned()).collect(), |_| Ok(Vec::new()))
    };
    let min_bytes = fields.optional("min_bytes", 1024, fields::number(0, 1 << 20));
    Some(L7Compression { codings: codings?, types: types?, min_bytes: min_bytes? })
}

/// As `text/html`, or `text/*`.
fn media_type(value: &Value) -> Result<String, Fault> {
    let text = fields::text(3..=127)(value)?;
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match text.split_once('/') {
        Some((kind, of)) if token(kind) && (of == "*" || token(of)) => Ok(text),
        _ => Err(Fault::new("invalid", "want a media type, as text/html or text/*")),
    }
}

pub(super) fn hsts(fields: &mut Fields<'_>) -> Option<Hsts> {
    let max_age_s = fields.optional("max_age_s", 31_536_000, fields::number(0, 63_072_000));
    let include_subdomains = fields.optional("include_subdomains", false, fields::boolean);
    let preload = fields.optional("preload", false, fields::boolean);
    Some(Hsts { max_age_s: max_age_s?, include_subdomains: include_subdomains?, preload: preload? })
}

pub(super) fn client_auth(fields: &mut Fields<'_>) -> Option<ClientAuth> {
    let optional = fields.optional("optional", false, fields::boolean);
    let ca = fields.required("ca", certificate::chain);
    let crl = fields.nullable("crl", crl);
    Some(ClientAuth { optional: optional?, ca: ca?, crl: crl? })
}

/// Lists of certificates that do not count any more, as PEM.
fn crl(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if text.len() > CRL_MAX {
        return Err(Fault::new("out_of_range", format!("want {CRL_MAX} bytes at most")));
    }
    let invalid = || Fault::new("invalid", "want lists of revoked certificates, as PEM");
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| invalid())?;
    let read = |list: &CertificateRevocationListDer<'_>| {
        x509_parser::parse_x509_crl(list).is_ok_and(|(rest, _)| rest.is_empty())
    };
    if lists.is_empty() || !lists.iter().all(read) { Err(invalid()) } else { Ok(text.to_owned()) }
}

/// Their shapes, for the API's description: lb-model itself knows no framework.
pub(super) mod shape {
    #![expect(dead_code, reason = "shapes for the API's description")]

    use utoipa::ToSchema;

    /// Answers that are made smaller for clients that understand it.
    #[derive(ToSchema)]
    pub(crate) struct Compression {
        /// By what, the best first: a client that likes several as well gets the first of these.
        #[schema(min_items = 1, max_items = 3, default = json!(["br", "zstd", "gzip"]), required = false)]
        codings: Vec<Coding>,
        /// Of which types, as `text/html` or `text/*`; without it those of pages, programs and data.
        #[schema(value_type = Vec<MediaType>, min_items = 1, max_items = 64, required = false)]
        types: Vec<String>,
        /// Only those of so many bytes at least, where their length is known before.
        #[schema(minimum = 0, maximum = 1_048_576, default = 1024)]
        min_bytes: u32,
    }

    /// What an answer is.
    #[derive(ToSchema)]
    #[schema(value_type = String, min_length = 3, max_length = 127, example = "text/html")]
    pub(crate) struct MediaType(String);

    /// A way to make an answer smaller.
    #[derive(ToSchema)]
    #[schema(example = "br")]
    pub(crate) enum Coding {
        #[schema(rename = "br")]
        Brotli,
        #[schema(rename = "zstd")]
        Zstd,
        #[schema(rename = "gzip")]
        Gzip,
    }

    /// Tells browsers with every answer to speak nothing but TLS with this name (RFC 6797).
    #[derive(ToSchema)]
    pub(crate) struct Hsts {
        /// For so many seconds.
        #[schema(minimum = 0, maximum = 63_072_000, default = 31_536_000)]
        max_age_s: u32,
        /// With all names below it too.
        #[schema(default = false)]
        include_subdomains: bool,
        /// Browsers may know of it beforehand.
        #[schema(default = false)]
        preload: bool,
    }

    /// Clients show a certificate. Members are told of it: the certificate in `Client-Cert` (RFC 9440), its subject in `X-Client-Subject`.
    #[derive(ToSchema)]
    pub(crate) struct ClientAuth {
        /// Whether a client without one is served too.
        #[schema(default = false)]
        optional: bool,
        /// The certificates of those who vouch for clients, as PEM.
        #[schema(max_length = 65536, example = "-----BEGIN CERTIFICATE-----\n…")]
        ca: String,
        /// Lists of certificates that do not count any more, as PEM.
        #[schema(max_length = 131_072, example = "-----BEGIN X509 CRL-----\n…")]
        crl: Option<String>,
    }
}
