//! Each fault that a script can name, as a client sees it on the wire, and whether the create took effect.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use standin::client::{exchange, get, recovery};
use standin::{Api, At, Form, Model, Script, Step};

use crate::{BACKUP, ask};

fn start(script: Script) -> Api {
    Api::start(Model::new().server("pg").backup(BACKUP).unique_ids(), script)
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
        let _ = exchange(api.address(), &recovery("ssh node", "/data"));
        assert_eq!((api.applied(), api.operations().len()), (applied, applied), "{shown}");
    }
}

#[test]
fn each_fault_is_on_the_wire_what_it_says() {
    let at = |step| Script::new().status([step]);
    let connect = |step| Script::new().connect([step]);
    let step = Step::model;
    for (script, begins, ends, is_reset) in [
        (at(step().reset(At::Head)), "", "", true),
        (at(step().reset(At::Request)), "", "", true),
        (at(step().cut(20).reset(At::Reply)), "HTTP/1.1 200 OK", "\nSer", true),
        (connect(step().reset(At::Head)), "", "", true),
        (at(step().close(At::Head)), "", "", false),
        (at(step().close(At::Request)), "", "", false),
        (at(step().cut(12)), "HTTP/1.1 200", " 200", false),
        (connect(step().close(At::Head)), "", "", false),
        (at(step().flip(9, b'5')), "HTTP/1.1 500 OK\r\n", "\"OK\"", false),
        (at(step().drip_ms(1)), "HTTP/1.1 200 OK\r\n", "\"OK\"", false),
        (at(Step::raw([0x15, 0x03, 0x03, b'!'])), "\u{15}\u{3}\u{3}!", "!", false),
        (
            at(step().form(Form::Chunked)),
            "HTTP/1.1",
            "chunked\r\n\r\n2\r\n\"O\r\n2\r\nK\"\r\n0\r\n\r\n",
            false,
        ),
        (at(step().form(Form::Http10)), "HTTP/1.0 200 OK", "charset=utf-8\r\n\r\n\"OK\"", false),
        (at(step().form(Form::KeepAlive)), "HTTP/1.1 200 OK", "\"OK\"", false),
    ] {
        let shown = format!("{script:?}");
        let (reply, end) = exchange(start(script).address(), &get("/status"));
        let reply = String::from_utf8_lossy(&reply);
        let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert_eq!(end.is_err_and(|error| reset.contains(&error.kind())), is_reset, "{shown}");
        assert!(reply.starts_with(begins) && reply.ends_with(ends), "{shown}: {reply}");
        assert_eq!(reply.is_empty(), begins.is_empty(), "{shown}: {reply}");
    }
    for (what, marker) in [(Form::EndlessHead, "X-Endless"), (Form::EndlessBody, "\r\n\r\nand so on")] {
        let api = start(at(step().form(what)));
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.write_all(&get("/status")).unwrap();
        let mut reply = vec![0; 1 << 20];
        stream.read_exact(&mut reply).unwrap();
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.contains(marker), "{what:?}");
        assert_eq!(reply.contains("\r\n\r\n"), what == Form::EndlessBody, "only the head has no end");
    }
}

#[test]
fn steps_are_taken_in_turn_then_those_of_any_then_the_model_and_json_says_the_same() {
    let in_rust = Script::new()
        .status([Step::proxy_error(503).times(2), Step::recording("operation-failed")])
        .any([Step::reply(401, "text/plain", "who?").header("WWW-Authenticate", "Basic")]);
    let in_json = r#"{
        "status": [{"status": 503, "times": 2}, {"recording": "operation-failed"}],
        "any": [{"status": 401, "headers": {"WWW-Authenticate": "Basic"}, "body": "who?"}]
    }"#;
    for script in [in_rust, Script::from_json(in_json).unwrap()] {
        let api = start(script);
        let replies = [(); 5].map(|()| ask(api.address(), &get("/status")));
        let codes = replies.each_ref().map(|reply| reply[9..12].to_owned());
        assert_eq!(codes, ["503", "503", "200", "401", "200"]);
        assert!(replies[3].contains("WWW-Authenticate: Basic\r\n") && replies[3].ends_with("who?"));
        assert!(replies[2].contains("FAILED") && replies[4].ends_with("\"OK\""));
    }
    for wrong in [r#"{"crate": []}"#, r#"{"poll": [{"delay": 1}]}"#, r#"{"poll": [{"recording": "nope"}]}"#] {
        assert!(Script::from_json(wrong).is_err(), "{wrong}");
    }
}
