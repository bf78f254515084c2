//! The steps before a create. Nothing of ours is running until then.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use crate::api::{Reply, Request};
use crate::config::{Connection, Restore};
use crate::outcome::{Code, OperationState, Problem};
use crate::text;
use crate::world::journal::{Ended, Line, Lock, Record, Run as RunLine};
use crate::world::snapshot::{Content, Snapshot};

use super::problems::{API_HINT, status_hint, unreadable};
use super::quiet::QUIET;
use super::run::{End, Run};
use super::waits::{Every, Missed};

/// How often another run's state file, and receivers of unknown origin, are checked.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Refuses a data directory in which PostgreSQL is running, as pgBackRest does.
pub(crate) fn refuse_running_postgres(snapshot: &Snapshot, restore: &Restore) -> Result<(), End> {
    let Some(pid) = snapshot.postmaster else { return Ok(()) };
    let directory = &restore.data_directory;
    Err(End::with(
        Code::Busy,
        format!(
            "PostgreSQL is running in {directory}: its postmaster.pid names process {pid}, which is alive"
        ),
        format!(
            "stop it first; if process {pid} is not a PostgreSQL process, remove {directory}/postmaster.pid"
        ),
    ))
}

/// Locks the state file, waiting while another run holds it. Returns what an earlier run left, if anything.
pub(crate) fn lock(run: &mut Run, restore: &Restore) -> Result<Option<Record>, End> {
    let (mut logged, mut waited) = (Every::default(), false);
    loop {
        let Some(journal) = run.world.journal() else { return Ok(None) };
        let (path, lock) = (journal.path(), journal.lock());
        match lock {
            Lock::Ours { left_over, garbage } => {
                run.locked = true;
                run.set_operation(None, OperationState::NotCreated);
                if let Some(why) = garbage {
                    run.warn(unreadable(&path, &why));
                }
                let Some(record) = left_over else { return Ok(None) };
                run.arrived = record.is_about(run.world.look().identity);
                // If another run was waited for, the data directory shows what that run left.
                if record.can_count() || (waited && record.ended == Some(Ended::Failed)) {
                    refuse_foreign(run, restore, &record, &path)?;
                    return Ok(Some(record));
                }
                return Ok(None);
            }
            Lock::Held(record) => {
                waited = true;
                // What the other run started may be writing; this matters if this run is ended now.
                if let Some(record) = &record {
                    run.set_operation(record.operation_id.as_deref(), record.open_state());
                }
                if logged.is_due(run.now(), run.loop_wait) {
                    let other = record.as_ref().map_or(String::new(), |record| {
                        let id = record.operation_id.as_ref();
                        let operation = id.map_or(String::new(), |id| format!(", operation {id}"));
                        format!(" (pid {}{operation})", record.run.pid)
                    });
                    run.warn(format!(
                        "another run{other} is restoring into this data directory and has locked {path}: waiting for it to end"
                    ));
                }
                run.pause(LOOK_AGAIN)?;
            }
            Lock::Unavailable(why) => {
                run.warn(format!(
                    "the state file {path} can't be used ({why}): continuing without it; if this run is killed, the next one will not know about it"
                ));
                return Ok(None);
            }
        }
    }
}

/// Refuses a state file that belongs to something else: its operation may be running and is not ours to judge.
fn refuse_foreign(run: &mut Run, restore: &Restore, record: &Record, path: &str) -> Result<(), End> {
    let Some(Problem { message, hint }) = foreign(run.connection, restore, record, path) else {
        return Ok(());
    };
    run.locked = false;
    if let Some(journal) = run.world.journal() {
        journal.leave();
    }
    Err(End::with(Code::Busy, message, hint))
}

/// Describes what else a state file belongs to, if it is not this restore.
pub(crate) fn foreign(
    connection: &Connection,
    restore: &Restore,
    record: &Record,
    path: &str,
) -> Option<Problem> {
    let (url, theirs) = (connection.api_url.to_string(), &record.run);
    let ids = restore.operation_id.as_ref().zip(record.operation_id.as_ref());
    let (what, theirs, ours) = if theirs.api_url != url {
        ("API", theirs.api_url.as_str(), url.as_str())
    } else if theirs.barman_server != connection.barman_server {
        ("Barman server", theirs.barman_server.as_str(), connection.barman_server.as_str())
    } else if Path::new(&theirs.data_directory) != Path::new(&restore.data_directory) {
        ("data directory", theirs.data_directory.as_str(), restore.data_directory.as_str())
    } else if let Some((ours, theirs)) = ids.filter(|(ours, theirs)| ours != theirs) {
        ("operation", theirs.as_str(), ours.as_str())
    } else if let (Some(ours), None, Some(known)) =
        (&restore.operation_id, &record.operation_id, &theirs.known)
        && known.contains(ours)
    {
        ("operation", "one that is newer", ours.as_str()) // it was there before that run's create
    } else {
        return None;
    };
    let operation =
        record.operation_id.as_ref().map_or("any operation".into(), |id| format!("operation {id}"));
    Some(Problem::new(
        format!("the state file {path} belongs to a different {what}: {theirs}, not {ours}"),
        format!(
            "make sure that {operation} of server {} at {} has ended, then remove {path}",
            record.run.barman_server, record.run.api_url
        ),
    ))
}

/// Asks whether the API is up.
pub(crate) fn api_is_up(run: &mut Run) -> Result<(), End> {
    let most = run.connection.max_retries.max(1);
    for attempt in 1.. {
        let missed: Missed = match run.ask(&Request::Status)? {
            Ok(reply) => match reply.api_ok() {
                Ok(()) => return Ok(()),
                Err((again, why)) => not_ok(run, &reply, again, &why),
            },
            Err(error) => error.into(),
        };
        let why = &missed.why;
        if missed.permanent || attempt >= most {
            let tries = if attempt > 1 { format!(" ({attempt} tries)") } else { String::new() };
            let hint = if missed.hint.is_empty() { API_HINT } else { &missed.hint };
            return Err(End::with(
                Code::ApiNotOk,
                format!("pg-backup-api is not working: {why}{tries}"),
                hint,
            ));
        }
        run.warn(format!("Attempt {attempt} of {most} to ask for the status of the API failed: {why}"));
        let wait = run.retry_wait(Duration::ZERO, missed.retry_after);
        run.pause(wait)?;
    }
    Ok(())
}

/// A reply that is not OK.
fn not_ok(run: &Run, reply: &Reply, again: bool, why: &str) -> Missed {
    let why = format!("{}: {why}", run.connection.api_url.join(&["status"]));
    Missed { why, hint: status_hint(reply.status), permanent: !again, retry_after: reply.retry_after }
}

/// The operations that existed before the create; `None` if they could not be listed.
pub(crate) struct Baseline(pub(crate) Option<HashSet<String>>);

impl Baseline {
    /// Asks for the list, with as many retries as for any request.
    pub(crate) fn take(run: &mut Run) -> Result<Baseline, End> {
        let most = run.connection.max_retries.max(1);
        for attempt in 1..=most {
            let missed = match run.list()? {
                Ok((list, _)) => return Ok(Baseline(Some(list.into_iter().collect()))),
                Err(missed) => missed,
            };
            if attempt == most || missed.permanent {
                let why = missed.why;
                run.warn(format!("the operations can't be listed ({why}): continuing without the list"));
                break;
            }
            let wait = run.retry_wait(Duration::ZERO, missed.retry_after);
            run.pause(wait)?;
        }
        Ok(Baseline(None))
    }

    /// Adds operations that are not ours or have ended. Returns whether any of them is new.
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = String>) -> bool {
        let known = self.0.get_or_insert_default();
        let before = known.len();
        known.extend(ids);
        known.len() > before
    }
}

/// Waits until no receiver is writing into the data directory, whoever started it, and there has been none for a
/// while, as Barman copies in steps. Ends receivers that write into a directory that was removed or emptied. Also
/// makes sure that PostgreSQL is not running there. Returns what is in the directory then.
pub(crate) fn nobody_writes_here(run: &mut Run, restore: &Restore) -> Result<Snapshot, End> {
    let (mut logged, mut seen) = (Every::default(), None);
    let directory = &restore.data_directory;
    loop {
        let snapshot = run.world.look();
        refuse_running_postgres(&snapshot, restore)?;
        let (receivers, now) = (run.world.receivers(), run.now());
        if receivers > 0 {
            seen = Some(now);
        } else if seen.is_none_or(|seen| now.saturating_sub(seen) >= QUIET) {
            return Ok(snapshot);
        }
        let counts = snapshot.content == Content::Something;
        if receivers > 0 && logged.is_due(now, run.loop_wait) {
            let what =
                if counts { "waiting for it to end" } else { "ending it, because the directory was emptied" };
            run.warn(format!(
                "a restore that this run did not start is writing into {directory} ({}): {what}",
                text::receivers(receivers)
            ));
        }
        if !counts {
            run.world.end_receivers();
        }
        run.pause(LOOK_AGAIN)?;
    }
}

/// Warns about a data directory that Barman may refuse.
pub(crate) fn warn_of_content(run: &mut Run, restore: &Restore) {
    let why = match run.world.look().content {
        Content::Something => {
            "is not empty: Barman 3.15 and later refuse it, unless Barman is configured for delta-restore"
        }
        Content::NotADirectory => "is not a directory: Barman will refuse it",
        _ => return,
    };
    run.warn(format!("the data directory {} {why}", restore.data_directory));
}

/// Writes the first line of the state file: from here on a kill leaves a trace.
pub(crate) fn note_create(run: &mut Run, restore: &Restore, baseline: &Baseline, before: &Snapshot) {
    let line = RunLine {
        pid: std::process::id(),
        api_url: run.connection.api_url.to_string(),
        barman_server: run.connection.barman_server.clone(),
        backup_id: restore.backup_id.clone(),
        data_directory: restore.data_directory.clone(),
        known: baseline.0.clone(),
        before: before.stamps,
    };
    let identity = before.identity.map(Line::Identity);
    run.note(&std::iter::once(Line::Run(line)).chain(identity).collect::<Vec<_>>());
}
