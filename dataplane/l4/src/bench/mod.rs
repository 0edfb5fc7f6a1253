//! Measurements of the forwarder on frames made in memory, beside its own no-op forwarding; and on a captured file beside
//! testpmd. Machines are shared and noisy: what is compared runs in turns, and medians are told.

mod memory;
mod report;
mod stage;
mod stopwatch;
mod testpmd;
mod ways;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Connections at a time.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000,10000000")]
    flows: Vec<u32>,
    /// How often everything is measured, in turns.
    #[arg(long, default_value_t = 501)]
    rounds: usize,
    /// Frames in each measurement.
    #[arg(long, default_value_t = 40_000)]
    frames: u64,
    /// The core to measure on.
    #[arg(long, default_value_t = 1)]
    core: u16,
}

#[derive(Debug, Subcommand)]
enum What {
    /// NAT beside testpmd's io, csum and 5tswap, all fed by `net_pcap` from one file.
    Testpmd {
        /// Seconds of each run.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
    },
    /// One run of ours for `testpmd`: reads a file, prints cycles a frame.
    #[command(hide = true)]
    Pcap {
        /// The file.
        file: PathBuf,
        /// How many connections it is of.
        #[arg(long)]
        flows: u32,
        /// For how long.
        #[arg(long)]
        seconds: u64,
    },
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match &options.what {
        None => memory::run(options),
        Some(What::Testpmd { seconds }) => testpmd::compare(options, *seconds),
        Some(What::Pcap { file, flows, seconds }) => testpmd::run_ours(options, file, *flows, *seconds),
    }
}
