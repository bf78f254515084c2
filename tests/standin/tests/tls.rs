//! The stand-in over TLS, where it differs: certificates, client certificates, faults below TLS. Versions and what a client
//! says about each of them are the suite's matter.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use standin::client::get;
use standin::{Api, At, Model, Script, Step, Tls};

const CA: &[u8] = include_bytes!("../../tls/ca.pem");

/// `GET /status`, with the client's certificate or without: what came, and how it ended.
fn status(script: Script, shows_certificate: bool) -> (String, io::Result<()>) {
    let tls = Tls::new(include_bytes!("../../tls/server.pem"), include_bytes!("../../tls/server.key"));
    let api = Api::start_tls(Model::new().server("pg"), script, &tls.client_ca(CA));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let config = if shows_certificate {
        let chain = CertificateDer::from_pem_slice(include_bytes!("../../tls/client.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../tls/client.key")).unwrap();
        builder.with_client_auth_cert(vec![chain], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(api.address()).unwrap());
    let mut reply = Vec::new();
    let end = stream.write_all(&get("/status")).and_then(|()| stream.read_to_end(&mut reply)).map(drop);
    drop(stream);
    if !shows_certificate {
        api.wait("the failure", |api| api.tls_failures().len() == 1);
    }
    (String::from_utf8_lossy(&reply).into_owned(), end)
}

#[test]
fn a_client_certificate_is_demanded() {
    let (reply, end) = status(Script::new(), true);
    assert!(reply.ends_with("\"OK\"") && end.is_ok(), "{end:?}");
    let (reply, end) = status(Script::new(), false);
    let refusal = end.unwrap_err().to_string();
    assert!(reply.is_empty() && refusal.contains("alert"), "the client learns why: {refusal}");
}

#[test]
fn connections_end_below_tls() {
    let at = |step| Script::new().status([step]);
    for (script, came, kind) in [
        (at(Step::model().cut(30)), 30, io::ErrorKind::UnexpectedEof),
        (at(Step::model().reset(At::Head)), 0, io::ErrorKind::ConnectionReset),
        (Script::new().connect([Step::model().reset(At::Head)]), 0, io::ErrorKind::ConnectionReset),
        (Script::new().connect([Step::raw("HTTP/1.1 400 BAD\r\n\r\n")]), 0, io::ErrorKind::InvalidData),
    ] {
        let shown = format!("{script:?}");
        let (reply, end) = status(script, true);
        assert_eq!((reply.len(), end.unwrap_err().kind()), (came, kind), "{shown}");
    }
}
