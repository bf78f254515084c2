use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;
use tempfile::{TempDir, tempdir};

/// A process of a test, gone with its value.
struct Running(Child);

impl Running {
    /// Runs a shell in `directory` that calls itself `name` and has these arguments, and does nothing.
    fn new(name: &str, arguments: &[&str], directory: &Path) -> Running {
        let mut command = Command::new("sh");
        command.arg0(name).args(["-c", "echo; read _", "sh"]).args(arguments).current_dir(directory);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Only then is it what it is to be.
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        Running(child)
    }

    fn receiver(directory: &Path) -> Running {
        Running::new("rsync", &["--server", "-sKtprRe.iLsfxCIvu"], directory)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A data directory with a tablespace and WAL elsewhere, and what is beside it.
fn tree() -> (TempDir, PathBuf) {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    for made in ["data/base/5", "data/global", "data/pg_tblspc", "space/PG_15", "wal", "other", "data2"] {
        fs::create_dir_all(scratch.path().join(made)).unwrap();
    }
    symlink(scratch.path().join("space"), data.join("pg_tblspc/16384")).unwrap();
    symlink(scratch.path().join("wal"), data.join("pg_wal")).unwrap();
    symlink(&data, scratch.path().join("link")).unwrap();
    (scratch, data)
}

#[test]
fn a_receiver_anywhere_in_the_data_directory_counts() {
    let (scratch, data) = tree();
    for place in ["data", "data/base/5", "data/global", "space/PG_15", "wal"] {
        let _running = Running::receiver(&scratch.path().join(place));
        assert_eq!(count(&data), Ok(1), "{place}");
        assert_eq!(count(&scratch.path().join("link")), Ok(1), "{place}, through a link");
    }
}

#[test]
fn other_processes_do_not_count() {
    let (scratch, data) = tree();
    let receiver = ["--server", "-sKtprRe.iLsfxCIvu"];
    let _others = [
        Running::receiver(&scratch.path().join("other")),
        Running::receiver(&scratch.path().join("data2")),
        Running::new("rsync", &["--server", "--sender", "-sKtpr"], &data),
        Running::new("rsync", &["-a", "x", "y"], &data),
        Running::new("not-rsync", &receiver, &data),
    ];
    assert_eq!(count(&data), Ok(0));
    assert_eq!(count(&scratch.path().join("missing")), Ok(0));
}

#[test]
fn a_pg_basebackup_that_names_the_data_directory_counts() {
    let (scratch, data) = tree();
    let (path, link) = (data.to_str().unwrap(), scratch.path().join("link"));
    let (equals, short) = (format!("--pgdata={path}"), format!("-D{path}"));
    let through_link = format!("--pgdata={}/", link.display());
    for arguments in [
        &[&equals, "-X", "stream"][..],
        &["-v", "--pgdata", path],
        &["-D", path],
        &[&short],
        &["-D", "data"],
        &[&through_link],
    ] {
        let _running = Running::new("pg_basebackup", arguments, scratch.path());
        assert_eq!(count(&data), Ok(1), "{arguments:?}");
        assert_eq!(count(&link), Ok(1), "{arguments:?}, through a link");
    }
}

#[test]
fn a_pg_basebackup_elsewhere_does_not_count() {
    let (scratch, data) = tree();
    let _others = [
        Running::new("pg_basebackup", &["--pgdata=data2"], scratch.path()),
        Running::new("pg_basebackup", &["-X", "stream", "-D"], &data),
        Running::new("pg_basebackup", &[], &data),
    ];
    assert_eq!(count(&data), Ok(0));
}

/// Its WAL receiver goes on when Patroni has ended it and has removed the directory: it would write into the restore.
#[test]
fn a_pg_basebackup_counts_although_the_data_directory_was_removed() {
    let (scratch, data) = tree();
    let _running = Running::new("pg_basebackup", &[&format!("--pgdata={}", data.display())], scratch.path());
    fs::remove_dir_all(&data).unwrap();
    assert_eq!(count(&data), Ok(1));
}

#[test]
fn a_receiver_in_a_directory_that_was_removed_can_do_no_harm() {
    let (_scratch, data) = tree();
    let _running = Running::receiver(&data.join("base/5"));
    fs::remove_dir(data.join("base/5")).unwrap();
    assert_eq!(count(&data), Ok(0));
    fs::create_dir(data.join("base/5")).unwrap();
    assert_eq!(count(&data), Ok(0), "another directory is there now");
}
