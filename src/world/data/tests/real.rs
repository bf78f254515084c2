//! On real file systems and with real limits: what only root can set up is left out for others, and said.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::DataDirectory;
use super::steps::{Restore, Special, complete};
use crate::sys;
use crate::world::{Completeness, Content};

/// The data directory that a test shows to a process of its own.
const SHOWN: &str = "BARMAN_RECOVER_TEST_DATA";
const NOBODY: u32 = 65534;

/// A mount of a test, gone with its value.
struct Mount(PathBuf);

impl Mount {
    /// None, and said so, if this user can't mount here.
    fn new(kind: &str, options: &str, at: &Path) -> Option<Mount> {
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, "none"]).arg(at);
        let is_mounted = sys::effective_user() == 0 && mount.output().is_ok_and(|done| done.status.success());
        if !is_mounted {
            eprintln!("left out: {kind} can't be mounted here");
        }
        is_mounted.then(|| Mount(at.into()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs one test of this program in a process of its own, which has this data directory.
fn in_own_process(test: &str, data: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    command.args(["--exact", &name, "--ignored", "--test-threads=1"]).env(SHOWN, data);
    command
}

fn shown() -> PathBuf {
    std::env::var_os(SHOWN).unwrap().into()
}

#[test]
fn a_disk_that_is_not_mounted_any_more_is_not_an_empty_directory() {
    let restore = Restore::new(Special::Plain);
    fs::create_dir(&restore.data).unwrap();
    let Some(mount) = Mount::new("tmpfs", "size=8m", &restore.data) else { return };
    let below = Restore { data: restore.data.join("pg/15"), ..Restore::new(Special::Plain) };
    let [mut at, mut under] = [restore.directory(), below.directory()];
    for (directory, restore) in [(&mut under, &below), (&mut at, &restore)] {
        directory.remember().unwrap();
        restore.run();
        assert_eq!(directory.look().content, Ok(Content::Something));
        complete(directory.examine());
    }
    drop(mount);
    for directory in [&mut at, &mut under] {
        let found = directory.look();
        assert!(found.content.is_err() && found.first_file.is_err(), "{found:?}");
        assert!(matches!(directory.examine(), Completeness::Unknown(_)));
    }
}

#[test]
fn a_restore_on_an_overlay_is_seen_as_anywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(_base) = Mount::new("tmpfs", "size=8m", scratch.path()) else { return };
    let [lower, upper, work, at] = ["lower", "upper", "work", "at"].map(|name| scratch.path().join(name));
    for made in [&lower.join("data/global"), &upper, &work, &at] {
        fs::create_dir_all(made).unwrap();
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let Some(_mount) = Mount::new("overlay", &options, &at) else { return };
    let restore = Restore { data: at.join("data"), ..Restore::new(Special::Postgres) };
    let mut directory = restore.directory();
    directory.remember().unwrap();
    assert_eq!(directory.look().first_file, Ok(None));
    restore.run();
    assert_eq!(directory.look().content, Ok(Content::Something));
    complete(directory.examine());
    fs::remove_file(restore.data.join("PG_VERSION")).unwrap();
    assert_eq!(directory.look().first_file, Ok(None));
}

#[test]
fn what_another_user_may_not_see_is_unknown() {
    if sys::effective_user() != 0 {
        return eprintln!("left out: only root can be another user");
    }
    let restore = Restore::whole(Special::Plain);
    fs::set_permissions(restore.scratch.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&restore.data, Permissions::from_mode(0o700)).unwrap();
    match in_own_process("sees_nothing", &restore.data).uid(NOBODY).gid(NOBODY).output() {
        Ok(done) => {
            let text = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && text.contains("1 passed"), "{text}");
        }
        Err(error) => eprintln!("left out: this program can't be run by another user: {error}"),
    }
}

#[test]
#[ignore = "run by another test, as another user"]
fn sees_nothing() {
    let Some(data) = std::env::var_os(SHOWN) else { return };
    let mut directory = DataDirectory::new(Path::new(&data));
    let found = directory.look();
    assert!(found.content.is_err() && found.first_file.is_err() && found.postmaster.is_err(), "{found:?}");
    assert!(matches!(directory.examine(), Completeness::Unknown(_)));
    assert!(directory.remember().is_err());
    assert!(directory.inspect().is_err());
}

#[test]
fn without_a_free_descriptor_nothing_is_known() {
    let restore = Restore::whole(Special::Plain);
    let done = in_own_process("has_no_descriptor", &restore.data).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn has_no_descriptor() {
    if std::env::var_os(SHOWN).is_none() {
        return;
    }
    let mut directory = DataDirectory::new(&shown());
    let right = directory.look().content;
    complete(directory.examine());
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    assert!(directory.look().content.is_err());
    assert!(matches!(directory.examine(), Completeness::Unknown(_)));
    assert!(directory.strangers().is_err());
    drop(held);
    assert_eq!(directory.look().content, right);
    complete(directory.examine());
}

/// Ends ext4 as a loss of power does: what is in memory is lost, the journal's included.
const SHUT_DOWN: &str = "
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))
";

/// Makes a directory on a file system of its own, lets `work` fill it, and takes the power away. Returns what is there
/// afterwards; None if this user can't do that here.
fn after_a_loss_of_power(work: impl FnOnce(&Restore)) -> Option<Completeness> {
    let scratch = tempfile::tempdir().unwrap();
    let [image, at] = ["image", "at"].map(|name| scratch.path().join(name));
    File::create(&image).unwrap().set_len(32 << 20).unwrap();
    fs::create_dir(&at).unwrap();
    let is_made =
        Command::new("mkfs.ext4").arg("-q").arg(&image).output().is_ok_and(|done| done.status.success());
    if !is_made {
        eprintln!("left out: ext4 can't be made here");
        return None;
    }
    let mount = || {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).args([&image, &at]);
        let is_mounted = sys::effective_user() == 0 && mount.output().is_ok_and(|done| done.status.success());
        is_mounted.then(|| Mount(at.clone()))
    };
    let Some(mounted) = mount() else {
        eprintln!("left out: ext4 can't be mounted here");
        return None;
    };
    let restore = Restore { data: at.join("data"), ..Restore::new(Special::Plain) };
    work(&restore);
    let ended = Command::new("python3").args(["-c", SHUT_DOWN]).arg(&at).output();
    if !ended.is_ok_and(|done| done.status.success()) {
        eprintln!("left out: ext4 can't be shut down here");
        return None;
    }
    drop(mounted);
    let _mounted = mount().unwrap();
    Some(restore.directory().examine())
}

#[test]
fn what_was_flushed_survives_a_loss_of_power() {
    let pause = |time| {
        std::thread::sleep(time);
        Ok(())
    };
    let survived = after_a_loss_of_power(|restore| {
        restore.run();
        restore.directory().flush(pause).unwrap();
    });
    let Some(survived) = survived else { return };
    complete(survived);
    let lost = after_a_loss_of_power(Restore::run);
    assert!(!matches!(lost, Some(Completeness::Complete(_))), "the test shows nothing: {lost:?}");
}
