//! The program on the network below HTTP's meaning: redirects, the forms of a reply, its size, paths, names and
//! addresses. Proxies and secrets are `proxy.rs`.

use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::{io, thread};

use crate::net::{Recovery, model};
use crate::support::node::{API_NOT_OK, WRONG};
use crate::support::table::check_rows;
use standin::{Api, At, Form, Script, Stage, Step};

fn api(script: Script) -> Api {
    Api::start(model(), script)
}

fn to(status: u16, location: &str) -> Step {
    Step::reply(status, "text/html", "").header("Location", location)
}

/// Passes bytes on between a client and an address, both ways, until both have ended.
pub fn relay(client: &TcpStream, address: SocketAddr) {
    let server = TcpStream::connect(address).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// A reply by hand, whole.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

// Redirects

/// A create that was sent on would lose its body, or be sent twice; and a question that was would only fail later.
#[test]
fn no_request_is_redirected() {
    type Redirected = fn(Script, Step) -> Script;
    let requests: [(Redirected, i32, usize); 2] =
        [(|script, to| script.status([to]), API_NOT_OK, 0), (|script, to| script.create([to]), WRONG, 1)];
    check_rows(requests, |(redirected, code, creates)| {
        for status in [301, 302, 303, 307, 308] {
            let there = api(Script::new());
            let here = api(redirected(Script::new(), to(status, &format!("{}/moved?x=1", there.url()))));
            let ended = Recovery::through(&here.url()).end();
            ended.fails(code, &format!("HTTP {status}: the API has moved to {}/moved?x=1", there.url()));
            assert!(ended.log.contains("--api-url"), "{}", ended.log);
            assert_eq!((here.creates(), there.connections()), (creates, 0), "{status}");
        }
    });
}

#[test]
fn a_redirect_without_a_whole_url_is_named_in_the_servers_words() {
    let moved = Step::reply(302, "text/html", "<p>found elsewhere</p>").header("Location", "/login");
    let here = api(Script::new().status([moved]));
    Recovery::through(&here.url()).end().fails(API_NOT_OK, "HTTP 302: found elsewhere");
}

// The forms of a reply

#[test]
fn every_form_of_a_reply_is_understood() {
    let forms = [
        Step::model().form(Form::Chunked),
        Step::model().form(Form::Http10),
        Step::model().form(Form::KeepAlive),
        Step::model().drip_ms(1),
        Step::model().delay_ms(1).reset(At::Reply),
    ];
    for form in forms {
        let api = api(Script::new().any([form.clone().forever()]));
        let ended = Recovery::through(&api.url()).end();
        ended.done();
        assert_eq!((api.creates(), ended.warnings()), (1, 0), "{form:?} {}", ended.log);
        assert_eq!(api.connections(), api.requests().len() as u64, "a connection for each request");
    }
}

#[test]
fn odd_replies_with_the_right_meaning_are_understood() {
    let odd = [
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &ok("\"OK\""),
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n".to_owned() + &ok("\"OK\""),
        "HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\n\"OK\"".into(),
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\"OK\"".into(),
        "HTTP/1.0 200 OK\r\n\r\n \"OK\"\n".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n\"\r\n3\r\nOK\"\r\n0\r\nTrailer: x\r\n\r\n".into(),
        ok("\"OK\"") + "and more than was said",
    ];
    for raw in odd {
        let api = api(Script::new().status([Step::raw(raw.clone())]));
        let ended = Recovery::through(&api.url()).end();
        ended.done();
        assert_eq!(ended.warnings(), 0, "{raw} {}", ended.log);
    }
}

#[test]
fn replies_that_are_none_are_asked_for_again() {
    let flood = format!("HTTP/1.1 200 OK\r\n{}\r\n\"OK\"", "X-Flood: 1\r\n".repeat(10_000));
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n\"OK\"", "x".repeat(1 << 20));
    let none = [
        Step::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\"OK\""),
        Step::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n\"OK\""),
        Step::raw("SSH-2.0-OpenSSH_9.2p1\r\n"),
        Step::raw("HTTP/2 200\r\n\r\n"),
        Step::raw(""),
        Step::raw(flood),
        Step::raw(long),
    ];
    for step in none {
        let api = api(Script::new().status([step.clone()]));
        let ended = Recovery::through(&api.url()).end();
        ended.done();
        let step = format!("{step:?}").chars().take(300).collect::<String>();
        assert_eq!((api.count(Stage::Status), ended.warnings()), (2, 1), "{step} {}", ended.log);
    }
}

/// A server that answers from the head alone and closes: its words are read though the body meets a reset.
#[test]
fn an_early_refusal_of_a_create_is_heard() {
    let page = "HTTP/1.1 401 UNAUTHORIZED\r\nContent-Length: 2\r\n\r\n{}";
    let api = api(Script::new().create([Step::raw(page).reset(At::Reply)]));
    Recovery::through(&api.url()).end().fails(WRONG, "HTTP 401");
    assert_eq!(api.creates(), 1);
}

// Size

/// A JSON object of this many bytes.
fn padded(object: &str, bytes: usize) -> String {
    let (head, tail) = ("{\"padding\":\"".to_owned(), format!("\",{}", &object[1..]));
    let padding = "x".repeat(bytes - head.len() - tail.len());
    head + &padding + &tail
}

#[test]
fn bodies_count_up_to_their_limit() {
    let json = |body: String| Step::reply(200, "application/json", &body);
    let done = r#"{"operation_id":"a","status":"DONE"}"#;
    let none = r#"{"operations":[]}"#;
    let (small, large) = (1 << 20, 8 << 20);
    check_rows([(0, 0), (1, 3)], |(more, warnings)| {
        // The list is asked for twice. By the time of the poll the restore has ended.
        let script = Script::new().list([json(padded(none, large + more)).times(2)]);
        let api = api(script.poll([json(padded(done, small + more)).delay_ms(500)]));
        let ended = Recovery::through(&api.url()).end();
        ended.done();
        let logged = ended.log.matches("longer than").count();
        assert_eq!((logged, ended.warnings()), (warnings, warnings), "{}", ended.log);
    });
}

#[test]
fn deep_json_is_refused() {
    let deep = "[".repeat(500_000);
    let api = api(Script::new().status([Step::raw(ok(&deep))]).list([Step::raw(ok(&deep)).times(2)]));
    let ended = Recovery::through(&api.url()).end();
    ended.done();
    assert_eq!(ended.warnings(), 3, "{}", ended.log);
}

// Paths

#[test]
fn a_name_is_one_segment_whatever_its_characters() {
    let cases = [
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("ä", "%C3%A4"),
        ("a b", "a%20b"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("%2F", "%252F"),
        ("a\\b", "a%5Cb"),
        ("a&b=c+d;e", "a%26b%3Dc%2Bd%3Be"),
    ];
    check_rows(cases, |(name, segment)| {
        let answers = [
            r#""OK""#,
            r#"{"operations":[]}"#,
            r#"{"operation_id":"x"}"#,
            r#"{"operation_id":"x","status":"DONE"}"#,
        ];
        let api = api(Script::new().any(answers.map(|body| Step::reply(200, "application/json", body))));
        let run = Recovery::through(&format!("{}/pre/fix/", api.url()));
        let ended = run.args(["--barman-server", name]).end();
        let paths: Vec<String> = api.requests().into_iter().map(|received| received.path).collect();
        let list = format!("/pre/fix/servers/{segment}/operations");
        let poll = format!("{list}/x");
        assert_eq!(paths, ["/pre/fix/status", &list, &list, &poll], "{name}: {}", ended.log);
    });
}

// Names and addresses

#[test]
fn an_ipv6_address_works() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let api = Api::start_on("[::1]:0", model(), Script::new(), None).unwrap();
    Recovery::through(&api.url()).end().done();
    let host = api.requests()[0].headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).cloned();
    assert_eq!(host.unwrap().1, format!("[::1]:{}", api.address().port()));
}

#[test]
fn a_name_is_looked_up() {
    let api = api(Script::new());
    Recovery::through(&api.url().replace("127.0.0.1", "LocalHost")).end().done();
}

#[test]
fn an_unknown_name_is_reported_after_the_retries() {
    let ended = Recovery::through("http://nowhere.invalid:7480").end();
    ended.fails(API_NOT_OK, "the host name ");
    assert_eq!(ended.warnings(), 1, "{}", ended.log);
    assert!(ended.log.contains("(2 tries)"), "{}", ended.log);
}

#[test]
fn a_port_where_nothing_listens_is_reported_after_the_retries() {
    let ended = Recovery::through("http://127.0.0.1:1").end();
    ended.fails(API_NOT_OK, "connection refused");
    assert_eq!(ended.warnings(), 1, "{}", ended.log);
}
