//! What the sub-commands print and how they end: for people, for programs, and for the script before Patroni's start.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::commands::{Ran, ask, run};
use crate::support::node::{Node, PROGRAM, bare};
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Part, Script, wait_until};

const BACKUP: &str = "20261122T101942";

fn model() -> Model {
    Model::new().server("main").backup(BACKUP)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[test]
fn verify_ends_with_0_for_a_complete_restore_alone() {
    let (node, api) = (Node::new(), Api::start(model().fill(), Script::new()));
    let verify = |more: &[&str]| run(&[&["verify", "--datadir", &node.data], more].concat());
    let nothing = verify(&[]);
    assert_eq!((nothing.code, &nothing.out[..6]), (Some(1), "none: "), "{}", nothing.out);
    assert_eq!(node.run(&api, &[]).code(), 0);
    let complete = verify(&[]);
    assert!(complete.code == Some(0) && complete.out.starts_with("complete: "), "{}", complete.out);
    let found = parsed(&verify(&["--format=json"]).out);
    assert_eq!((&found["state"], &found["restore"]["backup_id"]), (&json!("complete"), &json!(BACKUP)));
    let restored = found["restore"]["restored"].as_str().unwrap();
    assert!(restored.len() == 20 && restored.ends_with('Z'), "{restored}");
    assert_eq!(run(&["verify", "--datadir="]).code, Some(2));
}

#[test]
fn backups_are_a_table_or_json() {
    let api = Api::start(model(), Script::new());
    let ran = ask(&api, &["backups", "--barman-server=main"]);
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let [head, row] = ran.out.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.out) };
    assert!(head.starts_with("ID ") && head.ends_with("STATUS"), "{head}");
    assert!(row.starts_with(BACKUP) && row.ends_with("DONE"), "{row}");
    let answer = parsed(&ask(&api, &["backups", "--barman-server=main", "--format=json"]).out);
    let row = &answer["backups"][0];
    assert_eq!((&answer["code"], &row["id"], &row["is_complete"]), (&json!(0), &json!(BACKUP), &json!(true)));
    let unknown = ask(&api, &["backups", "--barman-server=nope"]);
    assert!(unknown.code == Some(2) && unknown.has("nope") && unknown.has("HINT: "), "{}", unknown.log);
}

fn check(api: &Api, data: &str, more: &[&str]) -> Ran {
    let words = ["check", "--barman-server=main", "--ssh-command=ssh localhost", "--datadir", data];
    ask(api, &[&words, more].concat())
}

#[test]
fn a_check_has_numbers_for_failures_and_for_warnings_alone() {
    let dir = tempdir();
    let data = dir.within("data");
    fs::create_dir(&data).unwrap();
    fs::write(format!("{data}/file"), "x").unwrap();
    let api = Api::start(model(), Script::new());
    let unknown = "--backup-id=20200101T000000";
    check_rows(
        [(&[][..], 3), (&["--strict"], 1), (&[unknown], 1), (&["--format=json"], 3)],
        |(more, code): (&[&str], i32)| {
            let ran = check(&api, &data, more);
            assert_eq!(ran.code, Some(code), "{}", ran.out);
            if more == ["--format=json"] {
                let findings = parsed(&ran.out);
                let of = |what: &str| {
                    findings["findings"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|finding| finding["what"] == what)
                        .cloned()
                };
                assert_eq!(of("data directory").unwrap()["verdict"], "WARNING");
            } else {
                let word = if code == 3 { "WARNING" } else { "FAILED" };
                assert!(ran.out.lines().any(|line| line.starts_with(word)), "{}", ran.out);
            }
        },
    );
}

/// It does not wait for what comes later: the API is still silent when the line is here.
#[test]
fn a_check_prints_each_finding_as_it_is_made() {
    let dir = tempdir();
    let api = Api::start(model(), Script::new().diagnose([standin::Step::model().hold()]));
    let mut command = bare(PROGRAM);
    let out = dir.within("out");
    command.args(["check", "--api-url", &api.url(), "--barman-server=main", "--ssh-command=ssh localhost"]);
    command.args(["--datadir", &dir.within("data")]).stdout(fs::File::create(&out).unwrap());
    let mut child = command.spawn().unwrap();
    wait_until("the first finding", || fs::read_to_string(&out).unwrap().contains("API: "));
    assert!(child.try_wait().unwrap().is_none());
    api.release();
    child.wait().unwrap();
    assert!(fs::read_to_string(&out).unwrap().lines().count() > 5);
}

#[test]
fn the_last_line_of_the_json_log_is_what_a_program_asks_for() {
    let last = |log: &str| parsed(log.lines().last().unwrap());
    let (node, api) = (Node::new(), Api::start(model().fill(), Script::new()));
    let done = last(&node.run(&api, &["--log-format=json", "--progress=always"]).log);
    assert_eq!(
        (&done["event"], &done["code"], &done["exit_status"]),
        (&json!("end"), &json!("RECOVERY_DONE"), &json!(0))
    );
    assert_eq!(
        (&done["server"], &done["backup_id"], &done["hint"]),
        (&json!("main"), &json!(BACKUP), &json!(""))
    );
    let failed = last(&node.run(&api, &["--log-format=json"]).log);
    assert_eq!((&failed["code"], &failed["exit_status"]), (&json!("RECOVERY_FAILED"), &json!(1)));
    assert!(!failed["hint"].as_str().unwrap().is_empty(), "{failed}");
    let (node, api) = (Node::new(), Api::start(model().stuck(), Script::new()));
    let run = node.start(&api, &["--log-format=json"]);
    run.wait_for("still in progress");
    run.signal("TERM");
    let ended = run.end();
    let cancelled = last(&ended.log);
    assert_eq!(
        (ended.code(), &cancelled["code"], &cancelled["exit_status"]),
        (-15, &json!("CANCELLED"), &json!(143))
    );
}

#[test]
fn equal_requests_are_logged_once_and_a_create_with_its_body() {
    let (node, api) = (Node::new(), Api::start(model().fill().duration_ms(2_000), Script::new()));
    let log = node.run(&api, &["-v"]).log;
    let polls =
        log.lines().filter(|line| line.contains("DEBUG: GET ") && line.contains("/operations/")).count();
    assert!((1..=3).contains(&polls), "{log}");
    assert!(
        log.contains(r#"{"type":"recovery","backup_id":"latest","remote_ssh_command":"ssh node""#),
        "{log}"
    );
}

/// As `ExecStartPre=` of Patroni's unit.
#[test]
fn the_script_before_patronis_start_waits_for_a_restore() {
    let script = format!("{}/examples/patroni/wait-for-restore", env!("CARGO_MANIFEST_DIR"));
    let wait = |node: &Node, api: &Api| {
        let mut command = Command::new("sh");
        command.args([&script, &node.data, PROGRAM, "--api-url", &api.url(), "--max-outage=5", "recover"]);
        command.args(["--barman-server=main", "--loop-wait=1"]);
        if node.state_file != format!("{}.barman-recover.json", node.data) {
            command.args(["--state-file", &node.state_file]);
        }
        let status = command.status().unwrap();
        (status.code(), fs::read_dir(&node.data).map_or(0, Iterator::count))
    };
    let (node, api) = (Node::new(), Api::start(model().fill().duration_ms(2_500), Script::new()));
    assert_eq!(wait(&node, &api), (Some(0), 0), "nothing is here");
    let first = node.start(&api, &[]);
    first.wait_for("still in progress");
    first.kill();
    let (code, files) = wait(&node, &api);
    assert!(code == Some(0) && files > 3 && node.is_complete(), "the restore is complete: {code:?}, {files}");

    let (mut node, api) = (
        Node::new(),
        Api::start(
            model().fill().stop_behind(Part::Base).result(standin::Status::Failed).duration_ms(2_500),
            Script::new(),
        ),
    );
    node.state_file = node.path("elsewhere.json");
    let first = node.start(&api, &["--state-file", &node.state_file]);
    first.wait_for("still in progress");
    first.kill();
    assert_eq!(wait(&node, &api), (Some(0), 0), "what a restore that failed has left is removed");

    let (node, api) = (
        Node::new(),
        Api::start(
            model().fill().stop_behind(Part::Base).result(standin::Status::Failed).duration_ms(500),
            Script::new(),
        ),
    );
    let failed = node.run(&api, &[]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    drop(api);
    let api = Api::start(model(), Script::new());
    let (state, kept) = (node.state(), node.path("kept"));
    fs::rename(&node.data, &kept).unwrap();
    fs::create_dir(&node.data).unwrap();
    fs::write(format!("{}/backup_label", node.data), "of another tool").unwrap();
    assert_eq!(wait(&node, &api), (Some(0), 1), "what another tool has restored since is left alone");
    fs::remove_dir_all(&node.data).unwrap();
    fs::rename(&kept, &node.data).unwrap();
    fs::write(&node.state_file, format!("{state}{}\n", state.lines().next().unwrap())).unwrap();
    assert!(wait(&node, &api).1 > 3, "the operation of an earlier run says nothing of a later one's");
    fs::write(&node.state_file, state).unwrap();
    assert_eq!(
        wait(&node, &api),
        (Some(0), 0),
        "also where its run has seen the end, and the API is another by now"
    );
}
