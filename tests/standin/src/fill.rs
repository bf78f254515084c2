//! What a modelled restore does to its destination: a plausible data directory, file by file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::backend::Status;
use crate::pause::Pause;

/// What becomes of a restore whose directory is removed, or replaced, underneath.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRemoval {
    /// FAILED, as Barman mostly does.
    #[default]
    Fail,
    /// It writes nothing more, and is DONE at its time all the same.
    Ignore,
    /// It creates the directories again and goes on: the end of a restore without its beginning.
    Refill,
}

#[derive(Clone, Debug)]
pub struct Fill {
    pub files: u64,
    pub bytes: u64,
    pub on_removal: OnRemoval,
    /// Waits for a release behind its first file.
    pub hold: bool,
}

impl Default for Fill {
    fn default() -> Self {
        Self { files: 8, bytes: 64 << 10, on_removal: OnRemoval::Fail, hold: false }
    }
}

impl Fill {
    /// False: FAILED, whatever the plan says. A plan that says FAILED never writes `global/pg_control`.
    pub fn run(&self, destination: &str, duration_ms: u64, result: Status, pause: &Pause) -> bool {
        let destination = Path::new(destination);
        if fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some()) {
            return false;
        }
        let mut steps = vec![("PG_VERSION".to_owned(), b"15\n".to_vec())];
        let size = usize::try_from(self.bytes / self.files.max(1)).unwrap_or(0);
        steps.extend((0..self.files).map(|n| (format!("base/1/{}", 16_384 + n), vec![0; size])));
        steps.push((
            "backup_label".to_owned(),
            b"START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n".to_vec(),
        ));
        if result == Status::Done {
            steps.push(("global/pg_control".to_owned(), vec![0; 8192]));
        }
        let Ok(directory) = create_directories(destination) else { return false };
        let step_time = Duration::from_millis(duration_ms) / u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let mut removed = false;
        for (number, (name, content)) in steps.into_iter().enumerate() {
            let held = self.hold && number == 1;
            if !pause.sleep(step_time) || held && !pause.hold() {
                return false;
            }
            removed = removed || !is_still(&directory, destination);
            match (removed, self.on_removal) {
                (true, OnRemoval::Fail) => return false,
                (true, OnRemoval::Ignore) => continue,
                (true, OnRemoval::Refill) => drop(create_directories(destination)),
                (false, _) => {}
            }
            let written = write(&destination.join(name), &content);
            if written.is_err() && self.on_removal == OnRemoval::Fail {
                return false;
            }
        }
        true
    }
}

/// The open directory keeps its inode number from being given to its successor.
fn create_directories(destination: &Path) -> io::Result<File> {
    for directory in ["base/1", "global", "pg_wal"] {
        fs::create_dir_all(destination.join(directory))?;
    }
    File::open(destination)
}

fn is_still(directory: &File, destination: &Path) -> bool {
    let identity = |meta: &fs::Metadata| (meta.dev(), meta.ino());
    matches!((directory.metadata(), fs::metadata(destination)), (Ok(a), Ok(b)) if identity(&a) == identity(&b))
}

/// Like rsync it gives the file the modification time that it had in the backup.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}
