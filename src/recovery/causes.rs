//! What this node shows after a FAILED, for which the API gives no reason. Pure.

use std::path::Path;

use crate::config::Restore;
use crate::recovery::problems::own_output;
use crate::text::{first_few, size};
use crate::world::inspection::{Asked, Inspection};
use crate::world::snapshot::{Content, Snapshot};

/// With less than this, the next file does not fit.
const FULL: u64 = 64 << 20;

/// The data directory before the create and after the operation ended.
pub(super) struct Seen<'a> {
    pub(super) before: &'a Snapshot,
    pub(super) now: &'a Snapshot,
    /// Whether rsync receivers of this restore were seen.
    pub(super) receivers: bool,
    /// Bytes that have arrived in it.
    pub(super) bytes: u64,
    pub(super) found: &'a Inspection,
}

/// The causes that this node shows, likeliest first, and where Barman says more.
pub(super) fn hint(seen: &Seen, restore: &Restore, server: &str, operations: &str) -> String {
    let causes = causes(seen, restore);
    let home = match &seen.found.backup {
        Asked::Answered(backup) => backup.barman_home.as_deref(),
        _ => None,
    };
    let output = own_output(home, server, operations);
    if causes.is_empty() {
        format!("the API gives no reason; {output}")
    } else {
        format!("seen from this node: {}. The API gives no reason; {output}", causes.join("; "))
    }
}

fn causes(seen: &Seen, restore: &Restore) -> Vec<String> {
    let Seen { before, now, found, .. } = seen;
    let directory = &restore.data_directory;
    let came = seen.receivers || seen.bytes > 0 || came_something(before, now);
    let mut causes = Vec::new();
    if came && is_full(seen) {
        let free = size(found.free.unwrap_or_default());
        causes.push(format!("the disk is full: {free} are free at {directory}"));
    }
    match (before.content, now.content) {
        (Content::Something, _) if !came => {
            let names = first_few(found.names.iter().map(String::as_str));
            causes.push(format!("{directory} was not empty ({names}), which Barman 3.15 and later refuse"));
        }
        (_, Content::NotADirectory) => causes.push(format!("{directory} is not a directory")),
        (_, Content::Missing) if !found.is_writable => {
            let parent = Path::new(directory).parent().unwrap_or(Path::new("/")).display();
            causes.push(format!("{directory} does not exist, and this user may not write into {parent}"));
        }
        (_, Content::Missing) if came || before.content != Content::Missing => {
            causes.push(format!("{directory} has been removed"));
        }
        (_, Content::Empty | Content::Something) if !found.is_writable => {
            causes.push(format!("this user may not write into {directory}"));
        }
        _ => {}
    }
    if !found.has_rsync {
        causes.push("there is no rsync in this user's PATH".into());
    }
    if causes.is_empty() && !came && now.content != Content::Unseen {
        causes.push(format!(
            "nothing has reached {directory}: could Barman log in? 'patroni_barman check --probe' tries --ssh-command"
        ));
    }
    causes
}

/// If the size of the backup is known, compare what is still missing with the free space. The free space alone says
/// less, because the file that did not fit has been removed again.
fn is_full(seen: &Seen) -> bool {
    let Some(free) = seen.found.free else { return false };
    let total = seen.now.usage.and_then(|usage| usage.total);
    free < FULL || total.is_some_and(|total| seen.bytes.saturating_add(free) < total)
}

fn came_something(before: &Snapshot, now: &Snapshot) -> bool {
    now.content == Content::Something && (before.content != Content::Something || before.stamps != now.stamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, options::Opt};
    use crate::world::inspection::Diagnosed;
    use crate::world::snapshot::Usage;

    fn restore() -> Restore {
        let mut config = Config::new();
        for (option, text) in [
            (Opt::ApiUrl, "http://h"),
            (Opt::BarmanServer, "main"),
            (Opt::SshCommand, "ssh h"),
            (Opt::DataDirectory, "/pg/data"),
        ] {
            config.set(option, text).unwrap();
        }
        config.restore().unwrap()
    }

    fn look(content: Content) -> Snapshot {
        Snapshot { content, ..Snapshot::default() }
    }

    #[test]
    fn each_cause_that_this_node_shows_is_named() {
        use Content::{Empty, Missing, NotADirectory, Something, Unseen};
        let fine = Inspection { free: Some(1 << 40), ..Inspection::NOTHING };
        let full = Inspection { free: Some(4096), ..fine.clone() };
        let closed = Inspection { is_writable: false, ..fine.clone() };
        let names = Inspection { names: vec!["base".into(), "global".into()], ..fine.clone() };
        let bare = Inspection { has_rsync: false, ..fine.clone() };
        for (before, now, bytes, found, words) in [
            (Missing, Something, 100, &full, "the disk is full: 4.0 kB are free"),
            (Missing, Missing, 0, &full, "nothing has reached /pg/data"),
            (Something, Something, 0, &names, "was not empty (base, global)"),
            (Missing, NotADirectory, 0, &fine, "is not a directory"),
            (Missing, Missing, 0, &closed, "may not write into /pg"),
            (Empty, Empty, 0, &closed, "may not write into /pg/data"),
            (Missing, Missing, 100, &fine, "has been removed"),
            (Empty, Empty, 0, &bare, "no rsync"),
            (Empty, Empty, 0, &fine, "could Barman log in?"),
            (Missing, Something, 100, &fine, ""),
            (Unseen, Unseen, 0, &fine, ""),
        ] {
            let (before, now) = (look(before), look(now));
            let seen = Seen { before: &before, now: &now, receivers: false, bytes, found };
            let said = causes(&seen, &restore()).join("; ");
            assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{words}: {said}");
        }
    }

    #[test]
    fn a_backup_that_did_not_fit_is_seen_by_its_size_and_barmans_home_is_named() {
        let backup =
            Diagnosed { bytes: Some(1 << 40), is_one_place: true, barman_home: Some("/srv/barman".into()) };
        let found =
            Inspection { free: Some(1 << 30), backup: Asked::Answered(backup), ..Inspection::NOTHING };
        let usage = Usage { total: Some(1 << 40), ..Usage::default() };
        let now = Snapshot { usage: Some(usage), ..look(Content::Something) };
        let before = look(Content::Empty);
        let seen = Seen { before: &before, now: &now, receivers: true, bytes: 1 << 20, found: &found };
        let said = hint(&seen, &restore(), "main", "20260101T000000");
        assert!(
            said.contains("the disk is full: 1.0 GB")
                && said.contains("/srv/barman/main/output/20260101T000000.json"),
            "{said}"
        );
    }
}
