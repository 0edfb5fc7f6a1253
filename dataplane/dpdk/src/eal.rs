//! Starts DPDK's environment (EAL), once in a process and for as long as it lives.
//!
//! The EAL gets no threads for packets: workers are ordinary threads that pin and register themselves
//! ([`crate::pin_current_thread`], [`crate::register_thread`]). It keeps nothing on disk, so that several processes can run
//! beside each other, and a killed one leaves nothing behind.

use std::ffi::{CStr, CString, NulError, OsStr, c_char, c_int};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{CpuSet, sched_getaffinity};
use thiserror::Error;

use crate::driver_log;

/// What DPDK is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Tells this process from others of the host that use DPDK.
    pub file_prefix: String,
    /// Where packet buffers may lie.
    pub memory: Memory,
    /// How much of it: with ordinary memory the whole of what DPDK can ever have, with huge pages what must be free now.
    pub memory_mib: u32,
    /// PCI devices that DPDK may drive, as `0000:00:04.0`; all others are left alone.
    pub pci: Vec<String>,
    /// How much DPDK logs to stderr.
    pub log_level: LogLevel,
}

/// Where packet buffers may lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// In huge pages if enough are free, else in ordinary memory.
    #[default]
    Auto,
    /// In huge pages or not at all.
    HugePages,
    /// In ordinary memory. PCI devices cannot be driven from it.
    Ordinary,
}

/// Where packet buffers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// In huge pages.
    HugePages,
    /// In ordinary memory.
    Ordinary,
}

/// From which level on DPDK logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may.
    #[default]
    Warning,
    /// And what is normal but notable.
    Notice,
    /// And what goes on.
    Info,
    /// And everything else.
    Debug,
}

/// Why DPDK did not start.
#[derive(Debug, Error)]
pub enum EalError {
    /// A process has one EAL.
    #[error("DPDK was already started in this process")]
    AlreadyStarted,
    /// Fewer than asked for.
    #[error("{wanted_mib} MiB of huge pages are wanted and {free_mib} MiB are free: raise vm.nr_hugepages")]
    HugePages {
        /// What the configuration says.
        wanted_mib: u32,
        /// What the kernel says.
        free_mib: u64,
    },
    /// Devices read and write physical memory that stays where it is.
    #[error(
        "PCI devices need huge pages, and {free_mib} MiB of the wanted {wanted_mib} MiB are free: raise vm.nr_hugepages"
    )]
    PciNeedsHugePages {
        /// What the configuration says.
        wanted_mib: u32,
        /// What the kernel says.
        free_mib: u64,
    },
    /// A name with a zero byte in it.
    #[error("a DPDK argument holds a zero byte")]
    Argument(#[from] NulError),
    /// The EAL must be told which cores this thread may keep.
    #[error("cannot read the CPU affinity of this thread")]
    Affinity(#[source] io::Error),
    /// DPDK's own refusal.
    #[error("DPDK did not start ({reason}): {log}")]
    Init {
        /// The text of its error number.
        reason: String,
        /// The end of what it logged.
        log: String,
    },
}

/// Proof that DPDK runs in this process. It does until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Eal {
    memory: MemoryKind,
    drives_pci: bool,
}

impl Eal {
    /// Starts DPDK. Once in a process: a start that failed cannot be repeated either.
    pub fn init(config: &EalConfig) -> Result<Self, EalError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        let memory = config.memory_kind(free_huge_mib())?;
        let arguments = config.arguments(memory, &allowed_cores()?)?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyStarted);
        }
        let (started, log) = driver_log::recorded(|| start(arguments));
        match started {
            Ok(()) => {
                driver_log::passed_on(&log);
                remove_runtime_directory();
                Ok(Self { memory, drives_pci: !config.pci.is_empty() })
            }
            Err(reason) => Err(EalError::Init { reason, log: driver_log::gist(&log) }),
        }
    }

    /// Where packet buffers lie.
    pub fn memory(self) -> MemoryKind {
        self.memory
    }

    /// Ticks of [`crate::cycles`] in a second.
    pub fn cycles_per_second(self) -> u64 {
        // SAFETY: reads a number that the EAL measured when it started.
        unsafe { dpdk_sys::rte_get_tsc_hz() }
    }

    /// Whether devices may read and write packet buffers directly.
    pub(crate) fn drives_pci(self) -> bool {
        self.drives_pci
    }
}

impl EalConfig {
    fn memory_kind(&self, free_mib: u64) -> Result<MemoryKind, EalError> {
        let wanted_mib = self.memory_mib;
        let enough = free_mib >= u64::from(wanted_mib);
        match self.memory {
            Memory::Auto | Memory::HugePages if enough => Ok(MemoryKind::HugePages),
            Memory::HugePages => Err(EalError::HugePages { wanted_mib, free_mib }),
            Memory::Auto | Memory::Ordinary if self.pci.is_empty() => Ok(MemoryKind::Ordinary),
            Memory::Auto | Memory::Ordinary => Err(EalError::PciNeedsHugePages { wanted_mib, free_mib }),
        }
    }

    /// As a command line, which is how the EAL is configured.
    fn arguments(&self, memory: MemoryKind, cores: &str) -> Result<Vec<CString>, NulError> {
        let mut arguments: Vec<String> = vec![
            "penstock".into(),
            "--no-telemetry".into(),
            format!("--file-prefix={}", self.file_prefix),
            // One lcore, for the thread that starts; it keeps all its cores, where a plain core list would pin it.
            format!("--lcores=0@({cores})"),
            format!("--log-level=*:{}", self.log_level.name()),
        ];
        if self.log_level == LogLevel::Warning {
            // It warns of every size of huge pages that there are none of.
            arguments.push("--log-level=lib.eal:error".into());
        }
        match memory {
            MemoryKind::HugePages => arguments.push("--in-memory".into()),
            // 22.11 refuses to combine --no-huge with --in-memory; this is the rest of what that means.
            MemoryKind::Ordinary => arguments.extend([
                "--no-huge".into(),
                "--no-shconf".into(),
                "-m".into(),
                self.memory_mib.to_string(),
            ]),
        }
        if self.pci.is_empty() {
            arguments.extend(["--no-pci".into(), "--iova-mode=va".into()]);
        }
        for address in &self.pci {
            arguments.extend(["-a".into(), address.clone()]);
        }
        arguments.into_iter().map(CString::new).collect()
    }
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The text of a DPDK or C error number, whatever its sign.
pub(crate) fn error_text(number: c_int) -> String {
    // SAFETY: returns a string that is constant, or this thread's until its next call here.
    unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(number.abs())) }.to_string_lossy().into_owned()
}

/// The error number of the DPDK call before, on this thread.
pub(crate) fn last_error() -> c_int {
    // SAFETY: reads a thread-local variable.
    unsafe { dpdk_sys::penstock_errno() }
}

fn start(arguments: Vec<CString>) -> Result<(), String> {
    // The EAL keeps pointers into its command line, and reorders it.
    let arguments: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
    let arguments = arguments.leak();
    let count = c_int::try_from(arguments.len()).unwrap_or(c_int::MAX);
    // SAFETY: `count` C strings that are never freed; the caller lets only one thread get here.
    let result = unsafe { dpdk_sys::rte_eal_init(count, arguments.as_mut_ptr()) };
    if result < 0 { Err(error_text(last_error())) } else { Ok(()) }
}

/// Made for files by which other processes would join this one; with nothing shared it stays empty, and would stay for good.
fn remove_runtime_directory() {
    // SAFETY: the EAL runs; the path is a C string of its own that no longer changes.
    let path = unsafe { CStr::from_ptr(dpdk_sys::rte_eal_get_runtime_dir()) };
    // One that is not empty, or not there, is somebody else's business.
    let _ = fs::remove_dir(OsStr::from_bytes(path.to_bytes()));
}

/// The cores this thread may run on, as the EAL wants to read them.
fn allowed_cores() -> Result<String, EalError> {
    let set = sched_getaffinity(None).map_err(|error| EalError::Affinity(error.into()))?;
    let cores: Vec<String> =
        (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).map(|core| core.to_string()).collect();
    Ok(cores.join(","))
}

/// Free huge pages of all sizes.
fn free_huge_mib() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    let free_kib = |size: fs::DirEntry| -> Option<u64> {
        let name = size.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let free: u64 = fs::read_to_string(size.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
        Some(kib * free)
    };
    sizes.flatten().filter_map(free_kib).sum::<u64>() / 1024
}

impl Default for EalConfig {
    fn default() -> Self {
        Self {
            file_prefix: format!("penstock-{}", std::process::id()),
            memory: Memory::Auto,
            memory_mib: 128,
            pci: Vec::new(),
            log_level: LogLevel::Warning,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(memory: Memory, pci: &[&str]) -> EalConfig {
        let pci = pci.iter().map(ToString::to_string).collect();
        EalConfig { memory, pci, memory_mib: 100, ..EalConfig::default() }
    }

    #[test]
    fn huge_pages_are_taken_when_enough_are_free() {
        assert_eq!(with(Memory::Auto, &[]).memory_kind(100).unwrap(), MemoryKind::HugePages);
        assert_eq!(with(Memory::Auto, &[]).memory_kind(99).unwrap(), MemoryKind::Ordinary);
        assert_eq!(with(Memory::Ordinary, &[]).memory_kind(100).unwrap(), MemoryKind::Ordinary);
        assert!(matches!(with(Memory::HugePages, &[]).memory_kind(99), Err(EalError::HugePages { .. })));
        let pci = with(Memory::Auto, &["0000:00:04.0"]);
        assert!(matches!(pci.memory_kind(99), Err(EalError::PciNeedsHugePages { .. })));
    }

    #[test]
    fn pci_is_off_unless_devices_are_named() {
        let line =
            |config: EalConfig| format!("{:?}", config.arguments(MemoryKind::HugePages, "0,1").unwrap());
        assert!(line(with(Memory::Auto, &[])).contains("--no-pci"));
        let named = line(with(Memory::Auto, &["0000:00:04.0"]));
        assert!(named.contains("0000:00:04.0") && !named.contains("--no-pci"));
    }
}
