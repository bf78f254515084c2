//! The server's side of TLS: which certificate it shows, and whether it asks for one.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

/// Certificates and key in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    cert_pem: Vec<u8>,
    key_pem: Vec<u8>,
    client_ca_pem: Option<Vec<u8>>,
    versions: TlsVersions,
}

/// The versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Only12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Only13,
}

impl Tls {
    /// A certificate with its chain, and its key.
    pub fn new(cert_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        let (cert_pem, key_pem) = (cert_pem.into(), key_pem.into());
        Self { cert_pem, key_pem, client_ca_pem: None, versions: TlsVersions::Both }
    }

    /// Clients must show a certificate that this authority has signed.
    pub fn client_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_ca_pem = Some(pem.into());
        self
    }

    /// Other versions than both.
    pub fn versions(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let certificates = |pem: &[u8]| {
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| text(&error))
        };
        let provider = Arc::new(ring::default_provider());
        let versions: &[_] = match self.versions {
            TlsVersions::Both => &[&TLS12, &TLS13],
            TlsVersions::Only12 => &[&TLS12],
            TlsVersions::Only13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).map_err(|error| text(&error))?;
        let builder = if let Some(pem) = &self.client_ca_pem {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| text(&error))?)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|error| text(&error))?;
        let config = builder.with_single_cert(certificates(&self.cert_pem)?, key);
        config.map(Arc::new).map_err(|error| text(&error))
    }
}
