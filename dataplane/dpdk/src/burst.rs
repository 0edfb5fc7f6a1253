//! A few frames in a row, as they are received and sent.

use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::slice;

use dpdk_sys::rte_mbuf;

use crate::Mbuf;

/// Up to [`Burst::CAPACITY`] frames, in order. As a slice it can be indexed and iterated; nothing here allocates.
#[derive(Debug)]
pub struct Burst {
    len: usize,
    /// The first `len` are initialised.
    slots: [MaybeUninit<Mbuf>; Burst::CAPACITY],
}

impl Burst {
    /// How many frames fit.
    pub const CAPACITY: usize = 64;

    /// An empty one.
    #[inline]
    pub const fn new() -> Self {
        Self { len: 0, slots: [const { MaybeUninit::uninit() }; Self::CAPACITY] }
    }

    /// How many more frames fit.
    #[inline]
    pub fn room(&self) -> usize {
        Self::CAPACITY - self.len
    }

    /// Whether no more frame fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == Self::CAPACITY
    }

    /// Appends a frame; a full burst gives it back.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        let Some(slot) = self.slots.get_mut(self.len) else { return Err(mbuf) };
        slot.write(mbuf);
        self.len += 1;
        Ok(())
    }

    /// Takes the last frame out.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the slot was within `len` and no longer is, so it is read once.
        Some(unsafe { self.slots[self.len].assume_init_read() })
    }

    /// Takes all frames out, first to last. What is not taken from the iterator is dropped with it.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let end = mem::take(&mut self.len);
        Drain { burst: self, next: 0, end }
    }

    /// Drops all frames.
    #[inline]
    pub fn clear(&mut self) {
        let len = mem::take(&mut self.len);
        // SAFETY: the first `len` slots were initialised and are no longer within `self.len`.
        unsafe { free(&mut self.slots[..len]) }
    }

    /// The frames' bytes, each to be changed in place.
    #[inline]
    pub fn frames_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [u8]> {
        self.iter_mut().map(Mbuf::frame_mut)
    }

    /// Joins the split frames from `first` on, drops those that fit no buffer, and returns how many these were.
    #[cold]
    pub(crate) fn join_split(&mut self, first: usize) -> u64 {
        let mut kept = Self::new();
        let mut dropped = 0;
        for (index, mut mbuf) in self.drain().enumerate() {
            if index < first || !mbuf.is_split() || mbuf.join() {
                // As many fit as came from a burst.
                let _ = kept.push(mbuf);
            } else {
                dropped += 1;
            }
        }
        *self = kept;
        dropped
    }

    /// Lets `fill` write buffers to free slots: it gets their address and number, and says how many it wrote from the first on.
    ///
    /// # Safety
    /// `fill` must write as many buffers as it says, at most as many as there are slots, and each must meet the contract of
    /// [`Mbuf::from_raw`].
    #[inline]
    pub(crate) unsafe fn extend_raw(
        &mut self,
        fill: impl FnOnce(*mut *mut rte_mbuf, usize) -> usize,
    ) -> usize {
        let room = self.room();
        // `Mbuf` is transparent over the pointer that DPDK writes.
        let first = self.slots[self.len..].as_mut_ptr().cast::<*mut rte_mbuf>();
        let written = fill(first, room);
        debug_assert!(written <= room);
        self.len += written;
        written
    }

    /// Lets `take` have buffers from the first on: it gets their address and number, and says how many it took.
    ///
    /// # Safety
    /// `take` must have become the owner of as many buffers as it says, at most of all, and of no others.
    #[inline]
    pub(crate) unsafe fn give_raw(&mut self, take: impl FnOnce(*mut *mut rte_mbuf, usize) -> usize) -> usize {
        let given = take(self.slots.as_mut_ptr().cast(), self.len);
        debug_assert!(given <= self.len);
        let left = self.len - given;
        self.len = left;
        // Mostly all are taken.
        if given > 0 && left > 0 {
            let first = self.slots.as_mut_ptr();
            // SAFETY: both ranges lie within the initialised slots; the given ones are overwritten, not dropped.
            unsafe { first.add(given).copy_to(first, left) };
        }
        given
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Burst {
    type Target = [Mbuf];

    #[inline]
    fn deref(&self) -> &[Mbuf] {
        // SAFETY: the first `len` slots are initialised.
        unsafe { slice::from_raw_parts(self.slots.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Burst {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: the first `len` slots are initialised.
        unsafe { slice::from_raw_parts_mut(self.slots.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Burst {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

/// The frames of a burst, being taken out.
#[derive(Debug)]
pub struct Drain<'a> {
    burst: &'a mut Burst,
    /// The slots from here to `end` are initialised, and outside the burst's `len`.
    next: usize,
    end: usize,
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.end {
            return None;
        }
        let index = self.next;
        self.next += 1;
        // SAFETY: the slot was within `next..end`, and so within the slots, and no longer is, so it is read once.
        Some(unsafe { self.burst.slots.get_unchecked(index).assume_init_read() })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Drain<'_> {}

impl Drop for Drain<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: these slots are initialised, and nobody else will read them.
        unsafe { free(&mut self.burst.slots[self.next..self.end]) }
    }
}

/// Gives buffers back to their pools in one call.
///
/// # Safety
/// The slots must be initialised, and not be read afterwards.
#[inline]
unsafe fn free(slots: &mut [MaybeUninit<Mbuf>]) {
    if slots.is_empty() {
        return;
    }
    // At most `CAPACITY`, which fits.
    #[allow(clippy::cast_possible_truncation)]
    let count = slots.len() as u32;
    // SAFETY: initialised slots hold pointers to buffers that the caller owned.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(slots.as_mut_ptr().cast(), count) }
}
