//! The first and last log lines of a recovery, what is done before it counts as restored, and its report.

use crate::cancel::Interrupt;
use crate::config::Restore;
use crate::error::Error;
use crate::outcome::{Answer, Code, OperationState, Problem, Recovery};
use crate::text::{seconds, size};
use crate::version::VERSION;
use crate::world::{Backup, Completeness};

use super::claim::Drained;
use super::explain::own_output;
use super::failure::Failed;
use super::history::KILLED;
use super::preflight::refuse_postgres;
use super::session::{Session, ended_line};
use super::verdict::{Data, Ended, Verdict, data, verdict};
use crate::timing::{GONE_AGAIN, UNSEEN};

/// The first line of the log.
pub(crate) fn log_start(run: &mut Session, restore: &Restore) {
    let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
    let lease =
        if restore.lease { "" } else { ", without a lease: the restore goes on if this program ends" };
    run.info(format!(
        "Restoring backup {} of Barman server {server} to {} through {url} (barman-recover {VERSION}{lease})",
        restore.backup_id, restore.data_directory
    ));
}

/// What becomes of a restore that has ended.
pub(crate) enum Consequence {
    Restored(Backup),
    Again(Error),
}

/// Judges a restore after which nothing writes any more; the only place that acts on the verdict. `log` is where the
/// operator finds the log of the lease.
pub(crate) fn judge(
    run: &mut Session,
    restore: &Restore,
    ended: Ended,
    drained: &Drained,
    log: &str,
) -> Result<Consequence, Error> {
    refuse_postgres(&run.world.look(), restore)?;
    // The last lines of the log are known only now: a second Barman may have come during the last question.
    let ended = match ended {
        Ended::Nothing(failure) => Ended::Nothing(failure),
        _ if drained.history.began_twice(&restore.data_directory) => Ended::SecondBarman,
        ended => ended,
    };
    let found = match &ended {
        Ended::Nothing(failure) => Completeness::Unchanged(failure.message.clone()),
        _ => examine(run)?,
    };
    let is_complete = matches!(found, Completeness::Complete(_));
    let state = ended.state(run.state);
    // A command that this run has killed has not done its work, whatever the API says.
    let was_cut =
        drained.history.cut_copy().is_some_and(|last| ended != Ended::Done || last.status == Some(KILLED));
    let data = match data(found, drained.history.lease_use(), restore) {
        Data::Complete(..) if was_cut => {
            Data::Partial("has all data, but Barman's last copy, of configuration files, was cut off".into())
        }
        data => data,
    };
    let why = match verdict(ended.clone(), data, &restore.data_directory) {
        Verdict::Restored(backup, warnings) => {
            run.set_state(state);
            for warning in &warnings {
                run.warn_of(warning);
            }
            return Ok(Consequence::Restored(backup));
        }
        Verdict::Again(failure) if drained.holders.is_empty() => {
            run.set_operation(None, OperationState::NotCreated);
            return Ok(Consequence::Again(failure));
        }
        Verdict::Again(Error { message: why, .. }) | Verdict::Failed(why) => Some(why),
        Verdict::FailedByBarman => None,
    };
    if run.state.may_be_running() || run.operation_id.is_some() {
        run.set_state(state);
    }
    let hint = hint(run, restore, &ended, drained, is_complete, log);
    Err(Error::with(Code::RecoveryFailed, failed(why), hint))
}

/// The message of the Python program, and why.
pub(crate) fn failed(why: Option<String>) -> String {
    let why = why.map_or(String::new(), |why| format!(" {why}"));
    format!("Recovery operation failed.{why}")
}

/// Reads what is there. While it can't be seen it is looked at again: such an error is evidence of nothing.
pub(crate) fn examine(run: &mut Session) -> Result<Completeness, Error> {
    let begun = run.now();
    loop {
        let found = run.world.examine();
        if !matches!(found, Completeness::Unknown(_)) || run.now().saturating_sub(begun) >= UNSEEN {
            return Ok(found);
        }
        run.pause(GONE_AGAIN)?;
    }
}

fn hint(
    run: &mut Session,
    restore: &Restore,
    ended: &Ended,
    drained: &Drained,
    is_complete: bool,
    log: &str,
) -> String {
    let operation = run.operation_id.clone().unwrap_or_else(|| "OPERATION".into());
    let server = &run.connection.barman_server;
    if *ended != Ended::Failed {
        return own_output(server, &operation);
    }
    let inspection = run.world.inspect().ok();
    let failed = Failed {
        history: &drained.history,
        inspection: inspection.as_ref(),
        is_complete,
        directory: &restore.data_directory,
    };
    failed.hint(log, server, &operation)
}

/// Writes the data to disk, because it must survive a power cut once the run has ended with 0. This can take
/// minutes, in which somebody may remove the directory, so the last look comes afterwards.
pub(crate) fn flush(run: &mut Session, restore: &Restore) -> Result<(), Error> {
    let (begun, directory) = (run.now(), &restore.data_directory);
    let failed = |why: String| Error::new(Code::RecoveryFailed, failed(Some(format!("{directory} {why}"))));
    run.world.flush().map_err(|error| {
        if error.is_interrupt() {
            return error;
        }
        let hint = Some("look for disk errors in the kernel log".into());
        Error { hint, ..failed(format!("can't be written to disk: {}", error.message)) }
    })?;
    let took = run.now().saturating_sub(begun);
    if took >= GONE_AGAIN {
        run.info(format!("flushed {directory} to disk in {}", seconds(took)));
    }
    match examine(run)? {
        Completeness::Complete(_) | Completeness::NoProof(..) | Completeness::WalMissing(..) => {
            run.set_state(OperationState::Done);
            Ok(())
        }
        Completeness::Incomplete(why) | Completeness::Unchanged(why) => {
            let hint = Some("Patroni removes the data directory when it gives up on this node".into());
            Err(Error { hint, ..failed(format!("was changed while it was written to disk: {why}")) })
        }
        Completeness::Unknown(why) => Err(failed(format!("can't be seen any more: {why}"))),
    }
}

/// Logs how the recovery ended and makes the report.
pub(crate) fn finish(mut run: Session, restore: &Restore, end: Result<Backup, Error>) -> Answer<Recovery> {
    if end.is_ok() {
        run.info("Recovery operation finished successfully.");
    }
    let backup = end.as_ref().ok().cloned();
    let mut answer = run.finish(end.map(drop), |run, interrupt| interrupted(run, restore, interrupt));
    // For a cancelled run the program logs its own last line.
    if answer.code != Code::Cancelled {
        let line = ended_line(&answer, answer.code.name(), answer.code.exit_status());
        run.info(line + &restored_line(&answer, backup.as_ref()));
    }
    answer.found.backup_id = backup.and_then(|backup| backup.id);
    answer
}

/// What an interrupted run leaves behind.
fn interrupted(run: &mut Session, restore: &Restore, interrupt: Interrupt) -> Problem {
    let (what, server) = (run.reason(interrupt), &run.connection.barman_server);
    let operation = run
        .operation_id
        .as_ref()
        .map_or("a recovery operation".into(), |id| format!("recovery operation {id}"));
    let message = match (run.state, restore.lease) {
        (OperationState::NotCreated, _) => format!("{what}: no recovery operation was started"),
        (OperationState::Done | OperationState::Failed, _) => {
            format!("{what}: {operation} has ended ({})", run.state.name())
        }
        (_, true) => format!("{what}: {operation} of server {server} can't write on this node any more"),
        (_, false) => {
            format!("{what}: {operation} of server {server} may go on; without a lease nothing ends it")
        }
    };
    Problem::without_hint(message)
}

/// Which backup was restored, when it was taken, and how far its WAL goes.
fn restored_line(answer: &Answer<Recovery>, backup: Option<&Backup>) -> String {
    // Unverified data names no backup.
    let backup = backup.filter(|backup| !backup.server.is_empty());
    let restored = backup.map(|backup| {
        let id = backup.id.as_ref().map_or("a backup".into(), |id| format!("backup {id}"));
        format!("; restored {id} of server {}, taken {}", backup.server, backup.begin_time)
    });
    let wal = backup.and_then(|backup| backup.last_wal.as_ref()).map(|wal| format!(", with WAL up to {wal}"));
    let bytes = answer.found.bytes.filter(|_| answer.code == Code::RecoveryDone);
    let bytes = bytes.map(|bytes| format!(", {}", size(bytes)));
    [restored, wal, bytes].into_iter().flatten().collect()
}
