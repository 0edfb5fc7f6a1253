//! A new appliance without a person: claimed and configured as its seed says, once.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::appliance::{Appliance, Facts};

/// It is there once all that the seed wants is done. A factory reset removes it.
const DONE: &str = "provisioned";
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for the API. Without a password in the seed there is nothing to do.
pub(crate) fn run(appliance: &Appliance, seed: &Path, configuration: &Path) -> anyhow::Result<()> {
    let done = appliance.state_dir()?.join(DONE);
    let Some((username, password)) = administrator(&read(seed)?) else { return Ok(()) };
    if done.exists() {
        return Ok(());
    }
    let Facts { claim_code, .. } = await_api(appliance);
    // Claimed already: the power failed behind that, or the configuration was refused.
    let session = match claim_code {
        Some(code) => appliance.claim(&code, &username, &password).context("the seed's administrator")?,
        None => appliance.sign_in(&username, &password).context("the seed's administrator")?,
    };
    let document = read(configuration)?;
    if !document.trim().is_empty() {
        let kind =
            if document.trim_start().starts_with('{') { "application/json" } else { "application/yaml" };
        session
            .put("/api/v1/config?comment=from%20the%20seed", kind, document)
            .context("the seed's configuration")?;
    }
    fs::write(&done, b"").with_context(|| format!("cannot write {}", done.display()))?;
    writeln!(io::stdout(), "This appliance is claimed and configured as its seed says.")?;
    Ok(())
}

fn await_api(appliance: &Appliance) -> Facts {
    loop {
        match appliance.facts() {
            Ok(facts) => return facts,
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Name and password of the first administrator. The name is `admin` unless the seed has another.
fn administrator(seed: &str) -> Option<(String, String)> {
    let value = |name: &str| {
        let mut lines = seed.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        lines.next_back().filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let username = value("admin.username").unwrap_or_else(|| "admin".to_owned());
    Some((username, value("admin.password")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_names_the_administrator() {
        let pair = |username: &str, password: &str| Some((username.to_owned(), password.to_owned()));
        assert_eq!(administrator("admin.password=a=b\n"), pair("admin", "a=b"));
        assert_eq!(administrator("admin.username=eva\nadmin.password=x\n"), pair("eva", "x"));
        assert_eq!(administrator("admin.username=eva\nadmin.password=\n"), None);
    }
}
