//! The flow table of one worker, in a flow file that the next process can attach.
//!
//! The index has a cache line for each bucket: seven signatures of 32 bits and where their entries are. A key that
//! finds its bucket full goes to the next one and is counted in those it passed, so that a search knows when to stop.
//! A connection has one entry of one cache line, found by the keys of both directions.

use std::sync::atomic::{Ordering, compiler_fence};

use lb_mem::{Bucket, Conn, FlowFile, FlowParts, NOBODY, SLOTS, matching_slots, prefetch};

use crate::tcp_state::{FREE, OPENING};
use crate::wire::ipv4;

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
    /// Source and destination address.
    pub addresses: u64,
    /// Source and destination port.
    pub ports: u32,
    /// The transport protocol.
    pub protocol: u8,
}

/// Where a key is to be found: its bucket and its signature there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    bucket: u32,
    signature: u32,
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

/// A new flow's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlow {
    /// The key of packets from the client.
    pub from_client: Key,
    /// The member's address and port, as they lie in memory.
    pub member: (u32, u16),
    /// What the rewrite adds to the checksums.
    pub deltas: [[u16; 2]; 2],
    /// The slot of the backend, in tables of this epoch.
    pub backend: (u32, u32),
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
        let mut table = Self { file, mask, secret, sweep: 0, evict: 0, evicted: 0 };
        table.repair();
        table
    }

    /// Live flows.
    pub fn live(&mut self) -> u32 {
        self.file.parts().header.live
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

    /// Where a key is to be found.
    fn place(&self, key: Key) -> Place {
        place(key, self.secret, self.mask)
    }

    /// The parts, for a burst.
    #[inline]
    pub(crate) fn view(&mut self) -> View<'_> {
        let FlowParts { buckets, conns, .. } = self.file.parts();
        View { buckets, conns, mask: self.mask, secret: self.secret }
    }

    /// Looks a key up.
    pub fn find(&mut self, key: Key) -> Found {
        let place = self.place(key);
        self.view().find(key, place)
    }

    /// The flow that was found.
    pub fn conn(&mut self, found: Found) -> Option<&mut Conn> {
        self.file.parts().conns.get_mut(found.entry() as usize)
    }

    /// Enters a flow that is not in the table; nothing if there is no room for it.
    pub fn insert(&mut self, flow: &NewFlow) -> Option<Found> {
        let entry = self.take_entry()?;
        let (member, member_port) = flow.member;
        let client = ipv4::low(flow.from_client.addresses);
        let client_port = crate::wire::tcp::low(flow.from_client.ports);
        let from_member = Key {
            addresses: ipv4::pair(member, client),
            ports: crate::wire::tcp::pair(member_port, client_port),
            protocol: flow.from_client.protocol,
        };
        let places = [self.place(flow.from_client), self.place(from_member)];
        let FlowParts { header, buckets, conns } = self.file.parts();
        let conn = conns.get_mut(entry as usize)?;
        conn.addresses = [flow.from_client.addresses, from_member.addresses];
        conn.ports = [flow.from_client.ports, from_member.ports];
        conn.protocol = from_member.protocol;
        conn.deltas = flow.deltas;
        (conn.last_seen, conn.timeout) = (flow.now, flow.timeout);
        (conn.backend, conn.epoch) = flow.backend;
        // To be looked up when the first packet passes.
        conn.next_hops = [NOBODY; 2];
        conn.flags = 0;
        compiler_fence(Ordering::SeqCst);
        let reply = add_slot(buckets, places[1], entry | DIRECTION);
        let entered = reply && add_slot(buckets, places[0], entry);
        if !entered {
            if reply {
                remove_slot(buckets, places[1], entry | DIRECTION);
            }
            give_back(header, conns, entry);
            return None;
        }
        conns[entry as usize].state = OPENING;
        header.live += 1;
        compiler_fence(Ordering::SeqCst);
        header.in_doubt = NOBODY;
        Some(Found(entry))
    }

    /// Forgets a flow, and returns what it was.
    pub fn remove(&mut self, found: Found) -> Option<Conn> {
        let entry = found.entry();
        let places = self.keys(entry)?.map(|key| self.place(key));
        let FlowParts { header, buckets, conns } = self.file.parts();
        let conn = conns.get_mut(entry as usize).filter(|conn| conn.state != FREE)?;
        let removed = conn.clone();
        header.in_doubt = entry;
        compiler_fence(Ordering::SeqCst);
        conn.state = FREE;
        remove_slot(buckets, places[0], entry);
        remove_slot(buckets, places[1], entry | DIRECTION);
        header.live -= 1;
        give_back(header, conns, entry);
        Some(removed)
    }

    /// The next entry of an endless round over all that were ever used, if it holds a flow.
    pub(crate) fn next_in_round(&mut self) -> Option<(Found, &mut Conn)> {
        let FlowParts { header, conns, .. } = self.file.parts();
        if self.sweep >= header.untouched {
            self.sweep = 0;
        }
        let at = self.sweep;
        self.sweep += 1;
        let conn = conns.get_mut(at as usize).filter(|conn| conn.state != FREE)?;
        Some((Found(at), conn))
    }

    /// Whether a flow can be entered without another one giving way.
    pub(crate) fn has_room(&mut self) -> bool {
        let FlowParts { header, conns, .. } = self.file.parts();
        header.free != NOBODY || (header.untouched as usize) < conns.len()
    }

    /// Entries that were ever used: what a full sweep has to look at.
    pub fn used(&mut self) -> u32 {
        self.file.parts().header.untouched
    }

    fn keys(&mut self, entry: u32) -> Option<[Key; 2]> {
        let conn = self.file.parts().conns.get(entry as usize)?;
        Some([0, 1].map(|way| Key {
            addresses: conn.addresses[way],
            ports: conn.ports[way],
            protocol: conn.protocol,
        }))
    }

    /// A free entry, already in doubt.
    fn take_entry(&mut self) -> Option<u32> {
        if !self.has_room() {
            return None;
        }
        let FlowParts { header, conns, .. } = self.file.parts();
        let entry = if header.free == NOBODY { header.untouched } else { header.free };
        header.in_doubt = entry;
        compiler_fence(Ordering::SeqCst);
        if header.free == NOBODY {
            header.untouched += 1;
        } else {
            header.free = conns.get(entry as usize)?.link;
        }
        Some(entry)
    }

    /// Makes room by forgetting an unfinished handshake, or a flow that is over anyway; returns what it was.
    pub(crate) fn evict(&mut self, now: u32) -> Option<Conn> {
        for _ in 0..EVICTION_SEARCH {
            let conns = self.file.parts().conns;
            let at = self.evict as usize % conns.len();
            self.evict = self.evict.wrapping_add(1);
            let conn = conns.get(at)?;
            let silent = now.wrapping_sub(conn.last_seen) > conn.timeout;
            if conn.state == OPENING || (conn.state != FREE && silent) {
                self.evicted += 1;
                return self.remove(Found(u32::try_from(at).ok()?));
            }
        }
        None
    }

    fn repair(&mut self) {
        let entry = self.file.parts().header.in_doubt;
        if let Some(keys) = self.keys(entry) {
            let [first, second] = keys.map(|key| self.place(key));
            let FlowParts { header, buckets, conns } = self.file.parts();
            clear_slot(buckets, first, entry);
            clear_slot(buckets, second, entry | DIRECTION);
            conns[entry as usize].state = FREE;
            if header.free != entry && entry < header.untouched {
                give_back(header, conns, entry);
            }
        }
        let FlowParts { header, conns, .. } = self.file.parts();
        header.in_doubt = NOBODY;
        let used = header.untouched.min(conns.len() as u32) as usize;
        header.live = 0;
        for conn in conns[..used].iter_mut().filter(|conn| conn.state != FREE) {
            // The slots of the process before mean nothing to this one.
            (conn.backend, conn.epoch) = (NOBODY, NO_EPOCH);
            header.live += 1;
        }
    }
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

    /// The entry that most likely is the one looked for, by its signature alone; it is brought near.
    #[inline]
    pub(crate) fn candidate(&self, place: Place) -> Found {
        let bucket = &self.buckets[(place.bucket & self.mask) as usize];
        let hits = matching_slots(bucket, place.signature);
        if hits == 0 {
            return Found::NOTHING;
        }
        let found = Found(bucket.entries[hits.trailing_zeros() as usize & SLOTS]);
        if let Some(conn) = self.conns.get(found.entry() as usize) {
            prefetch(conn);
        }
        found
    }

    /// The candidate's flow, if it is the one of `key`.
    #[inline]
    pub(crate) fn confirm(&mut self, found: Found, key: Key) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(found.entry() as usize)?;
        is_flow_of(conn, found, key).then_some(conn)
    }

    /// The whole search.
    pub(crate) fn find(&self, key: Key, place: Place) -> Found {
        for step in 0..REACH {
            let bucket = &self.buckets[(place.bucket as usize + step) & self.mask as usize];
            let mut hits = matching_slots(bucket, place.signature);
            while hits != 0 {
                let found = Found(bucket.entries[hits.trailing_zeros() as usize]);
                let conn = self.conns.get(found.entry() as usize);
                if conn.is_some_and(|conn| is_flow_of(conn, found, key)) {
                    return found;
                }
                hits &= hits - 1;
            }
            if bucket.signatures[SLOTS] == 0 {
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

#[inline]
fn is_flow_of(conn: &Conn, found: Found, key: Key) -> bool {
    let way = found.direction() as usize;
    conn.addresses[way] == key.addresses
        && conn.ports[way] == key.ports
        && conn.protocol == key.protocol
        && conn.state != FREE
}

#[inline]
fn fold_multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
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

/// Puts an entry that is in doubt onto the free list; then nothing is in doubt.
fn give_back(header: &mut lb_mem::Header, conns: &mut [Conn], entry: u32) {
    if let Some(conn) = conns.get_mut(entry as usize) {
        conn.link = header.free;
        compiler_fence(Ordering::SeqCst);
        header.free = entry;
    }
    compiler_fence(Ordering::SeqCst);
    header.in_doubt = NOBODY;
}
