//! TLS: the files of `--ca-file`, `--cert-file` and `--key-file`, checked before anything is sent.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error};

use crate::config::options::Opt;
use crate::config::{ConfigError, TlsFiles};
use crate::world::net::trust::Verifier;

/// How many tickets rustls keeps for one server. A run has only one; the default reserves room for 32.
const SESSIONS: usize = 8;

/// How all connections of a run speak TLS, with the certificates and the key that the options name.
pub(super) fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, ConfigError> {
    let file = |option, path| PemFile { option, path };
    let ca = match &files.ca_file {
        Some(path) => file(Opt::CaFile, path).certificates()?,
        None => Vec::new(),
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("TLS is not available: {error}")))?
        .dangerous() // rustls' own verifier with one exception
        .with_custom_certificate_verifier(Arc::new(Verifier { ca, provider: provider.clone() }));
    let mut config = match &files.cert_file {
        Some(path) => {
            let cert_file = file(Opt::CertFile, path);
            let chain = cert_file.certificates()?;
            let key_file = files.key_file.as_ref().map_or(cert_file, |path| file(Opt::KeyFile, path));
            let pair = SingleCertAndKey::from(key_file.key_of(chain, &provider)?);
            builder.with_client_cert_resolver(Arc::new(pair))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// A file that an option names.
#[derive(Clone, Copy)]
struct PemFile<'a> {
    option: Opt,
    path: &'a Path,
}

impl PemFile<'_> {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        let found = found.map_err(|error| self.refuse(&format!("is not valid PEM ({error})")))?;
        if found.is_empty() {
            return Err(self.refuse("holds no certificate (expected PEM: '-----BEGIN CERTIFICATE-----')"));
        }
        for certificate in &found {
            // Less strict than for a server's certificate: root certificates may be of version 1.
            webpki::anchor_from_trusted_cert(certificate)
                .map_err(|error| self.refuse(&format!("a certificate in it is broken ({error})")))?;
        }
        Ok(found)
    }

    /// The key of this certificate, with its chain.
    fn key_of(
        &self,
        chain: Vec<CertificateDer<'static>>,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, ConfigError> {
        let pem = self.read()?;
        if pem.windows(9).any(|word| word == b"ENCRYPTED") {
            return Err(self.refuse(
                "the key is encrypted; a key without a passphrase is needed ('openssl pkey -in OLD -out NEW')",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| self.refuse(NO_KEY))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::General(_) => self.refuse(
                "the key is broken or of a kind that is not supported (RSA, P-256, P-384 and Ed25519 are)",
            ),
            _ => self.refuse("the key does not belong to the certificate"),
        })
    }

    fn read(&self) -> Result<Vec<u8>, ConfigError> {
        let unreadable = |error: io::Error| self.refuse(&error.to_string());
        let length = match fs::metadata(self.path).map_err(unreadable)? {
            file if file.is_dir() => return Err(unreadable(io::ErrorKind::IsADirectory.into())),
            file if file.is_file() => file.len(),
            // Nothing may ever come from a pipe, and what comes from a device has no end.
            _ => return Err(self.refuse("is not a file")),
        };
        if length > LARGEST_PEM {
            return Err(self.refuse("is too large for certificates or a key"));
        }
        fs::read(self.path).map_err(unreadable)
    }

    fn refuse(&self, why: &str) -> ConfigError {
        ConfigError::of(self.option, format!("{}: {why}", self.path.display()))
    }
}

/// Far more than all certificates of a system.
const LARGEST_PEM: u64 = 16 << 20;
const NO_KEY: &str = "holds no private key (expected PEM: '-----BEGIN PRIVATE KEY-----'); name the file that holds it with --key-file";
