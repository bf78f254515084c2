//! The stand-in over TLS: its certificate, client certificates, versions, and faults below TLS.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};

use standin::client::get;
use standin::{Api, At, Model, Script, Step, Tls, TlsVersions};

const CA: &[u8] = include_bytes!("../../tls/ca.pem");
const CLIENT: (&[u8], &[u8]) =
    (include_bytes!("../../tls/client.pem"), include_bytes!("../../tls/client.key"));

fn tls() -> Tls {
    Tls::new(include_bytes!("../../tls/server.pem"), include_bytes!("../../tls/server.key"))
}

fn start(script: Script, tls: &Tls) -> Api {
    Api::start_tls(Model::new().server("pg"), script, tls)
}

/// `GET /status`: the version spoken, what came, and how it ended.
fn status(api: &Api, shown: Option<(&[u8], &[u8])>) -> (Option<ProtocolVersion>, String, io::Result<()>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS12, &TLS13]).unwrap().with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap()).unwrap()
        }
    };
    let session =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(api.address()).unwrap());
    let mut reply = Vec::new();
    let end = stream.write_all(&get("/status")).and_then(|()| stream.read_to_end(&mut reply)).map(drop);
    (stream.conn.protocol_version(), String::from_utf8_lossy(&reply).into_owned(), end)
}

#[test]
fn each_version_alone_and_both_are_spoken() {
    let cases = [
        (TlsVersions::Both, ProtocolVersion::TLSv1_3),
        (TlsVersions::Only13, ProtocolVersion::TLSv1_3),
        (TlsVersions::Only12, ProtocolVersion::TLSv1_2),
    ];
    for (versions, spoken) in cases {
        let api = start(Script::new(), &tls().versions(versions));
        assert!(api.url().starts_with("https://127.0.0.1:"));
        let (version, reply, end) = status(&api, None);
        assert!(version == Some(spoken) && reply.ends_with("\"OK\"") && end.is_ok(), "{versions:?}: {end:?}");
    }
}

#[test]
fn a_client_certificate_is_demanded() {
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let api = start(Script::new(), &tls().client_ca(CA).versions(versions));
        let (_, reply, end) = status(&api, Some(CLIENT));
        assert!(reply.ends_with("\"OK\"") && end.is_ok(), "{end:?}");
        let (_, reply, end) = status(&api, None);
        assert!(reply.is_empty());
        let refusal = end.unwrap_err().to_string();
        assert!(refusal.contains("alert"), "the client learns why: {refusal}");
        api.wait("the failure", |api| api.tls_failures().len() == 1);
        assert_eq!(api.requests().len(), 1);
    }
}

#[test]
fn a_cut_reply_ends_without_close_notify() {
    let api = start(Script::new().status([Step::model().cut(30)]), &tls());
    let (_, reply, end) = status(&api, None);
    assert_eq!((reply.len(), end.unwrap_err().kind()), (30, io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_connection_is_reset_within_tls_and_before_it() {
    let scripts = [
        (Script::new().status([Step::model().reset(At::Head)]), 1),
        (Script::new().status([Step::model().reset(At::Request)]), 1),
        (Script::new().connect([Step::model().reset(At::Head)]), 0),
    ];
    for (script, requests) in scripts {
        let api = start(script, &tls());
        let (_, reply, end) = status(&api, None);
        assert!(
            reply.is_empty() && end.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset),
            "{end:?}"
        );
        assert_eq!(api.requests().len(), requests);
    }
}

#[test]
fn garbage_instead_of_a_handshake_is_seen_as_such() {
    let api = start(Script::new().connect([Step::raw("HTTP/1.1 400 BAD REQUEST\r\n\r\n")]), &tls());
    let (version, _, end) = status(&api, None);
    assert!(version.is_none() && end.unwrap_err().kind() == io::ErrorKind::InvalidData);
}
