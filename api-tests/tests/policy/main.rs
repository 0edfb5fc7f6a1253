//! What the tree promises about itself: which crate knows which, where `unsafe` may be, what is depended on.

mod arrows;
mod dependencies;
mod unsafe_code;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The folder with the workspace's `Cargo.toml`.
fn workspace() -> PathBuf {
    PathBuf::from("..")
}

/// The product's platform.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `cargo` prints.
fn cargo(arguments: &[&str]) -> Result<String> {
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("cargo printed no text")
}

/// What Cargo knows about the workspace and all it depends on.
fn metadata() -> Result<Value> {
    let printed = cargo(&["metadata", "--format-version", "1", "--filter-platform", TARGET])?;
    serde_json::from_str(&printed).context("cargo printed no JSON")
}

/// The packages of the graph, or of another list in [`metadata`].
fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value[field].as_array().with_context(|| format!("no list `{field}`"))
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field].as_str().with_context(|| format!("no text `{field}`"))
}
