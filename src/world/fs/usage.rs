//! Counts what is in a data directory during a restore: a few entries per look, half of them where something has just
//! changed. A directory of any size thus costs no more than a small share of one core.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirEntry, Metadata, ReadDir};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::world::fs::directory::is_hidden;
use crate::world::snapshot::Usage;

/// Time limit of one look, however slow the file system is.
const LONGEST: Duration = Duration::from_millis(20);
/// Entries counted per millisecond: with four looks a second, each look counts all of a new cluster, which has about
/// a thousand.
const ENTRIES_PER_MILLISECOND: usize = 4;
/// Entries counted when a look comes late, or when in a hurry.
const MOST: usize = 20_000;
/// Entries that the first pass counts in a hurry: a directory that holds more at the start is not a new one.
const FIRST: usize = 50_000;
/// Entries counted at least, however soon a look follows the previous one.
const LEAST: usize = 200;
/// Number of directories that are checked at every look.
const MOST_WATCHED: usize = 64;

/// A change time (ctime), as the file system gives it.
type Time = (i64, i64);

/// Passes over the directory, again and again.
pub(crate) struct DiskUsage {
    root: PathBuf,
    started: Time,
    looked: Instant,
    directories: HashMap<PathBuf, Directory>,
    /// The sum over all of them, as last counted.
    sum: Sum,
    /// The directories that changed last, newest first: they are checked first.
    watched: Vec<(Time, PathBuf)>,
    /// The directories that this pass still has to read.
    pass: Queue,
    /// The directories that changed since they were read.
    changed: Queue,
    changes: u64,
    passes: u32,
    /// Passes up to this one are hurried, like the first.
    hurry_until: u32,
    /// How many entries may still be counted in a hurry.
    hurried: usize,
}

/// Directories to read, and the one being read.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<PathBuf>,
    reading: Option<Reading>,
}

struct Reading {
    path: PathBuf,
    entries: ReadDir,
    found: Directory,
}

/// The direct contents of a directory.
#[derive(Default)]
struct Directory {
    changed: Time,
    is_wal: bool,
    sum: Sum,
    /// The file that changed last: it may still grow.
    newest: Option<(Time, PathBuf, Sum)>,
    /// The pass in which it was last read.
    pass: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    bytes: u64,
    wal_bytes: u64,
    entries: u64,
    /// Over inodes, sizes and times, in any order: differs when a file has replaced another.
    hash: u64,
}

impl DiskUsage {
    pub(crate) fn new(root: &Path) -> DiskUsage {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        DiskUsage {
            root: root.into(),
            started: (i64::try_from(now.as_secs()).unwrap_or(0), now.subsec_nanos().into()),
            looked: Instant::now(),
            directories: HashMap::new(),
            sum: Sum::default(),
            watched: Vec::new(),
            pass: Queue { waiting: [root.into()].into(), reading: None },
            changed: Queue::default(),
            changes: 0,
            passes: 0,
            hurry_until: 1,
            hurried: FIRST,
        }
    }

    /// Continues counting.
    pub(crate) fn look(&mut self) -> Usage {
        let now = Instant::now();
        let since = now - std::mem::replace(&mut self.looked, now);
        let entries = usize::try_from(since.as_millis()).unwrap_or(usize::MAX);
        self.watch(now + LONGEST / 2);
        let entries = if self.passes < self.hurry_until && self.hurried > 0 {
            self.hurried = self.hurried.saturating_sub(MOST);
            MOST
        } else {
            entries.saturating_mul(ENTRIES_PER_MILLISECOND)
        };
        self.count(entries.clamp(LEAST, MOST), now + LONGEST);
        self.usage()
    }

    /// Counts faster until it has gone through everything once more: for the figures at the end.
    pub(crate) fn hurry(&mut self) {
        (self.hurry_until, self.hurried) = (self.passes + 2, usize::MAX); // the current pass began earlier
    }

    fn usage(&self) -> Usage {
        // A large directory counts even while it is being read for the first time.
        let begun =
            self.pass.reading.as_ref().filter(|reading| !self.directories.contains_key(&reading.path));
        let begun = begun.map_or(Sum::default(), |reading| reading.found.sum);
        Usage {
            bytes: self.sum.bytes + begun.bytes,
            wal_bytes: self.sum.wal_bytes + begun.wal_bytes,
            changes: self.changes,
            passes: self.passes,
            total: None,
        }
    }

    /// Checks the directories that changed last, and the newest file of each.
    fn watch(&mut self, until: Instant) {
        for (_, path) in self.watched.clone() {
            if Instant::now() >= until {
                return;
            }
            let Some(known) = self.directories.get_mut(&path) else { continue };
            let now = fs::metadata(&path).map_or_else(|_| Time::default(), |found| time(&found));
            if now != known.changed {
                known.changed = now;
                self.changes += 1;
                self.see(now, &path);
                self.changed.add(path);
            } else if let Some((changed, file, was)) = &mut known.newest {
                let Ok(found) = fs::symlink_metadata(file) else { continue };
                let is = Sum::of(&found, known.is_wal);
                if is != *was {
                    self.changes += 1;
                    self.sum = self.sum.less(*was).plus(is);
                    known.sum = known.sum.less(*was).plus(is);
                    (*changed, *was) = (time(&found), is);
                }
            }
        }
    }

    /// Watches a directory if it is among those that changed last.
    fn see(&mut self, changed: Time, path: &Path) {
        self.watched.retain(|(_, watched)| watched != path);
        let at = self.watched.partition_point(|(earlier, _)| Reverse(*earlier) <= Reverse(changed));
        self.watched.insert(at, (changed, path.into()));
        self.watched.truncate(MOST_WATCHED);
    }

    /// Counts up to `entries` directory entries, at most to the end of a pass.
    fn count(&mut self, entries: usize, until: Instant) {
        for n in 0..entries {
            if n % 16 == 15 && Instant::now() >= until {
                return;
            }
            // Half is for the pass, so that it completes whatever changes in the meantime.
            if n % 2 == 0 && !self.changed.is_empty() {
                self.step(Turn::Changed);
            } else if !self.pass.is_empty() {
                self.step(Turn::Pass);
            } else {
                return self.end_pass();
            }
        }
    }

    /// Reads one entry, or opens or closes a directory.
    fn step(&mut self, turn: Turn) {
        let queue = match turn {
            Turn::Pass => &mut self.pass,
            Turn::Changed => &mut self.changed,
        };
        let Some(reading) = &mut queue.reading else {
            queue.reading = queue.waiting.pop_front().and_then(|path| Reading::start(path, &self.root));
            return;
        };
        match reading.entries.next() {
            Some(Ok(entry)) => {
                let Some((path, found)) = reading.found.add(&entry, &self.root) else { return };
                if turn == Turn::Changed && self.directories.contains_key(&path) {
                    return;
                }
                // Read what has changed since the start first: it may be what is being restored.
                if time(&found) > self.started {
                    queue.waiting.push_front(path);
                } else {
                    queue.waiting.push_back(path);
                }
            }
            Some(Err(_)) => {}
            None => {
                if let Some(reading) = queue.reading.take() {
                    self.end_directory(reading);
                }
            }
        }
    }

    fn end_directory(&mut self, Reading { path, mut found, .. }: Reading) {
        found.pass = self.passes;
        let newest = found.newest.as_ref().map_or(found.changed, |(changed, ..)| found.changed.max(*changed));
        let before = self.directories.get(&path).map(|known| known.sum);
        // What was there from the start is not a change when it is first read.
        let is_change = before.map_or(self.passes > 0 || newest > self.started, |before| before != found.sum);
        self.changes += u64::from(is_change);
        self.sum = self.sum.less(before.unwrap_or_default()).plus(found.sum);
        if is_change || before.is_none() {
            self.see(newest, &path);
        }
        self.directories.insert(path, found);
    }

    fn end_pass(&mut self) {
        let before = self.directories.len();
        self.directories.retain(|_, known| known.pass == self.passes);
        self.changes += u64::from(self.directories.len() != before);
        self.sum = self.directories.values().fold(Sum::default(), |sum, known| sum.plus(known.sum));
        self.watched.retain(|(_, path)| self.directories.contains_key(path));
        self.passes += 1;
        self.pass.waiting.push_back(self.root.clone());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Pass,
    Changed,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_none()
    }

    fn add(&mut self, path: PathBuf) {
        if !self.waiting.contains(&path) {
            self.waiting.push_back(path);
        }
    }
}

impl Reading {
    /// `None` if the directory is gone.
    fn start(path: PathBuf, root: &Path) -> Option<Reading> {
        let found = Directory {
            changed: time(&fs::metadata(&path).ok()?),
            is_wal: path.starts_with(root.join("pg_wal")),
            ..Directory::default()
        };
        Some(Reading { entries: fs::read_dir(&path).ok()?, path, found })
    }
}

impl Directory {
    /// Counts an entry. If it is a directory to be counted too, returns its path.
    fn add(&mut self, entry: &DirEntry, root: &Path) -> Option<(PathBuf, Metadata)> {
        // Links are not followed: Barman restored them as links, unless they lead to a tablespace or to WAL.
        let found = entry.metadata().ok()?;
        let is = Sum::of(&found, self.is_wal);
        self.sum = self.sum.plus(is);
        let changed = time(&found);
        if found.is_file() {
            if self.newest.as_ref().is_none_or(|(newest, ..)| *newest <= changed) {
                self.newest = Some((changed, entry.path(), is));
            }
            return None;
        }
        // Hidden directories belong to the file server: snapshots of everything.
        let (path, is_hidden) = (entry.path(), is_hidden(&entry.file_name()));
        (!is_hidden && (found.is_dir() || is_followed(&path, root))).then_some((path, found))
    }
}

/// `pg_wal` may be a link to a directory; the entries of `pg_tblspc` are.
fn is_followed(path: &Path, root: &Path) -> bool {
    let is_place = *path == root.join("pg_wal") || path.parent() == Some(&root.join("pg_tblspc"));
    is_place && fs::metadata(path).is_ok_and(|found| found.is_dir())
}

fn time(found: &Metadata) -> Time {
    (found.ctime(), found.ctime_nsec())
}

impl Sum {
    /// The sum of one entry. Only files have a size of their own, and change independently of other entries.
    fn of(found: &Metadata, is_wal: bool) -> Sum {
        let (seconds, nanoseconds) = if found.is_file() { time(found) } else { Time::default() };
        let bytes = if found.is_file() { found.len() } else { 0 };
        let parts = [found.ino(), bytes, seconds.cast_unsigned(), nanoseconds.cast_unsigned()];
        let mix = |hash: u64, part: &u64| (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let hash = parts.iter().fold(0, mix);
        Sum { bytes, wal_bytes: if is_wal { bytes } else { 0 }, entries: 1, hash }
    }

    fn plus(self, other: Sum) -> Sum {
        Sum {
            bytes: self.bytes.saturating_add(other.bytes),
            wal_bytes: self.wal_bytes.saturating_add(other.wal_bytes),
            entries: self.entries + other.entries,
            hash: self.hash.wrapping_add(other.hash),
        }
    }

    fn less(self, other: Sum) -> Sum {
        Sum {
            bytes: self.bytes.saturating_sub(other.bytes),
            wal_bytes: self.wal_bytes.saturating_sub(other.wal_bytes),
            entries: self.entries.saturating_sub(other.entries),
            hash: self.hash.wrapping_sub(other.hash),
        }
    }
}

#[cfg(test)]
mod tests;
