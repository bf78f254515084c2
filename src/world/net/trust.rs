//! Which servers TLS trusts: rustls' own verifier decides, using the system's certificates and `--ca-file`.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError, Weak};
use std::thread;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

pub(super) const NO_ROOTS: &str = "no certificates to trust were found";

/// The system's certificates, while a run in this process holds them: a thousand runs side by side would read them a
/// thousand times, and glibc keeps up to a quarter of a megabyte of what a thread has freed for that thread.
static SYSTEM: Mutex<Weak<RootCertStore>> = Mutex::new(Weak::new());
const ASK_AGAIN: Duration = Duration::from_millis(5);
const LONGEST_WAIT: u32 = 200; // times that

/// The system's certificates; one that can't be read or is broken is ignored. An error says why there are none.
fn system() -> Result<Arc<RootCertStore>, String> {
    let mut shared = shared();
    if let Some(roots) = shared.as_ref().and_then(|shared| shared.upgrade()) {
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(found.errors.first().map_or(String::new(), |error| format!(" ({error})")));
    }
    let roots = Arc::new(roots);
    if let Some(shared) = &mut shared {
        **shared = Arc::downgrade(&roots);
    }
    Ok(roots)
}

/// `None` if the lock is not free for a second: in a process that was forked while it was held, it never is.
fn shared() -> Option<MutexGuard<'static, Weak<RootCertStore>>> {
    for _ in 0..LONGEST_WAIT {
        match SYSTEM.try_lock() {
            Ok(shared) => return Some(shared),
            Err(TryLockError::Poisoned(shared)) => return Some(shared.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(ASK_AGAIN),
        }
    }
    None
}

/// rustls' verifier, with one exception: a certificate that is itself trusted may be marked as a CA. A plain `openssl
/// req -x509` makes such certificates, and OpenSSL accepts them, because the trust is explicit.
///
/// The system's certificates are read at the first verification, if no other run holds them.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    ca: Vec<CertificateDer<'static>>,
    system: OnceLock<Arc<RootCertStore>>,
}

impl Verifier {
    pub(super) fn new(ca: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Verifier {
        Verifier { provider, ca, system: OnceLock::new() }
    }

    fn system(&self) -> Result<Arc<RootCertStore>, String> {
        match self.system.get() {
            Some(roots) => Ok(roots.clone()),
            None => system().map(|roots| self.system.get_or_init(|| roots).clone()),
        }
    }

    /// What is trusted: the system's certificates, and `--ca-file`.
    fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        let mut roots = match self.system() {
            Ok(roots) if self.ca.is_empty() => return Ok(roots),
            Ok(roots) => RootCertStore::clone(&roots),
            Err(why) if self.ca.is_empty() => return Err(Error::General(format!("{NO_ROOTS}{why}"))),
            Err(_) => RootCertStore::empty(),
        };
        roots.add_parsable_certificates(self.ca.iter().cloned());
        Ok(Arc::new(roots))
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
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = self.roots()?;
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

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn runs_side_by_side_share_the_systems_certificates() {
        let verifier = || Verifier::new(Vec::new(), Arc::new(ring::default_provider()));
        let (one, other) = (verifier(), verifier());
        let held = |verifier: &Verifier| verifier.system().map(|roots| Arc::as_ptr(&roots));
        assert_eq!(held(&one), held(&other));
    }
}
