//! The queues of a port. A queue is owned, so that one worker polls it: DPDK's queues do not lock.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::Burst;
use crate::device::Device;

/// Where frames come from.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    split_dropped: u64,
    /// Keeps the port open.
    _device: Arc<Device>,
    _not_sync: PhantomData<Cell<()>>,
}

/// Where frames go.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    /// Keeps the port open.
    _device: Arc<Device>,
    _not_sync: PhantomData<Cell<()>>,
}

impl RxQueue {
    pub(crate) fn new(device: Arc<Device>, queue: u16) -> Self {
        Self { port: device.port(), queue, split_dropped: 0, _device: device, _not_sync: PhantomData }
    }

    /// Appends received frames to `burst`, as many as are there and fit; returns how many.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        let before = burst.len();
        // SAFETY: the port is open and the queue this owner's; the driver writes at most `room` buffers, each of one owner.
        // Whether each is in one piece is seen to below, before anyone else can look.
        let received = unsafe {
            burst.extend_raw(|slots, room| {
                usize::from(dpdk_sys::penstock_rx_burst(self.port, self.queue, slots, small(room)))
            })
        };
        let split = burst[before..].iter().any(crate::Mbuf::is_split);
        if split {
            self.split_dropped += burst.join_split(before);
        }
        if split { burst.len() - before } else { received }
    }

    /// Frames that came in several pieces and did not fit one buffer, and so were dropped.
    pub fn split_dropped(&self) -> u64 {
        self.split_dropped
    }

    /// The queue's number at its port.
    pub fn number(&self) -> u16 {
        self.queue
    }

    /// DPDK's number of the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Drops what came before now.
    pub(crate) fn discard_pending(&mut self) {
        // More than any queue holds, so that a busy port cannot keep us here.
        const BURSTS: usize = 128;
        let mut burst = Burst::new();
        for _ in 0..BURSTS {
            if self.receive(&mut burst) == 0 {
                break;
            }
            burst.clear();
        }
    }
}

impl TxQueue {
    pub(crate) fn new(device: Arc<Device>, queue: u16) -> Self {
        Self { port: device.port(), queue, _device: device, _not_sync: PhantomData }
    }

    /// Sends frames from the first on; returns how many. What the driver refused stays in `burst`, in order.
    #[inline]
    pub fn send(&mut self, burst: &mut Burst) -> usize {
        // SAFETY: the port is open and the queue this owner's; the driver becomes the owner of as many buffers as it says.
        unsafe {
            burst.give_raw(|slots, count| {
                usize::from(dpdk_sys::penstock_tx_burst(self.port, self.queue, slots, small(count)))
            })
        }
    }

    /// Makes the driver give back the buffers of frames that have been sent, and send those that the kernel was too busy for.
    ///
    /// AF_XDP does either only when something is sent, so a worker should do this before it naps.
    #[inline]
    pub fn flush(&mut self) {
        // SAFETY: the port is open and the queue this owner's; no buffers are passed.
        unsafe { dpdk_sys::penstock_tx_burst(self.port, self.queue, std::ptr::null_mut(), 0) };
    }

    /// The queue's number at its port.
    pub fn number(&self) -> u16 {
        self.queue
    }

    /// DPDK's number of the port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// At most [`Burst::CAPACITY`].
#[inline]
#[allow(clippy::cast_possible_truncation)]
fn small(count: usize) -> u16 {
    count as u16
}
