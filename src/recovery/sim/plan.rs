//! What a restore does: its stages in the measured order, how it ends, and what is special about it.

use std::time::Duration;

use super::state::secs;

/// The backup that is the latest.
pub(super) const BACKUP: &str = "20261122T080000";
/// Where a restore is in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Barman logs in.
    Login,
    /// It lists the directory, and makes it.
    Make,
    /// The base backup is copied to the staging directory on the node.
    Staging,
    /// The base backup is copied, or unpacked, into the directory.
    Copy,
    Version,
    Control,
    Copied,
    Info,
    Wal,
    WalEnd,
    /// The edited configuration files: the last command, which begins with `postgresql.auto.conf`.
    Conf,
    ConfEnd,
    /// The end, perhaps after a script of the operator.
    End,
}

pub(super) const STAGES: [Stage; 13] = [
    Stage::Login,
    Stage::Make,
    Stage::Staging,
    Stage::Copy,
    Stage::Version,
    Stage::Control,
    Stage::Copied,
    Stage::Info,
    Stage::Wal,
    Stage::WalEnd,
    Stage::Conf,
    Stage::ConfEnd,
    Stage::End,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// It fails instead of reaching this stage: disk full, rights, a hook script.
    Fails(Stage),
    /// Its process dies there, and the API never notices.
    Dies(Stage),
}

/// Where Barman writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    OtherDirectory,
    /// Another host, which does not have the lease.
    OtherHost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wal {
    Copied,
    /// PostgreSQL fetches it itself.
    Get,
    /// `WAITING_FOR_WALS`
    Waiting,
}

/// Something that a restore has started, that has left its process group, and that holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// A run may kill it.
    OfThisUser,
    /// It can be neither seen nor killed.
    OfAnotherUser,
}

/// What a restore does.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Plan {
    /// From the first command to the last.
    pub(super) length: Duration,
    pub(super) fate: Fate,
    pub(super) place: Place,
    /// From the listing to the first file: Barman unpacks on its own host, and runs nothing here.
    pub(super) gap: Duration,
    /// It copies to a staging directory on the node first.
    pub(super) staging: bool,
    /// A script of the operator runs on the Barman host after the last command.
    pub(super) script: Duration,
    pub(super) leftover: Option<Leftover>,
    /// Barman up to 3.14 does not list the directory.
    pub(super) lists: bool,
    /// `delta-restore`: the directory may have files.
    pub(super) accepts_files: bool,
    /// The login shell prints text, which Barman takes for a listing.
    pub(super) prints_text: bool,
    pub(super) jobs: u32,
    /// `basebackup_retry_times`
    pub(super) retries: u32,
    pub(super) wal: Wal,
    /// Whether the backup has a `postgresql.auto.conf`, which Barman edits last.
    pub(super) auto_conf: bool,
    /// The backup is of a server that Barman itself had restored: an old mark comes with it.
    pub(super) restored_source: bool,
    /// Whether the directory names the backup's ID.
    pub(super) named: bool,
    pub(super) backup: String,
    /// How long Barman takes before it logs in.
    pub(super) late: Duration,
    /// From when to when, since its begin, nothing arrives.
    pub(super) stall: Option<(Duration, Duration)>,
    /// From when to when, since its begin, what arrives goes to where nobody counts it.
    pub(super) elsewhere: Option<(Duration, Duration)>,
    /// It does not notice that its directory was removed.
    pub(super) unaware: bool,
    /// Its commands, when killed, stay in the kernel: for so long.
    pub(super) sticks: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            length: secs(60),
            fate: Fate::Done,
            place: Place::Here,
            gap: Duration::ZERO,
            staging: false,
            script: Duration::ZERO,
            leftover: None,
            lists: true,
            accepts_files: false,
            prints_text: false,
            jobs: 1,
            retries: 0,
            wal: Wal::Copied,
            auto_conf: true,
            restored_source: false,
            named: true,
            backup: BACKUP.into(),
            late: Duration::ZERO,
            stall: None,
            elsewhere: None,
            unaware: false,
            sticks: None,
        }
    }
}

impl Plan {
    /// When a stage is reached, since the begin.
    pub(super) fn time(&self, stage: Stage) -> Duration {
        let make = (self.length / 20).min(secs(1));
        let tail = ((self.length - make) / 4).min(secs(8));
        let base = self.length - make - tail;
        let copy = make + if self.staging { base * 2 / 3 } else { Duration::ZERO };
        let (copied, rest) = (make + base, make + base - copy);
        let gap = if stage > Stage::Make { self.gap } else { Duration::ZERO };
        self.late
            + gap
            + match stage {
                Stage::Login => make / 2,
                Stage::Make | Stage::Staging => make,
                Stage::Copy => copy,
                Stage::Version => copy + rest / 50,
                Stage::Control => copy + rest * 2 / 3,
                Stage::Copied => copied,
                Stage::Info => copied + tail / 10,
                Stage::Wal => copied + tail / 5,
                Stage::WalEnd => copied + tail / 2,
                Stage::Conf => copied + tail * 8 / 10,
                Stage::ConfEnd => copied + tail * 9 / 10,
                Stage::End => self.length + self.script,
            }
    }
}
