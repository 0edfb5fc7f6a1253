//! The key and certificate that the API is served with: made at first start, self-signed, for the addresses that
//! people reach it at.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::private_file;

/// Why the API cannot be served with TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} is not a PEM file with a {what}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        source: pem::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// Key and certificate cannot be used.
    #[error("cannot serve with this key and certificate")]
    Use(#[from] rustls::Error),
}

/// Reads key and certificate from `folder`, which is filled at the first start.
pub(crate) fn acceptor(folder: &Path, listen: IpAddr) -> Result<TlsAcceptor, TlsError> {
    let (key_file, certificate_file) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    private_file::directory(folder).map_err(file(folder))?;
    let missing = !key_file.exists() || !certificate_file.exists();
    if missing {
        let (key, certificate) = self_signed(listen)?;
        private_file::write(&key_file, key.as_bytes()).map_err(file(&key_file))?;
        private_file::write(&certificate_file, certificate.as_bytes()).map_err(file(&certificate_file))?;
    }
    let broken = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(broken(&key_file, "private key"))?;
    let chain = CertificateDer::pem_file_iter(&certificate_file)
        .and_then(Iterator::collect)
        .map_err(broken(&certificate_file, "certificate"))?;
    Ok(TlsAcceptor::from(Arc::new(config(chain, key)?)))
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A new ECDSA key (P-256) and a certificate for it, both as PEM.
fn self_signed(listen: IpAddr) -> Result<(String, String), rcgen::Error> {
    let mut names = vec!["localhost".to_owned(), "penstock".to_owned(), "127.0.0.1".to_owned()];
    if !listen.is_unspecified() && !listen.is_loopback() {
        names.push(listen.to_string());
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "penstock");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((key.serialize_pem(), certificate.pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let listen = IpAddr::from([192, 0, 2, 1]);
        acceptor(folder.path(), listen).unwrap();
        let made = std::fs::read(folder.path().join("certificate.pem")).unwrap();
        acceptor(folder.path(), listen).unwrap();
        assert_eq!(std::fs::read(folder.path().join("certificate.pem")).unwrap(), made);

        std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
        assert!(matches!(acceptor(folder.path(), listen), Err(TlsError::Pem { .. })));
    }
}
