//! What a modelled `barman recover` does on the node: it writes a data directory in Barman's order, and ends with
//! its last mark.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::backup::{Backup, Item};
use crate::pause::Pause;
use crate::receiver::Receivers;

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

/// The parts of a restore, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `PG_VERSION`, the first file.
    First,
    /// Half of the base backup: neither `backup_label` nor `global/pg_control`.
    Half,
    /// The whole base backup.
    Base,
    /// `.barman-recover.info`
    Info,
    /// The WAL files.
    Wal,
    /// The edited `postgresql.auto.conf` and `postgresql.conf`: all is there.
    Mark,
}

/// What Barman leaves as the sign of a complete restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// That of the backup that was restored.
    #[default]
    Own,
    /// A `.barman-recover.info` of another backup.
    Of(String),
    /// None at all: another Barman.
    Missing,
}

#[derive(Clone, Debug)]
pub struct Fill {
    pub files: u64,
    pub bytes: u64,
    pub on_removal: OnRemoval,
    /// Waits for a release behind this part.
    pub hold: Option<Part>,
    /// Writes nothing behind this part.
    pub stop: Option<Part>,
    /// The backup that it restores, when not the one that was asked for.
    pub restores: Option<String>,
    pub mark: Mark,
    /// The backup that is in the `.barman-recover.info` of the base backup: its source was itself restored.
    pub old_info: Option<String>,
    /// A backup by rsync has its ID in `backup_label`, one by `pg_basebackup` has not.
    pub by_rsync: bool,
    pub wal: u32,
    /// How long each WAL file takes, beyond the duration of the operation.
    pub wal_ms: u64,
    pub receivers: bool,
    /// How often, and after which time, it copies again when a receiver has been ended: `basebackup_retry_times`.
    pub retries: u32,
    pub retry_ms: u64,
}

impl Default for Fill {
    fn default() -> Self {
        Self {
            files: 8,
            bytes: 64 << 10,
            on_removal: OnRemoval::Fail,
            hold: None,
            stop: None,
            restores: None,
            mark: Mark::Own,
            old_info: None,
            by_rsync: true,
            wal: 1,
            wal_ms: 0,
            receivers: false,
            retries: 0,
            retry_ms: 0,
        }
    }
}

/// From the mark to DONE.
const AFTER_THE_MARK: Duration = Duration::from_millis(300);
/// The clock of a file system ticks up to every 10 ms, and the mark has to be later than `.barman-recover.info`.
const TICK: Duration = Duration::from_millis(12);
/// What Barman needs to notice that a receiver has ended; the others live on for so long.
const NOTICE: Duration = Duration::from_millis(300);
/// How often a wait looks at the receivers.
const LOOK: Duration = Duration::from_millis(20);

/// Why a copy is not complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Barman gives up, or the stand-in stops.
    Failed,
    ReceiverEnded,
}

/// One restore that is under way.
pub struct Restore<'a> {
    pub fill: &'a Fill,
    pub backup: Backup<'a>,
    pub destination: &'a Path,
    pub duration: Duration,
    /// It never ends, unless by hand or with its receivers.
    pub stuck: bool,
    pub pause: &'a Pause,
    /// Whether the operation has been ended by hand.
    pub ended: &'a dyn Fn() -> bool,
}

impl Restore<'_> {
    /// False: FAILED, whatever the plan says.
    pub fn run(&self) -> bool {
        if !is_empty(self.destination) {
            return false;
        }
        let mut left = self.fill.retries;
        loop {
            match self.copy() {
                Ok(()) => return true,
                Err(Broken::ReceiverEnded) if left > 0 && self.pause.sleep_ms(self.fill.retry_ms) => {
                    left -= 1;
                }
                Err(_) => return false,
            }
        }
    }

    fn copy(&self) -> Result<(), Broken> {
        let directory = create(self.destination).map_err(|_| Broken::Failed)?;
        let mut receivers = None;
        if self.fill.receivers {
            receivers = Some(Receivers::start(self.destination).ok_or(Broken::Failed)?);
        }
        let mut copy = Copy { restore: self, directory, removed: false, receivers };
        let stop = self.fill.stop.unwrap_or(Part::Mark);
        let items =
            self.backup.items(self.fill).into_iter().filter(|item| item.part <= stop).collect::<Vec<_>>();
        let after = AFTER_THE_MARK.min(self.duration / 10);
        let each = self.duration.saturating_sub(after) / u32::try_from(items.len()).unwrap_or(u32::MAX);
        let mut hold = self.fill.hold;
        for item in &items {
            if hold.is_some_and(|part| part < item.part) {
                hold = None;
                copy.hold()?;
            }
            copy.write(item, each)?;
        }
        if hold.is_some() {
            copy.hold()?;
        }
        if self.stuck {
            copy.wait_while(&|| !(self.ended)())?;
        }
        copy.receivers = None;
        copy.sleep(after)
    }
}

/// What a copy has at hand.
struct Copy<'a> {
    restore: &'a Restore<'a>,
    /// Open, which keeps its inode number from being given to its successor.
    directory: File,
    removed: bool,
    receivers: Option<Receivers>,
}

impl Copy<'_> {
    fn write(&mut self, item: &Item, each: Duration) -> Result<(), Broken> {
        let Restore { fill, destination, .. } = self.restore;
        self.sleep(match item.part {
            Part::Mark => each.max(TICK),
            Part::Wal => each + Duration::from_millis(fill.wal_ms),
            _ => each,
        })?;
        self.removed = self.removed || !is_still(&self.directory, destination);
        match (self.removed, fill.on_removal) {
            (true, OnRemoval::Fail) => return Err(Broken::Failed),
            (true, OnRemoval::Ignore) => return Ok(()),
            (true, OnRemoval::Refill) => drop(create(destination)),
            (false, _) => {}
        }
        let written = write(&destination.join(&item.path), item);
        if written.is_err() && fill.on_removal == OnRemoval::Fail { Err(Broken::Failed) } else { Ok(()) }
    }

    /// Waits for the release.
    fn hold(&mut self) -> Result<(), Broken> {
        let pause = self.restore.pause;
        match &self.receivers {
            None if pause.hold() => Ok(()),
            None => Err(Broken::Failed),
            Some(_) => self.wait_while(&|| !pause.released()),
        }
    }

    fn wait_while(&mut self, goes_on: &dyn Fn() -> bool) -> Result<(), Broken> {
        while goes_on() {
            self.sleep(LOOK)?;
        }
        Ok(())
    }

    /// Sleeps while the receivers live.
    fn sleep(&mut self, mut time: Duration) -> Result<(), Broken> {
        loop {
            if self.receivers.as_mut().is_some_and(|receivers| !receivers.live()) {
                self.restore.pause.sleep(NOTICE);
                return Err(Broken::ReceiverEnded);
            }
            if time.is_zero() {
                return Ok(());
            }
            let now = time.min(LOOK);
            if !self.restore.pause.sleep(now) {
                return Err(Broken::Failed);
            }
            time -= now;
        }
    }
}

/// Barman lists what is in it: hidden names don't count.
fn is_empty(destination: &Path) -> bool {
    let Ok(entries) = fs::read_dir(destination) else { return true };
    entries.flatten().all(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."))
}

fn create(destination: &Path) -> io::Result<File> {
    fs::create_dir_all(destination)?;
    File::open(destination)
}

fn is_still(directory: &File, destination: &Path) -> bool {
    let identity = |meta: &fs::Metadata| (meta.dev(), meta.ino());
    matches!((directory.metadata(), fs::metadata(destination)), (Ok(a), Ok(b)) if identity(&a) == identity(&b))
}

/// As rsync does: under a hidden name, then in one step in the place of what was there.
fn write(path: &Path, item: &Item) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden = path.with_file_name(format!(".{name}.kR3x0q"));
    let mut file = File::create(&hidden)?;
    file.write_all(&item.content)?;
    if !item.is_edited {
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))?;
    }
    fs::rename(hidden, path)
}

/// Another writer, which nobody knows of: a file each 50 ms.
pub fn write_on(destination: &Path, time: Duration, with_receivers: bool, pause: &Pause) {
    let _receivers = with_receivers.then(|| Receivers::start(destination));
    let _ = fs::create_dir_all(destination.join("base/2"));
    for number in 0..time.as_millis().div_ceil(50) {
        let _ = fs::write(destination.join(format!("base/2/{number}")), [0; 8192]);
        if !pause.sleep_ms(50) {
            break;
        }
    }
}
