//! The program over TLS: whom it trusts, what it shows, and that what cannot heal ends it at once, with
//! status 254, the cause and a hint. Certificates are the fixtures of `tests/tls`; `openssl.rs` makes others.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::thread;
use std::time::{Duration, Instant};

use crate::net::http::relay;
use crate::net::{Recovery, model};
use crate::support::node::{API_NOT_OK, WRONG};
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, At, Form, Script, Stage, Step, Tls, TlsVersions};

pub const CA: &[u8] = include_bytes!("../../tls/ca.pem");
const SERVER_KEY: &[u8] = include_bytes!("../../tls/server.key");
const SERVER: &[u8] = include_bytes!("../../tls/server.pem");
const STRANGER: &[u8] = include_bytes!("../../tls/stranger.pem");

const VERSIONS: [TlsVersions; 2] = [TlsVersions::Only12, TlsVersions::Only13];

/// The path of a fixture.
fn fixture(name: &str) -> String {
    format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn server() -> Tls {
    Tls::new(SERVER, SERVER_KEY)
}

pub fn tls_api(tls: &Tls) -> Api {
    Api::start_tls(model(), Script::new(), tls)
}

/// A run that trusts the fixtures' authority.
pub fn trusting(url: &str) -> Recovery {
    Recovery::through(url).args(["--ca-file", &fixture("ca.pem")])
}

/// As `https://localhost`: the fixtures' other name.
fn by_name(api: &Api) -> String {
    api.url().replace("127.0.0.1", "localhost")
}

fn with_client_certificate(url: &str) -> Recovery {
    let run = trusting(url).args(["--cert-file", &fixture("client.pem")]);
    run.args(["--key-file", &fixture("client.key")])
}

#[test]
fn each_source_of_trust_counts_on_both_versions() {
    let scratch = tempdir();
    let directory = scratch.within("certs");
    fs::create_dir(&directory).unwrap();
    symlink(fixture("ca.pem"), format!("{directory}/a1b2c3d4.0")).unwrap();
    for versions in VERSIONS {
        let api = tls_api(&server().versions(versions));
        trusting(&api.url()).end().done();
        trusting(&by_name(&api)).end().done();
        Recovery::through(&api.url()).env("SSL_CERT_FILE", &fixture("ca.pem")).end().done();
        Recovery::through(&api.url()).env("SSL_CERT_DIR", &directory).end().done();
        let both = Recovery::through(&api.url()).env("SSL_CERT_FILE", &fixture("stranger.pem"));
        both.env("SSL_CERT_DIR", &directory).end().done();
        // In addition to the others, be they of no use.
        trusting(&api.url()).env("SSL_CERT_FILE", &fixture("stranger.pem")).end().done();
        trusting(&api.url()).env("SSL_CERT_FILE", &scratch.within("none")).end().done();
        let other = Recovery::through(&api.url()).args(["--ca-file", &fixture("stranger.pem")]);
        other.env("SSL_CERT_FILE", &fixture("ca.pem")).end().done();
    }
}

/// One case: the server's TLS, the run against it, the cause in its error.
fn ends_at_once(tls: &Tls, run: impl Fn(&str) -> Recovery, why: &str) {
    for versions in VERSIONS {
        let api = tls_api(&tls.clone().versions(versions));
        let ended = run(&api.url()).end();
        ended.fails(API_NOT_OK, why);
        // A client that ends without a word may have ended before it was counted.
        api.wait("the connection", |api| api.connections() > 0);
        assert_eq!((api.connections(), api.requests().len()), (1, 0), "{}", ended.log);
    }
}

#[test]
fn a_certificate_of_no_trust_is_refused() {
    ends_at_once(&server(), Recovery::through, "from an issuer that is not trusted");
    ends_at_once(&Tls::new(STRANGER, SERVER_KEY), trusting, "from an issuer that is not trusted");
}

#[test]
fn the_certificate_of_another_host_is_refused() {
    let tls = Tls::new(include_bytes!("../../tls/wrong-host.pem"), SERVER_KEY);
    ends_at_once(&tls, trusting, "for another host (it is for elsewhere.test, not for 127.0.0.1)");
}

#[test]
fn an_expired_certificate_is_refused() {
    let tls = Tls::new(include_bytes!("../../tls/expired.pem"), SERVER_KEY);
    ends_at_once(&tls, trusting, " days ago)");
}

#[test]
fn nothing_to_trust_is_an_error_of_its_own() {
    let nothing = |url: &str| Recovery::through(url).env("SSL_CERT_FILE", "/nonexistent/bundle");
    ends_at_once(&server(), nothing, "/nonexistent/bundle");
}

#[test]
fn a_client_certificate_is_shown_where_it_is_wanted() {
    for versions in VERSIONS {
        let api = tls_api(&server().client_ca(CA).versions(versions));
        with_client_certificate(&api.url()).end().done();
    }
}

#[test]
fn a_missing_client_certificate_is_named() {
    ends_at_once(&server().client_ca(CA), trusting, "the server requires a client certificate");
}

#[test]
fn a_refused_client_certificate_is_named() {
    ends_at_once(&server().client_ca(STRANGER), with_client_certificate, "refused our client certificate");
}

/// In TLS 1.3 the refusal comes after the create was written. It was not processed all the same: the run ends
/// without looking for an operation.
#[test]
fn a_create_without_its_client_certificate_was_not_processed() {
    let front = Api::start_tls(model(), Script::new(), &server());
    let strict = tls_api(&server().client_ca(CA).versions(TlsVersions::Only13));
    // Status and list go to the one server, the create to the other.
    let port = forward([front.address(), front.address(), strict.address()]);
    let ended = trusting(&format!("https://127.0.0.1:{port}")).end();
    ended.fails(WRONG, "the server requires a client certificate");
    assert_eq!((front.count(Stage::Status), front.count(Stage::List), front.connections()), (1, 1, 2));
    assert_eq!((strict.connections(), strict.creates()), (1, 0), "{}", ended.log);
}

/// Passes the n-th connection on to the n-th address; a port.
pub fn forward<I>(to: I) -> u16
where
    I: IntoIterator<Item = std::net::SocketAddr> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for address in to {
            let (client, _) = listener.accept().unwrap();
            relay(&client, address);
        }
    });
    port
}

#[test]
fn plain_http_behind_https_is_named() {
    let refusal = Step::raw("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").forever();
    let api = Api::start(model(), Script::new().connect([refusal]));
    let ended = trusting(&api.url().replace("http:", "https:")).end();
    ended.fails(API_NOT_OK, "does not speak TLS");
    assert!(ended.log.contains("use http://"), "{}", ended.log);
    assert_eq!(api.connections(), 1);
}

#[test]
fn tls_behind_http_is_named() {
    let api = tls_api(&server());
    let ended = Recovery::through(&api.url().replace("https:", "http:")).end();
    ended.fails(API_NOT_OK, "speaks TLS");
    assert!(ended.log.contains("use https://"), "{}", ended.log);
    assert_eq!(api.connections(), 1);
}

/// What a server of TLS 1.1 answers to us: the alert `protocol_version`.
#[test]
fn an_old_version_of_tls_is_named() {
    let alert = [21, 3, 2, 0, 2, 2, 70];
    let api = Api::start_tls(model(), Script::new().connect([Step::raw(alert).forever()]), &server());
    let ended = trusting(&api.url()).end();
    ended.fails(API_NOT_OK, "old version of TLS");
    assert_eq!(api.connections(), 1);
}

#[test]
fn silence_in_the_handshake_is_bounded_and_named() {
    let script = Script::new().connect([Step::model().hang_ms(600_000).forever()]);
    let api = Api::start_tls(model(), script, &server());
    let begun = Instant::now();
    let ended = trusting(&api.url()).args(["--request-timeout=1", "--max-retries=1"]).end();
    ended.fails(API_NOT_OK, "did not answer the TLS handshake");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_body_without_close_notify_counts_when_it_is_whole() {
    // With a length the end is known; without one a complete JSON is.
    check_rows([Step::model().close(At::Reply), Step::model().form(Form::Http10).close(At::Reply)], |step| {
        let script = Script::new().any([step.forever()]);
        let api = Api::start_tls(model(), script, &server());
        trusting(&api.url()).end().done();
    });
    // The status's body is five bytes, its end is cut off.
    let script = |step: Step| Script::new().status([step.forever()]);
    let whole = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\"OK\"";
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\"OK";
    check_rows([&whole[..whole.len() - 1], head], |cut| {
        let api = Api::start_tls(model(), script(Step::raw(cut).close(At::Reply)), &server());
        let ended = trusting(&api.url()).end();
        ended.fails(API_NOT_OK, "not understood");
        assert_eq!((api.requests().len(), ended.warnings()), (2, 1), "cut off may heal: {}", ended.log);
    });
}

#[test]
fn a_file_that_is_none_is_named_before_anything_is_sent() {
    let scratch = tempdir();
    let write = |name: &str, text: &str| {
        fs::write(scratch.within(name), text).unwrap();
        scratch.within(name)
    };
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let broken_key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    fs::create_dir(scratch.within("directory")).unwrap();
    let files = [
        (scratch.within("missing"), "No such file"),
        (scratch.within("directory"), "directory"),
        (write("empty", ""), "expected PEM"),
        (write("garbage", "\u{1}\u{2} no certificate"), "expected PEM"),
        (write("cut", cut), ""),
        (write("broken", broken), "broken"),
        (write("broken-key", broken_key), ""),
    ];
    let api = Api::start(model(), Script::new());
    for (path, why) in &files {
        for (option, others) in [
            ("--ca-file", vec![]),
            ("--cert-file", vec!["--key-file".into(), fixture("client.key")]),
            ("--key-file", vec!["--cert-file".into(), fixture("client.pem")]),
        ] {
            let why = if option == "--key-file" && path.ends_with("broken") { "expected PEM" } else { why };
            let run =
                Recovery::through(&api.url()).args([option, path]).args(others.iter().map(String::as_str));
            run.end().is_refused(&[&format!("ERROR: {option}: {path}: "), why]);
        }
    }
    let client = fixture("client.pem");
    let alone = Recovery::through(&api.url()).args(["--cert-file", &client]).end();
    alone.is_refused(&[
        &format!("--cert-file: {client}: holds no private key"),
        "name the file that holds it with --key-file",
    ]);
    let other =
        Recovery::through(&api.url()).args(["--cert-file", &client, "--key-file", &fixture("server.key")]);
    other.end().is_refused(&["--key-file: ", "server.key: the key does not belong to the certificate"]);
    Recovery::through(&api.url())
        .args(["--key-file", &client])
        .end()
        .is_refused(&["--key-file: needs --cert-file"]);
    assert_eq!(api.connections(), 0);
}

#[test]
fn an_unreadable_file_is_named() {
    let scratch = tempdir();
    let path = scratch.within("ca.pem");
    fs::write(&path, CA).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        println!("skipped: root reads every file");
        return;
    }
    let ended = Recovery::through("http://127.0.0.1:1").args(["--ca-file", &path]).end();
    ended.is_refused(&[&format!("--ca-file: {path}: Permission denied")]);
}

/// A FIFO that nobody writes to would hold up whoever opens it.
#[test]
fn the_trust_store_is_not_read_for_http() {
    let scratch = tempdir();
    let fifo = scratch.within("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let api = Api::start(model(), Script::new());
    Recovery::through(&api.url()).env("SSL_CERT_FILE", &fifo).end().done();
}

/// As in a store that an administrator has made by hand.
#[test]
fn what_is_broken_in_the_trust_store_is_ignored() {
    let scratch = tempdir();
    let (directory, bundle) = (scratch.within("certs"), scratch.within("bundle"));
    fs::create_dir(&directory).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    fs::write(&bundle, [broken.as_bytes(), b"\xff"].concat()).unwrap();
    fs::write(format!("{directory}/ca.pem"), [broken.as_bytes(), CA, b"\xff"].concat()).unwrap();
    fs::write(format!("{directory}/no-base64.pem"), "-----BEGIN CERTIFICATE-----\n?\n").unwrap();
    symlink("nowhere", format!("{directory}/dangling.pem")).unwrap();
    let api = tls_api(&server());
    let run = Recovery::through(&api.url()).env("SSL_CERT_FILE", &bundle);
    run.env("SSL_CERT_DIR", &directory).end().done();
}

/// An alert that is not about certificates or versions may be temporary.
#[test]
fn a_server_that_fails_in_tls_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1]); // the rest is left unread: RST
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 80]); // internal_error
        }
    });
    let ended = trusting(&format!("https://127.0.0.1:{port}")).end();
    ended.expect(API_NOT_OK);
    assert_eq!(ended.warnings(), 1, "{}", ended.log);
    asked.join().unwrap();
}
