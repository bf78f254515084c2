//! What a modelled restore leaves on the node, as Barman does: its order, its mark, its receivers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use standin::client::recovery;
use standin::{Api, Mark, Model, OnRemoval, Part, Script, Status, wait_until};
use tempfile::{TempDir, tempdir};

use crate::{ask, created_id, outcome, poll, within};

const BACKUP: &str = "20261122T101942";
const EARLIER: &str = "20261120T080000";

fn pg() -> Model {
    Model::new().server("pg").backup(EARLIER).backup(BACKUP).unique_ids().fill()
}

/// An operation in a directory of its own.
struct Started {
    _scratch: TempDir,
    data: String,
    api: Api,
    id: String,
}

fn start(model: Model) -> Started {
    let scratch = tempdir().unwrap();
    let data = within(&scratch, "data");
    let api = Api::start(model, Script::new());
    let id = created_id(&ask(&api, &recovery(&data)));
    Started { _scratch: scratch, data, api, id }
}

impl Started {
    fn end(&self) -> String {
        outcome(&self.api, &self.id)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.data).join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// When it last changed: no program can set that.
    fn changed(&self, name: &str) -> (i64, i64) {
        let meta = fs::metadata(self.path(name)).unwrap();
        (meta.ctime(), meta.ctime_nsec())
    }

    /// `.barman-recover.info`, by its keys.
    fn info(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path(".barman-recover.info")).unwrap();
        let pairs = text.lines().map(|line| line.split_once('=').expect("a key and a value"));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn label(&self) -> String {
        fs::read_to_string(self.path("backup_label")).unwrap()
    }

    /// The design's test: info and label name one start of WAL, and the edited configuration came later.
    fn is_marked(&self) -> bool {
        let (info, label) = (self.info(), self.label());
        let start = format!("START WAL LOCATION: {} (file {})\n", info["begin_xlog"], info["begin_wal"]);
        label.starts_with(&start)
            && self.changed("postgresql.auto.conf") > self.changed(".barman-recover.info")
    }

    /// Processes that look like rsync's receivers in the directory.
    fn receivers(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let found = processes.filter(|process| {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let mut arguments = arguments.split(|byte| *byte == 0);
            arguments.next() == Some(b"rsync")
                && arguments.any(|argument| argument == b"--server")
                && fs::read_link(process.path().join("cwd"))
                    .is_ok_and(|cwd| cwd.to_string_lossy().starts_with(&self.data))
        });
        found.map(|process| process.file_name().into_string().unwrap()).collect()
    }
}

fn terminate(pid: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill -s TERM {pid}")]).status().unwrap().success());
}

#[test]
fn a_restore_writes_in_barmans_order_and_leaves_its_mark() {
    let restore = start(pg().duration_ms(400).wal(2));
    assert_eq!(restore.end(), "DONE");
    let order = [
        "PG_VERSION",
        "backup_label",
        "base/1/16391",
        ".barman-recover.info",
        "pg_wal/00000001000000910000003F",
        "postgresql.auto.conf",
    ];
    let (start, end) = (restore.label(), restore.info());
    assert!(
        start.contains("(file 00000001000000910000003E)") && restore.has("pg_wal/00000001000000910000003F")
    );
    let order =
        order.map(|name| if name.starts_with("pg_wal") { "pg_wal/00000001000000910000003F" } else { name });
    let times = order.map(|name| restore.changed(name));
    assert!(times.is_sorted(), "{times:?}");
    assert!(restore.changed("global/pg_control") < restore.changed("base/1/16391"), "it is in the middle");
    assert!(restore.is_marked());
    assert_eq!(
        (end["server_name"].as_str(), end["begin_time"].as_str()),
        ("pg", "2026-11-22 10:19:42.488941+00:00")
    );
    assert!(end["backup_label"].contains(&format!("LABEL: Barman backup pg {BACKUP}\\n")));
    assert!(restore.has("postgresql.conf.origin") && restore.has("postgresql.auto.conf.origin"));
}

#[test]
fn the_edited_configuration_is_a_new_file() {
    let restore = start(pg().hold_behind(Part::Base));
    wait_until("the base backup", || restore.has("base/1/16391"));
    let before = fs::metadata(restore.path("postgresql.conf")).unwrap().ino();
    restore.api.release();
    assert_eq!(restore.end(), "DONE");
    assert_ne!(fs::metadata(restore.path("postgresql.conf")).unwrap().ino(), before);
    assert!(fs::read_to_string(restore.path("postgresql.conf")).unwrap().contains("archive_command = false"));
}

#[test]
fn hidden_files_are_no_reason_to_refuse_a_directory() {
    for (file, status) in [(".hidden", "DONE"), ("visible", "FAILED")] {
        let scratch = tempdir().unwrap();
        fs::write(within(&scratch, file), "").unwrap();
        let api = Api::start(pg(), Script::new());
        let id = created_id(&ask(&api, &recovery(scratch.path().to_str().unwrap())));
        assert_eq!(outcome(&api, &id), status, "{file}");
    }
}

#[test]
fn the_mark_can_be_of_another_backup_or_missing() {
    let other = start(pg().mark(Mark::Of(EARLIER.to_owned())));
    assert_eq!(other.end(), "DONE");
    assert!(!other.is_marked() && other.info()["backup_label"].contains(EARLIER));
    let missing = start(pg().mark(Mark::Missing));
    assert_eq!(missing.end(), "DONE");
    assert!(!missing.has(".barman-recover.info") && !missing.has("postgresql.conf.origin"));
    assert!(missing.has("global/pg_control") && missing.has("postgresql.auto.conf"));
}

#[test]
fn another_backup_than_asked_for_can_be_restored() {
    let other = start(pg().restores(EARLIER));
    assert_eq!(other.end(), "DONE");
    assert!(other.is_marked() && other.info()["backup_label"].contains(EARLIER));
    assert!(other.label().contains(EARLIER));
}

#[test]
fn an_old_info_comes_with_the_backup_and_makes_way_for_the_new_one() {
    let restore = start(pg().old_info(EARLIER).hold_behind(Part::Base));
    wait_until("the base backup", || restore.has("base/1/16391"));
    assert!(restore.info()["backup_label"].contains(EARLIER) && !restore.is_marked());
    let origin = restore.changed("postgresql.auto.conf.origin");
    restore.api.release();
    assert_eq!(restore.end(), "DONE");
    assert!(restore.info()["backup_label"].contains(BACKUP) && restore.is_marked());
    assert_eq!(restore.changed("postgresql.auto.conf.origin"), origin, "rsync left it alone");
}

#[test]
fn a_backup_by_pg_basebackup_has_no_id_in_its_label() {
    let restore = start(pg().postgres_backup());
    assert_eq!(restore.end(), "DONE");
    assert!(restore.is_marked() && restore.label().contains("LABEL: pg_basebackup base backup"));
    assert_eq!(restore.info()["backup_label"], "None");
    assert!(restore.has(&format!("backup_manifest.{BACKUP}")));
}

#[test]
fn a_restore_stops_behind_the_part_that_is_named() {
    for (part, there, missing) in [
        (Part::First, "PG_VERSION", "base/1/16384"),
        (Part::Half, "base/1/16384", "global/pg_control"),
        (Part::Base, "global/pg_control", ".barman-recover.info"),
        (Part::Info, ".barman-recover.info", "pg_wal/00000001000000910000003E"),
        (Part::Wal, "pg_wal/00000001000000910000003E", "postgresql.conf.origin"),
    ] {
        let restore = start(pg().stop_behind(part).result(Status::Failed));
        assert_eq!(restore.end(), "FAILED");
        assert!(restore.has(there) && !restore.has(missing), "{part:?}");
    }
    let failed = start(pg().result(Status::Failed));
    assert_eq!((failed.end().as_str(), failed.has("global/pg_control")), ("FAILED", false), "as Half");
    let marked = start(pg().stuck());
    wait_until("the mark", || marked.has("postgresql.conf.origin"));
    assert_eq!(poll(&marked.api, &marked.id), "IN_PROGRESS", "for ever");
}

#[test]
fn wal_can_come_in_a_trickle_and_another_writer_after_the_end() {
    let restore = start(pg().wal(3).wal_ms(100).writes_on_ms(300));
    wait_until("the first WAL file", || restore.has("pg_wal/00000001000000910000003E"));
    assert!(!restore.has("pg_wal/000000010000009100000040") && restore.has(".barman-recover.info"));
    assert_eq!(restore.end(), "DONE");
    assert!(!restore.has("base/2/5"), "the other writer is at work");
    wait_until("its last file", || restore.has("base/2/5"));
}

#[test]
fn receivers_live_in_the_directory_until_the_end() {
    let restore = start(pg().receivers().hold_behind(Part::Base));
    wait_until("the receivers", || restore.receivers().len() == 2);
    restore.api.release();
    assert_eq!(restore.end(), "DONE");
    assert!(restore.receivers().is_empty());
}

#[test]
fn a_receiver_that_is_terminated_makes_the_operation_fail() {
    let restore = start(pg().receivers().stuck());
    wait_until("the receivers", || restore.receivers().len() == 2);
    terminate(&restore.receivers()[0]);
    assert_eq!(restore.end(), "FAILED");
    assert!(restore.receivers().is_empty());
}

#[test]
fn barman_may_copy_again_before_it_fails() {
    let restore = start(pg().receivers().stuck().retries(1).retry_ms(100));
    for _ in 0..2 {
        wait_until("the receivers", || restore.receivers().len() == 2);
        assert_eq!(poll(&restore.api, &restore.id), "IN_PROGRESS");
        let first = restore.receivers();
        terminate(&first[0]);
        wait_until("their end", || !Path::new("/proc").join(&first[0]).exists());
    }
    assert_eq!(restore.end(), "FAILED");
}

#[test]
fn a_receiver_outlives_its_directory() {
    let restore = start(pg().receivers().stuck().on_removal(OnRemoval::Ignore));
    wait_until("the mark", || restore.has("postgresql.conf.origin"));
    fs::remove_dir_all(&restore.data).unwrap();
    assert_eq!(restore.receivers().len(), 2, "in a directory that is deleted");
    assert_eq!(poll(&restore.api, &restore.id), "IN_PROGRESS");
    assert!(restore.api.finish(&restore.id, Status::Failed));
    wait_until("their end", || restore.receivers().is_empty());
}
