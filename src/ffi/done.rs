//! The result of a command, kept in its handle for the getters.

use crate::commands::backups::Backup;
use crate::commands::check::Finding;
use crate::commands::operations::Operation;
use crate::commands::verify::Verified;
use crate::outcome::{Code, Outcome};

pub(super) struct Done {
    pub(super) report: Outcome<i32>,
    pub(super) findings: Vec<Finding>,
    pub(super) operations: Vec<Operation>,
    pub(super) backups: Vec<Backup>,
    pub(super) verified: Option<Verified>,
}

impl Done {
    /// For a command that lists nothing.
    pub(super) fn reported(report: Outcome<i32>) -> Done {
        Done { report, findings: Vec::new(), operations: Vec::new(), backups: Vec::new(), verified: None }
    }

    pub(super) fn new(code: Code, message: &str, hint: &str) -> Done {
        Done::reported(Outcome { hint: hint.into(), ..Outcome::not_begun(code as i32, message) })
    }

    pub(super) fn well() -> Done {
        Done::new(Code::RecoveryDone, "", "")
    }
}
