//! Looking and counting as the machine in `recovery` wants it.

use std::collections::HashMap;
use std::fs::{self, Metadata, ReadDir};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::sys;
use crate::world::fs::directory::parent;
use crate::world::snapshot::{Identity, Inode, MARKS, Stamp};

/// What is in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// It can't be seen from here: its parent is missing or can't be read.
    Unseen,
    Missing,
    Empty,
    Something,
}

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) content: Content,
    /// Known when it is a directory.
    pub(crate) identity: Option<Identity>,
    /// Whether who empties it can remove it whole: it is no mount point, and its parent may be changed.
    pub(crate) removable: bool,
    pub(crate) pg_version: Option<Stamp>,
    pub(crate) pg_control: Option<Stamp>,
    /// Process of its `postmaster.pid`, if that process lives.
    pub(crate) postmaster: Option<i32>,
    /// What a restore has brought, while one may be running and where the directory can be seen.
    pub(crate) arrived: Option<Arrived>,
}

/// How much is in the data directory, its tablespaces and its WAL directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    /// How often the whole directory has been counted through.
    pub(crate) passes: u32,
    /// Size of the backup, once known.
    pub(crate) total: Option<u64>,
}

impl Look {
    pub(crate) const NOTHING: Look = Look {
        content: Content::Unseen,
        identity: None,
        removable: false,
        pg_version: None,
        pg_control: None,
        postmaster: None,
        arrived: None,
    };

    /// Whether a restore's first and last file are here, and neither is the one of `before`.
    pub(crate) fn restored_since(&self, before: &Look) -> bool {
        let new = |now: Option<Stamp>, then: Option<Stamp>| now.is_some() && now != then;
        new(self.pg_version, before.pg_version) && new(self.pg_control, before.pg_control)
    }

    pub(crate) fn complete(&self) -> bool {
        self.pg_version.is_some() && self.pg_control.is_some()
    }
}

/// Looks at the directory; `alive` tells whether a process lives.
pub(crate) fn look(path: &Path, alive: impl Fn(i32) -> bool) -> Look {
    let look = look_once(path, &alive);
    // Twice, as a call that failed may work a moment later, and a restore that can't be seen is done anew.
    if look.content == Content::Unseen { look_once(path, alive) } else { look }
}

fn look_once(path: &Path, alive: impl Fn(i32) -> bool) -> Look {
    let mut look = Look::NOTHING;
    let parent = parent(path);
    let directory = match fs::metadata(path) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Look { content: Content::Something, ..look },
        Err(error) => {
            if error.kind() == ErrorKind::NotFound && parent.is_dir() {
                look.content = Content::Missing;
            }
            return look;
        }
    };
    look.content = match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Content::Empty,
        Ok(false) => Content::Something,
        Err(_) => return look,
    };
    let marks = MARKS.map(|name| fs::metadata(path.join(name)).ok().map(|found| inode(&found)));
    look.identity = Some(Identity { directory: inode(&directory), marks });
    look.removable = sys::may_write(parent)
        && fs::symlink_metadata(path).is_ok_and(|entry| entry.is_dir())
        && fs::metadata(parent).is_ok_and(|parent| parent.dev() == directory.dev());
    if look.content == Content::Something {
        look.pg_version = stamp(&path.join("PG_VERSION"));
        look.pg_control = stamp(&path.join("global/pg_control"));
        look.postmaster = postmaster(&path.join("postmaster.pid")).filter(|pid| alive(*pid));
    }
    look
}

/// The process of a `postmaster.pid`: its first line, negative when it is a single-user backend. The lines behind
/// hold paths in whatever encoding.
fn postmaster(path: &Path) -> Option<i32> {
    let file = sys::open_to_read(path).ok()?;
    let mut first = Vec::new();
    BufReader::new(file.take(64)).read_until(b'\n', &mut first).ok()?;
    let pid: i32 = std::str::from_utf8(&first).ok()?.trim().parse().ok()?;
    pid.checked_abs().filter(|pid| *pid > 0)
}

fn inode(found: &Metadata) -> Inode {
    let born = found.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
    Inode { device: found.dev(), inode: found.ino(), born }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok().filter(|found| found.is_file() && found.len() > 0)?;
    Some(Stamp { inode: found.ino(), ctime: (found.ctime(), found.ctime_nsec()) })
}

/// Entries counted for each millisecond since the last look: an entry costs about 3 microseconds, so this is
/// a good half percent of a core. A directory of 100,000 files is passed through in 50 seconds.
const ENTRIES_PER_MILLISECOND: usize = 2;
/// Counted at each look, however soon it comes.
const LEAST: usize = 100;
/// Counted at one look, however late it comes.
const MOST: usize = 20_000;

/// Passes through the directory again and again.
pub(crate) struct Counter {
    root: PathBuf,
    /// Directories of this pass that are still to be read.
    open: Vec<PathBuf>,
    reading: Option<Reading>,
    /// Bytes directly in each directory, and the pass in which that was counted.
    sums: HashMap<PathBuf, (u64, u32)>,
    total: u64,
    passes: u32,
}

struct Reading {
    path: PathBuf,
    entries: ReadDir,
    bytes: u64,
}

impl Counter {
    pub(crate) fn new(root: &Path) -> Counter {
        let root = root.to_path_buf();
        Counter { open: vec![root.clone()], root, reading: None, sums: HashMap::new(), total: 0, passes: 0 }
    }

    /// Goes on counting; `since` is the time since the last look.
    pub(crate) fn look(&mut self, since: Duration) -> Arrived {
        let entries =
            usize::try_from(since.as_millis()).unwrap_or(MOST).saturating_mul(ENTRIES_PER_MILLISECOND);
        self.count(entries.clamp(LEAST, MOST))
    }

    /// Counts everything once more, for the figures at the end; what was counted before where that takes
    /// longer than `limit`.
    pub(crate) fn finish(&mut self, limit: Duration) -> Arrived {
        let started = Instant::now();
        let mut whole = Counter::new(&self.root);
        while whole.count(MOST).passes == 0 {
            if started.elapsed() > limit {
                return self.counted();
            }
        }
        whole.passes += self.passes;
        *self = whole;
        self.counted()
    }

    fn counted(&self) -> Arrived {
        // A large directory counts while it is being read.
        let partial = self.reading.as_ref().map_or(0, |reading| {
            let before = self.sums.get(&reading.path).map_or(0, |(bytes, _)| *bytes);
            reading.bytes.saturating_sub(before)
        });
        Arrived { bytes: self.total + partial, passes: self.passes, total: None }
    }

    /// Counts up to `entries` directory entries, and to the end of a pass at most.
    fn count(&mut self, entries: usize) -> Arrived {
        for _ in 0..entries {
            let Some(reading) = &mut self.reading else {
                if let Some(path) = self.open.pop() {
                    self.start(path);
                    continue;
                }
                self.end_pass();
                break;
            };
            match reading.entries.next() {
                Some(Ok(entry)) => {
                    // Not followed: a link is what Barman restored, unless it leads to a tablespace or WAL.
                    let Ok(found) = entry.metadata() else { continue };
                    if found.is_file() {
                        reading.bytes += found.len();
                    } else if found.is_dir() || self.root_link(&entry.path()) {
                        self.open.push(entry.path());
                    }
                }
                Some(Err(_)) => {}
                None => self.end_directory(),
            }
        }
        self.counted()
    }

    fn start(&mut self, path: PathBuf) {
        // A directory that has gone meanwhile counts nothing.
        self.reading = fs::read_dir(&path).ok().map(|entries| Reading { path, entries, bytes: 0 });
    }

    fn end_directory(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let (before, _) = self.sums.insert(reading.path, (reading.bytes, self.passes)).unwrap_or_default();
        self.total = self.total.saturating_sub(before) + reading.bytes;
    }

    fn end_pass(&mut self) {
        let pass = self.passes;
        self.sums.retain(|_, (_, counted)| *counted == pass);
        self.total = self.sums.values().map(|(bytes, _)| bytes).sum();
        self.passes += 1;
        self.open.push(self.root.clone());
    }

    /// `pg_wal` may be a link to a directory, and what is in `pg_tblspc` is.
    fn root_link(&self, path: &Path) -> bool {
        let link = path == self.root.join("pg_wal") || path.parent() == Some(&self.root.join("pg_tblspc"));
        link && fs::metadata(path).is_ok_and(|found| found.is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn each_state_of_a_directory_is_told_from_the_others() {
        let scratch = Scratch::new("data-states");
        let data = scratch.0.join("data");
        let seen = |path: &Path| look(path, |_| true);
        assert_eq!(seen(&scratch.0.join("no/data")).content, Content::Unseen);
        assert_eq!(seen(&data).content, Content::Missing);
        fs::create_dir(&data).unwrap();
        assert_eq!(seen(&data).content, Content::Empty);
        fs::write(data.join("PG_VERSION"), "15\n").unwrap();
        fs::create_dir(data.join("global")).unwrap();
        let pieces = seen(&data);
        assert!(pieces.content == Content::Something && !pieces.complete());
        fs::write(data.join("global/pg_control"), "x").unwrap();
        let whole = seen(&data);
        assert!(whole.complete() && whole.restored_since(&pieces).eq(&false));
        assert!(pieces.identity.unwrap().became(&whole.identity.unwrap()));
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir_all(data.join("global")).unwrap();
        assert!(!whole.identity.unwrap().became(&seen(&data).identity.unwrap()), "made anew");
    }

    #[test]
    fn each_mark_tells_a_directory_that_was_emptied_in_place() {
        let scratch = Scratch::new("data-marks");
        let seen = || look(&scratch.0, |_| true).identity.unwrap();
        let bare = seen();
        assert!(!bare.is_marked());
        for name in MARKS {
            fs::create_dir(scratch.0.join(name)).unwrap();
            let marked = seen();
            assert!(marked.is_marked() && bare.became(&marked), "{name}");
            fs::remove_dir(scratch.0.join(name)).unwrap();
            assert!(!marked.became(&seen()), "{name}");
        }
    }

    #[test]
    fn a_mount_point_or_a_link_can_only_be_emptied_in_place() {
        let scratch = Scratch::new("data-removable");
        let (data, link) = (scratch.0.join("data"), scratch.0.join("link"));
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let removable = |path: &Path| look(path, |_| true).removable;
        assert!(removable(&data));
        assert!(!removable(&link) && !removable(Path::new("/proc")));
    }

    #[test]
    fn only_files_that_changed_are_evidence_of_a_restore() {
        let scratch = Scratch::new("data-evidence");
        let seen = || look(&scratch.0, |_| true);
        let empty = seen();
        fs::create_dir(scratch.0.join("global")).unwrap();
        for file in ["PG_VERSION", "global/pg_control"] {
            fs::write(scratch.0.join(file), "x").unwrap();
        }
        let before = seen();
        assert!(before.restored_since(&empty));
        assert!(!seen().restored_since(&before));
        for file in ["PG_VERSION", "global/pg_control"] {
            // As rsync does: a new file takes the place of the old one.
            fs::write(scratch.0.join("new"), "x").unwrap();
            fs::rename(scratch.0.join("new"), scratch.0.join(file)).unwrap();
        }
        assert!(seen().restored_since(&before));
    }

    #[test]
    fn a_postmaster_counts_only_while_it_lives() {
        let scratch = Scratch::new("data-postmaster");
        fs::write(scratch.0.join("postmaster.pid"), "4711\n/data\n").unwrap();
        assert_eq!(look(&scratch.0, |pid| pid == 4711).postmaster, Some(4711));
        assert_eq!(look(&scratch.0, |_| false).postmaster, None);
        for none in ["0\n", "\n", "", "x\n4711\n", "-2147483648\n"] {
            fs::write(scratch.0.join("postmaster.pid"), none).unwrap();
            assert_eq!(look(&scratch.0, |_| true).postmaster, None, "{none:?}");
        }
    }

    #[test]
    fn a_postmaster_is_found_whatever_else_its_file_says() {
        let scratch = Scratch::new("data-postmaster-forms");
        let file = scratch.0.join("postmaster.pid");
        // A single-user backend, paths that are no UTF-8, a line without an end.
        for text in [&b"-4711\n/data\n"[..], b"4711\n/data/\xff\n1700000000\n5432\n/run/\xe9\n", b"4711"] {
            fs::write(&file, text).unwrap();
            assert_eq!(look(&scratch.0, |pid| pid == 4711).postmaster, Some(4711), "{text:?}");
        }
    }

    #[test]
    fn a_pipe_in_place_of_a_postmasters_file_holds_nobody_up() {
        let scratch = Scratch::new("data-postmaster-pipe");
        let made = std::process::Command::new("mkfifo").arg(scratch.0.join("postmaster.pid")).status();
        assert!(made.unwrap().success());
        assert_eq!(look(&scratch.0, |_| true).postmaster, None);
    }
}
