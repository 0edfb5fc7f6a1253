//! Why an `AF_XDP` port does not start: DPDK 22.11's driver answers −22 whatever the cause.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Resource, getrlimit};

/// The program that libxdp attaches where none is.
const OBJECT: &str = "xsk_def_xdp_prog.o";
/// What the kernel pins for the smallest pool that makes sense.
const NEEDED_MEMLOCK: u64 = 64 << 20;

/// What is wrong: of the usual things, the first that is found.
pub(crate) fn likely_cause() -> &'static str {
    match socket(AddressFamily::XDP, SocketType::RAW, None) {
        Err(Errno::AFNOSUPPORT) => return "the kernel was built without AF_XDP",
        Err(Errno::PERM | Errno::ACCESS) => return "CAP_NET_RAW is missing",
        Err(_) | Ok(_) => {}
    }
    if !object_directories().iter().any(|directory| directory.join(OBJECT).exists()) {
        return "libxdp's BPF objects are not installed (package libxdp1)";
    }
    let locked = getrlimit(Resource::Memlock).current;
    if locked.is_some_and(|limit| limit < NEEDED_MEMLOCK) && !has_ipc_lock() {
        return "memory may not be locked: raise LimitMEMLOCK or grant CAP_IPC_LOCK";
    }
    // Neither closing nor a failed start frees the memory area that holds a queue (refcnt in eth_dev_close).
    "its driver refuses XDP, or its queues are taken, by another process or by an earlier port of this one"
}

/// Where libxdp looks.
fn object_directories() -> Vec<PathBuf> {
    if let Some(directory) = env::var_os("LIBXDP_OBJECT_PATH") {
        return vec![directory.into()];
    }
    ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/bpf", "/usr/lib64/bpf"]
        .map(|path| Path::new(path).into())
        .into()
}

/// Whether this thread may lock as much memory as it likes.
fn has_ipc_lock() -> bool {
    const IPC_LOCK: u32 = 14;
    let effective = || {
        let status = fs::read_to_string("/proc/thread-self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    effective().is_some_and(|capabilities| capabilities >> IPC_LOCK & 1 == 1)
}
