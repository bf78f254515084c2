//! Restores: that they are what Barman does, through whatever ssh command they were given.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use standin::client::recovery_through;
use standin::{Api, Mark, Model, Part, Script, Status, wait_until};
use tempfile::{TempDir, tempdir};

use crate::{ask, created_id, outcome, poll, within};

const BACKUP: &str = "20261122T101942";
const EARLIER: &str = "20261120T080000";
/// For what nobody waits for.
const HOUR: u64 = 3_600_000;

fn pg() -> Model {
    Model::new().server("pg").backup(EARLIER).backup(BACKUP).unique_ids().fill()
}

/// An operation with a directory and a lease of its own.
struct Started {
    scratch: TempDir,
    data: String,
    lease: String,
    log: String,
    alive: File,
    api: Api,
    id: String,
}

fn start(model: Model) -> Started {
    start_in(tempdir().unwrap(), model)
}

fn start_in(scratch: TempDir, model: Model) -> Started {
    let [data, lease, alive, log] =
        ["data", "lease-1", "alive-1", "log-1"].map(|name| within(&scratch, name));
    let script = include_str!("../../../src/world/lease.sh")
        .replace("@LEASE@", &lease)
        .replace("@ALIVE@", &alive)
        .replace("@ONLY@", "");
    fs::write(&lease, script.replace("@LOG@", &log)).unwrap();
    let alive = File::create(alive).unwrap();
    alive.lock().unwrap();
    let api = Api::start(model, Script::new());
    let ssh_command = format!("ssh -q -o BatchMode=yes node sh {lease}");
    let id = created_id(&ask(&api, &recovery_through(&ssh_command, "pg", &data)));
    Started { scratch, data, lease, log, alive, api, id }
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

    fn modified(&self, name: &str) -> SystemTime {
        fs::metadata(self.path(name)).unwrap().modified().unwrap()
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

    /// The design's test: info and label name one start of WAL, the edited configuration is later, its WAL is there.
    fn is_complete(&self) -> bool {
        let info = self.info();
        let start = format!("START WAL LOCATION: {} (file {})\n", info["begin_xlog"], info["begin_wal"]);
        self.label().starts_with(&start)
            && self.modified("postgresql.auto.conf") > self.modified(".barman-recover.info")
            && ["PG_VERSION", "global/pg_control", "postgresql.auto.conf.origin"]
                .iter()
                .all(|file| self.has(file))
            && ["begin_wal", "end_wal"].iter().all(|key| self.has(&format!("pg_wal/{}", info[*key])))
    }

    /// The commands that came through the lease, without the directory and what only rsync reads.
    fn commands(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let words = log.lines().filter_map(|line| line.split_once(' ')).map(|(_, words)| words);
        let commands = words.filter(|words| !words.starts_with("= "));
        commands.map(|words| words.replace(&self.data, "DIR")).collect()
    }

    /// With which the last command ended; None while it runs.
    fn last_status(&self) -> Option<i32> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last()?.split_once(" = ")?.1.parse().ok()
    }

    /// Whether no command runs on the node.
    fn is_quiet(&self) -> bool {
        File::open(&self.lease).unwrap().try_lock().is_ok()
    }
}

const LOOK: [&str; 8] = [
    "true",
    "ls DIR",
    "test -e DIR/.barman-recover.info",
    "test -e DIR",
    "mkdir -p DIR -m 700",
    "touch DIR/.barman_write_check",
    "rm DIR/.barman_write_check",
    "rsync --server --sender -sre.iLsfxCIvu",
];
const RECEIVER: &str = "rsync --server -sKtprRe.iLsfxCIvu";

#[test]
fn a_restore_runs_barmans_commands_in_their_order_and_is_complete() {
    let restore = start(pg().duration_ms(200).wal(2));
    assert_eq!(restore.end(), "DONE", "{:?}", restore.api.operations());
    assert!(restore.is_complete() && restore.has("pg_wal/00000001000000910000003F"));
    let behind = [
        RECEIVER,
        "rsync --server -sKtprcRe.iLsfxCIvu",
        "test -e DIR/pg_tblspc",
        RECEIVER,
        "test -e DIR/backup_manifest",
        RECEIVER,
        "test -e DIR/postgresql.conf",
        "test -e DIR/postgresql.auto.conf",
        "test -e DIR/pg_hba.conf",
        "test -e DIR/pg_ident.conf",
        "rsync --server --sender -stprRe.iLsfxCIvu",
        RECEIVER,
    ];
    assert_eq!(restore.commands(), [&LOOK[..], &behind[..]].concat());
    let info = restore.info();
    assert_eq!((info["server_name"].as_str(), info["status"].as_str()), ("pg", "DONE"));
    assert!(info["backup_label"].contains(&format!("LABEL: Barman backup pg {BACKUP}\\n")));
    assert!(fs::read_to_string(restore.path("postgresql.conf")).unwrap().contains("archive_command = false"));
}

#[test]
fn a_run_that_ends_takes_the_copy_with_it() {
    let restore = start(pg().duration_ms(HOUR));
    wait_until("the receivers", || restore.has("PG_VERSION") && !restore.is_quiet());
    assert_eq!(poll(&restore.api, &restore.id), "IN_PROGRESS");
    restore.alive.unlock().unwrap();
    wait_until("the end of all that writes", || restore.is_quiet());
    assert_eq!(restore.end(), "FAILED");
    assert_eq!(restore.last_status(), Some(137), "it was killed");
    assert!(restore.api.operations()[0].output.contains("rsync error"));
}

#[test]
fn a_second_try_of_barman_is_refused_when_the_run_has_ended_and_completes_while_it_lives() {
    let refused = start(pg().duration_ms(HOUR).retries(1));
    wait_until("the receivers", || refused.has("PG_VERSION"));
    refused.alive.unlock().unwrap();
    assert_eq!((refused.end().as_str(), refused.commands().len()), ("FAILED", 9));
    let again = start(pg().duration_ms(300).retries(1).retry_ms(1000).hold_behind(Part::First));
    wait_until("the first file", || again.has("PG_VERSION"));
    fs::rename(&again.data, within(&again.scratch, "away")).unwrap();
    fs::write(&again.data, "in the way").unwrap();
    again.api.release();
    wait_until("the failed copy", || again.last_status().is_some_and(|status| status > 1));
    fs::remove_file(&again.data).unwrap();
    assert_eq!(again.end(), "DONE", "{:?}", again.api.operations());
    assert!(again.is_complete());
}

#[test]
fn visible_names_in_the_destination_and_words_of_the_login_fail_it_and_hidden_names_do_not() {
    for (file, model, status) in [
        ("data/.hidden", pg(), "DONE"),
        ("data/visible", pg(), "FAILED"),
        ("data/.hidden", pg().banner("Welcome!"), "FAILED"),
    ] {
        let scratch = tempdir().unwrap();
        fs::create_dir(within(&scratch, "data")).unwrap();
        fs::write(within(&scratch, file), "").unwrap();
        assert_eq!(start_in(scratch, model).end(), status, "{file}");
    }
}

#[test]
fn no_command_runs_while_it_is_held_or_in_a_gap_and_none_behind_a_stop() {
    for (part, there, missing) in [
        (Part::Look, "", "PG_VERSION"),
        (Part::First, "PG_VERSION", "base/1/16384"),
        (Part::Half, "base/1/16384", "global/pg_control"),
        (Part::Base, "global/pg_control", ".barman-recover.info"),
        (Part::Info, ".barman-recover.info", "pg_wal/00000001000000910000003E"),
        (Part::Wal, "pg_wal/00000001000000910000003E", "postgresql.conf.origin"),
    ] {
        let stopped = start(pg().stop_behind(part).result(Status::Failed));
        assert_eq!(stopped.end(), "FAILED");
        assert!(stopped.has(there) && !stopped.has(missing), "{part:?}");
    }
    let held = start(pg().hold_behind(Part::Base));
    wait_until("the base backup", || held.has("global/pg_control") && held.is_quiet());
    assert_eq!(poll(&held.api, &held.id), "IN_PROGRESS");
    held.api.release();
    assert_eq!(held.end(), "DONE");
    let late = start(pg().gap(Part::Look, HOUR));
    assert_eq!((poll(&late.api, &late.id).as_str(), late.commands().len()), ("IN_PROGRESS", 0));
    let dead = start(pg().stop_behind(Part::Info).stuck());
    wait_until("its last file", || dead.has(".barman-recover.info") && dead.is_quiet());
    assert_eq!(poll(&dead.api, &dead.id), "IN_PROGRESS");
    assert!(dead.api.finish(&dead.id, Status::Failed));
    assert_eq!((dead.end().as_str(), dead.has("pg_wal")), ("FAILED", false));
}

#[test]
fn two_of_them_may_use_one_lease_and_one_may_restore_elsewhere() {
    let two = start(pg().twice().duration_ms(300));
    two.end();
    assert_eq!(two.commands().iter().filter(|command| *command == "ls DIR").count(), 2);
    let elsewhere = tempdir().unwrap();
    let astray = start(pg().destination(&within(&elsewhere, "other")));
    assert_eq!(astray.end(), "DONE");
    assert!(!Path::new(&astray.data).exists() && elsewhere.path().join("other/PG_VERSION").exists());
}

#[test]
fn the_backup_may_be_another_one_and_its_mark_of_another_or_missing() {
    let other = start(pg().restores(EARLIER));
    assert_eq!(other.end(), "DONE");
    assert!(other.is_complete() && other.label().contains(EARLIER));
    let mark = start(pg().mark(Mark::Of(EARLIER.to_owned())));
    assert_eq!(mark.end(), "DONE");
    assert!(!mark.is_complete() && mark.info()["backup_label"].contains(EARLIER));
    let missing = start(pg().mark(Mark::Missing));
    assert_eq!(missing.end(), "DONE");
    assert!(!missing.has(".barman-recover.info") && !missing.has("postgresql.conf.origin"));
    let postgres = start(pg().postgres_backup());
    assert_eq!(postgres.end(), "DONE");
    assert!(postgres.is_complete() && postgres.label().contains("LABEL: pg_basebackup base backup"));
    assert!(postgres.has(&format!("backup_manifest.{BACKUP}")));
}

#[test]
fn an_old_info_comes_with_the_backup_and_makes_way_for_the_new_one() {
    let restore = start(pg().old_info(EARLIER).hold_behind(Part::Base));
    wait_until("the base backup", || restore.has("global/pg_control"));
    assert!(restore.info()["backup_label"].contains(EARLIER) && restore.has("postgresql.auto.conf.origin"));
    restore.api.release();
    assert_eq!(restore.end(), "DONE");
    assert!(restore.info()["backup_label"].contains(BACKUP) && restore.is_complete());
}
