//! What a restore has left in the data directory. Works offline, without API and state file. Read-only.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::cancel::Cancel;
use crate::commands::answer;
use crate::config::options::Command;
use crate::config::{Config, Restore};
use crate::outcome::{Answer, Code};
use crate::text::{self, printable, utc};
use crate::world::World;
use crate::world::fs::directory::stamp;
use crate::world::here::{Here, from_here};
use crate::world::host::Host;
use crate::world::snapshot::{Content, Snapshot};

/// Between two of Barman's copies there is no receiver for a moment.
const MOMENT: Duration = Duration::from_secs(1);
const LOOKS: u32 = 5;

/// What is in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RestoreState {
    /// A complete restore by Barman, on which PostgreSQL has not been started yet.
    Complete,
    /// Barman is writing into it, or something in it has just changed.
    #[serde(rename = "being written")]
    BeingWritten,
    /// Files without Barman's last mark: a restore that was cut off, or data that Barman did not restore.
    Incomplete,
    /// PostgreSQL is running in it, or has been started in it since the restore.
    #[serde(rename = "in use")]
    InUse,
    /// Nothing: it is missing, empty, not a directory, or can't be seen.
    #[serde(rename = "none")]
    Nothing,
}

impl RestoreState {
    /// In one or two words, for people and programs: `complete`, `being written`, `incomplete`, `in use`, `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RestoreState::Complete => "complete",
            RestoreState::BeingWritten => "being written",
            RestoreState::Incomplete => "incomplete",
            RestoreState::InUse => "in use",
            RestoreState::Nothing => "none",
        }
    }
}

/// What [`verify`] has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// The data directory, as an absolute path.
    pub data_directory: String,
    /// What is in it.
    pub state: RestoreState,
    /// The restore whose last mark is present; also set with `BeingWritten`, while its last receivers end.
    pub restore: Option<CompleteRestore>,
    /// How many rsync receivers are writing into it.
    pub receivers: usize,
    /// What was found, in one line.
    pub detail: String,
}

/// A complete restore, as its own files describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompleteRestore {
    /// The ID of the backup; `None` if the directory does not say.
    pub backup_id: Option<String>,
    /// The Barman server that the backup belongs to.
    pub server: String,
    /// When the backup was taken, as Barman writes it: `2026-11-24 16:37:15.488941+00:00`.
    pub taken: String,
    /// When Barman wrote its last file; serialized as `2026-11-24T16:37:15Z`.
    #[serde(serialize_with = "rfc3339")]
    pub restored: SystemTime,
    /// The newest WAL file that was restored with it, if any.
    pub last_wal: Option<String>,
}

fn rfc3339<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&utc_of(*time).replace(" UTC", "Z").replace(' ', "T"))
}

fn utc_of(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(i64::try_from(since.as_secs()).unwrap_or_default())
}

impl Verified {
    /// Whether a complete restore is present and nothing is writing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == RestoreState::Complete
    }
}

/// Checks whether the data directory holds a complete restore. Needs only the option `data-directory`; sends nothing,
/// and reads no state file. If it finds neither a complete restore nor a receiver, it blocks for about a second to
/// see whether something changes. Ends with [`Code::RecoveryFailed`] unless the restore is complete.
#[must_use]
pub fn verify(config: &Config) -> Answer<Option<Verified>> {
    let mut answer = answer(|| Ok(Some(looked(from_here(config.restore_for(Command::Verify)?)?))));
    if let Some(verified) = answer.found.as_ref().filter(|verified| !verified.is_complete()) {
        answer.message.clone_from(&verified.detail);
        answer.code = Code::RecoveryFailed;
    }
    answer
}

fn looked(restore: Restore) -> Verified {
    let mut world = Here::offline(&restore, Host::new(|_| (), Cancel::new()));
    let directory = restore.data_directory;
    let mut looks = LOOKS;
    loop {
        let mut now = world.look();
        now.receivers = world.receivers();
        let is_settled = now.receivers > 0
            || changes(&now)
            || now.content != Content::Something
            || now.mark.is_some()
            || now.postmaster.is_some()
            || started(Path::new(&directory), &now);
        if is_settled || looks == 0 {
            return judge(directory, &now);
        }
        looks -= 1;
        thread::sleep(MOMENT / LOOKS);
    }
}

fn changes(now: &Snapshot) -> bool {
    now.usage.is_some_and(|usage| usage.changes > 0)
}

fn judge(directory: String, now: &Snapshot) -> Verified {
    let (restore, receivers) = (complete(now), now.receivers);
    let (state, detail) = if receivers > 0 {
        let detail = format!("a restore is writing into {directory} ({})", text::receivers(receivers));
        (RestoreState::BeingWritten, detail)
    } else if let Some(pid) = now.postmaster {
        (RestoreState::InUse, format!("PostgreSQL is running in {directory} (process {pid})"))
    } else if let Some(restore) = &restore {
        (RestoreState::Complete, format!("{directory} holds {}", in_words(restore)))
    } else {
        without_mark(&directory, now)
    };
    Verified { state, restore, receivers, detail: printable(&detail), data_directory: directory }
}

fn without_mark(directory: &str, now: &Snapshot) -> (RestoreState, String) {
    let nothing = |what: &str| (RestoreState::Nothing, format!("{directory} {what}"));
    match now.content {
        Content::Unseen => nothing("can't be seen: its parent directory is missing or can't be read"),
        Content::Missing => nothing("does not exist"),
        Content::NotADirectory => nothing("is not a directory"),
        Content::Empty => nothing("is empty"),
        Content::Something if started(Path::new(directory), now) => {
            (RestoreState::InUse, format!("PostgreSQL has been started in {directory} since it was restored"))
        }
        Content::Something if changes(now) => {
            (RestoreState::BeingWritten, format!("{directory} is changing"))
        }
        Content::Something => (
            RestoreState::Incomplete,
            format!(
                "{directory} lacks the files that Barman writes last: the restore was cut off, or Barman has not restored this data"
            ),
        ),
    }
}

/// The restore that the mark describes.
fn complete(now: &Snapshot) -> Option<CompleteRestore> {
    let (mark, auto_conf) = (now.mark.clone()?, now.stamps.auto_conf?);
    let seconds = u64::try_from(auto_conf.ctime.0).unwrap_or_default();
    Some(CompleteRestore {
        backup_id: mark.backup_id,
        server: mark.server,
        taken: mark.begin_time,
        restored: UNIX_EPOCH + Duration::from_secs(seconds),
        last_wal: mark.last_wal,
    })
}

fn in_words(restore: &CompleteRestore) -> String {
    let backup = restore.backup_id.as_ref().map_or("a backup".into(), |id| format!("backup {id}"));
    let wal = restore.last_wal.as_ref().map_or(String::new(), |wal| format!(", with WAL up to {wal}"));
    let restored = utc_of(restore.restored);
    let (server, taken) = (&restore.server, &restore.taken);
    format!("a complete restore of {backup} of server {server}, taken {taken}, restored {restored}{wal}")
}

/// Whether PostgreSQL has been started on a restore: it renames `backup_label`, later than Barman's last file.
fn started(directory: &Path, now: &Snapshot) -> bool {
    let label = |name: &str| fs::metadata(directory.join(name)).ok().map(|found| stamp(&found));
    let (Some(info), Some(auto_conf), None) = (now.stamps.info, now.stamps.auto_conf, label("backup_label"))
    else {
        return false;
    };
    let renamed = label("backup_label.old").is_some_and(|old| old.ctime > auto_conf.ctime.max(info.ctime));
    let is_whole = now.stamps.pg_version.is_some() && now.stamps.pg_control.is_some();
    renamed && is_whole
}
