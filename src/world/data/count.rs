//! Counts what is in a data directory, again and again, on a thread of its own: a look costs nothing, and counting
//! costs two percent of the time, unless the directory is so large that the figures would become too old.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::timing::{COUNT_AGAIN, COUNT_LONGEST};
use crate::world::Usage;
use crate::world::data::files::{LOST_AND_FOUND, is_hidden};
use crate::world::worker;

/// The thread sleeps this many times as long as it counted, within limits.
const SLEEPS: u32 = 50;

/// The thread, which ends with this.
pub(super) struct Counter {
    last: Arc<Mutex<Option<Usage>>>,
    /// Closed when this is dropped.
    lives: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Counter {
    pub(super) fn start(root: &Path) -> io::Result<Counter> {
        let (lives, stop) = mpsc::channel();
        let last = Arc::new(Mutex::new(None));
        let (root, counted) = (root.to_path_buf(), last.clone());
        let work = move || {
            loop {
                let begun = Instant::now();
                // An error leaves what was counted before: fewer bytes would look like a change.
                if let Ok(usage) = count(&root, &stop) {
                    *counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
                }
                let rest = begun.elapsed().saturating_mul(SLEEPS).clamp(COUNT_AGAIN, COUNT_LONGEST);
                if stop.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = Some(worker::spawn("barman-count", work)?);
        Ok(Counter { last, lives: Some(lives), thread })
    }

    /// What was there when it was last counted to its end.
    pub(super) fn usage(&self) -> Option<Usage> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.lives = None;
        if let Some(thread) = self.thread.take() {
            worker::part_with(thread);
        }
    }
}

/// A directory that is still to be counted.
struct Waiting {
    path: PathBuf,
    is_wal: bool,
    /// Whether links in it are followed: those to tablespaces.
    is_tablespaces: bool,
}

/// Counts once.
fn count(root: &Path, stop: &Receiver<()>) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut waiting = vec![Waiting { path: root.into(), is_wal: false, is_tablespaces: false }];
    while let Some(directory) = waiting.pop() {
        let Some(entries) = unless_gone(fs::read_dir(&directory.path))? else { continue };
        for entry in entries {
            if stop.try_recv() == Err(TryRecvError::Disconnected) {
                return Err(ErrorKind::Interrupted.into());
            }
            waiting.extend(add(&mut usage, root, &directory, &entry?)?);
        }
    }
    Ok(usage)
}

/// Counts an entry. If it is a directory to be counted too, returns that.
fn add(usage: &mut Usage, root: &Path, above: &Waiting, entry: &DirEntry) -> io::Result<Option<Waiting>> {
    let Some(found) = unless_gone(entry.metadata())? else { return Ok(None) };
    if found.is_file() {
        usage.files += 1;
        usage.bytes = usage.bytes.saturating_add(found.size());
        if above.is_wal {
            usage.wal_bytes = usage.wal_bytes.saturating_add(found.size());
        }
        return Ok(None);
    }
    let (path, is_top) = (entry.path(), above.path == root);
    let is_wal = above.is_wal || is_top && entry.file_name() == "pg_wal";
    // Other links are those of the backup; hidden directories belong to the file server.
    let is_place = above.is_tablespaces || is_top && is_wal;
    let leads_away = found.is_symlink() && is_place && is_outside(&path, root)?;
    let name = entry.file_name();
    if is_hidden(&name) || name == LOST_AND_FOUND || !(found.is_dir() || leads_away) {
        return Ok(None);
    }
    let is_tablespaces = is_top && entry.file_name() == "pg_tblspc";
    Ok(Some(Waiting { path, is_wal, is_tablespaces }))
}

/// Whether a link leads to a directory that is not counted anyway.
fn is_outside(link: &Path, root: &Path) -> io::Result<bool> {
    let (Some(target), Some(root)) = (unless_gone(link.canonicalize())?, unless_gone(root.canonicalize())?)
    else {
        return Ok(false);
    };
    Ok(target.is_dir() && !target.starts_with(&root) && !root.starts_with(&target))
}

/// None for what has gone in the meantime, or belongs to somebody else: the next count leaves it out too.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;
    use tempfile::{TempDir, tempdir};

    fn file(scratch: &TempDir, name: &str, bytes: usize) {
        let path = scratch.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
    }

    fn usage(bytes: u64, wal_bytes: u64, files: u64) -> Usage {
        Usage { bytes, wal_bytes, files, total: None }
    }

    #[test]
    fn tablespaces_and_a_linked_wal_directory_count_and_other_links_do_not() {
        let scratch = tempdir().unwrap();
        let data = scratch.path().join("data");
        file(&scratch, "data/PG_VERSION", 3);
        file(&scratch, "data/base/5/.1.Xa7b3c", 1000);
        file(&scratch, "data/.snapshot/base/5/1", 7777);
        file(&scratch, "data/lost+found/1", 7777);
        file(&scratch, "space/PG_15/1", 500);
        file(&scratch, "wal/0001", 200);
        file(&scratch, "wal/archive_status/0001.ready", 20);
        file(&scratch, "other/big", 9999);
        fs::create_dir(data.join("pg_tblspc")).unwrap();
        for (link, to) in [
            ("pg_tblspc/16384", "space"),
            ("pg_tblspc/16385", "data/base"),
            ("pg_tblspc/16386", "."),
            ("pg_tblspc/16387", "nowhere"),
            ("pg_wal", "wal"),
            ("base/link", "other"),
            ("pg_log", "other"),
        ] {
            symlink(scratch.path().join(to), data.join(link)).unwrap();
        }
        let (_lives, stop) = mpsc::channel();
        assert_eq!(count(&data, &stop).unwrap(), usage(1723, 220, 5));
        symlink(&data, scratch.path().join("link")).unwrap();
        assert_eq!(count(&scratch.path().join("link"), &stop).unwrap(), usage(1723, 220, 5));
        assert_eq!(count(&scratch.path().join("missing"), &stop).unwrap(), Usage::default());
    }

    #[test]
    fn a_count_that_was_dropped_ends() {
        let scratch = tempdir().unwrap();
        file(&scratch, "PG_VERSION", 3);
        let (lives, stop) = mpsc::channel();
        drop(lives);
        assert!(count(scratch.path(), &stop).is_err());
    }

    #[test]
    fn what_is_counted_appears() {
        let scratch = tempdir().unwrap();
        file(&scratch, "PG_VERSION", 3);
        let counter = Counter::start(scratch.path()).unwrap();
        while counter.usage().is_none() {
            thread::yield_now();
        }
        assert_eq!(counter.usage(), Some(usage(3, 0, 1)));
    }
}
