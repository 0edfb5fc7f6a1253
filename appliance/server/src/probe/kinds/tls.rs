//! TLS: shakes hands, and looks at the name and the dates of the certificate. Who issued it is asked only where a monitor says who
//! may have: members mostly have certificates of their own, and a check sends nothing that must be kept secret.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Progress, Seen, Verdict, connect, reason};
use crate::domain::TlsSettings;

const DAY: i64 = 86_400;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(crypto::aws_lc_rs::default_provider()));

static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| connector(anybody(), &[]));

/// For HTTP/2, which both sides must agree on (ALPN).
static HTTP2: LazyLock<TlsConnector> = LazyLock::new(|| connector(anybody(), &[b"h2"]));

/// What is to be spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Anything,
    Http2,
}

pub(super) async fn check(at: SocketAddr, settings: &TlsSettings, progress: &Progress) -> Verdict {
    let stream = connect(at).await?;
    let stream = match &settings.ca {
        None => greet(stream, at, settings.server_name.as_deref(), Speaks::Anything, progress).await?,
        Some(ca) => {
            let trusting = connector(issued_by(ca)?, &[]);
            greet_by(&trusting, stream, at, settings.server_name.as_deref(), progress).await?
        }
    };
    let session = stream.get_ref().1;
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| Seen::new("there is no certificate"))?;
    if let Some(name) = &settings.server_name {
        check_name(certificate, name)?;
    }
    let days = days_left(certificate)?;
    let version = version.replace("TLSv1_", "TLS 1.");
    if days < 0 {
        return Err(Seen::new(format!("{version}, the certificate ended {} days ago", -days)));
    }
    let words = format!("{version}, the certificate ends in {days} days");
    if days < i64::from(settings.days_left) {
        return Ok(Seen { warns: true, ..Seen::new(format!("{words}, want {}", settings.days_left)) });
    }
    Ok(Seen::new(words))
}

/// Shakes hands. Without a name none is sent.
pub(super) async fn greet(
    stream: TcpStream,
    at: SocketAddr,
    name: Option<&str>,
    speaks: Speaks,
    progress: &Progress,
) -> Result<TlsStream<TcpStream>, Seen> {
    let connector = if speaks == Speaks::Http2 { &HTTP2 } else { &CONNECTOR };
    let stream = greet_by(connector, stream, at, name, progress).await?;
    if speaks == Speaks::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Seen::new("the member does not speak HTTP/2 inside of TLS"));
    }
    Ok(stream)
}

async fn greet_by(
    connector: &TlsConnector,
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
    let greeted = connector.connect(server, stream).await;
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

fn connector(verifier: Arc<dyn ServerCertVerifier>, speaks: &[&[u8]]) -> TlsConnector {
    let mut config = config(Arc::clone(&PROVIDER), verifier);
    config.alpn_protocols = speaks.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn anybody() -> Arc<dyn ServerCertVerifier> {
    Arc::new(Anybody(PROVIDER.signature_verification_algorithms))
}

/// Wants a certificate that one of these (PEM) has issued.
fn issued_by(ca: &str) -> Result<Arc<dyn ServerCertVerifier>, Seen> {
    let wrong = || Seen::new("the monitor's CA certificates cannot be used");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
    Ok(Arc::new(IssuedBy(verifier.build().map_err(|_| wrong())?)))
}

fn config(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The provider that is compiled in has both versions.
    #[expect(clippy::expect_used, reason = "depends on nothing but how this program was built")]
    let builder = builder.expect("TLS 1.2 and 1.3");
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Each check shakes hands in full, as a new client does.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    config
}

/// Wants a certificate of certain issuers; its name is checked where one is wanted.
#[derive(Debug)]
struct IssuedBy(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for IssuedBy {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use tokio_rustls::rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: everything else is right.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
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
