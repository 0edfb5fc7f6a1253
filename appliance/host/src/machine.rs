//! The machine as a whole: its slots, which RAUC fills and the boot loader chooses from, and its power.
//!
//! RAUC is a service of its own, outside this process's sandbox; here it is only asked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use lb_model::config::ApplianceConfig;
use lb_model::contract::{HostAnswer, Installation, MachineRequest, MachineStatus, SlotStatus};
use thiserror::Error;
use tracing::{info, warn};

/// On a machine with slots: what its boot loader knows, as the image's `slots` leaves it there.
const BOOT_LOADER: &str = "/run/penstock-slots";
const SLOTS: [&str; 2] = ["a", "b"];
/// A slot that has used so many is not started any more.
const TRIES: &str = "3";

/// Why an order is not followed.
#[derive(Debug, Error)]
pub(crate) enum MachineError {
    #[error("this machine was not started from an image: it has no slots")]
    NoSlots,
    #[error("an update is being installed")]
    Installing,
    #[error("the other slot holds no release that can be started")]
    NothingThere,
    #[error("cannot start {program}")]
    Start { program: &'static str, source: io::Error },
    #[error("{program}: {text}")]
    Failed { program: &'static str, text: String },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    update: PathBuf,
    /// Above the state of the running slot lie both.
    data: PathBuf,
    installation: Arc<Mutex<Installation>>,
}

impl Machine {
    pub(crate) fn new(config: &ApplianceConfig) -> Self {
        let data = config.state_dir.parent().unwrap_or(Path::new("/")).to_owned();
        Self { update: config.update_file(), data, installation: Arc::default() }
    }

    pub(crate) fn answer(&self, request: MachineRequest) -> HostAnswer {
        match self.follow(request).and_then(|()| self.describe()) {
            Ok(status) => HostAnswer::Machine(status),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                warn!(?request, "an order is not followed: {reason}");
                HostAnswer::Unable { reason }
            }
        }
    }

    fn follow(&self, request: MachineRequest) -> Result<(), MachineError> {
        if request == MachineRequest::Describe {
            return Ok(());
        }
        if self.slots()?.is_empty() {
            return Err(MachineError::NoSlots);
        }
        if self.installation() == Installation::Running {
            return Err(MachineError::Installing);
        }
        info!(?request, "this was ordered for the machine");
        match request {
            MachineRequest::Describe => Ok(()),
            MachineRequest::Install => self.install(),
            MachineRequest::RollBack => self.roll_back(),
            MachineRequest::Restart => power("reboot"),
            MachineRequest::ShutDown => power("poweroff"),
            MachineRequest::FactoryReset => self.reset(),
        }
    }

    fn describe(&self) -> Result<MachineStatus, MachineError> {
        Ok(MachineStatus { slots: self.slots()?, installation: self.installation() })
    }

    fn installation(&self) -> Installation {
        self.installation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// RAUC takes minutes: a thread waits for it.
    fn install(&self) -> Result<(), MachineError> {
        let (update, installation) = (self.update.clone(), Arc::clone(&self.installation));
        set(&installation, Installation::Running);
        let work = move || {
            let done = run("rauc", &[OsStr::new("install"), update.as_os_str()]);
            if let Err(error) = fs::remove_file(&update) {
                warn!("cannot remove {}: {error}", update.display());
            }
            set(&installation, done.map_or_else(failed, |_| Installation::Done));
        };
        let started = thread::Builder::new().name("install".to_owned()).spawn(work);
        started.map(drop).map_err(|source| {
            set(&self.installation, Installation::None);
            MachineError::Start { program: "rauc", source }
        })
    }

    fn roll_back(&self) -> Result<(), MachineError> {
        let slots = self.slots()?;
        if !slots.iter().any(|slot| !slot.running && slot.startable) {
            return Err(MachineError::NothingThere);
        }
        run("rauc", &["status", "mark-active", "other"]).map(drop)
    }

    /// What makes the file system anew at the next start looks for this file.
    fn reset(&self) -> Result<(), MachineError> {
        let path = self.data.join("factory-reset");
        fs::write(&path, b"").map_err(|source| MachineError::Write { path, source })?;
        power("reboot")
    }

    /// From files alone: RAUC would ask the boot loader again, which takes long.
    fn slots(&self) -> Result<Vec<SlotStatus>, MachineError> {
        let Some(boot_loader) = read(Path::new(BOOT_LOADER))? else { return Ok(Vec::new()) };
        let boot_loader = BootLoader::read(&boot_loader);
        let arguments = read(Path::new("/proc/cmdline"))?.unwrap_or_default();
        let installed_releases = read(&self.data.join("rauc.status"))?.unwrap_or_default();
        let slot = |name: &str| -> Result<SlotStatus, MachineError> {
            let started = read(&self.data.join(format!("slots/{name}.version")))?;
            Ok(SlotStatus {
                name: name.to_owned(),
                running: running(&arguments) == Some(name),
                next: boot_loader.next() == name,
                startable: boot_loader.startable(name),
                version: installed(&installed_releases, name)
                    .or_else(|| started.map(|version| version.trim().to_owned())),
            })
        };
        SLOTS.into_iter().map(slot).collect()
    }
}

fn read(path: &Path) -> Result<Option<String>, MachineError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MachineError::Read { path: path.to_owned(), source }),
    }
}

fn set(installation: &Mutex<Installation>, value: Installation) {
    *installation.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn failed(error: MachineError) -> Installation {
    let reason = format!("{:#}", anyhow::Error::from(error));
    warn!("an update was not installed: {reason}");
    Installation::Failed { reason }
}

/// The answer comes before the machine goes down: systemd only notes the order.
fn power(order: &str) -> Result<(), MachineError> {
    run("systemctl", &["--no-block", order]).map(drop)
}

/// Notes an order for a service.
pub(crate) fn systemctl(order: &str, service: &str) -> Result<(), MachineError> {
    run("systemctl", &["--no-block", order, service]).map(drop)
}

fn run<A: AsRef<OsStr>>(program: &'static str, arguments: &[A]) -> Result<Output, MachineError> {
    let told = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| MachineError::Start { program, source })?;
    if told.status.success() {
        return Ok(told);
    }
    Err(MachineError::Failed { program, text: reason(&told) })
}

/// RAUC says `LastError:`, amid its progress; others end with what went wrong.
fn reason(told: &Output) -> String {
    let text = String::from_utf8_lossy(&told.stdout);
    let last_error = text.lines().find_map(|line| line.strip_prefix("LastError: ")).map(str::to_owned);
    let text = String::from_utf8_lossy(&told.stderr);
    let last_line = || text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    last_error.or_else(last_line).unwrap_or_else(|| "it failed".to_owned())
}

/// What the boot loader knows.
#[derive(Debug)]
struct BootLoader {
    values: BTreeMap<String, String>,
}

impl BootLoader {
    /// From lines `name=value`.
    fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self { values: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    fn startable(&self, slot: &str) -> bool {
        self.value(&format!("{slot}_tries")) != TRIES
    }

    /// As grub.cfg chooses.
    fn next(&self) -> &str {
        let primary = self.value("primary");
        let others = SLOTS.into_iter().filter(|slot| *slot != primary);
        let mut startable = std::iter::once(primary).chain(others).filter(|slot| self.startable(slot));
        startable.next().unwrap_or(self.value("good"))
    }
}

/// The slot in the kernel's arguments.
fn running(arguments: &str) -> Option<&str> {
    arguments.split_whitespace().find_map(|argument| argument.strip_prefix("rauc.slot="))
}

/// The release that RAUC wrote into a slot, in the file where it keeps that.
fn installed(status: &str, slot: &str) -> Option<String> {
    let number = SLOTS.iter().position(|name| *name == slot)?;
    let section = format!("[slot.root.{number}]");
    let lines = status.lines().skip_while(|line| *line != section).skip(1);
    let mut fields = lines.take_while(|line| !line.starts_with('['));
    fields.find_map(|line| line.strip_prefix("bundle.version=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn the_next_slot_is_the_first_that_can_be_started() {
        let next = |primary: &str, a: u8, b: u8| {
            let text = format!("primary={primary}\ngood=a\na_tries={a}\nb_tries={b}\n");
            BootLoader::read(&text).next().to_owned()
        };
        assert_eq!(
            [next("a", 0, 3), next("b", 0, 2), next("b", 1, 3), next("b", 3, 3)],
            ["a", "b", "a", "a"]
        );
    }

    #[test]
    fn rauc_keeps_what_it_installed() {
        let status =
            "[slot.root.0]\nstatus=ok\n\n[slot.root.1]\nbundle.compatible=penstock\nbundle.version=v2\n";
        assert_eq!(installed(status, "b").as_deref(), Some("v2"));
        assert_eq!(installed(status, "a"), None);
        assert_eq!(installed("", "b"), None);
        assert_eq!(running("boot=penstock rauc.slot=b panic=10\n"), Some("b"));
    }

    #[test]
    fn the_reason_is_the_one_that_rauc_gives() {
        let told = |stdout: &str, stderr: &str| Output {
            status: ExitStatus::default(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        let installing = "installing\n 40% Checking bundle failed.\nLastError: no signature\n";
        assert_eq!(reason(&told(installing, "Installing failed\n")), "no signature");
        assert_eq!(reason(&told("", "one\ntwo\n\n")), "two");
        assert_eq!(reason(&told("", "")), "it failed");
    }
}
