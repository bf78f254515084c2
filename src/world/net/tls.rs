//! TLS: the files of `--ca-file`, `--cert-file` and `--key-file`, checked before anything is sent.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, InconsistentKeys};

use crate::config::TlsFiles;
use crate::world::net::trust::Verifier;

/// The certificates and the key that the options name.
#[derive(Debug)]
pub(super) struct Tls {
    ca: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(files: &TlsFiles) -> Result<Tls, String> {
        let ca = match &files.ca_file {
            Some(path) => certificates("ca-file", path)?,
            None => Vec::new(),
        };
        let client = match &files.cert_file {
            Some(path) => {
                let chain = certificates("cert-file", path)?;
                let (option, path) = match &files.key_file {
                    Some(key) => ("key-file", key),
                    None => ("cert-file", path),
                };
                let key = key(option, path)?;
                check_pair(&chain, &key).map_err(|why| format!("--{option} {}: {why}", path.display()))?;
                Some((chain, key))
            }
            None => None,
        };
        Ok(Tls { ca, client, config: OnceLock::new() })
    }

    /// Whether we have a certificate to show: a credential.
    pub(super) fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }

    /// Reads the system's certificates when it is called first.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(&self.ca, provider.clone())?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // rustls' own, but for one exception
            .with_custom_certificate_verifier(verifier);
        let config = match &self.client {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("--{option} {}: {error}", path.display()))
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(option, path)?;
    let refuse = |why: &str| format!("--{option} {}: {why}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| refuse(&format!("no valid PEM ({error})")))?;
    if found.is_empty() {
        return Err(refuse("holds no certificate (expected PEM: '-----BEGIN CERTIFICATE-----')"));
    }
    for certificate in &found {
        // Not as strict as for a server's certificate: roots may be of version 1.
        webpki::anchor_from_trusted_cert(certificate)
            .map_err(|error| refuse(&format!("a certificate in it is broken ({error})")))?;
    }
    Ok(found)
}

const NO_KEY: &str =
    "holds no private key (expected PEM: '-----BEGIN PRIVATE KEY-----'); --key-file names a file that does";

fn key(option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(option, path)?;
    let refuse = |why: &str| format!("--{option} {}: {why}", path.display());
    if pem.windows(9).any(|word| word == b"ENCRYPTED") {
        return Err(refuse(
            "the key is encrypted; a key without a passphrase is needed ('openssl pkey -in OLD -out NEW')",
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| refuse(NO_KEY))
}

fn check_pair(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Result<(), String> {
    let provider = ring::default_provider();
    let signing = provider.key_provider.load_private_key(key.clone_key()).map_err(
        |_| "the key is broken or of a kind that is not supported (RSA, P-256, P-384 and Ed25519 are)",
    )?;
    match CertifiedKey::new(chain.to_vec(), signing).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(_) => Err("the key does not belong to the certificate".into()),
    }
}

/// The text of the error when a server answers plain HTTP in TLS.
pub(super) const SPEAKS_TLS: &str = "the server speaks TLS, not plain HTTP";
