//! The program against what `openssl` makes: certificates as people make them, keys of each kind, and
//! `openssl s_server` as the other side. Without the command these tests are skipped, unless
//! `BARMAN_RECOVER_TESTS_COMPLETE=1` says that nothing may be.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, fs, iter};

use crate::net::{Recovery, model};
use crate::support::node::API_NOT_OK;
use tempfile::TempDir;

use crate::net::tls::{forward, tls_api};
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Script, Tls};

const SAN: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const ELSEWHERE: &str = "subjectAltName=DNS:elsewhere.test";
const RSA: &str = "-newkey rsa:2048";
const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
const ED25519: &str = "-newkey ed25519";

/// The option that adds an extension.
fn with(extension: &str) -> String {
    format!(" -addext {extension}")
}

/// A directory to make certificates in.
struct Maker(TempDir);

/// None: there is no `openssl`.
fn maker() -> Option<Maker> {
    let found = Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
    let complete = env::var("BARMAN_RECOVER_TESTS_COMPLETE").is_ok_and(|value| value == "1");
    assert!(found || !complete, "the command openssl is needed");
    if !found {
        println!("skipped: there is no command openssl");
    }
    found.then(|| Maker(tempdir()))
}

impl Maker {
    fn path(&self, name: &str) -> String {
        self.0.within(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs it with the words of this line.
    #[track_caller]
    fn openssl(&self, line: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(line.split_whitespace()).current_dir(self.path(".")).output().unwrap();
        assert!(output.status.success(), "{line} {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `NAME.pem` and `NAME.key`, signed by itself: calls itself a CA, as openssl's defaults have it. `more` comes last
    /// and wins.
    fn self_signed(&self, name: &str, kind: &str, more: &str) {
        self.openssl(&format!(
            "req -x509 -nodes -subj /CN={name} -out {name}.pem -keyout {name}.key {kind} {more}"
        ));
    }

    /// `NAME.pem`, signed by `ISSUER.pem` without any extension but these, for the key `NAME.key` made here.
    fn signed(&self, name: &str, kind: &str, issuer: &str, extensions: &str) {
        self.openssl(&format!("req -new -nodes -subj /CN={name} -out {name}.csr -keyout {name}.key {kind}"));
        fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -out {name}.pem \
             -extfile extensions"
        ));
    }

    /// `TO` with another validity than `FROM`, signed by itself.
    fn redated(&self, from: &str, to: &str, start: &str, end: &str) {
        let config = "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
            policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=critical,CA:TRUE\n";
        fs::write(self.path("config"), format!("{config}{SAN}\n")).unwrap();
        fs::write(self.path("index"), "").unwrap();
        self.openssl(&format!("req -new -key {from}.key -subj /CN=dated -out dated.csr"));
        self.openssl(&format!(
            "ca -batch -notext -config config -extensions e -selfsign -keyfile {from}.key -in dated.csr -out {to}.pem \
             -startdate {start} -enddate {end}"
        ));
        fs::copy(self.path(&format!("{from}.key")), self.path(&format!("{to}.key"))).unwrap();
    }

    fn tls(&self, name: &str) -> Tls {
        Tls::new(self.read(&format!("{name}.pem")), self.read(&format!("{name}.key")))
    }
}

#[test]
fn a_plain_self_signed_certificate_works_once_it_is_trusted() {
    let Some(made) = maker() else { return };
    made.self_signed("rsa", RSA, &with(SAN));
    made.self_signed("ec", P256, &with(SAN));
    made.self_signed("ed", ED25519, &with(SAN));
    made.self_signed("leaf", P256, &(with(SAN) + &with("basicConstraints=critical,CA:FALSE")));
    // Trust in one of the same name with another key is none.
    made.self_signed("other", P256, &(with(SAN) + " -subj /CN=ec"));
    check_rows(["rsa", "ec", "ed", "leaf"], |name| {
        let api = tls_api(&made.tls(name));
        let (url, pem) = (api.url(), made.path(&format!("{name}.pem")));
        Recovery::through(&url).args(["--ca-file", &pem]).end().done();
        Recovery::through(&url.replace("127.0.0.1", "localhost")).env("SSL_CERT_FILE", &pem).end().done();
        let before = api.connections();
        for other in ["rsa", "ec", "ed", "leaf", "other"].into_iter().filter(|other| *other != name) {
            let ended =
                Recovery::through(&url).args(["--ca-file", &made.path(&format!("{other}.pem"))]).end();
            ended.fails(API_NOT_OK, "the server's certificate");
        }
        Recovery::through(&url).end().fails(API_NOT_OK, "not trusted");
        assert_eq!(api.connections() - before, 5, "each at once");
    });
}

#[test]
fn trust_does_not_make_up_for_a_wrong_name_or_date() {
    let Some(made) = maker() else { return };
    made.self_signed("elsewhere", P256, &with(ELSEWHERE));
    made.self_signed("nameless", P256, "-subj /CN=127.0.0.1");
    made.self_signed("ec", P256, &with(SAN));
    made.redated("ec", "past", "20200101000000Z", "20210101000000Z");
    made.redated("ec", "future", "20900101000000Z", "21000101000000Z");
    made.redated("ec", "present", "20200101000000Z", "21000101000000Z");
    check_rows(
        [
            ("elsewhere", "is for another host"),
            ("nameless", "is for another host"),
            ("past", "has expired"),
            ("future", "is not valid yet"),
        ],
        |(name, why)| {
            let api = tls_api(&made.tls(name));
            Recovery::through(&api.url())
                .args(["--ca-file", &made.path(&format!("{name}.pem"))])
                .end()
                .fails(API_NOT_OK, why);
            assert_eq!(api.connections(), 1);
        },
    );
    let api = tls_api(&made.tls("present"));
    Recovery::through(&api.url()).args(["--ca-file", &made.path("present.pem")]).end().done();
}

#[test]
fn a_root_of_version_1_is_trusted() {
    let Some(made) = maker() else { return };
    made.openssl(&format!("req -new -nodes -subj /CN=old -out old.csr -keyout old.key {P256}"));
    made.openssl("x509 -req -in old.csr -signkey old.key -out old.pem");
    made.signed("server", P256, "old", SAN);
    let api = tls_api(&made.tls("server"));
    Recovery::through(&api.url()).args(["--ca-file", &made.path("old.pem")]).end().done();
}

#[test]
fn a_root_of_the_system_is_found_behind_an_intermediate() {
    let Some(made) = maker() else { return };
    made.self_signed("root", P256, "");
    made.self_signed("namesake", P256, "-subj /CN=root");
    made.signed("between", P256, "root", "basicConstraints=critical,CA:TRUE");
    made.signed("leaf", P256, "between", SAN);
    let both = |one, other| [made.read(one), made.read(other)].concat();
    fs::write(made.path("bundle"), both("namesake.pem", "root.pem")).unwrap();
    let api = tls_api(&Tls::new(both("leaf.pem", "between.pem"), made.read("leaf.key")));
    Recovery::through(&api.url()).env("SSL_CERT_FILE", &made.path("bundle")).end().done();
    let ended = Recovery::through(&api.url()).env("SSL_CERT_FILE", &made.path("namesake.pem")).end();
    ended.fails(API_NOT_OK, "the server's certificate");
}

/// Two proxies behind one name, or a certificate that is renewed during a restore.
#[test]
fn the_issuer_may_be_another_at_the_next_connection() {
    let Some(made) = maker() else { return };
    for name in ["one", "other"] {
        made.self_signed(&format!("{name}-root"), P256, "");
        made.signed(name, P256, &format!("{name}-root"), SAN);
    }
    fs::write(made.path("bundle"), [made.read("one-root.pem"), made.read("other-root.pem")].concat())
        .unwrap();
    let (one, other) = (tls_api(&made.tls("one")), tls_api(&made.tls("other")));
    let port = forward(iter::once(one.address()).chain(iter::repeat(other.address())));
    let run = Recovery::through(&format!("https://127.0.0.1:{port}"));
    run.env("SSL_CERT_FILE", &made.path("bundle")).end().done();
    assert_eq!((one.connections(), other.creates()), (1, 1));
}

#[test]
fn the_systems_bundle_is_a_ca_file() {
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    if fs::metadata(bundle).is_err() {
        println!("skipped: no {bundle}");
        return;
    }
    let api = Api::start(model(), Script::new());
    Recovery::through(&api.url()).args(["--ca-file", bundle]).end().done();
}

/// The certificate and its intermediate in one file, and the key of each form in a file of its own or in the same.
#[test]
fn client_keys_of_every_form_work() {
    let Some(made) = maker() else { return };
    made.self_signed("server", P256, &with(SAN));
    made.self_signed("root", P256, "");
    made.signed("between", P256, "root", "basicConstraints=critical,CA:TRUE");
    let kinds = [
        ("rsa", RSA),
        ("p256", P256),
        ("p384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"),
        ("ed", ED25519),
    ];
    for (name, kind) in kinds {
        made.signed(name, kind, "between", "extendedKeyUsage=clientAuth");
        let chain = [made.read(&format!("{name}.pem")), made.read("between.pem")].concat();
        fs::write(made.path(&format!("{name}.chain")), chain).unwrap();
    }
    made.openssl("rsa -traditional -in rsa.key -out rsa.pkcs1");
    made.openssl("ec -in p256.key -out p256.sec1");
    made.openssl("ecparam -name prime256v1 -out p256.parameters");
    let with_parameters = [made.read("p256.parameters"), made.read("p256.sec1")].concat();
    fs::write(made.path("p256.both"), with_parameters).unwrap();
    for (file, word) in [
        ("rsa.key", "BEGIN PRIVATE KEY"),
        ("rsa.pkcs1", "BEGIN RSA PRIVATE KEY"),
        ("p256.sec1", "BEGIN EC PRIVATE KEY"),
        ("p256.both", "BEGIN EC PARAMETERS"),
    ] {
        assert!(String::from_utf8(made.read(file)).unwrap().contains(word), "{file}");
    }
    let api = tls_api(&made.tls("server").client_ca(made.read("root.pem")));
    let run = || Recovery::through(&api.url()).args(["--ca-file", &made.path("server.pem")]);
    for key in ["rsa.key", "rsa.pkcs1", "p256.key", "p256.sec1", "p256.both", "p384.key", "ed.key"] {
        let chain = format!("{}.chain", key.split('.').next().unwrap());
        run().args(["--cert-file", &made.path(&chain), "--key-file", &made.path(key)]).end().done();
        for (at, parts) in [[&chain[..], key], [key, &chain]].into_iter().enumerate() {
            let both = format!("both{at}");
            fs::write(made.path(&both), parts.map(|part| made.read(part)).concat()).unwrap();
            run().args(["--cert-file", &made.path(&both)]).end().done();
        }
    }
    // Without the intermediate.
    let ended = run().args(["--cert-file", &made.path("ed.pem"), "--key-file", &made.path("ed.key")]).end();
    ended.fails(API_NOT_OK, "refused our client certificate");
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let Some(made) = maker() else { return };
    made.self_signed("p256", P256, "");
    made.self_signed("rsa", RSA, "");
    made.self_signed("p521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521", "");
    made.openssl("pkcs8 -topk8 -in p256.key -passout pass:word -out pkcs8");
    made.openssl("rsa -traditional -aes128 -in rsa.key -passout pass:word -out pkcs1");
    made.openssl("x509 -in p256.pem -outform der -out der");
    fs::write(made.path("both"), [made.read("p256.pem"), made.read("pkcs8")].concat()).unwrap();
    let api = Api::start(model(), Script::new());
    check_rows(
        [
            ("p256.pem", "pkcs8", "--key-file", "is encrypted"),
            ("rsa.pem", "pkcs1", "--key-file", "is encrypted"),
            ("both", "", "--cert-file", "is encrypted"),
            ("p521.pem", "p521.key", "--key-file", "not supported (RSA, P-256, P-384 and Ed25519 are)"),
            ("p256.pem", "rsa.key", "--key-file", "does not belong to the certificate"),
            ("der", "p256.key", "--cert-file", "expected PEM"),
        ],
        |(cert, key, option, why)| {
            let named = made.path(if option == "--key-file" { key } else { cert });
            let mut run = Recovery::through(&api.url()).args(["--cert-file", &made.path(cert)]);
            if !key.is_empty() {
                run = run.args(["--key-file", &made.path(key)]);
            }
            run.end().is_refused(&[&format!("{option}: {named}: "), why]);
        },
    );
    Recovery::through(&api.url())
        .args(["--ca-file", &made.path("der")])
        .end()
        .is_refused(&["--ca-file", "expected PEM"]);
    assert_eq!(api.connections(), 0);
}

/// `openssl s_server -www`, which answers each request with a page; ended when dropped.
struct Server(Child, u16);

impl Server {
    /// None: this OpenSSL does not speak that version any more.
    fn start(made: &Maker, more: &[&str]) -> Option<Self> {
        let fixed = ["s_server", "-accept", "127.0.0.1:0", "-cert", "ec.pem", "-key", "ec.key", "-www"];
        let mut command = Command::new("openssl");
        command.args(fixed).args(more).current_dir(made.path("."));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // It prints its port: "ACCEPT 127.0.0.1:40123".
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(line)) = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("ACCEPT")))
        else {
            let _ = child.wait();
            return None;
        };
        let port = line.rsplit_once(':').unwrap().1.trim().parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self(child, port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssls_own_server_is_understood() {
    let Some(made) = maker() else { return };
    made.self_signed("ec", P256, &with(SAN));
    made.self_signed("stranger", P256, "");
    let stranger = (made.path("stranger.pem"), made.path("stranger.key"));
    let cases: [(&[&str], bool, &str); 7] = [
        // Its page is not "OK", but it came in TLS.
        (&["-tls1_2"], false, "its answer is not understood"),
        (&["-tls1_3"], false, "its answer is not understood"),
        (&["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], false, "supports only an old version of TLS"),
        (&["-tls1_2", "-Verify", "1"], false, "refused the TLS handshake (HandshakeFailure)"),
        (&["-tls1_3", "-Verify", "1"], false, "the server requires a client certificate"),
        (&["-tls1_2", "-Verify", "1", "-verify_return_error"], true, "refused our client certificate"),
        (&["-tls1_3", "-Verify", "1", "-verify_return_error"], true, "refused our client certificate"),
    ];
    check_rows(cases, |(more, shown, why)| {
        let Some(server) = Server::start(&made, more) else {
            assert!(more.contains(&"-tls1_1"), "{more:?}");
            println!("skipped: no server for {more:?}");
            return;
        };
        let run = Recovery::through(&format!("https://127.0.0.1:{}", server.1));
        let mut run = run.args(["--ca-file", &made.path("ec.pem")]);
        if shown {
            run = run.args(["--cert-file", &stranger.0, "--key-file", &stranger.1]);
        }
        run.end().fails(API_NOT_OK, why);
    });
}
