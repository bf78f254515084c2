//! Whom TLS trusts. The system's trust store is read only as far as it takes: our own CA file first, then the
//! system's one file, and last its directory of many, which on most systems holds the same once more.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

pub(crate) const NO_ROOTS: &str = "no certificates to trust were found";

/// A part of what is trusted. Each holds the one before: who is trusted in one is in all that follow.
#[derive(Debug, Clone, Copy)]
enum Part {
    CaFile,
    Bundle,
    All,
}

impl Part {
    const EVERY: [Part; 3] = [Part::CaFile, Part::Bundle, Part::All];

    fn roots(self, ca: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(ca.iter().cloned());
        // What can't be read is not trusted.
        match self {
            Part::CaFile => {}
            Part::Bundle => {
                let pem = bundle().and_then(|path| fs::read(path).ok()).unwrap_or_default();
                roots.add_parsable_certificates(certificates(&pem));
            }
            Part::All => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
                if roots.is_empty() {
                    let why = system.errors.first().map_or(String::new(), |error| format!(" ({error})"));
                    return Err(Error::General(format!("{NO_ROOTS}{why}")));
                }
            }
        }
        Ok(roots)
    }
}

/// The file of the system's trust store. As with OpenSSL, either variable takes the place of all its defaults.
fn bundle() -> Option<PathBuf> {
    match (env::var_os("SSL_CERT_FILE"), env::var_os("SSL_CERT_DIR")) {
        (Some(file), _) => Some(file.into()),
        (None, Some(_)) => None,
        (None, None) => openssl_probe::probe().cert_file,
    }
}

/// The certificates of a plain PEM file, several times as fast as by the reader for keys, which takes constant time.
/// What it does not understand is left to [`Part::All`].
fn certificates(pem: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    let text = std::str::from_utf8(pem).unwrap_or_default();
    text.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
        let base64: String = body.lines().map(str::trim).collect();
        Some(BASE64_STANDARD.decode(base64).ok()?.into())
    })
}

/// Verifies a server's certificate by the smallest part that trusts it. The verdict is that of all of them.
#[derive(Debug)]
pub(crate) struct Verifier {
    provider: Arc<CryptoProvider>,
    ca: Vec<CertificateDer<'static>>,
    checks: [OnceLock<Result<Check, Error>>; Part::EVERY.len()],
}

impl Verifier {
    pub(crate) fn new(ca: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Verifier {
        Verifier { provider, ca, checks: Default::default() }
    }

    fn check(&self, part: Part) -> Result<Check, Error> {
        let roots = Arc::new(part.roots(&self.ca)?);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.clone(), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Check { webpki, roots })
    }
}

/// webpki's verification, but for one thing: a certificate that is itself trusted, made by a plain `openssl
/// req -x509`, calls itself a CA, and webpki takes no CA's certificate for a server's. OpenSSL does, as the
/// trust is explicit. Name and dates are checked as ever.
#[derive(Debug)]
struct Check {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl Check {
    fn verify(
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

    /// Whether name and key are those of a trusted certificate: who has that key could sign any other.
    fn trusts(&self, certificate: &CertificateDer<'_>) -> bool {
        webpki::anchor_from_trusted_cert(certificate).is_ok_and(|shown| self.roots.roots.contains(&shown))
    }
}

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
        let mut verdict = Err(Error::General(NO_ROOTS.into()));
        for (part, check) in Part::EVERY.into_iter().zip(&self.checks) {
            verdict = match check.get_or_init(|| self.check(part)) {
                Ok(check) => check.verify(end_entity, intermediates, server_name, ocsp_response, now),
                Err(error) => Err(error.clone()),
            };
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn a_bundle_is_read_as_by_the_reader_of_keys() {
        let pem = concat!(
            "# a comment\n",
            include_str!("../tests/tls/ca.pem"),
            "-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\r\n",
            include_str!("../tests/tls/client.key"),
            include_str!("../tests/tls/server.pem"),
        );
        let read: Vec<_> = certificates(pem.as_bytes()).collect();
        let slow: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
        assert_eq!((read.len(), &read), (2, &slow));
        assert_eq!(certificates(b"-----BEGIN CERTIFICATE-----\nQUJD").count(), 0);
        assert_eq!(certificates(b"\xff").count(), 0);
    }
}
