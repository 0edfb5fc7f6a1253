//! The ports of the configuration: opened, and their queues dealt out to the workers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lb_dpdk::ring::{Receiver, RingError, Sender, ring};
use lb_dpdk::{Burst, Driver, Eal, Mempool, OpenPort, Port, PortError, Tap, TapError};
use lb_engine::network::{PortView, Strangers};
use lb_model::MacAddr;
use lb_model::config::{ApplianceConfig, ChecksumMode, PortConfig, PortDriver};
use thiserror::Error;

use crate::kernel;
use crate::ways::{Inlet, KernelSide, Outlet, PortWays, ProbeInlet};

/// Frames that a ring between two workers holds.
const RING: u32 = 1024;

/// Why the ports could not be opened.
#[derive(Debug, Error)]
pub(crate) enum PortsError {
    /// Without it the kernel would have all frames, or we would.
    #[error(
        "no steering program is attached to {interface} ({link} is not there): is penstock-host running?"
    )]
    NoSteering {
        /// The kernel's interface.
        interface: String,
        /// Where the program's link is pinned.
        link: PathBuf,
    },
    /// DPDK did not open it.
    #[error("port `{name}`")]
    Open {
        /// Its name.
        name: String,
        /// Why.
        source: PortError,
    },
    /// The kernel's side of it.
    #[error("port `{name}`: is penstock-host running?")]
    Tap {
        /// Its name.
        name: String,
        /// Why.
        source: TapError,
    },
    /// The TAP of checks.
    #[error("the TAP `{tap}`, by which checks travel: is penstock-host running?", tap = ApplianceConfig::PROBE_TAP)]
    Probes(#[source] TapError),
    /// It cannot be read and written.
    #[error("the TAP `{tap}`, by which checks travel", tap = ApplianceConfig::PROBE_TAP)]
    ProbesTwice(#[source] std::io::Error),
    /// The twin must have the port's address.
    #[error("port `{name}`: its twin cannot be given its Ethernet address: {reason}")]
    TwinAddress {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Workers cannot speak to each other.
    #[error("no ring between workers")]
    Ring(#[from] RingError),
}

/// A port, to be watched.
pub(crate) struct PortWatch {
    pub(crate) name: String,
    /// Driver and mode, in words.
    pub(crate) driver: String,
    port: Port,
}

impl PortWatch {
    /// What the driver counts.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let stats = self.port.extended_stats().unwrap_or_default();
        stats.into_iter().map(|stat| (stat.name, stat.value)).collect()
    }
}

/// All ports of the configuration.
pub(crate) struct Ports {
    pub(crate) watches: Vec<PortWatch>,
    pub(crate) views: Vec<PortView>,
    /// For each worker, what it has at each port.
    pub(crate) ways: Vec<Vec<PortWays>>,
}

/// Opens all ports.
pub(crate) fn open(eal: Eal, pool: &Mempool, config: &ApplianceConfig) -> Result<Ports, PortsError> {
    let workers = config.l4.cores.len();
    let mut ports =
        Ports { watches: Vec::new(), views: Vec::new(), ways: (0..workers).map(|_| Vec::new()).collect() };
    for (index, port) in config.ports.iter().enumerate() {
        check_steering(config, port)?;
        let opened = open_port(eal, pool, port, workers)?;
        let mac = opened.port.mac().map_err(|source| PortsError::Open { name: port.name.clone(), source })?;
        let kernel = kernel_side(index, port, MacAddr(mac))?;
        ports.views.push(view(port, MacAddr(mac)));
        let OpenPort { port: watched, rx, tx } = opened;
        let inlets = rx.into_iter().map(Inlet::Queue).collect();
        let outlets = tx.into_iter().map(Outlet::Queue).collect();
        for (worker, ways) in deal(eal, index, workers, inlets, outlets, kernel)?.into_iter().enumerate() {
            let relays_kernel = worker == 0 && !port.driver.is_shared();
            ports.ways[worker].push(PortWays { relays_kernel, ..ways });
        }
        let driver = describe(port, &watched);
        ports.watches.push(PortWatch { name: port.name.clone(), driver, port: watched });
    }
    open_probes(eal, pool, config.ports.len(), &mut ports)?;
    Ok(ports)
}

/// Behind the ports there is one more, by which checks come.
fn open_probes(eal: Eal, pool: &Mempool, index: usize, ports: &mut Ports) -> Result<(), PortsError> {
    let tap = Tap::open(ApplianceConfig::PROBE_TAP, false).map_err(PortsError::Probes)?;
    let outlet = Outlet::Probes(tap.try_clone().map_err(PortsError::ProbesTwice)?);
    let inlet = Inlet::Probes(ProbeInlet::new(tap, *pool, eal.cycles_per_second()));
    let dealt = deal(eal, index, ports.ways.len(), vec![inlet], vec![outlet], KernelSide::None)?;
    for (ways, of_probes) in ports.ways.iter_mut().zip(dealt) {
        ways.push(of_probes);
    }
    ports.views.push(PortView {
        // The kernel's own end has it, and is read later.
        mac: MacAddr::default(),
        mtu: u16::MAX,
        addresses: Vec::new(),
        checksum: ChecksumMode::Incremental,
        // What the kernel says to all on its side of the TAP is for nobody.
        strangers: Strangers::Drop,
    });
    Ok(())
}

fn check_steering(config: &ApplianceConfig, port: &PortConfig) -> Result<(), PortsError> {
    let PortDriver::AfXdp { interface } = &port.driver else { return Ok(()) };
    let link = config.steering_link(interface);
    if link.exists() {
        return Ok(());
    }
    Err(PortsError::NoSteering { interface: interface.clone(), link })
}

fn open_port(eal: Eal, pool: &Mempool, port: &PortConfig, workers: usize) -> Result<OpenPort, PortsError> {
    let driver = match &port.driver {
        PortDriver::AfXdp { interface } => Driver::af_xdp(interface),
        PortDriver::AfPacket { interface } => Driver::af_packet(interface),
        PortDriver::Pci { device, .. } => Driver::Pci { address: device.clone() },
        PortDriver::Vdev { device, .. } => Driver::Vdev { device: device.clone() },
    };
    let mut options = lb_dpdk::PortConfig::new(driver).with_queues(port.queues);
    if matches!(port.driver, PortDriver::Pci { .. }) {
        options.tx_queues = u16::try_from(workers).unwrap_or(u16::MAX).max(port.queues);
    }
    Port::open(eal, pool, &options).map_err(|source| PortsError::Open { name: port.name.clone(), source })
}

fn kernel_side(index: usize, port: &PortConfig, mac: MacAddr) -> Result<KernelSide, PortsError> {
    let open = |name: &str| {
        let failed = |source| PortsError::Tap { name: port.name.clone(), source };
        Tap::open(name, false).map(KernelSide::Tap).map_err(failed)
    };
    match &port.driver {
        // The kernel has its own copy of every frame.
        PortDriver::AfPacket { .. } => Ok(KernelSide::None),
        PortDriver::AfXdp { .. } => open(&ApplianceConfig::reinject_tap(index)),
        PortDriver::Pci { twin, .. } | PortDriver::Vdev { twin, .. } => {
            let side = open(twin)?;
            kernel::set_mac(twin, mac).map_err(|error| PortsError::TwinAddress {
                name: port.name.clone(),
                reason: crate::serve::chain(&error),
            })?;
            Ok(side)
        }
    }
}

fn view(port: &PortConfig, mac: MacAddr) -> PortView {
    let strangers = match port.driver {
        PortDriver::AfPacket { .. } => Strangers::Drop,
        _ => Strangers::Punt,
    };
    // What the kernel knows of it is read later, and again and again.
    PortView { mac, mtu: u16::MAX, addresses: Vec::new(), checksum: port.checksum, strangers }
}

fn describe(port: &PortConfig, opened: &Port) -> String {
    let checksum = if opened.checks_rx() { "checked by the card" } else { "not checked on receipt" };
    match &port.driver {
        PortDriver::AfXdp { interface } => format!("AF_XDP on {interface}, shared with the kernel"),
        PortDriver::AfPacket { interface } => format!("AF_PACKET on {interface}, shared with the kernel"),
        PortDriver::Pci { device, twin } => {
            format!("{} on {device}, twin {twin}, checksums {checksum}", opened.driver_name())
        }
        PortDriver::Vdev { device, twin } => format!("{} ({device}), twin {twin}", opened.driver_name()),
    }
}

/// Deals a port's queues out: a worker without a queue to send to sends through one that has one, and the first worker alone
/// has the kernel's side.
pub(crate) fn deal(
    eal: Eal,
    port: usize,
    workers: usize,
    inlets: Vec<Inlet>,
    outlets: Vec<Outlet>,
    kernel: KernelSide,
) -> Result<Vec<PortWays>, PortsError> {
    let with_outlet = outlets.len().min(workers);
    let mut outlets = outlets.into_iter();
    let mut dealt: Vec<PortWays> =
        (0..workers).map(|_| PortWays::with(outlets.next().unwrap_or(Outlet::Sink))).collect();
    for (number, inlet) in inlets.into_iter().enumerate() {
        dealt[number % workers].inlets.push(inlet);
    }
    if workers > 1 {
        connect(eal, port, &mut dealt, with_outlet)?;
    }
    if let Some(first) = dealt.first_mut() {
        first.kernel = kernel;
    }
    Ok(dealt)
}

fn connect(eal: Eal, port: usize, dealt: &mut [PortWays], with_outlet: usize) -> Result<(), PortsError> {
    let workers = dealt.len();
    let new_ring = |purpose: &str, worker: usize| ring(eal, &format!("p{port}w{worker}{purpose}"), RING);
    for owner in 0..workers {
        let (sender, receiver): (Sender, Receiver) = new_ring("own", owner)?;
        dealt[owner].handed_over = Some(receiver);
        for (worker, ways) in dealt.iter_mut().enumerate() {
            ways.owners.push((worker != owner).then(|| sender.clone()));
        }
    }
    for carrier in 0..with_outlet.min(workers) {
        let (sender, receiver) = new_ring("tx", carrier)?;
        dealt[carrier].to_send = Some(receiver);
        for ways in dealt.iter_mut().skip(with_outlet + carrier).step_by(with_outlet) {
            ways.outlet = Outlet::Through(sender.clone());
        }
    }
    let (sender, receiver) = new_ring("punt", 0)?;
    dealt[0].to_punt = Some(receiver);
    for ways in dealt.iter_mut().skip(1) {
        ways.kernel = KernelSide::Through(sender.clone());
    }
    Ok(())
}

impl PortWays {
    fn with(outlet: Outlet) -> Self {
        Self {
            inlets: Vec::new(),
            outlet,
            leaving: Burst::new(),
            kernel: KernelSide::None,
            relays_kernel: false,
            handed_over: None,
            to_send: None,
            to_punt: None,
            owners: Vec::new(),
        }
    }
}
