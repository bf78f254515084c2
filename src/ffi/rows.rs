//! What a command found, row by row: the findings of a check, the operations of a list. A row's texts are made once,
//! so that a long list costs nothing when it is read.

use std::ffi::CString;

use super::numbers::barman_recover_verdict as CVerdict;
use super::queue::c_text;
use crate::commands::check::{Finding, Verdict};
use crate::commands::operations::Operation;

#[derive(Default)]
pub(super) struct Rows {
    pub(super) findings: Vec<FindingRow>,
    pub(super) listed: Vec<ListedRow>,
}

pub(super) struct FindingRow {
    pub(super) verdict: i32,
    pub(super) what: CString,
    pub(super) detail: CString,
    pub(super) hint: CString,
}

pub(super) struct ListedRow {
    pub(super) id: CString,
    pub(super) kind: CString,
    pub(super) state: i32,
}

impl From<&[Finding]> for Rows {
    fn from(findings: &[Finding]) -> Rows {
        let row = |finding: &Finding| FindingRow {
            verdict: verdict(finding.verdict) as i32,
            what: c_text(finding.what),
            detail: c_text(&finding.detail),
            hint: c_text(&finding.hint),
        };
        Rows { findings: findings.iter().map(row).collect(), listed: Vec::new() }
    }
}

impl From<&[Operation]> for Rows {
    fn from(operations: &[Operation]) -> Rows {
        let row = |operation: &Operation| ListedRow {
            id: c_text(&operation.id),
            kind: c_text(&operation.kind),
            state: operation.state.map_or(-1, |state| state as i32),
        };
        Rows { findings: Vec::new(), listed: operations.iter().map(row).collect() }
    }
}

fn verdict(verdict: Verdict) -> CVerdict {
    match verdict {
        Verdict::Ok => CVerdict::BARMAN_RECOVER_VERDICT_OK,
        Verdict::Warning => CVerdict::BARMAN_RECOVER_VERDICT_WARNING,
        Verdict::Failed => CVerdict::BARMAN_RECOVER_VERDICT_FAILED,
        Verdict::Skipped => CVerdict::BARMAN_RECOVER_VERDICT_SKIPPED,
    }
}
