//! What one look at this node shows: the data directory, Barman's last mark in it, and who is writing there. Plain
//! values.

use serde::{Deserialize, Serialize};

/// Identifies a directory: inode numbers get reused, but not with the same birth time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch; 0 if the file system does not store it.
    pub(crate) born: u64,
}

/// What Barman creates once and keeps. (Before that it also creates and removes files to test the destination.)
pub(crate) const MARKS: [&str; 3] = ["global", "base", "PG_VERSION"];

/// Distinguishes a data directory from a later one at the same path. If the directory is emptied in place (a mount
/// point can't be removed), it stays, but its marks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) directory: Inode,
    #[serde(default)]
    pub(crate) marks: [Option<Inode>; MARKS.len()],
}

impl Identity {
    /// Whether `now` is the same directory, possibly with more in it. A restore over older files (delta-restore)
    /// replaces `PG_VERSION`. So once one of the two directories, which stay, is there, that file only has to exist.
    pub(crate) fn became(&self, now: &Identity) -> bool {
        let kept = |then: &Option<Inode>, now: &Option<Inode>| then.is_none() || then == now;
        let ([global, base, version], [global_now, base_now, version_now]) = (&self.marks, &now.marks);
        let has_directories = global.is_some() || base.is_some();
        self.directory == now.directory
            && kept(global, global_now)
            && kept(base, base_now)
            && (kept(version, version_now) || (has_directories && version_now.is_some()))
    }
}

/// Version of a file: changes with every write or replacement, whatever the modification time says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) inode: u64,
    pub(crate) ctime: (i64, i64),
}

/// The files that tell a new restore from an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stamps {
    pub(crate) pg_version: Option<Stamp>,
    pub(crate) pg_control: Option<Stamp>,
    /// `.barman-recover.info`, whatever its content.
    pub(crate) info: Option<Stamp>,
    /// `postgresql.auto.conf`, which Barman replaces last.
    pub(crate) auto_conf: Option<Stamp>,
}

/// What is in the data directory. Hidden names don't count, as in Barman (which uses `ls`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// It can't be seen from here: its parent is missing or unreadable.
    #[default]
    Unseen,
    Missing,
    /// Something with that name exists, but is not a directory.
    NotADirectory,
    Empty,
    Something,
}

/// One look. The default is for a directory that can't be seen, and for a command that has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Snapshot {
    pub(crate) content: Content,
    /// `Some` if it is a directory.
    pub(crate) identity: Option<Identity>,
    /// Whether it can be removed as a whole: it is not a mount point, and its parent is writable.
    pub(crate) removable: bool,
    pub(crate) stamps: Stamps,
    /// Present after a complete restore, whoever made it.
    pub(crate) mark: Option<Mark>,
    /// The process in its `postmaster.pid`, if that process is alive.
    pub(crate) postmaster: Option<i32>,
    /// What has arrived; `None` if the directory can't be seen.
    pub(crate) usage: Option<Usage>,
    /// How many rsync receivers were writing into it at the last search, at most five seconds ago.
    pub(crate) receivers: usize,
}

/// How much is in the data directory, its tablespaces and its WAL directory. For a large one it takes several looks
/// to count everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    /// Bytes of it in the WAL directory.
    pub(crate) wal_bytes: u64,
    /// Grows with each difference that a look finds: bytes, files, or a replaced file.
    pub(crate) changes: u64,
    /// How often the whole directory has been counted.
    pub(crate) passes: u32,
    /// Size of the backup, once known.
    pub(crate) total: Option<u64>,
}

/// Barman's last mark: `.barman-recover.info` and `backup_label` name the same WAL start, and `postgresql.auto.conf`
/// changed after the former. (This is the order in which Barman was observed to restore.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The Barman server that the backup belongs to.
    pub(crate) server: String,
    /// The backup's ID, if the directory has it: in the label of an rsync backup, or in the name of the manifest of a
    /// postgres backup.
    pub(crate) backup_id: Option<String>,
    /// When the backup began, as Barman writes it: `2026-11-24 16:37:15.488941+00:00`.
    pub(crate) begin_time: String,
    /// The newest WAL file that was restored with it.
    pub(crate) last_wal: Option<String>,
}
