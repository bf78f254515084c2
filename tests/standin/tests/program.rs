//! The program `standin_api`: its options, and the mode with Barman behind it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use standin::client::{create, get, recovery};
use standin::wait_until;
use tempfile::{TempDir, tempdir};

use crate::{BACKUP, ask, created_id, wait_for, within};

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(scratch: &TempDir, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin_api"));
        command.args(options).env("TMPDIR", scratch.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.strip_prefix("listening on http://").expect("it says where").trim().parse().unwrap();
        Self { child, address }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_of_a_program_that_is_killed_is_left() {
    let scratch = tempdir().unwrap();
    let data = within(&scratch, "data");
    let options = ["--server", "pg", "--backup", BACKUP, "--fill", "--duration-ms", "3600000"];
    let api = Running::start(&scratch, &options);
    ask(api.address, &recovery("ssh node", &data));
    wait_until("the first file", || Path::new(&data).join("PG_VERSION").exists());
    drop(api);
    let names = || fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    wait_until("its directory to be gone", || names().all(|name| name == "data"));
    let here =
        |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&data));
    let is_written = || fs::read_dir("/proc").unwrap().flatten().any(here);
    wait_until("the end of its restore", || !is_written());
}

/// A stand-in in front of the fake Barman, which keeps the files of its operations in the directory.
fn with_barman(scratch: &TempDir) -> Running {
    let barman = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_barman.sh");
    let (config, home) = (within(scratch, "barman.conf"), within(scratch, "home"));
    Running::start(scratch, &["--barman", barman, "--barman-config", &config, "--barman-home", &home])
}

#[test]
fn a_restore_by_barman_outlives_the_api_and_is_known_to_the_next() {
    let scratch = tempdir().unwrap();
    let held = within(&scratch, "barman.conf.hold");
    fs::write(&held, "").unwrap();
    let body = |backup: &str| {
        let data = within(&scratch, "data");
        format!(
            r#"{{"backup_id":"{backup}","remote_ssh_command":"ssh node","destination_directory":"{data}"}}"#
        )
    };
    let first = with_barman(&scratch);
    assert!(
        ask(first.address, &get("/servers/nope/operations")).contains("No barman config found for 'nope'.")
    );
    assert!(ask(first.address, &create("pg", &body("nope"))).contains("Backup 'nope' does not exist"));
    let id = created_id(&ask(first.address, &create("pg", &body(BACKUP))));
    wait_until("the restore", || Path::new(&within(&scratch, "barman.conf.began")).exists());
    drop(first);
    let second = with_barman(&scratch);
    wait_for(second.address, &id, "IN_PROGRESS");
    fs::remove_file(held).unwrap();
    wait_for(second.address, &id, "DONE");
    let output = fs::read_to_string(within(&scratch, &format!("home/pg/output/{id}.json"))).unwrap();
    assert!(output.contains(r#""output": "by way of \"ssh node\"""#), "{output}");
    // Its directory is there now, and so the next one fails.
    let mut again = String::new();
    while !again.contains(" 202 ") {
        again = ask(second.address, &create("pg", &body(BACKUP)));
    }
    wait_for(second.address, &created_id(&again), "FAILED");
    assert!(ask(second.address, &get("/diagnose")).ends_with("{\"servers\":{\"pg\":{}}}\n"));
}
