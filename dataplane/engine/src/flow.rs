//! The flow table of one worker, in a flow file that the next process can attach.
//!
//! The index has a cache line for each bucket: seven signatures of 32 bits and where their entries are. A key that
//! finds its bucket full goes to the next one and is counted in those it passed, so that a search knows when to stop.
//! A connection has one entry of one cache line, found by the keys of both directions; with IPv6 it has two, side by side.

mod numbers;
mod room;
#[cfg(test)]
mod tests;
mod trial;

use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

use lb_mem::{
    Bucket, Conn, FlowFile, FlowParts, NO_TIE, NOBODY, PAIR, SLOTS, WIDE, Wide, matching_slots, pair,
    prefetch,
};

pub(crate) use self::numbers::Numbers;
use self::room::Room;
pub(crate) use self::trial::Trial;
use crate::ends::Ends;
use crate::rewrite::Mode;
use crate::state::{FREE, NUMBERS, OPENING, is_shifted};

/// How many buckets a key may be away from its own.
const REACH: usize = 16;
/// The bit of an index slot that tells the direction.
const DIRECTION: u32 = 1 << 31;
/// An epoch that no tables have.
pub(crate) const NO_EPOCH: u32 = 0;
/// How many entries are looked at to find one that may be evicted.
const EVICTION_SEARCH: u32 = 64;

/// Which end of a flow a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the client, to the virtual IP.
    FromClient = 0,
    /// From the member, to the client.
    FromMember = 1,
}

impl Direction {
    /// The other end.
    #[inline]
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::FromClient => Self::FromMember,
            Self::FromMember => Self::FromClient,
        }
    }
}

/// What a packet is looked up by: addresses, ports and protocol as they lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Source and destination address; of IPv6 a digest of them, see [`FlowTable::wide_key`].
    pub addresses: u64,
    /// Source and destination port.
    pub ports: u32,
    /// The transport protocol, with [`WIDE`] in IPv6.
    pub protocol: u8,
}

impl Key {
    /// Whether it is that of an IPv6 packet.
    #[inline]
    pub(crate) fn is_wide(self) -> bool {
        self.protocol & WIDE != 0
    }

    /// The transport protocol alone.
    #[inline]
    pub(crate) fn transport(self) -> u8 {
        self.protocol & !WIDE
    }
}

/// Source and destination address of an IPv6 packet, as they lie in memory.
pub type WideAddresses = [u64; 4];

/// Where a key is to be found: its bucket and its signature there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    bucket: u32,
    signature: u32,
}

impl Place {
    /// Bits that are the same for all packets from one end of a flow, and that nobody outside can choose.
    #[inline]
    pub(crate) fn entropy(self) -> u32 {
        self.signature
    }
}

/// An entry and the direction it was found by; or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(u32);

impl Default for Found {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Found {
    /// Nothing.
    pub const NOTHING: Self = Self(NOBODY);
    /// A flow that is only tried on, by a packet from its client.
    pub(crate) const TRIED_ON: Self = Self(0);

    #[inline]
    fn entry(self) -> u32 {
        self.0 & !DIRECTION
    }

    /// The direction the packet travels in.
    #[inline]
    pub fn direction(self) -> Direction {
        if self.0 & DIRECTION == 0 { Direction::FromClient } else { Direction::FromMember }
    }
}

/// A flow, with its addresses if they are IPv6 in a direction.
pub(crate) struct Flow<'table> {
    pub(crate) conn: &'table mut Conn,
    pub(crate) wide: Option<&'table Wide>,
}

impl Flow<'_> {
    /// Both ends of packets that come from one of the flow's.
    pub(crate) fn ends(&self, from: Direction) -> Ends {
        let way = from as usize;
        Ends::of(keys(self.conn)[way], self.wide.map(|wide| &wide.0[way]))
    }
}

/// A new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    /// The keys of packets from the client, and of packets from the member.
    pub keys: [Key; 2],
    /// Their addresses, where they are IPv6.
    pub wide: Option<Wide>,
    /// What the rewrite adds to the checksums.
    pub deltas: [[u16; 2]; 2],
    /// The slot of the backend, in tables of this epoch.
    pub backend: (u32, u32),
    /// How its packets are rewritten.
    pub mode: Mode,
    /// Now.
    pub now: u32,
    /// How long the first answer may take.
    pub timeout: u32,
}

/// The table.
#[derive(Debug)]
pub struct FlowTable {
    file: FlowFile,
    mask: u32,
    secret: [u64; 2],
    room: Room,
    sweep: u32,
    evict: u32,
    /// Opening flows that had to make room.
    pub evicted: u64,
}

impl FlowTable {
    /// Takes over a flow file: what was in doubt when its last process died is undone.
    pub fn attach(mut file: FlowFile) -> Self {
        let parts = file.parts();
        let mask = u32::try_from(parts.buckets.len() - 1).unwrap_or(u32::MAX);
        let secret = parts.header.secret;
        repair(parts, secret, mask);
        let parts = file.parts();
        numbers::repair(parts.conns, parts.header.untouched);
        let room = Room::survey(parts.conns, parts.header.untouched);
        Self { file, mask, secret, room, sweep: 0, evict: 0, evicted: 0 }
    }

    /// Live flows.
    pub fn live(&mut self) -> u32 {
        self.file.parts().header.live
    }

    /// Entries, used and free.
    pub fn capacity(&mut self) -> u32 {
        u32::try_from(self.file.parts().conns.len()).unwrap_or(u32::MAX)
    }

    /// The share of the index that is used when the table is full.
    pub fn load_factor(&mut self) -> f64 {
        let FlowParts { buckets, conns, .. } = self.file.parts();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let used = 2.0 * conns.len() as f64 / (buckets.len() * SLOTS) as f64;
        used
    }

    /// The bytes a connection costs when the table is full.
    pub fn bytes_per_connection(&self) -> f64 {
        self.file.bytes_per_connection()
    }

    /// The key of an IPv6 packet.
    #[inline]
    pub fn wide_key(&self, addresses: &WideAddresses, ports: u32, protocol: u8) -> Key {
        wide_key(addresses, ports, protocol, self.secret)
    }

    /// What keys are made with.
    pub(crate) fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// The parts, for a burst.
    #[inline]
    pub(crate) fn view(&mut self) -> View<'_> {
        let FlowParts { buckets, conns, .. } = self.file.parts();
        View { buckets, conns, mask: self.mask, secret: self.secret }
    }

    /// Looks a key up, and the addresses that it stands for in IPv6.
    pub fn find(&mut self, key: Key, wide: Option<&WideAddresses>) -> Found {
        let place = place(key, self.secret, self.mask);
        self.view().find(key, place, wide)
    }

    /// The flow that was found.
    pub(crate) fn flow(&mut self, found: Found) -> Option<Flow<'_>> {
        flow(self.file.parts().conns, found.entry() as usize)
    }

    /// The IPv6 addresses of the flow that was found.
    pub fn wide(&mut self, found: Found) -> Option<Wide> {
        let (conn, wide) = pair(self.file.parts().conns, found.entry() as usize)?;
        is_wide(conn).then_some(*wide)
    }

    /// What the packets are looked up by that answer those of the flow that was found: addresses and ports as in their headers, in IPv4.
    pub fn reply(&mut self, found: Found) -> Option<Key> {
        let conn = self.file.parts().conns.get(found.entry() as usize)?;
        Some(keys(conn)[Direction::FromMember as usize])
    }

    /// Enters a flow that is not in the table; nothing if there is no room for it.
    pub fn insert(&mut self, flow: &NewFlow) -> Option<Found> {
        let is_pair = flow.wide.is_some();
        let FlowParts { header, buckets, conns } = self.file.parts();
        let entry = self.room.take(conns, &mut header.untouched, is_pair)?;
        header.in_doubt = if is_pair { entry | PAIR } else { entry };
        compiler_fence(Ordering::SeqCst);
        write(conns, entry, flow);
        compiler_fence(Ordering::SeqCst);
        let entered = add_slots(buckets, flow.keys.map(|key| place(key, self.secret, self.mask)), entry);
        if entered {
            conns[entry as usize].state = OPENING;
            header.live += 1;
        } else {
            self.room.give_back(conns, entry, is_pair);
        }
        compiler_fence(Ordering::SeqCst);
        header.in_doubt = NOBODY;
        entered.then_some(Found(entry))
    }

    /// Forgets a flow, and returns what it was.
    pub fn remove(&mut self, found: Found) -> Option<Conn> {
        let entry = found.entry();
        self.drop_numbers(entry);
        let FlowParts { header, buckets, conns } = self.file.parts();
        let conn = conns.get_mut(entry as usize).filter(|conn| !matches!(conn.state, FREE | NUMBERS))?;
        let (removed, is_pair) = (conn.clone(), is_wide(conn));
        header.in_doubt = if is_pair { entry | PAIR } else { entry };
        compiler_fence(Ordering::SeqCst);
        conn.state = FREE;
        let [first, second] = keys(conn).map(|key| place(key, self.secret, self.mask));
        remove_slot(buckets, first, entry);
        remove_slot(buckets, second, entry | DIRECTION);
        header.live -= 1;
        self.room.give_back(conns, entry, is_pair);
        compiler_fence(Ordering::SeqCst);
        header.in_doubt = NOBODY;
        Some(removed)
    }

    /// The next entry of an endless round over all that were ever used, if it holds a flow.
    pub(crate) fn next_in_round(&mut self) -> Option<(Found, Flow<'_>)> {
        let FlowParts { header, conns, .. } = self.file.parts();
        if self.sweep >= header.untouched {
            self.sweep = 0;
        }
        let at = self.sweep;
        self.sweep += 1;
        let flow = flow_at(conns, at)?;
        Some((Found(at), flow))
    }

    /// The flow that is entered there, if one is.
    pub(crate) fn at(&mut self, entry: u32) -> Option<Flow<'_>> {
        flow_at(self.file.parts().conns, entry)
    }

    /// Whether a flow can be entered without another one giving way.
    pub(crate) fn has_room(&mut self, wide: bool) -> bool {
        let FlowParts { header, conns, .. } = self.file.parts();
        self.room.is_left(conns, header.untouched, wide)
    }

    /// Entries that were ever used: what a full sweep has to look at.
    pub fn used(&mut self) -> u32 {
        self.file.parts().header.untouched
    }

    /// Makes room by forgetting an unfinished handshake or a flow that is over anyway, or two that are neighbours; `gone` is
    /// told what they were. Says whether there is room now.
    pub(crate) fn evict(&mut self, now: u32, wide: bool, mut gone: impl FnMut(&mut Conn)) -> bool {
        let (step, search) = eviction(wide);
        for _ in 0..search {
            let FlowParts { header, conns, .. } = self.file.parts();
            let at = eviction_at(self.evict, header.untouched, step);
            self.evict = at + step;
            if stays(conns, at..at + step, now) {
                continue;
            }
            for at in at..at + step {
                if let Some(mut conn) = self.remove(Found(at)) {
                    self.evicted += 1;
                    gone(&mut conn);
                }
            }
            if self.has_room(wide) {
                return true;
            }
        }
        false
    }
}

/// Undoes what was in doubt when the last process died.
fn repair(parts: FlowParts, secret: [u64; 2], mask: u32) {
    let FlowParts { header, buckets, conns } = parts;
    // An odd one was never used.
    header.untouched = (header.untouched & !1).min(u32::try_from(conns.len()).unwrap_or(NOBODY) & !1);
    let doubt = std::mem::replace(&mut header.in_doubt, NOBODY);
    let entry = doubt & !PAIR;
    if doubt != NOBODY
        && let Some(conn) = conns.get_mut(entry as usize)
    {
        let [first, second] = keys(conn).map(|key| place(key, secret, mask));
        clear_slot(buckets, first, entry);
        clear_slot(buckets, second, entry | DIRECTION);
        conn.state = FREE;
        if doubt & PAIR != 0
            && let Some(second) = conns.get_mut(entry as usize + 1)
        {
            second.state = FREE;
        }
    }
    header.live = 0;
    for at in 0..header.untouched {
        if let Some(Flow { conn, .. }) = flow_at(conns, at) {
            // The slots of the process before mean nothing to this one.
            (conn.backend, conn.epoch) = (NOBODY, NO_EPOCH);
            if !is_shifted(conn) {
                conn.set_tie(NO_TIE);
            }
            header.live += 1;
        }
    }
}

/// The flow whose entry this is; none if it is free, or the second of a pair.
fn flow_at(conns: &mut [Conn], at: u32) -> Option<Flow<'_>> {
    let at = at as usize;
    let second = at % 2 == 1 && conns.get(at - 1).is_some_and(is_wide);
    flow(conns, at).filter(|flow| !second && !matches!(flow.conn.state, FREE | NUMBERS))
}

/// What is entered at `at`.
fn flow(conns: &mut [Conn], at: usize) -> Option<Flow<'_>> {
    if conns.get(at).is_some_and(is_wide) {
        return pair(conns, at).map(|(conn, wide)| Flow { conn, wide: Some(wide) });
    }
    conns.get_mut(at).map(|conn| Flow { conn, wide: None })
}

/// Whether a flow has two entries.
fn is_wide(conn: &Conn) -> bool {
    conn.state != FREE && (conn.protocols[0] | conn.protocols[1]) & WIDE != 0
}

/// How many entries have to go for a flow, and how many times that is looked for.
fn eviction(wide: bool) -> (u32, u32) {
    if wide { (2, EVICTION_SEARCH / 2) } else { (1, EVICTION_SEARCH) }
}

/// Where the search goes on of those entries that were ever used.
fn eviction_at(hand: u32, used: u32, step: u32) -> u32 {
    hand.checked_rem(used).unwrap_or(0) / step * step
}

/// Whether a flow among these entries may not be evicted.
fn stays(conns: &mut [Conn], mut entries: Range<u32>, now: u32) -> bool {
    entries.any(|at| flow_at(conns, at).is_some_and(|flow| !may_go(flow.conn, now)))
}

fn may_go(conn: &Conn, now: u32) -> bool {
    // Who has shown that it hears us is no part of a flood.
    conn.state == OPENING && !is_shifted(conn) || now.wrapping_sub(conn.last_seen) > conn.timeout
}

/// What packets of a flow are looked up by: from the client, and from the member.
pub(crate) fn keys(conn: &Conn) -> [Key; 2] {
    [0, 1].map(|way| Key {
        addresses: conn.addresses[way],
        ports: conn.ports[way],
        protocol: conn.protocols[way],
    })
}

/// Writes all of a new flow but its state.
fn write(conns: &mut [Conn], entry: u32, flow: &NewFlow) {
    let NewFlow { keys, wide, deltas, backend, mode, now, timeout } = *flow;
    let at = entry as usize;
    if let Some(addresses) = wide
        && let Some((_, place)) = pair(conns, at)
    {
        *place = addresses;
    }
    let Some(conn) = conns.get_mut(at) else { return };
    conn.addresses = keys.map(|key| key.addresses);
    conn.ports = keys.map(|key| key.ports);
    conn.protocols = keys.map(|key| key.protocol);
    (conn.deltas, conn.last_seen, conn.timeout) = (deltas, now, timeout);
    (conn.backend, conn.epoch) = backend;
    // To be looked up when the first packet passes.
    conn.next_hops = [NOBODY; 2];
    (conn.flags, conn.mode) = (0, mode as u8);
    conn.set_tie(NO_TIE);
}

/// The index and the entries, borrowed for a burst.
pub(crate) struct View<'table> {
    buckets: &'table mut [Bucket],
    conns: &'table mut [Conn],
    mask: u32,
    secret: [u64; 2],
}

impl View<'_> {
    /// Where a key is to be found.
    #[inline]
    pub(crate) fn place(&self, key: Key) -> Place {
        place(key, self.secret, self.mask)
    }

    /// Brings the bucket of a key near.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, place: Place) {
        prefetch(&self.buckets[(place.bucket & self.mask) as usize]);
    }

    /// The key of an IPv6 packet.
    #[inline]
    pub(crate) fn wide_key(&self, addresses: &WideAddresses, ports: u32, protocol: u8) -> Key {
        wide_key(addresses, ports, protocol, self.secret)
    }

    /// The entry that most likely is the one looked for, by its signature alone; it is brought near, and of a `wide` one the
    /// addresses too.
    #[inline]
    pub(crate) fn candidate(&self, place: Place, wide: bool) -> Found {
        let bucket = &self.buckets[(place.bucket & self.mask) as usize];
        let hits = matching_slots(bucket, place.signature);
        if hits == 0 {
            return Found::NOTHING;
        }
        let found = Found(bucket.entries[hits.trailing_zeros() as usize & SLOTS]);
        if let Some(conn) = self.conns.get(found.entry() as usize) {
            prefetch(conn);
        }
        if wide && let Some(addresses) = self.conns.get(found.entry() as usize + 1) {
            prefetch(addresses);
        }
        found
    }

    /// The backend of the entry that was found, whosever it is.
    #[inline]
    pub(crate) fn backend(&self, found: Found) -> Option<usize> {
        self.conns.get(found.entry() as usize).map(|conn| conn.backend as usize)
    }

    /// The candidate's flow, if it is the one of `key`.
    #[inline]
    pub(crate) fn confirm(&mut self, found: Found, key: Key) -> Option<Flow<'_>> {
        let conn = self.conns.get_mut(found.entry() as usize)?;
        is_flow_of(conn, found, key).then_some(Flow { conn, wide: None })
    }

    /// The candidate's flow, if it is the one of an IPv6 packet.
    #[inline]
    pub(crate) fn confirm_wide(
        &mut self,
        found: Found,
        key: Key,
        addresses: &WideAddresses,
    ) -> Option<Flow<'_>> {
        let (conn, wide) = pair(self.conns, found.entry() as usize)?;
        let same = is_flow_of(conn, found, key) && wide.0[found.direction() as usize] == *addresses;
        same.then_some(Flow { conn, wide: Some(wide) })
    }

    /// The whole search. A key of IPv6 is but a digest: `wide` are the addresses that it stands for.
    pub(crate) fn find(&mut self, key: Key, place: Place, wide: Option<&WideAddresses>) -> Found {
        for step in 0..REACH {
            let at = (place.bucket as usize + step) & self.mask as usize;
            let mut hits = matching_slots(&self.buckets[at], place.signature);
            while hits != 0 {
                let found = Found(self.buckets[at].entries[hits.trailing_zeros() as usize]);
                let is_it = match wide {
                    None => self.confirm(found, key).is_some(),
                    Some(addresses) => self.confirm_wide(found, key, addresses).is_some(),
                };
                if is_it {
                    return found;
                }
                hits &= hits - 1;
            }
            if self.buckets[at].signatures[SLOTS] == 0 {
                break;
            }
        }
        Found::NOTHING
    }
}

#[inline]
fn place(key: Key, secret: [u64; 2], mask: u32) -> Place {
    let hash = fold_multiply(
        key.addresses ^ secret[0],
        (u64::from(key.ports) | u64::from(key.protocol) << 32) ^ secret[1],
    );
    // The lowest bit is set because 0 stands for a free slot.
    Place { bucket: hash as u32 & mask, signature: (hash >> 32) as u32 | 1 }
}

/// IPv6 addresses are looked up by 64 bits that depend on all of them, and on a secret.
#[inline]
pub(crate) fn wide_key(addresses: &WideAddresses, ports: u32, protocol: u8, secret: [u64; 2]) -> Key {
    let [a, b, c, d] = *addresses;
    let [first, second] = secret;
    let source = fold_multiply(a ^ first, b ^ second);
    let both = fold_multiply(c ^ source, d ^ second.rotate_left(32));
    Key { addresses: both ^ source.rotate_left(32), ports, protocol: protocol | WIDE }
}

#[inline]
fn is_flow_of(conn: &Conn, found: Found, key: Key) -> bool {
    let way = found.direction() as usize;
    conn.addresses[way] == key.addresses
        && conn.ports[way] == key.ports
        && conn.protocols[way] == key.protocol
        && conn.state != FREE
}

#[inline]
fn fold_multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Enters both directions, or none.
fn add_slots(buckets: &mut [Bucket], [from_client, from_member]: [Place; 2], entry: u32) -> bool {
    if !add_slot(buckets, from_member, entry | DIRECTION) {
        return false;
    }
    let both = add_slot(buckets, from_client, entry);
    if !both {
        remove_slot(buckets, from_member, entry | DIRECTION);
    }
    both
}

fn add_slot(buckets: &mut [Bucket], place: Place, value: u32) -> bool {
    let mask = buckets.len() - 1;
    let free_in = |bucket: &Bucket| bucket.signatures[..SLOTS].iter().position(|stored| *stored == 0);
    let at = |step: usize| (place.bucket as usize + step) & mask;
    let Some((steps, slot)) = (0..REACH).find_map(|step| Some((step, free_in(&buckets[at(step)])?))) else {
        return false;
    };
    for step in 0..steps {
        buckets[at(step)].signatures[SLOTS] += 1;
    }
    let bucket = &mut buckets[at(steps)];
    bucket.entries[slot] = value;
    bucket.signatures[slot] = place.signature;
    true
}

fn remove_slot(buckets: &mut [Bucket], place: Place, value: u32) {
    let mask = buckets.len() - 1;
    let Some(steps) = clear_slot(buckets, place, value) else { return };
    for step in 0..steps {
        let passed = &mut buckets[(place.bucket as usize + step) & mask].signatures[SLOTS];
        *passed = passed.saturating_sub(1);
    }
}

/// Frees the slot that holds `value` and says how many buckets away from its own it was.
fn clear_slot(buckets: &mut [Bucket], place: Place, value: u32) -> Option<usize> {
    let mask = buckets.len() - 1;
    for step in 0..REACH {
        let bucket = &mut buckets[(place.bucket as usize + step) & mask];
        let holds =
            |slot: &usize| bucket.signatures[*slot] == place.signature && bucket.entries[*slot] == value;
        if let Some(slot) = (0..SLOTS).find(holds) {
            bucket.signatures[slot] = 0;
            return Some(step);
        }
    }
    None
}
