//! A policy: what is done with those requests to a virtual service that fit its rules.

mod admit;
mod basic;
mod read;
mod rewrite;
mod rule;
mod shape;

use lb_model::policy::{
    Cors, Jwt, LimitKey, Mirror, RateLimit, Redirect, Reject, Respond, Rewrite, Rule, Subject, WeightedPool,
};
use lb_model::{PolicyId, VirtualServiceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

pub(crate) use basic::{BasicAuth, Passwords};

use super::fields::{self, Fault, Fields};
use super::{Kind, Owner};
use crate::vault;

/// The most rules that one policy has.
const RULES_MAX: usize = 16;
/// The most pools that share what one policy sends to them.
const POOLS_MAX: usize = 16;

/// What is done with those requests to a virtual service that fit all its rules. The policies of a service are asked in the order of
/// their positions, of equal ones the older first; the first that fits and has `pools`, `redirect`, `respond` or `reject` is the last.
/// Where none is, the service's pool serves the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Policy {
    /// The service whose requests it decides about, of protocol `http` or `https`; of `tls`, and `tcp` with forwarding `proxy`, whose
    /// connections: by their `source`, and for `tls` their `sni`; they get `pools`, are rejected, or limited in number.
    #[schema(value_type = super::schema::Identifier)]
    pub(crate) virtual_service_id: VirtualServiceId,
    /// Its place among the service's policies: lower ones are asked first.
    #[schema(minimum = 0, maximum = 1_000_000, default = 100, example = 100)]
    pub(crate) position: u32,
    /// What a request must fit: all of them. Without any, every request fits.
    #[schema(value_type = Vec<shape::PolicyRule>, max_items = 16, default = json!([]))]
    pub(crate) rules: Vec<Rule>,
    /// What is changed about the request and its answer, also when the search goes on.
    #[schema(value_type = Option<shape::Rewrite>)]
    pub(crate) rewrite: Option<Rewrite>,
    /// How many such requests there may be; more are answered with 429 and `Retry-After`.
    #[schema(value_type = Option<shape::RateLimit>)]
    pub(crate) rate_limit: Option<RateLimit>,
    /// Pages of other origins that may ask (CORS): their browsers are told so, and answered by the appliance when they ask beforehand.
    #[schema(value_type = Option<shape::Cors>)]
    pub(crate) cors: Option<Cors>,
    /// A token (JWT) that clients must show in `Authorization: Bearer`; others are answered with 401.
    #[schema(value_type = Option<shape::Jwt>)]
    pub(crate) jwt: Option<Jwt>,
    /// A name and its password that clients must show; others are answered with 401. Not beside `jwt`.
    pub(crate) basic_auth: Option<BasicAuth>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) passwords: Passwords,
    /// A pool that gets a copy of the request, once a member of another has been chosen to serve it. What it answers is dropped, and nobody waits
    /// for it. Of several policies that fit, the first that says so counts.
    #[schema(value_type = Option<shape::Mirror>)]
    pub(crate) mirror: Option<Mirror>,
    /// The pools that serve the request, each as often as its weight says. One without a member that takes requests is passed over.
    #[schema(value_type = Vec<shape::WeightedPool>, max_items = 16, default = json!([]))]
    pub(crate) pools: Vec<WeightedPool>,
    /// Sends the client elsewhere. What is null stays as in the request, rewritten.
    #[schema(value_type = Option<shape::Redirect>)]
    pub(crate) redirect: Option<Redirect>,
    /// Answers without asking anybody: a maintenance page, a word for a robot.
    #[schema(value_type = Option<shape::Respond>)]
    pub(crate) respond: Option<Respond>,
    /// Refuses the request.
    #[schema(value_type = Option<shape::Reject>)]
    pub(crate) reject: Option<Reject>,
}

impl Kind for Policy {
    type Id = PolicyId;
    type Parent = ();

    const NOUN: &'static str = "policy";
    const OWNER: Owner = Owner::Project;
    const REFERENCES: &'static [(&'static str, &'static str)] = &[
        ("/virtual_service_id", "virtual_services"),
        ("/pools/*/pool_id", "pools"),
        ("/mirror/pool_id", "pools"),
    ];
    const WRITE_ONLY: &'static [&'static str] = &["passwords"];
    const EXAMPLE: &'static str = r#"{
        "name": "shop-api",
        "virtual_service_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f",
        "position": 100,
        "rules": [{ "kind": "path", "compare": "prefix", "values": ["/api"] }],
        "pools": [{ "pool_id": "01975c1e-9f00-7b11-8a70-1f2e3d4c5b6a", "weight": 1 }]
    }"#;

    fn write_only() -> Option<RefOr<Schema>> {
        Some(basic::Written::schema())
    }

    fn inherit(&mut self, before: &Self) {
        let users = self.basic_auth.as_ref().map_or(&[][..], |basic| &basic.users);
        self.passwords = self.passwords.beside(&before.passwords, users);
    }

    fn reveal(&self, _key: &vault::Key) -> Map<String, Value> {
        let text = self.passwords.reveal();
        text.map(|text| ("passwords".to_owned(), Value::String(text))).into_iter().collect()
    }

    fn new_id() -> PolicyId {
        PolicyId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let virtual_service_id = fields.required("virtual_service_id", fields::id);
        let position = fields.optional("position", 100, fields::number(0, 1_000_000));
        let rules = fields.objects("rules", RULES_MAX, rule::read);
        let rewrite = fields.nullable_object("rewrite", rewrite::read);
        let rate_limit = fields.nullable_object("rate_limit", read::rate_limit);
        let cors = fields.nullable_object("cors", admit::cors);
        let jwt = fields.nullable_object("jwt", admit::jwt);
        let basic_auth = fields.nullable_object("basic_auth", basic::read);
        let passwords = fields.nullable("passwords", basic::passwords);
        let mirror = fields.nullable_object("mirror", read::mirror);
        let pools = fields.objects("pools", POOLS_MAX, read::pool);
        let redirect = fields.nullable_object("redirect", read::redirect);
        let respond = fields.nullable_object("respond", read::respond);
        let reject = fields.nullable_object("reject", read::reject);
        let policy = Self {
            virtual_service_id: virtual_service_id?,
            position: position?,
            rules: rules?,
            rewrite: rewrite?,
            rate_limit: rate_limit?,
            cors: cors?,
            jwt: jwt?,
            basic_auth: basic_auth?,
            passwords: passwords?.unwrap_or_default(),
            mirror: mirror?,
            pools: pools?,
            redirect: redirect?,
            respond: respond?,
            reject: reject?,
        };
        policy.is_one_thing(fields).then_some(policy)
    }
}

impl Policy {
    /// What of it is about requests: where there are none, as connections are passed on as they are, only clients and names are known.
    pub(crate) fn of_requests(&self) -> Option<(String, &'static str)> {
        let of_streams = |kind| matches!(kind, Subject::Source | Subject::Sni | Subject::ClientSubject);
        if let Some(index) = self.rules.iter().position(|rule| !of_streams(rule.kind)) {
            return Some((format!("/rules/{index}/kind"), "want `source`, `sni` or `client_subject`"));
        }
        let by_header = self.rate_limit.as_ref().is_some_and(|limit| limit.key == LimitKey::Header);
        let parts = [
            ("/rewrite", self.rewrite.is_some()),
            ("/cors", self.cors.is_some()),
            ("/jwt", self.jwt.is_some()),
            ("/basic_auth", self.basic_auth.is_some()),
            ("/mirror", self.mirror.is_some()),
            ("/redirect", self.redirect.is_some()),
            ("/respond", self.respond.is_some()),
            ("/rate_limit/key", by_header),
        ];
        let part = parts.iter().find(|(_, given)| *given);
        part.map(|(pointer, _)| ((*pointer).to_owned(), "it has no requests"))
    }

    /// Whether it does something beside ending the search.
    fn has_more(&self) -> bool {
        let Self { rewrite, rate_limit, cors, jwt, basic_auth, mirror, .. } = self;
        let shown = jwt.is_some() || basic_auth.is_some();
        rewrite.is_some() || rate_limit.is_some() || cors.is_some() || shown || mirror.is_some()
    }

    /// Whether it does something, and does not end the search in two ways.
    fn is_one_thing(&self, fields: &mut Fields<'_>) -> bool {
        let ends = [
            ("pools", !self.pools.is_empty()),
            ("redirect", self.redirect.is_some()),
            ("respond", self.respond.is_some()),
            ("reject", self.reject.is_some()),
        ];
        let mut given = ends.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
        match (given.next(), given.next()) {
            (None, _) if !self.has_more() => {
                let detail = "nothing to do: want pools, redirect, respond, reject, rewrite, rate_limit, cors, jwt, \
                    basic_auth or mirror";
                fields.fault("pools", Fault::new("required", detail));
                false
            }
            (Some(one), Some(other)) => {
                fields.fault(other, Fault::new("invalid", format!("not beside `{one}`")));
                false
            }
            _ if self.jwt.is_some() && self.basic_auth.is_some() => {
                fields.fault(
                    "basic_auth",
                    Fault::new("invalid", "not beside `jwt`: there is one `Authorization`"),
                );
                false
            }
            _ if !self.pools.is_empty() && self.pools.iter().all(|pool| pool.weight.get() == 0) => {
                fields.fault("pools", Fault::new("invalid", "want a pool whose weight is not 0"));
                false
            }
            _ => true,
        }
    }
}
