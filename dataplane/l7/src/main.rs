//! `penstock-l7`, the layer-7 proxy: it accepts clients' connections at the virtual IPs, understands their requests, and
//! asks members in turn, over connections of its own.
//!
//! Its packets are the kernel's: the forwarder leaves these addresses and ports alone. It needs penstockd only to be
//! told something new: it starts with the last good snapshot.

mod balance;
mod body;
mod breaker;
mod client;
mod clock;
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
mod hedge;
mod hello;
mod journal;
mod listen;
mod member_tls;
mod mirror;
mod origin;
mod pace;
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
mod spare;
mod stream;
mod takeover;
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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use lb_link::Listener;
use lb_model::config::ApplianceConfig;

use control::{Control, End, Handing};
use takeover::Sockets;
use worker::Worker;

/// How often a process that is to end looks whether its last connection has.
const LOOK: Duration = Duration::from_millis(200);

/// The layer-7 proxy of a Penstock appliance.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = "/etc/penstock/penstock.toml")]
    config: PathBuf,
    /// Takes the listening sockets over from the process that serves now, which then ends with its last connection.
    #[arg(long)]
    take_over: bool,
    /// Starts another process that does so, and ends once that serves.
    #[arg(long, conflicts_with = "take_over")]
    renew: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,h2=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match follow(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "penstock-l7: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn follow(Arguments { config, take_over, renew }: &Arguments) -> anyhow::Result<()> {
    if *renew {
        return takeover::start_successor(config);
    }
    run(&read_config(config)?, *take_over)
}

/// Runs until SIGTERM or SIGINT, or until another one has taken over and the last connection has ended.
fn run(config: &ApplianceConfig, take_over: bool) -> anyhow::Result<()> {
    let owner = user_id(&config.user)?;
    let (socket, handover) = (config.l7_socket(), Duration::from_secs(config.l7.handover_s.into()));
    let before = if take_over { takeover::ask(&socket)? } else { None };
    let (before, sockets) =
        before.map_or((None, Sockets::new()), |(before, sockets)| (Some(before), sockets));
    // First of all: nobody else listens at our addresses while this socket is ours. In a take-over they are handed over.
    let listener = match &before {
        None => Some(Listener::bind(&socket, Some(owner))?),
        Some(_) => None,
    };
    let workers = config.l7.workers.map_or_else(cores, |workers| usize::from(workers.get()));
    let started = (0..workers).map(Worker::start).collect::<std::io::Result<_>>();
    let (end, ended) = channel();
    let is_handed = !sockets.is_empty();
    let control = Arc::new(Control::new(
        started.context("cannot start a worker")?,
        config.state_dir.join("l7/snapshot.json"),
        config.key_file(),
        Handing { sockets, time: handover, left: end.clone() },
    ));
    let resumed = control.resume();
    anyhow::ensure!(
        resumed || !is_handed,
        "without a snapshot nothing can be done with the sockets of the other"
    );
    if let Some(before) = before {
        // Both accept now. From here on it is this process alone.
        before.retire().context("the other process does not let go")?;
    }
    let listener = listener.map_or_else(|| Listener::replace(&socket, Some(owner)), Ok)?;
    serve::serve(listener, Arc::clone(&control))?;
    writeln!(std::io::stdout(), "{}", takeover::READY)?;
    if let Err(error) = takeover::tell_systemd() {
        tracing::warn!(%error, "systemd cannot be told that this process serves");
    }
    tracing::info!(workers, "serving with {workers} workers");
    await_signal(end)?;
    if let Ok(End::HandedOver) = ended.recv() {
        finish(&control, &ended, handover);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Serves the connections that there still are.
fn finish(control: &Control, ended: &Receiver<End>, time: Duration) {
    tracing::info!(
        "another process has taken over: {} connections are still here",
        control.open_connections()
    );
    let deadline = Instant::now() + time;
    while control.open_connections() > 0 && Instant::now() < deadline {
        if let Ok(End::Signal) = ended.recv_timeout(LOOK) {
            return;
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Tells of a signal when one comes.
fn await_signal(told: Sender<End>) -> anyhow::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        signals.forever().next();
        let _ = told.send(End::Signal);
    })?;
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
