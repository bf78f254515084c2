//! What this node shows that bears on a restore beside the content of the data directory: whether it may be written,
//! whether there is room, and what the API has said of the backup. Plain values.

/// One inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Bytes that are free where the data directory is or will be.
    pub(crate) free: Option<u64>,
    /// Who owns the data directory, where that is another user and this one may not write into it.
    pub(crate) foreign_owner: Option<String>,
    /// Whether this user may write into the data directory, or make it.
    pub(crate) is_writable: bool,
    /// The first visible names in the data directory, sorted; some more where there are many.
    pub(crate) names: Vec<String>,
    /// Whether an rsync is in this process' PATH.
    pub(crate) has_rsync: bool,
    pub(crate) backup: Asked,
}

impl Inspection {
    /// Of a command without a data directory: nothing speaks against anything.
    pub(crate) const NOTHING: Inspection = Inspection {
        free: None,
        foreign_owner: None,
        is_writable: true,
        names: Vec::new(),
        has_rsync: true,
        backup: Asked::No,
    };
}

/// What became of the question to the API about the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is not asked, or there was no answer that says anything.
    No,
    Waiting,
    Answered(Diagnosed),
}

/// What `/diagnose` says of the backup that is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosed {
    /// What a restore writes, without WAL.
    pub(crate) bytes: Option<u64>,
    /// Whether all of it goes into the data directory, and no tablespace elsewhere.
    pub(crate) is_one_place: bool,
    /// Barman's home directory on its host.
    pub(crate) barman_home: Option<String>,
}
