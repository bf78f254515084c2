//! Watches the data directory while an operation runs: what arrives, whether it is still the same directory, when
//! Barman's last mark appears, and how long nothing has changed.

use std::time::Duration;

use crate::config::Restore;
use crate::event::Event;
use crate::outcome::Code;
use crate::text::{self, seconds};
use crate::world::journal::Line;
use crate::world::snapshot::{Content, Identity, Snapshot};

use super::evidence::{Evidence, evidence};
use super::fitness::warn_of_size;
use super::run::{End, Run};
use super::throughput::Throughput;
use super::waits::Every;

/// How often the data directory is looked at while an operation runs.
const LOOKS: Duration = Duration::from_millis(250);
/// Warn when nothing new has arrived for this long.
const STALL: Duration = Duration::from_secs(300);
/// When nothing new has arrived for this long after the mark, the restore is complete, whatever the API says.
const COMPLETE_AFTER: Duration = Duration::from_secs(60);

/// What is known about the directory since an operation began.
pub(crate) struct Watch<'a> {
    /// `None` for a command without a data directory.
    restore: Option<&'a Restore>,
    pub(super) began: Duration,
    /// The directory before the create.
    pub(super) before: Snapshot,
    pub(super) last: Snapshot,
    /// When a look last found a difference.
    pub(super) changed: Duration,
    /// The directory that the operation writes into, recorded once there was something in it.
    identity: Option<Identity>,
    /// Why the data being restored can't be used any more.
    doomed: Option<String>,
    /// When it was last logged that its receivers were ended.
    ending: Every,
    stall_warned: bool,
    throughput: Throughput,
    reported: Duration,
}

impl<'a> Watch<'a> {
    /// For a command without a data directory.
    pub(crate) fn blind(now: Duration) -> Watch<'static> {
        Watch::new(None, now, Snapshot::default())
    }

    /// For an operation that is about to be created, or that began when the directory looked like `before`.
    pub(crate) fn of(restore: &'a Restore, now: Duration, before: Snapshot) -> Watch<'a> {
        Watch::new(Some(restore), now, before)
    }

    fn new(restore: Option<&'a Restore>, now: Duration, before: Snapshot) -> Watch<'a> {
        let bytes = before.usage.map_or(0, |usage| usage.bytes);
        Watch {
            restore,
            began: now,
            last: before.clone(),
            before,
            changed: now,
            identity: None,
            doomed: None,
            ending: Every::default(),
            stall_warned: false,
            throughput: Throughput::new(now, bytes),
            reported: now,
        }
    }

    /// Continues with an earlier run's operation, which wrote into this directory.
    pub(crate) fn resume(&mut self, now: Snapshot, identity: Option<Identity>, doomed: Option<String>) {
        (self.last, self.identity, self.doomed) = (now, identity, doomed);
    }

    /// Why the data being restored can't be used any more; `None` while it can.
    pub(super) fn doomed(&self) -> Option<&str> {
        self.doomed.as_deref()
    }

    pub(super) fn is_blind(&self) -> bool {
        self.last.content == Content::Unseen
    }

    /// Looks, records what changed, and reports what has arrived. Ends a restore whose data can't be used any more.
    pub(super) fn look(&mut self, run: &mut Run) -> Result<(), End> {
        let Some(restore) = self.restore else { return Ok(()) };
        let snapshot = run.world.look();
        let now = run.now();
        if differs(&self.last, &snapshot) {
            (self.changed, self.stall_warned) = (now, false);
            run.arrived = true;
        }
        run.receivers_seen |= snapshot.receivers > 0;
        self.keep_identity(run, restore, &snapshot);
        self.last = snapshot;
        self.end_doomed(run);
        if let Some(usage) = &self.last.usage {
            let base_is_complete =
                self.last.stamps.info.is_some() && self.last.stamps.info != self.before.stamps.info;
            self.throughput.add(now, usage, base_is_complete);
            (run.bytes, run.total_bytes) = (self.throughput.bytes(), self.throughput.total());
            warn_of_size(run, restore);
            // More often at first.
            let every = if now < self.began + LOOKS * 8 { LOOKS } else { Duration::from_secs(1) };
            if now.saturating_sub(self.reported) >= every {
                self.reported = now;
                self.report(run, false);
            }
        }
        self.stall(run, restore)
    }

    /// Reports the figures.
    pub(super) fn report(&self, run: &mut Run, is_done: bool) {
        if let Some(progress) = self.throughput.progress(run.now(), is_done) {
            run.world.report(Event::Progress(progress));
        }
    }

    pub(super) fn throughput(&self) -> &Throughput {
        &self.throughput
    }

    /// Waits, looking meanwhile; returns early when the mark appears.
    pub(super) fn wait(&mut self, run: &mut Run, time: Duration) -> Result<(), End> {
        if self.restore.is_none() {
            return run.pause(time);
        }
        let until = run.now() + time;
        let was_complete = self.is_complete(run);
        loop {
            self.look(run)?;
            let left = until.saturating_sub(run.now());
            if left.is_zero() || (self.is_complete(run) && !was_complete) {
                return run.pause(Duration::ZERO);
            }
            run.pause(left.min(LOOKS))?;
        }
    }

    /// Whether the mark of a restore that began after the create is here.
    pub(super) fn is_complete(&self, run: &Run) -> bool {
        let Some(restore) = self.restore else { return false };
        matches!(self.evidence(run, restore), Evidence::Complete(_))
    }

    pub(super) fn evidence(&self, run: &Run, restore: &Restore) -> Evidence {
        evidence(&self.before, &self.last, self.doomed(), &run.connection.barman_server, &restore.backup_id)
    }

    /// Whether the mark has been here, and nothing has changed, for so long that no answer from the API is needed.
    pub(super) fn is_long_complete(&self, run: &Run) -> bool {
        self.last.receivers == 0
            && run.now().saturating_sub(self.changed) >= COMPLETE_AFTER
            && self.is_complete(run)
    }

    /// Whether something has arrived recently or a receiver is still running; or everything is here, so that no
    /// answer from the API will be needed soon.
    pub(super) fn arrives(&self, run: &Run) -> bool {
        let since = run.now().saturating_sub(self.changed);
        let fresh = self.changed > self.began && since < Duration::from_secs(30);
        self.last.receivers > 0 || fresh || self.is_complete(run)
    }

    /// Records which directory the operation writes into, and whether it was removed in the meantime.
    fn keep_identity(&mut self, run: &mut Run, restore: &Restore, now: &Snapshot) {
        let gone = match (&self.identity, &now.identity) {
            (Some(then), Some(now)) => !then.became(now),
            (Some(_), None) => now.content != Content::Unseen,
            // Removed before a look saw anything in it.
            (None, _) => now.content == Content::Missing && now.receivers > 0,
        };
        if gone {
            if self.doomed.is_none() {
                let directory = &restore.data_directory;
                let why = format!(
                    "the data directory {directory} was removed or emptied while the operation was running"
                );
                run.warn(format!("{why}: what it restores will be incomplete"));
                run.note(&[Line::Removed(true)]);
                self.doomed = Some(why);
            }
        } else if now.content == Content::Something
            && self.doomed.is_none()
            && self.identity != now.identity
            && let Some(found) = now.identity
        {
            self.identity = Some(found);
            run.note(&[Line::Identity(found)]);
        }
    }

    /// Ends the receivers of a restore whose data can't be used any more; Barman then calls it failed.
    fn end_doomed(&mut self, run: &mut Run) {
        let Some(why) = &self.doomed else { return };
        let receivers = run.world.end_receivers();
        if receivers > 0 && self.ending.is_due(run.now(), run.loop_wait) {
            run.info(format!("ending the restore ({why}): sent SIGTERM to {}", text::receivers(receivers)));
        }
    }

    /// Warns, or gives up, when nothing has arrived for too long.
    fn stall(&mut self, run: &mut Run, restore: &Restore) -> Result<(), End> {
        let still = run.now().saturating_sub(self.changed);
        let gives_up = restore.stall_timeout.is_some_and(|limit| still >= limit);
        let running = run.state.may_be_running() && self.last.usage.is_some();
        if !running || !(gives_up || (still >= STALL && !self.stall_warned)) {
            return Ok(());
        }
        self.stall_warned = true;
        let operation =
            run.operation_id.as_ref().map_or("an operation".into(), |id| format!("operation {id}"));
        let directory = &restore.data_directory;
        let what = format!("nothing new has arrived in {directory} for {}", seconds(still));
        let server = &run.connection.barman_server;
        let hint = format!(
            "check on the Barman host whether 'barman recover' of server {server} is still running: an operation whose process died stays IN_PROGRESS; {}",
            run.still_running_hint()
        );
        if gives_up {
            let message = format!(
                "Recovery operation failed. {what}, and {operation} is still IN_PROGRESS (--stall-timeout)"
            );
            return Err(End::with(Code::RecoveryFailed, message, hint));
        }
        run.warn(format!("{what}, while {operation} is in progress"));
        run.warn(format!("HINT: {hint}"));
        Ok(())
    }
}

/// Whether anything visible to a look has changed.
fn differs(then: &Snapshot, now: &Snapshot) -> bool {
    let seen =
        |look: &Snapshot| (look.content, look.identity, look.stamps, look.usage.map(|usage| usage.changes));
    seen(then) != seen(now)
}
