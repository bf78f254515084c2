//! The data directory and its state directory, as they are on this node.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::finding::{Finding, Recorder};
use crate::config::Restore;
use crate::sys;
use crate::text;
use crate::timing::{CHECK_COUNT, SHORTEST};
use crate::world::data::may_write;
use crate::world::{ClaimHandle, Claiming, Content, Drain, Inspection, World};

const DIRECTORY: &str = "data directory";
const WAL: &str = "WAL directory";
const STATE: &str = "state directory";

/// The data directory as it is.
pub(super) struct DirectoryFacts {
    /// None if it can't be seen.
    pub(super) content: Option<Content>,
    /// What keeps it from being removed and made again, if something does.
    pub(super) not_removable: Option<&'static str>,
    /// Bytes in it, which emptying it would free.
    pub(super) used: u64,
    /// The system identifier in its `pg_control`.
    pub(super) system_id: Option<u64>,
}

pub(super) fn look(world: &mut dyn World, restore: &Restore, record: &mut Recorder) -> DirectoryFacts {
    let directory = &restore.data_directory;
    let path = Path::new(directory);
    record.add(directory_finding(world, directory));
    if let Some(finding) = wal_directory_finding(path) {
        record.add(finding);
    }
    let content = world.look().content.ok();
    DirectoryFacts {
        content,
        not_removable: not_removable(path),
        used: if content == Some(Content::Something) { used(world) } else { 0 },
        system_id: system_id(&path.join("global/pg_control")),
    }
}

fn not_removable(path: &Path) -> Option<&'static str> {
    if path.is_symlink() {
        Some("is a symbolic link")
    } else if sys::is_mount_point(path) == Some(true) {
        Some("is a mount point")
    } else if path.exists() && path.parent().is_some_and(|parent| may_write(parent) != Ok(true)) {
        Some("is in a directory that this user may not write into")
    } else {
        None
    }
}

fn directory_finding(world: &mut dyn World, directory: &str) -> Finding {
    let path = Path::new(directory);
    let failed = |what: &str, hint: &str| Finding::failed(DIRECTORY, format!("{directory} {what}"), hint);
    if path.parent().is_none() {
        return failed(
            "is the root directory",
            "check --data-directory: it must name PostgreSQL's data directory",
        );
    }
    let look = world.look();
    if let Ok(Some(pid)) = look.postmaster {
        let detail = format!("PostgreSQL is running in {directory} (process {pid})");
        return Finding::failed(DIRECTORY, detail, "stop it before a restore; Patroni does so by itself");
    }
    if let Ok(receivers @ 1..) = world.strangers() {
        let detail = format!("something is writing into {directory} ({})", text::receivers(receivers));
        return Finding::warning(DIRECTORY, detail, "the next run waits for it to end");
    }
    let (content, found) = match (look.content, world.inspect()) {
        (Ok(content), Ok(found)) => (content, found),
        (Err(why), _) | (_, Err(why)) => {
            let hint = "check that the directory is mounted, and run this as the user that Patroni runs as";
            return Finding::failed(DIRECTORY, format!("{directory} can't be seen: {why}"), hint);
        }
    };
    if let Some(owner) = found.foreign_owner {
        let what = format!("belongs to a different user ({owner}), and this user may not write into it");
        return failed(&what, "run this as the user that Patroni runs as, or name another directory");
    }
    content_finding(directory, content, &found)
}

fn content_finding(directory: &str, content: Content, found: &Inspection) -> Finding {
    let path = Path::new(directory);
    let failed = |what: &str, hint: &str| Finding::failed(DIRECTORY, format!("{directory} {what}"), hint);
    let warning = |what: &str, hint: &str| Finding::warning(DIRECTORY, format!("{directory} {what}"), hint);
    match content {
        Content::NotADirectory if path.is_symlink() => failed(
            "is a symbolic link to a directory that does not exist",
            "create the directory that it points to, or remove the link",
        ),
        Content::NotADirectory => failed(
            "is not a directory",
            "check --data-directory: Barman restores only into a directory, so remove the file or name another path",
        ),
        _ if path.is_symlink() && found.is_writable => {
            let is_empty = matches!(content, Content::Missing | Content::Empty);
            let not_empty = if is_empty { "" } else { ", and it is not empty" };
            warning(
                &format!("is a symbolic link{not_empty}"),
                "when Patroni empties the data directory, it removes only the link and leaves the files where they are: name the directory itself",
            )
        }
        Content::Something => warning(
            "is not empty",
            "Barman 3.15 and later refuse it; Patroni empties it before it calls the hook, otherwise empty it by hand",
        ),
        Content::Missing if !found.is_writable => failed(
            "does not exist, and this user may not make it",
            "run this as the user that Patroni runs as; create the directory, owned by the user that ssh logs in as",
        ),
        Content::Empty | Content::LostAndFound if !found.is_writable => failed(
            "can't be written by this user",
            "run this as the user that Patroni runs as, which has to own the directory",
        ),
        Content::Missing => Finding::ok(DIRECTORY, format!("{directory} does not exist yet")),
        Content::LostAndFound => warning(
            "is empty except for lost+found, as it is a mount point",
            "Barman 3.15 and later take that for content and refuse it: name a directory below the mount point",
        ),
        Content::Empty => Finding::ok(DIRECTORY, format!("{directory} is empty")),
    }
}

/// Barman makes `pg_wal` a plain directory, whatever it was.
fn wal_directory_finding(directory: &Path) -> Option<Finding> {
    let wal = directory.join("pg_wal");
    let target = fs::read_link(&wal).ok()?;
    Some(Finding::warning(
        WAL,
        format!("{} is a link to {}: a restore makes it a plain directory", wal.display(), target.display()),
        "the recipe 'A disk for the WAL' in docs/patroni.md moves it there after the restore",
    ))
}

/// Locks the state directory as a recovery does, for the probe. An error says why there is no claim.
pub(super) fn claim(
    world: &mut dyn World,
    restore: &Restore,
    record: &mut Recorder,
) -> Result<Box<dyn ClaimHandle>, &'static str> {
    if !restore.lease {
        record.skip(&[STATE], "--no-lease needs none");
        return Err("--no-lease");
    }
    let mut claim = match world.claim() {
        Claiming::Ours(claim) => claim,
        Claiming::Held(note) => {
            let who = note.map_or(String::new(), |note| note.who());
            let detail = format!("another run is restoring into {}{who}", restore.data_directory);
            record.add(Finding::warning(STATE, detail, "the next run waits for it to end"));
            return Err("another run is restoring");
        }
        Claiming::Impossible(problem) => {
            record.add(Finding::problem(STATE, problem));
            return Err("there is no state directory");
        }
    };
    let path = claim.path();
    match claim.drain() {
        Drain::Drained => record.add(Finding::ok(STATE, format!("{path} can be locked"))),
        Drain::Held(holders) => {
            let detail = format!("an earlier run's restore is still writing ({})", holders.join(", "));
            record.add(Finding::warning(STATE, detail, "the next run waits for it to end"));
            return Err("an earlier restore is still writing");
        }
        Drain::Unknown(why) => {
            record.add(Finding::warning(
                STATE,
                format!("{path}: {why}"),
                "a restore waits for this for up to a minute, and then fails",
            ));
            return Err("the state directory can't be seen");
        }
    }
    Ok(claim)
}

/// Bytes in a directory; 0 if there are too many files to count.
fn used(world: &mut dyn World) -> u64 {
    let begun = world.now();
    loop {
        let usage = world.look().usage;
        if usage.is_some()
            || world.now().saturating_sub(begun) >= CHECK_COUNT
            || world.pause(SHORTEST).is_err()
        {
            return usage.map_or(0, |usage| usage.bytes);
        }
    }
}

/// The system identifier is the first field of `pg_control`.
fn system_id(path: &Path) -> Option<u64> {
    let mut bytes = [0; 8];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}
