//! What the table keeps of flows whose handshake was made here: they have an entry more, of a state of its own, which the first one leads to.
//! Whatever a killed process left: an entry that nothing leads to is free.

use lb_mem::{Conn, FlowParts, NO_TIE};

use super::{FlowTable, Found, flow_at};
use crate::state::{FREE, NUMBERS, is_shifted};

/// The numbers of a flow whose handshake was made here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// The first number that the client was given.
    pub(crate) ours: u32,
    /// Its own first.
    pub(crate) client: u32,
    /// What is added to the member's numbers for the client.
    pub(crate) shift: u32,
    /// What the client last heard of our clock; once the member has answered, what is added to its clock for the client.
    pub(crate) clock: u32,
    /// What the client last said of its own.
    pub(crate) client_clock: u32,
    /// Whether clocks are told at all.
    pub(crate) has_clock: bool,
    /// The client's window, as it said it.
    pub(crate) window: u16,
    /// What it offered, in the code of cookies.
    pub(crate) offer: u8,
    /// By how many bits windows are shifted to the left: the client's, and the member's.
    pub(crate) scales: [i8; 2],
}

impl Numbers {
    fn write(self, conn: &mut Conn, owner: u32) {
        let Self { ours, client, shift, clock, client_clock, has_clock, window, offer, scales } = self;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        *conn = Conn::default();
        conn.addresses = [pair(ours, client), pair(shift, clock)];
        conn.ports = [client_clock, u32::from(window) | u32::from(offer) << 16 | u32::from(has_clock) << 24];
        conn.deltas[0][0] = u16::from_ne_bytes(scales.map(i8::cast_unsigned));
        (conn.backend, conn.state) = (owner, NUMBERS);
    }

    fn read(conn: &Conn) -> Self {
        let halves = |pair: u64| (pair as u32, (pair >> 32) as u32);
        let ((ours, client), (shift, clock)) = (halves(conn.addresses[0]), halves(conn.addresses[1]));
        let [client_clock, rest] = conn.ports;
        Self {
            ours,
            client,
            shift,
            clock,
            client_clock,
            has_clock: rest >> 24 & 1 != 0,
            window: rest as u16,
            offer: (rest >> 16) as u8,
            // No larger than they can have been made, whatever is in the file.
            scales: conn.deltas[0][0].to_ne_bytes().map(|scale| scale.cast_signed().clamp(-14, 14)),
        }
    }
}

impl FlowTable {
    /// The numbers of the flow that was found, if its handshake was made here.
    pub(crate) fn numbers(&mut self, found: Found) -> Option<Numbers> {
        let FlowParts { conns, .. } = self.file.parts();
        let at = entry_of(conns, found.entry())?;
        conns.get(at as usize).map(Numbers::read)
    }

    /// Notes the numbers of a flow that is marked as one whose handshake was made here. Says whether there was room.
    pub(crate) fn set_numbers(&mut self, found: Found, numbers: Numbers) -> bool {
        let owner = found.entry();
        let FlowParts { header, conns, .. } = self.file.parts();
        if let Some(at) = entry_of(conns, owner) {
            numbers.write(&mut conns[at as usize], owner);
            return true;
        }
        let Some(at) = self.room.take(conns, &mut header.untouched, false) else { return false };
        numbers.write(&mut conns[at as usize], owner);
        conns[owner as usize].set_tie(at);
        true
    }

    /// Gives back the entry of a flow that is forgotten.
    pub(super) fn drop_numbers(&mut self, owner: u32) {
        let FlowParts { conns, .. } = self.file.parts();
        if let Some(at) = entry_of(conns, owner) {
            conns[owner as usize].set_tie(NO_TIE);
            conns[at as usize].state = FREE;
            self.room.give_back(conns, at, false);
        }
    }
}

/// The entry with the numbers of the flow at `owner`.
fn entry_of(conns: &[Conn], owner: u32) -> Option<u32> {
    let conn = conns.get(owner as usize).filter(|conn| is_shifted(conn))?;
    let at = conn.tie();
    let is_its = |entry: &&Conn| entry.state == NUMBERS && entry.backend == owner;
    conns.get(at as usize).filter(is_its).map(|_| at)
}

/// Frees entries of numbers that no flow has, of the first `used` entries.
pub(super) fn repair(conns: &mut [Conn], used: u32) {
    for at in 0..used {
        let entry = &conns[at as usize];
        let is_second = at % 2 == 1 && super::is_wide(&conns[at as usize - 1]);
        if entry.state != NUMBERS || is_second {
            continue;
        }
        let owner = entry.backend;
        let has_owner = owner < used && flow_at(conns, owner).is_some() && entry_of(conns, owner) == Some(at);
        if !has_owner {
            conns[at as usize].state = FREE;
        }
    }
}
