//! A port: a device of DPDK's, configured and started, with its queues handed out.

use std::cell::Cell;
use std::ffi::{CStr, NulError};
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info, rte_eth_link};
use thiserror::Error;

use crate::device::{Device, Driver};
use crate::eal::{Eal, error_text};
use crate::stats::{self, ExtendedStat, PortStats};
use crate::{Mempool, RxQueue, TxQueue, af_packet, af_xdp, driver_log};

/// How a port is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Who drives it.
    pub driver: Driver,
    /// Queues to receive from. Of a shared interface: all it has, or the frames of the others pass by.
    pub rx_queues: u16,
    /// Queues to send to. On a shared interface: as many as receive.
    pub tx_queues: u16,
    /// Frames that a receive queue can hold. A driver may take another number near it.
    pub rx_descriptors: u16,
    /// Frames that a send queue can hold. vmxnet3 needs 512 or more.
    pub tx_descriptors: u16,
    /// The largest IP packet; shared interfaces keep what the kernel says.
    pub mtu: u16,
    /// Whether to receive frames for other addresses too.
    pub promiscuous: bool,
}

/// A started port, to be asked and watched. It closes when it and all its queues are dropped.
///
/// With AF_XDP a process can open an interface once, whether it works or not: DPDK 22.11 does not let go of the queues, nor of
/// the buffers it held ready. Restart the process to try again.
#[derive(Debug)]
pub struct Port {
    device: Arc<Device>,
    driver_name: String,
    checks_rx: bool,
    /// One thread at a time: DPDK's control functions do not lock.
    _not_sync: PhantomData<Cell<()>>,
}

/// What opening a port gives.
#[derive(Debug)]
pub struct OpenPort {
    /// The port.
    pub port: Port,
    /// Its receive queues, by number.
    pub rx: Vec<RxQueue>,
    /// Its send queues, by number.
    pub tx: Vec<TxQueue>,
}

/// The state of a link. Shared ports do not follow their interface: ask the kernel for those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// In Mbit/s; `None` if not known.
    pub speed_mbps: Option<u32>,
    /// Whether both sides may send at once.
    pub full_duplex: bool,
}

/// Why a port could not be opened, or asked.
#[derive(Debug, Error)]
pub enum PortError {
    /// The kernel has no such interface in this network namespace.
    #[error("there is no network interface `{interface}`")]
    NoInterface {
        /// Its name.
        interface: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The EAL found no driver for it, or the kernel still has it.
    #[error(
        "DPDK does not have PCI device {address}: is it bound to vfio-pci or uio_pci_generic, and is its driver installed?"
    )]
    NoPciDevice {
        /// The device.
        address: String,
    },
    /// The name begins with that of no driver.
    #[error("DPDK has no driver for `{device}`: is its librte-net package installed?")]
    NoDriver {
        /// The device.
        device: String,
    },
    /// A zero byte in a name.
    #[error("the name of a device holds a zero byte")]
    Name(#[from] NulError),
    /// At least one of each, and on a shared interface as many of one as of the other.
    #[error("{rx} receive and {tx} send queues do not do for {driver:?}")]
    Queues {
        /// To receive.
        rx: u16,
        /// To send.
        tx: u16,
        /// For whom.
        driver: Driver,
    },
    /// A frame must fit one packet buffer, or the driver has its own limit.
    #[error("an MTU of {mtu} is not possible: at most {max}")]
    Mtu {
        /// What was asked for.
        mtu: u16,
        /// What can be.
        max: u16,
    },
    /// The driver did not make the device.
    #[error("no device {device} ({reason}): {log}")]
    Probe {
        /// Name and arguments.
        device: String,
        /// The text of DPDK's error number.
        reason: String,
        /// The end of what it logged.
        log: String,
    },
    /// The driver says no more than −22; this is what else could be found out.
    #[error("AF_XDP on `{interface}`: {step} failed: {cause} ({log})")]
    AfXdp {
        /// The kernel's interface.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// In words.
        cause: &'static str,
        /// The end of what DPDK logged.
        log: String,
    },
    /// The driver refused a step of starting.
    #[error("{driver:?}: {step} failed ({reason}): {log}")]
    Setup {
        /// For whom.
        driver: Driver,
        /// What was being done.
        step: &'static str,
        /// The text of DPDK's error number.
        reason: String,
        /// The end of what it logged.
        log: String,
    },
    /// `AF_PACKET` needs a filter on the driver's sockets.
    #[error("cannot keep frames that the kernel sends on `{interface}` from being received")]
    OutgoingFilter {
        /// The kernel's interface.
        interface: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A question that the driver did not answer.
    #[error("{what} of port {port} cannot be read ({reason})")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// DPDK's number of the port.
        port: u16,
        /// The text of DPDK's error number.
        reason: String,
    },
}

impl PortConfig {
    /// One queue each way, and what suits most.
    pub fn new(driver: Driver) -> Self {
        Self {
            driver,
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 2048,
            tx_descriptors: 2048,
            mtu: 1500,
            promiscuous: false,
        }
    }

    /// So many queues each way.
    #[must_use]
    pub fn with_queues(mut self, queues: u16) -> Self {
        (self.rx_queues, self.tx_queues) = (queues, queues);
        self
    }

    /// How many packet buffers the port can hold when all its queues are full: what a pool must have for it, besides
    /// what the workers hold.
    pub fn buffers(&self) -> u32 {
        // AF_XDP's fill and completion rings, whatever the number of descriptors.
        const AF_XDP_RINGS: u32 = 2 * 2048;
        let descriptors = u32::from(self.rx_queues) * u32::from(self.rx_descriptors)
            + u32::from(self.tx_queues) * u32::from(self.tx_descriptors);
        match self.driver {
            Driver::AfXdp { .. } => {
                u32::from(self.rx_queues) * (AF_XDP_RINGS + u32::from(self.rx_descriptors))
            }
            // It copies from and to the kernel's ring.
            Driver::AfPacket { .. } => 0,
            Driver::Pci { .. } | Driver::Vdev { .. } => descriptors,
        }
    }

    fn check(&self) -> Result<(), PortError> {
        let (rx, tx) = (self.rx_queues, self.tx_queues);
        if rx == 0 || tx == 0 || (self.driver.pairs_queues() && rx != tx) {
            return Err(PortError::Queues { rx, tx, driver: self.driver.clone() });
        }
        // Ethernet header, two VLAN tags, checksum.
        let max = Mempool::FRAME_ROOM - 26;
        if self.mtu > max {
            return Err(PortError::Mtu { mtu: self.mtu, max });
        }
        match self.driver.shared_interface() {
            Some(interface) => check_interface(interface),
            None => Ok(()),
        }
    }
}

impl Port {
    /// Makes the device, takes `pool` for what it receives, starts it.
    pub fn open(_eal: Eal, pool: &Mempool, config: &PortConfig) -> Result<OpenPort, PortError> {
        config.check()?;
        let device = Arc::new(config.driver.probe(config.rx_queues.max(config.tx_queues))?);
        let number = device.port();
        let setup = Setup { port: number, config };
        let info = setup.info()?;
        let checks_rx = setup.configure(&info)?;
        setup.queues(pool)?;
        setup.start()?;
        let mut rx: Vec<_> =
            (0..config.rx_queues).map(|queue| RxQueue::new(Arc::clone(&device), queue)).collect();
        let tx = (0..config.tx_queues).map(|queue| TxQueue::new(Arc::clone(&device), queue)).collect();
        if let Driver::AfPacket { interface } = &config.driver {
            af_packet::filter_outgoing(interface)
                .map_err(|source| PortError::OutgoingFilter { interface: interface.clone(), source })?;
            rx.iter_mut().for_each(RxQueue::discard_pending);
        }
        // SAFETY: the driver's name is a constant C string.
        let driver_name = unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned();
        Ok(OpenPort { port: Self { device, driver_name, checks_rx, _not_sync: PhantomData }, rx, tx })
    }

    /// DPDK's number of the port.
    pub fn number(&self) -> u16 {
        self.device.port()
    }

    /// The driver, as `net_af_xdp`.
    pub fn driver_name(&self) -> &str {
        &self.driver_name
    }

    /// Whether the card checks what it receives; else every [`crate::Checksum`] is `Unknown`.
    pub fn checks_rx(&self) -> bool {
        self.checks_rx
    }

    /// The port's Ethernet address.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut address = MaybeUninit::zeroed();
        // SAFETY: the port is open, and DPDK fills in the address.
        let result = unsafe { dpdk_sys::rte_eth_macaddr_get(self.number(), address.as_mut_ptr()) };
        self.read("the Ethernet address", result)?;
        // SAFETY: six bytes, which may all be zero.
        Ok(unsafe { address.assume_init() }.addr_bytes)
    }

    /// The state of the link, without waiting for it to settle.
    pub fn link(&self) -> Result<Link, PortError> {
        let mut link = MaybeUninit::<rte_eth_link>::zeroed();
        // SAFETY: the port is open, and DPDK fills in the link.
        let result = unsafe { dpdk_sys::rte_eth_link_get_nowait(self.number(), link.as_mut_ptr()) };
        self.read("the link", result)?;
        // SAFETY: numbers, which may all be zero.
        let link = unsafe { link.assume_init() };
        Ok(Link {
            up: u32::from(link.link_status()) == dpdk_sys::RTE_ETH_LINK_UP,
            speed_mbps: (!matches!(link.link_speed, 0 | u32::MAX)).then_some(link.link_speed),
            full_duplex: u32::from(link.link_duplex()) == dpdk_sys::RTE_ETH_LINK_FULL_DUPLEX,
        })
    }

    /// What the driver has counted since the port was opened.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let stats = stats::basic(self.number());
        stats.map_err(|code| self.unread("statistics", code))
    }

    /// Everything else that the driver counts, under its own names.
    pub fn extended_stats(&self) -> Result<Vec<ExtendedStat>, PortError> {
        stats::extended(self.number()).map_err(|code| self.unread("extended statistics", code))
    }

    fn read(&self, what: &'static str, code: i32) -> Result<(), PortError> {
        if code < 0 { Err(self.unread(what, code)) } else { Ok(()) }
    }

    fn unread(&self, what: &'static str, code: i32) -> PortError {
        PortError::Read { what, port: self.number(), reason: error_text(code) }
    }
}

/// The steps from a probed device to a started port.
struct Setup<'a> {
    port: u16,
    config: &'a PortConfig,
}

impl Setup<'_> {
    fn info(&self) -> Result<rte_eth_dev_info, PortError> {
        let mut info = MaybeUninit::zeroed();
        // SAFETY: the port was probed, and DPDK fills in the description.
        self.step("reading its limits", || unsafe {
            dpdk_sys::rte_eth_dev_info_get(self.port, info.as_mut_ptr())
        })?;
        // SAFETY: numbers and pointers, which may all be zero.
        Ok(unsafe { info.assume_init() })
    }

    /// Returns whether the card will check what it receives.
    fn configure(&self, info: &rte_eth_dev_info) -> Result<bool, PortError> {
        let PortConfig { rx_queues, tx_queues, mtu, .. } = *self.config;
        if mtu > info.max_mtu {
            return Err(PortError::Mtu { mtu, max: info.max_mtu });
        }
        // SAFETY: all zero is DPDK's "nothing special", and valid for its numbers and pointers.
        let mut conf: rte_eth_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        conf.rxmode.mtu = mtu.into();
        conf.rxmode.offloads = wanted_rx_offloads(info);
        if rx_queues > 1 && info.flow_type_rss_offloads != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & dpdk_sys::PENSTOCK_RSS_FLOWS;
        }
        self.step("configuring it", || {
            // SAFETY: the port was probed and has not been started; DPDK copies the configuration.
            unsafe { dpdk_sys::rte_eth_dev_configure(self.port, rx_queues, tx_queues, &raw const conf) }
        })?;
        Ok(conf.rxmode.offloads != 0)
    }

    fn queues(&self, pool: &Mempool) -> Result<(), PortError> {
        let (mut rx_descriptors, mut tx_descriptors) =
            (self.config.rx_descriptors, self.config.tx_descriptors);
        self.step("fitting its queues", || {
            // SAFETY: the port is configured; two numbers to be changed.
            unsafe {
                dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(
                    self.port,
                    &raw mut rx_descriptors,
                    &raw mut tx_descriptors,
                )
            }
        })?;
        // SAFETY: the port was probed.
        let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.port) }.cast_unsigned();
        for queue in 0..self.config.rx_queues {
            // SAFETY: the port is configured, not started, and has this queue; the pool lives as long as the process; null
            // stands for the driver's defaults.
            self.step("setting up a receive queue", || unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(
                    self.port,
                    queue,
                    rx_descriptors,
                    socket,
                    ptr::null(),
                    pool.as_ptr(),
                )
            })?;
        }
        for queue in 0..self.config.tx_queues {
            // SAFETY: as above.
            self.step("setting up a send queue", || unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(self.port, queue, tx_descriptors, socket, ptr::null())
            })?;
        }
        Ok(())
    }

    fn start(&self) -> Result<(), PortError> {
        // SAFETY: the port and all its queues are set up.
        self.step("starting it", || unsafe { dpdk_sys::rte_eth_dev_start(self.port) })?;
        if self.config.promiscuous {
            // SAFETY: the port is open.
            self.step("making it promiscuous", || unsafe {
                dpdk_sys::rte_eth_promiscuous_enable(self.port)
            })?;
        }
        Ok(())
    }

    fn step(&self, step: &'static str, act: impl FnOnce() -> i32) -> Result<(), PortError> {
        let (code, log) = driver_log::recorded(act);
        if code < 0 {
            return Err(self.failed(step, code, driver_log::gist(&log)));
        }
        driver_log::passed_on(&log);
        Ok(())
    }

    fn failed(&self, step: &'static str, code: i32, log: String) -> PortError {
        match self.config.driver.clone() {
            Driver::AfXdp { interface, .. } => {
                PortError::AfXdp { interface, step, cause: af_xdp::likely_cause(), log }
            }
            driver => PortError::Setup { driver, step, reason: error_text(code), log },
        }
    }
}

/// To have checksums checked, of what the card can, where that asks for nothing else.
///
/// Between machines of one host nobody makes a checksum for a receiver that says it needs none, and to say so is what
/// paravirtual cards understand by this request (`VIRTIO_NET_F_GUEST_CSUM`): what they then hand over can be neither
/// forwarded with a corrected checksum nor given to the kernel.
fn wanted_rx_offloads(info: &rte_eth_dev_info) -> u64 {
    const PARAVIRTUAL: [&CStr; 2] = [c"net_virtio", c"net_vmxnet3"];
    // SAFETY: the driver's name is a constant C string.
    let driver = unsafe { CStr::from_ptr(info.driver_name) };
    if PARAVIRTUAL.contains(&driver) {
        return 0;
    }
    info.rx_offload_capa & dpdk_sys::PENSTOCK_RX_OFFLOAD_CHECKSUM
}

/// The drivers of shared interfaces answer −1 whatever is wrong; this is what is wrong most often.
fn check_interface(interface: &str) -> Result<(), PortError> {
    let missing = |source| PortError::NoInterface { interface: interface.to_owned(), source };
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
        .map_err(|error| missing(error.into()))?;
    rustix::net::netdevice::name_to_index(&socket, interface).map_err(|error| missing(error.into()))?;
    Ok(())
}
