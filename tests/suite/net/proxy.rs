//! Proxies: `--proxy` is used, the environment's are not. And secrets: credentials in URLs are sent, and
//! appear nowhere else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::net::http::relay;
use crate::net::tls::{server, tls_api, trusting};
use crate::net::{Recovery, model};
use crate::support::node::{API_NOT_OK, Ended, Node, WRONG};
use crate::support::table::check_rows;
use standin::{Api, Part, Script, Step};

/// A CONNECT proxy.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers with this status line; connects when it says 200.
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if client.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(head);
                client.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap();
                if answer.starts_with("200") {
                    relay(&client, target.parse().unwrap());
                }
            }
        });
        Self { port, heads }
    }

    fn option(&self) -> String {
        format!("--proxy=http://127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

#[test]
fn a_proxy_is_used_for_http_and_https() {
    let plain = Api::start(model(), Script::new());
    let secure = tls_api(&server());
    for (api, run) in [(&plain, Recovery::through(&plain.url())), (&secure, trusting(&secure.url()))] {
        let proxy = Proxy::start("200 OK");
        run.arg(proxy.option()).env("NO_PROXY", "*").end().done();
        let heads = proxy.heads();
        assert_eq!(heads.len() as u64, api.connections(), "every request goes through it");
        assert!(heads[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", api.address())), "{heads:?}");
        assert!(!heads[0].to_lowercase().contains("authorization"));
    }
}

#[test]
fn a_proxy_that_will_never_connect_ends_the_run_at_once() {
    check_rows(
        [
            ("407 Proxy Authentication Required", "the proxy refused with HTTP 407"),
            ("403 Forbidden", "the proxy refused with HTTP 403"),
        ],
        |(answer, why)| {
            let proxy = Proxy::start(answer);
            let ended = Recovery::through("http://127.0.0.1:1").arg(proxy.option()).end();
            ended.fails(API_NOT_OK, why);
            assert!(
                ended.log.contains(&format!("(through the proxy 127.0.0.1:{})", proxy.port)),
                "{}",
                ended.log
            );
            assert_eq!((proxy.heads().len(), ended.warnings()), (1, 0));
        },
    );
}

#[test]
fn a_proxy_that_cannot_connect_is_asked_again() {
    check_rows(
        [
            ("502 Bad Gateway", "the proxy refused with HTTP 502"),
            ("no HTTP", "127.0.0.1:"),
            ("", "127.0.0.1:"),
        ],
        |(answer, why)| {
            let proxy = Proxy::start(answer);
            let ended = Recovery::through("http://127.0.0.1:1").arg(proxy.option()).end();
            ended.fails(API_NOT_OK, why);
            assert_eq!((proxy.heads().len(), ended.warnings()), (2, 1), "{}", ended.log);
        },
    );
}

/// Drops that come in time must not add up to more than a request may take.
#[test]
fn a_proxy_that_answers_byte_by_byte_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ended = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
        while client.write_all(b"x").is_ok() {
            thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let run = Recovery::through("http://127.0.0.1:1").arg(format!("--proxy=http://127.0.0.1:{port}"));
    let run = run.args(["--request-timeout=1", "--max-retries=1"]);
    run.end().fails(API_NOT_OK, "no connection within 1 s");
    ended.join().unwrap();
}

#[test]
fn the_environments_proxies_are_ignored() {
    let api = Api::start(model(), Script::new());
    let mut run = Recovery::through(&api.url());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        run = run.env(name, "http://127.0.0.1:1");
    }
    run.end().done();
}

// Secrets

const USER: &str = "us-er";
const PASSWORD: &str = "s3cr%40t";
const SECRETS: [&str; 5] = [USER, "s3cr", "dXMtZXI6czNjckB0", "%40t", "@t"];

fn with_credentials(url: &str) -> String {
    url.replacen("//", &format!("//{USER}:{PASSWORD}@"), 1)
}

/// Nothing of them is said or left, and they would have been found.
#[track_caller]
fn is_silent(ended: &Ended) {
    assert!(!ended.log.is_empty());
    for secret in SECRETS {
        assert!(!ended.log.contains(secret) && !ended.left.contains(secret), "{secret}: {}", ended.log);
    }
}

fn authorization(api: &Api) -> Option<String> {
    let received = api.requests().into_iter().next()?;
    received.headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, v)| v)
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let api = Api::start(model(), Script::new());
    let ended = Recovery::through(&with_credentials(&api.url())).end();
    ended.done();
    is_silent(&ended);
    assert_eq!(authorization(&api).unwrap(), "Basic dXMtZXI6czNjckB0");
}

#[test]
fn no_error_shows_credentials() {
    let redirect = |status, to: &str| Step::reply(status, "text/html", "").header("Location", to);
    let scripts = [
        (Script::new().status([Step::proxy_error(401)]), API_NOT_OK),
        (Script::new().status([redirect(302, &with_credentials("http://127.0.0.1:1/x"))]), API_NOT_OK),
        (Script::new().status([Step::raw("garbage").forever()]), API_NOT_OK),
        (Script::new().create([redirect(307, &with_credentials("http://127.0.0.1:1/x"))]), WRONG),
        (Script::new().create([Step::proxy_error(403)]), WRONG),
    ];
    check_rows(scripts, |(script, status)| {
        let api = Api::start(model(), script);
        let ended = Recovery::through(&with_credentials(&api.url())).arg("--max-outage=0").end();
        ended.expect(status);
        is_silent(&ended);
        assert!(authorization(&api).is_some());
    });
}

#[test]
fn the_state_directory_holds_no_credentials() {
    let (node, api) = (Node::new(), Api::start(model().stop_behind(Part::Half), Script::new()));
    let ended = node.spawn(node.command(&with_credentials(&api.url()), &[])).end();
    ended.expect(1);
    is_silent(&ended);
    assert!(ended.left.contains(&api.url()), "the note of the run: {}", ended.left);
}

#[test]
fn no_error_of_the_way_to_the_api_shows_credentials() {
    let tls = tls_api(&server());
    check_rows(["http://127.0.0.1:1", "http://nowhere.invalid", "https://127.0.0.1:1", &tls.url()], |url| {
        let ended = Recovery::through(&with_credentials(url)).end();
        ended.fails(API_NOT_OK, "");
        is_silent(&ended);
    });
    for url in [
        "http://us-er:s3cr%40t@127.0.0.1:99999",
        "http://us-er:s3cr%40t@",
        "http://us-er:s3cr%40t@h?query",
        "http://us-er:s3cr/@t@h",
        "http://us-er:7/s3cr@h",
        "http://us-er:7#s3cr@h",
        "http://us-er:s3cr %40t@h",
        "ftp://us-er:s3cr%40t@h",
        "us-er:s3cr%40t@h",
        "http://us-er:s3cr%ff@h",
    ] {
        for option in ["--api-url", "--proxy"] {
            let ended = Recovery::through("http://127.0.0.1:1").args([option, url]).end();
            ended.is_refused(&[option]);
            is_silent(&ended);
        }
    }
    let help = Recovery::through(&with_credentials("http://127.0.0.1:1")).arg("--help");
    is_silent(&help.env("BARMAN_RECOVER_API_URL", &with_credentials("http://127.0.0.1:1")).end());
    is_silent(
        &Recovery::through(&with_credentials("http://127.0.0.1:1")).arg("--cert-file=/nonexistent").end(),
    );
}

#[test]
fn a_proxys_credentials_are_sent_to_it_alone_and_never_shown() {
    let api = Api::start(model(), Script::new());
    check_rows([("200 OK", 0), ("407 No", API_NOT_OK), ("502 No", API_NOT_OK)], |(answer, status)| {
        let proxy = Proxy::start(answer);
        let ended = Recovery::through(&api.url()).arg(with_credentials(&proxy.option())).end();
        ended.expect(status);
        is_silent(&ended);
        assert!(proxy.heads()[0].contains("Proxy-Authorization: Basic dXMtZXI6czNjckB0\r\n"));
    });
    assert!(api.requests().iter().all(|r| !format!("{:?}", r.headers).contains("uthorization")));
    let refused = Recovery::through(&api.url()).arg(with_credentials("--proxy=http://127.0.0.1:1")).end();
    refused.fails(API_NOT_OK, "(through the proxy 127.0.0.1:1): connection refused");
    is_silent(&refused);
}
