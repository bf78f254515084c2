//! Counts the bytes in a data directory while it is being restored: a few directory entries at each look, so
//! that a directory of any size costs no more than a small share of one core.

use std::collections::HashMap;
use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::world::fs::directory::Arrived;

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
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::Scratch;

    fn file(scratch: &Scratch, name: &str, bytes: usize) {
        let path = scratch.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
    }

    #[test]
    fn tablespaces_and_a_linked_wal_directory_count_and_other_links_do_not() {
        let scratch = Scratch::new("count-links");
        file(&scratch, "data/PG_VERSION", 3);
        file(&scratch, "data/base/5/1", 1000);
        file(&scratch, "space/PG_15/1", 500);
        file(&scratch, "wal/0001", 200);
        file(&scratch, "other/big", 9999);
        fs::create_dir(scratch.0.join("data/pg_tblspc")).unwrap();
        for (link, to) in [("pg_tblspc/16384", "space"), ("pg_wal", "wal"), ("base/link", "other")] {
            symlink(scratch.0.join(to), scratch.0.join("data").join(link)).unwrap();
        }
        assert_eq!(Counter::new(&scratch.0.join("data")).finish(Duration::MAX).bytes, 1703);
    }

    #[test]
    fn a_look_counts_a_bounded_number_of_entries_and_several_add_up() {
        let scratch = Scratch::new("count-bounded");
        for n in 0..1000 {
            file(&scratch, &format!("d{}/f{n}", n % 7), 10);
        }
        let mut counter = Counter::new(&scratch.0);
        assert!(counter.look(Duration::ZERO).bytes < 10_000, "all at once");
        let looks = (0..100).find(|_| counter.look(Duration::ZERO).passes > 0).unwrap();
        assert_eq!(counter.counted().bytes, 10_000);
        assert!((5..50).contains(&looks), "{looks}");
    }

    #[test]
    fn growth_and_removal_are_seen_in_the_next_pass() {
        let scratch = Scratch::new("count-changes");
        file(&scratch, "a/1", 10);
        let mut counter = Counter::new(&scratch.0);
        let mut pass = || {
            let before = counter.passes;
            while counter.look(Duration::ZERO).passes == before {}
            counter.counted().bytes
        };
        assert_eq!(pass(), 10);
        file(&scratch, "a/1", 30);
        file(&scratch, "b/2", 5);
        assert_eq!(pass(), 35);
        fs::remove_dir_all(scratch.0.join("a")).unwrap();
        assert_eq!(pass(), 5);
    }

    #[test]
    fn a_directory_that_is_not_there_counts_nothing() {
        let counted = Counter::new(Path::new("/no/such/directory")).finish(Duration::MAX);
        assert_eq!((counted.bytes, counted.passes), (0, 1));
    }
}
