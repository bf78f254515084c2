//! Everything that a run needs from outside, as traits: the API, this node, its data directory and state directory.
//! What is seen of the node is plain values, and each fact that could not be found out says so: an error is evidence
//! of nothing.

mod backup_size;
pub(crate) mod caller;
pub(crate) mod data;
mod folder;
mod holders;
pub(crate) mod lease;
pub(crate) mod net;
pub(crate) mod node;
mod place;
pub(crate) mod real;
pub(crate) mod state;
pub(crate) mod worker;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{Reply, Request};
use crate::cancel::Interrupt;
use crate::error::Error;
use crate::event::Event;
use crate::outcome::Problem;

/// A fact, or why it could not be found out. Such an error is neither yes nor no: whoever gets it looks again.
pub(crate) type Known<T> = Result<T, String>;

/// Everything outside a run.
pub(crate) trait World {
    /// Time since the start of the run.
    fn now(&self) -> Duration;

    /// Sends one request, once, and waits for its reply: at most this long, and not beyond the deadline. An interrupt
    /// ends it at once.
    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, Error>;

    /// Waits; with a time of zero it only checks whether the run has to end.
    fn pause(&mut self, time: Duration) -> Result<(), Interrupt>;

    /// Waits without being interrupted. The end of a run needs this, because it drains the lease.
    fn rest(&mut self, time: Duration);

    /// Hands an event to the caller.
    fn report(&mut self, event: Event);

    fn random(&mut self) -> u64;

    /// Looks at the data directory. Cheap enough to do four times a second, whatever its size.
    fn look(&mut self) -> Look;

    /// Remembers what is in the data directory now: only what comes after it counts as restored. An error means that
    /// it can't be seen.
    fn remember(&mut self) -> Known<()>;

    /// Reads from the files of the data directory whether a restore is complete in it, all of it new since the last
    /// [`remember`](World::remember).
    fn examine(&mut self) -> Completeness;

    /// Inspects where the data directory is or will be. Too expensive to do at every look.
    fn inspect(&mut self) -> Known<Inspection>;

    /// How many processes of rsync or `pg_basebackup` write into the data directory now. Only asked when no lease is in
    /// use, so that none of them belongs to a lease.
    fn strangers(&mut self) -> Known<usize>;

    /// Starts to ask the API for the size of the backup; `look` has it once it is known.
    fn ask_size(&mut self);

    /// Writes everything that has been restored to disk: the data directory, its tablespaces and its WAL directory.
    /// Takes as long as that takes; an interrupt ends the wait.
    fn flush(&mut self) -> Result<(), Error>;

    /// Locks the state directory of the data directory, if no other run has it. Does not wait.
    fn claim(&mut self) -> Claiming;
}

/// The result of [`World::claim`].
pub(crate) enum Claiming {
    Ours(Box<dyn ClaimHandle>),
    /// Another run lives and has it. Its note, if it can be read.
    Held(Option<Note>),
    /// It can't be made or locked at any place: what is wrong, and what to do.
    Impossible(Problem),
}

/// The locked state directory of a data directory: no other run works on this directory while it lives.
pub(crate) trait ClaimHandle: Send {
    /// The path of the state directory, for messages.
    fn path(&self) -> String;

    /// The note of the run before this one, if it left one. It is kept until this run writes its own.
    fn left(&self) -> Known<Option<Note>>;

    /// What the leases of the run before this one have logged, if there is a log. It is kept until this run
    /// grants a lease.
    fn left_log(&self) -> Known<Option<LeftLog>>;

    /// Replaces the note.
    fn note(&mut self, note: &Note) -> Known<()>;

    /// Revokes what dead runs have left, and tries to drain it. Does not wait.
    fn drain(&mut self) -> Drain;

    /// Kills what still holds a lease of a dead run and belongs to this user, PostgreSQL excepted.
    fn kill_holders(&mut self);

    /// Writes a lease: from now on Barman's commands run on this node while this process lives. With `only`,
    /// just that one command runs, but the log has all of them.
    fn grant(&mut self, only: &str) -> Result<Box<dyn LeaseHandle>, Problem>;

    /// Removes everything that is there: the restore is complete, or nothing was started.
    fn remove(&mut self) -> Known<()>;
}

/// A lease: Barman's commands run on this node while it is not revoked and this process lives.
pub(crate) trait LeaseHandle: Send {
    /// The absolute path of the script, fit for a shell without quotes.
    fn path(&self) -> String;

    /// What has been added to the log of its commands since the last call.
    fn log(&mut self) -> Known<Vec<LogLine>>;

    /// How many bytes the commands that run now have read and written, from their connections too; None if this node does
    /// not show it. Another number than before means that data is moving, wherever it goes.
    fn moved(&mut self) -> Option<u64>;

    /// From now on nothing starts, and what runs is killed. A second call does nothing.
    fn revoke(&mut self);

    /// Whether everything that ran through it has ended. Does not wait. Only after [`revoke`](LeaseHandle::revoke).
    fn drain(&mut self) -> Drain;

    /// Kills what still holds the lease and belongs to this user, PostgreSQL excepted.
    fn kill_holders(&mut self);
}

/// Whether something still holds a revoked lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Nothing writes any more.
    Drained,
    /// These still hold it, as far as this node shows: "rsync (pid 4711)".
    Held(Vec<String>),
    /// It could not be found out.
    Unknown(String),
}

/// A line of the log of a lease, as the node wrote it: untrusted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogLine {
    /// A command began: its process on this node, and its words, separated by blanks.
    Began(u32, String),
    /// That command ended with this exit status.
    Ended(u32, i32),
}

/// The logs of a run's leases, when nothing writes through them any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftLog {
    pub(crate) lines: Vec<LogLine>,
    /// When the last line was written, in nanoseconds since 1970, by the clock of the file system on this device.
    pub(crate) written: i64,
    pub(crate) device: u64,
}

/// The note `run` in the state directory: whose run it is, and how far it got. Untrusted when read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    pub(crate) pid: u32,
    /// When the run began, in seconds since 1970 by this node's clock: for people. Whoever writes the note fills it in.
    pub(crate) started: u64,
    pub(crate) api_url: String,
    pub(crate) barman_server: String,
    pub(crate) backup_id: String,
    pub(crate) data_directory: String,
    pub(crate) operation_id: Option<String>,
    /// How the run ended: the name of its code. None: it did not come to its end.
    pub(crate) ended: Option<String>,
    /// Whether the data directory was empty, or not there, when the last lease was granted.
    pub(crate) was_empty: bool,
    /// The first file that came through a lease and is still there: `PG_VERSION`.
    pub(crate) first_file: Option<FileId>,
}

impl Note {
    /// Whose note it is, behind "another run": ` (pid 4711, operation 20261122T101942)`.
    pub(crate) fn who(&self) -> String {
        let id = self.operation_id.as_ref().map(|id| format!(", operation {id}")).unwrap_or_default();
        format!(" (pid {}{id})", self.pid)
    }
}

/// Which file it is, as far as that can be recognized later: `chown`, `chmod` and the passing of time do not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    pub(crate) inode: u64,
    /// The modification time in nanoseconds since 1970.
    pub(crate) modified: i64,
    pub(crate) size: u64,
}

/// What one look at the data directory shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) content: Known<Content>,
    /// `PG_VERSION`.
    pub(crate) first_file: Known<Option<FileId>>,
    /// The process that `postmaster.pid` names, if it lives.
    pub(crate) postmaster: Known<Option<u32>>,
    /// How much is there, once it has been counted.
    pub(crate) usage: Option<Usage>,
}

impl Look {
    /// Why it does not show everything.
    pub(crate) fn known(&self) -> Known<()> {
        self.content
            .as_ref()
            .and(self.first_file.as_ref())
            .and(self.postmaster.as_ref())
            .map(drop)
            .map_err(Clone::clone)
    }
}

/// What is at the path of the data directory. Hidden names are nothing, as for Barman and Patroni.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Missing,
    Empty,
    /// Empty but for the `lost+found` of a file system's root: for Patroni that is nothing, Barman lists it.
    LostAndFound,
    Something,
    NotADirectory,
}

/// How much is in the data directory, its tablespaces and its WAL directory, as last counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    /// Bytes of it in the WAL directory.
    pub(crate) wal_bytes: u64,
    pub(crate) files: u64,
    /// Size of the backup, once known.
    pub(crate) total: Option<u64>,
}

/// What the files of the data directory prove about a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// Everything is here.
    Complete(Backup),
    /// Everything that must be here is here, but nothing proves that Barman has written its last file. The
    /// text says what is missing.
    NoProof(Backup, String),
    /// Everything is here but WAL that the backup needs.
    WalMissing(Backup, MissingWal),
    /// Something that must be here is not, or the directory is empty or missing. The text says what.
    Incomplete(String),
    /// Nothing in it is new since the restore began.
    Unchanged(String),
    /// It can't be seen.
    Unknown(String),
}

/// The backup that was restored, as far as the data directory names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Backup {
    pub(crate) id: Option<String>,
    /// The Barman server at the time of the backup.
    pub(crate) server: String,
    /// When the backup began, as Barman writes it: `2026-11-24 16:37:15.488941+00:00`.
    pub(crate) begin_time: String,
    /// The newest WAL file that was restored with it.
    pub(crate) last_wal: Option<String>,
    /// Problems that can lose rows, or cost the operator a night, although the data is complete.
    pub(crate) warnings: Vec<Problem>,
}

/// WAL that a backup needs and the data directory does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingWal {
    /// The last file that it needs; None if Barman did not know it yet.
    pub(crate) needed: Option<String>,
    /// The last file that is there without a gap.
    pub(crate) there: Option<String>,
}

/// What this node shows besides the content of the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Bytes that are free where the data directory is or will be.
    pub(crate) free: Option<u64>,
    /// The owner of the data directory, if that is another user and this user may not write there.
    pub(crate) foreign_owner: Option<String>,
    /// Whether this user may write into the data directory, or create it.
    pub(crate) is_writable: bool,
    /// The first visible names in the data directory, sorted; a few more than are shown if there are many.
    pub(crate) names: Vec<String>,
    /// Commands that a restore needs and that are not in this process' PATH: rsync, flock, setsid.
    pub(crate) missing_commands: Vec<&'static str>,
}
