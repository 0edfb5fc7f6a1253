//! What an authority is asked to certify: the key is made here and never leaves.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, RsaKeySize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::FieldError;
use super::certificate::{Asked, PrivateKey};
use super::fields::{self, Fault, Fields};

/// The most names that one certificate is for.
const NAMES_MAX: usize = 100;
/// The longest common name (RFC 5280, ub-common-name).
const COMMON_NAME_MAX: usize = 64;

/// What a certificate is to be for.
#[derive(Clone, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = CertificateRequest)]
pub(crate) struct CertificateRequest {
    /// The names and addresses that it is for; the first is its common name, if it is short enough.
    #[schema(min_items = 1, max_items = 100, value_type = Vec<RequestedName>, example = json!(["shop.example", "*.shop.example"]))]
    pub(crate) names: Vec<String>,
    /// The kind of key that is made for it.
    #[schema(required = false, default = "ecdsa_p256", example = "ecdsa_p256")]
    pub(crate) key: KeyKind,
    /// The organisation.
    #[schema(min_length = 1, max_length = 64, example = "Example Ltd")]
    pub(crate) organization: Option<String>,
    /// Its unit.
    #[schema(min_length = 1, max_length = 64, example = "Shop")]
    pub(crate) organizational_unit: Option<String>,
    /// Its town.
    #[schema(min_length = 1, max_length = 128, example = "Basel")]
    pub(crate) locality: Option<String>,
    /// Its state or province.
    #[schema(min_length = 1, max_length = 128, example = "Basel-Stadt")]
    pub(crate) state: Option<String>,
    /// Its country: two letters (ISO 3166).
    #[schema(min_length = 2, max_length = 2, pattern = "^[A-Z]{2}$", example = "CH")]
    pub(crate) country: Option<String>,
}

/// A name that a certificate is asked for: of a host, perhaps with `*` as its first part, or an IP address.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 253, example = "shop.example")]
pub(crate) struct RequestedName(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
pub(crate) enum KeyKind {
    #[schema(rename = "ecdsa_p256")]
    EcdsaP256,
    #[schema(rename = "ecdsa_p384")]
    EcdsaP384,
    #[schema(rename = "rsa_2048")]
    Rsa2048,
    #[schema(rename = "rsa_3072")]
    Rsa3072,
    #[schema(rename = "rsa_4096")]
    Rsa4096,
}

const KEY_KINDS: &[(&str, KeyKind)] = &[
    ("ecdsa_p256", KeyKind::EcdsaP256),
    ("ecdsa_p384", KeyKind::EcdsaP384),
    ("rsa_2048", KeyKind::Rsa2048),
    ("rsa_3072", KeyKind::Rsa3072),
    ("rsa_4096", KeyKind::Rsa4096),
];

impl KeyKind {
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        match self {
            Self::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa3072 => rsa(RsaKeySize::_3072),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        }
    }
}

impl CertificateRequest {
    /// Reads it, or says everything that is wrong with it.
    pub(crate) fn read(document: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::new(document);
        let read = Self::from_fields(&mut fields);
        let faults = fields.finish();
        read.filter(|_| faults.is_empty()).ok_or(faults)
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let names = fields.list("names", 1..=NAMES_MAX, name);
        let key = fields.optional("key", KeyKind::EcdsaP256, fields::word(KEY_KINDS));
        let organization = fields.nullable("organization", fields::text(1..=64));
        let organizational_unit = fields.nullable("organizational_unit", fields::text(1..=64));
        let locality = fields.nullable("locality", fields::text(1..=128));
        let state = fields.nullable("state", fields::text(1..=128));
        let country = fields.nullable("country", country);
        Some(Self {
            names: names?,
            key: key?,
            organization: organization?,
            organizational_unit: organizational_unit?,
            locality: locality?,
            state: state?,
            country: country?,
        })
    }

    /// Makes a key and signs the request with it. That takes a core for a moment, or for seconds where the key is long.
    pub(crate) fn make(&self) -> Result<Asked, Fault> {
        let failed = |error: rcgen::Error| Fault::new("unavailable", error.to_string());
        let mut parameters = CertificateParams::new(self.names.clone()).map_err(failed)?;
        parameters.distinguished_name = self.subject();
        let key = self.key.generate().map_err(failed)?;
        let request = parameters.serialize_request(&key).map_err(failed)?;
        Ok(Asked { csr: request.pem().map_err(failed)?, key: PrivateKey::read(&key.serialize_pem())? })
    }

    fn subject(&self) -> DistinguishedName {
        let mut subject = DistinguishedName::new();
        let parts = [
            (DnType::CountryName, &self.country),
            (DnType::StateOrProvinceName, &self.state),
            (DnType::LocalityName, &self.locality),
            (DnType::OrganizationName, &self.organization),
            (DnType::OrganizationalUnitName, &self.organizational_unit),
        ];
        for (kind, part) in parts {
            if let Some(part) = part {
                subject.push(kind, part.as_str());
            }
        }
        if let Some(first) = self.names.first().filter(|first| first.len() <= COMMON_NAME_MAX) {
            subject.push(DnType::CommonName, first.as_str());
        }
        subject
    }
}

fn name(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=253)(value)?;
    let host = text.strip_prefix("*.").unwrap_or(&text);
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(inner)
    };
    if text.parse::<IpAddr>().is_ok() || host.split('.').all(is_label) {
        return Ok(text);
    }
    Err(Fault::new("invalid", "want the name of a host, as shop.example or *.shop.example, or an IP address"))
}

fn country(value: &Value) -> Result<String, Fault> {
    let text = fields::text(2..=2)(value)?;
    if text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text);
    }
    Err(Fault::new("invalid", "want two capital letters, as CH"))
}
