//! The last plan, on disk: what is held and steered after a reboot, before penstockd says anything.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lb_model::HostPlan;
use thiserror::Error;

/// Why the last plan cannot be kept or read.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is damaged")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot remove {path}")]
    Remove { path: PathBuf, source: io::Error },
}

/// The directory of what this process keeps.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
}

impl State {
    pub(crate) fn at(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("host") }
    }

    /// The plan that was kept last, if any.
    pub(crate) fn load(&self) -> Result<Option<HostPlan>, StateError> {
        let path = self.plan();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| StateError::Damaged { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Read { path, source }),
        }
    }

    /// Keeps `plan`: after this it is the one that a crash or a power cut leaves behind.
    pub(crate) fn keep(&self, plan: &HostPlan) -> Result<(), StateError> {
        let path = self.plan();
        self.replace(plan).map_err(|source| StateError::Write { path, source })
    }

    fn replace(&self, plan: &HostPlan) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let fresh = self.dir.join("plan.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(plan)?)?;
        file.sync_all()?;
        fs::rename(&fresh, self.plan())?;
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets everything.
    pub(crate) fn remove(&self) -> Result<(), StateError> {
        match fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Remove { path: self.dir.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn plan(&self) -> PathBuf {
        self.dir.join("plan.json")
    }
}

#[cfg(test)]
mod tests {
    use lb_model::Generation;

    use super::*;

    #[test]
    fn what_was_kept_is_found_again_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path());
        assert_eq!(state.load().unwrap(), None);
        let plan = HostPlan { generation: Generation(7), ..HostPlan::default() };
        state.keep(&plan).unwrap();
        assert_eq!(State::at(dir.path()).load().unwrap(), Some(plan));

        fs::write(state.plan(), b"{").unwrap();
        assert!(matches!(state.load(), Err(StateError::Damaged { .. })));
        state.remove().unwrap();
        state.remove().unwrap();
        assert_eq!(state.load().unwrap(), None);
    }
}
