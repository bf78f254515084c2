//! Counts the rsync processes on this node that receive files into the data directory while no lease is in use: they
//! belong to a restore that somebody else has started. They have the directory that they write into as their working
//! directory; their arguments do not name it. Nothing is ever signalled.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::world::Known;
use crate::world::data::files::{RealFiles, linked, unknown};

const PROCESSES: &str = "/proc";
/// How much of a command line is read; `--server` and `--sender` are among rsync's first arguments.
const COMMAND_LINE: u64 = 4096;

/// A directory that a restore writes into.
struct Place {
    /// Links resolved, as the kernel gives a working directory.
    path: PathBuf,
    /// Recognizes it from another mount namespace, where it has another path.
    identity: (u64, u64),
}

/// How many there are. None where this node does not show its processes, as it never will.
pub(super) fn count(directory: &Path) -> Known<usize> {
    let places = places(directory)?;
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
            && writes_into(&entry.path(), &places).map_err(|error| unknown(&entry.path(), &error))?
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

fn writes_into(process: &Path, places: &[Place]) -> io::Result<bool> {
    let seen = is_rsync_receiver(process).and_then(|is_receiver| {
        if !is_receiver {
            return Ok(false);
        }
        let link = process.join("cwd");
        let (path, found) = (fs::read_link(&link)?, fs::metadata(&link)?);
        let identity = identity(&found);
        if places.iter().any(|place| place.identity == identity) {
            return Ok(true);
        }
        // A directory that was deleted has no path any more: nothing can be written there.
        let is_below = places.iter().any(|place| path.starts_with(&place.path));
        Ok(is_below && identity == self::identity(&fs::metadata(&path)?))
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

fn is_rsync_receiver(process: &Path) -> io::Result<bool> {
    let mut line = Vec::new();
    File::open(process.join("cmdline"))?.take(COMMAND_LINE).read_to_end(&mut line)?;
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    let arguments: Vec<&[u8]> = words.collect();
    Ok(program == Some(b"rsync")
        && arguments.contains(&&b"--server"[..])
        && !arguments.contains(&&b"--sender"[..]))
}

#[cfg(test)]
mod tests;
