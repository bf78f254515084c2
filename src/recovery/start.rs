//! The steps before a create: whether the node is fit for a restore, whether the API is up, and what it knows.

use std::collections::HashSet;
use std::path::Path;

use crate::api::Request;
use crate::api::date::{Date, is_recent};
use crate::config::Restore;
use crate::error::Error;
use crate::outcome::Code;
use crate::text;
use crate::world::{Content, Look};

use super::explain::api_hint;
use super::session::Session;
use super::timing::{Every, GONE_AGAIN, UNSEEN};

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

/// The operations that are not ours: those from before the create, and those that have ended since. None if they could
/// not be listed.
pub(crate) struct KnownOperations(Option<HashSet<String>>);

impl KnownOperations {
    /// Asks for the list before the first create. A restore does not need it: it only makes a lost reply clearer.
    pub(crate) fn list(run: &mut Session) -> Result<KnownOperations, Error> {
        let kind = run.kind;
        match run.ask_again(&Request::List, "the list of operations", |reply| reply.ids(kind)) {
            Ok(ids) => Ok(KnownOperations(Some(ids.into_iter().collect()))),
            Err(error) if error.is_interrupt() => Err(error),
            Err(error) => {
                let why = error.message;
                run.warn(format!("the operations can't be listed ({why}): continuing without the list"));
                Ok(KnownOperations(None))
            }
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|known| known.contains(id))
    }

    /// The newest of them: their IDs begin with the time.
    pub(crate) fn newest(&self, most: usize) -> Vec<String> {
        let mut ids: Vec<String> = self.0.iter().flatten().cloned().collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(most);
        ids
    }

    /// Adds operations; returns whether any of them is new.
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = String>) -> bool {
        let known = self.0.get_or_insert_default();
        let before = known.len();
        known.extend(ids);
        known.len() > before
    }

    /// Asks once for the operations that are new; without a list from before the create, for the recent ones.
    pub(crate) fn new_ones(&self, run: &mut Session) -> Result<Vec<String>, Error> {
        let kind = run.kind;
        let (ids, date) = run.ask(&Request::List, |reply| Ok((reply.ids(kind)?, reply.date)))?;
        let is_new = |id: &String, now: Option<Date>| match (&self.0, now) {
            (Some(known), _) => !known.contains(id),
            (None, Some(now)) => is_recent(id, now),
            (None, None) => true,
        };
        Ok(ids.into_iter().filter(|id| is_new(id, date)).collect())
    }
}

/// Waits while something writes into the data directory that is nobody's lease: the restore of a person at work on the
/// Barman host or of a program without leases, or the rest of a `pg_basebackup` that Patroni has ended. Returns what is
/// in the directory then.
pub(crate) fn strangers(run: &mut Session, restore: &Restore) -> Result<Look, Error> {
    let (mut logged, begun) = (Every::default(), run.now());
    loop {
        let look = run.world.look();
        refuse_postgres(&look, restore)?;
        let count = match run.world.strangers() {
            Ok(0) => return Ok(look),
            Ok(count) => count,
            // Where processes can't be seen at all, Barman's own check has to do.
            Err(_) if run.now().saturating_sub(begun) >= UNSEEN => return Ok(look),
            Err(_) => {
                run.pause(GONE_AGAIN)?;
                continue;
            }
        };
        if logged.is_due(run.now(), run.loop_wait) {
            run.warn(format!(
                "something that this run did not start is writing into {} ({}): waiting for it to end",
                restore.data_directory,
                text::receivers(count)
            ));
        }
        run.pause(GONE_AGAIN)?;
    }
}

/// Remembers what is in the data directory, so that only what comes later counts. A directory that can't be seen is
/// looked at again: nothing is started that could not be judged.
pub(crate) fn remember(run: &mut Session, restore: &Restore) -> Result<(), Error> {
    let begun = run.now();
    loop {
        let Err(why) = run.world.remember() else { return Ok(()) };
        if run.now().saturating_sub(begun) >= UNSEEN {
            let message = format!("the data directory {} can't be seen: {why}", restore.data_directory);
            let hint = "check that it is mounted, and that the user of this program may read it; --no-lease restores to a directory that can't be seen from here";
            return Err(Error::with(Code::RecoveryFailed, message, hint));
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
