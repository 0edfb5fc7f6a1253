//! The request tester: what would become of a request that is described. The layer-7 plane answers, by the code that answers clients.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use axum::Json;
use axum::extract::State;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use lb_model::VirtualServiceId;
use lb_model::contract::{L7Answer, L7Request};
use lb_model::explain::{AskedPolicy, DescribedRequest, Explanation, OwnAnswer};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::body::JsonBody;
use super::describe::Description;
use super::error::Problem;
use super::status::unavailable;
use super::{Access, App, ROOT, Route};
use crate::domain::schema::Identifier;
use crate::domain::{Fault, Fields, Permission, fields};

/// The most fields of a header that can be described.
const HEADERS_MAX: usize = 128;

/// A request to be explained.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct RequestSettings {
    /// The service, of protocol `http` or `https`, that it comes to.
    virtual_service_id: Identifier,
    /// The method.
    #[schema(min_length = 1, max_length = 32, default = "GET", example = "GET", required = false)]
    method: String,
    /// What stands in `Host`.
    #[schema(min_length = 1, max_length = 255, example = "shop.example")]
    host: Option<String>,
    /// The path, and after `?` the query.
    #[schema(min_length = 1, max_length = 8192, default = "/", example = "/cart?item=7", required = false)]
    path: String,
    /// Other header fields.
    #[schema(max_items = 128, default = json!([]), required = false)]
    headers: Vec<HeaderField>,
    /// The client's IPv4 address.
    #[schema(value_type = String, format = Ipv4, max_length = 15, default = "192.0.2.1", example = "192.0.2.1", required = false)]
    source: Ipv4Addr,
    /// The name that it asks for when TLS begins.
    #[schema(min_length = 1, max_length = 253, example = "shop.example")]
    sni: Option<String>,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct HeaderField {
    /// Its name.
    #[schema(min_length = 1, max_length = 256, example = "x-version")]
    name: String,
    /// Its value.
    #[schema(max_length = 8192, example = "2")]
    value: String,
}

/// What would become of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationView {
    /// The number of the configuration that the plane works by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// The policies that were asked, in their order. The last one ended the search, or nobody was left.
    #[schema(max_items = 1000)]
    policies: Vec<AskedPolicyView>,
    /// The pool that serves it; null if none is asked.
    #[schema(value_type = Option<Identifier>, required)]
    pool_id: Option<String>,
    /// The member that it would be given to: by lot, by turn, or because its client keeps it.
    #[schema(value_type = Option<Identifier>, required)]
    member_id: Option<String>,
    /// The path and query that the member would see.
    #[schema(max_length = 16384, example = "/cart?item=7")]
    path: String,
    /// The header that the member would see.
    #[schema(max_items = 256)]
    headers: Vec<HeaderField>,
    /// The answer that the appliance gives itself; null if a member is asked.
    #[schema(required)]
    answer: Option<OwnAnswerView>,
}

/// A policy that was asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AskedPolicyView {
    /// The policy.
    #[schema(value_type = Identifier)]
    policy_id: String,
    /// Whether the request fits all its rules.
    fits: bool,
    /// The place of the first rule that it does not fit, from 0; null if it fits.
    #[schema(minimum = 0, maximum = 15, required)]
    misfit: Option<u32>,
}

/// An answer that no member gave.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnAnswerView {
    /// Its status.
    #[schema(minimum = 200, maximum = 599, example = 302)]
    status: u16,
    /// Its header.
    #[schema(max_items = 256)]
    headers: Vec<HeaderField>,
}

impl From<Explanation> for ExplanationView {
    fn from(of: Explanation) -> Self {
        let Explanation { generation, policies, pool, member, target, headers, own_answer } = of;
        Self {
            generation: generation.0,
            policies: policies.into_iter().map(AskedPolicyView::from).collect(),
            pool_id: pool.map(|id| id.to_string()),
            member_id: member.map(|id| id.to_string()),
            path: target,
            headers: shown(headers),
            answer: own_answer
                .map(|OwnAnswer { status, headers }| OwnAnswerView { status, headers: shown(headers) }),
        }
    }
}

impl From<AskedPolicy> for AskedPolicyView {
    fn from(AskedPolicy { policy, misfit }: AskedPolicy) -> Self {
        Self { policy_id: policy.to_string(), fits: misfit.is_none(), misfit }
    }
}

fn shown(headers: Vec<(String, String)>) -> Vec<HeaderField> {
    headers.into_iter().map(|(name, value)| HeaderField { name, value }).collect()
}

fn read(fields: &mut Fields<'_>) -> Option<(VirtualServiceId, DescribedRequest)> {
    let service = fields.required("virtual_service_id", fields::id);
    let method = fields.optional("method", "GET".to_owned(), |value| {
        written::<Method>(value, 1..=32, "want a method, as GET")
    });
    let host = fields.nullable("host", |value| written::<HeaderValue>(value, 1..=255, "want a host"));
    let target = fields.optional("path", "/".to_owned(), |value| {
        let text = written::<PathAndQuery>(value, 1..=8192, "want a path, as /shop/cart?item=7")?;
        if text.starts_with('/') { Ok(text) } else { Err(Fault::new("invalid", "a path begins with `/`")) }
    });
    let headers = fields.objects("headers", HEADERS_MAX, |fields| {
        let name =
            fields.required("name", |value| written::<HeaderName>(value, 1..=256, "want a field's name"));
        let value =
            fields.required("value", |value| written::<HeaderValue>(value, 0..=8192, "want a field's value"));
        Some((name?, value?))
    });
    let source = fields.optional("source", Ipv4Addr::new(192, 0, 2, 1), fields::host_address_v4);
    let sni = fields.nullable("sni", fields::text(1..=253));
    let request = DescribedRequest {
        method: method?,
        host: host?,
        target: target?,
        headers: headers?,
        source: IpAddr::V4(source?),
        sni: sni?,
    };
    Some((service?, request))
}

/// A text that can be read as this.
fn written<T: std::str::FromStr>(
    value: &Value,
    length: RangeInclusive<usize>,
    want: &str,
) -> Result<String, Fault> {
    let text = fields::text(length)(value)?;
    if text.parse::<T>().is_ok() { Ok(text) } else { Err(Fault::new("invalid", want)) }
}

async fn explain(
    State(app): State<App>,
    JsonBody(document): JsonBody,
) -> Result<Json<ExplanationView>, Problem> {
    let mut fields = Fields::new(&document);
    let read = read(&mut fields);
    let faults = fields.finish();
    let (Some((service, request)), true) = (read, faults.is_empty()) else {
        return Err(Problem::invalid(faults));
    };
    match app.l7.ask(L7Request::Explain { service, request }, None).await {
        Ok(L7Answer::Explained(explanation)) => Ok(Json((*explanation).into())),
        Ok(L7Answer::Refused { reason, .. }) => {
            Err(Problem::new(StatusCode::CONFLICT, "not_possible_now", reason))
        }
        Ok(_) => Err(unavailable("penstock-l7 answered another question")),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

pub(super) fn routes() -> Vec<Route> {
    let example = json!({
        "virtual_service_id": "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f", "host": "shop.example", "path": "/cart?item=7",
        "headers": [{ "name": "x-version", "value": "2" }],
    });
    let described = Description::new("explainRequest", "policies", "What would become of a request")
        .explain(
            "Which policies it fits, who would get it, and what that member would see of it. The layer-7 plane decides as it does for \
             clients, by the configuration that it works by now, and sends nothing; rate limits are not counted.",
        )
        .body(&["application/json"], "RequestSettings", example)
        .answer(StatusCode::OK, "What would become of it.", Some("ExplanationView"), &[])
        .fails(&[409, 503]);
    let read = Access::Permitted(Permission::BalancingRead);
    vec![Route::new(HttpMethod::Post, format!("{ROOT}/explain"), read, explain, described)]
}
