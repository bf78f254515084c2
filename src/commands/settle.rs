//! Clears what a failed restore has left, before PostgreSQL is started on it. It moves a directory aside only on proof,
//! deletes nothing, and needs no API. Whatever is not proved to be the remains of a restore is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::answer;
use crate::cancel::Cancel;
use crate::config::options::Command;
use crate::config::{Config, Paths};
use crate::error::Error;
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, or_empty};
use crate::recovery::history::{History, Use};
use crate::sys;
use crate::timing::{GONE_AGAIN, SAY_AGAIN, UNSEEN};
use crate::world::caller::Caller;
use crate::world::data::{DataDirectory, came_within, linked_directories};
use crate::world::real::absolute;
use crate::world::{
    ClaimHandle, Claiming, Completeness, Content, Drain, FileId, Known, LeftLog, Look, Note, state,
};

/// What [`settle`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// Where the remains are now: the data directory first, then its tablespaces and its WAL directory. Empty if
    /// nothing was moved.
    pub moved_to: Vec<String>,
    /// Why nothing was moved, in one line, if nothing was.
    #[serde(serialize_with = "or_empty")]
    pub left_alone: Option<String>,
}

/// Waits while a run restores into the data directory. Then, if the directory holds the remains of a restore
/// that failed or died, moves it aside as `DATADIR.failed-TIME`, with its tablespaces and its WAL directory;
/// anything else is left alone. Blocks; needs only the option `data-directory` (and `state-dir`, if the
/// recovery has it), and sends nothing. `cancel` ends the wait from another thread.
///
/// Ends with [`Code::RecoveryDone`] if PostgreSQL may be started as far as restores are concerned, and with
/// [`Code::RecoveryFailed`] if there are remains that can't be moved, or that can't be seen.
pub fn settle(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Settled> {
    let caller = Caller::new(on_event, cancel.clone());
    let answer = answer(|| settled(&caller, &config.paths(Command::Settle).and_then(absolute)?));
    let (level, what) = match (answer.code, answer.found.moved_to.first()) {
        (Code::RecoveryDone, Some(to)) => {
            (Level::Info, format!("the remains of a failed restore are in {to}"))
        }
        (Code::RecoveryDone, None) => (Level::Info, answer.found.left_alone.clone().unwrap_or_default()),
        _ => (Level::Error, answer.message.clone()),
    };
    caller.report(Event::log(level, &what));
    if let Some(hint) = &answer.hint {
        caller.report(Event::log(level, &format!("HINT: {hint}")));
    }
    answer
}

fn settled(caller: &Caller, paths: &Paths) -> Result<Settled, Error> {
    let Some(mut claim) = claim(caller, paths)? else {
        return Ok(left_alone("there is no state directory: no restore has left anything"));
    };
    drain(caller, claim.as_mut())?;
    let mut directory = DataDirectory::new(Path::new(&paths.data_directory));
    match judge(caller, claim.as_ref(), &mut directory, &paths.data_directory)? {
        Judged::NothingLeft => {
            let _ = claim.remove(); // nothing is in it that anybody could miss
            Ok(left_alone("no restore has left anything"))
        }
        Judged::LeftAlone(why) => Ok(left_alone(&why)),
        Judged::Remains => {
            let moved_to = move_aside(Path::new(&paths.data_directory))?;
            Ok(Settled { moved_to, left_alone: None })
        }
    }
}

fn left_alone(why: &str) -> Settled {
    Settled { moved_to: Vec::new(), left_alone: Some(why.into()) }
}

/// Waits for the end of a run. None if no restore can have used a lease here: if a state directory can't be
/// made or used, that must not keep a node from starting.
fn claim(caller: &Caller, paths: &Paths) -> Result<Option<Box<dyn ClaimHandle>>, Error> {
    let mut said = None::<Instant>;
    loop {
        match state::claim(Path::new(&paths.data_directory), paths.state_dir.as_deref()) {
            Claiming::Ours(claim) => return Ok(Some(claim)),
            Claiming::Impossible(problem) => {
                caller.report(Event::log(Level::Warning, &problem.message));
                return Ok(None);
            }
            Claiming::Held(_) => {
                wait_for(caller, &mut said, &format!("a restore into {} is running", paths.data_directory))?;
            }
        }
    }
}

/// What a dead run has left is revoked; waits until nothing of it writes.
fn drain(caller: &Caller, claim: &mut dyn ClaimHandle) -> Result<(), Error> {
    let mut said = None::<Instant>;
    loop {
        let why = match claim.drain() {
            Drain::Drained => return Ok(()),
            Drain::Held(holders) => format!("a failed restore is still writing ({})", holders.join(", ")),
            Drain::Unknown(why) => format!("a failed restore may still be writing ({why})"),
        };
        wait_for(caller, &mut said, &why)?;
    }
}

/// Waits a moment for `what` to end, and logs now and then that it waits.
fn wait_for(caller: &Caller, said: &mut Option<Instant>, what: &str) -> Result<(), Error> {
    if said.is_none_or(|then| then.elapsed() >= SAY_AGAIN) {
        *said = Some(Instant::now());
        caller.report(Event::log(Level::Warning, &format!("{what}: waiting for it to end")));
    }
    Ok(caller.wait(GONE_AGAIN)?)
}

/// What is in the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// No run has left a note.
    NothingLeft,
    LeftAlone(String),
    Remains,
}

/// Looks again until all facts that the decision needs are known.
fn judge(
    caller: &Caller,
    claim: &dyn ClaimHandle,
    directory: &mut DataDirectory,
    path: &str,
) -> Result<Judged, Error> {
    let begun = Instant::now();
    loop {
        let look = directory.look();
        let proof = |note: &Note| is_proved_by_log(note, claim.left_log()?.as_ref(), Path::new(path));
        match judged(claim.left(), &look, in_use(Path::new(path)), proof, || directory.examine()) {
            Ok(judged) => return Ok(judged),
            Err(why) if begun.elapsed() >= UNSEEN => {
                let message =
                    format!("it is unknown whether {path} holds the remains of a failed restore: {why}");
                let hint =
                    "check that it and its state directory are mounted and that this user may read them";
                return Err(Error::with(Code::RecoveryFailed, message, hint));
            }
            Err(_) => caller.wait(GONE_AGAIN)?,
        }
    }
}

/// The decision, from facts alone.
fn judged(
    note: Known<Option<Note>>,
    look: &Look,
    in_use: Known<bool>,
    is_proved_by_log: impl FnOnce(&Note) -> Known<bool>,
    examine: impl FnOnce() -> Completeness,
) -> Known<Judged> {
    let left_alone = |why: &str| Ok(Judged::LeftAlone(why.into()));
    let Some(note) = note? else { return Ok(Judged::NothingLeft) };
    if look.postmaster.clone()?.is_some() {
        return left_alone("PostgreSQL is running");
    }
    let identity = |file: FileId| (file.inode, file.modified);
    match note.first_file {
        Some(came) if look.first_file.clone()?.map(identity) != Some(identity(came)) => {
            return left_alone("what the restore has written is not there any more");
        }
        None if look.content.clone()? != Content::Something || !is_proved_by_log(&note)? => {
            return left_alone("no restore has left anything");
        }
        _ => {}
    }
    if in_use? {
        return left_alone("PostgreSQL has been started on the restored data");
    }
    match examine() {
        Completeness::Complete(_) => left_alone("the restore is complete"),
        Completeness::WalMissing(..) => left_alone(
            "the restore is complete except for some WAL, which PostgreSQL requests itself when it starts",
        ),
        Completeness::Unknown(why) => Err(why),
        Completeness::NoProof(..) | Completeness::Incomplete(_) | Completeness::Unchanged(_) => {
            Ok(Judged::Remains)
        }
    }
}

/// Whether everything in the directory comes from a restore whose run died before it could note the first
/// file. The directory was empty when the run let Barman write, and Barman did write. Everything in it came
/// after the run began, and has not changed since the last command of Barman ended, as the log of the lease
/// shows. Data that another tool brought or changed later is newer; data that was moved or mounted here is
/// newer or older.
fn is_proved_by_log(note: &Note, log: Option<&LeftLog>, directory: &Path) -> Known<bool> {
    let Some(log) = log else { return Ok(false) };
    let mut history = History::blind(Duration::ZERO);
    history.log(Duration::ZERO, Ok(log.lines.clone()));
    let is_of_here = Path::new(&note.data_directory) == directory;
    if !is_of_here || !note.was_empty || history.lease_use() != Use::Wrote {
        return Ok(false);
    }
    let real = directory.canonicalize().map_err(|error| format!("{}: {error}", directory.display()))?;
    let begun = i64::try_from(note.started).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    for path in [vec![real.clone()], linked_directories(&real)?].concat() {
        if !came_within(&path, log.device, &(begun..=log.written))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether PostgreSQL has been started since: at every start it writes its options, which no backup has. The
/// `backup_label.old` that it makes is no proof, because a backup of a node that was restored itself has one.
fn in_use(directory: &Path) -> Known<bool> {
    let path = directory.join("postmaster.opts");
    match fs::symlink_metadata(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Moves the data directory and what its links lead to, as Patroni does after a failed bootstrap.
fn move_aside(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |path: &Path, why: &str, hint: Option<&str>| {
        let message = format!("the remains of a failed restore in {} can't be moved: {why}", path.display());
        Error { hint: hint.map(Into::into), ..Error::new(Code::RecoveryFailed, message) }
    };
    let real = directory.canonicalize().map_err(|error| failed(directory, &error.to_string(), None))?;
    let linked = linked_directories(&real).map_err(|why| failed(directory, &why, None))?;
    let all: Vec<PathBuf> = linked.into_iter().chain([real]).collect();
    let by_hand = Some(
        "empty it by hand (it holds the remains of a failed restore, not a node's data), then start Patroni again",
    );
    for path in &all {
        if sys::is_mount_point(path) == Some(true) {
            return Err(failed(path, "it is a mount point", by_hand));
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut moved = Vec::new();
    // The data directory comes last: as long as it is there, a second call finds what is left.
    for path in &all {
        let mut to = path.clone().into_os_string();
        to.push(format!(".failed-{now}"));
        fs::rename(path, &to).map_err(|error| failed(path, &error.to_string(), by_hand))?;
        moved.push(to.to_string_lossy().into_owned());
    }
    moved.reverse();
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that an operator may mend must not let PostgreSQL start on half a restore.
    #[test]
    fn what_cannot_be_read_is_unknown() {
        let file = FileId { inode: 1, modified: 1, size: 3 };
        let look = Look {
            content: Ok(Content::Something),
            first_file: Ok(Some(file)),
            postmaster: Ok(None),
            usage: None,
        };
        let eio = || "EIO".to_owned();
        let note = |first_file| Ok(Some(Note { first_file, ..Note::default() }));
        let judged = |note, proof: Known<bool>, in_use| {
            judged(note, &look, in_use, |_| proof, || Completeness::Incomplete(String::new()))
        };
        assert_eq!(judged(note(Some(file)), Ok(false), Ok(false)), Ok(Judged::Remains));
        assert_eq!(judged(note(None), Ok(true), Ok(false)), Ok(Judged::Remains));
        assert_eq!(judged(Ok(None), Ok(true), Ok(false)), Ok(Judged::NothingLeft));
        assert_eq!(judged(Err(eio()), Ok(true), Ok(false)), Err(eio()));
        assert_eq!(judged(note(None), Err(eio()), Ok(false)), Err(eio()));
        assert_eq!(judged(note(Some(file)), Ok(false), Err(eio())), Err(eio()));
    }
}
