//! The machine's own settings: kept as lines that the image's scripts read, and put in force by a service of the image.
//!
//! New ones are on trial first: they lie where a restart loses them, and give way to those before unless they are confirmed. Whoever
//! cut off their own way to the appliance only has to wait.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lb_model::config::ApplianceConfig;
use lb_model::contract::{HostAnswer, SettingsRequest, SettingsStatus};
use lb_model::settings::{MANAGEMENT, Settings};
use thiserror::Error;
use tracing::{info, warn};

use crate::machine::{MachineError, systemctl};

/// What the image's scripts leave: the network cards, the first of which is for management, and what the seed says.
const CARDS: &str = "/run/penstock-cards";
const SEED: &str = "/run/penstock-seed";
/// Where settings on trial lie: the scripts look here first.
const TRIAL: &str = "/run/penstock-host/settings";
/// What puts in force what lies where.
const SERVICE: &str = "penstock-settings.service";

/// Why an order is not followed.
#[derive(Debug, Error)]
enum SettingsError {
    #[error("this machine was not started from an image: its settings are its own")]
    NotAnImage,
    #[error("the settings wait to be confirmed already: confirm them, or wait")]
    OnTrial,
    #[error("no settings wait to be confirmed")]
    NoTrial,
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot start the thread that waits for a confirmation")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// The settings of this machine.
#[derive(Debug)]
pub(crate) struct MachineSettings {
    files: Arc<Files>,
    /// When those on trial give way.
    trial: Arc<Mutex<Option<Instant>>>,
}

/// Where they lie.
#[derive(Debug)]
struct Files {
    cards: PathBuf,
    seed: PathBuf,
    trial: PathBuf,
    kept: PathBuf,
}

impl MachineSettings {
    /// Settings that were on trial when an earlier process ended are not those that somebody wanted to keep.
    pub(crate) fn new(config: &ApplianceConfig) -> Self {
        let kept = config.state_dir.join("host/settings");
        let files = Files { cards: CARDS.into(), seed: SEED.into(), trial: TRIAL.into(), kept };
        if files.trial.exists() {
            give_up(&files);
        }
        Self { files: Arc::new(files), trial: Arc::default() }
    }

    pub(crate) fn answer(&self, request: &SettingsRequest) -> HostAnswer {
        match self.follow(request) {
            Ok(status) => HostAnswer::Settings(status),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                warn!("an order about the settings is not followed: {reason}");
                HostAnswer::Unable { reason }
            }
        }
    }

    fn follow(&self, request: &SettingsRequest) -> Result<SettingsStatus, SettingsError> {
        let mut trial = self.trial();
        match request {
            SettingsRequest::Describe => {}
            SettingsRequest::Try { settings, seconds } => {
                self.begin(&mut trial, settings, Duration::from_secs(u64::from(*seconds)))?;
            }
            SettingsRequest::Confirm => {
                trial.take().ok_or(SettingsError::NoTrial)?;
                self.files.keep()?;
                info!("the settings are confirmed");
            }
        }
        Ok(SettingsStatus { settings: self.files.in_force()?, trial: trial.map(seconds_left) })
    }

    fn begin(
        &self,
        trial: &mut Option<Instant>,
        settings: &Settings,
        patience: Duration,
    ) -> Result<(), SettingsError> {
        // Confirming would keep the first of two, and undoing the second would lead to the first.
        if trial.is_some() {
            return Err(SettingsError::OnTrial);
        }
        self.files.interfaces()?;
        write(&self.files.trial, settings.to_lines().as_bytes())?;
        let deadline = Instant::now() + patience;
        let (files, deadlines) = (Arc::clone(&self.files), Arc::clone(&self.trial));
        let waiting = move || await_confirmation(&files, &deadlines, deadline);
        thread::Builder::new().name("trial".to_owned()).spawn(waiting).map_err(SettingsError::Thread)?;
        *trial = Some(deadline);
        info!("new settings are in force for {} seconds, unless they are confirmed", patience.as_secs());
        Ok(put_in_force()?)
    }

    fn trial(&self) -> MutexGuard<'_, Option<Instant>> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds_left(deadline: Instant) -> u32 {
    u32::try_from(deadline.saturating_duration_since(Instant::now()).as_secs()).unwrap_or(u32::MAX)
}

fn await_confirmation(files: &Files, trial: &Mutex<Option<Instant>>, deadline: Instant) {
    thread::sleep(deadline.saturating_duration_since(Instant::now()));
    let mut trial = trial.lock().unwrap_or_else(PoisonError::into_inner);
    // Another trial has another deadline.
    if *trial == Some(deadline) {
        *trial = None;
        give_up(files);
    }
}

fn give_up(files: &Files) {
    warn!("new settings were not confirmed: those before are in force again");
    let removed = fs::remove_file(&files.trial)
        .map_err(|source| SettingsError::Write { path: files.trial.clone(), source });
    if let Err(error) = removed.and_then(|()| Ok(put_in_force()?)) {
        warn!("cannot put the settings before in force: {:#}", anyhow::Error::from(error));
    }
}

/// The answer comes before the addresses change: systemd only notes the order.
fn put_in_force() -> Result<(), MachineError> {
    systemctl("restart", SERVICE)
}

impl Files {
    fn in_force(&self) -> Result<Settings, SettingsError> {
        let interfaces = self.interfaces()?;
        for path in [&self.trial, &self.kept, &self.seed] {
            if let Some(text) = read(path)? {
                return Ok(Settings::from_lines(&text, interfaces));
            }
        }
        Ok(Settings::untold(interfaces))
    }

    /// A single card is for management and a port: one interface.
    fn interfaces(&self) -> Result<Vec<String>, SettingsError> {
        let cards = read(&self.cards)?.ok_or(SettingsError::NotAnImage)?;
        let ports = cards.lines().count().saturating_sub(1);
        Ok(std::iter::once(MANAGEMENT.to_owned())
            .chain((1..=ports).map(|number| format!("port{number}")))
            .collect())
    }

    /// Those on trial are from now on those of this machine.
    fn keep(&self) -> Result<(), SettingsError> {
        let text = read(&self.trial)?.ok_or(SettingsError::NoTrial)?;
        write(&self.kept, text.as_bytes())?;
        fs::remove_file(&self.trial)
            .map_err(|source| SettingsError::Write { path: self.trial.clone(), source })
    }
}

fn read(path: &Path) -> Result<Option<String>, SettingsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::Read { path: path.to_owned(), source }),
    }
}

/// Whole or not at all, also when the power fails.
fn write(path: &Path, bytes: &[u8]) -> Result<(), SettingsError> {
    let replace = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()
    };
    replace().map_err(|source| SettingsError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        let file = |name: &str| folder.join(name);
        Files { cards: file("cards"), seed: file("seed"), trial: file("trial"), kept: file("host/settings") }
    }

    #[test]
    fn what_is_on_trial_is_in_force_before_what_is_kept_and_that_before_the_seed() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(matches!(files.in_force(), Err(SettingsError::NotAnImage)));
        fs::write(&files.cards, "0000:00:08.0 ens8\n0000:00:09.0 ens9\n").unwrap();
        let hostname = || files.in_force().unwrap().hostname;
        assert_eq!(hostname(), "penstock");
        assert_eq!(files.interfaces().unwrap(), ["management", "port1"]);
        fs::write(&files.seed, "hostname=seeded\n").unwrap();
        assert_eq!(hostname(), "seeded");
        write(&files.trial, b"hostname=tried\n").unwrap();
        assert_eq!(hostname(), "tried");
        files.keep().unwrap();
        assert_eq!(hostname(), "tried");
        write(&files.trial, b"hostname=other\n").unwrap();
        fs::remove_file(&files.trial).unwrap();
        assert_eq!(hostname(), "tried");
        assert!(matches!(files.keep(), Err(SettingsError::NoTrial)));
    }
}
