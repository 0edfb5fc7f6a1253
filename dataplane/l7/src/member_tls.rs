//! TLS with members: whose certificates count, and what they are shown. Made when the configuration changes, so that sessions are
//! resumed from one connection to the next.

use std::fmt;
use std::io;
use std::sync::Arc;

use lb_model::l7::{HttpVersion, L7PoolTls};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::VerifierBuilderError;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::service::Member;
use crate::stream::Stream;

/// Why members cannot be spoken to inside of TLS.
#[derive(Debug, Error)]
pub(crate) enum MemberTlsError {
    #[error("who vouches for the members is not given as PEM")]
    Pem(#[source] pem::Error),
    #[error("nobody is named who vouches for the members")]
    NoCa(#[from] VerifierBuilderError),
    #[error("a certificate of who vouches for the members cannot be used")]
    Ca(#[source] rustls::Error),
    #[error("the name to ask for is none")]
    Name(#[from] InvalidDnsNameError),
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// What is spoken inside of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP, in the version that the pool says.
    Http,
    /// Whatever the client says.
    Bytes,
}

/// How the members of a pool are spoken to.
pub(crate) struct MemberTls {
    connector: TlsConnector,
    /// The same without a word on what is spoken inside.
    plain: TlsConnector,
    /// Without one, each is asked for by its address.
    name: Option<ServerName<'static>>,
    speaks: HttpVersion,
}

impl fmt::Debug for MemberTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MemberTls {
    pub(crate) fn new(
        of: &L7PoolTls,
        speaks: HttpVersion,
        key: Option<Arc<CertifiedKey>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, MemberTlsError> {
        let verifier: Arc<dyn ServerCertVerifier> = match &of.ca {
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build()?
            }
            None => Arc::new(Anybody(Arc::clone(provider))),
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(MemberTlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match key {
            Some(key) => config.with_client_cert_resolver(Arc::new(Shows(key))),
            None => config.with_no_client_auth(),
        };
        let plain = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols = match speaks {
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
        };
        let name = of.server_name.as_ref().map(|name| ServerName::try_from(name.clone())).transpose()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), plain, name, speaks })
    }

    /// Speaks TLS on a new connection.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        member: &Member,
        speech: Speech,
    ) -> io::Result<Stream> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(member.address));
        if speech == Speech::Bytes {
            return Ok(Stream::Tls(Box::new(self.plain.connect(name, stream).await?.into())));
        }
        let stream = self.connector.connect(name, stream).await?;
        if self.speaks == HttpVersion::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the member does not offer HTTP/2"));
        }
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

fn roots(ca: &str) -> Result<RootCertStore, MemberTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.map_err(MemberTlsError::Pem)?).map_err(MemberTlsError::Ca)?;
    }
    Ok(roots)
}

/// What is shown to members that ask.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes whatever a member shows, as its operator wants it; only that it has the key is seen to.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
