//! Certificates that vouch for themselves, made by openssl.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::{program, run};

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file that a client trusts.
    pub file: PathBuf,
    /// What is in it, as PEM.
    pub chain: String,
    /// Its private key, as PEM.
    pub private_key: String,
}

impl Certificate {
    /// One for `name`, which may be a wildcard; its files go into `folder`.
    pub fn issue(folder: &Path, name: &str) -> Result<Self> {
        let stem = name.replace('*', "any");
        let (key, file) = (folder.join(format!("{stem}.key")), folder.join(format!("{stem}.pem")));
        let mut openssl = program("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-days", "30", "-subj", &format!("/CN={name}")]);
        openssl.args(["-addext", &format!("subjectAltName=DNS:{name}")]);
        // Nobody who checks strictly takes who may sign others for a server.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&file))?;
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        Ok(Self { chain: read(&file)?, private_key: read(&key)?, file })
    }
}
