//! A recovery without a lease (`--no-lease`): for a restore to another host, or a login with a forced command. It is
//! what the Python program is, with good errors: nothing on this node ends the restore, so a lost reply ends the run.

use crate::api::Request;
use crate::config::Restore;
use crate::error::Error;
use crate::outcome::Code;
use crate::world::{Backup, Completeness};

use super::create::{Attempts, Created, create};
use super::explain::own_output;
use super::finish::{examine, failed, flush};
use super::follow::follow;
use super::history::History;
use super::known_operations::KnownOperations;
use super::monitor::Monitor;
use super::preflight::{api_is_up, refuse_unfit, warn_of_content};
use super::session::Session;
use super::verdict::{Data, Ended, Verdict, data, verdict};

pub(super) fn restore_backup(run: &mut Session, restore: &Restore) -> Result<Backup, Error> {
    refuse_unfit(run, restore)?;
    api_is_up(run)?;
    let mut known = KnownOperations::list(run)?;
    let before = run.world.look();
    warn_of_content(run, restore, &before);
    let mut attempts = Attempts::default();
    loop {
        // If it can't be seen now, it can't be seen later either, and is not judged.
        let _ = run.world.remember();
        let mut history = History::new(run.now(), &before);
        let request = Request::Create(restore.into());
        let created = create(run, &request, &known)?;
        if let Created::NotStarted(failure) = created {
            attempts.again(run, &mut known, failure)?;
            continue;
        }
        refuse_doubt(run, &created)?;
        ask_size(run, restore);
        let mut monitor = Monitor::new(run.now(), Some(restore), None, &mut history);
        let ended = follow(run, &mut monitor, created, &mut known)?;
        monitor.report_done(run);
        return conclude(run, restore, ended);
    }
}

/// Asks for the size of the backup, if someone watches: `/diagnose` keeps the API busy.
pub(super) fn ask_size(run: &mut Session, restore: &Restore) {
    if restore.watched {
        run.world.ask_size();
    }
}

fn refuse_doubt(run: &Session, created: &Created) -> Result<(), Error> {
    let Created::InDoubt { why, .. } = created else { return Ok(()) };
    let server = &run.connection.barman_server;
    Err(Error::with(
        Code::HttpError,
        format!(
            "the create request may have started a recovery operation, but its reply does not say so: {why}"
        ),
        format!(
            "check on the Barman host what is running for server {server}; nothing else may write into the data directory until that has ended. With a lease (without --no-lease), a lost reply does no harm"
        ),
    ))
}

fn conclude(run: &mut Session, restore: &Restore, ended: Ended) -> Result<Backup, Error> {
    run.set_state(ended.state(run.state));
    let found = examine(run)?;
    if ended == Ended::Done && !restore.verify {
        if let Completeness::Complete(backup) = found {
            flush(run, restore)?;
            return Ok(backup);
        }
        run.warn(format!(
            "the data in {} was not verified: Barman says that the restore is done (--no-verify)",
            restore.data_directory
        ));
        return Ok(Backup::default());
    }
    let output =
        own_output(&run.connection.barman_server, run.operation_id.as_deref().unwrap_or("OPERATION"));
    let (code, why) = match (&ended, verdict(ended.clone(), seen(found, restore), &restore.data_directory)) {
        (_, Verdict::Restored(backup, warnings)) => {
            for warning in &warnings {
                run.warn_of(warning);
            }
            flush(run, restore)?;
            return Ok(backup);
        }
        (Ended::Unclear(why), _) => {
            (Code::HttpError, format!("Maximum number of retries exceeded, exiting. {why}"))
        }
        (_, Verdict::Failed(why) | Verdict::Again(Error { message: why, .. })) => {
            (Code::RecoveryFailed, failed(Some(why)))
        }
        (_, Verdict::FailedByBarman) => (Code::RecoveryFailed, failed(None)),
    };
    let hint = if ended == Ended::Done {
        format!(
            "either it was restored to a different host (check --ssh-command; --no-verify accepts that), or two nodes were given the same operation; {output}"
        )
    } else {
        format!("the API gives no reason; {output}")
    };
    Err(Error::with(code, why, hint))
}

/// Without a lease only the files say whether Barman wrote here.
fn seen(found: Completeness, restore: &Restore) -> Data {
    data(found, super::history::Use::Unknown, restore)
}
