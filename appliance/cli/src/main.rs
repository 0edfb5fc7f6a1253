//! penstock: the API from a command line. It knows nothing that the API does not say.
//!
//! It ends with 0 if all is well, 1 if `diff` found a difference, 2 if it was called wrongly, 3 if the appliance refused what
//! was asked, 4 if it does not let who asks, and 5 if it cannot be reached or failed.

mod backup;
mod client;
mod show;
mod sight;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use reqwest::Method;
use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

use client::{Client, Refused, download, reach, send};

/// A Penstock appliance from the command line.
#[derive(Parser)]
#[command(name = "penstock", version)]
struct Arguments {
    /// The appliance, as `https://192.0.2.1:8443`.
    #[arg(long, global = true, env = "PENSTOCK_URL", default_value = "https://127.0.0.1:8443")]
    url: String,
    /// An API token, or what `login` printed.
    #[arg(long, global = true, env = "PENSTOCK_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The one certificate to trust (PEM); without it those of the system.
    #[arg(long, global = true, env = "PENSTOCK_CERTIFICATE")]
    certificate: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Signs in with the password on standard input, and prints a token that is good for ten minutes.
    Login {
        username: String,
        /// What the device of your second factor shows, or a recovery code.
        #[arg(long)]
        code: Option<String>,
    },
    /// How the appliance is.
    Status,
    /// Lists resources, as `pools` or `pools/<id>/members`, or shows one.
    Get { resource: String },
    /// Creates a resource from JSON, or from standard input.
    Create { resource: String, document: Option<String> },
    /// Changes a resource by a JSON merge patch, or one from standard input.
    Patch { resource: String, document: Option<String> },
    /// Deletes a resource.
    Delete { resource: String },
    /// Prints the whole configuration as YAML, or as JSON with `--output json`.
    Export {
        /// With identifiers; without them references are by name.
        #[arg(long)]
        ids: bool,
    },
    /// Makes the configuration what a file says (JSON or YAML; `-` is standard input).
    Apply {
        #[arg(short, long)]
        file: PathBuf,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Says what `apply` would change; ends with 1 if anything.
    Diff {
        #[arg(short, long)]
        file: PathBuf,
    },
    /// What was changed, the newest first; or what one revision changed.
    History { generation: Option<u64> },
    /// Makes everything as it was when the configuration had this number.
    Rollback {
        generation: u64,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Keeps a change that would revert by itself.
    Confirm { generation: u64 },
    /// What happened, the newest first; with `--follow` as it happens.
    Events {
        #[arg(short, long)]
        follow: bool,
    },
    /// Lists connections of layer 4.
    Connections {
        #[command(flatten)]
        wanted: sight::Wanted,
    },
    /// Lists the last requests of layer 7, the newest first.
    Requests {
        #[command(flatten)]
        wanted: sight::WantedRequests,
    },
    /// Ends a connection, by the identifier that `connections` shows.
    End { connection: String },
    /// Says what would become of a packet, and why; nothing is sent or counted.
    Explain {
        #[command(flatten)]
        packet: sight::Packet,
    },
    /// Checks that no line of the audit log was changed or removed.
    VerifyAudit,
    /// Writes a file with what helps to find a fault (tar, gzip), without secrets.
    SupportBundle {
        #[arg(short, long, default_value = "penstock-support.tar.gz")]
        file: PathBuf,
    },
    /// Backups: everything in a file that a passphrase seals. The passphrase comes on standard input.
    Backup {
        #[command(subcommand)]
        command: backup::Command,
    },
    /// Prints what a shell needs to complete commands.
    Completion { shell: Shell },
}

#[derive(clap::Args)]
struct Why {
    /// Why: kept with the revision.
    #[arg(short = 'm', long, default_value = "")]
    comment: String,
    /// Revert by itself after so many seconds, unless confirmed.
    #[arg(long)]
    confirm_within: Option<u32>,
}

fn main() -> ExitCode {
    let error = match run(Arguments::parse()) {
        Ok(code) => return code,
        Err(error) => error,
    };
    // One sentence, or one for each wrong field.
    let _ = writeln!(std::io::stderr(), "penstock: {error:#}");
    match error.downcast_ref::<Refused>() {
        Some(Refused::Wrong(_)) => ExitCode::from(3),
        Some(Refused::NotAllowed(_)) => ExitCode::from(4),
        Some(Refused::Unavailable(_)) => ExitCode::from(5),
        None => ExitCode::from(2),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { url, token, certificate, output, command } = arguments;
    let client = Client::new(&url, token, certificate.as_deref())?;
    let text = match command {
        Command::Login { username, code } => login(&client, &username, code.as_deref())?,
        Command::Status => pretty(&client.get("/status")?),
        Command::Get { resource } => get(&client, &resource, output)?,
        Command::Create { resource, document } => {
            let request = client.request(Method::POST, &path(&resource)).body(given(document)?);
            pretty(&send(request.header("content-type", "application/json"))?.json()?)
        }
        Command::Patch { resource, document } => {
            let request = client.request(Method::PATCH, &path(&resource)).body(given(document)?);
            let request =
                request.header("if-match", "*").header("content-type", "application/merge-patch+json");
            pretty(&send(request)?.json()?)
        }
        Command::Delete { resource } => {
            send(client.request(Method::DELETE, &path(&resource)).header("if-match", "*"))?;
            String::new()
        }
        Command::Export { ids } => export(&client, ids, output)?,
        Command::Apply { file, dry_run, why } => applied(&apply(&client, &file, dry_run, &why)?, output),
        Command::Diff { file } => {
            let found = apply(&client, &file, true, &Why { comment: String::new(), confirm_within: None })?;
            say(&applied(&found, output))?;
            let same = found["changes"].as_array().is_some_and(Vec::is_empty);
            return Ok(ExitCode::from(u8::from(!same)));
        }
        Command::History { generation: None } => listed(&client, "/revisions?limit=50", output)?,
        Command::History { generation: Some(generation) } => {
            applied(&client.get(&format!("/revisions/{generation}"))?, output)
        }
        Command::Rollback { generation, dry_run, why } => {
            let request = client.request(Method::POST, &format!("/revisions/{generation}/rollback"));
            applied(&send(request.query(&query(dry_run, &why)))?.json()?, output)
        }
        Command::Confirm { generation } => {
            send(client.request(Method::POST, &format!("/revisions/{generation}/confirm")))?;
            String::new()
        }
        Command::Events { follow: false } => listed(&client, "/events?limit=50", output)?,
        Command::Events { follow: true } => return follow(&client, output),
        Command::Connections { wanted } => {
            let found = sight::connections(&client, &wanted)?;
            listing(&if output == Output::Table { sight::flat(&found) } else { found }, output)?
        }
        Command::Requests { wanted } => {
            let found = sight::requests(&client, &wanted)?;
            listing(&if output == Output::Table { sight::lines(&found) } else { found }, output)?
        }
        Command::End { connection } => {
            sight::end_connection(&client, &connection)?;
            String::new()
        }
        Command::Explain { packet } => {
            let found = sight::explain(&client, &packet)?;
            if output == Output::Table { sight::told(&found) } else { pretty(&found) }
        }
        Command::VerifyAudit => {
            let found = client.get("/audit/verification")?;
            say(&pretty(&found))?;
            return Ok(ExitCode::from(u8::from(found["intact"] != true)));
        }
        Command::SupportBundle { file } => support_bundle(&client, &file)?,
        Command::Backup { command } => backup::run(&client, command, output)?,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "penstock", &mut std::io::stdout());
            String::new()
        }
    };
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("cannot print")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn path(resource: &str) -> String {
    format!("/{}", resource.trim_matches('/'))
}

/// The document that was given, or what comes on standard input.
fn given(document: Option<String>) -> anyhow::Result<String> {
    match document {
        Some(document) => Ok(document),
        None => read(Path::new("-")),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(text)
}

fn support_bundle(client: &Client, file: &Path) -> anyhow::Result<String> {
    save(client.request(Method::GET, "/system/support-bundle"), file)
}

/// Written beside its place and moved there, so that half of one is never taken for a whole.
fn save(request: RequestBuilder, file: &Path) -> anyhow::Result<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    download(request, &mut part)?;
    part.persist(file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(format!("{}\n", file.display()))
}

/// What comes on standard input, without the end of its line.
fn secret() -> anyhow::Result<String> {
    Ok(read(Path::new("-"))?.trim_end_matches(['\r', '\n']).to_owned())
}

fn login(client: &Client, username: &str, code: Option<&str>) -> anyhow::Result<String> {
    let password = secret()?;
    let body = json!({ "username": username, "password": password, "code": code });
    let session = send(client.request(Method::POST, "/sessions").json(&body))?.json()?;
    Ok(session["access_token"].as_str().unwrap_or_default().to_owned())
}

/// A list where the address is that of a list, else the one.
fn get(client: &Client, resource: &str, output: Output) -> anyhow::Result<String> {
    let found = client.get(&path(resource))?;
    if found.get("items").is_none() {
        return Ok(pretty(&found));
    }
    listing(&client.list(&path(resource))?, output)
}

fn listed(client: &Client, path: &str, output: Output) -> anyhow::Result<String> {
    let page = client.get(path)?;
    listing(page["items"].as_array().map(Vec::as_slice).unwrap_or_default(), output)
}

fn listing(items: &[Value], output: Output) -> anyhow::Result<String> {
    match output {
        Output::Table => Ok(show::table(items)),
        Output::Json => serde_json::to_string_pretty(items).context("cannot print"),
    }
}

fn export(client: &Client, ids: bool, output: Output) -> anyhow::Result<String> {
    let kind = if output == Output::Json { "application/json" } else { "application/yaml" };
    let request = client.request(Method::GET, &format!("/config?ids={ids}")).header("accept", kind);
    Ok(send(request)?.text)
}

fn apply(client: &Client, file: &Path, dry_run: bool, why: &Why) -> anyhow::Result<Value> {
    let text = read(file)?;
    let kind = if text.trim_start().starts_with('{') { "application/json" } else { "application/yaml" };
    let request = client.request(Method::PUT, "/config").query(&query(dry_run, why)).body(text);
    send(request.header("if-match", "*").header("content-type", kind))?.json()
}

fn query(dry_run: bool, Why { comment, confirm_within }: &Why) -> Vec<(&'static str, String)> {
    let mut query = vec![("dry_run", dry_run.to_string()), ("comment", comment.clone())];
    query.extend(confirm_within.map(|seconds| ("confirm_within", seconds.to_string())));
    query
}

fn applied(found: &Value, output: Output) -> String {
    match output {
        Output::Table => show::changes(found),
        Output::Json => pretty(found),
    }
}

/// Prints events as they come, until the connection or the reader ends.
fn follow(client: &Client, output: Output) -> anyhow::Result<ExitCode> {
    let stream = reach(client.request(Method::GET, "/events/stream"))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| Refused::Unavailable(error.to_string()))?;
        let Some(event) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(event)?;
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match output {
            Output::Json => say(&event.to_string())?,
            Output::Table => say(&format!("{}  {}  {}", text("at"), text("kind"), text("message")))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
