//! What a look shows: content, the first file, a server that runs, and nothing that hangs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::super::{DataDirectory, linked_directories};
use super::steps::{Restore, Special, complete};
use crate::world::{Completeness, Content};
use tempfile::tempdir;

fn content(path: &Path) -> Content {
    DataDirectory::new(path).look().content.unwrap()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn each_state_of_a_directory_differs_from_the_others() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    assert_eq!(content(&scratch.path().join("no/data")), Content::Missing);
    assert_eq!(content(&data), Content::Missing);
    symlink("nowhere", &data).unwrap();
    assert_eq!(content(&data), Content::NotADirectory, "a link that leads nowhere");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "").unwrap();
    assert_eq!(content(&data), Content::NotADirectory);
    assert_eq!(content(&data.join("below")), Content::Missing);
    fs::remove_file(&data).unwrap();
    fs::create_dir_all(data.join(".snapshot")).unwrap();
    fs::write(data.join(".nfs0000000000000001"), "x").unwrap();
    assert_eq!(content(&data), Content::Empty, "hidden names");
    fs::create_dir(data.join("lost+found")).unwrap();
    assert_eq!(content(&data), Content::LostAndFound, "which ls shows");
    fs::write(data.join("x"), "x").unwrap();
    assert_eq!(content(&data), Content::Something);
    symlink(&data, scratch.path().join("link")).unwrap();
    assert_eq!(content(&scratch.path().join("link")), Content::Something);
}

#[test]
fn the_first_file_is_known_again_until_it_is_replaced() {
    let restore = Restore::new(Special::Plain);
    let mut directory = restore.directory();
    assert_eq!(directory.look().first_file, Ok(None));
    fs::create_dir(&restore.data).unwrap();
    fs::write(restore.data.join("PG_VERSION"), "").unwrap();
    assert_eq!(directory.look().first_file, Ok(None), "an empty file is not written yet");
    restore.put("PG_VERSION", "15\n", 1);
    let first = directory.look().first_file.unwrap().unwrap();
    super::steps::disturb(&restore.data);
    assert_eq!(directory.look().first_file, Ok(Some(first)));
    fs::remove_file(restore.data.join("PG_VERSION")).unwrap();
    assert_eq!(directory.look().first_file, Ok(None));
}

#[test]
fn a_directory_that_was_emptied_or_replaced_is_not_there_any_more() {
    let restore = Restore::new(Special::Plain);
    let mut directory = restore.directory();
    directory.remember().unwrap();
    restore.run();
    assert_eq!(directory.look().content, Ok(Content::Something));
    complete(directory.examine());
    fs::rename(&restore.data, restore.scratch.path().join("failed")).unwrap();
    assert_eq!(directory.look().content, Ok(Content::Missing));
    assert!(matches!(directory.examine(), Completeness::Incomplete(_)));
    fs::create_dir(&restore.data).unwrap();
    let found = directory.look();
    assert_eq!((found.content, found.first_file), (Ok(Content::Empty), Ok(None)));
    assert!(matches!(directory.examine(), Completeness::Incomplete(_)));
}

#[test]
fn a_server_that_runs_is_named_and_one_that_is_gone_is_not() {
    let restore = Restore::whole(Special::Plain);
    let own = std::process::id();
    let write = |text: &[u8]| fs::write(restore.data.join("postmaster.pid"), text).unwrap();
    for (text, pid) in [
        (format!("{own}\n/data\n").into_bytes(), Some(own)),
        (format!("-{own}\n").into_bytes(), Some(own)),
        ([format!("{own}\n").as_bytes(), b"\xff\xfe\n"].concat(), Some(own)),
        (b"0\n".to_vec(), None),
        (b"2147483647\n".to_vec(), None),
        (b"99999999999\n".to_vec(), None),
        (b"".to_vec(), None),
    ] {
        write(&text);
        assert_eq!(restore.directory().look().postmaster, Ok(pid), "{text:?}");
    }
}

#[test]
fn nothing_but_a_regular_file_is_read() {
    for name in ["postmaster.pid", "PG_VERSION", ".barman-recover.info", "backup_label", "backup_manifest.1"]
    {
        let restore = Restore::whole(Special::Tar);
        let path = restore.data.join(name);
        let _ = fs::remove_file(&path);
        pipe(&path);
        let found = restore.directory().look();
        assert!(found.postmaster == Ok(None) && found.first_file.is_ok(), "{name}: {found:?}");
        let is_needed = !["postmaster.pid", "backup_manifest.1"].contains(&name);
        assert_eq!(matches!(restore.directory().examine(), Completeness::Incomplete(_)), is_needed, "{name}");
    }
    let restore = Restore::whole(Special::Plain);
    fs::rename(restore.data.join("backup_label"), restore.scratch.path().join("label")).unwrap();
    symlink(restore.scratch.path().join("label"), restore.data.join("backup_label")).unwrap();
    assert!(matches!(restore.directory().examine(), Completeness::Incomplete(_)), "a link");
}

#[test]
fn an_inspection_shows_where_the_directory_will_be() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    for name in ["b", "a", ".hidden", "lost+found"] {
        let there = DataDirectory::new(&data.join("x/y")).inspect().unwrap();
        assert!(there.is_writable && there.free.is_some() && there.names.is_empty());
        fs::create_dir_all(data.join(name)).unwrap();
    }
    let there = DataDirectory::new(&data).inspect().unwrap();
    assert_eq!((there.names.join(" "), there.foreign_owner), ("a b lost+found".into(), None));
}

#[test]
fn links_to_directories_that_are_gone_are_no_directories() {
    let scratch = tempdir().unwrap();
    let (data, space) = (scratch.path().join("data"), scratch.path().join("space"));
    fs::create_dir_all(data.join("pg_tblspc")).unwrap();
    assert_eq!(linked_directories(&data), Ok(Vec::new()));
    fs::create_dir(&space).unwrap();
    symlink(&space, data.join("pg_tblspc/16400")).unwrap();
    symlink("/nowhere/at/all", data.join("pg_tblspc/16401")).unwrap();
    symlink("16402", data.join("pg_tblspc/16402")).unwrap();
    assert!(linked_directories(&data).is_err(), "a link to itself can't be followed");
    fs::remove_file(data.join("pg_tblspc/16402")).unwrap();
    assert_eq!(linked_directories(&data), Ok(vec![space.canonicalize().unwrap()]));
}
