//! The first and last log lines of a recovery, what becomes of the state file, and the report.

use crate::config::Restore;
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome, Problem};
use crate::text::{seconds, size};
use crate::version::VERSION;
use crate::world::journal::{Ended, Line};
use crate::world::snapshot::{Content, Mark};
use crate::world::{Interrupt, World};

use super::causes::{self, Seen};
use super::create::Failure;
use super::judge::{Case, Operations, Origin, Verdict};
use super::quiet::end_restore;
use super::run::{End, Run};
use super::start::refuse_running_postgres;
use super::watch::Watch;

/// A recovery that has succeeded.
#[derive(Debug)]
pub(super) struct Restored(Option<Mark>);

/// The consequence of operations that have ended.
#[derive(Debug)]
pub(super) enum Judged {
    Restored(Restored),
    /// Another create may follow.
    NothingStarted(Failure),
}

/// The first line of the log.
pub(super) fn log_start(run: &mut Run, restore: &Restore) {
    let what = match &restore.operation_id {
        Some(id) => format!("Following recovery operation {id}"),
        None => format!("Restoring backup {}", restore.backup_id),
    };
    let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
    run.info(format!(
        "{what} of Barman server {server} to {} through {url} (barman-recover {})",
        restore.data_directory, VERSION
    ));
}

/// Lets the data directory decide how the operations have ended.
pub(super) fn judge(
    run: &mut Run,
    restore: &Restore,
    watch: &Watch,
    operations: &Operations,
) -> Result<Judged, End> {
    let evidence = watch.evidence(run, restore);
    let hint_of_failure = if operations.any_failed() {
        look_for_causes(run, restore, watch, operations)
    } else {
        String::new()
    };
    let server = &run.connection.barman_server;
    let case = Case { operations, evidence, now: &watch.last, restore, server, hint_of_failure };
    let state = case.state();
    let id = match operations.ended.as_slice() {
        [ended] => Some(ended.id.clone()),
        _ => run.operation_id.clone(),
    };
    if watch.last.postmaster.is_some() {
        run.set_operation(id.as_deref(), state);
        refuse_running_postgres(&watch.last, restore)?;
    }
    match case.verdict() {
        Verdict::Restored { mark, warning } => {
            run.set_operation(id.as_deref(), OperationState::Done);
            if let Some(Problem { message, hint }) = warning {
                run.warn(message);
                if !hint.is_empty() {
                    run.warn(format!("HINT: {hint}"));
                }
            }
            watch.report(run, true);
            run.info("Recovery operation finished successfully.");
            Ok(Judged::Restored(Restored(mark)))
        }
        Verdict::CreateAgain(why) => {
            run.info(format!("{why}: starting a new operation"));
            run.set_operation(None, OperationState::NotCreated);
            Ok(Judged::NothingStarted(Failure::new(why)))
        }
        Verdict::Failed(code, problem) => {
            if operations.ended.is_empty() && matches!(operations.origin, Origin::InDoubt { .. }) {
                run.settled = false; // the request may still be queued in the API
            } else {
                run.set_operation(id.as_deref(), state);
            }
            Err(End::With(code, problem))
        }
    }
}

/// What this node shows about why Barman failed.
fn look_for_causes(run: &mut Run, restore: &Restore, watch: &Watch, operations: &Operations) -> String {
    let found = run.world.inspect();
    let bytes = run.bytes.unwrap_or_default();
    let (before, now, receivers) = (&watch.before, &watch.last, run.receivers_seen);
    let seen = Seen { before, now, receivers, bytes, found: &found };
    causes::hint(&seen, restore, &run.connection.barman_server, &operations.names())
}

/// Logs how it ended, closes the state file, and makes the report.
pub(super) fn finish(mut run: Run, restore: &Restore, end: Result<Restored, End>) -> Outcome {
    let mark = end.as_ref().ok().and_then(|Restored(mark)| mark.clone());
    let outcome = run.finish(end.map(drop), |run, interrupt| interrupted(run, restore, interrupt));
    close_journal(&mut run, outcome.code);
    // For a cancelled run the program logs its own last line.
    if outcome.code != Code::Cancelled {
        let line = ended_line(&outcome, outcome.code.name(), outcome.code as i32);
        run.info(line + &restored_line(&outcome, mark.as_ref()));
    }
    Outcome { backup_id: mark.and_then(|mark| mark.backup_id), ..outcome }
}

/// The end of an interrupted run. A cancel ends the restore too, unless the host wants it left running.
fn interrupted(run: &mut Run, restore: &Restore, interrupt: Interrupt) -> Problem {
    if interrupt == Interrupt::Cancelled && run.owns && !run.settled && !restore.leave_running {
        run.world.grant_grace();
        let _ = end_restore(run); // an error means that the grace is over; the state file records what is left
    }
    if interrupt == Interrupt::DeadlinePassed {
        let deadline = run.connection.deadline.unwrap_or_default();
        run.interrupted(&format!("the deadline of {} has passed", seconds(deadline)))
    } else {
        run.interrupted("cancelled")
    }
}

/// Closes the state file if nothing that was started can still write; otherwise leaves it to the next run.
fn close_journal(run: &mut Run, code: Code) {
    if run.locked && run.settled {
        // One that is done is no failure where PostgreSQL was started on it meanwhile.
        let is_done = code == Code::RecoveryDone || (code == Code::Busy && run.state == OperationState::Done);
        let failed = run.arrived && !is_done;
        close_state_file(run.world, run.operation_id.as_deref(), run.state, failed);
    } else if let Some(journal) = run.world.journal() {
        journal.leave();
    }
}

/// Removes the state file; a run that waits for its lock learns how the operation ended. If a restore has `failed`
/// and its remains are in the data directory, the file stays, to warn whoever is about to start PostgreSQL.
pub(crate) fn close_state_file(world: &mut dyn World, id: Option<&str>, state: OperationState, failed: bool) {
    let remains = failed && world.look().content == Content::Something;
    let last = match state {
        _ if remains => Ended::Failed, // whatever the API says: the next run is to start its own
        OperationState::Done => Ended::Done,
        OperationState::Failed => Ended::Failed,
        _ => Ended::NothingStarted,
    };
    let operation = id.map(|id| Line::Operation(id.into()));
    let lines: Vec<Line> = operation.into_iter().chain([Line::Ended(last)]).collect();
    let Some(journal) = world.journal() else { return };
    let path = journal.path();
    if remains && journal.append(&lines).is_ok() {
        return journal.leave();
    }
    if let Err(why) = journal.close(&lines) {
        let warning = format!("the state file {path} could not be removed: {why}");
        world.report(Event::log(Level::Warning, &warning));
    }
}

/// Which backup was restored, when it was taken, and how far its WAL goes.
fn restored_line(outcome: &Outcome, mark: Option<&Mark>) -> String {
    let restored = mark.map(|mark| {
        let id = mark.backup_id.as_ref().map_or("a backup".into(), |id| format!("backup {id}"));
        format!("; restored {id} of server {}, taken {}", mark.server, mark.begin_time)
    });
    let wal = mark.and_then(|mark| mark.last_wal.as_ref()).map(|wal| format!(", with WAL up to {wal}"));
    let bytes = outcome.bytes.filter(|_| outcome.code == Code::RecoveryDone);
    let bytes = bytes.map(|bytes| format!(", {}", size(bytes)));
    [restored, wal, bytes].into_iter().flatten().collect()
}

/// The last line of a run.
pub(crate) fn ended_line(outcome: &Outcome, code: &str, number: i32) -> String {
    let operation = match (&outcome.operation_id, outcome.operation_state) {
        (_, OperationState::NotCreated) => String::new(),
        (Some(id), state) => format!("; operation {id}: {}", state.name()),
        (None, state) => format!("; operation: {}", state.name()),
    };
    // Patroni logs the exit status of the program.
    let status =
        if number < 0 { format!("{number}, exit status {}", number & 0xff) } else { number.to_string() };
    format!("Ended with {code} ({status}) after {}{operation}", seconds(outcome.elapsed))
}
