//! Each fault that a script can name, as a client sees it on the wire.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use standin::client::{exchange, get, recovery};
use standin::{Api, At, Endless, Foreign, Model, Script, Stage, Step};

use crate::{ask, created_id, poll};

fn start(script: Script) -> Api {
    Api::start(Model::new().server("pg").backup("20261122T101942").unique_ids(), script)
}

/// What `GET /status` gets, and whether its end is a RST.
fn status_with(script: Script) -> (String, bool) {
    let api = start(script);
    let (reply, end) = exchange(api.address(), &get("/status"));
    let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    let reset = end.is_err_and(|error| reset.contains(&error.kind()));
    (String::from_utf8_lossy(&reply).into_owned(), reset)
}

#[test]
fn steps_are_taken_in_turn_then_those_of_any_then_the_model() {
    let script = Script::new()
        .status([Step::proxy_error(503).times(2), Step::recording("operation-failed")])
        .any([Step::reply(401, "text/plain", "who?").header("WWW-Authenticate", "Basic")]);
    let api = start(script);
    let replies = [(); 5].map(|()| ask(&api, &get("/status")));
    let lines = replies.each_ref().map(|reply| reply.lines().next().unwrap());
    let expected =
        ["503 SERVICE UNAVAILABLE", "503 SERVICE UNAVAILABLE", "200 OK", "401 UNAUTHORIZED", "200 OK"];
    assert_eq!(lines, expected.map(|line| format!("HTTP/1.1 {line}")));
    assert!(replies[2].contains("FAILED"));
    assert!(replies[3].contains("WWW-Authenticate: Basic\r\n") && replies[3].ends_with("who?"));
    assert!(replies[4].ends_with("\"OK\""));
    let api = start(Script::new().status([Step::proxy_error(502).forever()]));
    assert!((0..10).all(|_| ask(&api, &get("/status")).starts_with("HTTP/1.1 502 BAD GATEWAY")));
}

#[test]
fn a_lost_or_faulty_reply_says_nothing_about_the_create() {
    let cases = [
        (Step::model(), 1),
        (Step::model().apply(false), 0),
        (Step::model().reset(At::Request), 1),
        (Step::model().reset(At::Request).apply(false), 0),
        (Step::model().close(At::Request), 1),
        (Step::model().reset(At::Head), 0),
        (Step::model().cut(9), 1),
        (Step::model().hang_ms(0), 1),
        (Step::proxy_error(502), 0),
        (Step::proxy_error(502).apply(true), 1),
        (Step::recording("create-unknown-backup"), 0),
        (Step::raw("nonsense").apply(true), 1),
    ];
    for (step, applied) in cases {
        let shown = format!("{step:?}");
        let api = start(Script::new().create([step]));
        let _ = exchange(api.address(), &recovery("/data"));
        assert_eq!((api.applied(), api.operations().len()), (applied, applied), "{shown}");
    }
}

#[test]
fn a_connection_ends_where_and_how_the_script_says() {
    let step = Step::model;
    let at = |step| Script::new().status([step]);
    for (script, reply, is_reset) in [
        (at(step().reset(At::Head)), "", true),
        (at(step().reset(At::Request)), "", true),
        (at(step().cut(20).reset(At::Reply)), "HTTP/1.1 200 OK\r\nSer", true),
        (Script::new().connect([step().reset(At::Head)]), "", true),
        (at(step().close(At::Head)), "", false),
        (at(step().close(At::Request)), "", false),
        (at(step().cut(12)), "HTTP/1.1 200", false),
        (Script::new().connect([step().close(At::Head)]), "", false),
    ] {
        let shown = format!("{script:?}");
        assert_eq!(status_with(script), (reply.to_owned(), is_reset), "{shown}");
    }
}

#[test]
fn a_reply_comes_in_the_form_that_the_script_wants() {
    for (step, begins, ends) in [
        (Step::model().flip(9, b'5'), "HTTP/1.1 500 OK\r\n", "\"OK\""),
        (Step::model().drip_ms(1), "HTTP/1.1 200 OK\r\n", "\"OK\""),
        (Step::raw([0x15, 0x03, 0x03, b'!']), "\u{15}\u{3}\u{3}!", ""),
        (Step::model().chunked(), "HTTP/1.1", "chunked\r\n\r\n2\r\n\"O\r\n2\r\nK\"\r\n0\r\n\r\n"),
        (Step::model().http10(), "HTTP/1.0 200 OK", "charset=utf-8\r\n\r\n\"OK\""),
        (Step::model().keep_alive(), "HTTP/1.1 200 OK", "\"OK\""),
    ] {
        let (reply, is_reset) = status_with(Script::new().status([step]));
        assert!(reply.starts_with(begins) && reply.ends_with(ends) && !is_reset, "{reply}");
    }
    for (what, marker) in [(Endless::Head, "X-Endless"), (Endless::Body, "\r\n\r\nand so on")] {
        let api = start(Script::new().status([Step::model().endless(what)]));
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.write_all(&get("/status")).unwrap();
        let mut reply = vec![0; 1 << 20];
        stream.read_exact(&mut reply).unwrap();
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.contains(marker), "{what:?}");
        assert_eq!(reply.contains("\r\n\r\n"), what == Endless::Body, "only the head has no end");
    }
}

#[test]
fn a_held_reply_waits_for_its_release_while_its_operation_runs() {
    let api = start(Script::new().create([Step::model().hold()]));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| ask(&api, &recovery("/data")));
        api.wait("the create", |api| api.applied() == 1);
        assert_eq!(api.requests()[0].status, None, "nothing was sent yet");
        api.release();
        assert!(client.join().unwrap().contains(" 202 ACCEPTED"));
    });
}

#[test]
fn dropping_the_api_ends_silence_at_once() {
    let silence = || Step::model().hang_ms(u64::MAX);
    let script = Script::new().status([silence()]).connect([Step::model(), silence(), Step::model()]);
    let api = start(script);
    let mut streams = [(); 3].map(|()| TcpStream::connect(api.address()).unwrap());
    streams[0].write_all(&get("/status")).unwrap();
    api.wait("all of them", |api| api.connections() == 3 && api.count(Stage::Status) == 1);
    drop(api);
    for mut stream in streams {
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}

#[test]
fn a_restart_of_the_api_ends_connections_but_not_operations() {
    let model = Model::new().server("pg").backup("20261122T101942").stuck();
    let api = Api::start(model, Script::new().status([Step::model().hold()]));
    let id = created_id(&ask(&api, &recovery("/data")));
    let mut held = TcpStream::connect(api.address()).unwrap();
    held.write_all(&get("/status")).unwrap();
    api.wait("the request", |api| api.count(Stage::Status) == 1);
    api.go_down();
    assert_eq!(held.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(TcpStream::connect(api.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    api.come_up();
    assert_eq!(poll(&api, &id), "IN_PROGRESS");
}

#[test]
fn the_journal_holds_what_came_as_far_as_it_came() {
    let api = start(Script::new());
    let request = recovery("/data");
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.write_all(&request[..request.len() - 1]).unwrap();
    drop(stream);
    api.wait("the create", |api| api.requests().first().is_some_and(|received| !received.body.is_empty()));
    assert_eq!((api.requests()[0].complete, api.creates(), api.applied()), (false, 0, 0));
    let id = created_id(&ask(&api, &request));
    let received = api.requests().remove(1);
    assert_eq!((received.stage, received.method.as_str(), received.complete), (Stage::Create, "POST", true));
    assert_eq!(received.path, "/servers/pg/operations");
    assert!(received.headers.contains(&("Content-Type".to_owned(), "application/json".to_owned())));
    assert!(received.body.contains(r#""backup_id":"latest""#));
    assert_eq!((received.status, received.created), (Some(202), Some(id)));
}

#[test]
fn a_script_in_json_says_the_same() {
    let json = r#"{
        "create": [{"status": 502, "headers": {"Retry-After": "1"}, "body": "x", "apply": true, "times": 2}],
        "poll": [{"recording": "operation-failed"}, {"raw": "\u0015\u00ff"}, {"reset": "request", "forever": true}],
        "foreign": [{"id": "20261122T111111", "duration_ms": 0, "status": "FAILED"}]
    }"#;
    let api = start(Script::from_json(json).unwrap());
    let bad_gateway = ask(&api, &recovery("/data"));
    assert!(bad_gateway.starts_with("HTTP/1.1 502 ") && bad_gateway.contains("Retry-After: 1\r\n"));
    assert_eq!((api.applied(), api.operations()[0].id.as_str()), (1, "20261122T111111"));
    assert_eq!(poll(&api, "20261122T111111"), "FAILED");
    assert_eq!(exchange(api.address(), &get("/servers/pg/operations/1")).0, [0x15, 0xff]);
    assert!(exchange(api.address(), &get("/servers/pg/operations/1")).1.is_err());
    for wrong in [r#"{"crate": []}"#, r#"{"poll": [{"delay": 1}]}"#, r#"{"poll": [{"recording": "nope"}]}"#] {
        assert!(Script::from_json(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_reserved_paths_show_and_steer() {
    let foreign = Foreign { id: Some("20261122T111111".to_owned()), ..Foreign::default() };
    let api = start(Script::new().foreign(foreign));
    let send = |path: &str, body: &str| {
        ask(&api, &standin::client::request("POST", &format!("/_standin/{path}"), "", body))
    };
    assert!(send("script", r#"{"status": [{"status": 503}]}"#).contains(" 200 "));
    assert!(ask(&api, &get("/status")).contains(" 503 "));
    assert!(send("script", "nope").contains(" 400 "));
    assert!(send("operation/20261122T111111", r#"{"status": "FAILED"}"#).contains(r#"{"ended":true}"#));
    assert_eq!(poll(&api, "20261122T111111"), "FAILED");
    let _ = ask(&api, &recovery("/data"));
    let journal = ask(&api, &get("/_standin/journal"));
    let journal: serde_json::Value = serde_json::from_str(journal.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&journal["creates"], &journal["applied"]), (&1.into(), &1.into()));
    assert_eq!(journal["max_parallel"]["/data"], 1);
    assert_eq!(journal["requests"].as_array().unwrap().len(), 3);
}
