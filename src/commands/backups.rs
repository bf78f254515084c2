//! The backups of a Barman server, so that nobody has to log in on the Barman host to choose one. Read-only.

use serde::Serialize;

use crate::api::Request;
use crate::api::diagnose;
use crate::cancel::Cancel;
use crate::commands::{ask, ask_api};
use crate::config::Config;
use crate::config::options::Command;
use crate::event::Event;
use crate::outcome::{Answer, or_empty};
use crate::text::one_line;
use crate::world::caller::Caller;

/// The backups of a Barman server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Backups {
    /// Whatever their status, the newest first.
    pub backups: Vec<Backup>,
}

/// A backup of a Barman server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backup {
    /// Its ID, as the option `backup-id` takes it.
    pub id: String,
    /// The state that Barman gives: `DONE`, `FAILED`, `WAITING_FOR_WALS`, ...
    pub status: String,
    /// Whether a restore brings all of it, files and WAL.
    pub is_complete: bool,
    /// Why it does not, where the status does not say it.
    #[serde(serialize_with = "or_empty")]
    pub note: Option<String>,
    /// When it began, as Barman writes it: `2026-11-22T13:34:30.680354+00:00`; `None` if Barman does not say.
    pub begin_time: Option<String>,
    /// When it was complete, in the same format.
    pub end_time: Option<String>,
    /// Bytes that a restore writes, without WAL.
    pub bytes: Option<u64>,
    /// The version of PostgreSQL: `15.18`.
    pub version: Option<String>,
    /// How Barman made it: `rsync`, `postgres`, ...
    pub mode: Option<String>,
}

/// Lists the backups of the Barman server; blocks.
///
/// Asks `GET /diagnose`, for which Barman examines all its servers and connects to their PostgreSQL: it may take as
/// long as the option `create-timeout` allows. `on_event` is called on this thread; `cancel` ends the call from
/// another thread.
pub fn backups(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Backups> {
    ask_api(Command::Backups, config, Caller::new(on_event, cancel.clone()), |run| {
        let reply = ask(run, &Request::Diagnose)?;
        let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
        let diagnosis =
            reply.diagnosis(server).map_err(|error| error.about(format_args!("{url}/diagnose")))?;
        Ok(Backups { backups: diagnosis.backups.into_iter().rev().map(Backup::from).collect() })
    })
}

fn note(backup: &diagnose::Backup) -> Option<&'static str> {
    if backup.is_snapshot {
        return Some("snapshots of disks, which the API can't restore");
    }
    backup.waits_for_wal().then_some("Barman has not yet archived all the WAL that this backup needs")
}

impl From<diagnose::Backup> for Backup {
    fn from(backup: diagnose::Backup) -> Backup {
        Backup {
            is_complete: backup.status == "DONE" && !backup.is_snapshot,
            note: note(&backup).map(Into::into),
            id: one_line(&backup.id),
            status: backup.status,
            begin_time: backup.begin_time,
            end_time: backup.end_time,
            bytes: backup.bytes,
            version: backup.version,
            mode: backup.mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::diagnose::Diagnosis;

    #[test]
    fn what_a_restore_does_not_bring_is_marked() {
        for (backup, is_complete, note) in [
            (r#"{"status":"DONE","mode":"rsync"}"#, true, None),
            (r#"{"status":"WAITING_FOR_WALS","mode":"rsync"}"#, false, Some("WAL")),
            (r#"{"status":"DONE","mode":"snapshot"}"#, false, Some("snapshots")),
            (r#"{"status":"FAILED","mode":"rsync"}"#, false, None),
        ] {
            let body = format!(r#"{{"servers":{{"pg":{{"backups":{{"x":{backup}}}}}}}}}"#);
            let found = Diagnosis::read(body.as_bytes(), "pg").unwrap().backups.remove(0);
            let found = Backup::from(found);
            assert_eq!(found.is_complete, is_complete, "{backup}");
            assert_eq!(
                found.note.map(|said| note.is_some_and(|word| said.contains(word))),
                note.map(|_| true)
            );
        }
    }
}
