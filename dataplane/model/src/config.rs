//! The appliance's own configuration file: what each process must know before the API can tell it anything.
//!
//! Reading the file is the business of each binary; here are its shape, its defaults and its checks.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The whole file, `/etc/penstock/penstock.toml` unless a process is told otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplianceConfig {
    /// Sockets of the processes, and what need not outlive a reboot.
    #[serde(default = "default_run_dir")]
    pub run_dir: PathBuf,
    /// The database, keys, last good snapshots: what must outlive everything.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Where the steering program and its maps are pinned: a directory on a BPF file system, mounted there if it is not.
    #[serde(default = "default_bpf_dir")]
    pub bpf_dir: PathBuf,
    /// The user that penstockd runs as, who owns the sockets it speaks over.
    #[serde(default = "default_user")]
    pub user: String,
    /// The management API.
    #[serde(default)]
    pub api: ApiConfig,
    /// Who is told of events.
    #[serde(default)]
    pub webhooks: WebhooksConfig,
    /// The layer-4 plane.
    #[serde(default)]
    pub l4: L4Config,
    /// The layer-7 plane.
    #[serde(default)]
    pub l7: L7Config,
    /// The network ports that the layer-4 plane forwards on.
    #[serde(default, rename = "port")]
    pub ports: Vec<PortConfig>,
}

/// Where the management API listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// An address of the appliance's own, never a wildcard on a machine that holds virtual IPs.
    pub listen: SocketAddr,
}

/// What holds for all webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// Whether they may be at loopback and link-local addresses: what listens there listens for the appliance alone.
    pub local: bool,
}

/// The layer-4 plane's share of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L4Config {
    /// One worker on each of these cores.
    pub cores: Vec<u16>,
    /// How many connections each worker can hold.
    pub flows_per_worker: u32,
    /// Packet buffers for all ports together, in MiB.
    pub packet_memory_mib: u32,
    /// Where the flow tables live: a hugetlbfs mount, or any directory in memory.
    pub flow_dir: PathBuf,
}

/// The layer-7 plane's share of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L7Config {
    /// How many workers serve; without a number, one for each core of the machine.
    pub workers: Option<NonZeroU16>,
    /// How many seconds a process that another one took over from has for the connections that it still has.
    pub handover_s: u16,
}

impl Default for L7Config {
    fn default() -> Self {
        Self { workers: None, handover_s: 60 }
    }
}

/// One network port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortConfig {
    /// What it is called in the API and in counters.
    pub name: String,
    /// Who drives it, and whether the kernel keeps it.
    pub driver: PortDriver,
    /// How the TCP checksum of a rewritten packet is made.
    #[serde(default)]
    pub checksum: ChecksumMode,
    /// Receive queues to take: all of the interface's, or what is ours of the others' packets is dropped.
    #[serde(default = "one")]
    pub queues: u16,
}

/// Who drives a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PortDriver {
    /// Shared with the kernel: the steering program gives us what is ours.
    AfXdp {
        /// The kernel's interface.
        interface: String,
    },
    /// Shared with the kernel, which drops what is ours after we have taken a copy.
    AfPacket {
        /// The kernel's interface.
        interface: String,
    },
    /// Ours alone; the kernel reaches the wire through the twin.
    Pci {
        /// The device, as `0000:00:04.0`.
        device: String,
        /// The kernel's interface that stands for this port.
        twin: String,
    },
    /// Ours alone, a virtual device of DPDK with its arguments; the kernel reaches the wire through the twin.
    Vdev {
        /// Driver and arguments, as `net_pcap0,iface=eth1`.
        device: String,
        /// The kernel's interface that stands for this port.
        twin: String,
    },
}

impl PortDriver {
    /// The kernel's interface on this port's network: the shared one, or the twin.
    pub fn kernel_interface(&self) -> &str {
        match self {
            Self::AfXdp { interface } | Self::AfPacket { interface } => interface,
            Self::Pci { twin, .. } | Self::Vdev { twin, .. } => twin,
        }
    }

    /// Whether the kernel keeps the network card.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::AfXdp { .. } | Self::AfPacket { .. })
    }
}

/// How the TCP checksum of a rewritten packet is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumMode {
    /// The received one is corrected by what was changed (RFC 1624).
    #[default]
    Incremental,
    /// The whole segment is summed: for peers that hand over a partial checksum, as a veth with offload on.
    Full,
}

/// What is wrong with a configuration file that has the right shape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Two ports of one name.
    #[error("two ports are called `{0}`")]
    DuplicatePort(String),
    /// Two ports on one interface.
    #[error("two ports use the interface `{0}`")]
    DuplicateInterface(String),
    /// A kernel interface name is 1 to 15 characters without blank and slash.
    #[error("port `{port}`: `{interface}` cannot be the name of an interface")]
    InterfaceName {
        /// The port.
        port: String,
        /// What it says.
        interface: String,
    },
    /// No cores.
    #[error("l4.cores is empty: name at least one core for a worker")]
    NoCores,
    /// The same core twice.
    #[error("l4.cores names core {0} twice")]
    DuplicateCore(u16),
    /// The flow index has 24 bits.
    #[error("l4.flows_per_worker is {0}: want 1024 to 16777215")]
    Flows(u32),
    /// A port without queues.
    #[error("port `{0}`: queues is 0")]
    NoQueues(String),
}

impl ApplianceConfig {
    /// What the shape alone cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        let mut interfaces = HashSet::new();
        for port in &self.ports {
            let interface = port.driver.kernel_interface();
            if !names.insert(&port.name) {
                return Err(ConfigError::DuplicatePort(port.name.clone()));
            }
            if !interfaces.insert(interface) {
                return Err(ConfigError::DuplicateInterface(interface.to_owned()));
            }
            if !is_interface_name(interface) {
                let (port, interface) = (port.name.clone(), interface.to_owned());
                return Err(ConfigError::InterfaceName { port, interface });
            }
            if port.queues == 0 {
                return Err(ConfigError::NoQueues(port.name.clone()));
            }
        }
        self.l4.check()
    }

    /// The socket that `penstock-l4` listens on.
    pub fn l4_socket(&self) -> PathBuf {
        self.run_dir.join("l4.sock")
    }

    /// The database of what is wanted.
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("penstock.db")
    }

    /// The key that secrets are sealed with, beside the database and never in it.
    pub fn key_file(&self) -> PathBuf {
        self.state_dir.join("seal.key")
    }

    /// The socket that `penstock-l7` listens on.
    pub fn l7_socket(&self) -> PathBuf {
        self.run_dir.join("l7.sock")
    }

    /// The socket that `penstock-host` listens on.
    pub fn host_socket(&self) -> PathBuf {
        self.run_dir.join("host.sock")
    }

    /// Where penstockd leaves an update for `penstock-host` to install.
    pub fn update_file(&self) -> PathBuf {
        self.state_dir.join("update.raucb")
    }

    /// Where the steering link of a shared AF_XDP port is pinned; it is there if the program is attached.
    pub fn steering_link(&self, interface: &str) -> PathBuf {
        // The BPF file system reserves names with a dot.
        self.bpf_dir.join(format!("{}-link", interface.replace('.', "~")))
    }

    /// The TAP through which checks travel as clients' packets do.
    pub const PROBE_TAP: &str = "pst-probe";

    /// The TAP through which frames of a shared port are given back to the kernel.
    pub fn reinject_tap(port: usize) -> String {
        format!("pst-back{port}")
    }
}

impl L4Config {
    fn check(&self) -> Result<(), ConfigError> {
        let mut cores = HashSet::new();
        if self.cores.is_empty() {
            return Err(ConfigError::NoCores);
        }
        if let Some(core) = self.cores.iter().find(|core| !cores.insert(**core)) {
            return Err(ConfigError::DuplicateCore(*core));
        }
        if !(1024..1 << 24).contains(&self.flows_per_worker) {
            return Err(ConfigError::Flows(self.flows_per_worker));
        }
        Ok(())
    }
}

fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8443)) }
    }
}

impl Default for L4Config {
    fn default() -> Self {
        Self {
            cores: vec![0],
            flows_per_worker: 1 << 20,
            packet_memory_mib: 128,
            flow_dir: PathBuf::from("/dev/hugepages"),
        }
    }
}

fn default_run_dir() -> PathBuf {
    PathBuf::from("/run/penstock")
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/penstock")
}

fn default_bpf_dir() -> PathBuf {
    PathBuf::from("/sys/fs/bpf/penstock")
}

fn default_user() -> String {
    "penstock".to_owned()
}

fn one() -> u16 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
        [api]
        listen = "198.18.0.2:8443"
        [l4]
        cores = [1]
        [[port]]
        name = "front"
        driver = { af_xdp = { interface = "front0" } }
        checksum = "full"
        [[port]]
        name = "back"
        driver = { pci = { device = "0000:00:04.0", twin = "back0" } }
    "#;

    #[test]
    fn example_is_read_with_its_defaults() {
        let config: ApplianceConfig = toml::from_str(EXAMPLE).unwrap();
        config.check().unwrap();
        assert_eq!(config.ports[0].checksum, ChecksumMode::Full);
        assert_eq!(config.ports[1].driver.kernel_interface(), "back0");
        assert_eq!(config.l4.flows_per_worker, 1 << 20);
        assert_eq!(config.l4_socket(), PathBuf::from("/run/penstock/l4.sock"));
    }

    #[test]
    fn what_the_shape_cannot_say_is_checked() {
        let changed = |from: &str, to: &str| -> ConfigError {
            toml::from_str::<ApplianceConfig>(&EXAMPLE.replacen(from, to, 1)).unwrap().check().unwrap_err()
        };
        assert_eq!(changed("\"back\"", "\"front\""), ConfigError::DuplicatePort("front".into()));
        assert_eq!(changed("back0", "front0"), ConfigError::DuplicateInterface("front0".into()));
        assert_eq!(changed("[1]", "[]"), ConfigError::NoCores);
        assert_eq!(changed("[1]", "[1, 1]"), ConfigError::DuplicateCore(1));
        assert!(matches!(changed("front0", "a/b"), ConfigError::InterfaceName { .. }));
    }
}
