//! TAPs: interfaces whose wire is a process. Ours are persistent, so that they outlive that process.

use std::io;
use std::process::Command;

use thiserror::Error;
use tracing::info;

use super::link::Link;
use super::netlink::{Netlink, NetlinkError};

/// Left on every TAP that this process makes: only those are ever removed.
pub(crate) const MARK: &str = "made by penstock-host";

/// Why a TAP could not be made.
#[derive(Debug, Error)]
pub(crate) enum TapError {
    #[error("cannot start `ip` to make the TAP `{name}`")]
    Start { name: String, source: io::Error },
    #[error("cannot make the TAP `{name}`: {said}")]
    Make { name: String, said: String },
    #[error("`{0}` is there and is no TAP: rename it, or give the port's twin another name")]
    NotATap(String),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// The TAP of this name: the one that is there, with all that was configured on it, or a new one.
pub(crate) fn ensure(netlink: &mut Netlink, name: &str) -> Result<Link, TapError> {
    match netlink.find_link(name)? {
        Some(link) if link.is_tap => return Ok(link),
        Some(_) => return Err(TapError::NotATap(name.to_owned())),
        None => make(name)?,
    }
    let link = netlink.link(name)?;
    netlink.set_alias(&link, MARK)?;
    info!(interface = name, "made the TAP {name}");
    Ok(link)
}

/// Removes every TAP that this process made.
pub(crate) fn remove_ours(netlink: &mut Netlink) -> Result<(), TapError> {
    for link in netlink.links()?.iter().filter(|link| link.alias.as_deref() == Some(MARK)) {
        netlink.delete_link(link)?;
        info!(interface = link.name, "removed the TAP {}", link.name);
    }
    Ok(())
}

// A TAP is made by an ioctl on its device, not over netlink.
fn make(name: &str) -> Result<(), TapError> {
    let output = Command::new("ip")
        .args(["tuntap", "add", "dev", name, "mode", "tap", "user", "root"])
        .output()
        .map_err(|source| TapError::Start { name: name.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(TapError::Make { name: name.to_owned(), said })
}
