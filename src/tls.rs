//! TLS: what is trusted, which certificate we show, and what its errors mean to an operator.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    RootCertStore, SignatureScheme,
};

use crate::config::TlsFiles;

/// Certificates and keys, checked before anything is sent; the trust store, read at the first https request.
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
        let verifier = Arc::new(Verifier::new(&self.ca, provider.clone())?);
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

fn key(option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(option, path)?;
    let refuse = |why: &str| format!("--{option} {}: {why}", path.display());
    if pem.windows(9).any(|word| word == b"ENCRYPTED") {
        return Err(refuse(
            "the key is encrypted; a key without a passphrase is needed ('openssl pkey -in OLD -out NEW')",
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| refuse("holds no private key (expected PEM: '-----BEGIN PRIVATE KEY-----')"))
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

/// webpki's verification, but for one thing: a certificate that is itself trusted, made by a plain `openssl
/// req -x509`, calls itself a CA, and webpki takes no CA's certificate for a server's. OpenSSL does, as the
/// trust is explicit. Name and dates are checked as ever.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl Verifier {
    fn new(ca: &[CertificateDer<'static>], provider: Arc<CryptoProvider>) -> Result<Verifier, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(ca.iter().cloned());
        let system = rustls_native_certs::load_native_certs(); // what can't be read there is not trusted
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let why = system.errors.first().map_or(String::new(), |error| format!(" ({error})"));
            return Err(Error::General(format!("{NO_ROOTS}{why}")));
        }
        let roots = Arc::new(roots);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Verifier { webpki, roots })
    }

    /// Whether name and key are those of a trusted certificate: who has that key could sign any other.
    fn trusts(&self, certificate: &CertificateDer<'_>) -> bool {
        webpki::anchor_from_trusted_cert(certificate).is_ok_and(|shown| self.roots.roots.contains(&shown))
    }
}

/// The error of a server that answers to HTTP in TLS.
pub(crate) fn speaks_tls() -> Error {
    Error::General(SPEAKS_TLS.into())
}

const SPEAKS_TLS: &str = "the server speaks TLS, not plain HTTP";
const NO_ROOTS: &str = "no certificates to trust were found";

/// webpki checks the dates before this.
fn is_ca(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_ca(&error) => {
                if !self.trusts(end_entity) {
                    return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// A TLS error for an operator.
pub(crate) struct Trouble {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
    /// Asking again can't help.
    pub(crate) lasting: bool,
    /// The server's TLS layer refused us: what was sent was not processed.
    pub(crate) refused: bool,
}

/// Finds the TLS error behind an I/O error, if there is one.
pub(crate) fn trouble(error: &io::Error) -> Option<Trouble> {
    let tls = error.get_ref()?.downcast_ref::<Error>()?;
    let lasting = |text: String, hint| Trouble { text, hint, lasting: true, refused: false };
    Some(match tls {
        Error::InvalidCertificate(why) => {
            let (text, hint) = certificate_trouble(why);
            lasting(text, hint)
        }
        Error::AlertReceived(alert) => alert_trouble(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => lasting(
            "the server does not speak TLS".into(),
            "it seems to speak plain HTTP: use http:// in --api-url, or the port where TLS is spoken",
        ),
        Error::General(text) if text == SPEAKS_TLS => lasting(text.clone(), "use https:// in --api-url"),
        Error::General(text) if text.starts_with(NO_ROOTS) => {
            lasting(text.clone(), "install the package ca-certificates, set SSL_CERT_FILE, or give --ca-file")
        }
        Error::PeerIncompatible(why) => {
            lasting(format!("the server speaks no TLS that is safe ({why:?})"), "TLS 1.2 or 1.3 is needed")
        }
        other => Trouble { text: format!("TLS: {other}"), hint: "", lasting: false, refused: false },
    })
}

fn certificate_trouble(why: &CertificateError) -> (String, &'static str) {
    match why {
        CertificateError::UnknownIssuer => (
            "the server's certificate is from an issuer that is not trusted".into(),
            "give the issuer's certificate with --ca-file, or add it to the system's trust store",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("the server's certificate is for another host ({why})"),
            "use the name in --api-url that the certificate has (a subjectAltName; a common name alone does not count)",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("the server's certificate has expired ({why})"),
            "renew it; if it is valid, check this host's clock",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (format!("the server's certificate is not valid yet ({why})"), "check this host's clock")
        }
        other => (
            format!("the server's certificate is not accepted ({other})"),
            "see 'openssl s_client -connect HOST:PORT'",
        ),
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
    Trouble { text, lasting: !hint.is_empty(), hint, refused: certificate }
}
