use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::*;
use crate::world::snapshot::Content;
use tempfile::tempdir;

fn look(path: &Path) -> Snapshot {
    Directory::new(path).look()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn each_state_of_a_directory_differs_from_the_others() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    assert_eq!(look(&scratch.path().join("no/data")).content, Content::Unseen);
    assert_eq!(look(&data).content, Content::Missing);
    symlink("nowhere", &data).unwrap();
    assert_eq!(look(&data).content, Content::NotADirectory);
    fs::remove_file(&data).unwrap();
    fs::write(&data, "").unwrap();
    assert_eq!(look(&data).content, Content::NotADirectory);
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    assert_eq!(look(&data).content, Content::Empty);
    fs::create_dir(data.join(".snapshot")).unwrap();
    fs::write(data.join(".nfs0000000000000001"), "x").unwrap();
    assert_eq!(look(&data).content, Content::Empty, "hidden names");
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    fs::create_dir(data.join("global")).unwrap();
    let pieces = look(&data);
    assert_eq!(pieces.content, Content::Something);
    assert!(pieces.stamps.pg_version.is_some() && pieces.stamps.pg_control.is_none());
    fs::write(data.join("global/pg_control"), "x").unwrap();
    let whole = look(&data);
    assert!(whole.stamps.pg_control.is_some() && whole.mark.is_none());
    assert!(pieces.identity.unwrap().became(&whole.identity.unwrap()));
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir_all(data.join("global")).unwrap();
    assert!(!whole.identity.unwrap().became(&look(&data).identity.unwrap()), "made anew");
}

#[test]
fn each_mark_shows_a_directory_that_was_emptied_in_place() {
    let scratch = tempdir().unwrap();
    let seen = || look(scratch.path()).identity.unwrap();
    let bare = seen();
    for name in MARKS {
        fs::create_dir(scratch.path().join(name)).unwrap();
        let marked = seen();
        assert!(marked != bare && bare.became(&marked), "{name}");
        fs::remove_dir(scratch.path().join(name)).unwrap();
        assert!(!marked.became(&seen()), "{name}");
    }
}

#[test]
fn a_mount_point_or_a_link_can_only_be_emptied_in_place() {
    let scratch = tempdir().unwrap();
    let (data, link) = (scratch.path().join("data"), scratch.path().join("link"));
    fs::create_dir(&data).unwrap();
    symlink(&data, &link).unwrap();
    assert!(look(&data).removable);
    assert!(!look(&link).removable && !look(Path::new("/proc")).removable);
}

#[test]
fn a_file_that_takes_the_place_of_another_has_another_stamp() {
    let scratch = tempdir().unwrap();
    fs::create_dir(scratch.path().join("global")).unwrap();
    let stamps = || {
        let Stamps { pg_version, pg_control, info, auto_conf } = look(scratch.path()).stamps;
        [pg_version, pg_control, info, auto_conf]
    };
    let names = ["PG_VERSION", "global/pg_control", ".barman-recover.info", "postgresql.auto.conf"];
    let mut before = stamps();
    assert_eq!(before, [None; 4]);
    for (at, name) in names.iter().enumerate() {
        // As rsync does.
        fs::write(scratch.path().join("new"), "x").unwrap();
        fs::rename(scratch.path().join("new"), scratch.path().join(name)).unwrap();
        let now = stamps();
        for other in 0..names.len() {
            assert_eq!(now[other] == before[other], other != at, "{name}: {}", names[other]);
        }
        before = now;
    }
}

/// A process that lives, and one that has ended.
fn processes() -> (u32, u32) {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    (std::process::id(), child.id())
}

#[test]
fn a_postmaster_counts_only_while_it_lives() {
    let scratch = tempdir().unwrap();
    let (alive, dead) = processes();
    let found = |text: &[u8]| {
        fs::write(scratch.path().join("postmaster.pid"), text).unwrap();
        look(scratch.path()).postmaster
    };
    let lives = i32::try_from(alive).ok();
    // A single-user backend, paths that are no UTF-8, a line without an end.
    for text in [&b"P\n/data\n"[..], b"-P\n/data\n", b"P\n/data/\xff\n1700000000\n5432\n/run/\xe9\n", b"P"] {
        let text = String::from_utf8_lossy(text).replace('P', &alive.to_string());
        assert_eq!(found(text.as_bytes()), lives, "{text:?}");
    }
    let dead = format!("{dead}\n/data\n");
    for none in [dead.as_str(), "0\n", "\n", "", "x\n4711\n", "-2147483648\n"] {
        assert_eq!(found(none.as_bytes()), None, "{none:?}");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_holds_nobody_up() {
    let scratch = tempdir().unwrap();
    let restored = Restored::new(scratch.path());
    restored.finish();
    for name in ["postmaster.pid", ".barman-recover.info", "backup_label", "postgresql.auto.conf"] {
        let path = scratch.path().join(name);
        let kept = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        pipe(&path);
        let look = look(scratch.path());
        assert!(look.postmaster.is_none() && (look.mark.is_none() || kept.is_none()), "{name}");
        fs::remove_file(&path).unwrap();
        if let Some(kept) = kept {
            fs::write(&path, kept).unwrap();
        }
    }
}

/// What Barman restores, step by step in its order.
struct Restored<'a>(&'a Path);

impl Restored<'_> {
    fn new(path: &Path) -> Restored<'_> {
        fs::create_dir_all(path.join("pg_wal")).unwrap();
        let restored = Restored(path);
        restored.put("postgresql.auto.conf", "# base backup");
        restored.put("backup_label", Restored::sections().1);
        restored.put(".barman-recover.info", Restored::sections().0);
        restored
    }

    fn sections() -> (&'static str, &'static str) {
        let recording = include_str!("../../../../tests/recordings/restored-directory.txt");
        let mut sections = recording.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap().1);
        (sections.next().unwrap(), sections.next().unwrap())
    }

    /// As rsync does, at a later time than what was put before.
    fn put(&self, name: &str, text: &str) {
        thread::sleep(Duration::from_millis(15)); // a clock tick of the kernel
        fs::write(self.0.join(".new"), text).unwrap();
        fs::rename(self.0.join(".new"), self.0.join(name)).unwrap();
    }

    fn finish(&self) {
        self.put("postgresql.auto.conf", "# edited by Barman");
    }

    fn mark(&self) -> Option<Mark> {
        look(self.0).mark
    }
}

#[test]
fn a_restore_is_complete_once_barman_has_replaced_its_last_file() {
    let scratch = tempdir().unwrap();
    let mut directory = Directory::new(scratch.path());
    let restored = Restored::new(scratch.path());
    assert_eq!(directory.look().mark, None);
    for wal in
        ["000000010000000000000004", "000000010000000000000005", "000000010000000000000004.00000028.backup"]
    {
        restored.put(&format!("pg_wal/{wal}"), "x");
        assert_eq!(directory.look().mark, None);
    }
    restored.finish();
    let mark = directory.look().mark.unwrap();
    assert_eq!(directory.look().mark.as_ref(), Some(&mark), "read once");
    assert_eq!(
        mark,
        Mark {
            server: "pg".into(),
            backup_id: Some("20261124T163715".into()),
            begin_time: "2026-11-24 16:37:15.488941+00:00".into(),
            last_wal: Some("000000010000000000000005".into()),
        }
    );
    fs::remove_file(scratch.path().join("backup_label")).unwrap();
    assert_eq!(directory.look().mark, None, "PostgreSQL has begun to use it");
}

#[test]
fn what_came_with_the_backup_of_a_restored_source_is_no_mark() {
    let scratch = tempdir().unwrap();
    let restored = Restored(scratch.path());
    fs::create_dir(scratch.path().join("pg_wal")).unwrap();
    // The base backup in rsync's order: with the .info of the backup that its source was restored from.
    let (info, label) = Restored::sections();
    restored.put(
        ".barman-recover.info",
        &info
            .replace("0/4000028", "0/2000028")
            .replace("begin_wal=000000010000000000000004", "begin_wal=000000010000000000000002"),
    );
    restored.put("backup_label", label);
    restored.put("postgresql.auto.conf", "# base backup");
    restored.put("postgresql.auto.conf.origin", "# base backup");
    assert_eq!(restored.mark(), None);
    restored.put(".barman-recover.info", info);
    assert_eq!(restored.mark(), None);
    restored.finish();
    assert!(restored.mark().is_some());
}

#[test]
fn the_manifest_that_barman_renamed_last_names_a_postgres_backup() {
    let scratch = tempdir().unwrap();
    let restored = Restored::new(scratch.path());
    let (info, label) = Restored::sections();
    let id = "20261124T163715";
    restored
        .put("backup_label", &label.replace(&format!("Barman backup pg {id}"), "pg_basebackup base backup"));
    restored.put(".barman-recover.info", &info.replace("LABEL", "x"));
    restored.finish();
    assert_eq!(restored.mark().unwrap().backup_id, None, "without a manifest nothing says it");
    restored.put("backup_manifest.20261120T000000", "older, from the source");
    restored.put("backup_manifest", "x");
    fs::rename(scratch.path().join("backup_manifest"), scratch.path().join(format!("backup_manifest.{id}")))
        .unwrap();
    assert_eq!(restored.mark().unwrap().backup_id.as_deref(), Some(id));
}

#[test]
fn files_too_large_for_what_they_are_said_to_be_are_not_read() {
    let scratch = tempdir().unwrap();
    let restored = Restored::new(scratch.path());
    restored.finish();
    assert!(restored.mark().is_some());
    let file = File::options().append(true).open(scratch.path().join("backup_label")).unwrap();
    file.set_len(1 << 30).unwrap();
    assert_eq!(restored.mark(), None);
}
