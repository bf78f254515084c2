//! Whether this node can restore: looks at everything that a recovery needs, changes nothing, and says what it
//! saw. The judgements are pure functions; `check` asks and looks.

use std::path::Path;

use crate::api::diagnose::{Backup, Unknown};
use crate::api::{Reply, Request, TransportError};
use crate::cancel::Cancel;
use crate::config::options::{Command, Opt};
use crate::config::{Config, Connection, Restore};
use crate::event::Event;
use crate::recovery::problems::{API_HINT, refusal_hint};
use crate::sys;
use crate::text::{printable, size};
use crate::world::World;
use crate::world::fs::directory::parent;
use crate::world::fs::state_file::StateFile;
use crate::world::here::{Here, from_here};
use crate::world::host::Host;
use crate::world::snapshot::{Content, Snapshot};

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A restore may run into trouble.
    Warning,
    /// A restore can't succeed.
    Failed,
    /// It was not looked at; the detail says why.
    Skipped,
}

impl Verdict {
    /// As `check` prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "SKIPPED",
        }
    }
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How it was found.
    pub verdict: Verdict,
    /// What was looked at.
    pub what: &'static str,
    /// What was seen, in one line.
    pub detail: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Finding {
    fn new(
        verdict: Verdict,
        what: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        let (detail, hint) = (printable(&detail.into()), printable(&hint.into()));
        Finding { verdict, what, detail, hint }
    }

    fn ok(what: &'static str, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Ok, what, detail, "")
    }
}

/// What is checked.
struct Asked {
    connection: Connection,
    restore: Restore,
}

/// Looks at everything that a recovery with these options needs; blocks. Starts nothing and writes nothing.
///
/// Each finding goes to `on_finding` as soon as it is made, and all are returned, in the same order. Both callbacks are
/// called on this thread.
pub fn check(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
    mut on_finding: impl FnMut(&Finding),
) -> Vec<Finding> {
    let strict = config.is_on(Opt::Strict);
    let mut report = Report { findings: Vec::new(), on_finding: &mut on_finding, strict };
    let host = Host::new(on_event, cancel.clone());
    let opened = config.connection(Command::Check).and_then(|connection| {
        let restore = from_here(config.restore()?)?;
        let world = Here::open(&connection, Some(&restore), host)?;
        Ok((world, Asked { connection, restore }))
    });
    let (mut world, asked) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let hint = "nothing else was looked at";
            report.add(Finding::new(Verdict::Failed, "options", error.to_string(), hint));
            return report.findings;
        }
    };
    let backup = remote(&mut world, &asked, &mut report);
    let directory = Path::new(&asked.restore.data_directory);
    report.add(of_directory(&asked, &world.look(), sys::may_write(parent(directory))));
    if let Some(backup) = backup {
        report.add(of_space(&backup, directory));
    }
    if let Some(path) = &asked.restore.state_file {
        report.add(of_state_file(path));
    }
    if asked.restore.operation_id.is_none() {
        report.add(of_ssh_command(&asked.restore.ssh_command));
    }
    report.findings
}

/// The findings so far.
struct Report<'a> {
    findings: Vec<Finding>,
    on_finding: &'a mut dyn FnMut(&Finding),
    /// Whether a warning is a failure.
    strict: bool,
}

impl Report<'_> {
    fn add(&mut self, mut finding: Finding) {
        if self.strict && finding.verdict == Verdict::Warning {
            finding.verdict = Verdict::Failed;
        }
        (self.on_finding)(&finding);
        self.findings.push(finding);
    }
}

/// What the API says; and the backup, if it can be restored.
fn remote(world: &mut Here, asked: &Asked, report: &mut Report) -> Option<Backup> {
    // Once, and no longer than the option says: whoever checks can ask again.
    let mut ask = |request: Request| {
        let began = world.now();
        let answer = world.send(&request, asked.connection.request_timeout);
        (answer, world.now().saturating_sub(began))
    };
    let (answer, took) = ask(Request::Status);
    let mut api = of_status(asked, answer);
    let is_up = api.verdict == Verdict::Ok;
    if is_up {
        api.detail = format!("{} in {} ms", api.detail, took.as_millis());
    }
    report.add(api);
    if !is_up {
        return None;
    }
    let server = of_server(asked, ask(Request::List).0);
    let known = server.verdict == Verdict::Ok;
    report.add(server);
    if !known || asked.restore.operation_id.is_some() {
        return None;
    }
    let diagnosis = match ask(Request::Diagnose).0 {
        Ok(reply) => reply.backup(&asked.connection.barman_server, &asked.restore.backup_id),
        Err(error) => Err(Unknown::Answer(error.text)),
    };
    let (finding, backup) = of_backup(asked, diagnosis);
    report.add(finding);
    backup
}

fn of_status(asked: &Asked, answer: Result<Reply, TransportError>) -> Finding {
    const WHAT: &str = "API";
    let url = &asked.connection.api_url;
    let (why, hint) = match answer {
        Ok(reply) => match reply.api_ok() {
            Ok(()) => {
                let how =
                    if url.https { "over TLS with a certificate that is trusted" } else { "without TLS" };
                return Finding::ok(WHAT, format!("{url}/status answers OK {how}"));
            }
            Err((_, why)) => (format!("{url}/status: {why}"), authentication(reply.status)),
        },
        Err(none) => (none.text, none.hint),
    };
    let hint = if hint.is_empty() { API_HINT.into() } else { hint };
    Finding::new(Verdict::Failed, WHAT, why, hint)
}

fn authentication(status: u16) -> String {
    if matches!(status, 401 | 403) { refusal_hint(&format!("HTTP {status}")) } else { String::new() }
}

fn of_server(asked: &Asked, answer: Result<Reply, TransportError>) -> Finding {
    const WHAT: &str = "server";
    let server = &asked.connection.barman_server;
    let answer = match answer {
        Ok(reply) => {
            let hint = refusal_hint(&format!("HTTP {}", reply.status));
            reply.operations().map_err(|why| (why, hint))
        }
        Err(none) => Err((none.text, none.hint)),
    };
    match answer {
        Ok(list) => Finding::ok(WHAT, format!("{server} exists, {} operations so far", list.len())),
        Err((why, hint)) => Finding::new(Verdict::Failed, WHAT, format!("{server}: {why}"), hint),
    }
}

fn of_backup(asked: &Asked, diagnosis: Result<Backup, Unknown>) -> (Finding, Option<Backup>) {
    const WHAT: &str = "backup";
    let asked = &asked.restore.backup_id;
    let named = |id: &str| if id == asked { id.to_string() } else { format!("{asked} is {id}") };
    match diagnosis {
        Ok(backup) if backup.is_complete() => {
            let bytes = backup.bytes.map_or("of unknown size".into(), size);
            let detail = format!("{}, {}, {bytes}", named(&backup.id), backup.status);
            (Finding::ok(WHAT, detail), Some(backup))
        }
        Ok(backup) => {
            let detail = format!("{}, which is {}", named(&backup.id), backup.status);
            let hint = "choose one that is DONE in 'barman list-backups' on the Barman host";
            (Finding::new(Verdict::Failed, WHAT, detail, hint), None)
        }
        Err(unknown @ Unknown::Answer(_)) => {
            let detail = format!("{asked}: the API did not tell of it: {unknown}");
            let hint = "a restore does not need this answer; the log of pg-backup-api tells what went wrong";
            (Finding::new(Verdict::Warning, WHAT, detail, hint), None)
        }
        Err(unknown) => {
            let hint =
                "take one with 'barman backup', or choose one of 'barman list-backups' on the Barman host";
            (Finding::new(Verdict::Failed, WHAT, unknown.to_string(), hint), None)
        }
    }
}

fn of_directory(asked: &Asked, look: &Snapshot, parent_writable: bool) -> Finding {
    const WHAT: &str = "data directory";
    let directory = &asked.restore.data_directory;
    if let Some(pid) = look.postmaster {
        let detail = format!("a PostgreSQL runs in {directory} (process {pid})");
        return Finding::new(
            Verdict::Failed,
            WHAT,
            detail,
            "stop it before a restore; Patroni does so by itself",
        );
    }
    let file = look.content == Content::NotADirectory;
    let (detail, hint) = match look.content {
        Content::NotADirectory => (
            format!("{directory} is no directory"),
            "mistyped? Barman refuses it; remove it, or name another",
        ),
        Content::Something => (
            format!("{directory} is not empty"),
            "Barman 3.15 and later refuse it; Patroni empties it before it calls, you have to by hand",
        ),
        Content::Unseen => (
            format!("{directory} can't be seen from here: its parent is missing or can't be read"),
            "mistyped? A restore works where Barman's ssh user can make it, without a look at what it left",
        ),
        Content::Missing if !parent_writable => (
            format!("{directory} does not exist, and this user can't write to its parent"),
            "run this as the user that Patroni runs as; make the directory, owned by the user that ssh logs in as",
        ),
        Content::Missing => return Finding::ok(WHAT, format!("{directory} does not exist yet")),
        Content::Empty => return Finding::ok(WHAT, format!("{directory} is empty")),
    };
    let failed = file || look.content == Content::Missing;
    Finding::new(if failed { Verdict::Failed } else { Verdict::Warning }, WHAT, detail, hint)
}

/// Where the data directory is or will be.
fn of_space(backup: &Backup, directory: &Path) -> Finding {
    const WHAT: &str = "free space";
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match (sys::free_space(there), backup.bytes) {
        (Ok(free), Some(bytes)) => enough(there, free, bytes),
        (Ok(free), None) => {
            let detail = format!("{} at {}, for a backup of unknown size", size(free), there.display());
            Finding::new(Verdict::Warning, WHAT, detail, "see 'barman show-backup' on the Barman host")
        }
        (Err(error), _) => Finding::new(Verdict::Warning, WHAT, format!("{}: {error}", there.display()), ""),
    }
}

fn enough(there: &Path, free: u64, bytes: u64) -> Finding {
    const WHAT: &str = "free space";
    let detail = format!("{} at {} for a backup of {}", size(free), there.display(), size(bytes));
    if free < bytes {
        let hint =
            "make room, or restore to a larger file system; tablespaces with a place of their own count too";
        return Finding::new(Verdict::Failed, WHAT, detail, hint);
    }
    if free - bytes < bytes / 10 {
        let hint = "the WAL since the backup comes on top";
        return Finding::new(Verdict::Warning, WHAT, detail, hint);
    }
    Finding::ok(WHAT, detail)
}

fn of_state_file(path: &Path) -> Finding {
    const WHAT: &str = "state file";
    let shown = path.display();
    let operation = |record: Option<crate::world::journal::Record>| {
        record
            .and_then(|record| record.operation_id)
            .map_or(String::new(), |id| format!(" of operation {id}"))
    };
    match StateFile::peek(path) {
        Ok(None) if sys::may_write(parent(path)) => {
            Finding::ok(WHAT, format!("none is left over at {shown}"))
        }
        Ok(None) => Finding::new(
            Verdict::Warning,
            WHAT,
            format!("this user can't write {shown}: a run after a kill won't know of the one before"),
            "run this as the user that Patroni runs as; give another place with --state-file",
        ),
        Ok(Some((true, record))) => Finding::new(
            Verdict::Warning,
            WHAT,
            format!("a run{} has locked {shown}: a restore goes on", operation(record)),
            "another run waits for its end",
        ),
        Ok(Some((false, record))) => Finding::new(
            Verdict::Warning,
            WHAT,
            format!("{shown} is left over from a run{} that was killed or gave up", operation(record)),
            "the next run first waits for that operation to end",
        ),
        Err(error) => {
            let hint = "give another place with --state-file";
            Finding::new(Verdict::Warning, WHAT, format!("{shown}: {error}"), hint)
        }
    }
}

/// It runs on the Barman host: from here only its form can be judged.
fn of_ssh_command(command: &str) -> Finding {
    const WHAT: &str = "ssh command";
    let words: Vec<&str> = command.split_whitespace().collect();
    if ['"', '\''].iter().any(|quote| command.matches(*quote).count() % 2 == 1) {
        let hint = "a shell on the Barman host splits it";
        return Finding::new(Verdict::Failed, WHAT, format!("a quote has no end: {command}"), hint);
    }
    match words.as_slice() {
        [] | [_] => {
            let hint = "a program and where to log in: 'ssh postgres@this-node'";
            Finding::new(Verdict::Failed, WHAT, format!("it is no whole command: {command}"), hint)
        }
        [program, ..] => Finding::ok(
            WHAT,
            format!("'{command}' looks whole; {program} runs on the Barman host and was not tried"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_judged_with_room_for_the_wal() {
        let verdict = |free, bytes| enough(Path::new("/"), free, bytes).verdict;
        assert_eq!(verdict(99, 100), Verdict::Failed);
        assert_eq!(verdict(100, 100), Verdict::Warning);
        assert_eq!(verdict(109, 100), Verdict::Warning);
        assert_eq!(verdict(110, 100), Verdict::Ok);
    }

    #[test]
    fn an_ssh_command_has_a_program_and_a_host() {
        for (command, verdict) in [
            ("ssh postgres@node", Verdict::Ok),
            ("/usr/bin/ssh -p 22 node", Verdict::Ok),
            ("ssh", Verdict::Failed),
            (" ", Verdict::Failed),
            ("ssh -o 'ProxyCommand x' node", Verdict::Ok),
            ("ssh -o 'ProxyCommand x node", Verdict::Failed),
        ] {
            assert_eq!(of_ssh_command(command).verdict, verdict, "{command}");
        }
    }
}
