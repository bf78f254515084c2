//! The stand-in's model is the real API: the same request in the same state gives the recorded reply.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use standin::client::{get, post, recovery, request};
use standin::{Api, Foreign, Model, RECORDINGS, Script, Status, operation_id};
use tempfile::tempdir;

use crate::{ask, created_id, outcome, poll, within};

const KNOWN: &str = "20261122T101942";

fn pg() -> Model {
    Model::new().server("pg").backup(KNOWN)
}

/// The request that the recording answers, as it was made.
fn recorded_request(name: &str) -> Vec<u8> {
    let body = r#""remote_ssh_command":"ssh node","destination_directory":"/data""#;
    let create = |rest: &str| post(&format!("{{\"type\":\"recovery\",{rest}}}"));
    match name {
        "create-recovery" | "create-recovery-bad-ssh" | "create-recovery-same-second" => recovery("/data"),
        "create-unknown-backup" => create(&format!(r#""backup_id":"20200101T000000",{body}"#)),
        "create-missing-backup-id" => create(body),
        "create-missing-argument" => create(r#""backup_id":"latest","destination_directory":"/data""#),
        "create-unknown-server" => request(
            "POST",
            "/servers/nope/operations",
            "Content-Type: application/json\r\n",
            &format!(r#"{{"backup_id":"latest",{body}}}"#),
        ),
        "create-unknown-type" => post(r#"{"type":"nope"}"#),
        "create-empty-object" => post("{}"),
        "create-malformed-json" => post("{nope"),
        "create-no-content-type" => request("POST", "/servers/pg/operations", "", "{}"),
        "create-config-switch" => post(r#"{"type":"config_switch","model_name":"m"}"#),
        "create-config-switch-reset" => post(r#"{"type":"config_switch","reset":true}"#),
        "create-config-switch-both" => post(r#"{"type":"config_switch","model_name":"m","reset":true}"#),
        "method-not-allowed" => request("DELETE", "/servers/pg/operations", "", ""),
        "operation-done" => get("/servers/pg/operations/20261122T101942"),
        "operation-failed" => get("/servers/pg/operations/20261122T102258"),
        "operation-in-progress" => get("/servers/pg/operations/20261122T102257"),
        "operation-unknown-id" => get("/servers/pg/operations/20200101T000000"),
        "operation-unknown-server" => get("/servers/nope/operations/20261122T101942"),
        "operations-list-unknown-server" => get("/servers/nope/operations"),
        "operations-list" => get("/servers/pg/operations"),
        "status" => get("/status"),
        "unknown-path" => get("/nope"),
        other => panic!("say which request the recording {other} answers"),
    }
}

/// The state of the model in which the request was made.
fn recorded_state(name: &str) -> Model {
    let operation = |id: &str, duration_ms, status| Foreign {
        id: Some(id.to_owned()),
        duration_ms,
        status: Some(status),
        ..Foreign::default()
    };
    let first = pg().existing(operation(KNOWN, Some(0), Status::Done));
    match name {
        "operation-failed" => first.existing(operation("20261122T102258", Some(0), Status::Failed)),
        "operation-in-progress" => first.existing(operation("20261122T102257", None, Status::Done)),
        // Whichever second it is when the request arrives, its id is taken.
        "create-recovery-same-second" => (0..60).fold(first, |model, ahead| {
            let at = std::time::SystemTime::now() + Duration::from_secs(ahead);
            model.existing(operation(&operation_id(at), None, Status::Done))
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

/// Of all that the real API diagnoses, the model plays the backups; and no worker of it is killed.
const NOT_MODELLED: [&str; 2] = ["diagnose", "create-gunicorn-500"];

#[test]
fn the_model_answers_every_recorded_request_as_recorded() {
    for (name, recorded) in RECORDINGS.iter().filter(|(name, _)| !NOT_MODELLED.contains(name)) {
        let api = Api::start(recorded_state(name), Script::new());
        let reply = ask(&api, &recorded_request(name));
        let recorded = std::str::from_utf8(recorded).unwrap();
        assert_eq!(timeless(name, &reply), timeless(name, recorded), "{name}");
    }
}

#[test]
fn every_recording_in_the_folder_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = files.filter(|name| name.split_once('.').is_some_and(|(_, kind)| kind == "http"));
    let compiled = RECORDINGS.iter().map(|(name, _)| format!("{name}.http")).collect::<BTreeSet<_>>();
    assert_eq!(files.collect::<BTreeSet<_>>(), compiled);
}

#[test]
fn of_creates_at_once_only_one_takes_effect_per_second() {
    let api = Api::start(pg().duration_ms(60_000), Script::new());
    let replies = thread::scope(|scope| {
        let nodes = (0..8).map(|_| scope.spawn(|| ask(&api, &recovery("/data")))).collect::<Vec<_>>();
        nodes.into_iter().map(|node| node.join().unwrap()).collect::<Vec<_>>()
    });
    let ids = replies.iter().filter(|r| r.contains(" 202 ")).map(|r| created_id(r)).collect::<Vec<_>>();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id was given twice");
    assert!(replies.iter().all(|reply| reply.contains(" 202 ") || reply.contains(" 500 ")));
    assert_eq!((api.creates(), api.applied()), (8, ids.len()));
    assert_eq!(api.max_parallel("/data"), ids.len());
}

#[test]
fn in_a_race_two_creates_share_an_id_and_the_last_destination_wins() {
    let scratch = tempdir().unwrap();
    // With a second or more, two creates of one second always pass the check together.
    let api = Api::start(pg().fill().race_ms(1000), Script::new());
    let race = |attempt: usize| {
        let destinations = ["a", "b"].map(|name| within(&scratch, &format!("{name}{attempt}")));
        let ids = thread::scope(|scope| {
            let nodes =
                destinations.each_ref().map(|to| scope.spawn(|| created_id(&ask(&api, &recovery(to)))));
            nodes.map(|node| node.join().unwrap())
        });
        (destinations, ids)
    };
    // Those that a new second has parted are no race.
    let (destinations, [id, _]) = (0..20).map(race).find(|(_, ids)| ids[0] == ids[1]).unwrap();
    assert_eq!(outcome(&api, &id), "DONE");
    let filled = destinations.map(|to| Path::new(&to).join("global/pg_control").exists());
    assert!(filled[0] != filled[1], "one node got DONE and has no data: {filled:?}");
}

#[test]
fn operations_take_their_own_results_and_a_stuck_one_ends_only_by_hand() {
    let model = pg().unique_ids().result(Status::Failed).next_operation().result(Status::Done).stuck();
    let api = Api::start(model, Script::new());
    let ids = [(); 2].map(|()| created_id(&ask(&api, &recovery("/data"))));
    assert_eq!(ids.clone().map(|id| poll(&api, &id)), ["FAILED", "IN_PROGRESS"]);
    assert!(api.finish(&ids[1], Status::Done));
    assert_eq!(poll(&api, &ids[1]), "DONE");
    assert!(!api.finish(&ids[1], Status::Failed), "it had ended");
}

#[test]
fn paths_are_decoded_and_an_encoded_slash_is_no_server_name() {
    let api = Api::start(Model::new().server("pg main"), Script::new());
    assert!(ask(&api, &get("/servers/pg%20main/operations")).contains(r#"{"operations":[]}"#));
    assert!(ask(&api, &get("/servers/pg%2Fmain/operations")).contains("The requested URL was not found"));
    assert!(ask(&api, &get("/servers/%C3%A4/operations")).contains(r"No barman config found for '\u00e4'."));
}

#[test]
fn diagnose_names_the_size_of_each_backup() {
    let api = Api::start(pg().files(1).bytes(4096), Script::new());
    let reply = ask(&api, &get("/diagnose"));
    let found: serde_json::Value = serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(found["servers"]["pg"]["backups"][KNOWN]["size"], 4096);
}
