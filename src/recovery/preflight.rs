//! The checks before a create: whether the node is fit for a restore, and whether the API is up. What they refuse has
//! started nothing.

use std::path::Path;

use crate::api::Request;
use crate::config::Restore;
use crate::error::Error;
use crate::outcome::Code;
use crate::text;
use crate::world::{Content, Look};

use super::explain::api_hint;
use super::session::Session;
use crate::timing::{Every, GONE_AGAIN, UNSEEN};

/// Refuses a directory in which PostgreSQL runs, the root directory, and directories of other users.
pub(crate) fn refuse_unfit(run: &mut Session, restore: &Restore) -> Result<(), Error> {
    let directory = &restore.data_directory;
    refuse_postgres(&run.world.look(), restore)?;
    let inspection = run.world.inspect();
    let message = if Path::new(directory).parent().is_none() {
        format!("the data directory is {directory}, the root directory")
    } else if let Ok(Some(owner)) = inspection.map(|found| found.foreign_owner) {
        format!(
            "the data directory {directory} belongs to a different user ({owner}), and this user may not write into it"
        )
    } else {
        return Ok(());
    };
    let hint = "check --data-directory, and run this as the user that Patroni runs as";
    Err(Error::with(Code::InvalidArgument, message, hint))
}

/// Refuses a directory in which PostgreSQL runs, as pgBackRest does.
pub(crate) fn refuse_postgres(look: &Look, restore: &Restore) -> Result<(), Error> {
    let Ok(Some(pid)) = look.postmaster else { return Ok(()) };
    let directory = &restore.data_directory;
    Err(Error::with(
        Code::Busy,
        format!(
            "PostgreSQL is running in {directory}: its postmaster.pid names process {pid}, which is alive"
        ),
        format!(
            "stop it first; if process {pid} is not a PostgreSQL process, remove {directory}/postmaster.pid"
        ),
    ))
}

/// Asks whether the API is up.
pub(crate) fn api_is_up(run: &mut Session) -> Result<(), Error> {
    let url = run.connection.api_url.join(&["status"]);
    let asked = run.ask_again(&Request::Status, "the status of the API", |reply| {
        reply.api_ok().map_err(|error| error.about(&url))
    });
    asked.map_err(|error| {
        if error.is_interrupt() {
            return error;
        }
        let message = format!("pg-backup-api is not working: {}", error.message);
        Error::with(Code::ApiNotOk, message, api_hint(&error))
    })
}

/// Waits while something writes into the data directory without a lease: a restore started by a person on the
/// Barman host or by a program without leases, or the rest of a `pg_basebackup` that Patroni has ended. Then
/// remembers what is there, so that only what comes later counts, and returns it. A directory that can't be
/// seen is looked at again, so that nothing is started that could not be judged.
pub(crate) fn remember_undisturbed(run: &mut Session, restore: &Restore) -> Result<Look, Error> {
    let directory = &restore.data_directory;
    let (mut logged, mut unsure_since) = (Every::default(), None);
    loop {
        let look = run.world.look();
        refuse_postgres(&look, restore)?;
        let strangers = run.world.strangers();
        if let Ok(count @ 1..) = strangers {
            unsure_since = None;
            if logged.is_due(run.now(), run.loop_wait) {
                let what = text::receivers(count);
                run.warn(format!(
                    "something that this run did not start is writing into {directory} ({what}): waiting for it to end"
                ));
            }
        } else {
            let has_waited = run.now().saturating_sub(*unsure_since.get_or_insert(run.now())) >= UNSEEN;
            match look.known().and_then(|()| run.world.remember()) {
                // Where processes can't be seen at all, Barman's own check has to do.
                Ok(()) if strangers.is_ok() || has_waited => return Ok(look),
                Err(why) if has_waited => {
                    let message = format!("the data directory {directory} can't be seen: {why}");
                    let hint = "check that it is mounted, and that the user of this program may read it; --no-lease restores to a directory that can't be seen from here";
                    return Err(Error::with(Code::RecoveryFailed, message, hint));
                }
                _ => {}
            }
        }
        run.pause(GONE_AGAIN)?;
    }
}

/// Warns about a data directory that Barman may refuse.
pub(crate) fn warn_of_content(run: &mut Session, restore: &Restore, look: &Look) {
    let why = match look.content {
        Ok(Content::Something) => {
            "is not empty: Barman 3.15 and later refuse it, unless Barman is configured for delta-restore"
        }
        Ok(Content::LostAndFound) => {
            "has lost+found, as the root of a file system does: Barman 3.15 and later refuse it; restore to a directory below it"
        }
        Ok(Content::NotADirectory) => "is not a directory: Barman will refuse it",
        _ => return,
    };
    run.warn(format!("the data directory {} {why}", restore.data_directory));
}
