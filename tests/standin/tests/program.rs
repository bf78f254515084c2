//! The program `standin_api`: its options, and the mode with Barman behind it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use standin::client::{exchange, get, post, recovery};
use standin::wait_until;
use tempfile::{TempDir, tempdir};

use crate::{created_id, within};

fn standin() -> Command {
    Command::new(env!("CARGO_BIN_EXE_standin_api"))
}

struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(options: &[&str], script: &str) -> Self {
        let mut command = standin();
        command.args(options).args(["--script", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on http://").expect("it says where").trim().to_owned();
        Self { child, address }
    }

    fn ask(&self, request: &[u8]) -> String {
        String::from_utf8(exchange(self.address.parse().unwrap(), request).0).unwrap()
    }

    fn wait_for(&self, id: &str, status: &str) {
        let request = get(&format!("/servers/pg/operations/{id}"));
        wait_until(&format!("{id} to be {status}"), || self.ask(&request).contains(&format!("\"{status}\"")));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stand-in in front of the fake Barman, which keeps the files of its operations in the directory.
fn with_barman(scratch: &TempDir) -> Running {
    let barman = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_barman.sh");
    let (config, home) = (within(scratch, "barman.conf"), within(scratch, "home"));
    Running::start(&["--barman", barman, "--barman-config", &config, "--barman-home", &home], "{}")
}

fn barmans_recovery(scratch: &TempDir) -> Vec<u8> {
    let data = within(scratch, "data");
    post(&format!(
        r#"{{"backup_id":"20261122T101942","remote_ssh_command":"ssh node","destination_directory":"{data}"}}"#
    ))
}

#[test]
fn the_program_plays_what_its_options_say() {
    let scratch = tempdir().unwrap();
    let (port, data) = (within(&scratch, "port"), within(&scratch, "data"));
    let options = "--server pg --backup 20261122T101942 --unique-ids --result FAILED --next-operation --result DONE --fill \
                   --wal 2 --stop info";
    let options = options.split_whitespace().chain(["--port-file", &port]).collect::<Vec<_>>();
    let api = Running::start(&options, r#"{"status": [{"recording": "create-unknown-type"}]}"#);
    wait_until("the port file", || Path::new(&port).exists());
    assert!(api.address.ends_with(&format!(":{}", fs::read_to_string(&port).unwrap().trim())));
    assert!(api.ask(&get("/status")).starts_with("HTTP/1.1 500 "));
    assert!(api.ask(&get("/status")).ends_with("\"OK\""));
    api.wait_for(&created_id(&api.ask(&recovery("/data"))), "FAILED");
    api.wait_for(&created_id(&api.ask(&recovery(&data))), "DONE");
    let there = |name: &str| Path::new(&data).join(name).exists();
    assert!(there(".barman-recover.info") && !there("pg_wal"));
}

#[test]
fn nothing_of_a_program_that_is_killed_is_left() {
    let scratch = tempdir().unwrap();
    let data = within(&scratch, "data");
    let options = ["--server", "pg", "--backup", "20261122T101942", "--fill", "--duration-ms", "3600000"];
    let mut command = standin();
    command.args(options).env("TMPDIR", scratch.path()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let api = Running { child, address: line.trim().replace("listening on http://", "") };
    api.ask(&recovery(&data));
    wait_until("the first file", || Path::new(&data).join("PG_VERSION").exists());
    drop(api);
    let names = || fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    wait_until("its directory to be gone", || names().all(|name| name == "data"));
    let here =
        |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&data));
    let is_written = || fs::read_dir("/proc").unwrap().flatten().any(here);
    wait_until("the end of its restore", || !is_written());
}

#[test]
fn wrong_options_are_named_and_end_it() {
    for (options, says) in [
        (&["--server", "s", "--nope"][..], "--nope: unknown field `nope`"),
        (&["--backup", "b"], "--server before it"),
        (&["--server", "s", "--duration-ms", "x"], "--duration-ms: invalid type: string \"x\""),
        (&["--server"], "--server needs a value"),
    ] {
        let output = standin().args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(says), "{says}");
    }
}

#[test]
fn barman_answers_for_servers_backups_and_diagnosis() {
    let scratch = tempdir().unwrap();
    let api = with_barman(&scratch);
    assert!(api.ask(&get("/servers/nope/operations")).contains("No barman config found for 'nope'."));
    assert!(api.ask(&get("/servers/pg/operations")).contains(r#"{"operations":[]}"#));
    let unknown = r#"{"backup_id":"nope","remote_ssh_command":"ssh","destination_directory":"/data"}"#;
    assert!(api.ask(&post(unknown)).contains("Backup 'nope' does not exist"));
    assert!(api.ask(&get("/diagnose")).ends_with("{\"servers\":{\"pg\":{}}}\n"));
    let switch = created_id(&api.ask(&post(r#"{"type":"config_switch","reset":true}"#)));
    api.wait_for(&switch, "DONE");
}

#[test]
fn a_restore_by_barman_outlives_the_api_and_is_known_to_the_next() {
    let scratch = tempdir().unwrap();
    let held = within(&scratch, "barman.conf.hold");
    fs::write(&held, "").unwrap();
    let first = with_barman(&scratch);
    let id = created_id(&first.ask(&barmans_recovery(&scratch)));
    wait_until("the restore", || Path::new(&within(&scratch, "barman.conf.began")).exists());
    drop(first);
    let second = with_barman(&scratch);
    second.wait_for(&id, "IN_PROGRESS");
    let listed = format!(r#"{{"id":"{id}","type":"recovery"}}"#);
    assert!(second.ask(&get("/servers/pg/operations")).contains(&listed));
    fs::remove_file(held).unwrap();
    second.wait_for(&id, "DONE");
    let file = |folder: &str| {
        let text = fs::read(within(&scratch, &format!("home/pg/{folder}/{id}.json"))).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(
        (&file("jobs")["operation_type"], &file("output")["success"]),
        (&"recovery".into(), &true.into())
    );
    assert_eq!(file("output")["output"], "by way of \"ssh node\"");
    // Its directory is there now, and so the next one fails.
    let mut again = String::new();
    while !again.contains(" 202 ") {
        again = second.ask(&barmans_recovery(&scratch));
    }
    second.wait_for(&created_id(&again), "FAILED");
}
