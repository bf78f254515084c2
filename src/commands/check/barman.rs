//! What `/diagnose` says about Barman and the server: versions with known problems, whether a restore
//! brings WAL, and whether this node's data directory belongs to the same cluster. Pure, except for what `look` records.

use super::data_directory::DirectoryFacts;
use super::finding::{Finding, Recorder, Verdict};
use crate::api::diagnose::{Diagnosis, ServerConfig};
use crate::world::Content;

const VERSION: &str = "Barman";
const CONFIGURATION: &str = "Barman's configuration";
const CLUSTER: &str = "cluster";

/// What this file checks.
pub(super) const ALL: &[&str] = &[VERSION, CONFIGURATION, CLUSTER];

pub(super) fn look(diagnosis: &Diagnosis, server: &str, place: &DirectoryFacts, record: &mut Recorder) {
    record.add(version(diagnosis, place));
    record.add(get_wal(&diagnosis.config, server));
    record.add(cluster(diagnosis, place));
}

/// Barman 3.15 and 3.16 remove the destination before a restore, and make it again.
fn removes_destination(release: (u32, u32)) -> bool {
    matches!(release, (3, 15 | 16))
}

fn version(diagnosis: &Diagnosis, place: &DirectoryFacts) -> Finding {
    let (Some(version), Some(release)) = (&diagnosis.barman_version, diagnosis.barman_release()) else {
        return Finding::new(Verdict::Warning, VERSION, "its version is not known");
    };
    let removes = format!("{version} removes the data directory before it restores");
    match release {
        _ if removes_destination(release) => match place.not_removable {
            Some(why) => Finding::failed(
                VERSION,
                format!("{removes}, and that {why}"),
                "upgrade Barman to 3.17 or later, or name a plain directory that this user may remove",
            ),
            None => {
                Finding::warning(VERSION, removes, "upgrade Barman to 3.17 or later, which removes nothing")
            }
        },
        (..3, _) | (3, ..14) => Finding::warning(
            VERSION,
            format!("{version} is older than 3.14: this program may not recognize a complete restore"),
            "upgrade Barman",
        ),
        _ => Finding::ok(VERSION, version),
    }
}

/// PostgreSQL does not start on restored data without its WAL.
fn get_wal(config: &ServerConfig, server: &str) -> Finding {
    if !config.get_wal {
        return Finding::ok(CONFIGURATION, "a restore brings WAL (no get-wal)");
    }
    Finding::warning(
        CONFIGURATION,
        "the server is set to get-wal, so a restore includes no WAL: PostgreSQL has to fetch WAL with restore_command, and Patroni removes the restore_command that Barman writes",
        format!(
            "Patroni's YAML needs two lines, in the section of the bootstrap method, and in postgresql for replicas: \"recovery_conf:\", and indented below it \"restore_command: barman-wal-restore -U barman BARMAN_HOST {server} %f %p\" (see 'A server with get-wal' in docs/patroni.md)"
        ),
    )
}

/// A data directory of another cluster means that an option is mistyped. `pg_upgrade` makes another cluster, too.
fn cluster(diagnosis: &Diagnosis, place: &DirectoryFacts) -> Finding {
    let theirs = diagnosis.newest().and_then(|backup| backup.system_id).or(diagnosis.status.system_id);
    if place.content != Some(Content::Something) {
        return Finding::skipped(CLUSTER, "there is no data directory to compare the backup with");
    }
    let (Some(ours), Some(theirs)) = (place.system_id, theirs) else {
        return Finding::skipped(
            CLUSTER,
            "the system identifier of the data directory or of the backup is not known",
        );
    };
    if ours != theirs {
        let detail = format!(
            "the data directory belongs to a different cluster: its system identifier is {ours}, the backup's {theirs}"
        );
        let hint = "check --barman-server and --data-directory: a restore would replace one cluster with another; after pg_upgrade take a new backup";
        return Finding::failed(CLUSTER, detail, hint);
    }
    Finding::ok(CLUSTER, format!("the data directory and the backup belong to the same cluster ({ours})"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::api::diagnose::ServerStatus;

    fn place(content: Content) -> DirectoryFacts {
        DirectoryFacts { content: Some(content), not_removable: None, used: 0, system_id: None }
    }

    fn diagnosis() -> Diagnosis {
        Diagnosis {
            barman_version: Some("3.19.1".into()),
            config: ServerConfig::default(),
            status: ServerStatus { system_id: Some(7), ..ServerStatus::default() },
            last_wal: None,
            newest_timeline: Some(1),
            backups: Vec::new(),
        }
    }

    #[test]
    fn versions_that_remove_the_destination_are_named() {
        let mounted = Some("is a mount point");
        for (text, not_removable, verdict) in [
            ("3.19.1", mounted, Verdict::Ok),
            ("3.17.0", None, Verdict::Ok),
            ("3.16.2", None, Verdict::Warning),
            ("3.15.0", mounted, Verdict::Failed),
            ("3.14.1", None, Verdict::Ok),
            ("3.13.3", None, Verdict::Warning),
            ("4.0", None, Verdict::Ok),
            ("x", None, Verdict::Warning),
        ] {
            let mut diagnosis = diagnosis();
            diagnosis.barman_version = Some(text.into());
            let place = DirectoryFacts { not_removable, ..place(Content::Empty) };
            assert_eq!(version(&diagnosis, &place).verdict, verdict, "{text} {not_removable:?}");
        }
    }

    #[test]
    fn get_wal_is_a_warning_with_the_lines_for_patroni() {
        assert_eq!(get_wal(&ServerConfig::default(), "main").verdict, Verdict::Ok);
        let config = ServerConfig { get_wal: true, ..ServerConfig::default() };
        let found = get_wal(&config, "main");
        assert_eq!(found.verdict, Verdict::Warning);
        for line in ["recovery_conf:", "restore_command: barman-wal-restore -U barman BARMAN_HOST main %f %p"]
        {
            let hint = found.hint.as_deref().unwrap();
            assert!(hint.contains(&format!("\"{line}\"")), "{hint}");
        }
    }

    #[test]
    fn a_data_directory_of_another_cluster_is_found() {
        let verdict = |place: &DirectoryFacts| cluster(&diagnosis(), place).verdict;
        assert_eq!(verdict(&place(Content::Empty)), Verdict::Skipped);
        assert_eq!(verdict(&place(Content::Something)), Verdict::Skipped);
        let of = |id| DirectoryFacts { system_id: Some(id), ..place(Content::Something) };
        assert_eq!((verdict(&of(7)), verdict(&of(8))), (Verdict::Ok, Verdict::Failed));
    }
}
