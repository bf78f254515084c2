//! The state directory of a data directory. Its lock is the claim: one run works on a data directory at a time. In it are
//! the note of the run and the files of its leases; nothing of it is left after a success.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::outcome::Problem;
use crate::sys::lock::LockFile;
use crate::text::printable;
use crate::timing::OPEN_AGAIN;
use crate::world::folder::Folder;
use crate::world::lease::{self, LOG, Lease, Revoked, cannot_lock};
use crate::world::place::Place;
use crate::world::{ClaimHandle, Claiming, Drain, Known, LeaseHandle, LeftLog, Note};

const LOCK: &str = "lock";
const NOTE: &str = "run";
const NEW_NOTE: &str = "run.new";
/// Far more than a note has.
const NOTE_LIMIT: u64 = 16 << 10;
/// How many times to open a state directory again while another run is making or removing it.
const MOST_TRIES: usize = 50;

/// Locks the state directory of a data directory, which it makes if necessary. Does not wait for another run.
pub(crate) fn claim(data_directory: &Path, state_dir: Option<&Path>) -> Claiming {
    for _ in 0..MOST_TRIES {
        let place = match Place::open(data_directory, state_dir) {
            Ok(place) => place,
            Err(problem) => return Claiming::Impossible(problem),
        };
        match lock(&place) {
            Ok(Locked::Ours(lock)) => return Claim::begin(place, lock, data_directory),
            Ok(Locked::Held) => return Claiming::Held(read_note(&place.folder).ok().flatten()),
            Ok(Locked::Changing) => thread::sleep(OPEN_AGAIN),
            Err(error) => return Claiming::Impossible(cannot_lock(&place.path, &error)),
        }
    }
    let error = io::Error::other("other runs keep creating and removing it");
    Claiming::Impossible(cannot_lock(&data_directory.to_string_lossy(), &error))
}

enum Locked {
    Ours(LockFile),
    Held,
    /// Another run makes or removes it in this moment.
    Changing,
}

fn lock(place: &Place) -> io::Result<Locked> {
    match place.folder.create(LOCK) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return changing(error),
        _ => {}
    }
    let lock = match place.folder.lock_file(LOCK) {
        Ok(lock) => lock,
        Err(error) => return changing(error),
    };
    if !lock.try_exclusive()? {
        return Ok(Locked::Held);
    }
    // A run that has just ended may have removed what is locked now.
    let there = place.folder.stat_of(LOCK.as_ref());
    let is_same = there
        .is_ok_and(|there| lock.file().and_then(File::metadata).is_ok_and(|ours| ours.ino() == there.st_ino));
    if is_same && place.is_there()? { Ok(Locked::Ours(lock)) } else { Ok(Locked::Changing) }
}

/// What an error means when another run may be making or removing the directory.
fn changing(error: io::Error) -> io::Result<Locked> {
    if error.kind() == ErrorKind::NotFound { Ok(Locked::Changing) } else { Err(error) }
}

/// The claim of this process on a data directory.
struct Claim {
    place: Place,
    data: DataLock,
    /// The number of the last lease that was granted, and whether its handle still exists, which then drains it.
    lease: Option<(String, Weak<()>)>,
    /// What dead runs have left, by the number of the lease.
    leftovers: Vec<(String, Revoked)>,
    /// When it began, in seconds since 1970: for the note.
    started: u64,
    lock: LockFile,
}

impl Claim {
    fn begin(place: Place, lock: LockFile, data_directory: &Path) -> Claiming {
        let mut data = DataLock { path: data_directory.into(), held: None };
        if data.is_foreign() {
            // A run with another state directory has it. Its note is there, wherever that is.
            if place.made {
                let _ = place.folder.remove(LOCK).and_then(|()| place.remove());
            }
            return Claiming::Held(None);
        }
        Claiming::Ours(Box::new(Claim {
            place,
            data,
            lease: None,
            leftovers: Vec::new(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            lock,
        }))
    }

    /// An error in a forked child, where the claim is not ours.
    fn folder(&self) -> io::Result<&Folder> {
        self.lock.file().map(|_| &*self.place.folder)
    }

    fn write_note(&self, note: &Note) -> io::Result<()> {
        let folder = self.folder()?;
        let note = Note { started: self.started, ..note.clone() };
        folder.remove(NEW_NOTE)?;
        folder.create(NEW_NOTE)?.write_all(&serde_json::to_vec_pretty(&note)?)?;
        // Not synced: that can take as long as the restore needs to write what it has in memory. After a power cut an
        // older note, or none, is no proof of anything.
        folder.rename(NEW_NOTE, NOTE)
    }

    /// Renames the leases of dead runs, so that nothing new uses them, and finds what has to be drained.
    fn retire_leftovers(&mut self) -> io::Result<()> {
        let folder = self.folder()?;
        let mut found = Vec::new();
        for name in folder.names()? {
            let Some((kind, number)) = lease::parse_name(&name) else { continue };
            if self.lease.as_ref().is_some_and(|(ours, exists)| number == *ours && exists.strong_count() > 0)
            {
                continue;
            }
            match kind {
                lease::LEASE => lease::retire(folder, number)?,
                lease::REVOKED => {}
                lease::NEW => folder.remove(&name)?,
                _ => continue,
            }
            let known = |(other, _): &(String, Revoked)| other == number;
            if kind != lease::NEW && !self.leftovers.iter().chain(&found).any(known) {
                let file = folder.lock_file(&format!("{}{number}", lease::REVOKED))?;
                found.push((number.to_string(), Revoked::new(file)));
            }
        }
        self.leftovers.extend(found);
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        let folder = self.folder()?;
        for name in folder.names()? {
            if lease::parse_name(&name).is_some() || name == NOTE || name == NEW_NOTE {
                folder.remove(&name)?;
            }
        }
        // Last: another run may lock the directory from here on.
        folder.remove(LOCK)?;
        self.place.remove()
    }
}

impl ClaimHandle for Claim {
    fn path(&self) -> String {
        self.place.path.clone()
    }

    fn left(&self) -> Known<Option<Note>> {
        read_note(&self.place.folder)
            .map_err(|error| format!("{}/{NOTE} can't be read: {error}", self.place.path))
    }

    fn left_log(&self) -> Known<Option<LeftLog>> {
        lease::left_log(&self.place.folder)
            .map_err(|error| format!("a log in {} can't be read: {error}", self.place.path))
    }

    fn note(&mut self, note: &Note) -> Known<()> {
        // This locks the data directory, which may have been made in the meantime.
        self.data.is_foreign();
        self.write_note(note).map_err(|error| {
            if let Ok(folder) = self.folder() {
                let _ = folder.remove(NOTE); // an older one does not belong to the logs that follow
            }
            format!("{}/{NOTE} can't be written: {error}", self.place.path)
        })
    }

    fn drain(&mut self) -> Drain {
        if let Err(error) = self.retire_leftovers() {
            return Drain::Unknown(format!("{} can't be read: {error}", self.place.path));
        }
        let (mut holders, mut is_held, mut unknown) = (Vec::new(), false, None);
        let folder = Arc::clone(&self.place.folder);
        self.leftovers.retain_mut(|(number, revoked)| {
            match revoked.drain() {
                Drain::Drained => {
                    lease::clear(&folder, number);
                    return false;
                }
                Drain::Held(names) => {
                    is_held = true;
                    holders.extend(names);
                }
                Drain::Unknown(why) => unknown = Some(why),
            }
            true
        });
        match unknown {
            Some(why) => Drain::Unknown(why),
            None if is_held => Drain::Held(holders),
            None => Drain::Drained,
        }
    }

    fn kill_holders(&mut self) {
        for (_, revoked) in &self.leftovers {
            revoked.kill_holders(self.place.user);
        }
    }

    fn grant(&mut self, only: &str) -> Result<Box<dyn LeaseHandle>, Problem> {
        if self.data.is_foreign() {
            let message = format!("another run is restoring into {}", self.data.path.display());
            return Err(Problem::new(message, "all runs for one data directory need the same --state-dir"));
        }
        let unusable = |error: io::Error| cannot_lock(&self.place.path, &error);
        let folder = self.folder().map_err(unusable)?;
        if self.lease.is_none() {
            // The old logs were kept until now, so that the operator could read them.
            let names = folder.names().map_err(unusable)?;
            for log in
                names.iter().filter(|name| lease::parse_name(name).is_some_and(|(kind, _)| kind == LOG))
            {
                folder.remove(log).map_err(unusable)?;
            }
        }
        let exists = Arc::new(());
        let is_there = Arc::downgrade(&exists);
        let lease = Lease::grant(&self.place, exists, only)?;
        self.lease = Some((lease.number().into(), is_there));
        Ok(Box::new(lease))
    }

    fn remove(&mut self) -> Known<()> {
        self.clear().map_err(|error| format!("{} can't be removed: {error}", self.place.path))
    }
}

/// The lock on the data directory itself: runs with two state directories are still one claim.
struct DataLock {
    path: PathBuf,
    held: Option<LockFile>,
}

impl DataLock {
    /// Locks the directory that is at the path now. True if another run has locked it; any other obstacle (it
    /// does not exist yet; NFS locks no directories) is no evidence of another run.
    fn is_foreign(&mut self) -> bool {
        let Ok(found) = std::fs::metadata(&self.path) else { return false };
        let is_held = |held: &LockFile| {
            let held = held.file().and_then(File::metadata);
            held.is_ok_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino()))
        };
        if self.held.as_ref().is_some_and(is_held) {
            return false;
        }
        let open =
            || File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK).open(&self.path);
        let Ok(lock) = LockFile::open(open) else { return false };
        match lock.try_exclusive() {
            Ok(true) => {
                self.held = Some(lock);
                false
            }
            Ok(false) => true,
            Err(_) => false,
        }
    }
}

/// The note in a state directory, if there is one: something else, like a link, was not written by a run.
fn read_note(folder: &Folder) -> io::Result<Option<Note>> {
    use ErrorKind::{FileTooLarge, InvalidInput, IsADirectory, NotFound};
    match folder.text(NOTE, NOTE_LIMIT) {
        Ok(text) => Ok(parse_note(&text)),
        Err(error) if matches!(error.kind(), NotFound | FileTooLarge | InvalidInput | IsADirectory) => {
            Ok(None)
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Anybody of this user can have written it.
pub(crate) fn parse_note(text: &str) -> Option<Note> {
    // serde would take a list for a note too.
    let text = Some(text).filter(|text| text.starts_with('{'))?;
    let mut note: Note = serde_json::from_str(text).ok()?;
    let texts = [&mut note.api_url, &mut note.barman_server, &mut note.backup_id, &mut note.data_directory];
    for text in texts.into_iter().chain(note.operation_id.as_mut()).chain(note.ended.as_mut()) {
        *text = printable(text);
    }
    Some(note)
}

#[cfg(test)]
mod tests;
