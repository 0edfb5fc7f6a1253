//! The bytes of the flow file. Indexes, no pointers; every bit pattern is a valid value of every field, so that a file
//! left behind by a killed process can be mapped whatever it holds.

/// Raised with every change of [`Header`], [`Bucket`], [`Conn`] or [`Wide`]: a file of another version is not attached.
pub const LAYOUT_VERSION: u32 = 4;

/// Slots in a bucket of the index.
pub const SLOTS: usize = 7;

/// An index that stands for no entry.
pub const NOBODY: u32 = u32::MAX;

/// In [`Header::in_doubt`]: the entry is the first of a pair.
pub const PAIR: u32 = 1 << 31;

/// The first page of the file.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Header {
    pub(crate) magic: u64,
    pub(crate) version: u32,
    pub(crate) capacity: u32,
    pub(crate) bucket_count: u32,
    reserved: u32,
    pub(crate) boot: [u8; 16],
    /// Keys the hash, so that nobody outside can aim at one bucket.
    pub secret: [u64; 2],
    /// The entry that is being inserted or removed right now, with [`PAIR`] if the next one belongs to it; or [`NOBODY`]:
    /// after a crash only this one is in doubt.
    pub in_doubt: u32,
    /// Entries from here on were never used; an even number.
    pub untouched: u32,
    /// Live flows.
    pub live: u32,
}

/// One cache line of the index: what hashes here, by signature, and where its entry is.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Bucket {
    /// Signatures of the slots, 0 for a free one; the last word counts entries that hash here and found no slot.
    pub signatures: [u32; SLOTS + 1],
    /// For each slot the entry, with the direction in the highest bit; the last word is unused.
    pub entries: [u32; SLOTS + 1],
}

/// One connection, both directions, in one cache line. Addresses and ports are in network byte order as loaded
/// from the packet. One that is IPv6 in a direction has two neighbouring entries, the first with an even number: this, and
/// its [`Wide`].
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Conn {
    /// Source and destination of packets from the client, and of packets from the member; of IPv6 a digest of them.
    pub addresses: [u64; 2],
    /// Their ports, likewise.
    pub ports: [u32; 2],
    /// Where the backend was when last looked up.
    pub backend: u32,
    /// For packets from the client, and for packets from the member: where the next hop was when last looked up. In an entry
    /// that holds no connection: the next and the previous free one.
    pub next_hops: [u32; 2],
    /// The epoch of the tables that `backend` and `next_hops` were looked up in.
    pub epoch: u32,
    /// When the last packet was seen, in ticks.
    pub last_seen: u32,
    /// After how many ticks of silence the flow ends.
    pub timeout: u32,
    /// What the rewrite adds to the checksums of the IP header and of the transport: of packets from the client, and from
    /// the member.
    pub deltas: [[u16; 2]; 2],
    /// The state of the connection; 0 for an entry that holds none.
    pub state: u8,
    /// The transport protocol of packets from the client, and of packets from the member; with [`WIDE`] in IPv6.
    pub protocols: [u8; 2],
    /// Bits of the state, per protocol.
    pub flags: u8,
    /// How its packets are rewritten: 0 to and from the member's address, anything else not at all.
    pub mode: u8,
    tie: [u8; 3],
}

/// In [`Conn::tie`]: to nothing.
pub const NO_TIE: u32 = 0xff_ffff;

impl Conn {
    /// What else belongs to it: where it is counted as long as its handshake is under way, or the entry of its numbers.
    #[must_use]
    pub fn tie(&self) -> u32 {
        let [a, b, c] = self.tie;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// Ties it to something: a number below [`NO_TIE`], or that.
    pub fn set_tie(&mut self, to: u32) {
        let [a, b, c, _] = to.min(NO_TIE).to_le_bytes();
        self.tie = [a, b, c];
    }
}

/// In [`Conn::protocols`]: the direction is IPv6. No transport protocol that is forwarded has this bit in its number.
pub const WIDE: u8 = 0x40;

/// The IPv6 addresses of a connection, in network byte order as loaded from the packet: source and destination of packets
/// from the client, and of packets from the member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Wide(pub [[u64; 4]; 2]);

const _: () = {
    assert!(size_of::<Header>() <= 4096);
    assert!(size_of::<Bucket>() == 64);
    assert!(size_of::<Conn>() == 64);
    assert!(size_of::<Wide>() == size_of::<Conn>() && align_of::<Wide>() == align_of::<Conn>());
};
