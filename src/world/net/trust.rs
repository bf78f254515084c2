//! Which servers TLS trusts: rustls' own verifier decides, using the system's certificates and `--ca-file`.

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fmt};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

/// There are no certificates to trust; and why the system's could not be read, if that is the cause.
#[derive(Debug)]
pub(super) struct NoRoots(Option<rustls_native_certs::Error>);

impl fmt::Display for NoRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no certificates to trust were found")?;
        self.0.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}

impl std::error::Error for NoRoots {}

/// rustls' verifier, with one exception: a certificate that is itself trusted may be marked as a CA. A plain `openssl
/// req -x509` makes such certificates, and OpenSSL accepts them, because the trust is explicit.
///
/// The system's certificates are read when a server has to be verified, and not kept: they take as much memory as the
/// rest of a run, and later connections resume the session of the first one.
#[derive(Debug)]
pub(super) struct Verifier {
    /// To be trusted beside the system's certificates.
    pub(super) ca: Vec<CertificateDer<'static>>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// The certificates that are trusted, given those of the system, of which broken ones are ignored.
    fn roots(&self, found: CertificateResult) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        roots.add_parsable_certificates(self.ca.iter().cloned());
        if roots.is_empty() {
            return Err(OtherError(Arc::new(NoRoots(found.errors.into_iter().next()))).into());
        }
        Ok(roots)
    }

    /// Verifies a server's certificate, given the system's.
    fn verify(
        &self,
        found: CertificateResult,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = Arc::new(self.roots(found)?);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.clone(), self.provider.clone());
        let webpki = webpki.build().map_err(|error| Error::General(error.to_string()))?;
        match webpki.verify_server_cert(end_entity, intermediates, server_name, &[], now) {
            Err(error) if is_ca(&error) => {
                if !trusts(&roots, end_entity) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }
}

/// The file that has all of the system's certificates. `SSL_CERT_FILE` and `SSL_CERT_DIR` take its place.
fn bundle() -> Option<PathBuf> {
    match (env::var_os("SSL_CERT_FILE"), env::var_os("SSL_CERT_DIR")) {
        (Some(file), _) => Some(file.into()),
        (None, Some(_)) => None,
        (None, None) => openssl_probe::probe().cert_file,
    }
}

/// Whether this is a trusted certificate, by name and key: whoever has that key could sign any other.
fn trusts(roots: &RootCertStore, certificate: &CertificateDer<'_>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok_and(|anchor| roots.roots.contains(&anchor))
}

/// webpki returns this error only after it has checked the dates.
fn is_ca(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
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
        let verify = |found| self.verify(found, end_entity, intermediates, server_name, now);
        // To read a directory of certificates takes longer than all else before the first request. As OpenSSL, this
        // looks into it only for a server that the bundle does not vouch for.
        verify(load_certs_from_paths(bundle().as_deref(), None)).or_else(|_| verify(load_native_certs()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
