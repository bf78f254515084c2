//! Whether a restore is complete, from what the files of the data directory show. Pure: facts in, an answer out.
//! Nothing depends on change times, because `chown -R` in a container changes them, or on directories,
//! because overlay file systems change their inodes.

use crate::outcome::Problem;
use crate::world::data::info::{Info, Label};
use crate::world::data::wal::{Segment, WalFiles};
use crate::world::{Backup, Completeness, FileId, MissingWal};

/// The files that show how far a restore has got; None for a file that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) pg_version: Option<FileId>,
    pub(super) pg_control: Option<FileId>,
    pub(super) label: Option<FileId>,
    pub(super) info: Option<FileId>,
    pub(super) auto_conf: Option<FileId>,
    pub(super) origin: Option<FileId>,
}

/// The base backup is here, with Barman's record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) info: Info,
    label: Label,
    /// Why Barman's last file does not prove that everything came.
    unproven: Option<String>,
}

/// Why a restore is not complete, whatever WAL is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// Nothing is new since the restore began.
    Unchanged(String),
    Incomplete(String),
}

impl From<Shortfall> for Completeness {
    fn from(shortfall: Shortfall) -> Completeness {
        match shortfall {
            Shortfall::Unchanged(why) => Completeness::Unchanged(why),
            Shortfall::Incomplete(why) => Completeness::Incomplete(why),
        }
    }
}

/// What comes beside the base backup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rest {
    /// None: there is no `pg_wal`.
    pub(super) wal: Option<WalFiles>,
    /// The command by which PostgreSQL is to fetch WAL from Barman.
    pub(super) fetcher: Option<String>,
    /// The ID that the manifest of this backup has in its name.
    pub(super) manifest_id: Option<String>,
}

/// Judges everything but WAL. An error says that the restore is not complete. `before` is what was there before
/// the restore; without it everything counts as new.
pub(super) fn base(
    marks: &Marks,
    before: Option<&Marks>,
    info: Option<Info>,
    label: Option<Label>,
) -> Result<Base, Shortfall> {
    if before.is_some_and(|before| !has_news(marks, before)) {
        return Err(Shortfall::Unchanged("none of Barman's files is newer than this restore".into()));
    }
    let written = |file: Option<FileId>| file.is_some_and(|file| file.size > 0);
    for (name, file) in [
        ("PG_VERSION", marks.pg_version),
        ("global/pg_control", marks.pg_control),
        ("backup_label (which PostgreSQL renames when it starts)", marks.label),
        (".barman-recover.info (which Barman writes after the base backup)", marks.info),
    ] {
        if !written(file) {
            return incomplete(format!("there is no {name}"));
        }
    }
    let Some(info) = info else {
        return incomplete(".barman-recover.info is not a whole record of a backup by Barman");
    };
    let Some(label) = label else { return incomplete("backup_label does not say where its backup starts") };
    if info.start != label.start {
        return incomplete(format!(
            "backup_label starts at WAL file {}, .barman-recover.info at {}: one of them is of another backup",
            label.start.segment, info.start.segment
        ));
    }
    if info.status != "DONE" && info.status != WAITING {
        return incomplete(format!(".barman-recover.info says that the backup is {}", info.status));
    }
    Ok(Base { unproven: last_file(marks, before)?, info, label })
}

/// The status of a backup of which Barman has not archived all WAL yet.
const WAITING: &str = "WAITING_FOR_WALS";

/// Whether any of Barman's files came or was replaced.
fn has_news(now: &Marks, before: &Marks) -> bool {
    [
        (now.pg_version, before.pg_version),
        (now.pg_control, before.pg_control),
        (now.label, before.label),
        (now.info, before.info),
        (now.auto_conf, before.auto_conf),
    ]
    .into_iter()
    .any(|(now, before)| now.is_some() && now != before)
}

/// Judges the file that Barman writes last. Barman sends the edited `postgresql.auto.conf` with the time of
/// the restore. `.barman-recover.info` keeps its time from Barman's catalogue, and other files keep theirs
/// from the backup. The text says why the last file proves nothing.
fn last_file(marks: &Marks, before: Option<&Marks>) -> Result<Option<String>, Shortfall> {
    let (Some(auto_conf), Some(info)) = (marks.auto_conf, marks.info) else {
        let is_new = before.is_none_or(|before| {
            (marks.pg_version, marks.pg_control, marks.info)
                != (before.pg_version, before.pg_control, before.info)
        });
        return if is_new {
            Ok(Some("there is no postgresql.auto.conf, which Barman writes last".into()))
        } else {
            incomplete("the base backup is still the one from before this restore")
        };
    };
    if auto_conf.modified <= info.modified {
        return incomplete(
            "postgresql.auto.conf is still the one from the backup: Barman writes it last, and has not written it yet",
        );
    }
    // The inode does not count: Barman's file always has a new time.
    let version = |file: FileId| (file.modified, file.size);
    if before.and_then(|before| before.auto_conf).is_some_and(|before| version(before) == version(auto_conf))
    {
        return incomplete(
            "postgresql.auto.conf is still the one from before this restore: Barman writes it last, and has not written it yet",
        );
    }
    Ok(marks.origin.is_none().then(|| {
        "there is no postgresql.auto.conf.origin, the copy that Barman makes of postgresql.auto.conf, the last file that it writes".into()
    }))
}

/// Judges WAL, and with it the whole.
pub(super) fn whole(base: Base, rest: Rest) -> Completeness {
    let Some(wal) = rest.wal else { return Completeness::Incomplete("there is no pg_wal".into()) };
    let Base { info, label, unproven } = base;
    let missing = wal.missing(info.start.segment, info.end, info.segment_size);
    let is_fetched = rest.fetcher.is_some();
    let backup = Backup {
        id: info.backup_id.or(label.backup_id).or(rest.manifest_id),
        warnings: warnings(&wal, info.start.segment, rest.fetcher.filter(|_| missing.is_some())),
        last_wal: wal.segments.last().map(Segment::to_string),
        server: info.server,
        begin_time: info.begin_time,
    };
    if info.status == WAITING {
        let needed = info.end.map(|end| end.to_string());
        let there = missing.map_or(needed.clone(), |missing| missing.there);
        return Completeness::WalMissing(backup, MissingWal { needed, there });
    }
    match (missing.filter(|_| !is_fetched), unproven) {
        // Without Barman's last file the missing WAL may be on its way: Barman may have more of it.
        (Some(missing), Some(why)) => {
            let there = missing.there.map_or("none of it".into(), |there| format!("WAL up to {there}"));
            Completeness::Incomplete(format!(
                "WAL that the backup needs is missing ({there} is here), and {why}"
            ))
        }
        (Some(missing), None) => Completeness::WalMissing(backup, missing),
        (None, Some(why)) => Completeness::NoProof(backup, why),
        (None, None) => Completeness::Complete(backup),
    }
}

/// Problems that can lose rows, or cost the operator a night, although the data is complete.
fn warnings(wal: &WalFiles, start: Segment, fetcher: Option<String>) -> Vec<Problem> {
    if let Some(command) = fetcher {
        return vec![Problem::new(
            "Barman restored no WAL, because its server is set to get-wal: PostgreSQL has to fetch WAL with restore_command, and Patroni removes the restore_command that Barman wrote",
            format!(
                "add two lines to Patroni's YAML, in the section of the bootstrap method, or in postgresql for a replica: \"recovery_conf:\", and indented below it \"restore_command: {command}\" (see docs/patroni.md)"
            ),
        )];
    }
    let newer = wal.newer_timeline(start.timeline).map(|timeline| {
        Problem::new(
            format!(
                "the restored WAL ends on timeline {}, but the archive has timeline {timeline}: Barman restores only WAL of the backup's own timeline, so everything that was written after the switchover is missing here",
                wal.segments.last().map_or(start.timeline, |last| last.timeline)
            ),
            "let PostgreSQL fetch the rest: set restore_command to barman-wal-restore, as docs/patroni.md shows, or take a new backup",
        )
    });
    newer.into_iter().collect()
}

fn incomplete<T>(why: impl Into<String>) -> Result<T, Shortfall> {
    Err(Shortfall::Incomplete(why.into()))
}
