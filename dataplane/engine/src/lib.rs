//! The layer-4 engine: bytes in, verdict out.
//!
//! No I/O, no clock, no thread, no NIC: what it needs to know arrives as [`Tables`] and as the tick of the clock. The
//! ports, the rings and the threads are `penstock-l4`'s.

#![allow(
    clippy::cast_possible_truncation,
    reason = "headers, sums and hashes are words taken apart on purpose"
)]

mod admission;
mod answer;
mod cookie;
pub mod counters;
mod drain;
mod ends;
mod errors;
pub mod flow;
mod fragments;
mod half_open;
mod hash;
mod loads;
mod local_ports;
mod mss;
mod mtu;
pub mod network;
mod persistence;
mod pick;
pub mod pipeline;
mod prefixes;
mod ranges;
mod rates;
mod rewrite;
mod schedule;
mod shift;
mod state;
pub mod tables;
mod tunnel;
pub mod verdict;
pub mod wire;

pub use counters::WorkerCounters;
pub use flow::FlowTable;
pub use network::{Network, NextHop, PortView, Route};
pub use pipeline::{Burst, Engine, Explained, FlowPage, Leaving, MAX_BURST, Outbox, Sample};
pub use tables::{Planner, Tables};
pub use verdict::{Awaited, PortIndex, Verdict};

/// The clock of the flow tables: tenths of a second since boot.
pub const TICKS_PER_SECOND: u32 = 10;
