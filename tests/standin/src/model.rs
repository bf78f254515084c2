//! The configuration of a Barman that is played: which servers and backups there are, and what becomes of an operation.
//! `playing.rs` plays it, `recover.rs` restores.

use serde::Deserialize;

use crate::backend::{Kind, Status};

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

/// Options behind `server` are of that server, those of an operation are of its next operation and,
/// unless `next_operation` follows, of all later ones.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(crate) servers: Vec<Server>,
    pub(crate) unique_ids: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) backups: Vec<String>,
    pub(crate) existing: Vec<(String, Kind, Status)>,
    pub(crate) plans: Vec<Plan>,
}

/// What becomes of an operation. The methods of `Model` explain it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) duration_ms: u64,
    pub(crate) result: Status,
    pub(crate) stuck: bool,
    pub(crate) fill: bool,
    pub(crate) bytes: u64,
    pub(crate) hold: Option<Part>,
    pub(crate) stop: Option<Part>,
    pub(crate) retries: u32,
    pub(crate) tablespaces_first: bool,
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
            bytes: 64 << 10,
            hold: None,
            stop: None,
            retries: 0,
            tablespaces_first: false,
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
        let (name, plans) = (name.to_owned(), vec![Plan::default()]);
        self.servers.push(Server { name, backups: Vec::new(), existing: Vec::new(), plans });
        self
    }

    /// A backup of the server, oldest first.
    pub fn backup(mut self, id: &str) -> Self {
        self.last_server().backups.push(id.to_owned());
        self
    }

    /// An operation of the server that is there from the start, and stays as it is.
    pub fn existing(mut self, id: &str, kind: Kind, status: Status) -> Self {
        self.last_server().existing.push((id.to_owned(), kind, status));
        self
    }

    /// From here on the options are of the operations after the first (second, …) one.
    pub fn next_operation(mut self) -> Self {
        let plan = self.plan().clone();
        self.last_server().plans.push(plan);
        self
    }

    /// An id that is taken counts on to the next free second, for tests that are not about the conflict.
    pub fn unique_ids(mut self) -> Self {
        self.unique_ids = true;
        self
    }

    setters! { plan;
        /// How long an operation is in progress (0 by default); with `fill`, how long the copy of the base backup takes.
        duration_ms(ms: u64) => duration_ms = ms;
        /// How it ends (DONE by default). One that fails has written half of the base backup, unless `stop_behind` says
        /// otherwise.
        result(status: Status) => result = status;
        /// When all is done it stays in progress: its process has died.
        stuck() => stuck = true;
        /// It restores into its destination, through the ssh command that came with the create. Without this,
        /// nothing is written anywhere and no command is run.
        fill() => fill = true;
        /// `fill` with relation files of together this many bytes (64 KiB).
        bytes(bytes: u64) => bytes = bytes, fill = true;
        /// `fill` in which no command runs behind this part until `Api::release`.
        hold_behind(part: Part) => hold = Some(part), fill = true;
        /// `fill` that waits behind `PG_VERSION`, its first file, until `Api::release`.
        hold() => hold = Some(Part::First), fill = true;
        /// `fill` that runs no command behind this part, whatever the result.
        stop_behind(part: Part) => stop = Some(part), fill = true;
        /// `fill` that copies the base backup again so often when that has failed: Barman's `basebackup_retry_times` (0),
        /// with a tenth of a second between them in place of half a minute.
        retries(times: u32) => retries = times, fill = true;
        /// `fill` that makes `pg_tblspc` a second before it copies, as Barman 3.14 does, which links the tablespaces then.
        tablespaces_first() => tablespaces_first = true, fill = true;
    }

    fn last_server(&mut self) -> &mut Server {
        self.servers.last_mut().expect("name a server first: Model::new().server(…)")
    }

    fn plan(&mut self) -> &mut Plan {
        self.last_server().plans.last_mut().expect("a server has a plan")
    }
}
