//! The state file: one lock, lines appended and synced. `journal.rs` defines what the lines mean.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sys;
use crate::world::fs::directory::parent;
use crate::world::journal::{Journal, Line, Lock, Record};
use crate::world::snapshot::Inode;

/// Twice the limit for a list of operations, and so more than all their IDs.
const LIMIT: u64 = 16 << 20;

pub(crate) struct StateFile {
    path: PathBuf,
    /// Open; locked once claimed.
    file: Option<File>,
    /// Whether it belongs to a different user: it can then be read and locked, but not written.
    read_only: bool,
    /// What the run that we waited for wrote last.
    ended: Option<Record>,
    /// The directory that an earlier run restored into.
    directory: Option<Inode>,
}

/// A state file, as seen without locking it.
pub(crate) struct Peeked {
    /// Whether a run has locked it.
    pub(crate) is_held: bool,
    /// Its content, or why that can't be read.
    pub(crate) said: Result<Option<Record>, String>,
}

impl StateFile {
    pub(crate) fn new(path: &Path) -> StateFile {
        StateFile { path: path.into(), file: None, read_only: false, ended: None, directory: None }
    }

    /// The content of the file; `None` if there is no file. Leaves it unchanged.
    pub(crate) fn peek(path: &Path) -> io::Result<Option<Peeked>> {
        let file = match sys::open_to_read(path).and_then(regular) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        Ok(Some(Peeked { is_held, said: Record::parse(&read(&file)?) }))
    }

    /// The directory that an earlier run restored into, if the file named it.
    pub(crate) fn directory(&self) -> Option<Inode> {
        self.directory
    }

    fn try_lock(&mut self) -> io::Result<Lock> {
        loop {
            let file = match self.file.take() {
                Some(file) => file,
                None => self.open()?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let record = Record::parse(&read(&file)?).ok().flatten();
                    self.file = Some(file); // kept, to read later what the other run wrote last
                    return Ok(Lock::Held(record));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let bytes = read(&file)?;
            let parsed = Record::parse(&bytes);
            if !same_file(&file, &self.path) {
                // The run that held it removed it: it has ended. A run that started nothing of its own leaves what is
                // known about the run before it.
                self.ended = parsed.ok().flatten().or(self.ended.take());
                continue;
            }
            let (record, garbage) = match parsed {
                Ok(record) => (record, None),
                Err(why) => (None, Some(why)),
            };
            // Cut off garbage, and a line that a killed run left unfinished: it would hide the next one.
            let whole = match garbage {
                None => bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1),
                Some(_) => 0,
            };
            if whole < bytes.len() && !self.read_only {
                file.set_len(whole as u64)?;
            }
            self.file = Some(file);
            return Ok(Lock::Ours { left_over: record.or(self.ended.take()), garbage });
        }
    }

    fn open(&mut self) -> io::Result<File> {
        self.read_only = false;
        // Readable for everyone, as Patroni's user and an operator's may differ; it contains no secret.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let file = match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // What it says about an operation counts, whoever wrote it.
                let file = sys::open_to_read(&self.path).map_err(|_| error)?;
                self.read_only = true;
                file
            }
            opened => opened?,
        };
        regular(file)
    }

    /// Appends lines in one write and syncs them.
    pub(crate) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("it is not open")) };
        if self.read_only {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to a different user"));
        }
        let end = file.seek(SeekFrom::End(0))?;
        let bytes: Vec<u8> = lines.iter().flat_map(Line::to_bytes).collect();
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(end); // half a line would hide the next
        }
        written?;
        if end == 0 { sync_parent(&self.path) } else { Ok(()) }
    }

    /// Removes the file if it is still the one that was locked, and gives up the lock. The last lines are for a run
    /// that waits for the lock.
    pub(crate) fn remove(&mut self, last: &[Line]) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let bytes: Vec<u8> = last.iter().flat_map(Line::to_bytes).collect();
        let _ = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&bytes)); // else that run judges alone
        // If someone removed the file, another run may have created a new one, which is not ours to remove.
        let removed = if same_file(&file, &self.path) { fs::remove_file(&self.path) } else { Ok(()) };
        let _ = file.unlock(); // releases it at once, even if a fork of the host holds the descriptor
        removed
    }
}

impl Journal for StateFile {
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&mut self) -> Lock {
        // Try twice, as a call that failed may work a moment later: going on without the file could mean a restore in
        // parallel with the operation that it names.
        let locked = self.try_lock().or_else(|_| self.try_lock());
        let locked = locked.unwrap_or_else(|error| Lock::Unavailable(error.to_string()));
        if let Lock::Ours { left_over: Some(record), .. } = &locked {
            self.directory = record.identity.map(|identity| identity.directory);
        }
        locked
    }

    fn append(&mut self, lines: &[Line]) -> Result<(), String> {
        StateFile::append(self, lines).map_err(|error| error.to_string())
    }

    fn close(&mut self, last: &[Line]) -> Result<(), String> {
        self.remove(last).map_err(|error| error.to_string())
    }

    fn leave(&mut self) {
        if let Some(file) = self.file.take() {
            let _ = file.unlock(); // releases it at once, even if a fork of the host holds the descriptor
        }
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        self.leave();
    }
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

fn read(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// Makes sure that the file's name survives a power cut too.
fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::world::journal::{Ended, Run};
    use crate::world::snapshot::Stamps;
    use tempfile::{TempDir, tempdir};

    fn state_file(scratch: &TempDir) -> StateFile {
        StateFile::new(&scratch.path().join("state.json"))
    }

    fn run() -> Line {
        Line::Run(Run {
            pid: 1,
            api_url: "http://h".into(),
            barman_server: "main".into(),
            backup_id: "latest".into(),
            data_directory: "/d".into(),
            known: Some(HashSet::new()),
            before: Stamps::default(),
        })
    }

    fn operation(claim: Lock) -> Option<String> {
        match claim {
            Lock::Ours { left_over: record, garbage: None } => record.and_then(|record| record.operation_id),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_finds_what_an_earlier_one_left() {
        let scratch = tempdir().unwrap();
        let mut first = state_file(&scratch);
        assert_eq!(operation(first.lock()), None);
        first.append(&[run(), Line::Operation("x".into())]).unwrap();
        drop(first);
        assert_eq!(operation(state_file(&scratch).lock()).as_deref(), Some("x"));
    }

    #[test]
    fn two_runs_never_hold_it_together_and_the_second_learns_the_firsts_end() {
        let scratch = tempdir().unwrap();
        let (mut first, mut second) = (state_file(&scratch), state_file(&scratch));
        first.lock();
        first.append(&[run(), Line::Operation("x".into())]).unwrap();
        assert!(
            matches!(second.lock(), Lock::Held(Some(record)) if record.operation_id.as_deref() == Some("x"))
        );
        first.remove(&[Line::Ended(Ended::Done)]).unwrap();
        let Lock::Ours { left_over: Some(record), garbage: None } = second.lock() else { panic!() };
        assert_eq!(record.ended, Some(Ended::Done));
        assert!(matches!(state_file(&scratch).lock(), Lock::Held(_)), "the file that is there is locked");
    }

    #[test]
    fn a_third_run_learns_the_firsts_end_though_the_second_had_the_file_meanwhile() {
        let scratch = tempdir().unwrap();
        let [mut first, mut second, mut third] = [(); 3].map(|()| state_file(&scratch));
        first.lock();
        first.append(&[run(), Line::Operation("x".into())]).unwrap();
        assert!(matches!((second.lock(), third.lock()), (Lock::Held(_), Lock::Held(_))));
        first.remove(&[Line::Ended(Ended::Done)]).unwrap();
        assert!(matches!(second.lock(), Lock::Ours { left_over: Some(_), .. }));
        assert!(matches!(third.lock(), Lock::Held(_)));
        // The second has judged what the first left, and has started nothing.
        second.remove(&[Line::Operation("x".into()), Line::Ended(Ended::Done)]).unwrap();
        let Lock::Ours { left_over: Some(record), garbage: None } = third.lock() else { panic!() };
        assert_eq!((record.operation_id.as_deref(), record.ended), (Some("x"), Some(Ended::Done)));
    }

    #[test]
    fn garbage_is_told_and_replaced() {
        let scratch = tempdir().unwrap();
        fs::write(scratch.path().join("state.json"), b"\xff garbage").unwrap();
        let mut file = state_file(&scratch);
        assert!(matches!(file.lock(), Lock::Ours { left_over: None, garbage: Some(_) }));
        file.append(&[run()]).unwrap();
        drop(file);
        assert!(matches!(state_file(&scratch).lock(), Lock::Ours { left_over: Some(_), garbage: None }));
    }

    #[test]
    fn a_line_cut_off_by_a_kill_does_not_hide_the_next() {
        let scratch = tempdir().unwrap();
        let mut bytes = run().to_bytes();
        bytes.extend(b"{\"operati");
        fs::write(scratch.path().join("state.json"), bytes).unwrap();
        let mut file = state_file(&scratch);
        file.lock();
        file.append(&[Line::Operation("x".into())]).unwrap();
        drop(file);
        assert_eq!(operation(state_file(&scratch).lock()).as_deref(), Some("x"));
    }

    #[test]
    fn a_run_whose_file_was_removed_by_hand_leaves_the_next_runs_file_alone() {
        let scratch = tempdir().unwrap();
        let [mut first, mut second, mut third] = [(); 3].map(|()| state_file(&scratch));
        assert!(matches!(first.lock(), Lock::Ours { .. }));
        fs::remove_file(scratch.path().join("state.json")).unwrap();
        assert!(matches!(second.lock(), Lock::Ours { left_over: None, .. }));
        second.append(&[run()]).unwrap();
        first.close(&[Line::Ended(Ended::Done)]).unwrap();
        let Lock::Held(Some(record)) = third.lock() else { panic!("the second run's file is gone") };
        assert_eq!(record.ended, None);
        fs::remove_file(scratch.path().join("state.json")).unwrap();
        second.close(&[]).unwrap();
    }

    #[test]
    fn a_file_that_a_run_leaves_is_the_next_ones() {
        let scratch = tempdir().unwrap();
        let [mut first, mut second] = [(); 2].map(|()| state_file(&scratch));
        first.lock();
        first.append(&[run(), Line::Operation("x".into())]).unwrap();
        assert!(matches!(second.lock(), Lock::Held(_)));
        first.leave();
        assert_eq!(operation(second.lock()).as_deref(), Some("x"));
        assert!(Journal::append(&mut first, &[run()]).is_err());
    }

    #[test]
    fn what_cannot_be_a_state_file_is_unavailable() {
        let scratch = tempdir().unwrap();
        for path in [scratch.path().join("no/state.json"), scratch.path().to_path_buf()] {
            assert!(matches!(StateFile::new(&path).lock(), Lock::Unavailable(_)), "{path:?}");
        }
    }

    #[test]
    fn a_pipe_in_place_of_a_state_file_holds_nobody_up() {
        let scratch = tempdir().unwrap();
        let path = scratch.path().join("state.json");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(StateFile::peek(&path).is_err());
        assert!(matches!(StateFile::new(&path).lock(), Lock::Unavailable(_)));
    }
}
