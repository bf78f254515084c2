//! Watches a restore from this node while its operation is followed: looks at the data directory, reads the log of the
//! lease, reports what has arrived, and ends a restore that has become useless.

use std::time::Duration;

use crate::config::Restore;
use crate::error::Error;
use crate::event::{Event, Progress};
use crate::outcome::{Code, Problem};
use crate::text::seconds;
use crate::world::{Completeness, Look};

use super::claim::Lease;
use super::explain;
use super::history::{History, Use};
use super::preflight::refuse_postgres;
use super::session::Session;
use super::throughput::Throughput;
use super::verdict::Ended;
use crate::timing::{
    Every, LONG_IDLE, LOOK, MOVED_AGAIN, NEAR_THE_END, PROGRESS, SHORTEST, STALL, idle_wait,
};

/// What is watched while an operation is followed.
pub(crate) struct Monitor<'w, 'c> {
    /// None for an operation that does not write on this node.
    restore: Option<&'w Restore>,
    /// None for a restore without a lease.
    lease: Option<&'w mut Lease<'c>>,
    pub(crate) history: &'w mut History,
    throughput: Throughput,
    began: Duration,
    reported: Every,
    moved_asked: Every,
    examined: Every,
    stall_warned: bool,
    progress_logged: Every,
    /// The API has said that it is done, which this node contradicts.
    done_contradicted: bool,
}

impl<'w, 'c> Monitor<'w, 'c> {
    pub(crate) fn new(
        began: Duration,
        restore: Option<&'w Restore>,
        lease: Option<&'w mut Lease<'c>>,
        history: &'w mut History,
    ) -> Monitor<'w, 'c> {
        let before = history.usage().map_or(0, |usage| usage.bytes);
        Monitor {
            restore,
            lease,
            history,
            throughput: Throughput::new(began, before),
            began,
            reported: Every::default(),
            moved_asked: Every::default(),
            examined: Every::default(),
            stall_warned: false,
            progress_logged: Every::default(),
            done_contradicted: false,
        }
    }

    /// Whether the lease shows what Barman does.
    pub(crate) fn has_lease(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether Barman has run a command through the lease.
    pub(crate) fn lease_is_used(&self) -> bool {
        self.has_lease() && self.history.lease_use() != Use::Nothing
    }

    /// Notes the operation for whoever comes after this run.
    pub(crate) fn note_operation(&mut self, run: &mut Session, id: &str) {
        if let Some(lease) = &mut self.lease {
            lease.note_operation(run, id);
        }
    }

    /// Looks once. Returns how the restore has ended, if what this node shows decides that.
    pub(crate) fn look(&mut self, run: &mut Session) -> Result<Option<Ended>, Error> {
        let Some(restore) = self.restore else { return Ok(None) };
        let look = run.world.look();
        let now = run.now();
        self.history.look(now, &look);
        if let Some(lease) = &mut self.lease {
            self.history.log(now, lease.log());
            // Looking through all processes is not cheap, so only once nothing else shows that data moves.
            let is_quiet = self.history.runs_a_command() && self.history.still(now) >= MOVED_AGAIN;
            if is_quiet && self.moved_asked.is_due(now, MOVED_AGAIN) {
                self.history.moved(now, lease.moved());
            }
            if let Some(file) = self.history.first_file() {
                lease.note_first_file(run, file);
            }
            refuse_useless(&look, self.history, restore)?;
            if self.history.began_twice(&restore.data_directory) {
                return Ok(Some(Ended::SecondBarman));
            }
        }
        self.report(run);
        Ok(self.stalled(run, restore))
    }

    /// Reports what has arrived, if it is time.
    fn report(&mut self, run: &mut Session) {
        let now = run.now();
        let Some(usage) = self.history.usage() else { return };
        self.throughput.add(now, &usage);
        (run.bytes, run.total_bytes) = (self.throughput.bytes(), self.throughput.total());
        let every = if now < self.began + LOOK * 8 { LOOK } else { PROGRESS };
        if self.reported.is_due(now, every) {
            report_figures(run, self.throughput.progress(now));
        }
    }

    /// The last figures of a restore that is done.
    pub(crate) fn report_done(&mut self, run: &mut Session) {
        self.report(run);
        report_figures(run, self.throughput.result(run.now()));
    }

    /// The progress line that the Python program logs too, once per loop wait.
    pub(crate) fn log_progress(&mut self, run: &mut Session, id: &str) {
        let now = run.now();
        // A poll may come a moment earlier than the last one did.
        if self.progress_logged.is_due(now, run.loop_wait.saturating_sub(LOOK)) {
            let figures = self.throughput.progress(now).map(|progress| format!(": {progress}"));
            let kind = run.kind.capitalized();
            run.info(format!("{kind} operation {id} is still in progress{}", figures.unwrap_or_default()));
        }
    }

    /// Warns, or gives up, when nothing has happened for too long.
    fn stalled(&mut self, run: &mut Session, restore: &Restore) -> Option<Ended> {
        let still = self.history.still(run.now());
        if still < STALL {
            self.stall_warned = false;
        }
        let gives_up = restore.stall_timeout.is_some_and(|limit| still >= limit);
        if !gives_up && (still < STALL || self.stall_warned || !run.state.may_be_running()) {
            return None;
        }
        let operation =
            run.operation_id.as_ref().map_or("the operation".into(), |id| format!("operation {id}"));
        let directory = &restore.data_directory;
        let what = format!("nothing new has arrived in {directory} for {}", seconds(still));
        if gives_up {
            return Some(Ended::Stalled(format!(
                "{what}, and {operation} is still in progress (--stall-timeout)"
            )));
        }
        self.stall_warned = true;
        let hint = explain::stall(self.history, &run.connection.barman_server);
        run.warn_of(&Problem::new(format!("{what}, while {operation} is in progress"), hint));
        None
    }

    /// How long to wait between two questions about the operation. While a command runs here, the operation
    /// has not ended. When none runs, it may end, and it ends soon once one has failed or everything is here.
    pub(crate) fn ask_wait(&mut self, run: &mut Session) -> Duration {
        let (now, loop_wait) = (run.now(), run.loop_wait);
        if !self.has_lease() {
            let age = now.saturating_sub(self.began);
            return (age / 11).min(loop_wait).max(SHORTEST);
        }
        let Some(idle) = self.history.idle(now) else { return loop_wait };
        // Barman ends some seconds after its last command at most. After a longer time it is at work on its own host.
        let is_near = idle < LONG_IDLE && (self.history.may_have_failed() || self.has_everything(run));
        if is_near { NEAR_THE_END } else { idle_wait(idle, loop_wait) }
    }

    /// Whether Barman has nothing more to bring, with or without proof.
    fn has_everything(&self, run: &mut Session) -> bool {
        use Completeness::{Complete, NoProof, WalMissing};
        self.history.lease_use() == Use::Wrote
            && matches!(run.world.examine(), Complete(_) | NoProof(..) | WalMissing(..))
    }

    /// Whether the API's `DONE` can mean this restore. While a command is at work here it can't: another
    /// node's operation has the same ID, or the end of that command could not be read yet. After that, `DONE`
    /// counts once everything is here, or no command has run for a while.
    pub(crate) fn believes_done(&mut self, run: &mut Session) -> bool {
        let now = run.now();
        if self.history.is_at_work(now) {
            if !std::mem::replace(&mut self.done_contradicted, true) {
                run.warn("the API says that the operation is done, but a command of Barman is still running on this node: waiting for it to end");
            }
            return false;
        }
        let is_idle = self.history.idle(now).is_none_or(|idle| idle >= LONG_IDLE);
        !self.done_contradicted || is_idle || self.has_everything(run)
    }

    /// When something last happened, for the budget of an outage; None if this node does not show it.
    pub(crate) fn news(&self, now: Duration) -> Option<Duration> {
        (self.restore.is_some() && self.history.has_news).then(|| self.history.news(now))
    }

    /// Whether the data is complete now.
    pub(crate) fn is_complete(&mut self, run: &mut Session) -> bool {
        self.restore.is_some()
            && !self.history.is_at_work(run.now())
            && !matches!(self.history.lease_use(), Use::Nothing if self.has_lease())
            && matches!(run.world.examine(), Completeness::Complete(_))
    }

    /// Whether the data is complete and nothing has happened for this long: no answer is needed any more.
    pub(crate) fn is_complete_for(&mut self, run: &mut Session, enough: Duration) -> bool {
        let now = run.now();
        self.history.still(now) >= enough && self.examined.is_due(now, LOOK * 4) && self.is_complete(run)
    }
}

fn report_figures(run: &mut Session, figures: Option<Progress>) {
    if let Some(progress) = figures {
        run.world.report(Event::Progress(progress));
    }
}

/// Ends a restore that can't become a node any more, or would destroy one: PostgreSQL runs in its directory, somebody has
/// emptied it, or something else has filled it.
fn refuse_useless(look: &Look, history: &History, restore: &Restore) -> Result<(), Error> {
    refuse_postgres(look, restore)?;
    let (what, hint) = if history.was_emptied() {
        (
            "was removed or emptied while it was being restored",
            "Patroni removes the data directory when it gives up on this node",
        )
    } else if history.was_filled_by_another() {
        (
            "was filled by something else, before Barman had written anything",
            "Patroni may run two replica methods at once, for example after 'patronictl reinit --force'",
        )
    } else {
        return Ok(());
    };
    let message = format!("Recovery operation failed. {} {what}", restore.data_directory);
    Err(Error::with(Code::RecoveryFailed, message, format!("{hint}; the restore has been ended")))
}
