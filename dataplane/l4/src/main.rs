//! `penstock-l4`, the layer-4 forwarder: one worker on each configured core, a mirror of the kernel's tables, and a socket for
//! penstockd.
//!
//! It needs penstockd only to be told something new: it starts with the last good snapshot and the flows that the process
//! before it left.

mod answers;
mod bench;
mod clock;
mod control;
mod forwarder;
mod generator;
mod hold;
mod idle;
mod kernel;
mod ports;
mod serve;
mod shared;
mod sight;
mod ways;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use lb_model::config::ApplianceConfig;

/// The layer-4 forwarder of a Penstock appliance.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = "/etc/penstock/penstock.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the forwarder on frames made in memory.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match arguments.command {
        Some(Command::Bench(options)) => bench::run(&options),
        None => read_config(&arguments.config).and_then(|config| forwarder::run(&config)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penstock-l4: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read_config(path: &Path) -> anyhow::Result<ApplianceConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config: ApplianceConfig = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    config.check().with_context(|| format!("{}", path.display()))?;
    Ok(config)
}
