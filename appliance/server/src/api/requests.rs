//! The last requests of services at layer 7: who asked, who answered, how long it took, why it ended. The plane alone keeps
//! them; here they are asked for.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use lb_model::contract::{L7Answer, L7Request};
use lb_model::l7::Ending;
use lb_model::record::{RequestCursor, RequestFilter, RequestRecord, RequestTimes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::connections::{End, network};
use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::list::{self, Fault, LIMIT_DEFAULT, LIMIT_MAX, limit, link_with};
use super::status::unavailable;
use super::{Access, App, ROOT, Route};
use crate::domain::schema::Identifier;
use crate::domain::{FieldError, Permission, Timestamp};

/// A part of the last requests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestList {
    /// The one that ended last is the first.
    #[schema(max_items = 500)]
    items: Vec<RequestView>,
    /// The address of the next part; null at the end.
    #[schema(max_length = 8192, required)]
    next: Option<String>,
}

/// A request that has ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
struct RequestView {
    /// When its head was there.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    began_at: Timestamp,
    /// The virtual service that it came to.
    #[schema(value_type = Identifier)]
    virtual_service_id: String,
    /// Who asked.
    client: End,
    /// The version of HTTP.
    #[schema(max_length = 16, example = "HTTP/1.1")]
    version: String,
    /// The method; null where the head could not be read, as are `host` and `path`.
    #[schema(max_length = 1024, required, example = "GET")]
    method: Option<String>,
    /// What stood in `Host`, or its beginning.
    #[schema(max_length = 256, required, example = "shop.example")]
    host: Option<String>,
    /// The path, or its beginning. The query is not kept: there may be secrets in it.
    #[schema(max_length = 512, required, example = "/cart")]
    path: Option<String>,
    /// The last policy that it fits; null if there is none.
    #[schema(value_type = Option<Identifier>, required)]
    policy_id: Option<String>,
    /// The pool that was to serve it; null if none was asked.
    #[schema(value_type = Option<Identifier>, required)]
    pool_id: Option<String>,
    /// The member that was asked last; null likewise.
    #[schema(value_type = Option<Identifier>, required)]
    member_id: Option<String>,
    /// How often a member was asked: more than once where the first did not answer.
    #[schema(minimum = 0, example = 1)]
    tries: u32,
    times: RequestTimesView,
    /// The status of the answer; null where none was begun.
    #[schema(minimum = 100, maximum = 999, required, example = 200)]
    status: Option<u16>,
    /// Bytes from the client; over HTTP/2 those of the body.
    #[schema(minimum = 0, example = 120)]
    bytes_in: u64,
    /// Bytes to the client; likewise.
    #[schema(minimum = 0, example = 2048)]
    bytes_out: u64,
    /// Why it did not end well, by the words of `endings` in the statistics; null where it did.
    #[schema(max_length = 64, required, example = "member_timeout")]
    ending: Option<String>,
    /// What that means, and in brackets what the failure itself says.
    #[schema(max_length = 4096, required)]
    reason: Option<String>,
}

/// How long the parts of a request took, in microseconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestTimes)]
#[expect(clippy::struct_field_names, reason = "a number says what it counts")]
struct RequestTimesView {
    /// From the first byte of its head to the last; null where that cannot be seen, as over HTTP/2.
    #[schema(minimum = 0, required, example = 0)]
    head_us: Option<u64>,
    /// Waiting in the pool's `queue` until a member had room.
    #[schema(minimum = 0, example = 0)]
    queue_us: u64,
    /// Making connections to members, with TLS; 0 where one was waiting.
    #[schema(minimum = 0, example = 300)]
    connect_us: u64,
    /// From the end of its head to the end of the member's answer's; null where no member answered.
    #[schema(minimum = 0, required, example = 1200)]
    answer_us: Option<u64>,
    /// From the end of its head to the end of the answer.
    #[schema(minimum = 0, example = 1500)]
    total_us: u64,
}

impl From<RequestRecord> for RequestView {
    fn from(of: RequestRecord) -> Self {
        let RequestRecord { service, began_us, client, version, method, host, path, policy, .. } = of;
        let RequestRecord { pool, member, tries, times, status, bytes_in, bytes_out, ending, reason, .. } =
            of;
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let RequestTimes { head_us, queue_us, connect_us, answer_us, total_us } = times;
        Self {
            began_at: Timestamp::at_micros(began_us),
            virtual_service_id: service.to_string(),
            client: client.into(),
            version,
            method,
            host,
            path,
            policy_id: policy.map(|id| id.to_string()),
            pool_id: pool.map(|id| id.to_string()),
            member_id: member.map(|id| id.to_string()),
            tries,
            times: RequestTimesView { head_us, queue_us, connect_us, answer_us, total_us },
            status,
            bytes_in,
            bytes_out,
            ending,
            reason,
        }
    }
}

/// Which part of the list is wanted.
struct Query {
    limit: u32,
    before: Option<RequestCursor>,
    filter: RequestFilter,
}

fn parse(uri: &Uri) -> Result<Query, Vec<FieldError>> {
    let all = Query { limit: LIMIT_DEFAULT, before: None, filter: RequestFilter::default() };
    list::read(uri, all, take)
}

fn take(Query { limit: most, before, filter }: &mut Query, name: &str, value: &str) -> Result<(), Fault> {
    let not_a = |what: &str| ("invalid", format!("want {what}"));
    match name {
        "limit" => *most = limit(value)?,
        "cursor" => *before = Some(cursor(value).ok_or_else(|| not_a("what stood in `next`"))?),
        "virtual_service_id" => filter.service = Some(value.parse().map_err(|_| not_a("a UUID"))?),
        "pool_id" => filter.pool = Some(value.parse().map_err(|_| not_a("a UUID"))?),
        "member_id" => filter.member = Some(value.parse().map_err(|_| not_a("a UUID"))?),
        "client" => {
            filter.client = Some(network(value).ok_or_else(|| not_a("an address, or a network"))?);
        }
        "status" => {
            let wanted = statuses(value).ok_or_else(|| not_a("a status as 502, or a class as 5xx"))?;
            filter.status = Some(wanted);
        }
        "ending" => {
            let known = Ending::ALL.iter().find(|ending| ending.as_str() == value);
            let known = known.ok_or_else(|| not_a("one of the words of `endings` in the statistics"))?;
            filter.ending = Some(known.as_str().to_owned());
        }
        _ => {
            let known = "limit, cursor, virtual_service_id, pool_id, member_id, client, status or ending";
            return Err(("unknown_parameter", format!("want {known}")));
        }
    }
    Ok(())
}

/// The first and the last of those that are wanted.
fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok().filter(|class| (1..=9).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let status = text.parse().ok().filter(|status| (100..=999).contains(status))?;
    Some((status, status))
}

fn cursor(text: &str) -> Option<RequestCursor> {
    let (ended, worker) = text.split_once('.')?;
    Some(RequestCursor { ended_ns: ended.parse().ok()?, worker: worker.parse().ok()? })
}

async fn list(State(app): State<App>, uri: Uri) -> Result<Json<RequestList>, Problem> {
    let Query { limit, before, filter } = parse(&uri).map_err(Problem::invalid)?;
    match app.l7.ask(L7Request::Requests { filter, before, limit }, None).await {
        Ok(L7Answer::Requests { requests, next }) => {
            let link = |RequestCursor { ended_ns, worker }| link_with(&uri, &format!("{ended_ns}.{worker}"));
            let items = requests.into_iter().map(RequestView::from).collect();
            Ok(Json(RequestList { items, next: next.map(link) }))
        }
        Ok(_) => Err(unavailable("penstock-l7 answered another question")),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

pub(super) fn route() -> Route {
    let count = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(LIMIT_DEFAULT.into()));
    let query = |name: &str, text: &str| parameter(name, ParameterIn::Query, string(64), text);
    let known = |name: &str, text: &str| {
        parameter(name, ParameterIn::Query, Ref::from_schema_name("Identifier"), text)
    };
    let endings = Ending::ALL.iter().map(|ending| ending.as_str());
    let endings = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(endings));
    let described = Description::new("listRequests", "connections", "List the last requests")
        .explain(
            "Those of services of protocol `http` and `https` that have ended, the newest first, as the layer-7 plane keeps them in memory: each of \
             its workers the last of each service, at most 256 that ended well, and beside them 256 that did not or were answered with 5xx; with \
             many services fewer, but 8 at least. A restart of the plane forgets them.",
        )
        .parameter(parameter("limit", ParameterIn::Query, count.build(), "How many items to return at most."))
        .parameter(query("cursor", "Where the page begins: taken from `next` of the page before."))
        .parameter(known("virtual_service_id", "Those to this virtual service."))
        .parameter(known("pool_id", "Those for this pool."))
        .parameter(known("member_id", "Those that this member was asked last."))
        .parameter(query("client", "Those of this client: its address, or a network."))
        .parameter(query("status", "Those answered with this status, as `502`, or this class, as `5xx`."))
        .parameter(parameter("ending", ParameterIn::Query, endings.build(), "Those that ended so."))
        .answer(StatusCode::OK, "A page of the list.", Some("RequestList"), &[])
        .fails(&[422, 503]);
    let read = Access::Permitted(Permission::BalancingRead);
    Route::new(HttpMethod::Get, format!("{ROOT}/requests"), read, list, described)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Query, Vec<FieldError>> {
        parse(&format!("/api/v1/requests?{query}").parse().unwrap())
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let query = parsed("limit=3&client=192.0.2.7&status=5xx&ending=member_cut&cursor=77.1").ok().unwrap();
        assert_eq!((query.limit, query.before), (3, Some(RequestCursor { ended_ns: 77, worker: 1 })));
        let RequestFilter { client, status, ending, .. } = query.filter;
        assert_eq!(client, "192.0.2.7/32".parse().ok());
        assert_eq!((status, ending.as_deref()), (Some((500, 599)), Some("member_cut")));
        assert_eq!(parsed("status=404").ok().unwrap().filter.status, Some((404, 404)));
        let wrong = "limit=0&cursor=x&virtual_service_id=1&pool_id=1&member_id=1&client=1.2.3&status=99&ending=bad&sort=id";
        let faults: Vec<_> = parsed(wrong).err().unwrap().into_iter().map(|fault| fault.pointer).collect();
        let named = [
            "limit",
            "cursor",
            "virtual_service_id",
            "pool_id",
            "member_id",
            "client",
            "status",
            "ending",
            "sort",
        ];
        assert_eq!(faults, named.map(|name| format!("?{name}")));
        assert!(["0xx", "xx", "10xx", "1000", "5x"].iter().all(|text| statuses(text).is_none()));
    }
}
