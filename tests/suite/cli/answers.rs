//! What the sub-commands print and how they end: for people, and for programs.

use std::fs;

use serde_json::{Value, json};

use crate::cli::{BACKUP, model, restore};
use crate::support::commands::{Ran, ask, run};
use crate::support::node::{Node, PROGRAM, bare};
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Part, Script, Step, wait_until};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// `ExecStartPre=` and scripts ask by the exit status, without an API.
#[test]
fn verify_ends_with_0_for_a_complete_restore_alone() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    let verify = |more: &[&str]| run(&[&["verify", "--datadir", &node.data], more].concat());
    let nothing = verify(&[]);
    assert!(nothing.code == Some(1) && nothing.out.starts_with("incomplete: "), "{}", nothing.out);
    node.run(&api, &[]).expect(0);
    drop(api);
    let complete = verify(&[]);
    assert!(complete.code == Some(0) && complete.out.starts_with("complete: "), "{}", complete.out);
    assert!(complete.out.contains(BACKUP), "{}", complete.out);
    let found = parsed(&verify(&["--format=json"]).out);
    assert_eq!((&found["code"], &found["state"]), (&json!(0), &json!("complete")));
    assert_eq!((&found["backup"]["id"], &found["backup"]["server"]), (&json!(BACKUP), &json!("main")));
    assert!(found["wal"]["last"].is_string(), "{found}");
    fs::remove_file(format!("{}/global/pg_control", node.data)).unwrap();
    let cut = verify(&[]);
    assert!(cut.code == Some(1) && cut.out.contains("pg_control"), "{}", cut.out);
    assert_eq!(run(&["verify", "--datadir="]).code, Some(2));
}

#[test]
fn backups_are_a_table_or_json_the_newest_first() {
    let api = Api::start(model().backup("20261123T000000").backup("20251122T000000"), Script::new());
    let ran = ask(&api, &["backups", "--barman-server=main"]);
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let [head, first, second, third] = ran.out.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.out) };
    assert!(head.starts_with("ID ") && head.ends_with("STATUS"), "{head}");
    let ids = [first, second, third].map(|row| row.split(' ').next().unwrap());
    assert_eq!(ids, ["20261123T000000", BACKUP, "20251122T000000"]);
    assert!(second.ends_with("DONE"), "{second}");
    let answer = parsed(&ask(&api, &["backups", "--barman-server=main", "--format=json"]).out);
    let row = &answer["backups"][1];
    assert_eq!((&answer["code"], &row["id"], &row["is_complete"]), (&json!(0), &json!(BACKUP), &json!(true)));
    assert!(row["bytes"].is_u64() && row["version"] == "15.0", "{row}");
    let unknown = ask(&api, &["backups", "--barman-server=nope"]);
    assert!(unknown.code == Some(2) && unknown.has("only: main") && unknown.has("HINT: "), "{}", unknown.log);
    api.set_script(Script::new().diagnose([Step::proxy_error(500).forever()]));
    let failed = ask(&api, &["backups", "--barman-server=main"]);
    assert!(failed.code == Some(2) && failed.has("HTTP 500"), "{}", failed.log);
}

fn check(api: &Api, data: &str, more: &[&str]) -> Ran {
    let words =
        ["check", "--barman-server=main", "--ssh-command=ssh localhost", "--no-probe", "--datadir", data];
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
                let mut all = findings["findings"].as_array().unwrap().iter();
                let directory = all.find(|finding| finding["what"] == "data directory").unwrap();
                assert_eq!(directory["verdict"], "WARNING");
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
    let api = Api::start(model(), Script::new().diagnose([Step::model().hold()]));
    let mut command = bare(PROGRAM);
    let out = dir.within("out");
    command.args(["check", "--api-url", &api.url(), "--barman-server=main", "--ssh-command=ssh localhost"]);
    command.args(["--no-probe", "--datadir", &dir.within("data")]);
    let mut child = command.stdout(fs::File::create(&out).unwrap()).spawn().unwrap();
    wait_until("the first finding", || fs::read_to_string(&out).unwrap().contains("API: "));
    assert!(child.try_wait().unwrap().is_none());
    api.release();
    child.wait().unwrap();
    assert!(fs::read_to_string(&out).unwrap().lines().count() > 5);
}

#[test]
fn the_last_line_of_the_json_log_is_what_a_program_asks_for() {
    let last = |log: &str| parsed(log.lines().last().unwrap());
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
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
    let (node, api) = (Node::new(), Api::start(restore().hold_behind(Part::Base), Script::new()));
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
    let (node, api) = (Node::new(), Api::start(restore().duration_ms(2_000), Script::new()));
    let log = node.run(&api, &["-v"]).log;
    let polls =
        log.lines().filter(|line| line.contains("DEBUG: GET ") && line.contains("/operations/")).count();
    assert!((1..=3).contains(&polls), "{log}");
    let body = r#"{"type":"recovery","backup_id":"latest","remote_ssh_command":"ssh node sh "#;
    assert!(log.contains(&format!("{body}{}.barman-recover/lease-", node.data)), "{log}");
}
