//! The configuration file, and the directories it names.

use std::io;
use std::path::{Path, PathBuf};

use lb_model::config::{ApplianceConfig, ConfigError};
use thiserror::Error;

use crate::private_file;

/// Why the program cannot begin.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not understood.
    #[error("the configuration file {path} is not understood: line {line}: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Why.
        reason: String,
    },
    /// The file contradicts itself.
    #[error("the configuration file {path} cannot be followed")]
    Check {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// A directory cannot be made or written.
    #[error("cannot write into the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads and checks the configuration file.
pub(crate) fn read(path: &Path) -> Result<ApplianceConfig, StartError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| StartError::Read { path: path.to_owned(), source })?;
    let config: ApplianceConfig =
        toml::from_str(&text).map_err(|error| not_understood(path, &text, &error))?;
    config.check().map_err(|source| StartError::Check { path: path.to_owned(), source })?;
    Ok(config)
}

/// The error as one line; its own text is a drawing.
fn not_understood(path: &Path, text: &str, error: &toml::de::Error) -> StartError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    StartError::Parse { path: path.to_owned(), line, reason: error.message().to_owned() }
}

/// Makes the directory unless it is there, and tries whether it can be written: better now than at the first change.
pub(crate) fn prepare_directory(path: &Path) -> Result<(), StartError> {
    let trial = path.join(".penstockd-trial");
    private_file::directory(path)
        .and_then(|()| private_file::write(&trial, b""))
        .and_then(|()| private_file::remove(&trial))
        .map_err(|source| StartError::Directory { path: path.to_owned(), source })
}
