//! What is checked, and what has been seen of the data directory: what the findings are about.

use crate::config::{Connection, Restore};
use crate::world::snapshot::Content;

pub(super) struct Asked {
    pub(super) connection: Connection,
    pub(super) restore: Restore,
    /// Whether Barman is to log in here.
    pub(super) probe: bool,
}

/// The data directory as it is.
pub(super) struct Place {
    pub(super) content: Content,
    pub(super) is_mount_point: bool,
    /// Bytes in it, which come free when it is emptied.
    pub(super) used: u64,
    /// The major version in its `PG_VERSION`.
    pub(super) version: Option<String>,
    /// The system identifier in its `pg_control`.
    pub(super) system_id: Option<u64>,
}
