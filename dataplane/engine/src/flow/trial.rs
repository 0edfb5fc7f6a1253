//! A flow that is not in the table: a copy of one, or one that was never begun. What is tried on it, nobody notices.

use lb_mem::{Conn, FlowParts};

use super::{Flow, FlowTable, Found, NewFlow, eviction, eviction_at, flow, stays, write};
use crate::state::OPENING;

/// The entries of such a flow.
#[derive(Debug)]
pub(crate) struct Trial([Conn; 2]);

impl Trial {
    /// One that would begin.
    pub(crate) fn begun(new: &NewFlow) -> Self {
        let mut entries = <[Conn; 2]>::default();
        write(&mut entries, 0, new);
        entries[0].state = OPENING;
        Self(entries)
    }

    /// The flow.
    pub(crate) fn flow(&mut self) -> Option<Flow<'_>> {
        flow(&mut self.0, 0)
    }
}

impl FlowTable {
    /// A copy of the flow that was found.
    pub(crate) fn copy(&mut self, found: Found) -> Option<Trial> {
        let FlowParts { conns, .. } = self.file.parts();
        let at = found.entry() as usize;
        let first = conns.get(at)?.clone();
        Some(Trial([first, conns.get(at + 1).cloned().unwrap_or_default()]))
    }

    /// Whether [`FlowTable::evict`] would make room.
    pub(crate) fn would_evict(&mut self, now: u32, wide: bool) -> bool {
        let (step, search) = eviction(wide);
        let mut hand = self.evict;
        (0..search).any(|_| {
            let FlowParts { header, conns, .. } = self.file.parts();
            let at = eviction_at(hand, header.untouched, step);
            hand = at + step;
            !stays(conns, at..at + step, now)
        })
    }
}
