//! Whether the data directory is fit for a restore and has room for the backup. `--force` restores anyway.

use std::path::Path;
use std::time::Duration;

use crate::config::Restore;
use crate::outcome::Code;
use crate::text::size;
use crate::world::inspection::{Asked, Diagnosed};
use crate::world::snapshot::Content;

use super::run::{End, Run};

/// How long the create waits for the API to say how large the backup is.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Refuses the root directory, and directories that belong to other users.
pub(super) fn refuse_unfit_directory(run: &mut Run, restore: &Restore) -> Result<(), End> {
    let directory = &restore.data_directory;
    let owner = run.world.inspect().foreign_owner;
    let message = if Path::new(directory).parent().is_none() {
        format!("the data directory is {directory}, the root directory")
    } else if let Some(owner) = owner {
        format!(
            "the data directory {directory} belongs to a different user ({owner}), and this user may not write into it"
        )
    } else {
        return Ok(());
    };
    let hint =
        "check --data-directory, and run this as the user that Patroni runs as; --force restores anyway";
    unless_forced(run, restore, Code::InvalidArgument, message, hint)
}

/// Refuses a backup that is larger than the space for it, if the API gives its size in time.
pub(super) fn refuse_too_large(run: &mut Run, restore: &Restore) -> Result<(), End> {
    let since = run.now();
    loop {
        let found = run.world.inspect();
        let look = run.world.look();
        // What is there now has to be removed first.
        let there = look.usage.filter(|_| look.content == Content::Something).map_or(0, |usage| usage.bytes);
        run.room = found.free.map(|free| free.saturating_add(there));
        match (found.backup, run.room) {
            (Asked::Answered(backup), Some(room)) => {
                let Some(message) = too_large(restore, &backup, room) else { return Ok(()) };
                let hint = "make room, or restore to a larger file system; --force restores anyway";
                run.room = None; // already reported
                return unless_forced(run, restore, Code::RecoveryFailed, message, hint);
            }
            (Asked::Waiting, Some(_)) if !restore.force && run.now().saturating_sub(since) < PATIENCE => {
                run.pause(LOOK_AGAIN)?;
            }
            _ => return Ok(()),
        }
    }
}

/// Warns if the size only became known after the create.
pub(super) fn warn_of_size(run: &mut Run, restore: &Restore) {
    let Some(room) = run.room.filter(|_| run.total_bytes.is_some()) else { return };
    run.room = None;
    if let Asked::Answered(backup) = run.world.inspect().backup
        && let Some(message) = too_large(restore, &backup, room)
    {
        run.warn(format!("{message}: the restore will fail"));
    }
}

/// `None` if it fits, or if parts of it go elsewhere: the API does not say how large those are.
fn too_large(restore: &Restore, backup: &Diagnosed, room: u64) -> Option<String> {
    let bytes = backup.bytes.filter(|bytes| backup.is_one_place && *bytes > room)?;
    let directory = &restore.data_directory;
    Some(format!(
        "the backup does not fit: it needs {}, but there is room for {} at {directory}",
        size(bytes),
        size(room)
    ))
}

fn unless_forced(
    run: &mut Run,
    restore: &Restore,
    code: Code,
    message: String,
    hint: &str,
) -> Result<(), End> {
    if restore.force {
        run.warn(format!("{message} (--force)"));
        return Ok(());
    }
    Err(End::with(code, message, hint))
}
