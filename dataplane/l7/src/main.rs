//! `penstock-l7`, the layer-7 proxy: it accepts clients' connections at the virtual IPs, understands their requests, and
//! asks members in turn, over connections of its own.
//!
//! Its packets are the kernel's: the forwarder leaves these addresses and ports alone. It needs penstockd only to be
//! told something new: it starts with the last good snapshot.

mod balance;
mod body;
mod client;
mod compress;
mod conduct;
mod connection;
mod control;
mod counters;
mod deadline;
mod drain;
mod exchange;
mod explain;
mod farewell;
mod forward;
mod h1;
mod h2;
mod hello;
mod journal;
mod listen;
mod member_tls;
mod origin;
mod persistence;
mod pick;
mod policy;
mod pool;
mod proxy_protocol;
mod queue;
mod record;
mod refusal;
mod relay;
mod route;
mod serve;
mod service;
mod stream;
mod tls;
mod tunnel;
mod visitors;
mod way;
mod worker;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use lb_link::Listener;
use lb_model::config::ApplianceConfig;

use control::Control;
use worker::Worker;

/// The layer-7 proxy of a Penstock appliance.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = "/etc/penstock/penstock.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,h2=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match read_config(&arguments.config).and_then(|config| run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "penstock-l7: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGTERM or SIGINT.
fn run(config: &ApplianceConfig) -> anyhow::Result<()> {
    let owner = user_id(&config.user)?;
    // First of all: nobody else listens at our addresses while this socket is ours.
    let listener = Listener::bind(&config.l7_socket(), Some(owner))?;
    let workers = config.l7.workers.map_or_else(cores, |workers| usize::from(workers.get()));
    let started = (0..workers).map(Worker::start).collect::<std::io::Result<_>>();
    let control = Arc::new(Control::new(
        started.context("cannot start a worker")?,
        config.state_dir.join("l7/snapshot.json"),
        config.key_file(),
    ));
    control.resume();
    serve::serve(listener, control)?;
    writeln!(std::io::stdout(), "penstock-l7 ready")?;
    tracing::info!(workers, "serving with {workers} workers");
    await_signal()?;
    tracing::info!("stopped");
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn await_signal() -> anyhow::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    signals.forever().next();
    Ok(())
}

fn read_config(path: &Path) -> anyhow::Result<ApplianceConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config: ApplianceConfig = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    config.check().with_context(|| format!("{}", path.display()))?;
    Ok(config)
}

/// The number of a user in /etc/passwd.
fn user_id(name: &str) -> anyhow::Result<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let id = lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)).flatten());
    id.and_then(|id| id.parse().ok()).with_context(|| format!("there is no user `{name}`"))
}
