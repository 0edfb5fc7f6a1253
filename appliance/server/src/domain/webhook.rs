//! A webhook: somebody who is told of events by HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::fields::{self, Fault, Fields};
use super::{Kind, Timestamp, certificate};
use crate::vault::{self, Sealed};

/// The most kinds of events that one can choose.
const EVENTS_MAX: usize = 32;
/// What a secret begins with (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";

/// Somebody who is told of events: each is posted as JSON, signed as Standard Webhooks says, and tried again until it is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Webhook {
    /// Where events are posted: `https` or `http`, without name and password. Neither the appliance itself nor an address of its link.
    #[schema(min_length = 1, max_length = 2048, example = "https://hooks.example.net/penstock")]
    pub(crate) url: String,
    /// Kinds of events, as `member.down`, or all below a word, as `member.*`; without any, all.
    #[schema(max_items = 32, value_type = Vec<EventPattern>, default = json!([]), example = json!(["member.*"]))]
    pub(crate) events: Vec<String>,
    /// The one authority to trust for its certificate, as PEM; null: those of the system.
    #[schema(min_length = 1, max_length = 65536)]
    pub(crate) ca: Option<String>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) secret: Option<Sealed>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) delivery: Delivery,
}

/// A kind of events, or several.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^[a-z_]+(\.[a-z_]+)*(\.\*)?$", example = "member.*")]
pub(crate) struct EventPattern(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// What is written and never shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
struct Written {
    /// What messages are signed with (HMAC-SHA256): `whsec_` and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them. One
    /// that is not given stays as it is.
    #[schema(
        write_only,
        min_length = 38,
        max_length = 96,
        example = "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs"
    )]
    secret: Option<String>,
}

/// How far telling it has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) done_with: Option<i64>,
    pub(crate) failures: u32,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) last_attempt_at: Option<Timestamp>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
    pub(crate) given_up: u32,
}

impl Webhook {
    /// Whether it wants to be told of events of this kind.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == pattern,
        };
        self.events.is_empty() || self.events.iter().any(fits)
    }

    /// The bytes that messages are signed with; none if the key file is another.
    pub(crate) fn signing_key(&self) -> Option<Vec<u8>> {
        secret_bytes(&String::from_utf8(vault::open_password(self.secret.as_ref()?)?).ok()?)
    }
}

fn secret_bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()
}

fn secret(value: &Value) -> Result<Sealed, Fault> {
    let text = fields::text(38..=96)(value)?;
    let fits = secret_bytes(&text).is_some_and(|bytes| (24..=64).contains(&bytes.len()));
    if !fits {
        return Err(Fault::new("invalid", "want `whsec_` and 24 to 64 bytes in base64"));
    }
    vault::seal_password(text.as_bytes()).map_err(|error| Fault::new("unavailable", error.to_string()))
}

fn url(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=2048)(value)?;
    let fits = |url: &Url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        plain && matches!(url.scheme(), "https" | "http") && url.has_host()
    };
    match Url::parse(&text) {
        Ok(url) if fits(&url) => Ok(text),
        _ => Err(Fault::new(
            "invalid",
            "want an address as https://hooks.example.net/penstock, without name and password",
        )),
    }
}

fn pattern(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=64)(value)?;
    let words = text.strip_suffix(".*").unwrap_or(&text);
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if words.split('.').all(is_word) {
        return Ok(text);
    }
    Err(Fault::new("invalid", "want a kind of events, as `member.down`, or `member.*`"))
}

impl Kind for Webhook {
    type Id = Uuid;
    type Parent = ();

    const NOUN: &'static str = "webhook";
    const WRITE_ONLY: &'static [&'static str] = &["secret"];
    const EXAMPLE: &'static str = r#"{
        "name": "on-call",
        "url": "https://hooks.example.net/penstock",
        "events": ["member.*", "process.lost"],
        "secret": "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs"
    }"#;

    fn write_only() -> Option<RefOr<Schema>> {
        Some(Written::schema())
    }

    fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let url = fields.required("url", url);
        let events = fields.optional_list("events", EVENTS_MAX, pattern);
        let ca = fields.nullable("ca", certificate::chain);
        let secret = fields.nullable("secret", secret);
        Some(Self { url: url?, events: events?, ca: ca?, secret: secret?, delivery: Delivery::default() })
    }

    fn reveal(&self, key: &vault::Key) -> Map<String, Value> {
        let opened = self.secret.as_ref().and_then(|sealed| vault::open_password_with(key, sealed));
        let text = opened.and_then(|opened| String::from_utf8(opened).ok());
        text.map(|text| ("secret".to_owned(), Value::String(text))).into_iter().collect()
    }

    fn inherit(&mut self, before: &Self) {
        self.secret = self.secret.take().or_else(|| before.secret.clone());
        self.delivery = before.delivery.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_of_what_it_wants() {
        let webhook = |events: &[&str]| Webhook {
            url: String::new(),
            events: events.iter().map(|&event| event.to_owned()).collect(),
            ca: None,
            secret: None,
            delivery: Delivery::default(),
        };
        assert!(webhook(&[]).wants("member.down"));
        assert!(webhook(&["pool.x", "member.*"]).wants("member.down"));
        assert!(!webhook(&["member.*"]).wants("members.down"));
        assert!(!webhook(&["member.down"]).wants("member.downed"));
    }
}
