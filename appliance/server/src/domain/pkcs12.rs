//! PKCS#12 files (RFC 7292), in which other programs hand over a certificate with its chain and its private key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::certificate::PrivateKey;
use super::fields::Fault;

/// The most that one can hold, in base64.
const FILE_MAX: usize = 128 << 10;
/// More than any chain is long.
const CHAIN_MAX: usize = 10;

/// Why a file stays closed.
pub(super) enum Closed {
    /// Another passphrase opens it.
    Passphrase,
    /// It is none, or not one with a certificate and its key.
    Content(Fault),
}

/// The bytes that stand in base64, with or without line breaks.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if !(1..=FILE_MAX).contains(&text.len()) {
        return Err(Fault::new("out_of_range", format!("want 1 to {FILE_MAX} characters")));
    }
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| Fault::new("invalid", "this is not base64"))
}

/// The certificate with those that vouch for it, as PEM, and its private key.
pub(super) fn open(file: &[u8], passphrase: &str) -> Result<(String, PrivateKey), Closed> {
    let content = |detail: &str| Closed::Content(Fault::new("invalid", detail));
    let archive = Pkcs12Archive::from_pkcs12(file, passphrase).map_err(|error| match error {
        // A file without a checksum is noticed later, by what comes out.
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => Closed::Passphrase,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => {
            content("it is protected in a way that is not supported")
        }
        _ => content("this is not a PKCS#12 file"),
    })?;
    let [key] = archive.keys.as_slice() else {
        return Err(content("want a file with one private key"));
    };
    let key = PrivateKey::read(&armoured("PRIVATE KEY", key.key.as_der())).map_err(Closed::Content)?;
    let certificates: Vec<&[u8]> = archive.certs.iter().map(|bag| bag.cert.as_der()).collect();
    let chain =
        ordered(&key, &certificates).ok_or_else(|| content("there is no certificate of its private key"))?;
    Ok((chain.into_iter().map(|der| armoured("CERTIFICATE", der)).collect(), key))
}

/// The certificate of the key, after it the one that vouches for it, and so on. A root, which vouches for itself, is what clients
/// have already.
fn ordered<'c>(key: &PrivateKey, certificates: &[&'c [u8]]) -> Option<Vec<&'c [u8]>> {
    let own = certificates.iter().find(|der| key.is_of(&CertificateDer::from(**der)))?;
    let mut chain = vec![*own];
    while let Some(next) = chain.last().and_then(|der| issuer(der, certificates))
        && chain.len() < CHAIN_MAX
        && !chain.contains(&next)
    {
        chain.push(next);
    }
    Some(chain)
}

fn issuer<'c>(der: &[u8], certificates: &[&'c [u8]]) -> Option<&'c [u8]> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let issued = |candidate: &&&[u8]| {
        X509Certificate::from_der(candidate).is_ok_and(|(_, candidate)| {
            let is_root = candidate.subject().as_raw() == candidate.issuer().as_raw();
            !is_root && candidate.subject().as_raw() == certificate.issuer().as_raw()
        })
    };
    certificates.iter().find(issued).copied()
}

fn armoured(label: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(label, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}
