//! What the data directory proves about a restore. Pure.

use crate::world::snapshot::{Content, Mark, Snapshot, Stamp, Stamps};

/// What is in the data directory, compared with what was there before the create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A complete restore of the backup asked for.
    Complete(Mark),
    /// The same, but `.barman-recover.info` is older than this restore, so it does not show whether this restore is
    /// complete: every restore brings a new `postgresql.auto.conf` early on. (Emptying a directory may leave hidden
    /// files behind.)
    OldMark(Mark),
    /// A complete restore of something else, described in words.
    Other(String),
    /// New files but no mark: a different version of Barman.
    NewFiles,
    /// Nothing, nothing new, or removed in the meantime; described in words.
    Nothing(String),
    /// The directory can't be seen from here.
    Unseen,
}

pub(super) fn evidence(
    before: &Snapshot,
    now: &Snapshot,
    doomed: Option<&str>,
    server: &str,
    backup_id: &str,
) -> Evidence {
    let (before, stamps) = (&before.stamps, &now.stamps);
    let new = |pick: fn(&Stamps) -> Option<Stamp>| pick(stamps).is_some() && pick(stamps) != pick(before);
    if let Some(why) = doomed {
        return Evidence::Nothing(why.into());
    }
    match (now.content, &now.mark) {
        (Content::Unseen, _) => Evidence::Unseen,
        (Content::Missing, _) => Evidence::Nothing("it does not exist".into()),
        (Content::NotADirectory, _) => Evidence::Nothing("it is not a directory".into()),
        (Content::Empty, _) => Evidence::Nothing("it is empty".into()),
        (Content::Something, _) if stamps.pg_version.is_none() || stamps.pg_control.is_none() => {
            Evidence::Nothing("it has no PG_VERSION or no global/pg_control".into())
        }
        (Content::Something, Some(mark)) if new(|s| s.info) || new(|s| s.auto_conf) => {
            match other(mark, server, backup_id) {
                Some(other) => Evidence::Other(other),
                None if new(|s| s.info) => Evidence::Complete(mark.clone()),
                None => Evidence::OldMark(mark.clone()),
            }
        }
        (Content::Something, Some(_)) => {
            Evidence::Nothing("it holds an earlier restore, which this operation has not changed".into())
        }
        (Content::Something, None) if new(|s| s.pg_version) && new(|s| s.pg_control) => Evidence::NewFiles,
        (Content::Something, None) => Evidence::Nothing("nothing in it is new".into()),
    }
}

/// Describes the backup that was restored, if it is not the one asked for.
fn other(mark: &Mark, server: &str, backup_id: &str) -> Option<String> {
    if mark.server != server {
        return Some(format!("a backup of the Barman server {}", mark.server));
    }
    let id = mark.backup_id.as_deref()?;
    // An alias or a name may stand for any ID.
    (is_backup_id(backup_id) && id != backup_id).then(|| format!("backup {id}"))
}

/// Whether it is an ID, `20261122T102257`, and neither an alias nor a name.
fn is_backup_id(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('T')
        .is_some_and(|(date, time)| date.len() == 8 && time.len() == 6 && digits(date) && digits(time))
}
