//! Frames from any number of workers to one: a queue of fixed size in DPDK's memory, without locks.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::rte_ring;
use thiserror::Error;

use crate::Burst;
use crate::eal::{Eal, error_text, last_error};

/// The end that frames are put into; each worker has one.
#[derive(Clone, Debug)]
pub struct Sender(Arc<Ring>);

/// The end that frames come out of.
#[derive(Debug)]
pub struct Receiver(Arc<Ring>);

/// Why there is no ring.
#[derive(Debug, Error)]
pub enum RingError {
    /// A zero byte in the name.
    #[error("the name of a ring holds a zero byte")]
    Name(#[from] std::ffi::NulError),
    /// Name taken or too long, size not a power of two, no memory.
    #[error("no ring `{name}` for {frames} frames ({reason})")]
    Create {
        /// Its name.
        name: String,
        /// Its size.
        frames: u32,
        /// The text of DPDK's error number.
        reason: String,
    },
}

#[derive(Debug)]
struct Ring(NonNull<rte_ring>);

// SAFETY: made for many producers; the one consumer is the one `Receiver`, which is used exclusively.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

/// Makes a ring that holds one frame less than `frames`, a power of two.
pub fn ring(_eal: Eal, name: &str, frames: u32) -> Result<(Sender, Receiver), RingError> {
    let c_name = CString::new(name)?;
    let (socket, flags) = (dpdk_sys::PENSTOCK_SOCKET_ID_ANY, dpdk_sys::PENSTOCK_RING_F_SC_DEQ);
    // SAFETY: a C string, which DPDK copies.
    let raw = unsafe { dpdk_sys::rte_ring_create(c_name.as_ptr(), frames, socket, flags) };
    let failed = || RingError::Create { name: name.to_owned(), frames, reason: error_text(last_error()) };
    let ring = Arc::new(Ring(NonNull::new(raw).ok_or_else(failed)?));
    Ok((Sender(Arc::clone(&ring)), Receiver(ring)))
}

impl Sender {
    /// Puts frames in from the first on; returns how many. What does not fit stays in `burst`, in order.
    #[inline]
    pub fn send(&mut self, burst: &mut Burst) -> usize {
        let ring = self.0.0.as_ptr();
        // SAFETY: the ring lives as long as `self`, and becomes the owner of as many buffers as it says.
        unsafe {
            burst.give_raw(|slots, count| {
                dpdk_sys::penstock_ring_enqueue_burst(ring, slots, small(count)) as usize
            })
        }
    }
}

impl Receiver {
    /// Appends frames to `burst`, as many as are there and fit; returns how many.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        let ring = self.0.0.as_ptr();
        // SAFETY: the ring lives as long as `self`, which is its only consumer; it holds buffers that came from a burst and have
        // had no owner since.
        unsafe {
            burst.extend_raw(|slots, room| {
                dpdk_sys::penstock_ring_dequeue_burst(ring, slots, small(room)) as usize
            })
        }
    }

    /// Frames waiting.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: the ring lives as long as `self`; DPDK reads two counters.
        unsafe { dpdk_sys::penstock_ring_count(self.0.0.as_ptr()) as usize }
    }

    /// Whether no frame waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut burst = Burst::new();
        while self.receive(&mut burst) > 0 {
            burst.clear();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut burst = Burst::new();
        // SAFETY: both ends are gone, so this is the only user; what was sent after the receiver went is freed, then the ring.
        unsafe {
            while burst.extend_raw(|slots, room| {
                dpdk_sys::penstock_ring_dequeue_burst(self.0.as_ptr(), slots, small(room)) as usize
            }) > 0
            {
                burst.clear();
            }
            dpdk_sys::rte_ring_free(self.0.as_ptr());
        }
    }
}

/// At most [`Burst::CAPACITY`].
#[inline]
#[allow(clippy::cast_possible_truncation)]
fn small(count: usize) -> u32 {
    count as u32
}
