//! The control side of what workers are asked about flows and packets: which of them is asked, and what they say in names that the API has.

use std::net::IpAddr;

use lb_engine::network::RouteTable;
use lb_engine::{Explained, FlowPage, Leaving, PortIndex, Sample, Verdict};
use lb_model::contract::L4Answer;
use lb_model::explain::{DescribedPacket, LeavingPacket, PacketContent, PacketExplanation, PacketVerdict};
use lb_model::flow::{FlowCursor, FlowFilter, FlowKey};
use lb_model::snapshot::Generation;

use crate::control::Control;
use crate::sight::{Errand, Explaining, Listing};

/// Entries that one answer may take: who asks about members' health in between waits some milliseconds at most.
const ENTRIES: u32 = 1 << 17;
/// Connections that one answer may hold.
const FLOWS: u32 = 1000;
const HANGS: &str = "a worker does not answer";

impl Control {
    /// A part of the list of connections.
    pub(crate) fn flows(
        &self,
        filter: FlowFilter,
        FlowCursor { worker, entry }: FlowCursor,
        limit: u32,
    ) -> Result<L4Answer, String> {
        if usize::from(worker) >= self.worker_count() {
            return Ok(L4Answer::Flows { flows: Vec::new(), next: None });
        }
        let page = FlowPage::new(filter, limit.clamp(1, FLOWS) as usize);
        let listing = Listing { page, next: Some(entry), left: ENTRIES };
        let Some(Errand::List(Listing { page, next, .. })) = self.ask_worker(worker, Errand::List(listing))
        else {
            return Err(HANGS.into());
        };
        let following = Some(worker + 1).filter(|worker| usize::from(*worker) < self.worker_count());
        let next = match next {
            Some(entry) => Some(FlowCursor { worker, entry }),
            None => following.map(|worker| FlowCursor { worker, entry: 0 }),
        };
        Ok(L4Answer::Flows { flows: page.seen, next })
    }

    /// Forgets a connection, whoever has it.
    pub(crate) fn end_flow(&self, key: FlowKey) -> Result<L4Answer, String> {
        for worker in (0..).take(self.worker_count()) {
            let errand = self.ask_worker(worker, Errand::End { key, ended: None });
            let Some(Errand::End { ended, .. }) = errand else { return Err(HANGS.into()) };
            if ended.is_some() {
                return Ok(L4Answer::FlowEnded { flow: ended });
            }
        }
        Ok(L4Answer::FlowEnded { flow: None })
    }

    /// Says what would become of a packet.
    pub(crate) fn explain_packet(&self, described: &DescribedPacket) -> Result<L4Answer, String> {
        let (port, sample) = self.sample(described)?;
        let mut worker = 0;
        // Who owns the connection says so; a second one never passes it on.
        for _ in 0..2 {
            let explaining = Explaining { port, sample: sample.clone(), told: None };
            let errand = self.ask_worker(worker, Errand::Explain(Box::new(explaining)));
            let Some(Errand::Explain(explaining)) = errand else { return Err(HANGS.into()) };
            let Explaining { sample, told: Some((generation, told)), .. } = *explaining else {
                return Err(HANGS.into());
            };
            let Verdict::Handoff(owner) = told.verdict else {
                let told = self.told(generation, worker, port, told, sample.frame());
                return Ok(L4Answer::PacketExplained(Box::new(told)));
            };
            worker = owner;
        }
        Err("two workers pass the packet to each other".into())
    }

    /// The frame that is described, and the port that it comes in by.
    fn sample(
        &self,
        DescribedPacket { content, port }: &DescribedPacket,
    ) -> Result<(PortIndex, Sample), String> {
        let (names, network) = self.surroundings();
        let number = |name: &String| names.iter().position(|known| known == name);
        let unknown = |name: &String| format!("there is no port `{name}`: there are {}", names.join(", "));
        let chosen = port.as_ref().map(|name| number(name).ok_or_else(|| unknown(name))).transpose()?;
        let behind = |source: IpAddr| {
            let (port, _) = RouteTable::new(&network.routes).neighbour(source)?;
            Some(usize::from(port.0))
        };
        let at = chosen.unwrap_or_else(|| match content {
            PacketContent::Frame(_) => 0,
            PacketContent::Headers { ends, .. } => behind(ends.source.ip()).unwrap_or(0),
        });
        let view = network.ports.get(at).ok_or("the kernel's interface of this port is not there")?;
        let sample = match content {
            PacketContent::Frame(bytes) => Sample::new(bytes),
            PacketContent::Headers { ends, flags } => {
                Sample::of(ends, *flags, view.mac).ok_or("no packet has ends of different families")?
            }
        };
        Ok((PortIndex(u8::try_from(at).unwrap_or(u8::MAX)), sample))
    }

    fn told(
        &self,
        generation: Generation,
        worker: u16,
        port: PortIndex,
        of: Explained,
        frame: &[u8],
    ) -> PacketExplanation {
        let (names, _) = self.surroundings();
        let name = |port: PortIndex| names.get(usize::from(port.0)).cloned().unwrap_or_default();
        let Explained { verdict, reason, packet, service, network, flow, member, choice, leaving } = of;
        let (next_hop, left) = match leaving {
            Some(Leaving { next_hop, packet }) => (Some(next_hop), packet),
            None => (None, None),
        };
        let (verdict, by) = match verdict {
            Verdict::Send(by) => (PacketVerdict::Send, Some(by)),
            Verdict::Reply(by) => (PacketVerdict::Reply, Some(by)),
            Verdict::Hold(awaited) => (PacketVerdict::Hold, Some(awaited.port)),
            Verdict::Punt => (PacketVerdict::Punt, None),
            Verdict::Handoff(_) | Verdict::Consume | Verdict::Drop(_) => (PacketVerdict::Drop, None),
        };
        let next_hop = next_hop.filter(|_| verdict != PacketVerdict::Reply);
        let leaves =
            by.map(|by| LeavingPacket { port: name(by), next_hop, packet: left, frame: frame.to_vec() });
        PacketExplanation {
            generation,
            port: name(port),
            worker,
            packet,
            service,
            network,
            flow,
            member,
            choice,
            verdict,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            leaves,
        }
    }
}
