//! Tablespaces outside of the data directory: a restore writes each to the location that it had on the source.

use std::fs;
use std::path::Path;

use super::asked::Place;
use super::finding::{Finding, Report};
use crate::api::diagnose::{Backup, Tablespace};
use crate::sys;
use crate::text::size;
use crate::world::fs::inspect::nearest;
use crate::world::snapshot::Content;

pub(super) const TABLESPACES: &str = "tablespaces";

pub(super) fn look(backup: &Backup, place: &Place, report: &mut Report) {
    if backup.tablespaces.is_empty() {
        return report.add(Finding::ok(TABLESPACES, "the backup has none outside of the data directory"));
    }
    for tablespace in &backup.tablespaces {
        report.add(one(tablespace, place.content == Content::Something));
    }
}

/// `in_use`: beside a data directory that has to be emptied too.
fn one(tablespace: &Tablespace, in_use: bool) -> Finding {
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
        return Finding::ok(TABLESPACES, format!("{name}: {location} does not exist yet{}", free(above)));
    };
    if !found.is_dir() {
        return failed("is not a directory", owner);
    }
    if !sys::may_write(path) {
        return failed("can't be written by this user", owner);
    }
    let is_empty = fs::read_dir(path).is_ok_and(|mut all| {
        all.all(|entry| entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")))
    });
    if !is_empty {
        let hint = if in_use {
            "it has to be emptied with the data directory; Patroni does so"
        } else {
            "Barman 3.17 and later refuse it: is a cluster using it?"
        };
        return Finding::warning(TABLESPACES, format!("{name}: {location} is not empty"), hint);
    }
    Finding::ok(TABLESPACES, format!("{name}: {location} is empty{}", free(path)))
}

fn free(path: &Path) -> String {
    sys::free_space(path).map_or(String::new(), |free| format!(", {} free", size(free)))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn each_state_of_a_location_is_judged() {
        let scratch = tempdir().unwrap();
        let verdict = |name: &str| {
            let location = scratch.path().join(name).to_str().unwrap().into();
            one(&Tablespace { name: "fast".into(), location }, false).verdict
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
