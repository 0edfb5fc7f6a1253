//! Workers are ordinary threads: this pins them to a core and gives them what DPDK keeps for each core.

use core::arch::x86_64::_rdtsc;
use std::io;
use std::marker::PhantomData;

use rustix::thread::{CpuSet, sched_setaffinity};
use thiserror::Error;

use crate::eal::{Eal, error_text, last_error};

/// Why a thread cannot be a worker.
#[derive(Debug, Error)]
pub enum ThreadError {
    /// There is no such core, or this process may not use it.
    #[error("cannot run on core {core}")]
    Pin {
        /// The core.
        core: u16,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The thread that started the EAL, or one that did this before.
    #[error("this thread is known to DPDK already")]
    AlreadyRegistered,
    /// Mostly: too many.
    #[error("DPDK does not take another thread ({0})")]
    Register(String),
}

/// This thread is known to DPDK, and has a stock of packet buffers of its own, until this is dropped.
#[derive(Debug)]
pub struct Registration {
    /// What DPDK knows is this thread, so the proof stays on it.
    _not_send: PhantomData<*const ()>,
}

/// Ticks of the CPU's clock, of which [`Eal::cycles_per_second`] go into a second.
#[inline]
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 has the instruction, and Linux lets everybody use it.
    unsafe { _rdtsc() }
}

/// Keeps this thread on one core.
pub fn pin_current_thread(core: u16) -> Result<(), ThreadError> {
    let index = usize::from(core);
    if index >= CpuSet::MAX_CPU {
        return Err(ThreadError::Pin { core, source: io::ErrorKind::InvalidInput.into() });
    }
    let mut set = CpuSet::new();
    set.set(index);
    sched_setaffinity(None, &set).map_err(|error| ThreadError::Pin { core, source: error.into() })
}

/// Makes this thread known to DPDK. Pin it first; open ports before the first thread is registered.
pub fn register_thread(_eal: Eal) -> Result<Registration, ThreadError> {
    // SAFETY: reads a thread-local variable.
    if unsafe { dpdk_sys::penstock_lcore_id() } != dpdk_sys::PENSTOCK_LCORE_ID_ANY {
        return Err(ThreadError::AlreadyRegistered);
    }
    // SAFETY: the EAL runs, and does not know this thread.
    if unsafe { dpdk_sys::rte_thread_register() } < 0 {
        return Err(ThreadError::Register(error_text(last_error())));
    }
    Ok(Registration { _not_send: PhantomData })
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: this thread was registered, and cannot have been unregistered otherwise.
        unsafe { dpdk_sys::rte_thread_unregister() }
    }
}
