//! The stand-in's model is the real API: the same request in the same state gives the recorded reply.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use standin::client::{create, get, recovery};
use standin::{Api, Kind, Model, RECORDINGS, Script, Status, operation_id};

use crate::{BACKUP, ask, created_id};

/// The request that the recording answers, as it was made; None: the model never answers so.
fn recorded_request(name: &str) -> Option<Vec<u8>> {
    let body = r#""remote_ssh_command":"ssh node","destination_directory":"/data""#;
    Some(match name {
        "create-recovery" | "create-recovery-bad-ssh" | "create-recovery-same-second" => {
            recovery("ssh node", "/data")
        }
        "create-unknown-backup" => create("pg", &format!(r#"{{"backup_id":"20200101T000000",{body}}}"#)),
        "create-unknown-server" => create("nope", &format!(r#"{{"backup_id":"latest",{body}}}"#)),
        "create-missing-argument" => {
            create("pg", r#"{"backup_id":"latest","destination_directory":"/data"}"#)
        }
        "create-unknown-type" => create("pg", r#"{"type":"nope"}"#),
        "create-malformed-json" => create("pg", "{nope"),
        "create-config-switch" => create("pg", r#"{"type":"config_switch","model_name":"m"}"#),
        "create-config-switch-reset" => create("pg", r#"{"type":"config_switch","reset":true}"#),
        "create-config-switch-both" => {
            create("pg", r#"{"type":"config_switch","model_name":"m","reset":true}"#)
        }
        "method-not-allowed" => b"DELETE /servers/pg/operations HTTP/1.1\r\nHost: api\r\n\r\n".to_vec(),
        "operation-done" => get("/servers/pg/operations/20261122T101942"),
        "operation-failed" => get("/servers/pg/operations/20261122T102258"),
        "operation-in-progress" => get("/servers/pg/operations/20261122T102257"),
        "operation-unknown-id" => get("/servers/pg/operations/20200101T000000"),
        "operation-unknown-server" => get("/servers/nope/operations/20261122T101942"),
        "operations-list-unknown-server" => get("/servers/nope/operations"),
        "operations-list" => get("/servers/pg/operations"),
        "status" => get("/status"),
        "unknown-path" => get("/nope"),
        _ => return None,
    })
}

/// The state of the model in which the request was made.
fn recorded_state(name: &str) -> Model {
    let first = Model::new().server("pg").backup(BACKUP).existing(BACKUP, Kind::Recovery, Status::Done);
    match name {
        "operation-failed" => first.existing("20261122T102258", Kind::Recovery, Status::Failed),
        "operation-in-progress" => first.existing("20261122T102257", Kind::Recovery, Status::InProgress),
        // Whichever second it is when the request arrives, its id is taken.
        "create-recovery-same-second" => (0..60).fold(first, |model, ahead| {
            let at = SystemTime::now() + Duration::from_secs(ahead);
            model.existing(&operation_id(at), Kind::Recovery, Status::InProgress)
        }),
        _ => first,
    }
}

/// Blanks what differs from one moment to the next: the date, and the id of a new operation.
fn timeless(name: &str, reply: &str) -> String {
    let date = reply.split("\r\n").find(|line| line.starts_with("Date: ")).unwrap();
    let reply = reply.replace(date, "Date: -");
    if reply.contains("202 ACCEPTED") { reply.replace(&created_id(&reply), name) } else { reply }
}

#[test]
fn the_model_answers_every_recorded_request_as_recorded() {
    let mut never = Vec::new();
    for (name, recorded) in RECORDINGS {
        let Some(request) = recorded_request(name) else {
            never.push(*name);
            continue;
        };
        let api = Api::start(recorded_state(name), Script::new());
        let recorded = std::str::from_utf8(recorded).unwrap();
        assert_eq!(timeless(name, &ask(api.address(), &request)), timeless(name, recorded), "{name}");
    }
    // Requests that the program never makes; what goes on in a worker; and more than the model plays.
    let expected = [
        "create-empty-object",
        "create-gunicorn-500",
        "create-missing-backup-id",
        "create-no-content-type",
        "diagnose",
    ];
    assert_eq!(never, expected);
}

#[test]
fn every_recording_in_the_folder_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = files.filter(|name| name.split_once('.').is_some_and(|(_, kind)| kind == "http"));
    let compiled = RECORDINGS.iter().map(|(name, _)| format!("{name}.http")).collect::<BTreeSet<_>>();
    assert_eq!(files.collect::<BTreeSet<_>>(), compiled);
}
