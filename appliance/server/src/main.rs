//! penstockd: the management API, the database of what is wanted, and the reconciler that brings it about.
//!
//! It runs as an ordinary user. Traffic does not notice whether it runs: what it published, the planes keep.

mod api;
mod backup;
mod config;
mod courier;
mod damaged;
mod domain;
mod events;
mod observed;
mod peer;
mod private_file;
mod probe;
mod reconcile;
mod serve;
mod signin;
mod stats;
mod store;
mod tls;
mod unconfirmed;
mod vault;
mod webhook;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use lb_model::config::ApplianceConfig;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tracing_subscriber::EnvFilter;

use api::App;
use backup::Shelf;
use observed::Observed;
use peer::{Peer, Unwatched};
use reconcile::{Reconciler, Sockets};
use signin::SignIn;
use stats::{History, Sampler};
use store::{OpenError, Store};
use webhook::Reach;

/// The management process of a Penstock appliance.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = "/etc/penstock/penstock.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the description of the API (OpenAPI 3.1) and ends.
    Openapi,
    /// Checks that no line of the audit log was changed or removed, and ends.
    VerifyAudit,
}

fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    let done = match command {
        Some(Command::Openapi) => print_description(),
        Some(Command::VerifyAudit) => verify_audit(&config),
        None => run(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence with its causes; the log may go elsewhere.
            let _ = writeln!(std::io::stderr(), "penstockd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_description() -> anyhow::Result<()> {
    std::io::stdout().write_all(api::description().as_bytes()).context("cannot print the description")
}

/// Reads the database beside a penstockd that may run; says what was found, and fails if it is not well.
fn verify_audit(config: &Path) -> anyhow::Result<()> {
    let database = config::read(config)?.database();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let found = runtime.block_on(async {
        let store = Store::open(&database, Arc::new(Notify::new())).await?;
        anyhow::Ok(store.verify_audit().await?)
    })?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&found)?)?;
    anyhow::ensure!(found.is_intact(), "the audit log is not as it was written");
    Ok(())
}

fn run(config: &Path) -> anyhow::Result<()> {
    log_to_stderr();
    // What is made here is nobody else's to read: the database, keys, the claim code.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let config = config::read(config)?;
    config::prepare_directory(&config.state_dir)?;
    config::prepare_directory(&config.run_dir)?;
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(serve(config))
}

async fn serve(config: ApplianceConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = config.api.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let tls = tls::acceptor(&config.state_dir.join("tls"), listen.ip())?;

    let mut stop = std::pin::pin!(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    });
    let wake = Arc::new(Notify::new());
    let mut announcement = Some(address);
    let store = loop {
        match Store::open(&config.database(), Arc::clone(&wake)).await {
            Err(OpenError::Damaged(reason)) => {
                let waiting = damaged::prepare(&config, reason)?;
                announce(announcement.take())?;
                if !waiting.serve(&listener, tls.clone(), stop.as_mut()).await? {
                    return Ok(());
                }
            }
            opened => break opened?,
        }
    };
    // Only now: a backup that was restored brings its own key.
    vault::open(&config.key_file())?;
    let sign_in = Arc::new(SignIn::prepare(store.clone(), &config.state_dir, &config.run_dir).await?);
    let (events, writing) = events::queue(store.clone());
    let writing = tokio::spawn(writing);
    let sockets = Sockets { l4: config.l4_socket(), l7: config.l7_socket(), host: config.host_socket() };
    let noticed = events.clone();
    let observed = Arc::new(watch::Sender::new(Observed::default()));
    let health = probe::start(store.clone(), events.clone(), observed.subscribe()).await?;
    let reconciler = Reconciler::start(store.clone(), wake, events, health.health(), observed, &sockets)?;
    let history = History::open(&config.state_dir.join("stats.db")).await;
    let sampler = Sampler::new(
        history.clone(),
        reconciler.l4(),
        reconciler.l7(),
        reconciler.observation(),
        health.clone(),
    );
    let reach = Reach { local: config.webhooks.local };
    let app = App {
        store: store.clone(),
        history: history.clone(),
        sign_in: Arc::clone(&sign_in),
        observed: reconciler.observation(),
        l4: reconciler.l4(),
        l7: reconciler.l7(),
        ledgers: reconciler.ledgers(),
        machine: Peer::start(config.host_socket(), Unwatched)?,
        update_file: config.update_file().into(),
        updating: Arc::default(),
        state_dir: config.state_dir.as_path().into(),
        reach,
        shelf: Shelf::open(&config.state_dir).context("cannot use the folder of backups")?,
        health,
        operations: api::Operations::default(),
    };
    let suspecting = tokio::spawn(probe::suspicion::watch(app.observed.clone(), app.health.clone(), noticed));
    let reconciling = tokio::spawn(reconciler.run());
    let measuring = tokio::spawn(sampler.run());
    let unconfirmed = tokio::spawn(unconfirmed::watch(store.clone()));
    let telling = tokio::spawn(webhook::tell(store.clone(), reach));
    let renewing = tokio::spawn(sign_in.keep_keys_fresh());

    announce(announcement)?;
    serve::serve(listener, tls, api::router(app), stop).await;
    suspecting.abort();
    reconciling.abort();
    unconfirmed.abort();
    renewing.abort();
    telling.abort();
    measuring.abort();
    history.close().await;
    writing.abort();
    store.close().await;
    Ok(())
}

/// Who starts this process waits for this line, and may have stopped reading after it.
fn announce(address: Option<SocketAddr>) -> anyhow::Result<()> {
    let Some(address) = address else { return Ok(()) };
    writeln!(std::io::stdout(), "penstockd listening on https://{address}")
        .context("cannot say where it listens")
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
