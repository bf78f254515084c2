//! What one look at this node shows: the data directory, Barman's last mark in it, and who writes there. Plain
//! values.

use serde::{Deserialize, Serialize};

/// Which directory this is: inode numbers are reused, birth times are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since the epoch; 0 where the file system keeps none.
    pub(crate) born: u64,
}

/// What Barman makes once and keeps. (Before that it also makes and removes files to try the destination.)
pub(crate) const MARKS: [&str; 3] = ["global", "base", "PG_VERSION"];

/// Distinguishes a data directory from one that was made or filled anew at the same path: emptied in place (a mount
/// point can't be removed), the directory stays and its marks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) directory: Inode,
    #[serde(default)]
    pub(crate) marks: [Option<Inode>; MARKS.len()],
}

impl Identity {
    /// Whether `now` is the same directory, grown since. A restore over older files (delta-restore) replaces the file
    /// among the marks, which therefore only has to be there once there are the directories, which stay.
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

/// Version of a file: changes with every write or replacement, whatever its modification time says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) inode: u64,
    pub(crate) ctime: (i64, i64),
}

/// The files that distinguish an old restore from a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stamps {
    pub(crate) pg_version: Option<Stamp>,
    pub(crate) pg_control: Option<Stamp>,
    /// `.barman-recover.info`, whatever it says.
    pub(crate) info: Option<Stamp>,
    /// `postgresql.auto.conf`, which Barman replaces last.
    pub(crate) auto_conf: Option<Stamp>,
}

/// What is in the data directory. Hidden names don't count, as for Barman (`ls`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// It can't be seen from here: its parent is missing or can't be read.
    #[default]
    Unseen,
    Missing,
    /// There is something of that name which is not a directory.
    NotADirectory,
    Empty,
    Something,
}

/// One look; by default at a directory that can't be seen, or by a command that has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Snapshot {
    pub(crate) content: Content,
    /// Known when it is a directory.
    pub(crate) identity: Option<Identity>,
    /// Whether who empties it can remove it as a whole: it is no mount point, and its parent may be changed.
    pub(crate) removable: bool,
    pub(crate) stamps: Stamps,
    /// A complete restore, whoever made it.
    pub(crate) mark: Option<Mark>,
    /// Process of its `postmaster.pid`, if that process lives.
    pub(crate) postmaster: Option<i32>,
    /// What has arrived; none where the directory can't be seen.
    pub(crate) usage: Option<Usage>,
    /// How many rsync receivers wrote into it when they were last looked for, at most five seconds ago.
    pub(crate) receivers: usize,
}

/// How much is in the data directory, its tablespaces and its WAL directory. Counting it through takes several
/// looks where it is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    /// Bytes of it in the WAL directory.
    pub(crate) wal_bytes: u64,
    /// Grows with each difference that a look finds: bytes, files, or a file that has replaced another.
    pub(crate) changes: u64,
    /// How often the whole directory has been counted through.
    pub(crate) passes: u32,
    /// Size of the backup, once known.
    pub(crate) total: Option<u64>,
}

/// Barman's last mark: `.barman-recover.info` and `backup_label` name the same start of WAL, and
/// `postgresql.auto.conf` changed after the former. (The order in which Barman restores, as measured.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The Barman server that the backup is of.
    pub(crate) server: String,
    /// The backup's ID where the directory says it: in the label of an rsync backup, or in the name of the
    /// manifest of a postgres backup.
    pub(crate) backup_id: Option<String>,
    /// When the backup began, as Barman writes it: `2026-11-24 16:37:15.488941+00:00`.
    pub(crate) begin_time: String,
    /// The newest WAL file that was restored with it.
    pub(crate) last_wal: Option<String>,
}
