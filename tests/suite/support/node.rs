//! Runs of the built program against an API of the test's own: a node with a data directory, and on it
//! processes whose end, log and state directory can be looked at. A run that hangs is killed and fails its test.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Within as _, tempdir, without_root};
use standin::{Api, wait_until};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_patroni_barman");
pub const SERVER: &str = "main";

/// Exit status of a run that has started nothing, as the API is not OK.
pub const API_NOT_OK: i32 = 254;
/// Exit status of wrong usage, and of an HTTP error.
pub const WRONG: i32 = 2;

/// Only a guard: no run of a test takes half as long on a loaded machine.
const HANGS: Duration = Duration::from_secs(90);

/// Waits short, limits long: a loaded machine must not make a fault of what is none. After a lost create the list is
/// looked at for as long as its reply may take.
const GLOBAL: [&str; 6] = ["--retry-wait", "0", "--max-retries", "3", "--create-timeout", "15"];

/// Where a backup is restored to.
pub struct Node {
    scratch: TempDir,
    pub data: String,
    pub state_dir: String,
    runs: AtomicU32,
}

impl Node {
    pub fn new() -> Self {
        let scratch = tempdir();
        fs::create_dir(scratch.within("pg")).unwrap();
        let data = scratch.within("pg/data");
        let state_dir = format!("{data}.barman-recover");
        Self { scratch, data, state_dir, runs: AtomicU32::new(0) }
    }

    pub fn path(&self, name: &str) -> String {
        self.scratch.within(name)
    }

    /// The arguments of a recovery into this node's data directory; `extra` come last and win.
    pub fn arguments(&self, url: &str, extra: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--api-url", url];
        arguments.extend(GLOBAL);
        arguments.extend(["recover", "--barman-server", SERVER, "--ssh-command", "ssh node"]);
        arguments.extend(["--data-directory", &self.data, "--loop-wait", "1", "--max-outage", "30"]);
        arguments.extend(extra);
        arguments.into_iter().map(str::to_owned).collect()
    }

    pub fn command(&self, url: &str, extra: &[&str]) -> Command {
        let mut command = bare(PROGRAM);
        command.args(self.arguments(url, extra));
        command
    }

    pub fn start(&self, api: &Api, extra: &[&str]) -> Run {
        self.spawn(self.command(&api.url(), extra))
    }

    /// Starts a command with what it prints in a file of its own.
    pub fn spawn(&self, command: Command) -> Run {
        self.spawn_with(command, None)
    }

    /// Starts a command with another standard error, if one is given.
    pub fn spawn_with(&self, mut command: Command, stderr: Option<Stdio>) -> Run {
        let log = self.path(&format!("log-{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(stderr.unwrap_or_else(|| file.into()));
        Run { child: command.spawn().unwrap(), log, state_dir: self.state_dir.clone() }
    }

    pub fn run(&self, api: &Api, extra: &[&str]) -> Ended {
        self.start(api, extra).end()
    }

    /// A path in the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.data).join(name)
    }

    pub fn has_state(&self) -> bool {
        Path::new(&self.state_dir).exists()
    }

    /// The names in the state directory.
    pub fn state_files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.state_dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// The note of the last run in the state directory; null without one.
    pub fn note(&self) -> Value {
        let note = fs::read(Path::new(&self.state_dir).join("run")).unwrap_or_default();
        serde_json::from_slice(&note).unwrap_or_default()
    }

    /// Until the run that restores here has seen the first file and noted it.
    pub fn wait_for_first_file(&self) {
        wait_until("the first file to be noted", || !self.note()["first_file"].is_null());
    }

    /// The processes that work in the data directory: rsync receivers, whether it has been removed or not.
    pub fn receivers(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let works_here = |process: &PathBuf| {
            fs::read_link(process.join("cwd")).is_ok_and(|place| {
                let place = place.to_string_lossy();
                let place = place.strip_suffix(" (deleted)").unwrap_or(&place);
                place.strip_prefix(&self.data).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        processes.filter(works_here).map(|process| process.display().to_string()).collect()
    }

    /// Whether a whole restore is there: its beginning, the start of WAL that both `.barman-recover.info` and
    /// `backup_label` name, and an edited configuration that is later than that.
    pub fn is_complete(&self) -> bool {
        let modified = |name: &str| fs::metadata(self.file(name)).and_then(|found| found.modified()).ok();
        let text = |name: &str| fs::read_to_string(self.file(name)).unwrap_or_default();
        let info = text(".barman-recover.info");
        let wal = info.lines().find_map(|line| line.strip_prefix("begin_wal=")).unwrap_or("none");
        ["PG_VERSION", "base/1/16384", "global/pg_control"].iter().all(|file| self.file(file).exists())
            && text("backup_label").contains(wal)
            && modified("postgresql.auto.conf") > modified(".barman-recover.info")
    }

    /// As Patroni does after a hook that failed. Files may still be landing in it.
    pub fn remove_data(&self) {
        wait_until("the data directory to be gone", || {
            let _ = fs::remove_dir_all(&self.data);
            !Path::new(&self.data).exists()
        });
    }
}

/// A command that takes nothing from the tests' caller: neither settings nor signals that are ignored, as under nohup and
/// in the background of a script. The program would go on ignoring them.
pub fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    let notice_signals = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: it passes no pointer to a function of ours.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec it calls only signal, which is async-signal-safe.
    unsafe { command.pre_exec(notice_signals) };
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BARMAN_RECOVER_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A living run; killed when dropped.
pub struct Run {
    child: Child,
    log: String,
    state_dir: String,
}

impl Run {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Until its log has this.
    pub fn wait_for(&self, words: &str) {
        wait_until(words, || self.log().contains(words));
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "the run has ended before its signal: {}", self.log());
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn end(self) -> Ended {
        self.end_watched(|_| {})
    }

    /// `watch` gets the process ID again and again until the end.
    pub fn end_watched(mut self, mut watch: impl FnMut(u32)) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < HANGS, "the run hangs:\n{}", self.log());
            watch(self.pid());
            thread::sleep(Duration::from_millis(5));
        };
        let entries = fs::read_dir(&self.state_dir).into_iter().flatten().flatten();
        let left = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
        Ended { status, log: without_root(&self.log()), left }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of a run.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub log: String,
    /// The content of all files in the state directory; after success there are none.
    pub left: String,
}

impl Ended {
    /// The exit status, or minus the signal that ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap())
    }

    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "{}", self.log);
        assert!(!self.log.contains("panicked"), "{}", self.log);
        self
    }

    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(self.log.contains(words), "'{words}' is not in\n{}", self.log);
        self
    }

    /// The backup was restored.
    #[track_caller]
    pub fn done(&self) {
        self.expect(0);
    }

    /// It ended with this status and one error, which says why, and a hint.
    #[track_caller]
    pub fn fails(&self, status: i32, why: &str) {
        self.expect(status);
        let errors: Vec<&str> = self.log.lines().filter(|line| line.contains(" ERROR: ")).collect();
        let [error, hint] = errors[..] else { panic!("not an error and a hint: {}", self.log) };
        assert!(error.contains(why), "no '{why}' in: {error}");
        assert!(hint.contains(" ERROR: HINT: "), "{hint}");
    }

    /// It ended with wrong usage, and says why.
    #[track_caller]
    pub fn is_refused(&self, why: &[&str]) {
        self.expect(WRONG);
        for why in why {
            self.says(why);
        }
    }

    pub fn warnings(&self) -> usize {
        self.log.lines().filter(|line| line.contains(" WARNING: ")).count()
    }
}
