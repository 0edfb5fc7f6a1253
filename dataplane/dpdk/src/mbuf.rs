//! One frame in one buffer, owned.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::ptr::NonNull;
use std::slice;

use dpdk_sys::rte_mbuf;
use thiserror::Error;

/// One frame, owned: dropped, its buffer goes back to its pool.
///
/// The frame lies in one piece; what drivers deliver in several is joined or refused when it is received.
#[repr(transparent)]
#[derive(Debug)]
pub struct Mbuf {
    raw: NonNull<rte_mbuf>,
}

// SAFETY: a buffer is a piece of memory that belongs to its owner, on whichever thread; freeing goes to the calling thread's stock.
unsafe impl Send for Mbuf {}
// SAFETY: through a shared reference it can only be read.
unsafe impl Sync for Mbuf {}

/// The buffer has no room for so many bytes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the packet buffer has no room for that")]
pub struct NoRoom;

/// What the network card says of a checksum. Shared ports say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
    /// The bytes are right and the checksum is not in the packet yet: the sender is a guest of the same machine.
    Absent,
}

impl Mbuf {
    /// # Safety
    /// The buffer must come from a pool, be in one piece, and have no other owner.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self { raw }
    }

    /// The frame, from its Ethernet header on, without the checksum at its end.
    #[inline]
    pub fn frame(&self) -> &[u8] {
        let (start, len) = self.extent();
        // SAFETY: drivers and the methods below keep `data_off + data_len <= buf_len`; pool memory is initialised (it comes
        // zeroed from the kernel), lives on, and is this owner's alone.
        unsafe { slice::from_raw_parts(start, len) }
    }

    /// The frame, to be changed in place.
    #[inline]
    pub fn frame_mut(&mut self) -> &mut [u8] {
        let (start, len) = self.extent();
        // SAFETY: as in `frame`, and the reference to the owner is exclusive.
        unsafe { slice::from_raw_parts_mut(start, len) }
    }

    /// The length of the frame in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.fields().data_len)
    }

    /// Whether there is no frame, as after allocation.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Free bytes before the frame.
    #[inline]
    pub fn headroom(&self) -> usize {
        usize::from(self.fields().data_off)
    }

    /// Free bytes after the frame.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let fields = self.fields();
        usize::from(fields.buf_len) - usize::from(fields.data_off) - usize::from(fields.data_len)
    }

    /// Puts `count` bytes before the frame, whose content is left over from earlier; returns the whole frame.
    #[inline]
    pub fn prepend(&mut self, count: usize) -> Result<&mut [u8], NoRoom> {
        if count > self.headroom() {
            return Err(NoRoom);
        }
        self.set_extent(self.headroom() - count, self.len() + count);
        Ok(self.frame_mut())
    }

    /// Puts `count` bytes after the frame, whose content is left over from earlier; returns the whole frame.
    #[inline]
    pub fn append(&mut self, count: usize) -> Result<&mut [u8], NoRoom> {
        if count > self.tailroom() {
            return Err(NoRoom);
        }
        self.set_extent(self.headroom(), self.len() + count);
        Ok(self.frame_mut())
    }

    /// Takes `count` bytes away at the front, or as many as there are.
    #[inline]
    pub fn trim_front(&mut self, count: usize) {
        let count = count.min(self.len());
        self.set_extent(self.headroom() + count, self.len() - count);
    }

    /// Takes away at the end what is longer than `len`.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.set_extent(self.headroom(), self.len().min(len));
    }

    /// Makes the frame `len` bytes long; bytes that it gains are left over from earlier.
    #[inline]
    pub fn set_len(&mut self, len: usize) -> Result<&mut [u8], NoRoom> {
        if len > self.len() + self.tailroom() {
            return Err(NoRoom);
        }
        self.set_extent(self.headroom(), len);
        Ok(self.frame_mut())
    }

    /// Makes the frame a copy of `bytes`.
    #[inline]
    pub fn fill(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.set_len(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// What the card says of the IPv4 header checksum.
    #[inline]
    pub fn ip_checksum(&self) -> Checksum {
        self.checksum(dpdk_sys::PENSTOCK_RX_IP_CKSUM_GOOD, dpdk_sys::PENSTOCK_RX_IP_CKSUM_BAD)
    }

    /// What the card says of the TCP or UDP checksum.
    #[inline]
    pub fn l4_checksum(&self) -> Checksum {
        self.checksum(dpdk_sys::PENSTOCK_RX_L4_CKSUM_GOOD, dpdk_sys::PENSTOCK_RX_L4_CKSUM_BAD)
    }

    /// Whether the card found a checksum wrong.
    #[inline]
    pub fn has_bad_checksum(&self) -> bool {
        // "Absent" sets both bits of a checksum, "bad" one.
        let flags = self.fields().ol_flags;
        let bad = |good: u64, bad: u64| flags & (good | bad) == bad;
        bad(dpdk_sys::PENSTOCK_RX_IP_CKSUM_GOOD, dpdk_sys::PENSTOCK_RX_IP_CKSUM_BAD)
            | bad(dpdk_sys::PENSTOCK_RX_L4_CKSUM_GOOD, dpdk_sys::PENSTOCK_RX_L4_CKSUM_BAD)
    }

    /// Starts loading the first 64 bytes of the frame into the cache.
    #[inline]
    pub fn prefetch(&self) {
        let (start, _) = self.extent();
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast_const().cast()) }
    }

    /// Whether the frame lies in several buffers, which only what a driver just gave can do.
    #[inline]
    pub(crate) fn is_split(&self) -> bool {
        self.fields().nb_segs != 1
    }

    /// Moves a split frame into its first buffer; `false` if it does not fit.
    pub(crate) fn join(&mut self) -> bool {
        // SAFETY: owned, with all its pieces.
        unsafe { dpdk_sys::penstock_mbuf_linearize(self.raw.as_ptr()) == 0 }
    }

    #[inline]
    fn checksum(&self, good: u64, bad: u64) -> Checksum {
        let flags = self.fields().ol_flags;
        match (flags & good != 0, flags & bad != 0) {
            (false, false) => Checksum::Unknown,
            (true, false) => Checksum::Good,
            (false, true) => Checksum::Bad,
            (true, true) => Checksum::Absent,
        }
    }

    #[inline]
    fn fields(&self) -> &rte_mbuf {
        // SAFETY: the buffer lives on and only its owner writes to it; all fields are plain numbers and pointers.
        unsafe { self.raw.as_ref() }
    }

    /// Where the frame starts, and its length.
    #[inline]
    fn extent(&self) -> (*mut u8, usize) {
        let fields = self.fields();
        // SAFETY: the offset lies within the buffer.
        let start = unsafe { fields.buf_addr.cast::<u8>().add(usize::from(fields.data_off)) };
        (start, usize::from(fields.data_len))
    }

    /// The callers have checked that both lie within the buffer, whose length is 16 bits.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn set_extent(&mut self, offset: usize, len: usize) {
        debug_assert!(offset + len <= usize::from(self.fields().buf_len));
        // SAFETY: the owner is referenced exclusively.
        let fields = unsafe { self.raw.as_mut() };
        fields.data_off = offset as u16;
        fields.data_len = len as u16;
        fields.pkt_len = len as u32;
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: owned, and given back once.
        unsafe { dpdk_sys::penstock_mbuf_free(self.raw.as_ptr()) }
    }
}
