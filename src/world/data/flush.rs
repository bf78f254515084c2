//! Writes a restored data directory to disk: rsync and tar leave it in memory, and a node that loses power a minute
//! after a restore must not come up with half of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cancel::{Cancel, Interrupt};
use crate::error::Error;
use crate::outcome::Code;
use crate::sys;
use crate::timing::{FLUSH_FIRST, FLUSH_LONGEST};
use crate::world::Known;
use crate::world::data::files::{Files, RealFiles, if_there, linked, unknown};
use crate::world::worker::{Panicked, Worker};

/// Flushes on a thread of its own, which goes on if the wait is interrupted: the system call can't be ended.
pub(super) fn flush(
    root: &Path,
    mut pause: impl FnMut(Duration) -> Result<(), Interrupt>,
) -> Result<(), Error> {
    let failed = |why: String| Error::new(Code::RecoveryFailed, why);
    let path = root.to_path_buf();
    let worker = match Worker::start("barman-flush", &Cancel::new(), move || flush_now(&path)) {
        Ok(worker) => worker,
        Err(error) => return Err(failed(format!("no thread can be started: {error}"))),
    };
    let mut wait = FLUSH_FIRST;
    loop {
        match worker.answer() {
            Some(answer) => {
                worker.join();
                let flushed =
                    answer.unwrap_or_else(|Panicked| Err("the thread that flushes has died".into()));
                return flushed.map_err(failed);
            }
            None => pause(wait)?,
        }
        wait = wait.saturating_mul(2).min(FLUSH_LONGEST);
    }
}

/// Flushes each file system once that holds a part of the data directory.
fn flush_now(root: &Path) -> Known<()> {
    let mut places = linked(&RealFiles, root)?;
    let wal = root.join("pg_wal"); // which may be a mount point
    if if_there(&wal, RealFiles.entry(&wal))?.is_some_and(|entry| entry.is_directory()) {
        places.push(wal);
    }
    places.push(root.into());
    let mut flushed = BTreeSet::new();
    for place in places {
        let failed = |error: std::io::Error| unknown(&place, &error);
        let opened = File::open(real(&place)).map_err(failed)?;
        if flushed.insert(opened.metadata().map_err(failed)?.dev()) {
            sys::sync_file_system(&opened).map_err(failed)?;
        }
    }
    Ok(())
}

/// The directory itself, and never a pipe that a link leads to, which would hang.
fn real(place: &Path) -> PathBuf {
    place.join(".")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use tempfile::tempdir;

    /// Flushes without an interrupt.
    fn flushed(root: &Path) -> Known<()> {
        flush(root, |time| {
            std::thread::sleep(time);
            Ok(())
        })
        .map_err(|error| error.message)
    }

    #[test]
    fn everything_is_flushed_or_the_place_that_was_not_is_named() {
        let scratch = tempdir().unwrap();
        let data = scratch.path().join("data");
        for made in ["data/pg_tblspc", "space", "wal"] {
            fs::create_dir_all(scratch.path().join(made)).unwrap();
        }
        symlink(scratch.path().join("space"), data.join("pg_tblspc/16384")).unwrap();
        symlink(scratch.path().join("wal"), data.join("pg_wal")).unwrap();
        assert_eq!(flushed(&data), Ok(()));
        fs::remove_dir(scratch.path().join("space")).unwrap();
        assert!(flushed(&data).unwrap_err().contains("pg_tblspc/16384"));
        assert!(flushed(&scratch.path().join("missing")).unwrap_err().contains("missing"));
    }

    #[test]
    fn a_place_that_is_a_pipe_does_not_hang() {
        let scratch = tempdir().unwrap();
        let pipe = scratch.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink(&pipe, scratch.path().join("pg_wal")).unwrap();
        assert!(flushed(scratch.path()).is_err());
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let scratch = tempdir().unwrap();
        // The thread may be quicker than the first look.
        let flushed = flush(scratch.path(), |_| Err(Interrupt::Cancelled));
        assert!(flushed.is_ok() || flushed.is_err_and(|error| error.is_interrupt()));
    }
}
