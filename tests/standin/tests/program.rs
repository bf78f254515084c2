//! The program `standin_api`: its options, and the mode with Barman behind it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use standin::client::{get, post, recovery};
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
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    fn poll(&self, id: &str) -> String {
        let reply = self.ask(&get(&format!("/servers/pg/operations/{id}")));
        let body: Value = serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        body["status"].as_str().unwrap_or("unknown").to_owned()
    }

    fn wait_for(&self, id: &str, status: &str) {
        wait_until(&format!("{id} to be {status}"), || self.poll(id) == status);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stand-in in front of the fake Barman, and the files of its operations.
struct WithBarman {
    scratch: TempDir,
}

impl WithBarman {
    fn new() -> Self {
        Self { scratch: tempdir().unwrap() }
    }

    fn start(&self) -> Running {
        let barman = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_barman.sh");
        let config = within(&self.scratch, "barman.conf");
        let home = within(&self.scratch, "home");
        let options =
            ["--barman", barman.to_str().unwrap(), "--barman-config", &config, "--barman-home", &home];
        Running::start(&options, "{}")
    }

    fn hold(&self) -> PathBuf {
        let file = PathBuf::from(within(&self.scratch, "barman.conf.hold"));
        fs::write(&file, "").unwrap();
        file
    }

    fn recovery(&self) -> Vec<u8> {
        let data = within(&self.scratch, "data");
        post(&format!(
            r#"{{"backup_id":"20261122T101942","remote_ssh_command":"ssh node","destination_directory":"{data}"}}"#
        ))
    }

    fn file(&self, folder: &str, id: &str) -> Value {
        let text = fs::read(within(&self.scratch, &format!("home/pg/{folder}/{id}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The process group of the restore that is held.
    fn group(&self) -> String {
        let file = within(&self.scratch, "barman.conf.group");
        wait_until("the restore", || Path::new(&file).exists());
        fs::read_to_string(file).unwrap().trim().to_owned()
    }
}

#[test]
fn the_program_plays_what_its_options_say() {
    let scratch = tempdir().unwrap();
    let port = within(&scratch, "port");
    let options =
        ["--port-file", &port, "--server", "pg", "--backup", "20261122T101942", "--result", "FAILED"];
    let api = Running::start(&options, r#"{"status": [{"recording": "create-unknown-type"}]}"#);
    wait_until("the port file", || Path::new(&port).exists());
    assert_eq!(
        format!("127.0.0.1:{}\n", fs::read_to_string(&port).unwrap().trim()),
        format!("{}\n", api.address)
    );
    assert!(api.ask(&get("/status")).starts_with("HTTP/1.1 500 "));
    assert!(api.ask(&get("/status")).ends_with("\"OK\""));
    let id = created_id(&api.ask(&recovery("/data")));
    assert_eq!(api.poll(&id), "FAILED");
}

#[test]
fn wrong_options_are_named_and_end_it() {
    for (options, says) in [
        (&["--server", "s", "--nope"][..], "--nope: unknown field `nope`"),
        (&["--backup", "b"], "--server before it"),
        (&["--server", "s", "--duration-ms", "x"], "--duration-ms: invalid type: string \"x\""),
        (&["--listen"], "expected a string"),
    ] {
        let output = standin().args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(says), "{says}");
    }
}

#[test]
fn barman_answers_for_servers_backups_and_diagnosis() {
    let barman = WithBarman::new();
    let api = barman.start();
    assert!(api.ask(&get("/servers/nope/operations")).contains("No barman config found for 'nope'."));
    assert!(api.ask(&get("/servers/pg/operations")).contains(r#"{"operations":[]}"#));
    let unknown = r#"{"backup_id":"nope","remote_ssh_command":"ssh","destination_directory":"/data"}"#;
    assert!(api.ask(&post(unknown)).contains("Backup 'nope' does not exist"));
    assert!(api.ask(&get("/diagnose")).ends_with("{\"servers\":{\"pg\":{}}}\n"));
    let switch = created_id(&api.ask(&post(r#"{"type":"config_switch","reset":true}"#)));
    api.wait_for(&switch, "DONE");
}

#[test]
fn a_restore_outlives_the_api_and_is_known_to_the_next() {
    let barman = WithBarman::new();
    let held = barman.hold();
    let first = barman.start();
    let id = created_id(&first.ask(&barman.recovery()));
    barman.group();
    drop(first);
    let second = barman.start();
    assert_eq!(second.poll(&id), "IN_PROGRESS");
    assert!(
        second.ask(&get("/servers/pg/operations")).contains(&format!(r#"{{"id":"{id}","type":"recovery"}}"#))
    );
    fs::remove_file(held).unwrap();
    second.wait_for(&id, "DONE");
    assert!(Path::new(&within(&barman.scratch, "data")).exists());
    let (job, output) = (barman.file("jobs", &id), barman.file("output", &id));
    assert_eq!(job["operation_type"], "recovery");
    assert_eq!(output["success"], true);
    assert_eq!(output["output"], "by way of ssh node\n");
    assert_eq!(output["start_time"], job["start_time"]);
}

#[test]
fn a_restore_whose_process_died_stays_in_progress() {
    let barman = WithBarman::new();
    let _held = barman.hold();
    let api = barman.start();
    let id = created_id(&api.ask(&barman.recovery()));
    let group = barman.group();
    assert!(
        Command::new("sh").args(["-c", &format!("kill -s KILL -- -{group}")]).status().unwrap().success()
    );
    wait_until("the end of the process", || !Path::new("/proc").join(&group).exists());
    assert_eq!(api.poll(&id), "IN_PROGRESS");
}

#[test]
fn a_restore_that_barman_refuses_is_failed_with_its_words_in_the_output_file() {
    let barman = WithBarman::new();
    fs::create_dir(within(&barman.scratch, "data")).unwrap();
    let api = barman.start();
    let id = created_id(&api.ask(&barman.recovery()));
    api.wait_for(&id, "FAILED");
    let output = barman.file("output", &id);
    assert!(output["output"].as_str().unwrap().contains("mkdir"), "{output}");
}
