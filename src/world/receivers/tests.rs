use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use tempfile::{TempDir, tempdir};

/// A process of a test, gone with its value.
struct Running(Child);

impl Running {
    /// Runs a shell in `directory` that calls itself `name` and has these arguments, and does nothing.
    fn new(name: &str, arguments: &[&str], directory: &Path) -> Running {
        Running::of(
            Command::new("sh").arg0(name).args(["-c", "echo; read _", "sh"]).args(arguments),
            directory,
        )
    }

    fn rsync(arguments: &[&str], directory: &Path) -> Running {
        Running::new("rsync", arguments, directory)
    }

    fn receiver(directory: &Path) -> Running {
        Running::rsync(&["--server", "-sKtprRe.iLsfxCIvu"], directory)
    }

    fn of(command: &mut Command, directory: &Path) -> Running {
        let mut child =
            command.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Only then is it what it is to be.
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        Running(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// The signal that it has ended by.
    fn signal(&mut self) -> Option<i32> {
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Places {
    scratch: TempDir,
    data: PathBuf,
    receivers: Receivers,
}

impl Places {
    fn new() -> Places {
        let scratch = tempdir().unwrap();
        let data = scratch.path().join("data");
        for made in ["data/base/5", "data/pg_tblspc", "space/PG_15", "wal", "other", "data2"] {
            fs::create_dir_all(scratch.path().join(made)).unwrap();
        }
        symlink(scratch.path().join("space"), data.join("pg_tblspc/16384")).unwrap();
        symlink(scratch.path().join("wal"), data.join("pg_wal")).unwrap();
        Places { receivers: Receivers::new(&data), data, scratch }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn finds(&mut self, running: &Running) -> bool {
        self.receivers.find().contains(&running.pid())
    }
}

#[test]
fn a_receiver_is_found_wherever_the_restore_goes() {
    let mut places = Places::new();
    for place in ["data", "data/base/5", "space", "space/PG_15", "wal"] {
        let running = Running::receiver(&places.at(place));
        assert!(places.finds(&running), "{place}");
    }
    let running = Running::new("/usr/bin/rsync", &["--server", "."], &places.data);
    assert!(places.finds(&running), "with its whole path");
    drop(running);
    let link = places.at("link");
    symlink(&places.data, &link).unwrap();
    let running = Running::receiver(&places.data);
    assert_eq!(Receivers::new(&link).find(), [running.pid()], "through a link");
}

#[test]
fn nothing_else_is_taken_for_one() {
    let mut places = Places::new();
    for place in ["other", "data2", ""] {
        let running = Running::receiver(&places.at(place));
        assert!(!places.finds(&running), "{place}");
    }
    for (name, arguments) in [
        ("sh", &["--server"][..]),
        ("rsync", &["-a", "/data", "elsewhere:"]),
        ("rsync", &["--server", "--sender", "-e.LsfxCIvu"]),
        ("rsyncd", &["--server"]),
        ("rsync", &["--servers"]),
        ("postgres", &["--server", "rsync"]),
    ] {
        let running = Running::new(name, arguments, &places.data);
        assert!(!places.finds(&running), "{name} {arguments:?}");
    }
    assert_eq!(places.receivers.end(), 0);
}

#[test]
fn another_users_receiver_is_not_ours() {
    let mut places = Places::new();
    let running = Running::receiver(&places.data);
    places.receivers.see_places();
    let user = sys::effective_user();
    assert!(places.receivers.is_receiver(running.pid(), user));
    assert!(!places.receivers.is_receiver(running.pid(), user + 1));
    if user != 0 {
        return; // only root can start one
    }
    let mut command = Command::new("sh");
    command.arg0("rsync").args(["-c", "echo; read _", "sh", "--server"]).uid(65534);
    let running = Running::of(&mut command, &places.data);
    assert!(!places.finds(&running));
}

#[test]
fn a_receiver_whose_directory_was_removed_is_found() {
    for place in ["data", "data/base/5"] {
        let mut places = Places::new();
        let running = Running::receiver(&places.at(place));
        fs::remove_dir_all(&places.data).unwrap();
        assert!(places.finds(&running), "{place}: gone");
        fs::create_dir(&places.data).unwrap();
        assert!(places.finds(&running), "{place}: made anew");
        assert!(Receivers::new(&places.data).find().contains(&running.pid()), "{place}: by another run");
        assert!(Receivers::new(&places.at("other")).find().is_empty());
    }
}

#[test]
fn a_directory_that_only_looks_like_a_removed_one_is_another() {
    let mut places = Places::new();
    let twin = places.at("data (deleted)");
    fs::create_dir(&twin).unwrap();
    let running = Running::receiver(&twin);
    assert!(!places.finds(&running));
}

#[test]
fn a_receiver_whose_directory_was_moved_is_found_by_those_who_know_the_directory() {
    let mut places = Places::new();
    let running = Running::receiver(&places.data);
    let mut stranger = Receivers::new(&places.data);
    assert!(places.finds(&running));
    let known = inode(&fs::metadata(&places.data).unwrap());
    fs::rename(&places.data, places.at("data.failed")).unwrap();
    assert!(places.finds(&running));
    assert!(stranger.find().is_empty());
    stranger.remember(known);
    assert_eq!(stranger.find(), [running.pid()]);
}

#[test]
fn receivers_end_and_nobody_else() {
    let mut places = Places::new();
    let mut receivers: Vec<Running> =
        ["data", "data/base/5", "space", "wal"].map(|place| Running::receiver(&places.at(place))).into();
    let mut others = [
        Running::new("sh", &[], &places.data),
        Running::rsync(&["--server", "--sender"], &places.data),
        Running::receiver(&places.at("other")),
    ];
    assert_eq!(places.receivers.end(), receivers.len());
    for receiver in &mut receivers {
        assert_eq!(receiver.signal(), Some(libc::SIGTERM));
    }
    assert_eq!(places.receivers.end(), 0, "they have ended");
    for other in &mut others {
        assert!(other.0.try_wait().unwrap().is_none());
    }
}

#[test]
fn without_processes_of_this_system_there_are_none() {
    let mut places = Places::new();
    let running = Running::receiver(&places.data);
    let foreign = places.at("proc");
    for own in [None, Some("1")] {
        let _ = fs::remove_dir_all(&foreign);
        if let Some(own) = own {
            // As in a container that sees its host's processes.
            fs::create_dir(&foreign).unwrap();
            symlink(own, foreign.join("self")).unwrap();
            symlink(format!("/proc/{}", running.pid()), foreign.join(running.pid().to_string())).unwrap();
        }
        places.receivers.processes.clone_from(&foreign);
        assert!(places.receivers.find().is_empty() && places.receivers.end() == 0);
    }
}

#[test]
fn a_real_rsync_that_receives_is_found_and_ended() {
    if Command::new("rsync").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("BARMAN_RECOVER_TESTS_COMPLETE").is_none(), "rsync is not installed");
        return;
    }
    let mut places = Places::new();
    fs::create_dir(places.at("from")).unwrap();
    fs::write(places.at("from/file"), vec![7; 8 << 20]).unwrap();
    let rsync = |from: &str, to: &str| {
        let mut command = Command::new("rsync");
        // As Barman does, with a local command in place of ssh. Slow, so that it can be seen.
        command.args(["-a", "--bwlimit=100", "-e", "sh -c 'shift; exec \"$@\"' sh", from, to]);
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let mut into =
        rsync(&places.at("from/").display().to_string(), &format!("node:{}", places.data.display()));
    let until = Instant::now() + Duration::from_secs(30);
    while places.receivers.find().len() < 2 {
        assert!(Instant::now() < until, "two processes receive");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!((1..=2).contains(&places.receivers.end()));
    assert!(!into.wait().unwrap().success());
    assert!(places.receivers.find().is_empty());
    let mut from =
        rsync(&format!("node:{}/", places.at("from").display()), &places.at("other").display().to_string());
    std::thread::sleep(Duration::from_millis(300));
    let mut sender = Receivers::new(&places.at("from"));
    assert_eq!((sender.find().len(), sender.end()), (0, 0), "it reads from there");
    let _ = from.kill();
    let _ = from.wait();
}

/// What a look for them costs on a busy host: `cargo test -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_thousand_processes() {
    let mut places = Places::new();
    let others: Vec<Running> = (0..1000).map(|_| Running::new("sh", &[], &places.data)).collect();
    let cpu = || -> Duration {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let before = cpu();
    for _ in 0..20 {
        assert!(places.receivers.find().is_empty());
    }
    println!("{} processes: {:?} CPU a search", others.len(), (cpu() - before) / 20);
}
