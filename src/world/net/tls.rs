//! TLS: which certificate we show, and what its errors mean to an operator. (Whom it trusts: `trust.rs`.)

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage};

use crate::config::TlsFiles;
use crate::text::{first_few, one_line};
use crate::world::net::trust::{NO_ROOTS, Verifier};

/// Certificates and keys, checked before anything is sent.
#[derive(Debug)]
pub(crate) struct Tls {
    ca: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(files: &TlsFiles) -> Result<Tls, String> {
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
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(&self.ca, provider.clone()));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // what is ours in it: see Verifier
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
        Ok(()) | Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(()),
        Err(_) => Err("the key does not belong to the certificate".into()),
    }
}

/// The error of a server that answers to HTTP in TLS.
pub(crate) fn speaks_tls() -> Error {
    Error::General(SPEAKS_TLS.into())
}

const SPEAKS_TLS: &str = "the server speaks TLS, not plain HTTP";

/// A TLS error for an operator.
pub(crate) struct Trouble {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
    /// Asking again can't help.
    pub(crate) permanent: bool,
    /// The server's TLS layer refused us: what was sent was not processed.
    pub(crate) refused: bool,
}

/// Finds the TLS error behind an I/O error, if there is one.
pub(crate) fn trouble(error: &io::Error) -> Option<Trouble> {
    let tls = error.get_ref()?.downcast_ref::<Error>()?;
    let permanent = |text: String, hint| Trouble { text, hint, permanent: true, refused: false };
    Some(match tls {
        Error::InvalidCertificate(why) => {
            let (text, hint) = certificate_trouble(why);
            permanent(text, hint)
        }
        Error::AlertReceived(alert) => alert_trouble(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => permanent(
            "the server does not speak TLS".into(),
            "it seems to speak plain HTTP: use http:// in --api-url, or the port where TLS is spoken",
        ),
        Error::General(text) if text == SPEAKS_TLS => permanent(text.clone(), "use https:// in --api-url"),
        Error::General(text) if text.starts_with(NO_ROOTS) => permanent(
            text.clone(),
            "install the package ca-certificates, set SSL_CERT_FILE, or give --ca-file",
        ),
        Error::PeerIncompatible(why) => {
            permanent(format!("the server speaks no TLS that is safe ({why:?})"), "TLS 1.2 or 1.3 is needed")
        }
        other => Trouble { text: format!("TLS: {other}"), hint: "", permanent: false, refused: false },
    })
}

fn certificate_trouble(why: &CertificateError) -> (String, &'static str) {
    match why {
        CertificateError::UnknownIssuer => (
            "the server's certificate is from an issuer that is not trusted".into(),
            "give the issuer's certificate with --ca-file, or add it to the system's trust store",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("the server's certificate is for another host{}", names(why)),
            "use the name in --api-url that the certificate has (a subjectAltName; a common name alone does not count)",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("the server's certificate has expired{}", distance(why)),
            "renew it; if it is valid, check this host's clock",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (format!("the server's certificate is not valid yet{}", distance(why)), "check this host's clock")
        }
        other => (
            format!("the server's certificate is not accepted ({other})"),
            "see 'openssl s_client -connect HOST:PORT'",
        ),
    }
}

/// For which names a certificate is.
fn names(why: &CertificateError) -> String {
    let CertificateError::NotValidForNameContext { expected, presented } = why else { return String::new() };
    // As rustls has them: `DnsName("barman.example.com")`.
    let theirs = match presented.as_slice() {
        [] => "no name".into(),
        names => first_few(names.iter().map(|name| name.split('"').nth(1).unwrap_or(name))),
    };
    format!(" ({})", one_line(&format!("it is for {theirs}, not for {}", expected.to_str())))
}

/// How far this host's clock is from the time in which a certificate is valid.
fn distance(why: &CertificateError) -> String {
    let (seconds, word) = match why {
        CertificateError::ExpiredContext { time, not_after } => {
            (time.as_secs().saturating_sub(not_after.as_secs()), "ago")
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            (not_before.as_secs().saturating_sub(time.as_secs()), "from now")
        }
        _ => return String::new(),
    };
    match seconds {
        0..=7_199 => format!(" ({} min {word})", seconds / 60),
        7_200..=172_799 => format!(" ({} h {word})", seconds / 3_600),
        _ => format!(" ({} days {word})", seconds / 86_400),
    }
}

fn alert_trouble(alert: AlertDescription) -> Trouble {
    use AlertDescription as A;
    let (text, hint, certificate) = match alert {
        A::CertificateRequired | A::NoCertificate => (
            "the server wants a client certificate".to_string(),
            "give one with --cert-file and --key-file",
            true,
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => (
            format!("the server refused our client certificate ({alert:?})"),
            "give one with --cert-file that the server's administrator has issued, and that is valid now",
            true,
        ),
        A::HandshakeFailure => (
            "the server refused the TLS handshake (HandshakeFailure)".into(),
            "it may want a client certificate (--cert-file), or speak no TLS 1.2 or 1.3 with a common cipher",
            true,
        ),
        A::ProtocolVersion => ("the server speaks an old TLS only".into(), "TLS 1.2 or 1.3 is needed", false),
        other => (format!("the server ended TLS ({other:?})"), "", false),
    };
    Trouble { text, permanent: !hint.is_empty(), hint, refused: certificate }
}
