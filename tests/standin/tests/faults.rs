//! Each fault that a script can name, as a client sees it on the wire.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use standin::client::{exchange, get, recovery};
use standin::{Api, At, Endless, Foreign, Model, Script, Stage, Step};
use tempfile::tempdir;

use crate::{ask, created_id, poll, within};

fn start(script: Script) -> Api {
    Api::start(Model::new().server("pg").backup("20261122T101942").unique_ids(), script)
}

/// What `GET /status` gets.
fn status_with(step: Step) -> (String, std::io::Result<()>) {
    let api = start(Script::new().status([step]));
    let (reply, end) = exchange(api.address(), &get("/status"));
    (String::from_utf8_lossy(&reply).into_owned(), end)
}

fn is_reset(end: &std::io::Result<()>) -> bool {
    end.as_ref()
        .is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

#[test]
fn steps_are_taken_in_turn_then_those_of_any_then_the_model() {
    let script = Script::new()
        .status([Step::proxy_error(503).times(2), Step::recording("operation-failed")])
        .any([Step::reply(401, "text/plain", "who?").header("WWW-Authenticate", "Basic")]);
    let api = start(script);
    let replies = [(); 5].map(|()| ask(&api, &get("/status")));
    let lines = replies.clone().map(|reply| reply.lines().next().unwrap().to_owned());
    let expected =
        ["503 SERVICE UNAVAILABLE", "503 SERVICE UNAVAILABLE", "200 OK", "401 UNAUTHORIZED", "200 OK"];
    assert_eq!(lines, expected.map(|line| format!("HTTP/1.1 {line}")));
    assert!(replies[2].contains("FAILED"));
    assert!(replies[3].contains("WWW-Authenticate: Basic\r\n") && replies[3].ends_with("who?"));
    assert!(replies[4].ends_with("\"OK\""));
}

#[test]
fn forever_never_gives_way_to_the_model() {
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
fn a_reset_is_a_reset_at_every_point() {
    for at in [At::Head, At::Request] {
        let (reply, end) = status_with(Step::model().reset(at));
        assert!(reply.is_empty() && is_reset(&end), "{at:?}: {reply} {end:?}");
    }
    let (reply, end) = status_with(Step::model().cut(20).reset(At::Reply));
    assert!(reply == "HTTP/1.1 200 OK\r\nSer" && is_reset(&end), "{reply} {end:?}");
    let api = start(Script::new().connect([Step::model().reset(At::Head)]));
    let (reply, end) = exchange(api.address(), &get("/status"));
    assert!(reply.is_empty() && is_reset(&end), "{end:?}");
    assert_eq!((api.connections(), api.requests().len()), (1, 0));
}

#[test]
fn a_close_is_an_orderly_end_without_a_reply() {
    for at in [At::Head, At::Request] {
        let (reply, end) = status_with(Step::model().close(at));
        assert!(reply.is_empty() && end.is_ok(), "{at:?}: {reply} {end:?}");
    }
    let api = start(Script::new().connect([Step::model().close(At::Head)]));
    let (reply, end) = exchange(api.address(), &get("/status"));
    assert!(reply.is_empty() && end.is_ok(), "{end:?}");
}

#[test]
fn the_bytes_of_a_reply_can_be_cut_changed_and_dripped() {
    let (reply, end) = status_with(Step::model().cut(12));
    assert!(reply == "HTTP/1.1 200" && end.is_ok(), "{reply} {end:?}");
    let (reply, _) = status_with(Step::model().flip(9, b'5'));
    assert!(reply.starts_with("HTTP/1.1 500 OK\r\n") && reply.ends_with("\"OK\""), "{reply}");
    let (reply, end) = status_with(Step::model().drip_ms(1));
    assert!(reply.ends_with("\"OK\"") && end.is_ok(), "{reply} {end:?}");
    let (reply, _) = status_with(Step::raw([0x15, 0x03, 0x03, b'!']));
    assert_eq!(reply, "\u{15}\u{3}\u{3}!");
}

#[test]
fn the_length_of_a_reply_can_be_given_in_other_ways() {
    let (reply, _) = status_with(Step::model().chunked());
    assert!(
        reply.ends_with("Transfer-Encoding: chunked\r\n\r\n2\r\n\"O\r\n2\r\nK\"\r\n0\r\n\r\n"),
        "{reply}"
    );
    let (reply, _) = status_with(Step::model().http10());
    assert!(reply.starts_with("HTTP/1.0 200 OK") && !reply.contains("Content-Length"), "{reply}");
    let (reply, end) = status_with(Step::model().keep_alive());
    assert!(reply.contains("\r\nConnection: keep-alive\r\n") && end.is_ok(), "{reply}");
}

#[test]
fn endless_replies_go_on_until_the_client_has_enough() {
    for (what, marker) in [(Endless::Head, "X-Endless"), (Endless::Body, "\r\n\r\nand so on")] {
        let api = start(Script::new().status([Step::model().endless(what)]));
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.write_all(&get("/status")).unwrap();
        let mut reply = vec![0; 1 << 20];
        stream.read_exact(&mut reply).unwrap();
        assert!(String::from_utf8_lossy(&reply).contains(marker), "{what:?}");
        if what == Endless::Head {
            assert!(!reply.windows(4).any(|four| four == b"\r\n\r\n"), "the head has an end");
        }
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
    let script = Script::new().status([Step::model().hang_ms(u64::MAX)]).connect([
        Step::model(),
        Step::model().hang_ms(u64::MAX),
        Step::model(),
    ]);
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
fn a_create_whose_body_stops_short_is_journaled_as_incomplete() {
    let api = start(Script::new());
    let mut stream = TcpStream::connect(api.address()).unwrap();
    let request = recovery("/data");
    stream.write_all(&request[..request.len() - 1]).unwrap();
    drop(stream);
    api.wait("the create", |api| api.requests().first().is_some_and(|received| !received.body.is_empty()));
    assert!(!api.requests()[0].complete);
    assert_eq!((api.creates(), api.applied()), (0, 0));
}

#[test]
fn steps_act_on_the_world_before_they_answer() {
    let scratch = tempdir().unwrap();
    let data = within(&scratch, "data");
    std::fs::create_dir(&data).unwrap();
    let other = Foreign { id: Some("20261122T111111".to_owned()), duration_ms: None, ..Foreign::default() };
    let script = Script::new().list([Step::model(), Step::model().remove_dir(&data).foreign(other)]);
    let api = start(script);
    assert!(ask(&api, &get("/servers/pg/operations")).contains(r#"{"operations":[]}"#));
    assert!(
        ask(&api, &get("/servers/pg/operations")).contains(r#"{"id":"20261122T111111","type":"recovery"}"#)
    );
    assert!(!std::path::Path::new(&data).exists());
    assert_eq!(poll(&api, "20261122T111111"), "IN_PROGRESS");
}

#[test]
fn the_journal_holds_what_came_and_what_was_answered() {
    let api = start(Script::new());
    let id = created_id(&ask(&api, &recovery("/data")));
    let received = api.requests().remove(0);
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
    assert_eq!(api.applied(), 1);
    assert_eq!(poll(&api, "20261122T111111"), "FAILED");
    assert_eq!(exchange(api.address(), &get("/servers/pg/operations/1")).0, [0x15, 0xff]);
    assert!(is_reset(&exchange(api.address(), &get("/servers/pg/operations/1")).1));
    assert_eq!(api.operations()[0].id, "20261122T111111");
    for wrong in [r#"{"crate": []}"#, r#"{"poll": [{"delay": 1}]}"#, r#"{"poll": [{"recording": "nope"}]}"#] {
        assert!(Script::from_json(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_reserved_paths_show_and_steer() {
    let api = start(
        Script::new().foreign(Foreign { id: Some("20261122T111111".to_owned()), ..Foreign::default() }),
    );
    let send = |path: &str, body: &str| {
        let length = body.len();
        ask(
            &api,
            format!("POST /_standin/{path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes(),
        )
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
