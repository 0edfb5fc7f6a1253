//! TLS with clients: which certificate is shown to whom, made when the configuration changes. Tickets are sealed by one key for
//! all services and workers, so that a client resumes wherever it lands.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lb_model::l7::{
    ClientAuth, HttpVersion, KEY_SEAL, L7Certificate, L7Pool, L7PoolTls, L7Protocol, L7Tls, TlsVersion,
};
use lb_model::{CertificateId, L7Snapshot, PoolId, VirtualServiceId};
use thiserror::Error;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, version};
use webpki::EndEntityCert;

use crate::member_tls::{MemberTls, MemberTlsError};

/// Why a service cannot end TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error("cannot read the key file {path}")]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("the private key of certificate {0} cannot be opened: it was sealed with another key file")]
    Sealed(CertificateId),
    #[error("certificate {0} is not PEM")]
    Pem(CertificateId, #[source] pem::Error),
    #[error("certificate {0} cannot be used")]
    Use(CertificateId, #[source] rustls::Error),
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    #[error("who vouches for clients is not given as PEM")]
    ClientCa(#[source] pem::Error),
    #[error("who vouches for clients cannot be used")]
    ClientAuth(#[from] VerifierBuilderError),
    #[error("certificate {0} is named and not there")]
    Missing(CertificateId),
    #[error("the members of pool {0} cannot be spoken to inside of TLS")]
    Pool(PoolId, #[source] MemberTlsError),
}

/// Makes the configurations of all services, and remembers what it made them of.
#[derive(Debug)]
pub(crate) struct TlsMaker {
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    tickets_for: Vec<(ClientAuth, Arc<dyn ProducesTickets>)>,
    made: Made,
    made_for_pools: HashMap<PoolId, MadeForPool>,
}

/// Certificates, and what was made of them.
type Made = HashMap<CertificateId, (L7Certificate, Arc<Shown>)>;

/// What was made of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Configs {
    /// For clients of each service.
    pub(crate) services: HashMap<VirtualServiceId, Arc<ServerConfig>>,
    /// For the members of each pool.
    pub(crate) pools: HashMap<PoolId, Arc<MemberTls>>,
}

/// What a pool's configuration was made of, and the configuration.
type MadeForPool = (L7PoolTls, HttpVersion, Option<Arc<Shown>>, Arc<MemberTls>);

/// A certificate with its key, and the names that it is for.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
}

impl TlsMaker {
    pub(crate) fn new(key_file: PathBuf) -> Self {
        Self {
            key_file,
            provider: Arc::new(provider::default_provider()),
            tickets: None,
            tickets_for: Vec::new(),
            made: HashMap::new(),
            made_for_pools: HashMap::new(),
        }
    }

    /// What each service shows to its clients. What did not change stays the same, and clients can resume.
    pub(crate) fn take(&mut self, snapshot: &L7Snapshot) -> Result<Configs, TlsError> {
        let certificates = self.open_all(&snapshot.certificates)?;
        let mut configs = Configs::default();
        let wanted: Vec<_> =
            snapshot.services.iter().filter_map(|of| of.tls.as_ref()?.client_auth.as_ref()).collect();
        self.tickets_for.retain(|(known, _)| wanted.contains(&known));
        for service in &snapshot.services {
            if let Some(tls) = &service.tls {
                let shown = tls.certificates.iter().map(|id| {
                    certificates.get(id).map(|(_, shown)| Arc::clone(shown)).ok_or(TlsError::Missing(*id))
                });
                let shown = shown.collect::<Result<Vec<_>, _>>()?;
                configs.services.insert(service.id, self.config(service.protocol, tls, &shown)?);
            }
        }
        let made_for_pools = self.for_pools(&snapshot.pools, &certificates)?;
        configs.pools = made_for_pools.iter().map(|(id, (.., made))| (*id, Arc::clone(made))).collect();
        self.made = certificates;
        self.made_for_pools = made_for_pools;
        Ok(configs)
    }

    /// Those that did not change are the same, and so stay connections and sessions with members.
    fn for_pools(
        &self,
        pools: &[L7Pool],
        certificates: &Made,
    ) -> Result<HashMap<PoolId, MadeForPool>, TlsError> {
        let mut made = HashMap::new();
        for pool in pools {
            let Some(tls) = &pool.manner.tls else { continue };
            let missing = TlsError::Missing;
            let shown = tls
                .certificate
                .map(|id| certificates.get(&id).map(|(_, shown)| Arc::clone(shown)).ok_or(missing(id)));
            let shown = shown.transpose()?;
            let known = self.made_for_pools.get(&pool.id).filter(|(of, version, key, _)| {
                let same_key = match (key, &shown) {
                    (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                    (one, other) => one.is_none() && other.is_none(),
                };
                of == tls && *version == pool.manner.http_version && same_key
            });
            let entry = if let Some(known) = known {
                known.clone()
            } else {
                let key = shown.as_ref().map(|shown| Arc::clone(&shown.key));
                let config = MemberTls::new(tls, pool.manner.http_version, key, &self.provider);
                let config = config.map_err(|source| TlsError::Pool(pool.id, source))?;
                (tls.clone(), pool.manner.http_version, shown, Arc::new(config))
            };
            made.insert(pool.id, entry);
        }
        Ok(made)
    }

    /// Opens all keys that are new.
    fn open_all(&self, certificates: &[L7Certificate]) -> Result<Made, TlsError> {
        let entry = |certificate: &L7Certificate| {
            let known = self.made.get(&certificate.id).filter(|(of, _)| of == certificate);
            let entry = match known {
                Some(known) => known.clone(),
                None => (certificate.clone(), Arc::new(self.open(certificate)?)),
            };
            Ok((certificate.id, entry))
        };
        certificates.iter().map(entry).collect()
    }

    fn config(
        &mut self,
        protocol: L7Protocol,
        of: &L7Tls,
        shown: &[Arc<Shown>],
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let versions: &[_] = match of.min_version {
            TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::Tls13 => &[&version::TLS13],
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)?;
        let config = match &of.client_auth {
            None => config.with_no_client_auth(),
            Some(wanted) => config.with_client_cert_verifier(self.verifier(wanted)?),
        };
        let mut config = config.with_cert_resolver(Arc::new(Resolver::new(shown)));
        if protocol.has_requests() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        // Sealed by one key for all services: a change of the configuration ends no session.
        config.ticketer = match &of.client_auth {
            None => self.tickets()?,
            Some(wanted) => self.tickets_for(wanted)?,
        };
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    fn verifier(&self, of: &ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(of.ca.as_bytes()) {
            roots.add(certificate.map_err(TlsError::ClientCa)?)?;
        }
        let lists =
            of.crl.iter().flat_map(|crl| CertificateRevocationListDer::pem_slice_iter(crl.as_bytes()));
        let lists = lists.collect::<Result<Vec<_>, _>>().map_err(TlsError::ClientCa)?;
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        // A list says who does not count any more; of whom there is none, nobody has been taken back.
        let builder = builder.with_crls(lists).allow_unknown_revocation_status();
        let builder = if of.optional { builder.allow_unauthenticated() } else { builder };
        Ok(builder.build()?)
    }

    /// Whoever resumes shows nothing anew: tickets that were given under other conditions must not count here.
    fn tickets_for(&mut self, wanted: &ClientAuth) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        if let Some((_, tickets)) = self.tickets_for.iter().find(|(known, _)| known == wanted) {
            return Ok(Arc::clone(tickets));
        }
        let tickets = provider::Ticketer::new()?;
        self.tickets_for.push((wanted.clone(), Arc::clone(&tickets)));
        Ok(tickets)
    }

    fn tickets(&mut self) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        if let Some(tickets) = &self.tickets {
            return Ok(Arc::clone(tickets));
        }
        let tickets = provider::Ticketer::new()?;
        self.tickets = Some(Arc::clone(&tickets));
        Ok(tickets)
    }

    fn open(&self, certificate: &L7Certificate) -> Result<Shown, TlsError> {
        let L7Certificate { id, chain, sealed_key } = certificate;
        let pem = |error| TlsError::Pem(*id, error);
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().map_err(pem)?;
        let key = self.unseal(sealed_key)?.ok_or(TlsError::Sealed(*id))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(pem)?;
        let names = chain.first().map(names).unwrap_or_default();
        let key = CertifiedKey::from_der(chain, key, &self.provider);
        Ok(Shown { key: Arc::new(key.map_err(|error| TlsError::Use(*id, error))?), names })
    }

    /// What penstockd sealed; none if it was with another key.
    fn unseal(&self, sealed: &str) -> Result<Option<Vec<u8>>, TlsError> {
        Ok(unseal(&self.key()?, sealed))
    }

    /// The appliance's key.
    pub(crate) fn key(&self) -> Result<Vec<u8>, TlsError> {
        std::fs::read(&self.key_file)
            .map_err(|source| TlsError::KeyFile { path: self.key_file.clone(), source })
    }
}

fn unseal(key: &[u8], sealed: &str) -> Option<Vec<u8>> {
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut sealed = STANDARD.decode(sealed).ok()?;
    let nonce: [u8; NONCE_LEN] = sealed.get(..NONCE_LEN)?.try_into().ok()?;
    let secret = sealed.get_mut(NONCE_LEN..)?;
    let opened =
        cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(KEY_SEAL), secret).ok()?;
    Some(opened.to_vec())
}

/// The DNS names of a certificate, in lower case.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = EndEntityCert::try_from(certificate);
    parsed
        .map_or_else(|_| Vec::new(), |parsed| parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Finds the certificate for the name that a client asks for: exactly, by a wildcard, or the first of all; of several the
/// one that the client can check.
struct Resolver {
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("names", &self.by_name.keys()).finish_non_exhaustive()
    }
}

impl Resolver {
    fn new(shown: &[Arc<Shown>]) -> Self {
        let mut by_name: HashMap<String, Vec<_>> = HashMap::new();
        for shown in shown {
            for name in &shown.names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(&shown.key));
            }
        }
        Self { by_name, default: shown.iter().map(|shown| Arc::clone(&shown.key)).collect() }
    }

    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            // RFC 6125, 6.4.3: a wildcard stands for the whole leftmost label.
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name)).unwrap_or(&self.default);
        let usable = named.iter().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or(named.first()).cloned()
    }
}
