//! The data directory and its state file, as they are on this node.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::finding::{Finding, Report};
use crate::config::{Connection, Restore};
use crate::recovery::start::foreign;
use crate::sys;
use crate::text;
use crate::world::World;
use crate::world::fs::directory::parent;
use crate::world::fs::inspect::{foreign_owner, nearest};
use crate::world::fs::state_file::{Peeked, StateFile};
use crate::world::snapshot::{Content, Snapshot};

const DIRECTORY: &str = "data directory";
const STATE_FILE: &str = "state file";
/// Limit for counting what is in the directory.
const COUNTING: Duration = Duration::from_secs(2);

/// The data directory as it is.
pub(super) struct Place {
    pub(super) content: Content,
    pub(super) is_mount_point: bool,
    /// Bytes in it, which emptying it would free.
    pub(super) used: u64,
    /// The major version in its `PG_VERSION`.
    pub(super) version: Option<String>,
    /// The system identifier in its `pg_control`.
    pub(super) system_id: Option<u64>,
}

pub(super) fn look(
    world: &mut dyn World,
    connection: &Connection,
    restore: &Restore,
    report: &mut Report,
) -> Place {
    let look = world.look();
    let receivers = world.receivers();
    let directory = &restore.data_directory;
    let path = Path::new(directory);
    report.add(of_directory(directory, &look, receivers));
    match &restore.state_file {
        Some(path) => report.add(of_state_file(path, &look, connection, restore)),
        None => report.skip(
            &[STATE_FILE],
            "--no-state-file: after a kill the next run does not know about the restore",
        ),
    }
    let used = if look.content == Content::Something { used(world) } else { 0 };
    Place {
        content: look.content,
        is_mount_point: sys::is_mount_point(path) == Some(true),
        used,
        version: fs::read_to_string(path.join("PG_VERSION")).ok().map(|text| text.trim().into()),
        system_id: system_id(&path.join("global/pg_control")),
    }
}

fn of_directory(directory: &str, look: &Snapshot, receivers: usize) -> Finding {
    let path = Path::new(directory);
    let failed = |what: &str, hint: &str| Finding::failed(DIRECTORY, format!("{directory} {what}"), hint);
    let warning = |what: &str, hint: &str| Finding::warning(DIRECTORY, format!("{directory} {what}"), hint);
    if path.parent().is_none() {
        return failed("is the root directory", "mistyped? name the data directory of PostgreSQL");
    }
    if let Some(pid) = look.postmaster {
        let detail = format!("PostgreSQL is running in {directory} (process {pid})");
        return Finding::failed(DIRECTORY, detail, "stop it before a restore; Patroni does so by itself");
    }
    if receivers > 0 {
        let detail = format!("a restore is writing into {directory} ({})", text::receivers(receivers));
        let hint =
            "the next run waits for it to end; 'patroni_barman cancel' ends it when its own run is gone";
        return Finding::warning(DIRECTORY, detail, hint);
    }
    if let Some(owner) = foreign_owner(path) {
        let what = format!("belongs to a different user ({owner}), and this user may not write into it");
        return failed(&what, "run this as the user that Patroni runs as, or name another directory");
    }
    match look.content {
        Content::NotADirectory if path.is_symlink() && !path.exists() => failed(
            "is a symbolic link to a directory that does not exist",
            "create the directory that it points to, or remove the link",
        ),
        Content::NotADirectory => {
            failed("is not a directory", "mistyped? Barman refuses it; remove it, or name another")
        }
        Content::Something => warning(
            "is not empty",
            "Barman 3.15 and later refuse it; Patroni empties it before it calls the hook, otherwise empty it by hand",
        ),
        Content::Unseen => unseen(directory),
        Content::Missing if !sys::may_write(parent(path)) => failed(
            "does not exist, and this user may not write into its parent directory",
            "run this as the user that Patroni runs as; create the directory, owned by the user that ssh logs in as",
        ),
        Content::Missing => Finding::ok(DIRECTORY, format!("{directory} does not exist yet")),
        Content::Empty if !sys::may_write(path) => failed(
            "can't be written by this user",
            "run this as the user that Patroni runs as, which has to own the directory",
        ),
        Content::Empty => Finding::ok(DIRECTORY, format!("{directory} is empty")),
    }
}

/// Its parent is missing or unreadable.
fn unseen(directory: &str) -> Finding {
    let path = Path::new(directory);
    let nearest = nearest(parent(path));
    let is_there = nearest == parent(path);
    let what = if is_there { "can't be read" } else { "and its parent directory do not exist" };
    if is_there || !sys::may_write(nearest) {
        let detail = format!("{directory} {what}, and this user may not write into {}", nearest.display());
        let hint = "mistyped? run this as the user that Patroni runs as; create the parent directory";
        return Finding::failed(DIRECTORY, detail, hint);
    }
    Finding::warning(
        DIRECTORY,
        format!("{directory} {what}"),
        "mistyped? Barman creates both, but the state file needs the parent directory to exist",
    )
}

fn of_state_file(path: &Path, look: &Snapshot, connection: &Connection, restore: &Restore) -> Finding {
    let shown = path.display();
    let Peeked { is_held, said } = match StateFile::peek(path) {
        Ok(None) if sys::may_write(parent(path)) => {
            return Finding::ok(STATE_FILE, format!("none is left over at {shown}"));
        }
        Ok(None) => {
            let detail = format!(
                "this user can't write {shown}: after a kill the next run does not know about the restore"
            );
            let hint =
                "run this as the user that Patroni runs as; choose a different place with --state-file";
            return Finding::warning(STATE_FILE, detail, hint);
        }
        Err(error) => {
            let hint = "the next run continues without it; choose a different place with --state-file";
            return Finding::warning(STATE_FILE, format!("{shown} can't be used: {error}"), hint);
        }
        Ok(Some(found)) => found,
    };
    let record = said.as_ref().ok().and_then(Option::as_ref);
    let operation = record.and_then(|record| record.operation_id.as_ref());
    let operation = operation.map_or(String::new(), |id| format!(" of operation {id}"));
    if is_held {
        let pid = record.map_or(String::new(), |record| format!(" (pid {})", record.run.pid));
        let detail = format!("a restore is running: a run{operation}{pid} has locked {shown}");
        return Finding::warning(STATE_FILE, detail, "the next run waits for it to end");
    }
    match &said {
        Err(why) => Finding::warning(
            STATE_FILE,
            format!("{shown} is unreadable: {why}"),
            "the next run ignores it; remove it",
        ),
        Ok(None) => Finding::ok(STATE_FILE, format!("{shown} is empty")),
        Ok(Some(record)) if !record.can_count() && !record.is_about(look.identity) => Finding::ok(
            STATE_FILE,
            format!("{shown} is from a run{operation} that has failed; nothing of it is left"),
        ),
        Ok(Some(record)) if !record.can_count() => Finding::warning(
            STATE_FILE,
            format!("{shown} is left over from a run{operation} that has failed"),
            "what it has left in the data directory is not complete: do not start PostgreSQL on it",
        ),
        Ok(Some(record)) => {
            if let Some(problem) = foreign(connection, restore, record, &shown.to_string()) {
                return Finding::failed(STATE_FILE, problem.message, problem.hint);
            }
            let detail = format!("{shown} is left over from a run{operation} that was killed or gave up");
            Finding::warning(STATE_FILE, detail, "the next run first waits for that operation to end")
        }
    }
}

/// Bytes in a directory; a lower bound if there are too many files to count.
fn used(world: &mut dyn World) -> u64 {
    let begun = world.now();
    loop {
        let Some(usage) = world.look().usage else { return 0 };
        if usage.passes > 0 || world.now().saturating_sub(begun) >= COUNTING {
            return usage.bytes;
        }
    }
}

/// The system identifier is the first field of `pg_control`.
fn system_id(path: &Path) -> Option<u64> {
    let mut bytes = [0; 8];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}
