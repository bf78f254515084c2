//! Which servers TLS trusts: rustls' own verifier decides, by the system's certificates and `--ca-file`.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

pub(super) const NO_ROOTS: &str = "no certificates to trust were found";

/// rustls' verifier, with one exception: a certificate that is itself trusted may call itself a CA. A plain `openssl
/// req -x509` makes such certificates, and OpenSSL accepts them, as the trust is explicit.
///
/// The system's certificates are read for each verification and not kept: with a session that is resumed, there is
/// but one in a run, and a process with a thousand runs would hold them a thousand times.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    ca: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(ca: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Verifier {
        Verifier { provider, ca }
    }

    /// What is trusted. A certificate of the system's that can't be read or is broken is ignored.
    fn roots(&self) -> Result<RootCertStore, Error> {
        let system = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.ca.iter().cloned().chain(system.certs));
        if roots.is_empty() {
            let why = system.errors.first().map_or(String::new(), |error| format!(" ({error})"));
            return Err(Error::General(format!("{NO_ROOTS}{why}")));
        }
        Ok(roots)
    }
}

/// Whether this is a trusted certificate, by name and key: who has that key could sign any other.
fn trusts(roots: &RootCertStore, certificate: &CertificateDer<'_>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok_and(|anchor| roots.roots.contains(&anchor))
}

/// webpki returns this error after it has checked the dates.
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
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = Arc::new(self.roots()?);
        let webpki =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), self.provider.clone()).build();
        let webpki = webpki.map_err(|error| Error::General(error.to_string()))?;
        match webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
