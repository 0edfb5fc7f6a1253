//! What the machine is told about itself and its network, beside what is balanced: its name, its time, its addresses.
//!
//! Two forms: JSON in the API, and lines `name=value`, which are those of a seed and which the image's scripts read.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::addr::{AddressError, PrefixError, check_host_address};
use crate::{L4Port, Prefix};

/// The interface that the API is reached at.
pub const MANAGEMENT: &str = "management";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The machine's name.
    pub hostname: String,
    /// Where it is, as the time-zone database names it.
    pub time_zone: String,
    /// Its interfaces by their names: [`MANAGEMENT`], `port1`, and so on.
    pub interfaces: BTreeMap<String, InterfaceSettings>,
    /// Who resolves names for it; empty: those that DHCP names.
    pub dns_servers: Vec<Ipv4Addr>,
    /// What is tried behind a name without dots.
    pub dns_search: Vec<String>,
    /// Whose time it takes; empty: Debian's pool.
    pub ntp_servers: Vec<String>,
    /// Who is sent its log.
    pub syslog: Option<SyslogServer>,
}

/// How one interface is reached, and what behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSettings {
    /// Its own; without one management asks DHCP, and a port has none.
    pub address: Option<InterfaceAddress>,
    /// Where everything goes for which there is no other way.
    pub gateway: Option<Ipv4Addr>,
    /// Networks behind other gateways.
    pub routes: Vec<NetworkRoute>,
}

/// A network that is reached through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRoute {
    /// The network.
    pub destination: Prefix,
    /// A host of the interface's own network.
    pub gateway: Ipv4Addr,
}

/// A server that takes logs by RFC 5424.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogServer {
    /// Its name or address.
    pub server: String,
    /// Its port.
    pub port: L4Port,
    /// How it is reached.
    pub protocol: SyslogProtocol,
}

/// What carries logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogProtocol {
    /// One datagram each; what is lost is lost.
    Udp,
    /// One connection.
    Tcp,
}

/// The address of an interface, and how much of it is its network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceAddress {
    address: Ipv4Addr,
    network: Prefix,
}

/// Why a text is no address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InterfaceAddressError {
    /// Not `address/length`.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// No host has it.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It stands for the network or for all of its hosts.
    #[error("{0} is not the address of one host of its network")]
    NoHost(InterfaceAddress),
}

impl InterfaceAddress {
    /// The address alone.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Whether `other` is another host of its network.
    pub fn reaches(self, other: Ipv4Addr) -> bool {
        other != self.address && self.network.contains(other)
    }

    fn is_of_a_host(self) -> bool {
        let hosts = u32::MAX.checked_shr(u32::from(self.network.len())).unwrap_or(0);
        let host = self.address.to_bits() & hosts;
        self.network.len() >= 31 || (host != 0 && host != hosts)
    }
}

impl FromStr for InterfaceAddress {
    type Err = InterfaceAddressError;

    fn from_str(text: &str) -> Result<Self, InterfaceAddressError> {
        let network = text.parse()?;
        let address = text.split('/').next().and_then(|address| address.parse().ok());
        let address: Ipv4Addr = address.ok_or_else(|| PrefixError::Syntax(text.to_owned()))?;
        check_host_address(IpAddr::V4(address))?;
        let parsed = Self { address, network };
        if parsed.is_of_a_host() { Ok(parsed) } else { Err(InterfaceAddressError::NoHost(parsed)) }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.network.len())
    }
}

impl TryFrom<String> for InterfaceAddress {
    type Error = InterfaceAddressError;

    fn try_from(text: String) -> Result<Self, InterfaceAddressError> {
        text.parse()
    }
}

impl From<InterfaceAddress> for String {
    fn from(address: InterfaceAddress) -> Self {
        address.to_string()
    }
}

impl Settings {
    /// Those of a machine with these interfaces that was told nothing.
    pub fn untold(interfaces: impl IntoIterator<Item = String>) -> Self {
        let interfaces = interfaces.into_iter().map(|name| (name, InterfaceSettings::default())).collect();
        let (hostname, time_zone) = ("penstock".to_owned(), "UTC".to_owned());
        Self { hostname, time_zone, interfaces, ..Self::default() }
    }

    /// What these lines say to a machine with these interfaces. A seed says other things too: what is not understood here is
    /// left to who does.
    pub fn from_lines(text: &str, interfaces: impl IntoIterator<Item = String>) -> Self {
        let mut settings = Self::untold(interfaces);
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            settings.take(name, value);
        }
        settings
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "hostname" => value.clone_into(&mut self.hostname),
            "time-zone" => value.clone_into(&mut self.time_zone),
            "dns.servers" => {
                self.dns_servers = value.split(' ').filter_map(|word| word.parse().ok()).collect();
            }
            "dns.search" => self.dns_search = words(value),
            "ntp.servers" => self.ntp_servers = words(value),
            "syslog" => self.syslog = SyslogServer::from_line(value),
            _ => self.take_of_interface(name, value),
        }
    }

    fn take_of_interface(&mut self, name: &str, value: &str) {
        // A seed writes `port.1`, everybody else `port1`.
        let name = name.replacen("port.", "port", 1);
        let Some((interface, field)) = name.split_once('.') else { return };
        let Some(interface) = self.interfaces.get_mut(interface) else { return };
        match field {
            "address" => interface.address = value.parse().ok(),
            "gateway" => interface.gateway = value.parse().ok(),
            "routes" => interface.routes = value.split(' ').filter_map(NetworkRoute::from_word).collect(),
            _ => {}
        }
    }

    /// As lines: what is not said is not written.
    pub fn to_lines(&self) -> String {
        let Self { hostname, time_zone, interfaces, dns_servers, dns_search, ntp_servers, syslog } = self;
        let mut lines = vec![
            format!("hostname={hostname}"),
            format!("time-zone={time_zone}"),
            format!("dns.servers={}", joined(dns_servers)),
            format!("dns.search={}", joined(dns_search)),
            format!("ntp.servers={}", joined(ntp_servers)),
        ];
        if let Some(SyslogServer { server, port, protocol }) = syslog {
            lines.push(format!("syslog={} {server} {port}", protocol.word()));
        }
        for (name, InterfaceSettings { address, gateway, routes }) in interfaces {
            let name = name.replacen("port", "port.", 1);
            lines.extend(address.map(|address| format!("{name}.address={address}")));
            lines.extend(gateway.map(|gateway| format!("{name}.gateway={gateway}")));
            if !routes.is_empty() {
                lines.push(format!("{name}.routes={}", joined(routes)));
            }
        }
        lines.retain(|line| !line.ends_with('='));
        lines.join("\n") + "\n"
    }
}

fn words(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl NetworkRoute {
    fn from_word(word: &str) -> Option<Self> {
        let (destination, gateway) = word.split_once(',')?;
        Some(Self { destination: destination.parse().ok()?, gateway: gateway.parse().ok()? })
    }
}

impl fmt::Display for NetworkRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.destination, self.gateway)
    }
}

impl SyslogServer {
    fn from_line(line: &str) -> Option<Self> {
        let [protocol, server, port] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let protocol =
            [SyslogProtocol::Udp, SyslogProtocol::Tcp].into_iter().find(|one| one.word() == protocol)?;
        Some(Self { server: server.to_owned(), port: L4Port::new(port.parse().ok()?).ok()?, protocol })
    }
}

impl SyslogProtocol {
    fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Vec<String> {
        [MANAGEMENT, "port1"].map(str::to_owned).into()
    }

    #[test]
    fn lines_say_all_that_settings_do() {
        let route = NetworkRoute {
            destination: "10.9.0.0/16".parse().unwrap(),
            gateway: "10.0.0.254".parse().unwrap(),
        };
        let mut settings = Settings::untold(interfaces());
        assert_eq!(Settings::from_lines(&settings.to_lines(), interfaces()), settings);

        settings.time_zone = "Europe/Zurich".to_owned();
        settings.dns_servers = vec!["192.0.2.53".parse().unwrap(), "192.0.2.54".parse().unwrap()];
        settings.ntp_servers = vec!["ntp.example.net".to_owned()];
        let port = L4Port::new(514).unwrap();
        settings.syslog =
            Some(SyslogServer { server: "log.example".to_owned(), port, protocol: SyslogProtocol::Tcp });
        let management = InterfaceSettings {
            address: Some("192.0.2.10/24".parse().unwrap()),
            gateway: Some("192.0.2.1".parse().unwrap()),
            routes: Vec::new(),
        };
        settings.interfaces.insert(MANAGEMENT.to_owned(), management);
        let port = InterfaceSettings {
            address: Some("10.0.0.1/24".parse().unwrap()),
            gateway: None,
            routes: vec![route],
        };
        settings.interfaces.insert("port1".to_owned(), port);
        assert_eq!(Settings::from_lines(&settings.to_lines(), interfaces()), settings);
    }

    #[test]
    fn a_seed_is_read_as_far_as_it_is_settings() {
        let seed = "#penstock\nport.1.address=10.0.0.1/24\nport.1.driver=pci\nport.9.address=10.9.0.1/24\nadmin.password=x\n";
        let settings = Settings::from_lines(seed, interfaces());
        let mut wanted = Settings::untold(interfaces());
        wanted.interfaces.get_mut("port1").unwrap().address = Some("10.0.0.1/24".parse().unwrap());
        assert_eq!(settings, wanted);
    }

    #[test]
    fn an_interface_has_the_address_of_one_host() {
        let parse = |text: &str| text.parse::<InterfaceAddress>();
        assert_eq!(parse("192.0.2.10/24").unwrap().to_string(), "192.0.2.10/24");
        assert!(matches!(parse("192.0.2.0/24"), Err(InterfaceAddressError::NoHost(_))));
        assert!(matches!(parse("192.0.2.255/24"), Err(InterfaceAddressError::NoHost(_))));
        assert!(parse("192.0.2.0/31").is_ok() && parse("192.0.2.1/32").is_ok());
        assert!(matches!(parse("127.0.0.1/8"), Err(InterfaceAddressError::Address(_))));
        assert!(matches!(parse("192.0.2.10"), Err(InterfaceAddressError::Prefix(_))));
        let address = parse("192.0.2.10/24").unwrap();
        assert!(address.reaches("192.0.2.1".parse().unwrap()));
        assert!(
            !address.reaches("192.0.2.10".parse().unwrap()) && !address.reaches("192.0.3.1".parse().unwrap())
        );
    }
}
