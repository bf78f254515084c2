//! The script under the shells that a node may have, and what ends the commands that it runs.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

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
fn a_command_runs_as_it_would_without_the_lease() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let mut lease = claim.grant("").unwrap();
        let path = lease.path();
        let words = ["sh", "-c", "cat; echo \"$1\" >&2; exit 7", "sh", "two  words $HOME 'x' *"];
        let ran = node.run(&path, &words, "in\0put\n");
        assert_eq!(ran.stdout, b"in\0put\n", "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.stderr, b"two  words $HOME 'x' *\n", "{shell}");
        assert_eq!(ran.status.code(), Some(7), "{shell}");
        assert!(node.run(&path, &["true"], "").status.success(), "{shell}");
        assert_eq!(node.run(&path, &["no-such-command"], "").status.code(), Some(127), "{shell}");
        let lines = lease.log().unwrap();
        let words: Vec<&str> = lines
            .iter()
            .filter_map(|line| match line {
                LogLine::Began(_, words) => Some(words.split(' ').next().unwrap()),
                LogLine::Ended(..) => None,
            })
            .collect();
        let ended: Vec<i32> = lines
            .iter()
            .filter_map(|line| match line {
                LogLine::Ended(_, status) => Some(*status),
                LogLine::Began(..) => None,
            })
            .collect();
        assert_eq!((words, ended), (vec!["sh", "true", "no-such-command"], vec![7, 0, 127]), "{shell}");
        assert_eq!(lease.log(), Ok(Vec::new()), "{shell}");
        lease.revoke();
        assert_eq!(lease.drain(), Drain::Drained, "{shell}: nothing is left of commands that have ended");
    }
}

#[test]
fn many_commands_run_at_once() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    let mut commands: Vec<Child> = (0..20)
        .map(|_| node.command(&lease.path(), &["sleep", "0.1"]).stdin(Stdio::null()).spawn().unwrap())
        .collect();
    assert!(commands.iter_mut().all(|child| child.wait().unwrap().success()));
}

#[test]
fn a_login_shell_takes_the_path_for_nothing_else() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    for shell in LOGIN_SHELLS {
        let Some(program) = which(shell) else { continue };
        let run = |words: &str, input: &str| {
            let mut command = Command::new(&program);
            command.env("PATH", &node.path).args(["-c", &format!("sh {} {words}", lease.path())]);
            output(command, input)
        };
        assert_eq!(run("cat", "some data").stdout, b"some data", "{shell}");
        assert_eq!(run("false", "").status.code(), Some(1), "{shell}");
    }
}

#[test]
fn nothing_starts_after_the_revocation() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let mut lease = claim.grant("").unwrap();
        let script = fs::read(lease.path()).unwrap();
        let file = node.within("file");
        let touch = ["touch", file.to_str().unwrap()];
        lease.revoke();
        assert!(!node.run(&lease.path(), &touch, "").status.success(), "{shell}");
        // A shell may have opened the script before.
        fs::write(node.within("open"), script).unwrap();
        assert!(!node.run(node.within("open").to_str().unwrap(), &touch, "").status.success(), "{shell}");
        let name = lease.path().replace(LEASE, REVOKED);
        assert_eq!(node.run(&name, &touch, "").status.success(), false, "{shell}");
        assert_eq!(lease.drain(), Drain::Drained);
        assert!(!file.exists(), "{shell}");
    }
}

#[test]
fn the_revocation_ends_what_writes() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        for (what, script) in WRITERS {
            let mut lease = claim.grant("").unwrap();
            let writer = node.writer(&lease.path(), script);
            assert!(matches!(lease.drain(), Drain::Held(_)), "{shell}: {what}");
            let began = Instant::now();
            lease.revoke();
            drained(&mut *lease);
            println!("{shell}: {what}: revoked, drained after {:?}", began.elapsed());
            assert!(!writer.pids.iter().any(|pid| runs(*pid)), "{shell}: {what}: drained, so nothing runs");
            writer.ended();
        }
    }
}

#[test]
fn a_lease_that_can_not_be_renamed_is_revoked_all_the_same() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    let writer = node.writer(&lease.path(), WRITERS[0].1);
    // Another file is in the way: a directory can't be replaced by a file.
    fs::create_dir(lease.path().replace(LEASE, REVOKED)).unwrap();
    lease.revoke();
    assert!(Path::new(&lease.path()).exists());
    writer.ended();
    drained(&mut *lease);
    assert!(!node.run(&lease.path(), &["true"], "").status.success());
}

#[test]
fn a_dropped_lease_is_revoked() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    let (path, writer) = (lease.path(), node.writer(&lease.path(), WRITERS[1].1));
    drop(lease);
    writer.ended();
    assert!(!node.run(&path, &["true"], "").status.success());
    until("the claim drains it", || claim.drain() == Drain::Drained);
}

/// Not a test: the process that the tests below kill. It claims, grants, tells the path of the lease, and waits.
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
    command.args(["world::lease::tests::helper", "--exact", "--ignored", "--nocapture"]);
    command.env("LEASE_TEST_DATA", data).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let path = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("LEASE ").map(str::to_string));
    (child, path.unwrap())
}

#[test]
fn the_death_of_the_run_ends_what_writes() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        for (what, script) in WRITERS {
            let (mut run, path) = run_elsewhere(&node.data(), "022");
            let writer = node.writer(&path, script);
            let began = Instant::now();
            run.kill().unwrap();
            run.wait().unwrap();
            until("the writers end", || !writer.pids.iter().any(|pid| runs(*pid)));
            println!("{shell}: {what}: SIGKILL of the run, the last writer gone after {:?}", began.elapsed());
            writer.ended();
            assert_eq!(node.run(&path, &["true"], "").status.code(), Some(75), "{shell}: {what}");
            let mut next = node.claim();
            assert_eq!(next.left().and_then(|note| note.operation_id.as_deref()), Some("op"));
            until("what is left is drained", || next.drain() == Drain::Drained);
            assert!(!Path::new(&path).exists());
            assert!(Path::new(&path.replace(LEASE, LOG)).exists(), "the log is for the operator");
            let lease = next.grant("").unwrap();
            assert!(!Path::new(&path.replace(LEASE, LOG)).exists());
            drop(lease);
            next.remove().unwrap();
            assert!(!node.within("data.barman-recover").exists());
        }
    }
}

#[test]
fn a_command_that_left_its_group_is_named_and_killed() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    let script = "setsid sh -c 'echo $$ >>PIDS; echo x >>WRITTEN; exec sleep 1000' & wait";
    let writer = node.writer(&lease.path(), script);
    lease.revoke();
    let name = format!("sleep (pid {})", writer.pids[0]);
    until("the holder is named", || lease.drain() == Drain::Held(vec![name.clone()]));
    lease.kill_holders();
    drained(&mut *lease);
    writer.ended();
}

#[test]
fn postgres_and_who_only_reads_the_lease_are_not_killed() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    symlink(which("sleep").unwrap(), node.bin.path().join("postgres")).unwrap();
    let script = "setsid sh -c 'echo $$ >>PIDS; echo x >>WRITTEN; exec postgres 1000' & wait";
    let writer = node.writer(&lease.path(), script);
    let mut reader =
        Command::new("sleep").arg("1000").stdin(File::open(lease.path()).unwrap()).spawn().unwrap();
    lease.revoke();
    let name = format!("postgres (pid {})", writer.pids[0]);
    until("the holder is named", || lease.drain() == Drain::Held(vec![name.clone()]));
    lease.kill_holders();
    assert!(runs(writer.pids[0]) && runs(i32::try_from(reader.id()).unwrap()));
    reader.kill().unwrap();
    reader.wait().unwrap();
    crate::sys::Process::open(writer.pids[0]).unwrap().kill().unwrap();
    drained(&mut *lease);
    writer.ended();
}

#[test]
fn a_renamed_parent_changes_nothing_for_the_run() {
    let node = Node::new("dash").unwrap();
    let parent = node.within("parent");
    let mut claim = ours(claim(&parent.join("data"), None));
    let mut lease = claim.grant("").unwrap();
    let writer = node.writer(&lease.path(), WRITERS[0].1);
    fs::rename(&parent, node.within("moved")).unwrap();
    fs::create_dir_all(parent.join("data.barman-recover")).unwrap();
    claim.note(&crate::world::Note::default()).unwrap();
    lease.revoke();
    writer.ended();
    drained(&mut *lease);
    claim.remove().unwrap();
    assert!(parent.join("data.barman-recover").exists(), "another directory at the old path is not ours");
    assert!(!node.within("moved/data.barman-recover").exists());
}

#[test]
fn files_are_for_their_owner_alone_whatever_the_umask_is() {
    for umask in ["000", "777"] {
        let node = Node::new("dash").unwrap();
        let (mut run, path) = run_elsewhere(&node.data(), umask);
        let directory = Path::new(&path).parent().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(directory), 0o700);
        let entries: Vec<PathBuf> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 5, "{entries:?}");
        assert!(entries.iter().all(|path| mode(path) == 0o600), "{entries:?}");
        run.kill().unwrap();
        run.wait().unwrap();
    }
}

#[test]
fn the_log_of_a_full_file_system_has_its_room() {
    let node = Node::new("dash").unwrap();
    let mount = node.within("small");
    fs::create_dir(&mount).unwrap();
    let Some(_mounted) = Mounted::small(&mount) else {
        eprintln!("left out: only root can mount a file system");
        return;
    };
    let mut full = ours(claim(&mount.join("data"), None));
    let mut lease = full.grant("").unwrap();
    let filled = fs::write(mount.join("fill"), vec![0; 4 << 20]);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    for _ in 0..100 {
        assert!(node.run(&lease.path(), &["true"], "").status.success());
    }
    assert_eq!(lease.log().unwrap().len(), 200);
    lease.revoke();
    assert_eq!(lease.drain(), Drain::Drained);
    // Another lease finds no room, and says so.
    let problem = full.grant("").err().unwrap();
    assert!(problem.message.contains("written to") && problem.hint.contains("make room"), "{problem:?}");
    let left: Vec<String> = fs::read_dir(full.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        left.iter().filter(|name| name.starts_with(LEASE) || name.starts_with(NEW)).count(),
        0,
        "{left:?}"
    );
}

struct Mounted(PathBuf);

impl Mounted {
    fn small(path: &Path) -> Option<Mounted> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Mounted(path.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = CString::new(self.0.to_str().unwrap()).unwrap();
        let _ = Command::new("umount").arg("-l").arg(path.to_str().unwrap()).status();
    }
}

#[test]
fn a_log_that_can_not_be_written_refuses_the_command() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let lease = claim.grant("").unwrap();
        let log = lease.path().replace(LEASE, LOG);
        fs::remove_file(&log).unwrap();
        symlink("/dev/full", &log).unwrap();
        let file = node.within("file");
        let ran = node.run(&lease.path(), &["touch", file.to_str().unwrap()], "");
        assert_eq!((ran.status.code(), file.exists()), (Some(75), false), "{shell}");
    }
}

#[test]
fn the_log_is_untrusted_text() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("log");
    let mut log = Log::new(File::options().read(true).append(true).create(true).open(&path).unwrap());
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"12 ls /d\n12 = 0\n13 mkdir -p /d -m 700\n13 = 2\n7 half a li").unwrap();
    let began = |pid, words: &str| LogLine::Began(pid, words.into());
    let lines = vec![
        began(12, "ls /d"),
        LogLine::Ended(12, 0),
        began(13, "mkdir -p /d -m 700"),
        LogLine::Ended(13, 2),
    ];
    assert_eq!(log.read().unwrap(), lines);
    assert_eq!(log.read().unwrap(), []);
    writer.write_all(b"ne\n").unwrap();
    assert_eq!(log.read().unwrap(), [began(7, "half a line")]);
    writer
        .write_all(b"\n \nx y\n-1 a\n99999999999 a\n+5 a\n5\n5 \x1b[31m\xff\r\n6 = -1\n6 = 4294967295\n")
        .unwrap();
    let lines = log.read().unwrap();
    assert_eq!(lines, [began(5, " [31m\u{fffd} "), began(6, "= -1")]);
    // A line without an end, and more than is read at once.
    writer.write_all(b"1 ").unwrap();
    writer.write_all(&vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(log.read().unwrap(), []);
    writer.write_all(b"\n2 ").unwrap();
    writer.write_all(&vec![b'y'; 20_000]).unwrap();
    writer.write_all(b"\n3 = 0\n").unwrap();
    let lines = log.read().unwrap();
    assert_eq!(lines, [began(2, &"y".repeat(LONGEST_LINE - 2)), LogLine::Ended(3, 0)]);
}

#[test]
fn only_names_of_leases_are_taken_for_them() {
    assert_eq!(parse_name("lease-0123456789abcdef"), Some((LEASE, "0123456789abcdef")));
    for name in
        ["lease-", "lease-0123456789ABCDEF", "lease-0123456789abcde", "x-0123456789abcdef", "lock", "run"]
    {
        assert_eq!(parse_name(name), None, "{name}");
    }
    assert_ne!(number(), number());
    assert!(parse_name(&format!("{LOG}{}", number())).is_some());
}
