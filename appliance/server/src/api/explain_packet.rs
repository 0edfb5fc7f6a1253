//! The packet tester: what would become of a packet that is described, or was captured. The layer-4 plane answers, by the code that
//! forwards.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lb_model::contract::{L4Answer, L4Request};
use lb_model::explain::{
    Choice, DescribedPacket, LeavingPacket, NetworkRule, PacketContent, PacketEnds, PacketExplanation,
    PacketVerdict,
};
use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{L4Port, MemberId, PoolId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::body::JsonBody;
use super::connections::{Connection, End, Transport, ask, confused};
use super::describe::Description;
use super::error::Problem;
use super::{Access, App, ROOT, Route};
use crate::domain::schema::{Address, Algorithm, Cidr, Identifier};
use crate::domain::{Fault, FieldError, Fields, Permission, fields};

/// The longest frame that can be described, in bytes.
const FRAME_MAX: usize = 9216;
const FLAGS: &[(&str, u8)] = &[("fin", 0x01), ("syn", 0x02), ("rst", 0x04), ("psh", 0x08), ("ack", 0x10)];
const SYN: u8 = 0x02;

/// A packet to be explained: either `packet` or `frame`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct PacketSettings {
    /// One between these ends, without a payload; null if it is a frame.
    packet: Option<PacketHeaders>,
    /// A captured Ethernet frame in hexadecimal, as the appliance received it, with its headers; spaces and colons do not count. Null if it is not.
    #[schema(min_length = 28, max_length = 18432, example = "020000000001020000000009 0800 4500 0028")]
    frame: Option<String>,
    /// The port that it comes in by; null: of a captured one the first, of another where its source is.
    #[schema(min_length = 1, max_length = 64, example = "front")]
    port: Option<String>,
}

/// Where a packet comes from and goes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct PacketHeaders {
    /// The transport protocol: `tcp` or `udp`.
    #[schema(inline, value_type = String, max_length = 3, default = "tcp", example = "tcp", required = false)]
    protocol: String,
    /// Where it comes from.
    source: Host,
    /// Where it goes.
    destination: Host,
    /// The control bits of TCP: `fin`, `syn`, `rst`, `psh`, `ack`.
    #[schema(max_items = 5, value_type = Vec<TcpFlag>, default = json!(["syn"]), required = false)]
    flags: Vec<String>,
}

/// A control bit of TCP.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "syn")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) enum TcpFlag {
    Fin,
    Syn,
    Rst,
    Psh,
    Ack,
}

/// An address of a host, and a port.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct Host {
    /// The address.
    address: Address,
    /// The port.
    #[schema(minimum = 1, maximum = 65535, example = 443)]
    port: u16,
}

/// What would become of a packet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PacketExplanationView {
    /// The number of the configuration that the plane forwards by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// The port that it comes in by.
    #[schema(max_length = 64, example = "front")]
    port: String,
    /// The worker that decides, counted from 0.
    #[schema(minimum = 0, maximum = 65535, example = 0)]
    worker: u16,
    /// What it was read as; of an ICMP error, the reverse of the packet that it is about. Null if it is nothing that is balanced.
    #[schema(required)]
    packet: Option<PacketEndsView>,
    /// The virtual service that it is for, or is of; null if it is of none that is forwarded at layer 4.
    #[schema(value_type = Option<Identifier>, required)]
    virtual_service_id: Option<String>,
    /// What the service's `allowed_cidrs` and `denied_cidrs` say of the client; null if it has none, or is not asked.
    #[schema(required)]
    network: Option<NetworkRuleView>,
    /// The connection that it belongs to; null if it would begin one, or is of none.
    #[schema(required)]
    connection: Option<Connection>,
    /// The member's pool; null without a member.
    #[schema(value_type = Option<Identifier>, required)]
    pool_id: Option<String>,
    /// The member that it goes to, or comes from.
    #[schema(value_type = Option<Identifier>, required)]
    member_id: Option<String>,
    /// Why that one; null without a member.
    #[schema(required)]
    choice: Option<ChoiceView>,
    /// How it ends.
    verdict: VerdictWord,
    /// Why it is dropped, or answered: a word of `drops` in the statistics; null if it is neither.
    #[schema(max_length = 64, required, example = "no_member")]
    reason: Option<String>,
    /// How it leaves; null if it does not.
    #[schema(required)]
    leaves: Option<LeavingView>,
}

/// Both ends of a packet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PacketEndsView {
    /// The transport protocol.
    protocol: Transport,
    /// Where it comes from.
    source: End,
    /// Where it goes.
    destination: End,
}

/// What decides whether a client may.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NetworkRuleView {
    /// The longest network that holds its address; null: none does.
    #[schema(value_type = Option<Cidr>, required)]
    network: Option<String>,
    /// Whether it may.
    allowed: bool,
}

/// Why a member has a packet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChoiceView {
    /// `connection`: it has the connection; `algorithm`: it would be given it.
    by: ChoiceBy,
    /// By this algorithm; null if it has the connection.
    #[schema(value_type = Option<Algorithm>, required)]
    algorithm: Option<Scheduler>,
    /// In the place of this member, which has as many connections as it may; null if the choice is the first.
    #[schema(value_type = Option<Identifier>, required)]
    instead_of: Option<String>,
}

/// What chose.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "algorithm")]
pub(super) enum ChoiceBy {
    Connection,
    Algorithm,
}

/// How a packet ends: `send`: it travels on; `reply`: its sender is answered; `punt`: it is the kernel's; `hold`: it waits until the next hop is
/// known; `drop`: it ends here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "send")]
pub(super) enum VerdictWord {
    Send,
    Reply,
    Punt,
    Hold,
    Drop,
}

/// A packet that leaves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LeavingView {
    /// The port.
    #[schema(max_length = 64, example = "back")]
    port: String,
    /// The neighbour that it is handed to; null for an answer.
    #[schema(value_type = Option<Address>, required)]
    next_hop: Option<IpAddr>,
    /// Its ends then, without what it may be wrapped in; null for an answer, and for an ICMP error.
    #[schema(required)]
    packet: Option<PacketEndsView>,
    /// All of it in hexadecimal; if it is cut, the first piece.
    #[schema(max_length = 20480, example = "02000000020b020000000002")]
    frame: String,
}

impl PacketExplanationView {
    fn new(of: PacketExplanation, pools: &HashMap<MemberId, PoolId>) -> Self {
        let PacketExplanation { generation, port, worker, packet, service, network, .. } = of;
        let PacketExplanation { flow, member, choice, verdict, reason, leaves, .. } = of;
        Self {
            generation: generation.0,
            port,
            worker,
            packet: packet.map(PacketEndsView::from),
            virtual_service_id: service.map(|id| id.to_string()),
            network: network.map(|NetworkRule { network, allowed }| NetworkRuleView {
                network: network.map(|network| network.to_string()),
                allowed,
            }),
            connection: flow.map(|flow| Connection::new(&flow, pools)),
            pool_id: member.and_then(|member| pools.get(&member)).map(ToString::to_string),
            member_id: member.map(|id| id.to_string()),
            choice: choice.map(ChoiceView::from),
            verdict: verdict.into(),
            reason,
            leaves: leaves.map(LeavingView::from),
        }
    }
}

impl From<PacketEnds> for PacketEndsView {
    fn from(PacketEnds { protocol, source, destination }: PacketEnds) -> Self {
        Self { protocol: protocol.into(), source: source.into(), destination: destination.into() }
    }
}

impl From<Choice> for ChoiceView {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Flow => Self { by: ChoiceBy::Connection, algorithm: None, instead_of: None },
            Choice::Scheduler { scheduler, instead_of } => Self {
                by: ChoiceBy::Algorithm,
                algorithm: Some(scheduler),
                instead_of: instead_of.map(|id| id.to_string()),
            },
        }
    }
}

impl From<PacketVerdict> for VerdictWord {
    fn from(verdict: PacketVerdict) -> Self {
        match verdict {
            PacketVerdict::Send => Self::Send,
            PacketVerdict::Reply => Self::Reply,
            PacketVerdict::Punt => Self::Punt,
            PacketVerdict::Hold => Self::Hold,
            PacketVerdict::Drop => Self::Drop,
        }
    }
}

impl From<LeavingPacket> for LeavingView {
    fn from(LeavingPacket { port, next_hop, packet, frame }: LeavingPacket) -> Self {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
        let frame = frame.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        Self { port, next_hop, packet: packet.map(PacketEndsView::from), frame }
    }
}

fn read(fields: &mut Fields<'_>) -> Option<DescribedPacket> {
    let headers = fields.nullable_object("packet", headers);
    let frame = fields.nullable("frame", frame);
    let port = fields.nullable("port", fields::text(1..=64));
    let content = match (headers?, frame?) {
        (Some((ends, flags)), None) => PacketContent::Headers { ends, flags },
        (None, Some(bytes)) => PacketContent::Frame(bytes),
        (None, None) => {
            fields.fault("packet", Fault::new("required", "say either `packet` or `frame`"));
            return None;
        }
        (Some(_), Some(_)) => {
            fields.fault("frame", Fault::new("invalid", "say either `packet` or `frame`, not both"));
            return None;
        }
    };
    Some(DescribedPacket { content, port: port? })
}

fn headers(fields: &mut Fields<'_>) -> Option<(PacketEnds, u8)> {
    let words = fields::word(&[("tcp", L4Protocol::Tcp), ("udp", L4Protocol::Udp)]);
    let protocol = fields.optional("protocol", L4Protocol::Tcp, words);
    let source = fields.object("source", host);
    let destination = fields.object("destination", host);
    let given = fields.has("flags");
    let flags =
        if given { fields.list("flags", 0..=FLAGS.len(), fields::word(FLAGS)) } else { Some(vec![SYN]) };
    let (source, destination) = (source?, destination?);
    if source.is_ipv4() != destination.is_ipv4() {
        let detail = "an address of the other family than the source";
        fields.fault("destination", Fault::new("invalid", detail));
        return None;
    }
    let ends = PacketEnds { protocol: protocol?, source, destination };
    Some((ends, flags?.into_iter().fold(0, |all, flag| all | flag)))
}

fn host(fields: &mut Fields<'_>) -> Option<SocketAddr> {
    let address = fields.required("address", fields::host_address);
    let port = fields.required("port", fields::port);
    Some(SocketAddr::new(address?, port.map(L4Port::get)?))
}

fn frame(value: &Value) -> Result<Vec<u8>, Fault> {
    let text = fields::text(28..=2 * FRAME_MAX)(value)?;
    let digits: Vec<char> = text.chars().filter(|character| !matches!(character, ' ' | ':')).collect();
    let byte = |pair: &[char]| match pair {
        [high, low] => u8::try_from(high.to_digit(16)? << 4 | low.to_digit(16)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(|| Fault::new("invalid", "want two hexadecimal digits for each byte"))
}

async fn explain(
    State(app): State<App>,
    JsonBody(document): JsonBody,
) -> Result<Json<PacketExplanationView>, Problem> {
    let mut fields = Fields::new(&document);
    let read = read(&mut fields);
    let faults: Vec<FieldError> = fields.finish();
    let (Some(packet), true) = (read, faults.is_empty()) else {
        return Err(Problem::invalid(faults));
    };
    let L4Answer::PacketExplained(told) = ask(&app, L4Request::ExplainPacket { packet }).await? else {
        return Err(confused());
    };
    let members = told.member.into_iter().chain(told.flow.as_ref().and_then(|flow| flow.member));
    let pools = app.store.pools_of(members).await?;
    Ok(Json(PacketExplanationView::new(*told, &pools)))
}

pub(super) fn route() -> Route {
    let example = json!({
        "packet": {
            "protocol": "tcp", "source": { "address": "192.0.2.7", "port": 40000 },
            "destination": { "address": "192.0.2.10", "port": 80 }, "flags": ["syn"],
        },
    });
    let described = Description::new("explainPacket", "connections", "What would become of a packet")
        .explain(
            "Which virtual service it is for, who would get it and why, or why it is dropped. The layer-4 plane decides as it does for packets, by the \
             configuration and the connections of now, and changes nothing: no connection begins, no member's turn is taken, nothing is counted. A packet for a \
             virtual service of protocol `http` or `https` is the kernel's here (`punt`): ask `POST /explain` about its requests.",
        )
        .body(&["application/json"], "PacketSettings", example)
        .answer(StatusCode::OK, "What would become of it.", Some("PacketExplanationView"), &[])
        .fails(&[409, 503]);
    let read = Access::Permitted(Permission::BalancingRead);
    Route::new(HttpMethod::Post, format!("{ROOT}/explain/packet"), read, explain, described)
}
