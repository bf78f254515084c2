//! The script under the shells that a node may have, and what ends the commands that it runs.

mod endings;
mod script;

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::world::state::claim;
use crate::world::{ClaimHandle, Claiming};

/// What can be `sh` on a node. `tests/run` installs them all; one that is missing here is left out.
const SHELLS: [&str; 6] = ["dash", "bash", "busybox", "ksh93", "mksh", "zsh"];
const LOGIN_SHELLS: [&str; 4] = ["bash", "fish", "tcsh", "zsh"];
/// Far longer than anything here takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node: a data directory that does not exist yet, and a shell that is its `sh`.
struct Node {
    place: TempDir,
    /// In PATH, where the colon of the other's name would mean two directories.
    bin: TempDir,
    path: String,
}

impl Node {
    /// The directory has every character that a path of a lease may have.
    fn new(shell: &str) -> Option<Node> {
        let program = which(shell)?;
        let place = TempDir::with_prefix("lease_.+,:@=-").unwrap();
        let bin = TempDir::with_prefix("bin").unwrap();
        symlink(&program, bin.path().join("sh")).unwrap();
        if shell == "busybox" {
            // Where its own flock and setsid are built in, these: they have fewer options than those of util-linux.
            let list = Command::new(&program).arg("--list").output().unwrap().stdout;
            let list = String::from_utf8(list).unwrap();
            for command in ["flock", "setsid"] {
                if list.lines().any(|line| line == command) {
                    symlink(&program, bin.path().join(command)).unwrap();
                }
            }
        }
        let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
        Some(Node { place, bin, path })
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn within(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn claim(&self) -> Box<dyn ClaimHandle> {
        ours(claim(&self.data(), None))
    }

    /// A command of Barman's, as ssh starts it.
    fn command(&self, lease: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.bin.path().join("sh"));
        command.env("PATH", &self.path).arg(lease).args(words);
        command
    }

    fn run(&self, lease: &str, words: &[&str], input: &str) -> Output {
        output(self.command(lease, words), input)
    }

    /// Runs a command that writes into `written` all the time, and whose processes are in `pids`.
    fn writer(&self, lease: &str, script: &str) -> Writer {
        let (pids, written) = (self.within("pids"), self.within("written"));
        let _ = fs::remove_file(&written);
        fs::write(&pids, "").unwrap();
        let text =
            script.replace("PIDS", pids.to_str().unwrap()).replace("WRITTEN", written.to_str().unwrap());
        let mut command = self.command(lease, &["sh", "-c", &text]);
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the command writes", || written.exists());
        let pids = fs::read_to_string(pids).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        Writer { child, pids }
    }
}

/// What may write into a data directory: each script tells its processes, and writes until it is ended.
const WRITERS: [(&str, &str); 3] = [
    (
        "a command with children",
        "echo $$ >>PIDS; (while :; do echo x >>WRITTEN; sleep 0.02; done) & echo $! >>PIDS; cat >WRITTEN; wait",
    ),
    (
        "one that ignores SIGTERM",
        "trap '' HUP INT TERM; echo $$ >>PIDS; while :; do echo x >>WRITTEN; sleep 0.02; done",
    ),
    (
        "a stopped one",
        "echo $$ >>PIDS; (while :; do echo x >>WRITTEN; sleep 0.02; done) & echo $! >>PIDS; kill -s STOP $$; wait",
    ),
];

struct Writer {
    child: Child,
    pids: Vec<i32>,
}

impl Writer {
    /// Waits until none of its processes runs. A process that nobody has waited for yet runs no more either.
    fn ended(mut self) -> Option<i32> {
        until("the writers end", || !self.pids.iter().any(|pid| runs(*pid)));
        self.child.wait().unwrap().code()
    }
}

fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

fn ours(claiming: Claiming) -> Box<dyn ClaimHandle> {
    match claiming {
        Claiming::Ours(claim) => claim,
        Claiming::Held(note) => panic!("held: {note:?}"),
        Claiming::Impossible(problem) => panic!("impossible: {problem:?}"),
    }
}

fn output(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that is refused reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn drained(lease: &mut dyn LeaseHandle) {
    until("the lease is drained", || lease.drain() == Drain::Drained);
}

fn which(program: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
    });
    if found.is_none() {
        eprintln!("left out: {program} is not installed");
    }
    found
}

#[test]
#[ignore = "is run by other tests, as a process of its own"]
fn helper() {
    let Some(data) = std::env::var_os("LEASE_TEST_DATA") else { return };
    let mut claim = ours(claim(Path::new(&data), None));
    let mut note = crate::world::Note { operation_id: Some("op".into()), ..Default::default() };
    note.pid = std::process::id();
    claim.note(&note).unwrap();
    let lease = claim.grant("").unwrap();
    println!("\nLEASE {}", lease.path());
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A run in a process of its own, and the path of its lease.
pub(in crate::world) fn run_elsewhere(data: &Path, umask: &str) -> (Child, String) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
    let helper = format!("{}::helper", module_path!().split_once("::").unwrap().1);
    command.args([&helper, "--exact", "--ignored", "--nocapture"]);
    command.env("LEASE_TEST_DATA", data).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let path = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("LEASE ").map(str::to_string));
    (child, path.unwrap())
}
