//! What a command found, row by row: findings, operations, backups, a restore. A row's texts are made once, so that a
//! long list costs nothing when it is read.

use std::ffi::CString;
use std::time::UNIX_EPOCH;

use super::numbers::{barman_recover_verdict as CVerdict, barman_recover_verified as CVerified};
use super::queue::c_text;
use crate::commands::backups::Backup;
use crate::commands::check::{Finding, Verdict};
use crate::commands::operations::Operation;
use crate::commands::verify::{RestoreState, Verified};

#[derive(Default)]
pub(super) struct Rows {
    pub(super) findings: Vec<FindingRow>,
    pub(super) listed: Vec<ListedRow>,
    pub(super) backups: Vec<BackupRow>,
    pub(super) verified: Option<VerifiedRow>,
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

pub(super) struct BackupRow {
    pub(super) id: CString,
    pub(super) status: CString,
    pub(super) is_complete: bool,
    pub(super) begin_time: CString,
    pub(super) end_time: CString,
    pub(super) bytes: u64,
    pub(super) version: CString,
    pub(super) mode: CString,
}

pub(super) struct VerifiedRow {
    pub(super) state: i32,
    pub(super) detail: CString,
    pub(super) backup_id: CString,
    pub(super) server: CString,
    pub(super) taken: CString,
    /// Seconds since 1970.
    pub(super) restored: u64,
    pub(super) last_wal: CString,
}

impl From<&[Finding]> for Rows {
    fn from(findings: &[Finding]) -> Rows {
        let row = |finding: &Finding| FindingRow {
            verdict: verdict(finding.verdict) as i32,
            what: c_text(finding.what),
            detail: c_text(&finding.detail),
            hint: c_text(&finding.hint),
        };
        Rows { findings: findings.iter().map(row).collect(), ..Rows::default() }
    }
}

impl From<&[Operation]> for Rows {
    fn from(operations: &[Operation]) -> Rows {
        let row = |operation: &Operation| ListedRow {
            id: c_text(&operation.id),
            kind: c_text(&operation.kind),
            state: operation.state.map_or(-1, |state| state as i32),
        };
        Rows { listed: operations.iter().map(row).collect(), ..Rows::default() }
    }
}

impl From<&[Backup]> for Rows {
    fn from(backups: &[Backup]) -> Rows {
        let row = |backup: &Backup| BackupRow {
            id: c_text(&backup.id),
            status: c_text(&backup.status),
            is_complete: backup.is_complete,
            begin_time: or_none(backup.begin_time.as_ref()),
            end_time: or_none(backup.end_time.as_ref()),
            bytes: backup.bytes.unwrap_or(0),
            version: or_none(backup.version.as_ref()),
            mode: or_none(backup.mode.as_ref()),
        };
        Rows { backups: backups.iter().map(row).collect(), ..Rows::default() }
    }
}

impl From<&Verified> for Rows {
    fn from(verified: &Verified) -> Rows {
        let restore = verified.restore.as_ref();
        let since = restore.and_then(|restore| restore.restored.duration_since(UNIX_EPOCH).ok());
        let row = VerifiedRow {
            state: restore_state(verified.state) as i32,
            detail: c_text(&verified.detail),
            backup_id: or_none(restore.and_then(|restore| restore.backup_id.as_ref())),
            server: or_none(restore.map(|restore| &restore.server)),
            taken: or_none(restore.map(|restore| &restore.taken)),
            restored: since.map_or(0, |since| since.as_secs()),
            last_wal: or_none(restore.and_then(|restore| restore.last_wal.as_ref())),
        };
        Rows { verified: Some(row), ..Rows::default() }
    }
}

fn or_none(text: Option<&String>) -> CString {
    text.map_or(CString::default(), |text| c_text(text))
}

fn verdict(verdict: Verdict) -> CVerdict {
    match verdict {
        Verdict::Ok => CVerdict::BARMAN_RECOVER_VERDICT_OK,
        Verdict::Warning => CVerdict::BARMAN_RECOVER_VERDICT_WARNING,
        Verdict::Failed => CVerdict::BARMAN_RECOVER_VERDICT_FAILED,
        Verdict::Skipped => CVerdict::BARMAN_RECOVER_VERDICT_SKIPPED,
    }
}

fn restore_state(state: RestoreState) -> CVerified {
    match state {
        RestoreState::Nothing => CVerified::BARMAN_RECOVER_VERIFIED_NONE,
        RestoreState::Complete => CVerified::BARMAN_RECOVER_VERIFIED_COMPLETE,
        RestoreState::BeingWritten => CVerified::BARMAN_RECOVER_VERIFIED_BEING_WRITTEN,
        RestoreState::Incomplete => CVerified::BARMAN_RECOVER_VERIFIED_INCOMPLETE,
        RestoreState::InUse => CVerified::BARMAN_RECOVER_VERIFIED_IN_USE,
    }
}
