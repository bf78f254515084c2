//! A recovery, from its first look to its exit code. It reaches the outside only through `World` and does no I/O of
//! its own. Its laws:
//!
//! 1. One writer: Barman can write on this node only while the run that asked for it is alive, and a run holds one
//!    lease at a time. So after every exit of a run nothing of it writes.
//! 2. 0 means that the data is here, complete and flushed.
//! 3. Never give up while data arrives; never wait for what can't succeed.
//! 4. Unknown is neither yes nor no: an error is no evidence, it is looked at again.
//! 5. Nothing is ever deleted or moved in a data directory.

mod claim;
pub(crate) mod create;
pub(crate) mod explain;
mod failure;
mod finish;
pub(crate) mod follow;
pub(crate) mod history;
pub(crate) mod known_operations;
pub(crate) mod monitor;
mod plain;
pub(crate) mod preflight;
pub(crate) mod session;
mod throughput;
pub(crate) mod verdict;

#[cfg(test)]
mod sim;

use crate::api::{NewRecovery, OperationKind, Request};
use crate::config::{Connection, Restore};
use crate::error::Error;
use crate::outcome::{Answer, Code, Recovery};
use crate::world::{Backup, World};

use claim::{Claim, Lease, claim};
use create::{Attempts, create};
use finish::{Consequence, finish, flush, judge, log_start};
use follow::follow;
use history::History;
use known_operations::KnownOperations;
use monitor::Monitor;
use preflight::{api_is_up, refuse_unfit, remember_undisturbed, warn_of_content};
use session::Session;
use verdict::Ended;

/// Restores a backup into the data directory of this node.
pub(crate) fn recover(world: &mut dyn World, connection: &Connection, restore: &Restore) -> Answer<Recovery> {
    let mut run = Session::new(world, connection, OperationKind::Recovery, restore.loop_wait);
    log_start(&mut run, restore);
    let end = if restore.lease {
        restore_backup(&mut run, restore)
    } else {
        plain::restore_backup(&mut run, restore)
    };
    finish(run, restore, end)
}

fn restore_backup(run: &mut Session, restore: &Restore) -> Result<Backup, Error> {
    refuse_unfit(run, restore)?; // PostgreSQL runs there, "/", another user's
    let mut claim = claim(run, restore)?; // waits while another run lives; revokes and drains what a dead one left
    let end = restore_by_lease(run, restore, &mut claim);
    claim.close(run, end.as_ref().map_or_else(Error::code, |_| Code::RecoveryDone));
    end
}

fn restore_by_lease(run: &mut Session, restore: &Restore, claim: &mut Claim) -> Result<Backup, Error> {
    api_is_up(run)?;
    let mut known = KnownOperations::list(run)?; // the operations before the create
    let mut attempts = Attempts::default();
    loop {
        let before = remember_undisturbed(run, restore)?; // waits while something else writes; only what comes later counts
        warn_of_content(run, restore, &before);
        let began = run.now();
        let mut history = History::new(began, &before);
        let log = claim.path();
        let mut lease = claim.grant(run, &before)?;
        let ended = restore_once(run, restore, &mut lease, &mut history, &mut known);
        let drained = lease.revoke(run, history); // nothing writes any more, whatever happened
        let ended = attempts.doubt(run, began, ended?, drained.history.lease_use());
        match judge(run, restore, ended, &drained, &log)? {
            Consequence::Restored(backup) => {
                flush(run, restore)?;
                return Ok(backup);
            }
            Consequence::Again(failure) => attempts.again(run, &mut known, failure)?, // or ends the run
        }
    }
}

/// One create, and whatever it started, to its end.
fn restore_once(
    run: &mut Session,
    restore: &Restore,
    lease: &mut Lease,
    history: &mut History,
    known: &mut KnownOperations,
) -> Result<Ended, Error> {
    let request = Request::Create(NewRecovery { ssh_command: lease.ssh_command(restore), ..restore.into() });
    let created = create(run, &request, known)?; // named, in doubt, or not started
    if let create::Created::Named(id) = &created {
        lease.note_operation(run, id);
        known.add([id.clone()]);
    }
    plain::ask_size(run, restore);
    let mut monitor = Monitor::new(run.now(), Some(restore), Some(lease), history);
    let ended = follow(run, &mut monitor, created, known)?;
    monitor.report_done(run);
    Ok(ended)
}
