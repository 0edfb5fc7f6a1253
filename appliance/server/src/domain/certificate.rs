//! A certificate with its private key, which comes in, or is made here, and never goes out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lb_model::CertificateId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::SigningKey;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{self, Fault, Fields};
use super::{Kind, Owner, pkcs12};
use crate::vault::{self, Sealed};

/// The most that a chain, or a key, can hold.
const PEM_MAX: usize = 64 << 10;

/// A certificate with the chain that vouches for it, and its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Certificate {
    /// The certificate, and after it those that lead to its root, as PEM; null while it is still to be signed. One that was signed for
    /// `csr` takes the key that was made for it.
    #[schema(min_length = 1, max_length = 65536, example = "-----BEGIN CERTIFICATE-----\n…")]
    pub(crate) chain: Option<String>,
    #[serde(skip)]
    pub(crate) private_key: Option<PrivateKey>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) asked: Option<Asked>,
}

/// What an authority is asked to sign, and the key that was made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The request (PKCS#10), as PEM.
    pub(crate) csr: String,
    pub(crate) key: PrivateKey,
}

/// What is written and never shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
struct Written {
    /// Its private key as PEM, without a passphrase: written and never shown. One that is not given stays as it is.
    #[schema(write_only, min_length = 1, max_length = 65536)]
    private_key: Option<String>,
    /// A PKCS#12 file (`.p12`, `.pfx`) in base64: what is in it takes the place of `chain` and `private_key`.
    #[schema(write_only, min_length = 1, max_length = 131_072)]
    pkcs12: Option<String>,
    /// What opens `pkcs12`.
    #[schema(write_only, max_length = 256, format = Password, example = "spillway")]
    passphrase: Option<String>,
}

/// A private key as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKey {
    pub(crate) sealed: Sealed,
    /// The public half, which tells whether a certificate is the key's.
    pub(crate) public: String,
}

impl PartialEq for PrivateKey {
    /// There is one private half to a public one, however often it is sealed.
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for PrivateKey {}

impl PrivateKey {
    pub(super) fn read(pem: &str) -> Result<Self, Fault> {
        let malformed = || Fault::new("invalid", "this is not a private key as PEM, without a passphrase");
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| malformed())?;
        let key = signing_key(der.clone_key()).ok_or_else(malformed)?;
        let public = key.public_key().ok_or_else(malformed)?;
        let sealed =
            vault::seal(pem.as_bytes()).map_err(|error| Fault::new("unavailable", error.to_string()))?;
        Ok(Self { sealed, public: STANDARD.encode(&*public) })
    }
}

fn signing_key(der: PrivateKeyDer<'static>) -> Option<Arc<dyn SigningKey>> {
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    provider.key_provider.load_private_key(der).ok()
}

impl PrivateKey {
    /// Whether this certificate is the key's.
    pub(super) fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let parsed = ParsedCertificate::try_from(certificate);
        parsed.is_ok_and(|parsed| STANDARD.encode(&*parsed.subject_public_key_info()) == self.public)
    }
}

impl Certificate {
    /// Whether the key is the certificate's.
    pub(crate) fn is_of(&self, key: &PrivateKey) -> bool {
        let chain = self.chain.as_deref().unwrap_or_default();
        CertificateDer::from_pem_slice(chain.as_bytes()).is_ok_and(|first| key.is_of(&first))
    }
}

/// The chain and the key in a PKCS#12 file, if there is one.
#[expect(clippy::option_option, reason = "outside: whether it is right; inside: whether it is there")]
fn file(fields: &mut Fields<'_>) -> Option<Option<(String, PrivateKey)>> {
    let passphrase = fields.nullable("passphrase", fields::text(0..=256));
    let Some(file) = fields.nullable("pkcs12", pkcs12::bytes)? else {
        if passphrase?.is_some() {
            fields.fault("passphrase", Fault::new("unsupported", "there is no `pkcs12` that it opens"));
            return None;
        }
        return Some(None);
    };
    match pkcs12::open(&file, &passphrase?.unwrap_or_default()) {
        Ok(opened) => Some(Some(opened)),
        Err(pkcs12::Closed::Passphrase) => {
            fields.fault("passphrase", Fault::new("wrong", "this does not open `pkcs12`"));
            None
        }
        Err(pkcs12::Closed::Content(fault)) => {
            fields.fault("pkcs12", fault);
            None
        }
    }
}

/// A chain in which every certificate can be read, as it was written.
pub(super) fn chain(value: &Value) -> Result<String, Fault> {
    let text = pem(value)?;
    let malformed = || Fault::new("invalid", "want certificates as PEM, the one to be shown first");
    let all: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| malformed())?;
    let readable = all.iter().all(|der| ParsedCertificate::try_from(der).is_ok());
    if all.is_empty() || !readable {
        return Err(malformed());
    }
    Ok(text)
}

fn pem(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if !(1..=PEM_MAX).contains(&text.len()) {
        return Err(Fault::new("out_of_range", format!("want 1 to {PEM_MAX} characters")));
    }
    Ok(text.to_owned())
}

impl Kind for Certificate {
    type Id = CertificateId;
    type Parent = ();

    const NOUN: &'static str = "certificate";
    const OWNER: Owner = Owner::Project;
    const WRITE_ONLY: &'static [&'static str] = &["private_key", "pkcs12", "passphrase"];
    const EXAMPLE: &'static str = r#"{
        "name": "shop.example",
        "chain": "-----BEGIN CERTIFICATE-----\n…",
        "private_key": "-----BEGIN PRIVATE KEY-----\n…"
    }"#;

    fn write_only() -> Option<RefOr<Schema>> {
        Some(Written::schema())
    }

    fn new_id() -> CertificateId {
        CertificateId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let file = file(fields);
        let chain = fields.nullable("chain", chain);
        let private_key = fields.nullable("private_key", |value| PrivateKey::read(&pem(value)?));
        let (file, chain, private_key) = (file?, chain?, private_key?);
        let Some((chain, key)) = file else { return Some(Self { chain, private_key, asked: None }) };
        if private_key.is_some() {
            fields.fault("private_key", Fault::new("unsupported", "there is one in `pkcs12`"));
        }
        Some(Self { chain: Some(chain), private_key: Some(key), asked: None })
    }

    fn reveal(&self, key: &vault::Key) -> Map<String, Value> {
        let opened = self.private_key.as_ref().and_then(|kept| vault::open_key_with(key, &kept.sealed));
        let text = opened.and_then(|opened| String::from_utf8(opened).ok());
        text.map(|text| ("private_key".to_owned(), Value::String(text))).into_iter().collect()
    }

    fn inherit(&mut self, before: &Self) {
        self.asked.clone_from(&before.asked);
        if self.private_key.is_some() {
            return;
        }
        // What was asked for has come: the key that was made for it serves from now on.
        match self.asked.take() {
            Some(asked) if self.is_of(&asked.key) => self.private_key = Some(asked.key),
            asked => {
                self.asked = asked;
                self.private_key.clone_from(&before.private_key);
            }
        }
    }
}
