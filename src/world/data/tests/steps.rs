//! Restores a backup into a directory in the steps of Barman, with the modification times that it sends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::DataDirectory;
use crate::world::{Backup, Completeness};
use tempfile::{TempDir, tempdir};

/// The backup that is restored.
pub(super) const ID: &str = "20261124T163715";
/// The WAL that it needs.
pub(super) const WAL: [&str; 3] =
    ["0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"];

/// When the files got their modification times, in seconds: in the source, in Barman's catalogue, in the restore.
const SOURCE: u64 = 1_000_000;
const CATALOGUE: u64 = 2_000_000;
pub(super) const RESTORE: u64 = 3_000_000;

/// A data directory, and what is special about its backup.
pub(super) struct Restore {
    pub(super) scratch: TempDir,
    pub(super) data: PathBuf,
    pub(super) backup: Special,
    /// When Barman edits the configuration, in seconds.
    pub(super) edited: u64,
}

/// How a backup differs from a plain one that rsync made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Plain,
    /// `pg_basebackup` made it: its label has no ID, its manifest gets one.
    Postgres,
    /// As a tar file that is unpacked on the node: the manifest keeps its name.
    Tar,
    /// The source had itself been restored from an earlier backup.
    SourceRestored,
    /// PostgreSQL is to fetch WAL from Barman.
    GetWal,
    /// Nothing is there that Barman edits last.
    NoAutoConf,
    /// Barman had not archived all of its WAL.
    Waiting,
    /// A backup of a server that has been renamed.
    Renamed,
}

/// The steps, in their order.
pub(super) const STEPS: [fn(&Restore); 7] = [
    Restore::make,
    Restore::begin_base,
    Restore::end_base,
    Restore::record,
    Restore::begin_wal,
    Restore::end_wal,
    Restore::configure,
];

impl Restore {
    /// Into a directory that does not exist yet.
    pub(super) fn new(backup: Special) -> Restore {
        let scratch = tempdir().unwrap();
        Restore { data: scratch.path().join("data"), scratch, backup, edited: RESTORE }
    }

    /// A whole restore.
    pub(super) fn whole(backup: Special) -> Restore {
        let restore = Restore::new(backup);
        restore.run();
        restore
    }

    pub(super) fn run(&self) {
        for step in STEPS {
            step(self);
        }
    }

    pub(super) fn directory(&self) -> DataDirectory {
        DataDirectory::new(&self.data)
    }

    /// As rsync does it: under another name first. A file that is there already in this version is left alone.
    pub(super) fn put(&self, name: &str, text: &str, modified: u64) {
        let path = self.data.join(name);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
        let is_there = fs::metadata(&path)
            .is_ok_and(|found| found.len() == text.len() as u64 && found.modified().unwrap() == modified);
        if is_there {
            return;
        }
        let written = path.with_file_name(".written");
        fs::write(&written, text).unwrap();
        File::options().write(true).open(&written).unwrap().set_modified(modified).unwrap();
        fs::rename(written, path).unwrap();
    }

    fn make(&self) {
        for name in ["global", "base/5", "pg_tblspc", "pg_wal"] {
            fs::create_dir_all(self.data.join(name)).unwrap();
        }
    }

    fn begin_base(&self) {
        self.put("base/5/1", "data", SOURCE);
        if self.backup != Special::NoAutoConf {
            self.put("postgresql.auto.conf", "work_mem = 1\n", SOURCE);
        }
        if self.backup == Special::SourceRestored {
            self.put(
                ".barman-recover.info",
                &info("20260101T000000", "0/1000028", WAL[0], self.backup),
                SOURCE - 9,
            );
            self.put("postgresql.auto.conf.origin", "", SOURCE - 9);
            self.put("backup_manifest.20260101T000000", &manifest("0/1000028"), SOURCE - 9);
        }
    }

    fn end_base(&self) {
        self.put("PG_VERSION", "15\n", SOURCE);
        self.put("backup_label", &label(self.backup), SOURCE);
        self.put("global/pg_control", "control", SOURCE);
        match self.backup {
            Special::Postgres | Special::SourceRestored => {
                self.put(&format!("backup_manifest.{ID}"), &manifest("0/FE000028"), SOURCE);
            }
            Special::Tar => self.put("backup_manifest", &manifest("0/FE000028"), SOURCE),
            _ => {}
        }
    }

    fn record(&self) {
        self.put(".barman-recover.info", &info(ID, "0/FE000028", WAL[0], self.backup), CATALOGUE);
    }

    fn begin_wal(&self) {
        if self.backup != Special::GetWal {
            for name in &WAL[..2] {
                self.put(&format!("pg_wal/{name}"), "wal", SOURCE);
            }
        }
    }

    fn end_wal(&self) {
        if !matches!(self.backup, Special::GetWal | Special::Waiting) {
            self.put(&format!("pg_wal/{}", WAL[2]), "wal", SOURCE);
        }
    }

    fn configure(&self) {
        if self.backup == Special::NoAutoConf {
            return;
        }
        let mut text = String::from("work_mem = 1\n");
        if self.backup == Special::GetWal {
            text.push_str("restore_command = 'barman-wal-restore -P -U barman backup main %f %p'\n");
            self.put("recovery.signal", "", self.edited);
        }
        self.put("postgresql.auto.conf", &text, self.edited);
        self.put("postgresql.auto.conf.origin", "work_mem = 1\n", SOURCE);
    }
}

fn label(backup: Special) -> String {
    let text = match backup {
        Special::Postgres | Special::Tar | Special::SourceRestored => "pg_basebackup base backup".into(),
        _ => format!("Barman backup main {ID}"),
    };
    format!("START WAL LOCATION: 0/FE000028 (file {})\nLABEL: {text}\n", WAL[0])
}

fn info(id: &str, location: &str, begin: &str, backup: Special) -> String {
    let label = match backup {
        Special::Postgres | Special::Tar | Special::SourceRestored => "None".into(),
        _ => format!("'LABEL: Barman backup main {id}\\n'"),
    };
    let status = if backup == Special::Waiting { "WAITING_FOR_WALS" } else { "DONE" };
    let server = if backup == Special::Renamed { "old" } else { "main" };
    format!(
        "backup_label={label}\nbegin_time=2026-11-24 16:37:15+00:00\nbegin_wal={begin}\nbegin_xlog={location}\n\
         end_wal={}\nserver_name={server}\nstatus={status}\nxlog_segment_size=16777216\n",
        WAL[2]
    )
}

fn manifest(start: &str) -> String {
    format!(
        "{{ \"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"{start}\", \"End-LSN\": \"1/100\" }}\n] }}"
    )
}

/// The backup in a complete answer.
pub(super) fn complete(answer: Completeness) -> Backup {
    match answer {
        Completeness::Complete(backup) => backup,
        other => panic!("{other:?}"),
    }
}

/// What a container's start does to a volume: new change times everywhere, new times of directories.
pub(super) fn disturb(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        let mode = entry.metadata().unwrap().permissions();
        fs::set_permissions(entry.path(), mode).unwrap();
        if entry.path().is_dir() {
            disturb(&entry.path());
        }
    }
    File::open(directory).unwrap().set_modified(SystemTime::now()).unwrap();
}
