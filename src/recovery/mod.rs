//! A recovery, from its first look to its exit code. It reaches the outside only through `World` and does no I/O of
//! its own. Its rules:
//!
//! 1. One writer: a create is sent only when nothing that this or an earlier run started can still write into the
//!    data directory.
//! 2. 0 means that the data is here: the data directory decides.
//! 3. Never give up while data arrives; never wait for data that can't be used.

mod causes;
pub(crate) mod create;
mod earlier;
mod ending;
mod evidence;
mod fitness;
pub(crate) mod follow;
pub(crate) mod in_doubt;
mod judge;
pub(crate) mod problems;
mod quiet;
pub(crate) mod run;
pub(crate) mod start;
mod throughput;
pub(crate) mod waits;
pub(crate) mod watch;

use crate::api::{OperationKind, Request};
use crate::config::{Connection, Restore};
use crate::outcome::{Code, Outcome};
use crate::world::World;
use crate::world::journal::Record;

use create::{Attempts, Created, create};
use earlier::{existing, follow_earlier, refuse_unknown, take_over};
use ending::{Judged, Restored, finish, judge, log_start};
use fitness::{refuse_too_large, refuse_unfit_directory};
use follow::follow;
use in_doubt::follow_started;
use judge::{Operations, Origin};
use quiet::quiet;
use run::{End, Run};
use start::{
    Baseline, api_is_up, lock, nobody_writes_here, note_create, refuse_running_postgres, warn_of_content,
};
use watch::Watch;

pub(crate) use ending::{close_state_file, ended_line};

#[cfg(test)]
mod tests;

/// Restores a backup into the data directory of this node.
pub(crate) fn recover(world: &mut dyn World, connection: &Connection, restore: &Restore) -> Outcome {
    let mut run = Run::new(world, connection, OperationKind::Recovery, restore.loop_wait);
    log_start(&mut run, restore);
    let end = restore_backup(&mut run, restore);
    finish(run, restore, end)
}

fn restore_backup(run: &mut Run, restore: &Restore) -> Result<Restored, End> {
    refuse_running_postgres(&run.world.look(), restore)?;
    refuse_unfit_directory(run, restore)?;
    let left_over = lock(run, restore)?; // waits while another run restores into this directory
    if let Some(id) = &restore.operation_id {
        return follow_existing(run, restore, id, left_over.as_ref());
    }
    if let Some(record) = left_over {
        let mut watch = take_over(run, restore, &record);
        let operations = follow_earlier(run, &mut watch, &record)?; // already ended if its data can't be used
        quiet(run, &mut watch, restore)?;
        if let Judged::Restored(restored) = judge(run, restore, &watch, &operations)? {
            return Ok(restored);
        }
    }
    api_is_up(run)?;
    run.world.ask_size(); // answered in parallel with what follows
    let mut baseline = Baseline::take(run)?; // the operations before the create
    refuse_too_large(run, restore)?;
    warn_of_content(run, restore);
    let mut attempts = Attempts::default();
    loop {
        let before = nobody_writes_here(run, restore)?; // the data directory before the create
        note_create(run, restore, &baseline, &before); // from here on a kill leaves a trace
        let mut watch = Watch::of(restore, run.now(), before);
        let failure = match create(run, &Request::Create(restore.into()))? {
            Created::NotStarted(failure) => failure,
            Created::Started(started) => {
                let operations = follow_started(run, &mut watch, &mut baseline, started)?;
                quiet(run, &mut watch, restore)?; // nobody writes any more: the data directory decides
                match judge(run, restore, &watch, &operations)? {
                    Judged::Restored(restored) => return Ok(restored),
                    Judged::NothingStarted(failure) => failure,
                }
            }
        };
        attempts.again(run, &mut baseline, &failure)?; // waits, or ends the run after the last attempt
    }
}

/// `--operation-id`: follows an operation that someone else started.
fn follow_existing(
    run: &mut Run,
    restore: &Restore,
    id: &str,
    left_over: Option<&Record>,
) -> Result<Restored, End> {
    let mut watch = existing(run, restore, id, left_over);
    let ended = follow(run, &mut watch, &[id.to_string()])?;
    refuse_unknown(run, &ended, left_over.is_some())?;
    quiet(run, &mut watch, restore)?;
    match judge(run, restore, &watch, &Operations { origin: Origin::Named, ended })? {
        Judged::Restored(restored) => Ok(restored),
        Judged::NothingStarted(failure) => Err(End::with(Code::RecoveryFailed, failure.why, "")),
    }
}
