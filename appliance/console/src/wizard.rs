//! The wizard: what the appliance is, and a menu. Everything that changes something wants an administrator to sign in.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

use crate::appliance::{Appliance, Facts, Session};
use crate::terminal::Terminal;

/// How often it looks whether what it shows is still true.
const GLANCE: Duration = Duration::from_secs(2);
/// How long the API may take to be back at another address.
const MOVING: Duration = Duration::from_secs(90);
const MENU: &[(&str, &str, Action)] = &[
    ("1", "set the management address", set_address),
    ("2", "restart", restart),
    ("3", "shut down", shut_down),
    ("4", "go back to the other release", roll_back),
    ("5", "forget everything (factory reset)", reset),
];

type Action = fn(&Appliance, &Facts, &mut Terminal) -> anyhow::Result<()>;

/// For ever, or until the terminal is gone.
pub(crate) fn run(appliance: &Appliance, terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut shown = None;
    loop {
        // While the API does not answer there is nothing to add to what was shown.
        if let Ok(facts) = appliance.facts()
            && shown.as_ref() != Some(&facts)
        {
            terminal.say(&screen(&facts))?;
            shown = Some(facts);
        }
        let Some(line) = terminal.line(GLANCE)? else { continue };
        let Some(facts) = &shown else { continue };
        if let Some((_, _, action)) = MENU.iter().find(|(key, _, _)| *key == line.trim())
            && let Err(error) = action(appliance, facts, terminal)
        {
            terminal.say(&format!("\n  Not done: {error:#}"))?;
        }
        shown = None;
    }
}

fn screen(facts: &Facts) -> String {
    let Facts { version, address, fingerprint, claim_code, recovery_code, ports } = facts;
    let mut text = format!("\n\n  Penstock {version}\n\n  API          https://{address}/api/v1/\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  Certificate  SHA-256 {fingerprint}");
    let _ = match (recovery_code, claim_code) {
        (Some(code), _) => writeln!(
            text,
            "  Its database is damaged: restore a backup, with this code as token, or forget everything.\n  Recovery code {code}"
        ),
        (None, Some(code)) => writeln!(text, "  Claim code   {code}"),
        (None, None) => writeln!(text, "  It is claimed."),
    };
    for port in ports {
        let _ = writeln!(text, "  Port         {port}");
    }
    text.push('\n');
    for (key, what, _) in MENU {
        let _ = writeln!(text, "  {key}  {what}");
    }
    text
}

/// As an administrator; of a new appliance, as its first.
fn sign_in<'a>(
    appliance: &'a Appliance,
    facts: &Facts,
    terminal: &mut Terminal,
) -> anyhow::Result<Session<'a>> {
    if let Some(code) = &facts.recovery_code {
        return Ok(appliance.with_token(code));
    }
    let Some(code) = &facts.claim_code else {
        let username = terminal.ask("Administrator:")?;
        let password = terminal.ask_secret("Password:")?;
        return appliance.sign_in(&username, &password);
    };
    terminal.say("  It is new: say who its administrator will be.")?;
    let username = terminal.ask("Administrator:")?;
    let password = terminal.ask_secret("Password:")?;
    if terminal.ask_secret("Once more:")? != password {
        bail!("these were two different passwords");
    }
    appliance.claim(code, &username, &password)
}

fn confirm(terminal: &mut Terminal, what: &str) -> anyhow::Result<()> {
    if terminal.ask(&format!("{what} Type yes:"))?.trim() == "yes" {
        return Ok(());
    }
    bail!("you did not say yes")
}

fn set_address(appliance: &Appliance, facts: &Facts, terminal: &mut Terminal) -> anyhow::Result<()> {
    let session = sign_in(appliance, facts, terminal)?;
    let address = terminal.ask("Address with prefix length, as 192.0.2.10/24, or dhcp:")?;
    let gateway = if address == "dhcp" { String::new() } else { terminal.ask("Gateway, or nothing:")? };
    session.patch("/api/v1/system/settings", &management(&address, &gateway))?;
    terminal.say("  The API moves there.")?;
    await_api(appliance, &session, &address)?;
    session.post("/api/v1/system/settings/confirm")?;
    Ok(terminal.say("  It is reached there, and stays.")?)
}

fn management(address: &str, gateway: &str) -> Value {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty() && text != "dhcp");
    json!({ "interfaces": { "management": { "address": some(address), "gateway": some(gateway) } } })
}

/// Until it answers at the new address. If it does not, the address before is in force again by itself.
fn await_api(appliance: &Appliance, session: &Session<'_>, address: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let wanted = address.split('/').next().unwrap_or_default();
    while began.elapsed() < MOVING {
        let there = appliance.facts().is_ok_and(|facts| {
            let now = facts.address.ip();
            wanted == now.to_string() || (address == "dhcp" && !now.is_loopback())
        });
        if there && session.get("/api/v1/system/settings").is_ok() {
            return Ok(());
        }
        std::thread::sleep(GLANCE);
    }
    bail!("the API does not answer there; in a moment it is where it was before")
}

fn restart(appliance: &Appliance, facts: &Facts, terminal: &mut Terminal) -> anyhow::Result<()> {
    order(appliance, facts, terminal, "This ends its traffic for a while.", &["restart"])
}

fn shut_down(appliance: &Appliance, facts: &Facts, terminal: &mut Terminal) -> anyhow::Result<()> {
    order(appliance, facts, terminal, "This ends its traffic.", &["shutdown"])
}

fn roll_back(appliance: &Appliance, facts: &Facts, terminal: &mut Terminal) -> anyhow::Result<()> {
    let warning = "It starts the other release, with the configuration of then.";
    order(appliance, facts, terminal, warning, &["rollback", "restart"])
}

fn reset(appliance: &Appliance, facts: &Facts, terminal: &mut Terminal) -> anyhow::Result<()> {
    let warning = "Configuration, accounts, keys and certificates will be gone.";
    order(appliance, facts, terminal, warning, &["factory-reset"])
}

fn order(
    appliance: &Appliance,
    facts: &Facts,
    terminal: &mut Terminal,
    warning: &str,
    orders: &[&str],
) -> anyhow::Result<()> {
    let session = sign_in(appliance, facts, terminal)?;
    confirm(terminal, warning)?;
    for order in orders {
        session.post(&format!("/api/v1/system/{order}"))?;
    }
    Ok(terminal.say("  It is being done.")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_says_how_to_claim_until_it_is_claimed() {
        let facts = Facts {
            version: "v1".to_owned(),
            address: "192.0.2.10:8443".parse().unwrap(),
            fingerprint: "AA:BB".to_owned(),
            claim_code: Some("7K3M".to_owned()),
            recovery_code: None,
            ports: vec!["port1: ens9 by af_xdp".to_owned()],
        };
        let text = screen(&facts);
        for line in [
            "  API          https://192.0.2.10:8443/api/v1/\n",
            "  Claim code   7K3M\n",
            "\n  5  forget everything",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let text = screen(&Facts { claim_code: None, ..facts.clone() });
        assert!(text.contains("  It is claimed.\n") && !text.contains("7K3M"), "{text}");
        let text = screen(&Facts { recovery_code: Some("9QWX".to_owned()), ..facts });
        assert!(text.contains("damaged") && text.contains("9QWX") && !text.contains("7K3M"), "{text}");
    }

    #[test]
    fn an_address_may_come_from_dhcp() {
        let patch =
            |address: &str, gateway: &str| management(address, gateway)["interfaces"]["management"].clone();
        assert_eq!(patch("dhcp", ""), json!({ "address": null, "gateway": null }));
        assert_eq!(patch("192.0.2.10/24", ""), json!({ "address": "192.0.2.10/24", "gateway": null }));
    }
}
