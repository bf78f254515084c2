//! What `/diagnose` says about the backup that would be restored, and whether this node has room for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::data_directory::Place;
use super::finding::{Finding, Report};
use crate::api::date::Moment;
use crate::api::diagnose::{Backup, Diagnosis, Tablespace};
use crate::config::Restore;
use crate::sys;
use crate::text::{clock, size};
use crate::world::Content;

const BACKUP: &str = "backup";
const NEWEST: &str = "newest backup";
const SPACE: &str = "free space";
const TABLESPACES: &str = "tablespaces";

/// What this file checks.
pub(super) const ALL: &[&str] = &[BACKUP, NEWEST, SPACE, TABLESPACES];

/// Most sites take a backup every day or every week.
const OLD: Duration = Duration::from_secs(8 * 86_400);

pub(super) fn look(diagnosis: &Diagnosis, restore: &Restore, place: &Place, report: &mut Report) {
    let (finding, backup) = of_backup(diagnosis, &restore.backup_id);
    report.add(finding);
    report.add(newest(diagnosis));
    match backup {
        Some(backup) => {
            report.add(space(backup, Path::new(&restore.data_directory), place.used));
            tablespaces(backup, place, report);
        }
        None => report.skip(&[SPACE, TABLESPACES], "there is no backup to restore"),
    }
}

fn of_backup<'a>(diagnosis: &'a Diagnosis, asked: &str) -> (Finding, Option<&'a Backup>) {
    let hint = "'patroni_barman backups' lists them; take one with 'barman backup' on the Barman host";
    match diagnosis.backup(asked) {
        Ok(backup) if backup.is_complete() => {
            let named =
                if backup.id == asked { asked.to_string() } else { format!("{asked} is {}", backup.id) };
            let bytes = backup.bytes.map_or("of unknown size".into(), size);
            let version = backup.version.map_or(String::new(), |version| format!(", PostgreSQL {version}"));
            let taken =
                backup.begin_time.as_ref().map_or(String::new(), |time| format!(", taken {}", time.text()));
            let detail = format!("{named}, {}, {bytes}{version}{taken}", backup.status);
            (Finding::ok(BACKUP, detail), Some(backup))
        }
        Ok(backup) => {
            let detail = format!("{} is {}, so it can't be restored", backup.id, backup.status);
            (Finding::failed(BACKUP, detail, hint), None)
        }
        Err(unknown) => (Finding::failed(BACKUP, unknown.to_string(), hint), None),
    }
}

fn newest(diagnosis: &Diagnosis) -> Finding {
    let Some(backup) = diagnosis.newest() else {
        return Finding::failed(
            NEWEST,
            "there is none that can be restored",
            "take one with 'barman backup'",
        );
    };
    let time = backup.end_time.as_ref().or(backup.begin_time.as_ref()).and_then(Moment::unix);
    let Some(age) = time.and_then(|time| diagnosis.barman.age(time)) else {
        return Finding::ok(NEWEST, format!("{}; its age is not known", backup.id));
    };
    let detail = format!("{}, {} old", backup.id, clock(age));
    if age >= OLD {
        let hint = "all WAL since then has to be replayed: does cron still run 'barman backup'?";
        return Finding::warning(NEWEST, detail, hint);
    }
    Finding::ok(NEWEST, detail)
}

/// Where the data directory is or will be. Emptying it frees what it contains.
fn space(backup: &Backup, directory: &Path, used: u64) -> Finding {
    let there = nearest(directory);
    match (sys::free_space(there), backup.bytes) {
        (Ok(free), Some(bytes)) => enough(there, free, used, bytes),
        (Ok(free), None) => {
            let detail = format!("{} at {}, for a backup of unknown size", size(free), there.display());
            Finding::warning(SPACE, detail, "see 'barman show-backup' on the Barman host")
        }
        (Err(error), _) => Finding::warning(SPACE, format!("{}: {error}", there.display()), ""),
    }
}

fn enough(there: &Path, free: u64, used: u64, bytes: u64) -> Finding {
    let room = free.saturating_add(used);
    let with = if used > 0 {
        format!(" (and {} in the data directory, which has to be emptied)", size(used))
    } else {
        String::new()
    };
    let detail = format!("{} at {}{with} for a backup of {}", size(free), there.display(), size(bytes));
    if room < bytes {
        let hint =
            "make room, or restore to a larger file system; tablespaces on other file systems need less here";
        return Finding::failed(SPACE, detail, hint);
    }
    if room - bytes < bytes / 10 {
        return Finding::warning(SPACE, detail, "the WAL since the backup needs space too");
    }
    Finding::ok(SPACE, detail)
}

/// Tablespaces outside the data directory: a restore writes each to its location on the source.
fn tablespaces(backup: &Backup, place: &Place, report: &mut Report) {
    if backup.tablespaces.is_empty() {
        return report.add(Finding::ok(TABLESPACES, "the backup has none outside of the data directory"));
    }
    for tablespace in &backup.tablespaces {
        report.add(of_tablespace(tablespace, place.content == Some(Content::Something)));
    }
}

/// `in_use`: the data directory has to be emptied too.
fn of_tablespace(tablespace: &Tablespace, in_use: bool) -> Finding {
    let Tablespace { name, location } = tablespace;
    let path = Path::new(location);
    let failed =
        |what: &str, hint: &str| Finding::failed(TABLESPACES, format!("{name}: {location} {what}"), hint);
    let owner =
        "PostgreSQL's user has to be able to write there: the API can't restore it to a different place";
    let Ok(found) = fs::metadata(path) else {
        let above = nearest(path);
        if path.is_symlink() {
            return failed("is a symbolic link to a directory that does not exist", owner);
        }
        if !sys::may_write(above) {
            let what = format!("does not exist, and this user may not write into {}", above.display());
            return failed(&what, owner);
        }
        return Finding::ok(TABLESPACES, format!("{name}: {location} does not exist yet{}", free_at(above)));
    };
    if !found.is_dir() {
        return failed("is not a directory", owner);
    }
    if !sys::may_write(path) {
        return failed("can't be written by this user", owner);
    }
    let is_empty = is_empty(path);
    if !is_empty {
        let hint = if in_use {
            "it has to be emptied with the data directory; Patroni does so"
        } else {
            "Barman 3.17 and later refuse it: is a cluster using it?"
        };
        return Finding::warning(TABLESPACES, format!("{name}: {location} is not empty"), hint);
    }
    Finding::ok(TABLESPACES, format!("{name}: {location} is empty{}", free_at(path)))
}

/// As Barman sees it: hidden names are nothing.
fn is_empty(directory: &Path) -> bool {
    let is_visible = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    fs::read_dir(directory).is_ok_and(|names| names.filter_map(Result::ok).all(|entry| !is_visible(&entry)))
}

/// The path, or the nearest directory above it that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"))
}

fn free_at(path: &Path) -> String {
    sys::free_space(path).map_or(String::new(), |free| format!(", {} free", size(free)))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn space_is_judged_with_room_for_the_wal() {
        let verdict = |free, used, bytes| enough(Path::new("/"), free, used, bytes).verdict;
        assert_eq!(verdict(99, 0, 100), Verdict::Failed);
        assert_eq!(verdict(100, 0, 100), Verdict::Warning);
        assert_eq!(verdict(109, 0, 100), Verdict::Warning);
        assert_eq!(verdict(110, 0, 100), Verdict::Ok);
        assert_eq!(verdict(10, 100, 100), Verdict::Ok, "what is emptied before comes free");
    }
    #[test]
    fn each_state_of_a_location_is_judged() {
        let scratch = tempdir().unwrap();
        let verdict = |name: &str| {
            let location = scratch.path().join(name).to_str().unwrap().into();
            of_tablespace(&Tablespace { name: "fast".into(), location }, false).verdict
        };
        fs::create_dir_all(scratch.path().join("full/PG_15_202209061")).unwrap();
        fs::create_dir(scratch.path().join("empty")).unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", scratch.path().join("link")).unwrap();
        for (name, expected) in [
            ("empty", Verdict::Ok),
            ("missing", Verdict::Ok),
            ("no/such/place", Verdict::Ok),
            ("full", Verdict::Warning),
            ("file", Verdict::Failed),
            ("link", Verdict::Failed),
        ] {
            assert_eq!(verdict(name), expected, "{name}");
        }
    }
}
