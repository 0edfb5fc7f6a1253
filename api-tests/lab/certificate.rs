//! Certificates that vouch for themselves.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

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
    /// One for `name`, which may be a wildcard, made by openssl; its files go into `folder`.
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
        Ok(Self { chain: read(&file)?, private_key: read(&key)?, file })
    }

    /// One for `name` that was good in the year 2000.
    pub fn expired(folder: &Path, name: &str) -> Result<Self> {
        let mut parameters = CertificateParams::new([name.to_owned()])?;
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        let key = KeyPair::generate()?;
        let (chain, private_key) = (parameters.self_signed(&key)?.pem(), key.serialize_pem());
        let file = folder.join(format!("{name}.expired.pem"));
        for (path, text) in [(&file, &chain), (&file.with_extension("key"), &private_key)] {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Self { file, chain, private_key })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
