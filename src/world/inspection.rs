//! What this node shows about a restore besides the content of the data directory: whether it is writable, whether
//! there is room, and what the API has said about the backup. Plain values.

/// One inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Bytes that are free where the data directory is or will be.
    pub(crate) free: Option<u64>,
    /// The owner of the data directory, if that is another user and this user may not write there.
    pub(crate) foreign_owner: Option<String>,
    /// Whether this user may write into the data directory, or create it.
    pub(crate) is_writable: bool,
    /// The first visible names in the data directory, sorted; a few more than are shown if there are many.
    pub(crate) names: Vec<String>,
    /// Whether an rsync is in this process' PATH.
    pub(crate) has_rsync: bool,
    pub(crate) backup: Asked,
}

impl Inspection {
    /// For a command without a data directory: there is no objection to a restore.
    pub(crate) const NOTHING: Inspection = Inspection {
        free: None,
        foreign_owner: None,
        is_writable: true,
        names: Vec::new(),
        has_rsync: true,
        backup: Asked::No,
    };
}

/// The state of the question to the API about the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It was not asked, or gave no useful answer.
    No,
    Waiting,
    Answered(Diagnosed),
}

/// What `/diagnose` says about the backup to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosed {
    /// Bytes that a restore writes, without WAL.
    pub(crate) bytes: Option<u64>,
    /// Whether all of it goes into the data directory, with no tablespace elsewhere.
    pub(crate) is_one_place: bool,
    /// Barman's home directory on its host.
    pub(crate) barman_home: Option<String>,
}
