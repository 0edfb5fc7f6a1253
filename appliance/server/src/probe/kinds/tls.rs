//! TLS: shakes hands, and looks at the name and the dates of the certificate. Who issued it is not asked: members mostly have
//! certificates of their own, and a check sends nothing that must be kept secret.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Progress, Seen, Verdict, connect, reason};
use crate::domain::TlsSettings;

const DAY: i64 = 86_400;

static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    TlsConnector::from(Arc::new(config(provider)))
});

pub(super) async fn check(at: SocketAddr, settings: &TlsSettings, progress: &Progress) -> Verdict {
    let stream = connect(at).await?;
    let stream = greet(stream, at, settings.server_name.as_deref(), progress).await?;
    let session = stream.get_ref().1;
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| Seen::new("there is no certificate"))?;
    if let Some(name) = &settings.server_name {
        check_name(certificate, name)?;
    }
    let days = days_left(certificate)?;
    let words = format!("{}, the certificate ends in {days} days", version.replace("TLSv1_", "TLS 1."));
    if days < i64::from(settings.days_left) {
        return Err(Seen::new(format!("{words}, want {}", settings.days_left)));
    }
    Ok(Seen::new(words))
}

/// Shakes hands. Without a name none is sent.
pub(super) async fn greet(
    stream: TcpStream,
    at: SocketAddr,
    name: Option<&str>,
    progress: &Progress,
) -> Result<TlsStream<TcpStream>, Seen> {
    progress.now("the TLS handshake");
    let server = match name {
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Seen::new(format!("`{name}` is not the name of a server")))?,
        None => ServerName::from(at.ip()),
    };
    let greeted = CONNECTOR.connect(server, stream).await;
    greeted.map_err(|error| Seen::new(format!("the TLS handshake {}", reason(&error))))
}

fn check_name(certificate: &CertificateDer<'_>, name: &str) -> Result<(), Seen> {
    let wrong = || Seen::new(format!("the name {name} is not in the certificate"));
    let parsed =
        ParsedCertificate::try_from(certificate).map_err(|_| Seen::new("the certificate makes no sense"))?;
    let server = ServerName::try_from(name).map_err(|_| wrong())?;
    tokio_rustls::rustls::client::verify_server_name(&parsed, &server).map_err(|_| wrong())
}

/// Negative once it has ended.
fn days_left(certificate: &CertificateDer<'_>) -> Result<i64, Seen> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| Seen::new("the certificate makes no sense"))?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Ok((certificate.validity().not_after.timestamp() - now).div_euclid(DAY))
}

fn config(provider: Arc<CryptoProvider>) -> ClientConfig {
    let signatures = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The provider that is compiled in has both versions.
    #[expect(clippy::expect_used, reason = "depends on nothing but how this program was built")]
    let builder = builder.expect("TLS 1.2 and 1.3");
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(signatures)))
        .with_no_client_auth();
    // Each check shakes hands in full, as a new client does.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    config
}

/// Takes anybody's certificate; that they have its key is checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
