//! The safe edge of DPDK: what the forwarder uses of it, so that no caller needs `unsafe`.
//!
//! | type | is |
//! |---|---|
//! | [`Eal`] | proof that DPDK runs in this process |
//! | [`Mempool`] | where packet buffers come from and go back to |
//! | [`Mbuf`], [`Burst`] | one owned frame; up to [`Burst::CAPACITY`] of them |
//! | [`Port`] | a started device: statistics, link, address |
//! | [`RxQueue`], [`TxQueue`] | one hardware queue, owned: who has it is the only one who polls it |
//! | [`ring`] | frames from one worker to another |
//! | [`Tap`] | the kernel's side of an owned port |
//!
//! Two facts carry most of the safety arguments here:
//!
//! - DPDK's memory and its pools are never given back before the process ends, so a frame needs no lifetime.
//! - No buffer is ever shared or attached (DPDK's reference counts stay at 1), so whoever owns an [`Mbuf`] is alone with
//!   its bytes.
//!
//! What frames mean is the engine's business (`lb-engine`), where they go is `lb-l4`'s.

mod af_packet;
mod af_xdp;
mod burst;
mod device;
mod driver_log;
mod eal;
mod mbuf;
mod mempool;
mod port;
mod queue;
pub mod ring;
mod stats;
mod tap;
mod thread;

pub use burst::{Burst, Drain};
pub use device::{AfXdpMode, Driver};
pub use eal::{Eal, EalConfig, EalError, LogLevel, Memory, MemoryKind};
pub use mbuf::{Checksum, Mbuf, NoRoom};
pub use mempool::{Mempool, MempoolError};
pub use port::{Link, OpenPort, Port, PortConfig, PortError};
pub use queue::{RxQueue, TxQueue};
pub use stats::{ExtendedStat, PortStats};
pub use tap::{Tap, TapError};
pub use thread::{Registration, ThreadError, cycles, pin_current_thread, register_thread};
