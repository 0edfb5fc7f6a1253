//! The resource `certificates`.

use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::author::comment_parameter;
use super::body::JsonBody;
use super::describe::Description;
use super::error::Problem;
use super::resource::{self, ETAG, Item, Resource, path_parameter, shown};
use super::view::Operating;
use super::{App, Route};
use crate::domain::revision::sha256;
use crate::domain::{Author, Certificate, CertificateRequest, FieldError, Record, Timestamp};
use crate::probe::Board;

/// So many days before its end a certificate asks for attention.
const SOON_DAYS: u64 = 30;
const DAY_S: u64 = 86_400;

impl Resource for Certificate {
    const COLLECTION: &'static str = "/api/v1/certificates";
    const NAME: &'static str = "Certificate";
    const NAMES: &'static str = "Certificates";
    const TAG: &'static str = "certificates";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = CertificateSeen;

    fn seen(record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, CertificateSeen) {
        let Certificate { chain, asked, .. } = &record.spec.own;
        let csr = asked.as_ref().map(|asked| asked.csr.clone());
        let Some(chain) = chain else {
            let reason =
                if csr.is_some() { "`csr` is still to be signed" } else { "it has no certificate yet" };
            let seen = CertificateSeen { csr, ..CertificateSeen::default() };
            return (Operating::Offline, Some(reason.to_owned()), seen);
        };
        let seen = CertificateSeen { csr, ..CertificateSeen::of(chain) };
        let (operating, reason) = validity(seen.not_before, seen.not_after, Timestamp::now());
        (operating, reason, seen)
    }
}

/// What stands in the certificate, the first of its chain.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct CertificateSeen {
    /// The names that it is for; where it has none, the common name of its subject.
    #[schema(max_items = 1000, value_type = Vec<CertifiedName>)]
    names: Vec<String>,
    /// Who issued it.
    #[schema(max_length = 4096, example = "CN=Example CA")]
    issuer: String,
    /// From when it is valid.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required, example = "2026-01-02T03:04:05.678Z")]
    not_before: Option<Timestamp>,
    /// Until when it is valid.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required, example = "2027-01-02T03:04:05.678Z")]
    not_after: Option<Timestamp>,
    /// SHA-256 over it, in hexadecimal.
    #[schema(max_length = 64, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    fingerprint: String,
    /// What an authority is to sign (PKCS#10), as PEM; null where nothing is asked for.
    #[schema(max_length = 65536, required, example = "-----BEGIN CERTIFICATE REQUEST-----\n…")]
    csr: Option<String>,
}

/// A name that a certificate is for.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 255, example = "shop.example")]
pub(super) struct CertifiedName(#[expect(dead_code, reason = "a shape for the API's description")] String);

impl CertificateSeen {
    /// Of a chain that can be read: nothing else is stored.
    fn of(chain: &str) -> Self {
        let Ok(der) = CertificateDer::from_pem_slice(chain.as_bytes()) else { return Self::default() };
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return Self::default() };
        let second =
            |time: ASN1Time| Timestamp::at_second(u64::try_from(time.timestamp()).unwrap_or_default());
        let validity = certificate.validity();
        Self {
            names: names(&certificate),
            issuer: certificate.issuer().to_string(),
            not_before: Some(second(validity.not_before)),
            not_after: Some(second(validity.not_after)),
            fingerprint: sha256(&der),
            csr: None,
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let named: Vec<String> = alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    if !named.is_empty() {
        return named;
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.map(str::to_owned).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let sixteen = || <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    four.or_else(|_| sixteen()).ok()
}

/// Whether clients accept it at this time, as far as its dates say.
fn validity(
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> (Operating, Option<String>) {
    let (Some(from), Some(until)) = (from, until) else { return (Operating::Unknown, None) };
    if now > until {
        return (Operating::Offline, Some("it has expired".to_owned()));
    }
    if now < from {
        return (Operating::Offline, Some("it is not valid yet".to_owned()));
    }
    let days = until.second().saturating_sub(now.second()) / DAY_S;
    if days <= SOON_DAYS {
        return (Operating::Degraded, Some(format!("it expires in {days} days")));
    }
    (Operating::Online, None)
}

async fn request(
    State(app): State<App>,
    author: Author,
    Item(place): Item<Certificate>,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    app.store.get(place).await?;
    let request = CertificateRequest::read(&document).map_err(Problem::invalid)?;
    // A long key takes seconds.
    let made = tokio::task::spawn_blocking(move || request.make()).await;
    let asked = made.map_err(|error| Problem::internal(&error))?;
    let asked = asked.map_err(|fault| Problem::invalid(vec![FieldError::of("/names", fault)]))?;
    Ok(shown(&app.store.ask_for_certificate(&author, place, &asked).await?, &app))
}

pub(super) fn routes() -> Vec<Route> {
    let requesting = Description::new("requestCertificate", Certificate::TAG, "Ask for a certificate to be signed")
        .explain(
            "Makes a key, which never leaves the appliance, and with it `csr`, for an authority to sign. What that makes of it is \
             written as `chain`, and the key with it. Until then all is as before: a certificate that serves goes on serving, and one \
             that has no `chain` yet can be shown by nobody. Asking again takes the place of what was asked before.",
        )
        .parameter(path_parameter("id", "Which one."))
        .parameter(comment_parameter())
        .body(&["application/json"], "CertificateRequest", json!({ "names": ["shop.example", "*.shop.example"] }))
        .answer(StatusCode::OK, "This is asked for.", Some("CertificateView"), &[ETAG])
        .fails(&[404]);
    let mut routes = resource::routes::<Certificate>();
    let path = format!("{}/{{id}}/request", Certificate::COLLECTION);
    routes.push(Route::new(HttpMethod::Post, path, Certificate::WRITE, request, requesting).scoped());
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_as_good_as_its_dates() {
        let day = |n: u64| Timestamp::at_second(n * DAY_S);
        let at = |now| validity(Some(day(100)), Some(day(200)), day(now)).0;
        let found = [99, 100, 169, 170, 200, 201].map(at);
        let wanted = [
            Operating::Offline,
            Operating::Online,
            Operating::Online,
            Operating::Degraded,
            Operating::Degraded,
            Operating::Offline,
        ];
        assert_eq!(found, wanted);
    }
}
