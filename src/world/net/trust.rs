//! Whom TLS trusts. The system's trust store is read only as far as it takes: our own CA file first, then the
//! system's one file, and last its directory of many, which on most systems holds the same once more. Of the
//! system's only those are kept that can have issued the certificate in question: one or none of 140.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, load_native_certs};
use webpki::EndEntityCert;

pub(crate) const NO_ROOTS: &str = "no certificates to trust were found";

/// What a server shows, to be verified.
struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
    now: UnixTime,
}

impl Shown<'_> {
    /// The subjects that a trusted certificate can have to be of use: of who issued one of these, or the server's
    /// own. (webpki takes an anchor by the bytes of its subject alone.)
    fn subjects(&self) -> Vec<Vec<u8>> {
        let parsed = |der| EndEntityCert::try_from(der).ok();
        let own = parsed(self.end_entity).map(|certificate| certificate.subject().to_vec());
        let all = std::iter::once(self.end_entity).chain(self.intermediates);
        let issuers = all.filter_map(parsed).map(|certificate| certificate.issuer().to_vec());
        own.into_iter().chain(issuers).collect()
    }
}

/// Verifies a server's certificate by the smallest part of what is trusted that does. The verdict is that of all.
#[derive(Debug)]
pub(crate) struct Verifier {
    provider: Arc<CryptoProvider>,
    ca: RootCertStore,
    /// The CA file's, and what the system's trust store has given for the certificate of an earlier connection.
    known: OnceLock<RootCertStore>,
}

impl Verifier {
    pub(crate) fn new(ca: &[CertificateDer<'_>], provider: Arc<CryptoProvider>) -> Verifier {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(ca.iter().map(|certificate| certificate.clone().into_owned()));
        Verifier { provider, ca: roots, known: OnceLock::new() }
    }

    /// By what a part of the system's trust store adds to the CA file.
    fn verify_by(
        &self,
        shown: &Shown<'_>,
        read: impl FnOnce(&mut dyn FnMut(CertificateDer<'_>)),
    ) -> Result<(), Error> {
        let subjects = shown.subjects();
        let mut roots = self.ca.clone();
        read(&mut |certificate| {
            let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) else { return };
            if subjects.iter().any(|subject| **subject == *anchor.subject) {
                roots.roots.push(anchor.to_owned());
            }
        });
        self.verify(shown, &roots)?;
        let _ = self.known.set(roots); // another connection was quicker
        Ok(())
    }

    /// webpki's verification, but for one thing: a certificate that is itself trusted, made by a plain `openssl
    /// req -x509`, calls itself a CA, and webpki takes no CA's certificate for a server's. OpenSSL does, as the
    /// trust is explicit. Name and dates are checked as ever.
    fn verify(&self, shown: &Shown<'_>, roots: &RootCertStore) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(shown.end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(
            &certificate,
            roots,
            shown.intermediates,
            shown.now,
            algorithms,
        ) {
            Err(error) if is_ca(&error) => {
                if !trusts(roots, shown.end_entity) {
                    return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
                }
            }
            result => result?,
        }
        verify_server_name(&certificate, shown.server_name)
    }
}

/// Whether name and key are those of a trusted certificate: who has that key could sign any other.
fn trusts(roots: &RootCertStore, certificate: &CertificateDer<'_>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok_and(|shown| roots.roots.contains(&shown))
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
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown { end_entity, intermediates, server_name, now };
        self.verify(&shown, self.known.get().unwrap_or(&self.ca))
            .or_else(|_| self.verify_by(&shown, each_of_bundle))
            .or_else(|_| {
                let CertificateResult { certs, errors, .. } = load_native_certs();
                if self.ca.is_empty() && certs.is_empty() {
                    let why = errors.first().map_or(String::new(), |error| format!(" ({error})"));
                    return Err(Error::General(format!("{NO_ROOTS}{why}")));
                }
                self.verify_by(&shown, |keep| certs.into_iter().for_each(keep))
            })?;
        Ok(ServerCertVerified::assertion())
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

/// The certificates in the file of the system's trust store. What can't be read is not trusted.
fn each_of_bundle(keep: &mut dyn FnMut(CertificateDer<'_>)) {
    if let Some(file) = bundle().and_then(|path| File::open(path).ok()) {
        certificates(BufReader::with_capacity(32 << 10, file), keep);
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

/// The certificates of a plain PEM file, several times as fast as by the reader for keys, which takes constant time,
/// and one at a time. What it does not understand is left to the system's own reader, which comes last.
fn certificates(mut pem: impl BufRead, keep: &mut dyn FnMut(CertificateDer<'_>)) {
    let (mut line, mut der, mut inside) = (Vec::new(), Vec::new(), false);
    while pem.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        match line.trim_ascii() {
            b"-----BEGIN CERTIFICATE-----" => {
                inside = true;
                der.clear();
            }
            b"-----END CERTIFICATE-----" if inside => {
                inside = false;
                keep(der.as_slice().into());
            }
            base64 if inside => inside = BASE64_STANDARD.decode_vec(base64, &mut der).is_ok(),
            _ => {}
        }
        line.clear();
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
            include_str!("../../../tests/tls/ca.pem"),
            "-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\r\n",
            include_str!("../../../tests/tls/client.key"),
            include_str!("../../../tests/tls/server.pem"),
        );
        let read = |pem: &[u8]| {
            let mut read = Vec::new();
            certificates(pem, &mut |certificate| read.push(certificate.into_owned()));
            read
        };
        let found = read(pem.as_bytes());
        let slow: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
        assert_eq!((found.len(), &found), (2, &slow));
        assert_eq!(read(b"-----BEGIN CERTIFICATE-----\nQUJD").len(), 0);
        assert_eq!(read(b"\xff").len(), 0);
    }
}
