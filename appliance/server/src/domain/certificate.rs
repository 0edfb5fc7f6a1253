//! A certificate with its private key, which comes in and never goes out.

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

use super::Kind;
use super::fields::{Fault, Fields};
use crate::vault::{self, Sealed};

/// The most that a chain, or a key, can hold.
const PEM_MAX: usize = 64 << 10;

/// A certificate with the chain that vouches for it, and its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Certificate {
    /// The certificate, and after it those that lead to its root, as PEM.
    #[schema(min_length = 1, max_length = 65536, example = "-----BEGIN CERTIFICATE-----\n…")]
    pub(crate) chain: String,
    #[serde(skip)]
    pub(crate) private_key: Option<PrivateKey>,
}

/// What is written and never shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
struct Written {
    /// Its private key as PEM, without a passphrase: written and never shown. One that is not given stays as it is.
    #[schema(write_only, min_length = 1, max_length = 65536)]
    private_key: Option<String>,
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
    fn read(pem: &str) -> Result<Self, Fault> {
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

impl Certificate {
    /// Whether the key is the certificate's.
    pub(crate) fn is_of(&self, key: &PrivateKey) -> bool {
        let first = CertificateDer::from_pem_slice(self.chain.as_bytes()).ok();
        let public = first.as_ref().and_then(|first| {
            let parsed = ParsedCertificate::try_from(first).ok()?;
            Some(STANDARD.encode(&*parsed.subject_public_key_info()))
        });
        public.as_ref() == Some(&key.public)
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
    const WRITE_ONLY: &'static [&'static str] = &["private_key"];
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
        let chain = fields.required("chain", chain);
        let private_key = fields.nullable("private_key", |value| PrivateKey::read(&pem(value)?));
        Some(Self { chain: chain?, private_key: private_key? })
    }

    fn reveal(&self, key: &vault::Key) -> Map<String, Value> {
        let opened = self.private_key.as_ref().and_then(|kept| vault::open_key_with(key, &kept.sealed));
        let text = opened.and_then(|opened| String::from_utf8(opened).ok());
        text.map(|text| ("private_key".to_owned(), Value::String(text))).into_iter().collect()
    }

    fn inherit(&mut self, before: &Self) {
        self.private_key = self.private_key.take().or_else(|| before.private_key.clone());
    }
}
