//! Looking at the data directory. Never writes, moves or deletes anything there.

use std::fs::{self, Metadata};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::sys;
pub(crate) use crate::world::snapshot::{Identity, Inode, MARKS, Stamp};

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

/// Where an entry of this path is made.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
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
