//! Who may ask: other pages, and those who show a token.

use http::{Method, Uri};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use lb_model::policy::{Cors, Jwt};
use serde_json::Value;

use super::fields::{self, Fault, Fields};
use super::rule::header_name;

/// The most origins, methods, fields, audiences.
const LIST_MAX: usize = 64;
const JWKS_MAX: usize = 64 << 10;

pub(super) fn cors(fields: &mut Fields<'_>) -> Option<Cors> {
    let origins = fields.list("origins", 1..=LIST_MAX, origin);
    let methods = if fields.has("methods") {
        fields.list("methods", 1..=LIST_MAX, method)
    } else {
        let usual = ["GET", "HEAD", "POST"].map(str::to_owned).to_vec();
        fields.optional("methods", usual, |_| Ok(Vec::new()))
    };
    let name = |value: &Value| header_name(&fields::text(1..=256)(value)?);
    let headers = fields.optional_list("headers", LIST_MAX, name);
    let exposed_headers = fields.optional_list("exposed_headers", LIST_MAX, name);
    let credentials = fields.optional("credentials", false, fields::boolean);
    let max_age_s = fields.optional("max_age_s", 600, fields::number(0, 86_400));
    let any = origins.as_ref().is_some_and(|origins| origins.iter().any(|origin| origin == "*"));
    if any && credentials == Some(true) {
        // A browser refuses it too (the Fetch standard, 3.2.5).
        fields.fault("credentials", Fault::new("invalid", "not for all origins: name those that may"));
        return None;
    }
    Some(Cors {
        origins: origins?,
        methods: methods?,
        headers: headers?,
        exposed_headers: exposed_headers?,
        credentials: credentials?,
        max_age_s: max_age_s?,
    })
}

/// As a browser writes it: `https://www.example`, with a port where it is not the usual one.
fn origin(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=253)(value)?.to_ascii_lowercase();
    let whole = text.parse::<Uri>().ok().filter(|uri| {
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        let plain = scheme.zip(authority).map(|(scheme, authority)| format!("{scheme}://{authority}"));
        plain.as_ref() == Some(&text) && !text.contains('@')
    });
    if text == "*" || whole.is_some() {
        Ok(text)
    } else {
        Err(Fault::new("invalid", "want an origin, as https://www.example, or `*`"))
    }
}

fn method(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=32)(value)?;
    let method = Method::from_bytes(text.as_bytes());
    method.map(|_| text).map_err(|_| Fault::new("invalid", "want a method, as GET"))
}

pub(super) fn jwt(fields: &mut Fields<'_>) -> Option<Jwt> {
    let jwks = fields.required("jwks", jwks);
    let issuer = fields.nullable("issuer", fields::text(1..=1024));
    let audiences = fields.optional_list("audiences", LIST_MAX, fields::text(1..=1024));
    let leeway_s = fields.optional("leeway_s", 30, fields::number(0, 600));
    let subject_header =
        fields.nullable("subject_header", |value| header_name(&fields::text(1..=256)(value)?));
    Some(Jwt {
        jwks: jwks?,
        issuer: issuer?,
        audiences: audiences?,
        leeway_s: leeway_s?,
        subject_header: subject_header?,
    })
}

/// A document of keys, of which one at least can be used. Nobody's secret stands in it: what signs and what checks would be the same.
fn jwks(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if text.len() > JWKS_MAX {
        return Err(Fault::new("out_of_range", format!("want {JWKS_MAX} bytes at most")));
    }
    let set: JwkSet = serde_json::from_str(text)
        .map_err(|_| Fault::new("invalid", "want a JSON document of keys, as {\"keys\": […]} (RFC 7517)"))?;
    let shared = |of: &AlgorithmParameters| matches!(of, AlgorithmParameters::OctetKey(_));
    if set.keys.iter().any(|key| shared(&key.algorithm)) {
        return Err(Fault::new("invalid", "a key is a shared secret: want public ones (RSA, EC, OKP)"));
    }
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let private =
        document["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key.get("d").is_some()));
    if private {
        return Err(Fault::new("invalid", "a key is a private one: want what the issuer publishes"));
    }
    if set.keys.iter().any(|key| DecodingKey::from_jwk(key).is_ok()) {
        Ok(text.to_owned())
    } else {
        Err(Fault::new("invalid", "there is no key by which tokens could be checked (RSA, EC, Ed25519)"))
    }
}
