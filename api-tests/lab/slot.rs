//! A lab's place on the machine: its number, its folder and the names of what it makes.
//!
//! Everything a lab makes carries the number of its slot. Who holds the lock of a slot may make and remove what
//! carries its number; a lock is released by the kernel when its holder dies, however it dies. So a
//! slot that can be locked holds at most leftovers, and those can be removed without asking anybody.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::{complain, program, run};
use crate::hugepages;
use crate::namespace::Namespace;

/// Not below `/run`: Debian mounts that without the right to execute, and small.
const HOME: &str = "/var/lib/penstock-lab";

/// Slots of `make run`: the first of them gives the addresses that the documentation shows.
pub(crate) const SLOTS_FOR_RUN: Range<u8> = 0..8;
/// Slots of tests.
pub(crate) const SLOTS_FOR_TESTS: Range<u8> = 8..64;

/// The part of the network's inhabitants that has a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// In the front network, and a router for `Far`.
    Client,
    /// A client one hop behind `Client`.
    Far,
    /// The appliance.
    Appliance,
    /// The bridge behind the appliance.
    Switch,
    /// A server, counted from 1.
    Member(usize),
}

/// All that have a namespace.
pub(crate) const ROLES: [Role; 6] =
    [Role::Client, Role::Far, Role::Appliance, Role::Switch, Role::Member(1), Role::Member(2)];

/// A number between labs, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u8,
    management: Ipv4Addr,
    _lock: File,
}

impl Slot {
    /// The first free one of these, cleaned of leftovers. `management` is the first address of a /24 for the
    /// links between the host and the appliances.
    pub(crate) fn take(numbers: Range<u8>, management: Ipv4Addr) -> Result<Self> {
        for number in numbers.clone() {
            if let Some(lock) = lock(number)? {
                let slot = Self { number, management, _lock: lock };
                slot.clear()?;
                return Ok(slot);
            }
        }
        bail!(
            "{} labs are running on this machine already, and that is as many as fit: stop one",
            numbers.len()
        )
    }

    /// The folder for what the lab writes.
    pub(crate) fn folder(&self) -> PathBuf {
        folder(self.number)
    }

    /// The namespace of one of the inhabitants.
    pub(crate) fn namespace(&self, role: Role) -> Namespace {
        let number = self.number;
        Namespace::named(match role {
            Role::Client => format!("pst{number}-client"),
            Role::Far => format!("pst{number}-far"),
            Role::Appliance => format!("pst{number}-appliance"),
            Role::Switch => format!("pst{number}-switch"),
            Role::Member(member) => format!("pst{number}-member-{member}"),
        })
    }

    /// The host's end of the link to the appliance's management interface.
    pub(crate) fn host_interface(&self) -> String {
        format!("pst{}-mgmt", self.number)
    }

    /// The host's address on that link, a /30.
    pub(crate) fn host_address(&self) -> Ipv4Addr {
        self.management_address(1)
    }

    /// The appliance's address on that link.
    pub(crate) fn appliance_address(&self) -> Ipv4Addr {
        self.management_address(2)
    }

    fn management_address(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.management) + 4 * u32::from(self.number) + host)
    }

    /// Removes everything that carries this number. What is not there is fine; what cannot be removed is reported
    /// after the rest was.
    pub(crate) fn clear(&self) -> Result<()> {
        let namespaces = ROLES.map(|role| self.namespace(role));
        let mut results: Vec<Result<()>> = namespaces.iter().map(Namespace::kill_all).collect();
        results.push(self.remove_host_interface());
        results.extend(namespaces.iter().map(Namespace::remove));
        results.push(unmount_below(&self.folder()));
        results.push(hugepages::give_back(&self.folder()));
        results.push(remove_contents(&self.folder()));
        results.into_iter().collect()
    }

    /// First of the links: removing a namespace removes its interfaces some time later, and an address that lingers on the
    /// host is in the next lab's way.
    fn remove_host_interface(&self) -> Result<()> {
        let interface = self.host_interface();
        if Path::new("/sys/class/net").join(&interface).exists() {
            run(program("ip").args(["link", "delete", &interface]))?;
        }
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            complain(&error.context("the lab could not remove all of itself"));
        }
        // While the lock is held: see `lock` for who may be waiting.
        let _ = fs::remove_dir_all(self.folder());
        let _ = fs::remove_file(lock_file(self.number));
        // Only the last lab to end finds it empty.
        let _ = fs::remove_dir(HOME);
    }
}

/// Removes what killed labs left, and returns how many there were.
pub(crate) fn sweep(management: Ipv4Addr) -> Result<usize> {
    let mut swept = 0;
    for number in SLOTS_FOR_RUN.start..SLOTS_FOR_TESTS.end {
        if !lock_file(number).exists() {
            continue;
        }
        if let Some(lock) = lock(number)? {
            drop(Slot { number, management, _lock: lock });
            swept += 1;
        }
    }
    Ok(swept)
}

fn folder(number: u8) -> PathBuf {
    Path::new(HOME).join(number.to_string())
}

fn lock_file(number: u8) -> PathBuf {
    Path::new(HOME).join(format!("{number}.lock"))
}

/// Takes the lock of a slot, unless somebody has it. The lock is of the file that the name leads to now: its last holder
/// may have removed the one that was opened.
fn lock(number: u8) -> Result<Option<File>> {
    let path = lock_file(number);
    loop {
        fs::create_dir_all(HOME).with_context(|| format!("cannot make {HOME}"))?;
        let file = match File::options().create(true).append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("cannot lock {}", path.display()));
            }
            Ok(()) if is_still_at(&file, &path) => return Ok(Some(file)),
            Ok(()) => {}
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(there)) => (opened.dev(), opened.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|at| Path::new(at).starts_with(folder));
    for mount in below {
        run(program("umount").args(["--lazy", mount]))?;
    }
    Ok(())
}

fn remove_contents(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
