//! Takes care of what an earlier run left when it was killed or gave up: waits for its operation while its data can
//! still be used, and ends it otherwise.

use crate::config::Restore;
use crate::outcome::{Code, OperationState};
use crate::world::journal::{Ended as LastLine, Line, Record};
use crate::world::snapshot::{Content, Snapshot};

use super::follow::{Ended, Fate, follow};
use super::in_doubt::follow_candidates;
use super::judge::{Operations, Origin};
use super::run::{End, Run};
use super::start::{Baseline, note_create};
use super::watch::Watch;

/// Takes over the earlier run's operation, and decides whether its data can still be used.
pub(super) fn take_over<'a>(run: &mut Run, restore: &'a Restore, record: &Record) -> Watch<'a> {
    let before = Snapshot { stamps: record.run.before, ..Snapshot::default() };
    let snapshot = run.world.look();
    let doomed = cannot_count(record, &snapshot, restore);
    adopt(run, record, doomed.as_deref());
    let mut watch = Watch::of(restore, run.now(), before);
    watch.resume(snapshot, record.identity, doomed);
    watch
}

/// Follows to its end whatever the earlier run may have started.
pub(super) fn follow_earlier(run: &mut Run, watch: &mut Watch, record: &Record) -> Result<Operations, End> {
    let ended = match (&record.operation_id, record.ended) {
        (Some(id), Some(end)) => vec![Ended { id: id.clone(), fate: fate(end) }],
        (None, Some(_)) => Vec::new(), // several candidates, whose end that run has seen
        (Some(id), None) => follow(run, watch, std::slice::from_ref(id))?,
        (None, None) => {
            let last_look = run.now() + run.connection.create_timeout;
            follow_candidates(run, watch, record.run.known.as_ref(), last_look)?
        }
    };
    Ok(Operations { origin: Origin::Earlier, ended })
}

/// An operation that someone else started, `--operation-id`.
pub(super) fn existing<'a>(
    run: &mut Run,
    restore: &'a Restore,
    id: &str,
    left_over: Option<&Record>,
) -> Watch<'a> {
    // There is no record of what was here before it, so a mark counts whatever its age.
    let mut watch = Watch::of(restore, run.now(), Snapshot::default());
    run.set_operation(Some(id), OperationState::InProgress);
    run.owns = true;
    watch.resume(run.world.look(), left_over.and_then(|record| record.identity), None);
    if left_over.is_none() {
        note_create(run, restore, &Baseline(None), &Snapshot::default());
    }
    run.note(&[Line::Operation(id.into())]);
    watch
}

/// Refuses an operation that the API does not know. What an earlier run `left` may still be running nevertheless.
pub(super) fn refuse_unknown(run: &mut Run, ended: &[Ended], left: bool) -> Result<(), End> {
    let Some(Ended { id, .. }) = ended.iter().find(|ended| ended.fate == Fate::Unknown) else {
        return Ok(());
    };
    run.set_operation(Some(id), OperationState::NotCreated);
    run.settled = !left;
    let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
    let message = format!("operation {id} is unknown to the API at {url} as a recovery of server {server}");
    Err(End::with(Code::HttpError, message, "check --operation-id and --barman-server"))
}

/// Logs what was found, and adopts its operation.
fn adopt(run: &mut Run, record: &Record, doomed: Option<&str>) {
    let pid = record.run.pid;
    run.owns = true;
    if let Some(end) = record.ended {
        run.info(format!("the other run (pid {pid}) has ended: checking what it has left"));
        return run.set_operation(record.operation_id.as_deref(), fate(end).state());
    }
    let operation = match &record.operation_id {
        Some(id) => format!("its operation {id}"),
        None => "an operation that it may have started".into(),
    };
    let plan = match doomed {
        None => format!("first waiting for {operation} to end"),
        Some(why) => format!("first ending {operation}, because its data can't be used any more ({why})"),
    };
    run.warn(format!("an earlier run (pid {pid}) for this data directory was killed or gave up: {plan}"));
    run.set_operation(record.operation_id.as_deref(), record.open_state());
}

fn fate(end: LastLine) -> Fate {
    match end {
        LastLine::Done => Fate::Done,
        LastLine::Failed => Fate::Failed,
        LastLine::NothingStarted => Fate::Unknown,
    }
}

/// Why the data of the earlier operation can't be used for this restore; `None` if it can. It can only be used in the
/// very directory that the run recorded, and only if emptying that means removing it as a whole: an emptied mount
/// point looks like the same directory.
fn cannot_count(record: &Record, now: &Snapshot, restore: &Restore) -> Option<String> {
    if record.removed {
        return Some("the data directory was removed while it was running".into());
    }
    if record.run.backup_id != restore.backup_id {
        return Some(format!("it restores backup {}, not {}", record.run.backup_id, restore.backup_id));
    }
    match (now.content, record.identity, now.identity) {
        (Content::Unseen, ..) => None,
        (_, Some(then), Some(here)) if !then.became(&here) => {
            Some("the data directory has been removed or emptied since then".into())
        }
        (_, Some(_), Some(_)) if !now.removable => {
            Some("the data directory is a mount point, or its parent is not writable: it may have been emptied since then".into())
        }
        (_, Some(_), Some(_)) => None,
        (_, None, _) => Some("nothing of it had arrived here when that run ended, and the data directory may have been emptied since then".into()),
        (_, Some(_), None) => Some("the data directory has been removed since then".into()),
    }
}
