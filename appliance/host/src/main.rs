//! `penstock-host`: the privileged hand. Prepares the ports, holds the virtual addresses and steers packets away from the
//! kernel, as penstockd asks for it over a socket with a fixed list of verbs.
//!
//! What it makes outlives it: while it is away nothing changes, and when it is back it takes up what it finds. It decides
//! nothing; which addresses and packets are wanted is penstockd's business, forwarding them penstock-l4's.

mod diagnosis;
mod host;
mod kernel;
mod machine;
mod nft;
mod placement;
mod plan;
mod serve;
mod settings;
mod state;
mod steering;
mod users;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use lb_link::Listener;
use lb_model::config::ApplianceConfig;
use tracing_subscriber::EnvFilter;

use crate::host::Host;
use crate::machine::Machine;
use crate::serve::Service;
use crate::settings::MachineSettings;

/// The privileged hand of the appliance.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = "/etc/penstock/penstock.toml")]
    config: PathBuf,
    /// Remove everything that was ever made on this host, and end.
    #[arg(long)]
    cleanup: bool,
}

fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    let Arguments { config, cleanup } = Arguments::parse();
    let config = read(&config)?;
    ensure!(rustix::process::geteuid().is_root(), "penstock-host must run as root");
    if cleanup { clean_up(&config) } else { run(config) }
}

fn read(path: &Path) -> anyhow::Result<ApplianceConfig> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config: ApplianceConfig =
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
    config.check().with_context(|| format!("{} is not valid", path.display()))?;
    Ok(config)
}

fn run(config: ApplianceConfig) -> anyhow::Result<()> {
    let user = users::uid(&config.user)?;
    fs::create_dir_all(&config.run_dir)
        .with_context(|| format!("cannot make the directory {}", config.run_dir.display()))?;
    // The socket comes first: who connects early waits, and a second process ends before it touches anything.
    let listener = Listener::bind(&config.host_socket(), Some(user))?;
    let (machine, settings) = (Machine::new(&config), MachineSettings::new(&config));
    let service = Service::resume(Host::prepare(Arc::new(config))?, machine, settings);
    writeln!(io::stdout(), "penstock-host ready")?;
    Err(service.serve(&listener)).context("cannot accept connections any more")
}

fn clean_up(config: &ApplianceConfig) -> anyhow::Result<()> {
    if UnixStream::connect(config.host_socket()).is_ok() {
        bail!("penstock-host is running here: stop it before cleaning up");
    }
    Ok(host::clean_up(config)?)
}
