//! The kernel's settings for interfaces that share an address with a forwarder.

use std::fs;
use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tracing::info;

/// Neighbours to keep without asking, to tolerate, and at most: members and next hops must not push each other out.
const NEIGHBOURS: [(&str, u32); 3] = [("gc_thresh1", 4096), ("gc_thresh2", 16384), ("gc_thresh3", 32768)];

/// Why a setting could not be made.
#[derive(Debug, Error)]
pub(crate) enum SysctlError {
    #[error("cannot read the setting {name}")]
    Read { name: String, source: io::Error },
    #[error("cannot set {name} to {value}")]
    Write { name: String, value: u32, source: io::Error },
    #[error("the setting {name} is `{value}`, which is no number")]
    Number { name: String, value: String },
}

/// Settings of a port's interface.
pub(crate) fn prepare_port(interface: &str) -> Result<(), SysctlError> {
    // Replies of members come in where the route to the client does not lead: loose.
    set(&conf(interface, "rp_filter"), 2)?;
    // An address that comes with its interface announces itself; those added later are announced by `garp`.
    set(&conf(interface, "arp_notify"), 1)?;
    // Clients and members in one network must keep coming through us.
    set(&conf(interface, "send_redirects"), 0)
}

/// Settings of the TAP through which frames come back: from any source, as they came in on another interface.
pub(crate) fn prepare_reinjection(tap: &str) -> Result<(), SysctlError> {
    set(&conf(tap, "rp_filter"), 0)?;
    set(&conf(tap, "send_redirects"), 0)?;
    // The stack must not announce itself on a wire that does not exist.
    set_if_there(&format!("net/ipv6/conf/{tap}/addr_gen_mode"), 1)
}

/// Settings of the TAP of checks, whose other end is the plane. Says whether it can have addresses of IPv6.
pub(crate) fn prepare_probes(tap: &str) -> Result<bool, SysctlError> {
    set(&conf(tap, "send_redirects"), 0)?;
    // Whatever the machine does elsewhere, here its IPv6 is nobody's but the plane's.
    let ipv6 = format!("net/ipv6/conf/{tap}/disable_ipv6");
    set_if_there(&ipv6, 0)?;
    set_if_there(&format!("net/ipv6/conf/{tap}/addr_gen_mode"), 1)?;
    set_if_there(&format!("net/ipv6/conf/{tap}/router_solicitations"), 0)?;
    Ok(path(&ipv6).exists())
}

/// Settings of the whole network namespace. `ours` are the interfaces that have settings of their own.
pub(crate) fn prepare_host(interfaces: &[String], ours: &[String]) -> Result<(), SysctlError> {
    // The stricter of `all` and the interface's own applies (rp_filter), or either (send_redirects): `all` must not
    // override ours, and the others keep what `all` meant for them.
    for setting in ["rp_filter", "send_redirects"] {
        let for_all = get(&conf("all", setting))?;
        if for_all == 0 {
            continue;
        }
        for interface in interfaces.iter().filter(|interface| !ours.contains(interface)) {
            raise(&conf(interface, setting), for_all)?;
        }
        raise(&conf("default", setting), for_all)?;
        set(&conf("all", setting), 0)?;
    }
    let_checks_ping()?;
    raise_neighbour_limits()
}

/// penstockd pings as an ordinary user, by the kernel's socket for it, which nobody may use unless told so.
fn let_checks_ping() -> Result<(), SysctlError> {
    const NAME: &str = "net/ipv4/ping_group_range";
    let written = fs::write(path(NAME), "0 2147483647");
    written.map_err(|source| SysctlError::Write {
        name: NAME.to_owned(),
        value: i32::MAX.unsigned_abs(),
        source,
    })
}

/// The limits are one for the machine, and are seen only outside of network namespaces.
fn raise_neighbour_limits() -> Result<(), SysctlError> {
    const DEFAULTS: &str = "net/ipv4/neigh/default";
    if !path(DEFAULTS).exists() {
        info!("{DEFAULTS} is not to be seen in this network namespace: neighbour limits stay as they are");
        return Ok(());
    }
    NEIGHBOURS.iter().try_for_each(|(limit, least)| raise(&format!("{DEFAULTS}/{limit}"), *least))
}

fn conf(interface: &str, setting: &str) -> String {
    format!("net/ipv4/conf/{interface}/{setting}")
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name)
}

fn get(name: &str) -> Result<u32, SysctlError> {
    let text = fs::read_to_string(path(name))
        .map_err(|source| SysctlError::Read { name: name.to_owned(), source })?;
    let value = text.trim();
    value.parse().map_err(|_| SysctlError::Number { name: name.to_owned(), value: value.to_owned() })
}

fn set(name: &str, value: u32) -> Result<(), SysctlError> {
    fs::write(path(name), value.to_string()).map_err(|source| SysctlError::Write {
        name: name.to_owned(),
        value,
        source,
    })
}

fn set_if_there(name: &str, value: u32) -> Result<(), SysctlError> {
    if path(name).exists() { set(name, value) } else { Ok(()) }
}

fn raise(name: &str, least: u32) -> Result<(), SysctlError> {
    if get(name)? < least { set(name, least) } else { Ok(()) }
}
