//! Whether this node has room for the backup: free space, and the locations of tablespaces.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::data_directory::DirectoryFacts;
use super::finding::{Finding, Recorder, Verdict};
use crate::api::diagnose::{Backup, ServerConfig, Tablespace};
use crate::sys;
use crate::text::size;

const SPACE: &str = "free space";
const TABLESPACES: &str = "tablespaces";

/// What this file checks.
pub(super) const ALL: &[&str] = &[SPACE, TABLESPACES];

pub(super) fn look(
    backup: &Backup,
    directory: &Path,
    place: &DirectoryFacts,
    config: &ServerConfig,
    record: &mut Recorder,
) {
    record.add(space(backup, directory, place.used));
    if backup.tablespaces.is_empty() {
        return record.add(Finding::ok(TABLESPACES, "the backup has none outside of the data directory"));
    }
    let ours = own_locations(directory);
    for tablespace in &backup.tablespaces {
        record.add(tablespace_finding(tablespace, &ours, config));
    }
}

/// Where the tablespaces of the cluster in the data directory are.
fn own_locations(directory: &Path) -> Vec<PathBuf> {
    let links = fs::read_dir(directory.join("pg_tblspc")).into_iter().flatten().filter_map(Result::ok);
    links.filter_map(|link| fs::canonicalize(link.path()).ok()).collect()
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
        (Err(error), _) => Finding::new(Verdict::Warning, SPACE, format!("{}: {error}", there.display())),
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

/// A restore writes each tablespace to its location on the source.
fn tablespace_finding(tablespace: &Tablespace, ours: &[PathBuf], config: &ServerConfig) -> Finding {
    let Tablespace { name, location } = tablespace;
    let path = Path::new(location);
    let failed =
        |what: &str, hint: &str| Finding::failed(TABLESPACES, format!("{name}: {location} {what}"), hint);
    let owner =
        "PostgreSQL's user has to be able to write there: the API can't restore it to a different place";
    let warning =
        |what: &str, hint: &str| Finding::warning(TABLESPACES, format!("{name}: {location} {what}"), hint);
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = nearest(path);
            if path.is_symlink() {
                return failed("is a symbolic link to a directory that does not exist", owner);
            }
            if !sys::may_write(above) {
                let what = format!("does not exist, and this user may not write into {}", above.display());
                return failed(&what, owner);
            }
            let free = free_at(above);
            return Finding::ok(TABLESPACES, format!("{name}: {location} does not exist yet{free}"));
        }
        Err(error) => {
            return warning(
                &format!("can't be seen: {error}"),
                "check that this user may read that directory",
            );
        }
    };
    if !found.is_dir() {
        return failed("is not a directory", owner);
    }
    if !sys::may_write(path) {
        return failed("can't be written by this user", owner);
    }
    match is_empty(path) {
        Ok(true) => Finding::ok(TABLESPACES, format!("{name}: {location} is empty{}", free_at(path))),
        Ok(false) if fs::canonicalize(path).is_ok_and(|real| ours.contains(&real)) => warning(
            "is not empty: the cluster in the data directory uses it",
            "it has to be emptied with the data directory; Patroni does so",
        ),
        Ok(false) if config.delta_restore => {
            warning("is not empty, and delta-restore writes over it", "is another cluster using it?")
        }
        Ok(false) => failed(
            "is not empty, and the cluster in the data directory does not use it",
            "is another cluster using it? Otherwise empty it: Barman 3.15 and later refuse the restore, earlier ones mix the files",
        ),
        Err(error) => warning(&format!("can't be listed: {error}"), "Barman lists it before a restore"),
    }
}

/// Whether the directory is empty for Barman, which runs `ls`: hidden names do not count.
fn is_empty(directory: &Path) -> io::Result<bool> {
    let is_hidden = |entry: DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in fs::read_dir(directory)? {
        if !is_hidden(entry?) {
            return Ok(false);
        }
    }
    Ok(true)
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
        fs::create_dir_all(scratch.path().join("full/PG_15_202209061")).unwrap();
        fs::create_dir(scratch.path().join("empty")).unwrap();
        fs::create_dir_all(scratch.path().join("hidden/.snapshot")).unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", scratch.path().join("link")).unwrap();
        for (name, is_ours, delta_restore, expected, words) in [
            ("empty", false, false, Verdict::Ok, "is empty"),
            ("hidden", false, false, Verdict::Ok, "is empty"),
            ("missing", false, false, Verdict::Ok, "does not exist yet"),
            ("no/such/place", false, false, Verdict::Ok, "does not exist yet"),
            ("full", false, false, Verdict::Failed, "does not use it"),
            ("full", true, false, Verdict::Warning, "uses it"),
            ("full", true, true, Verdict::Warning, "uses it"),
            ("full", false, true, Verdict::Warning, "delta-restore"),
            ("file", false, false, Verdict::Failed, "is not a directory"),
            ("link", false, false, Verdict::Failed, "a symbolic link"),
        ] {
            let path = scratch.path().join(name);
            let location = path.to_str().unwrap().into();
            let tablespace = Tablespace { name: "fast".into(), location };
            let ours = if is_ours { vec![fs::canonicalize(&path).unwrap()] } else { vec![] };
            let config = ServerConfig { delta_restore, ..ServerConfig::default() };
            let found = tablespace_finding(&tablespace, &ours, &config);
            assert!(found.verdict == expected && found.detail.contains(words), "{name}: {found:?}");
        }
    }

    #[test]
    fn only_what_the_data_directory_links_to_is_its_own() {
        let scratch = tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for directory in ["data/pg_tblspc", "ours", "other"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        std::os::unix::fs::symlink(at("ours"), at("data/pg_tblspc/16387")).unwrap();
        std::os::unix::fs::symlink(at("gone"), at("data/pg_tblspc/16388")).unwrap();
        assert_eq!(own_locations(&at("data")), [fs::canonicalize(at("ours")).unwrap()]);
        assert!(own_locations(&at("other")).is_empty() && own_locations(&at("no")).is_empty());
    }
}
