//! What `/diagnose` says about the backup that would be restored: whether it can be, and which rows a restore of it
//! does not bring. Pure, except for what `look` records.

use super::finding::{Finding, Recorder};
use crate::api::diagnose::{Backup, Diagnosis};
use crate::text::size;

const BACKUP: &str = "backup";
const TIMELINE: &str = "timeline";

/// What this file checks.
pub(super) const ALL: &[&str] = &[BACKUP, TIMELINE];

const LIST: &str = "'patroni_barman backups' lists them; take one with 'barman backup' on the Barman host";

/// The backup, if it can be restored.
pub(super) fn look<'a>(diagnosis: &'a Diagnosis, asked: &str, record: &mut Recorder) -> Option<&'a Backup> {
    let (finding, backup) = backup_finding(diagnosis, asked);
    record.add(finding);
    match backup {
        Some(backup) => record.add(timeline(backup, diagnosis.newest_timeline)),
        None => record.skip(&[TIMELINE], "there is no backup to restore"),
    }
    backup
}

fn backup_finding<'a>(diagnosis: &'a Diagnosis, asked: &str) -> (Finding, Option<&'a Backup>) {
    let backup = match diagnosis.backup(asked) {
        Ok(backup) => backup,
        Err(why) => return (Finding::failed(BACKUP, why, LIST), None),
    };
    if !backup.is_copied() {
        let detail = format!("{} is {}, so it can't be restored", backup.id, backup.status);
        return (Finding::failed(BACKUP, detail, LIST), None);
    }
    let detail = described(backup, asked);
    if backup.is_snapshot {
        let hint = "name another backup with --backup-id ('patroni_barman backups' lists them), or restore this one by hand with 'barman recover' and its --snapshot options";
        let detail = format!("{detail}: it consists of snapshots of disks, which the API can't restore");
        return (Finding::failed(BACKUP, detail, hint), None);
    }
    let finding = match &diagnosis.status.connection_error {
        _ if backup.waits_for_wal() => waiting(backup, diagnosis, &detail),
        Some(error) if backup.id != asked => Finding::warning(
            BACKUP,
            format!("{detail}; Barman can't connect to PostgreSQL ({error}), so it takes no newer backup"),
            "a restore of this backup does not need that connection; 'barman check' on the Barman host says more",
        ),
        _ => Finding::ok(BACKUP, detail),
    };
    (finding, Some(backup))
}

/// `latest is 20261122T101942, DONE, 54 MB, PostgreSQL 15.18, taken 2026-11-22T10:19:42+00:00`
fn described(backup: &Backup, asked: &str) -> String {
    let named = if backup.id == asked { asked.to_string() } else { format!("{asked} is {}", backup.id) };
    let bytes = backup.bytes.map_or("of unknown size".into(), size);
    let version = backup.version.as_ref().map_or(String::new(), |version| format!(", PostgreSQL {version}"));
    let taken = backup.begin_time.as_ref().map_or(String::new(), |time| format!(", taken {time}"));
    format!("{named}, {}, {bytes}{version}{taken}", backup.status)
}

fn waiting(backup: &Backup, diagnosis: &Diagnosis, detail: &str) -> Finding {
    let last = diagnosis.last_wal.as_ref();
    let has = last.map_or("no WAL of this server is archived".into(), |last| {
        format!("the last archived WAL file is {last}")
    });
    let needs =
        backup.end_wal.as_ref().map_or("up to which file is not known".into(), |end| format!("up to {end}"));
    Finding::warning(
        BACKUP,
        format!("{detail}: Barman has not yet archived all the WAL that this backup needs ({needs}; {has})"),
        "a restore of this backup fails, except for a replica, which streams the missing WAL: if archiving works, run 'barman switch-wal --force --archive' on the Barman host to archive it; otherwise name an older backup with --backup-id",
    )
}

/// Barman brings WAL of the backup's own timeline only, and PostgreSQL starts on it without an error.
fn timeline(backup: &Backup, newest: Option<u32>) -> Finding {
    let (Some(its), Some(newest)) = (backup.timeline, newest) else {
        return Finding::skipped(
            TIMELINE,
            "the timeline of the backup, or that of Barman's WAL, is not known",
        );
    };
    if newest <= its {
        let detail = format!("Barman has no WAL of a newer timeline than the backup's, {its}");
        return Finding::ok(TIMELINE, detail);
    }
    Finding::warning(
        TIMELINE,
        format!(
            "the backup is on timeline {its}, and a restore includes only WAL of that timeline: rows written since the switchover are in WAL of later timelines, up to {newest}"
        ),
        "to get those rows, set restore_command as in 'A new cluster from the backup' in docs/patroni.md, which fetches WAL of every timeline, or take a new backup",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    const DONE: &str =
        r#"{"status":"DONE","mode":"rsync","end_wal":"000000010000000000000007","timeline":1}"#;
    const WAITING: &str = r#"{"status":"WAITING_FOR_WALS","end_wal":"000000010000000000000007"}"#;
    const DOWN: &str = r#"{"connection_error":"no route to host"}"#;

    /// With the backup x, and WAL up to this file.
    fn diagnosis(backup: &str, status: &str, wal: &str) -> Diagnosis {
        let wals =
            format!(r#"{{"last_archived_wal_per_timeline":{{"1":{{"name":"{wal}","time":1795342900}}}}}}"#);
        let body = format!(
            r#"{{"servers":{{"pg":{{"status":{status},"wals":{wals},"backups":{{"x":{backup}}}}}}}}}"#
        );
        Diagnosis::read(body.as_bytes(), "pg").unwrap()
    }

    #[test]
    fn what_keeps_a_backup_from_being_restored_is_found() {
        let snapshot = r#"{"status":"DONE","mode":"snapshot"}"#;
        let failed = r#"{"status":"FAILED"}"#;
        for (backup, status, asked, verdict, words) in [
            (DONE, "{}", "latest", Verdict::Ok, &["latest is x, DONE"][..]),
            (DONE, "{}", "x", Verdict::Ok, &["x, DONE"]),
            (DONE, "{}", "y", Verdict::Failed, &["no backup 'y'", "patroni_barman backups"]),
            (failed, "{}", "x", Verdict::Failed, &["FAILED, so it can't be restored"]),
            (failed, "{}", "latest", Verdict::Failed, &["no backup 'latest'"]),
            (snapshot, "{}", "latest", Verdict::Failed, &["snapshots of disks", "--backup-id"]),
            (
                WAITING,
                "{}",
                "latest",
                Verdict::Warning,
                &[
                    "up to 000000010000000000000007",
                    "archived WAL file is 000000010000000000000004",
                    "switch-wal",
                ],
            ),
            (WAITING, DOWN, "latest", Verdict::Warning, &["WAITING_FOR_WALS"]),
            (
                DONE,
                DOWN,
                "latest",
                Verdict::Warning,
                &["latest is x", "can't connect to PostgreSQL (no route to host)", "barman check"],
            ),
            (DONE, DOWN, "x", Verdict::Ok, &["x, DONE"]),
        ] {
            let diagnosis = diagnosis(backup, status, "000000010000000000000004");
            let (finding, found) = backup_finding(&diagnosis, asked);
            let text = format!("{} {}", finding.detail, finding.hint.unwrap_or_default());
            assert_eq!((finding.verdict, found.is_none()), (verdict, verdict == Verdict::Failed), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn wal_of_a_newer_timeline_than_the_backups_is_a_warning() {
        let later = r#"{"status":"DONE","end_wal":"000000030000000000000007","timeline":2}"#;
        for (backup, wal, verdict, words) in [
            (DONE, "000000010000000000000009", Verdict::Ok, "newer timeline than the backup's, 1"),
            (DONE, "000000030000000000000009", Verdict::Warning, "later timelines, up to 3"),
            (later, "000000030000000000000009", Verdict::Ok, "newer timeline than the backup's, 3"),
            (later, "000000020000000000000009", Verdict::Ok, "newer timeline than the backup's, 3"),
            (later, "0000000A0000000000000009", Verdict::Warning, "later timelines, up to 10"),
            (DONE, "odd", Verdict::Skipped, "not known"),
            (r#"{"status":"DONE"}"#, "000000010000000000000009", Verdict::Skipped, "not known"),
        ] {
            let diagnosis = diagnosis(backup, "{}", wal);
            let found = timeline(diagnosis.newest().unwrap(), diagnosis.newest_timeline);
            assert!(found.verdict == verdict && found.detail.contains(words), "{wal}: {found:?}");
            assert_eq!(
                found.hint.is_some_and(|hint| hint.contains("docs/patroni.md")),
                verdict == Verdict::Warning
            );
        }
    }
}
