//! Connections of the layer-4 plane: listed, and ended. The plane alone knows them; here they are asked for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lb_model::contract::{L4Answer, L4Request};
use lb_model::flow::{FlowCursor, FlowFilter, FlowKey, FlowState, SeenFlow};
use lb_model::snapshot::L4Protocol;
use lb_model::{MemberId, PoolId, Prefix};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::list::{self, Fault, LIMIT_DEFAULT, LIMIT_MAX, limit, link_with};
use super::status::unavailable;
use super::{Access, App, ROOT, Route};
use crate::domain::schema::{Address, Identifier};
use crate::domain::{Author, FieldError, Permission};
use crate::store::Outcome;

const TAG: &str = "connections";
const PROTOCOLS: &[(&str, L4Protocol)] = &[("tcp", L4Protocol::Tcp), ("udp", L4Protocol::Udp)];
const STATES: &[(&str, FlowState)] = &[
    ("opening", FlowState::Opening),
    ("established", FlowState::Established),
    ("closing", FlowState::Closing),
    ("reset", FlowState::Reset),
];

/// A connection of the layer-4 plane.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Connection {
    /// What it is known by, as long as it lasts.
    #[schema(max_length = 256, example = "dGNwLDE5Mi4wLjIuNzo0MDAwMCwxOTIuMC4yLjEwOjgw")]
    id: String,
    /// The transport protocol.
    protocol: Transport,
    /// Who asked for it.
    client: End,
    /// The virtual IP and port that it came to.
    virtual_ip: End,
    /// What the member sees as the other end: the client, or with full NAT a local address.
    local: End,
    /// The member's end.
    member: End,
    /// The virtual service; null if it or the member is gone, and the connection about to be forgotten.
    #[schema(value_type = Option<Identifier>, required)]
    virtual_service_id: Option<String>,
    /// The member's pool; null likewise.
    #[schema(value_type = Option<Identifier>, required)]
    pool_id: Option<String>,
    /// The member; null likewise.
    #[schema(value_type = Option<Identifier>, required)]
    member_id: Option<String>,
    /// How far it is.
    state: ConnectionState,
    /// For how many milliseconds nothing was heard.
    #[schema(minimum = 0, example = 1300)]
    idle_ms: u64,
    /// After how many milliseconds of silence it is forgotten.
    #[schema(minimum = 0, example = 300_000)]
    timeout_ms: u64,
    /// The worker that has it, counted from 0.
    #[schema(minimum = 0, maximum = 65535, example = 0)]
    worker: u16,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct End {
    /// The address.
    #[schema(value_type = Address)]
    address: IpAddr,
    /// The port.
    #[schema(minimum = 0, maximum = 65535, example = 443)]
    port: u16,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "tcp")]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// How far a connection is: `opening` until the handshake is done, or of UDP until a second datagram comes; `established`; `closing` once both ends
/// have no more to send; `reset` once one end has reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "established")]
pub(super) enum ConnectionState {
    Opening,
    Established,
    Closing,
    Reset,
}

/// A part of the connections.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConnectionList {
    /// In no order that means anything.
    #[schema(max_items = 500)]
    items: Vec<Connection>,
    /// The address of the next part; null at the end.
    #[schema(max_length = 8192, required)]
    next: Option<String>,
}

impl From<SocketAddr> for End {
    fn from(end: SocketAddr) -> Self {
        Self { address: end.ip(), port: end.port() }
    }
}

impl From<L4Protocol> for Transport {
    fn from(protocol: L4Protocol) -> Self {
        match protocol {
            L4Protocol::Tcp => Self::Tcp,
            L4Protocol::Udp => Self::Udp,
        }
    }
}

impl From<FlowState> for ConnectionState {
    fn from(state: FlowState) -> Self {
        match state {
            FlowState::Opening => Self::Opening,
            FlowState::Established => Self::Established,
            FlowState::Closing => Self::Closing,
            FlowState::Reset => Self::Reset,
        }
    }
}

impl Connection {
    pub(super) fn new(flow: &SeenFlow, pools: &HashMap<MemberId, PoolId>) -> Self {
        let SeenFlow { key, local, member_end, service, member, state, idle_ms, timeout_ms, worker } = *flow;
        let FlowKey { protocol, client, offered } = key;
        Self {
            id: id(&key),
            protocol: protocol.into(),
            client: client.into(),
            virtual_ip: offered.into(),
            local: local.into(),
            member: member_end.into(),
            virtual_service_id: service.map(|id| id.to_string()),
            pool_id: member.and_then(|member| pools.get(&member)).map(ToString::to_string),
            member_id: member.map(|id| id.to_string()),
            state: state.into(),
            idle_ms,
            timeout_ms,
            worker,
        }
    }
}

/// A connection in an address.
fn id(FlowKey { protocol, client, offered }: &FlowKey) -> String {
    let protocol = word(PROTOCOLS, protocol);
    URL_SAFE_NO_PAD.encode(format!("{protocol},{client},{offered}"))
}

fn key(id: &str) -> Option<FlowKey> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let mut parts = text.split(',');
    let protocol = meaning(PROTOCOLS, parts.next()?)?;
    let (client, offered) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(FlowKey { protocol, client, offered })
}

fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    words.iter().find(|(_, known)| known == meaning).map_or("", |(word, _)| word)
}

fn meaning<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// Which part of the list is wanted.
struct Query {
    limit: u32,
    from: FlowCursor,
    filter: FlowFilter,
}

fn parse(uri: &Uri) -> Result<Query, Vec<FieldError>> {
    let all = Query { limit: LIMIT_DEFAULT, from: FlowCursor::default(), filter: FlowFilter::default() };
    list::read(uri, all, take)
}

fn take(Query { limit: most, from, filter }: &mut Query, name: &str, value: &str) -> Result<(), Fault> {
    let not_a = |what: &str| ("invalid", format!("want {what}"));
    match name {
        "limit" => *most = limit(value)?,
        "cursor" => *from = cursor(value).ok_or(("invalid", "this is no cursor of this list".to_owned()))?,
        "virtual_service_id" => filter.service = Some(value.parse().map_err(|_| not_a("a UUID"))?),
        "member_id" => filter.member = Some(value.parse().map_err(|_| not_a("a UUID"))?),
        "client" => {
            filter.client = Some(network(value).ok_or_else(|| not_a("an address, or a network"))?);
        }
        "protocol" => filter.protocol = Some(one_of(PROTOCOLS, value)?),
        "state" => filter.state = Some(one_of(STATES, value)?),
        _ => {
            let known = "limit, cursor, virtual_service_id, member_id, client, protocol or state";
            return Err(("unknown_parameter", format!("want {known}")));
        }
    }
    Ok(())
}

fn one_of<T: Copy>(words: &[(&str, T)], value: &str) -> Result<T, Fault> {
    meaning(words, value).ok_or_else(|| {
        let words = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        ("invalid", format!("want one of {words}"))
    })
}

/// A network, or an address as one of its own.
pub(super) fn network(text: &str) -> Option<Prefix> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Prefix::of_host))
}

fn cursor(text: &str) -> Option<FlowCursor> {
    let (worker, entry) = text.split_once('.')?;
    Some(FlowCursor { worker: worker.parse().ok()?, entry: entry.parse().ok()? })
}

async fn list(State(app): State<App>, uri: Uri) -> Result<Json<ConnectionList>, Problem> {
    let Query { limit, mut from, filter } = parse(&uri).map_err(Problem::invalid)?;
    let mut flows = Vec::new();
    let next = loop {
        let left = limit.saturating_sub(u32::try_from(flows.len()).unwrap_or(u32::MAX));
        let request = L4Request::Flows { filter: filter.clone(), from, limit: left };
        let L4Answer::Flows { flows: more, next } = ask(&app, request).await? else {
            return Err(confused());
        };
        flows.extend(more);
        match next {
            Some(next) if flows.len() < limit as usize => from = next,
            next => break next,
        }
    };
    let pools = app.store.pools_of(flows.iter().filter_map(|flow| flow.member)).await?;
    let items = flows.iter().map(|flow| Connection::new(flow, &pools)).collect();
    let next = next.map(|FlowCursor { worker, entry }| link_with(&uri, &format!("{worker}.{entry}")));
    Ok(Json(ConnectionList { items, next }))
}

async fn end(
    State(app): State<App>,
    author: Author,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let key = path.ok().and_then(|Path(id)| key(&id)).ok_or_else(Problem::no_route)?;
    let L4Answer::FlowEnded { flow } = ask(&app, L4Request::EndFlow { key }).await? else {
        return Err(confused());
    };
    let SeenFlow { key, member_end, service, member, .. } = flow.ok_or_else(Problem::no_route)?;
    let FlowKey { protocol, client, offered } = key;
    let details = json!({
        "protocol": Transport::from(protocol), "client": client, "virtual_ip": offered, "member": member_end,
        "virtual_service_id": service, "member_id": member,
    });
    app.store.audit(&author, "connection.end", Outcome::Succeeded, details).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the layer-4 plane.
pub(super) async fn ask(app: &App, request: L4Request) -> Result<L4Answer, Problem> {
    match app.l4.ask(request, None).await {
        Ok(L4Answer::Refused { reason, .. }) => {
            Err(Problem::new(StatusCode::CONFLICT, "not_possible_now", reason))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

pub(super) fn confused() -> Problem {
    unavailable("penstock-l4 answered another question")
}

pub(super) fn routes() -> Vec<Route> {
    let count = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(LIMIT_DEFAULT.into()));
    let query = |name: &str, text: &str| parameter(name, ParameterIn::Query, string(64), text);
    let known = |name: &str, text: &str| {
        parameter(name, ParameterIn::Query, Ref::from_schema_name("Identifier"), text)
    };
    let words = |words: Vec<&str>| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    let protocols = words(PROTOCOLS.iter().map(|(word, _)| *word).collect());
    let states = words(STATES.iter().map(|(word, _)| *word).collect());
    let listing = Description::new("listConnections", TAG, "List connections")
        .explain(
            "Those of virtual services that are forwarded at layer 4, as they are now, in no particular order. One that lasts is met once on the way \
             through all pages; one that begins meanwhile may be missed. Forwarding does not wait for it.",
        )
        .parameter(parameter("limit", ParameterIn::Query, count.build(), "How many items to return at most."))
        .parameter(query("cursor", "Where the page begins: taken from `next` of the page before."))
        .parameter(known("virtual_service_id", "Those of this virtual service."))
        .parameter(known("member_id", "Those with this member."))
        .parameter(query("client", "Those of this client: its address, or a network."))
        .parameter(parameter("protocol", ParameterIn::Query, protocols.build(), "Those by this protocol."))
        .parameter(parameter("state", ParameterIn::Query, states.build(), "Those that are so far."))
        .answer(StatusCode::OK, "A page of the list.", Some("ConnectionList"), &[])
        .fails(&[409, 422, 503]);
    let ending = Description::new("endConnection", TAG, "End a connection")
        .explain(
            "It is forgotten at once. What either end of a TCP connection still sends is dropped (`no_flow`), so that both find out by their own \
             timeouts; the next datagram of a UDP client begins another connection, perhaps with another member.",
        )
        .parameter(parameter("id", ParameterIn::Path, string(256), "Which one."))
        .answer(StatusCode::NO_CONTENT, "It is ended.", None, &[])
        .fails(&[404, 409, 503]);
    let (read, write) =
        (Access::Permitted(Permission::BalancingRead), Access::Permitted(Permission::BalancingWrite));
    let collection = format!("{ROOT}/connections");
    vec![
        Route::new(HttpMethod::Get, collection.clone(), read, list, listing),
        Route::new(HttpMethod::Delete, format!("{collection}/{{id}}"), write, end, ending),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Query, Vec<FieldError>> {
        parse(&format!("/api/v1/connections?{query}").parse().unwrap())
    }

    #[test]
    fn an_identifier_leads_back_to_its_connection() {
        let of = |protocol, client: &str, offered: &str| {
            let key =
                FlowKey { protocol, client: client.parse().unwrap(), offered: offered.parse().unwrap() };
            let text = id(&key);
            assert_eq!(super::key(&text), Some(key));
            assert!(text.len() <= 256);
        };
        of(L4Protocol::Tcp, "192.0.2.7:40000", "192.0.2.10:80");
        let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        of(L4Protocol::Udp, longest, longest);
        for wrong in
            ["", "x", "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f", &URL_SAFE_NO_PAD.encode("tcp,1.2.3.4:5")]
        {
            assert_eq!(super::key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let query = parsed("limit=3&client=192.0.2.7&protocol=udp&state=closing&cursor=1.77").ok().unwrap();
        assert_eq!((query.limit, query.from), (3, FlowCursor { worker: 1, entry: 77 }));
        assert_eq!(query.filter.client, Some("192.0.2.7/32".parse().unwrap()));
        assert_eq!(query.filter.state, Some(FlowState::Closing));
        let wrong =
            "limit=0&cursor=x&virtual_service_id=1&member_id=1&client=1.2.3&protocol=sctp&state=new&sort=id";
        let faults: Vec<_> = parsed(wrong).err().unwrap().into_iter().map(|fault| fault.pointer).collect();
        let named =
            ["limit", "cursor", "virtual_service_id", "member_id", "client", "protocol", "state", "sort"];
        assert_eq!(faults, named.map(|name| format!("?{name}")));
    }
}
