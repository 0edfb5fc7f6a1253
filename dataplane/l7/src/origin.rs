//! Where requests come from, as members are told: made once for each connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::balance::Ends;

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Its address, as it stands in a field.
    pub(crate) address: HeaderValue,
    /// Both ends of the connection.
    pub(crate) ends: Ends,
    /// What it speaks.
    pub(crate) scheme: HeaderValue,
    /// The name that it asked for when TLS began, in lower case.
    pub(crate) sni: Option<Box<str>>,
    /// The certificate that it has shown.
    pub(crate) shown: Option<Arc<Shown>>,
}

/// A client's certificate, as members are told of it.
#[derive(Debug)]
pub(crate) struct Shown {
    /// As RFC 9440 has it.
    pub(crate) certificate: HeaderValue,
    /// Whom it is for, as RFC 4514 writes it.
    pub(crate) subject: HeaderValue,
}

impl Shown {
    fn new(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        // Names are UTF-8, which a field may not be.
        let plain = |name: char| if name.is_ascii() && !name.is_ascii_control() { name } else { '?' };
        let subject: String = parsed.subject().to_string().chars().map(plain).collect();
        let certificate = HeaderValue::try_from(format!(":{}:", STANDARD.encode(certificate)));
        Some(Self { certificate: certificate.ok()?, subject: HeaderValue::try_from(subject).ok()? })
    }
}

impl Origin {
    pub(crate) fn new(
        client: SocketAddr,
        service: SocketAddr,
        scheme: &'static str,
        sni: Option<&str>,
    ) -> Self {
        let address = text(client.ip().to_canonical());
        let sni = sni.map(|name| name.to_ascii_lowercase().into());
        Self {
            address,
            ends: Ends { client, service },
            scheme: HeaderValue::from_static(scheme),
            sni,
            shown: None,
        }
    }
}

impl Origin {
    /// With the certificate that the client has shown.
    pub(crate) fn shown(self, certificate: Option<&[u8]>) -> Self {
        Self { shown: certificate.and_then(Shown::new).map(Arc::new), ..self }
    }

    /// Where the client came to, as it would stand in `Host`.
    pub(crate) fn here(&self) -> HeaderValue {
        let service = self.ends.service;
        let usual = if self.scheme == "https" { 443 } else { 80 };
        let here = match service.ip() {
            IpAddr::V6(address) if service.port() == usual => format!("[{address}]"),
            IpAddr::V4(address) if service.port() == usual => address.to_string(),
            _ => service.to_string(),
        };
        HeaderValue::try_from(here).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

fn text(address: IpAddr) -> HeaderValue {
    // An address is always a good value.
    HeaderValue::try_from(address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
