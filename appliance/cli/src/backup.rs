//! Backups: taken, carried away and brought back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Output, Why, applied, listing, pretty, query, save, secret};
use crate::client::{Client, send};

/// What the largest may take on its way.
const PATIENCE: Duration = Duration::from_hours(1);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Takes one, sealed by the passphrase on standard input.
    Take {
        /// Why: kept with it.
        #[arg(short = 'm', long, default_value = "")]
        comment: String,
        /// Also downloads it into this file.
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// Lists those that the appliance keeps, the newest first.
    List,
    /// Downloads one.
    Download {
        backup: String,
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Uploads one from a file.
    Upload {
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Makes the configuration what it was in a backup, which the passphrase on standard input opens.
    Restore {
        backup: String,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Deletes one from the appliance.
    Delete { backup: String },
}

pub(crate) fn run(client: &Client, command: Command, output: Output) -> anyhow::Result<String> {
    match command {
        Command::Take { comment, file } => {
            let body = json!({ "passphrase": secret()? });
            let request = client.request(Method::POST, "/backups").query(&[("comment", comment)]).json(&body);
            let taken = send(request.timeout(PATIENCE))?.json()?;
            if let Some(file) = file {
                fetch(client, taken["id"].as_str().unwrap_or_default(), &file)?;
            }
            Ok(pretty(&taken))
        }
        Command::List => {
            let found = client.get("/backups")?;
            listing(found["items"].as_array().map(Vec::as_slice).unwrap_or_default(), output)
        }
        Command::Download { backup, file } => fetch(client, &backup, &file),
        Command::Upload { file } => {
            let content = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let request = client.request(Method::POST, "/backups/upload").body(content).timeout(PATIENCE);
            Ok(pretty(&send(request.header("content-type", "application/octet-stream"))?.json()?))
        }
        Command::Restore { backup, dry_run, why } => {
            let body = json!({ "passphrase": secret()? });
            let request = client.request(Method::POST, &format!("/backups/{backup}/restore"));
            let request = request.query(&query(dry_run, &why)).json(&body).timeout(PATIENCE);
            Ok(restored(&send(request)?.json()?, output))
        }
        Command::Delete { backup } => {
            send(client.request(Method::DELETE, &format!("/backups/{backup}")))?;
            Ok(String::new())
        }
    }
}

/// What it changed; where a damaged database was replaced, that of which backup.
fn restored(answer: &Value, output: Output) -> String {
    if answer.get("changes").is_some() { applied(answer, output) } else { pretty(answer) }
}

fn fetch(client: &Client, backup: &str, file: &Path) -> anyhow::Result<String> {
    save(client.request(Method::GET, &format!("/backups/{backup}/file")).timeout(PATIENCE), file)
}
