//! Flows as they are seen from outside: listed, and ended.

use std::net::SocketAddr;
use std::ops::Range;

use lb_model::flow::{FlowFilter, FlowKey, FlowState, SeenFlow};
use lb_model::snapshot::L4Protocol;

use super::{Engine, Outbox, ending};
use crate::TICKS_PER_SECOND;
use crate::ends::Ends;
use crate::flow::{Direction, Flow};
use crate::state;
use crate::tables::{Endpoint, Tables};

const MS_PER_TICK: u64 = 1000 / TICKS_PER_SECOND as u64;

/// Flows that are collected.
#[derive(Debug)]
pub struct FlowPage {
    /// Which ones are wanted.
    pub filter: FlowFilter,
    /// How many at most.
    pub most: usize,
    /// Those that were met.
    pub seen: Vec<SeenFlow>,
}

impl FlowPage {
    /// With its space, so that collecting allocates nothing.
    pub fn new(filter: FlowFilter, most: usize) -> Self {
        Self { filter, most, seen: Vec::with_capacity(most) }
    }

    /// Whether no other flow fits on it.
    pub fn is_full(&self) -> bool {
        self.seen.len() >= self.most
    }
}

impl Engine {
    /// Collects flows from these entries of the table. Says where to go on; nothing at the end of the table.
    pub fn list(
        &mut self,
        tables: &Tables,
        now: u32,
        entries: Range<u32>,
        page: &mut FlowPage,
    ) -> Option<u32> {
        let used = self.flows.used();
        for entry in entries.start..entries.end.min(used) {
            if page.is_full() {
                return Some(entry);
            }
            let Some(flow) = self.flows.at(entry) else { continue };
            let seen = see(tables, now, self.worker, &flow);
            page.seen.extend(seen.filter(|flow| fits(&page.filter, flow)));
        }
        Some(entries.end).filter(|next| *next < used)
    }

    /// Ends a flow, and returns what it was. Both sides are told if its service wants that.
    pub fn end(
        &mut self,
        tables: &Tables,
        now: u32,
        key: &FlowKey,
        outbox: &mut impl Outbox,
    ) -> Option<SeenFlow> {
        let FlowKey { protocol, client, offered } = *key;
        let ends = Ends { source: endpoint(protocol, client), destination: endpoint(protocol, offered) };
        let (key, wide) = ends.key(self.flows.secret())?;
        let found = self.flows.find(key, wide.as_ref());
        let flow = self.flows.flow(found).filter(|_| found.direction() == Direction::FromClient);
        let mut flow = flow.filter(|flow| flow.conn.state != state::ENDING)?;
        let seen = see(tables, now, self.worker, &flow)?;
        if ending::begin(tables, &mut self.loads, &mut flow, now) {
            ending::ask(tables, &mut self.loads, &mut flow, outbox);
        } else {
            self.forget(found);
        }
        Some(seen)
    }
}

/// A flow as it is now.
pub(super) fn see(tables: &Tables, now: u32, worker: u16, flow: &Flow<'_>) -> Option<SeenFlow> {
    let (asked, answered) = (flow.ends(Direction::FromClient), flow.ends(Direction::FromMember));
    let slot = if flow.conn.epoch == tables.epoch {
        Some(flow.conn.backend)
    } else {
        tables.backend_slot(asked.destination, answered.source)
    };
    let parties = slot.and_then(|slot| tables.parties(slot));
    Some(SeenFlow {
        key: FlowKey {
            protocol: L4Protocol::from_number(asked.source.protocol)?,
            client: socket(asked.source),
            offered: socket(asked.destination),
        },
        local: socket(answered.destination),
        member_end: socket(answered.source),
        service: parties.map(|(service, _)| service),
        member: parties.map(|(_, member)| member),
        state: match flow.conn.state {
            state::OPENING => FlowState::Opening,
            state::ESTABLISHED | state::POLICED => FlowState::Established,
            state::CLOSING => FlowState::Closing,
            _ => FlowState::Reset,
        },
        idle_ms: u64::from(now.wrapping_sub(flow.conn.last_seen)) * MS_PER_TICK,
        timeout_ms: u64::from(flow.conn.timeout) * MS_PER_TICK,
        worker,
    })
}

fn fits(filter: &FlowFilter, flow: &SeenFlow) -> bool {
    let FlowFilter { service, member, client, protocol, state } = filter;
    state.is_none_or(|state| state == flow.state)
        && protocol.is_none_or(|protocol| protocol == flow.key.protocol)
        && client.is_none_or(|network| network.contains(flow.key.client.ip()))
        && service.is_none_or(|service| Some(service) == flow.service)
        && member.is_none_or(|member| Some(member) == flow.member)
}

/// An end as people write it.
pub(super) fn socket(Endpoint { address, port, protocol: _ }: Endpoint) -> SocketAddr {
    SocketAddr::new(address, u16::from_be_bytes(port.to_ne_bytes()))
}

/// An end as it is looked up.
pub(super) fn endpoint(protocol: L4Protocol, end: SocketAddr) -> Endpoint {
    let port = u16::from_ne_bytes(end.port().to_be_bytes());
    Endpoint { address: end.ip(), port, protocol: protocol.number() }
}
