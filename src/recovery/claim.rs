//! The claim on the data directory, and the lease that it grants. The types rule out what must not happen: a
//! lease borrows the claim exclusively, so that a run has one at a time; `Drop` revokes it, so that no path
//! through the code leaves it alive; and only what `revoke` returns can be judged.

use crate::config::Restore;
use crate::error::Error;
use crate::outcome::{Code, Problem};
use crate::world::{ClaimHandle, Claiming, Content, Drain, FileId, Known, LeaseHandle, LogLine, Look, Note};

use super::history::{History, Use};
use super::session::Session;
use crate::timing::{DRAIN, DRAIN_AGAIN, DRAIN_KILL, Every, GONE_AGAIN, LAST_LINES, LEFT, UNSEEN};

/// No other run works on this data directory while it lives, and nothing of a dead one writes there any more.
pub(crate) struct Claim {
    handle: Box<dyn ClaimHandle>,
    note: Note,
    /// Whether Barman ran a command through a lease, so that there is something to read for the operator.
    was_used: bool,
    note_failed: bool,
}

/// Barman's permission to write on this node.
pub(crate) struct Lease<'c> {
    claim: &'c mut Claim,
    handle: Box<dyn LeaseHandle>,
}

/// A lease that is revoked and drained: nothing writes any more.
#[must_use]
pub(crate) struct Drained {
    pub(crate) history: History,
    /// What could not be ended; always empty if the drain took less than [`DRAIN`].
    pub(crate) holders: Vec<String>,
}

/// Locks the state directory, waiting while another run has it, and drains what dead runs have left.
pub(crate) fn claim(run: &mut Session, restore: &Restore) -> Result<Claim, Error> {
    let mut logged = Every::default();
    loop {
        match run.world.claim() {
            Claiming::Ours(handle) => {
                // Keep the first file of an earlier run: it identifies what a restore has left, until a lease
                // is granted after that file has gone.
                let first_file = handle.left().ok().flatten().and_then(|left| left.first_file);
                let note = Note { first_file, ..note(run, restore) };
                let mut claim = Claim { handle, note, was_used: false, note_failed: false };
                claim.drain_what_is_left(run)?;
                return Ok(claim);
            }
            Claiming::Held(note) => {
                if logged.is_due(run.now(), run.loop_wait) {
                    let other = note.map_or(String::new(), |note| note.who());
                    run.warn(format!(
                        "another run{other} is restoring into {}: waiting for it to end",
                        restore.data_directory
                    ));
                }
                run.pause(GONE_AGAIN)?;
            }
            Claiming::Impossible(problem) => return Err(Error::ends(Code::InvalidArgument, problem)),
        }
    }
}

fn note(run: &Session, restore: &Restore) -> Note {
    Note {
        pid: std::process::id(),
        api_url: run.connection.api_url.to_string(),
        barman_server: run.connection.barman_server.clone(),
        backup_id: restore.backup_id.clone(),
        data_directory: restore.data_directory.clone(),
        ..Note::default()
    }
}

impl Claim {
    /// Waits until nothing of a dead run writes any more. Its lease was revoked when that run died, so this
    /// takes no time, unless something is stuck in the kernel, or has left the process group of its command.
    fn drain_what_is_left(&mut self, run: &mut Session) -> Result<(), Error> {
        let (mut logged, begun, mut was_told_to_kill) = (Every::default(), run.now(), false);
        loop {
            let why = match self.handle.drain() {
                Drain::Drained => return Ok(()),
                Drain::Held(holders) => format!("is still writing ({})", named(holders).join(", ")),
                Drain::Unknown(why) => format!("may still be writing ({why})"),
            };
            let took = run.now().saturating_sub(begun);
            if took >= LEFT {
                let hint = "find out what it is and end it; if it can't be ended, it may be waiting for a disk that hangs, and only a reboot helps";
                let message = format!("an earlier run's restore {why}, and could not be ended");
                return Err(Error::with(Code::RecoveryFailed, message, hint));
            }
            if took >= DRAIN_KILL && !std::mem::replace(&mut was_told_to_kill, true) {
                self.handle.kill_holders();
            }
            if logged.is_due(run.now(), run.loop_wait) {
                run.warn(format!("an earlier run's restore {why}: waiting for it to end"));
            }
            run.pause(GONE_AGAIN)?;
        }
    }

    /// Lets Barman write on this node, until the lease is revoked or this process ends; `before` is what the data directory
    /// shows now. An error may be temporary (too many open files, a full disk), so this tries again.
    pub(crate) fn grant(&mut self, run: &mut Session, before: &Look) -> Result<Lease<'_>, Error> {
        self.note.operation_id = None;
        self.note.was_empty = matches!(before.content, Ok(Content::Missing | Content::Empty));
        self.note.first_file = self.note.first_file.filter(|file| before.first_file == Ok(Some(*file)));
        self.write_note(run);
        let begun = run.now();
        loop {
            match self.handle.grant("") {
                Ok(handle) => return Ok(Lease { claim: self, handle }),
                Err(problem) if run.now().saturating_sub(begun) >= UNSEEN => {
                    return Err(Error::ends(Code::InvalidArgument, problem));
                }
                Err(problem) => run.warn_of(&problem),
            }
            run.pause(GONE_AGAIN)?;
        }
    }

    /// Writes the note. It is for people and for `settle`: a restore is not given up because of it.
    fn write_note(&mut self, run: &mut Session) {
        let written = self.handle.note(&self.note);
        if let Err(why) = written
            && !std::mem::replace(&mut self.note_failed, true)
        {
            run.warn(format!("the note in {} can't be written: {why}", self.handle.path()));
        }
    }

    /// The end of a run: leaves in the state directory what the operator and `settle` need; after success nothing.
    pub(crate) fn close(mut self, run: &mut Session, code: Code) {
        if code == Code::RecoveryDone || !self.was_used && self.note.first_file.is_none() {
            if let Err(why) = self.handle.remove() {
                run.warn(format!("{} can't be removed: {why}", self.handle.path()));
            }
            return;
        }
        self.note.ended = Some(code.name().into());
        self.write_note(run);
    }

    /// Where the operator finds the log of the last restore.
    pub(crate) fn path(&self) -> String {
        self.handle.path()
    }
}

impl Lease<'_> {
    /// The command with which Barman reaches this node: the user's, and the lease behind it.
    pub(crate) fn ssh_command(&self, restore: &Restore) -> String {
        format!("{} sh {}", restore.ssh_command, self.handle.path())
    }

    pub(crate) fn log(&mut self) -> Known<Vec<LogLine>> {
        self.handle.log()
    }

    pub(crate) fn moved(&mut self) -> Option<u64> {
        self.handle.moved()
    }

    /// Notes the operation, once the API has named it.
    pub(crate) fn note_operation(&mut self, run: &mut Session, id: &str) {
        self.claim.note.operation_id = Some(id.into());
        self.claim.write_note(run);
    }

    /// Notes the first file that came through the lease.
    pub(crate) fn note_first_file(&mut self, run: &mut Session, file: FileId) {
        if self.claim.note.first_file != Some(file) {
            self.claim.note.first_file = Some(file);
            self.claim.write_note(run);
        }
    }

    /// Ends everything that Barman runs here. Afterwards the log is complete, and the first file is known if one has come.
    pub(crate) fn revoke(mut self, run: &mut Session, mut history: History) -> Drained {
        self.handle.revoke();
        let holders = self.drained(run);
        let lines = self.last_lines(run);
        history.log(run.now(), lines);
        history.look(run.now(), &run.world.look());
        if let Some(file) = history.first_file() {
            self.note_first_file(run, file);
        }
        self.claim.was_used |= history.lease_use() != Use::Nothing;
        if !holders.is_empty() {
            run.warn_of(&Problem::new(
                format!("something that the restore has started could not be ended: {}", holders.join(", ")),
                "see what it is, and end it before anything else uses the data directory",
            ));
        }
        Drained { history, holders }
    }

    /// The last lines of the log. Nothing reads them later, and they may show a second Barman.
    fn last_lines(&mut self, run: &mut Session) -> Known<Vec<LogLine>> {
        let begun = run.now();
        loop {
            let lines = self.handle.log();
            if lines.is_ok() || run.now().saturating_sub(begun) >= LAST_LINES {
                return lines;
            }
            run.world.rest(DRAIN_AGAIN);
        }
    }

    /// Waits until nothing holds the revoked lease; returns what still holds it after [`DRAIN`]. An interrupt
    /// does not end this wait, because it is part of how a run ends.
    fn drained(&mut self, run: &mut Session) -> Vec<String> {
        let begun = run.now();
        let mut was_told_to_kill = false;
        loop {
            let holders = match self.handle.drain() {
                Drain::Drained => return Vec::new(),
                Drain::Held(holders) => named(holders),
                Drain::Unknown(why) => vec![why],
            };
            let took = run.now().saturating_sub(begun);
            if took >= DRAIN {
                return holders;
            }
            if took >= DRAIN_KILL && !std::mem::replace(&mut was_told_to_kill, true) {
                run.warn(format!(
                    "still running although the lease was revoked: {}: ending it",
                    holders.join(", ")
                ));
                self.handle.kill_holders();
            }
            run.world.rest((took / 10).max(DRAIN_AGAIN).min(DRAIN - took));
        }
    }
}

/// What holds a lease. Never empty: processes of other users don't show which files they have open.
fn named(holders: Vec<String>) -> Vec<String> {
    if holders.is_empty() { vec!["a process that can't be seen from here".into()] } else { holders }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.handle.revoke();
    }
}
