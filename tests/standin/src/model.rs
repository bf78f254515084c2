//! The configuration of a Barman that is played in memory: which servers and backups there are, and what becomes of
//! an operation. `playing.rs` plays it, `fill.rs` writes into a data directory.

use crate::backend::{Foreign, Status};
use crate::fill::{Fill, Mark, OnRemoval, Part};

/// The model's configuration. Options behind `server` are of that server, those of an operation are of
/// its next operation and, unless `next_operation` follows, of all later ones.
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

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) duration_ms: u64,
    pub(crate) result: Status,
    pub(crate) stuck: bool,
    pub(crate) fill: Option<Fill>,
    pub(crate) writes_on_ms: u64,
}

impl Model {
    /// No server.
    pub fn new() -> Self {
        Self::default()
    }

    /// A server of Barman.
    pub fn server(mut self, name: &str) -> Self {
        let plan = Plan { duration_ms: 0, result: Status::Done, stuck: false, fill: None, writes_on_ms: 0 };
        self.servers.push(Server { name: name.to_owned(), backups: Vec::new(), plans: vec![plan] });
        self
    }

    /// A backup of the server, oldest first.
    pub fn backup(mut self, id: &str) -> Self {
        self.last_server().backups.push(id.to_owned());
        self
    }

    /// How long an operation is in progress (0 by default).
    pub fn duration_ms(mut self, ms: u64) -> Self {
        self.plan().duration_ms = ms;
        self
    }

    /// How it ends (DONE by default).
    pub fn result(mut self, status: Status) -> Self {
        self.plan().result = status;
        self
    }

    /// It never ends, unless by hand.
    pub fn stuck(mut self) -> Self {
        self.plan().stuck = true;
        self
    }

    /// It writes a data directory at its destination as `barman recover` does, spread over its duration: base backup,
    /// `.barman-recover.info`, WAL, and last the edited configuration. A destination that is not empty makes it FAILED
    /// at once. An operation that fails has written half of the base backup by then.
    pub fn fill(self) -> Self {
        self.filled(|_| {})
    }

    /// `fill` with this many relation files (8).
    pub fn files(self, files: u64) -> Self {
        self.filled(|fill| fill.files = files)
    }

    /// `fill` with relation files of together this many bytes (64 KiB).
    pub fn bytes(self, bytes: u64) -> Self {
        self.filled(|fill| fill.bytes = bytes)
    }

    /// What `fill` does when its directory is removed underneath (FAILED by default).
    pub fn on_removal(self, what: OnRemoval) -> Self {
        self.filled(|fill| fill.on_removal = what)
    }

    /// `fill` that stops behind `PG_VERSION`, its first file, until `Api::release`.
    pub fn hold(self) -> Self {
        self.hold_behind(Part::First)
    }

    /// `fill` that stops behind this part until `Api::release`.
    pub fn hold_behind(self, part: Part) -> Self {
        self.filled(|fill| fill.hold = Some(part))
    }

    /// `fill` that writes nothing behind this part, whatever the result.
    pub fn stop_behind(self, part: Part) -> Self {
        self.filled(|fill| fill.stop = Some(part))
    }

    /// `fill` that restores this backup, whatever was asked for: as when another node's job came between.
    pub fn restores(self, backup: &str) -> Self {
        self.filled(|fill| fill.restores = Some(backup.to_owned()))
    }

    /// What `fill` leaves as the sign of a complete restore (that of the backup that was asked for by default).
    pub fn mark(self, mark: Mark) -> Self {
        self.filled(|fill| fill.mark = mark)
    }

    /// `fill` with a backup whose source was itself restored by Barman: it brings the `.barman-recover.info` of this
    /// earlier backup and the `.origin` files along.
    pub fn old_info(self, backup: &str) -> Self {
        self.filled(|fill| fill.old_info = Some(backup.to_owned()))
    }

    /// `fill` with a backup made by `pg_basebackup`, which has no ID in its `backup_label`.
    pub fn postgres_backup(self) -> Self {
        self.filled(|fill| fill.by_rsync = false)
    }

    /// `fill` with this many WAL files (1).
    pub fn wal(self, files: u32) -> Self {
        self.filled(|fill| fill.wal = files)
    }

    /// How long each WAL file takes, beyond the duration of the operation (0).
    pub fn wal_ms(self, ms: u64) -> Self {
        self.filled(|fill| fill.wal_ms = ms)
    }

    /// `fill` with two processes that look like `rsync --server` in the directory; SIGTERM to one makes it FAILED.
    pub fn receivers(self) -> Self {
        self.filled(|fill| fill.receivers = true)
    }

    /// `fill` that copies again so often when a receiver has been ended: Barman's `basebackup_retry_times` (0).
    pub fn retries(self, times: u32) -> Self {
        self.filled(|fill| fill.retries = times)
    }

    /// How long it waits before it copies again (0; Barman: 30 s).
    pub fn retry_ms(self, ms: u64) -> Self {
        self.filled(|fill| fill.retry_ms = ms)
    }

    /// Something writes into the directory for this long after the end of the operation.
    pub fn writes_on_ms(mut self, ms: u64) -> Self {
        self.plan().writes_on_ms = ms;
        self.fill()
    }

    fn filled(mut self, change: impl FnOnce(&mut Fill)) -> Self {
        change(self.plan().fill.get_or_insert_default());
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

    /// An id that is taken counts on to the next free second, for tests that are not about the conflict.
    pub fn unique_ids(mut self) -> Self {
        self.unique_ids = true;
        self
    }

    /// The real API's race: creates that come within this time pass the check together, get one id, and
    /// the operation goes to the destination of the last.
    pub fn race_ms(mut self, ms: u64) -> Self {
        self.race_ms = ms;
        self
    }

    fn last_server(&mut self) -> &mut Server {
        self.servers.last_mut().expect("name a server first: Model::new().server(…)")
    }

    fn plan(&mut self) -> &mut Plan {
        self.last_server().plans.last_mut().expect("a server has a plan")
    }
}
