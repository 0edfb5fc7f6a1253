//! penstock-console: what an appliance shows on its screen and serial line, and what can be done to it there. It knows
//! nothing but files that are meant for it and the API, and can do no more than who signs in.
//!
//! `penstock-console provision` is the same without a person: it claims and configures a new appliance as its seed says.

mod appliance;
mod provision;
mod terminal;
mod wizard;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::appliance::Appliance;
use crate::terminal::Terminal;

/// The text wizard of the appliance, on this terminal.
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
    /// Claim and configure a new appliance as its seed says.
    Provision {
        /// The seed's lines.
        #[arg(long, default_value = "/run/penstock-seed")]
        seed: PathBuf,
        /// The whole configuration, in JSON or YAML.
        #[arg(long, default_value = "/run/penstock-configuration")]
        configuration: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { config, command } = Arguments::parse();
    let appliance = Appliance::new(config);
    match command {
        Some(Command::Provision { seed, configuration }) => provision::run(&appliance, &seed, &configuration),
        None => wizard::run(&appliance, &mut Terminal::open()),
    }
}
