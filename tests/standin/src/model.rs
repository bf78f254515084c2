//! The configuration of a Barman that is played: which servers and backups there are, and what becomes of
//! an operation. `playing.rs` plays it, `recover.rs` restores.

use serde::Deserialize;

use crate::backend::{Foreign, Status};

/// Methods that set one option each: `NAME(ARGUMENT: TYPE) => FIELD = VALUE;`
macro_rules! setters {
    ($of:ident; $($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) => $($field:ident = $value:expr),+;)*) => {
        $($(#[$doc])* pub fn $name(mut self, $($argument: $type),*) -> Self {
            let options = self.$of();
            $(options.$field = $value;)+
            self
        })*
    };
}
pub(crate) use setters;

/// The parts of a restore, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All that Barman looks at before it copies: connection, destination, right to write.
    Look,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Mark {
    /// That of the backup that was restored.
    #[default]
    Own,
    /// A `.barman-recover.info` of another backup.
    Of(String),
    /// None at all: another Barman.
    Missing,
}

impl From<String> for Mark {
    fn from(word: String) -> Self {
        match word.as_str() {
            "own" => Self::Own,
            "none" => Self::Missing,
            _ => Self::Of(word),
        }
    }
}

/// Options behind `server` are of that server, those of an operation are of its next operation and,
/// unless `next_operation` follows, of all later ones.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(crate) servers: Vec<Server>,
    pub(crate) existing: Vec<Foreign>,
    pub(crate) unique_ids: bool,
    pub(crate) race_ms: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) backups: Vec<String>,
    pub(crate) plans: Vec<Plan>,
}

/// What becomes of an operation. The methods of `Model` and the options of the program explain it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the program")]
pub(crate) struct Plan {
    pub(crate) duration_ms: u64,
    pub(crate) result: Status,
    pub(crate) stuck: bool,
    pub(crate) fill: bool,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) wal: u32,
    pub(crate) wal_ms: u64,
    pub(crate) gap: Option<Part>,
    pub(crate) gap_ms: u64,
    pub(crate) hold: Option<Part>,
    pub(crate) stop: Option<Part>,
    pub(crate) retries: u32,
    pub(crate) retry_ms: u64,
    pub(crate) twice: bool,
    pub(crate) destination: Option<String>,
    pub(crate) banner: String,
    pub(crate) restores: Option<String>,
    pub(crate) mark: Mark,
    pub(crate) old_info: Option<String>,
    pub(crate) postgres_backup: bool,
}

impl Plan {
    /// The size of the base backup: `bytes`, or as much as is needed for something to arrive all the time.
    pub(crate) fn copied(&self) -> u64 {
        self.bytes.max(2 * self.duration_ms)
    }

    /// Where the restore ends before its end.
    pub(crate) fn stop(&self) -> Option<Part> {
        self.stop.or((self.result == Status::Failed).then_some(Part::Half))
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            duration_ms: 0,
            result: Status::Done,
            stuck: false,
            fill: false,
            files: 8,
            bytes: 64 << 10,
            wal: 1,
            wal_ms: 0,
            gap: None,
            gap_ms: 0,
            hold: None,
            stop: None,
            retries: 0,
            retry_ms: 0,
            twice: false,
            destination: None,
            banner: String::new(),
            restores: None,
            mark: Mark::Own,
            old_info: None,
            postgres_backup: false,
        }
    }
}

impl Model {
    /// No server.
    pub fn new() -> Self {
        Self::default()
    }

    /// A server of Barman.
    pub fn server(mut self, name: &str) -> Self {
        self.servers.push(Server {
            name: name.to_owned(),
            backups: Vec::new(),
            plans: vec![Plan::default()],
        });
        self
    }

    /// A backup of the server, oldest first.
    pub fn backup(mut self, id: &str) -> Self {
        self.last_server().backups.push(id.to_owned());
        self
    }

    /// From here on the options are of the operations after the first (second, …) one.
    pub fn next_operation(mut self) -> Self {
        let plan = self.plan().clone();
        self.last_server().plans.push(plan);
        self
    }

    /// An operation that is there from the start.
    pub fn existing(mut self, foreign: Foreign) -> Self {
        self.existing.push(foreign);
        self
    }

    setters! { whole;
        /// An id that is taken counts on to the next free second, for tests that are not about the conflict.
        unique_ids() => unique_ids = true;
        /// The real API's race: creates that come within this time pass the check together and get one id; each of
        /// them starts Barman, with what the last of them asked for.
        race_ms(ms: u64) => race_ms = ms;
    }

    setters! { plan;
        /// How long an operation is in progress (0 by default); with `fill`, how long the copy of the base backup takes.
        duration_ms(ms: u64) => duration_ms = ms;
        /// How it ends (DONE by default). One that fails has written half of the base backup, unless `stop_behind` says
        /// otherwise.
        result(status: Status) => result = status;
        /// When all is done it stays in progress, unless ended by hand: its process has died.
        stuck() => stuck = true;
        /// It restores into its destination, through the ssh command that came with the create. Without this,
        /// nothing is written anywhere and no command is run.
        fill() => fill = true;
        /// `fill` with this many relation files (8).
        files(files: u64) => files = files, fill = true;
        /// `fill` with relation files of together this many bytes (64 KiB).
        bytes(bytes: u64) => bytes = bytes, fill = true;
        /// `fill` with this many WAL files (1).
        wal(files: u32) => wal = files, fill = true;
        /// How long no command runs before each WAL file (0), as when Barman unpacks them.
        wal_ms(ms: u64) => wal_ms = ms, fill = true;
        /// `fill` in which no command runs for this long before this part.
        gap(part: Part, ms: u64) => gap = Some(part), gap_ms = ms, fill = true;
        /// `fill` in which no command runs behind this part until `Api::release`.
        hold_behind(part: Part) => hold = Some(part), fill = true;
        /// `fill` that waits behind `PG_VERSION`, its first file, until `Api::release`.
        hold() => hold = Some(Part::First), fill = true;
        /// `fill` that runs no command behind this part, whatever the result.
        stop_behind(part: Part) => stop = Some(part), fill = true;
        /// `fill` that copies the base backup again so often when that has failed: Barman's `basebackup_retry_times` (0).
        retries(times: u32) => retries = times, fill = true;
        /// How long it waits before it copies again (0; Barman: 30 s).
        retry_ms(ms: u64) => retry_ms = ms, fill = true;
        /// `fill` by two processes at once, as after two creates of one second.
        twice() => twice = true, fill = true;
        /// `fill` of another directory than was asked for.
        destination(path: &str) => destination = Some(path.to_owned()), fill = true;
        /// `fill` on a node whose login prints this on standard output, before each command.
        banner(words: &str) => banner = words.to_owned(), fill = true;
        /// `fill` that restores this backup, whatever was asked for: as when another node's job came between.
        restores(backup: &str) => restores = Some(backup.to_owned()), fill = true;
        /// What `fill` leaves as the sign of a complete restore (that of the backup that was asked for by default).
        mark(mark: Mark) => mark = mark, fill = true;
        /// `fill` with a backup whose source was itself restored by Barman: it brings the `.barman-recover.info` of this
        /// earlier backup and the `.origin` files along.
        old_info(backup: &str) => old_info = Some(backup.to_owned()), fill = true;
        /// `fill` with a backup made by `pg_basebackup`, which has no ID in its `backup_label`.
        postgres_backup() => postgres_backup = true, fill = true;
    }

    fn whole(&mut self) -> &mut Self {
        self
    }

    fn last_server(&mut self) -> &mut Server {
        self.servers.last_mut().expect("name a server first: Model::new().server(…)")
    }

    pub(crate) fn plan(&mut self) -> &mut Plan {
        self.last_server().plans.last_mut().expect("a server has a plan")
    }
}
