//! Counts the processes on this node that receive files into the data directory while no lease is in use: an
//! rsync of a restore that somebody else has started, or a `pg_basebackup`. When Patroni ends a
//! `pg_basebackup`, the child that receives WAL keeps writing for up to half a minute, to paths that the next
//! restore fills. An rsync is recognized by its working directory, because its arguments do not name the data
//! directory; a `pg_basebackup` is recognized by its arguments. No process is ever signalled.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::world::Known;
use crate::world::data::files::{RealFiles, linked, unknown};
use crate::world::place::resolve;

const PROCESSES: &str = "/proc";
/// How much of a command line is read. What matters is among the first arguments: `--server` and `--sender` of rsync,
/// `--pgdata` of `pg_basebackup` as Patroni calls it.
const COMMAND_LINE: u64 = 4096;

/// A directory that a restore writes into.
struct Place {
    /// Links resolved, as the kernel gives a working directory.
    path: PathBuf,
    /// Recognizes it from another mount namespace, where it has another path.
    identity: (u64, u64),
}

/// How many there are. 0 on a node that never shows its processes.
pub(super) fn count(directory: &Path) -> Known<usize> {
    let places = places(directory)?;
    let real = resolve(directory).map_err(|error| unknown(directory, &error))?;
    let processes = Path::new(PROCESSES);
    let entries = match fs::read_dir(processes) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| unknown(processes, &error))?,
    };
    let mut found = 0;
    for entry in entries {
        let entry = entry.map_err(|error| unknown(processes, &error))?;
        let is_process = entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
        if is_process
            && writes_into(&entry.path(), &places, &real).map_err(|error| unknown(&entry.path(), &error))?
        {
            found += 1;
        }
    }
    Ok(found)
}

/// The data directory, its tablespaces, and the directories that Barman names in copies of their own.
fn places(directory: &Path) -> Known<Vec<Place>> {
    let mut places = Vec::new();
    let own = [directory.to_path_buf(), directory.join("global"), directory.join("pg_wal")];
    for path in own.into_iter().chain(linked(&RealFiles, directory)?) {
        let found = path.canonicalize().and_then(|real| Ok((fs::metadata(&real)?, real)));
        match found {
            Ok((found, real)) => places.push(Place { path: real, identity: identity(&found) }),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(unknown(&path, &error)),
        }
    }
    Ok(places)
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn writes_into(process: &Path, places: &[Place], real: &Path) -> io::Result<bool> {
    let seen = command_line(process).and_then(|words| match program(&words) {
        b"rsync" if is_receiver(&words) => works_in(process, places),
        b"pg_basebackup" => fills(process, &words, real),
        _ => Ok(false),
    });
    match seen {
        // It has ended, or is another user's, who can't write here either unless this node belongs to both.
        Err(error) if is_gone(&error) || error.kind() == ErrorKind::PermissionDenied => Ok(false),
        seen => seen,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(libc::ESRCH)
}

fn command_line(process: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut line = Vec::new();
    File::open(process.join("cmdline"))?.take(COMMAND_LINE).read_to_end(&mut line)?;
    // Each word ends with a NUL byte, so that nothing follows the last one.
    Ok(line
        .split_inclusive(|byte| *byte == 0)
        .map(|word| word.strip_suffix(b"\0").unwrap_or(word).to_vec())
        .collect())
}

fn program(words: &[Vec<u8>]) -> &[u8] {
    words.first().and_then(|path| path.rsplit(|byte| *byte == b'/').next()).unwrap_or_default()
}

fn is_receiver(words: &[Vec<u8>]) -> bool {
    let has = |word: &[u8]| words.iter().any(|one| one == word);
    has(b"--server") && !has(b"--sender")
}

/// An rsync that has one of these as its working directory, or a directory below one.
fn works_in(process: &Path, places: &[Place]) -> io::Result<bool> {
    let link = process.join("cwd");
    let (path, found) = (fs::read_link(&link)?, fs::metadata(&link)?);
    let identity = identity(&found);
    if places.iter().any(|place| place.identity == identity) {
        return Ok(true);
    }
    // A directory that was deleted has no path any more: nothing can be written there.
    let is_below = places.iter().any(|place| path.starts_with(&place.path));
    Ok(is_below && identity == self::identity(&fs::metadata(&path)?))
}

/// Whether a `pg_basebackup` was told to fill this directory. It opens its files by path, so it writes into
/// the directory even if that was removed and made again in the meantime.
fn fills(process: &Path, words: &[Vec<u8>], real: &Path) -> io::Result<bool> {
    let Some(target) = target(words) else { return Ok(false) };
    let target = Path::new(OsStr::from_bytes(target));
    if target.is_absolute() {
        return Ok(resolve(target)? == real);
    }
    Ok(resolve(&fs::read_link(process.join("cwd"))?.join(target))? == real)
}

/// The value of `--pgdata` or `-D`, in each form that `pg_basebackup` takes.
fn target(words: &[Vec<u8>]) -> Option<&[u8]> {
    let mut words = words.iter().map(Vec::as_slice);
    let value = words.by_ref().find_map(|word| match word {
        b"--pgdata" | b"-D" => Some(None),
        _ => word.strip_prefix(b"--pgdata=").or_else(|| word.strip_prefix(b"-D")).map(Some),
    })?;
    value.or_else(|| words.next())
}

#[cfg(test)]
mod tests;
