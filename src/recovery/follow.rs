//! Follows operations to their end: one that a reply named, candidates after a lost reply, an earlier run's
//! operation, a config switch, or one that the user waits for.

use std::collections::HashMap;
use std::time::Duration;

use crate::api::{Request, Status};
use crate::outcome::OperationState;
use crate::text::printable;

use super::run::{End, Run};
use super::waits::{ID_RESOLUTION, Missed, SHORTEST, poll_wait};
use super::watch::Watch;

/// How often Barman is asked while a restore whose data can't be used is being ended.
const ENDING: Duration = Duration::from_millis(500);

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Failed,
    /// The API does not know it.
    Unknown,
    /// Barman's last mark is here and nothing has changed since, but the API does not say that it has ended.
    Silent,
}

impl Fate {
    pub(crate) fn state(self) -> OperationState {
        match self {
            Fate::Done | Fate::Silent => OperationState::Done,
            Fate::Failed => OperationState::Failed,
            Fate::Unknown => OperationState::NotCreated,
        }
    }

    /// As written in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fate::Done | Fate::Failed => self.state().name(),
            Fate::Unknown => "unknown to the API",
            Fate::Silent => "complete in the data directory",
        }
    }
}

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) fate: Fate,
}

/// Follows all of these to their end.
pub(crate) fn follow(run: &mut Run, watch: &mut Watch, ids: &[String]) -> Result<Vec<Ended>, End> {
    let began = run.now();
    let (mut open, mut ended) = (ids.to_vec(), Vec::new());
    let mut unknown = Unknown::default();
    watch.look(run)?; // each wait ends with another look
    loop {
        let mut wait = poll_wait(run.now().saturating_sub(began), run.loop_wait, !watch.is_blind());
        let mut answered = true;
        for id in open.clone() {
            let fate = match poll(run, &id, &mut unknown)? {
                Polled::Running => {
                    log_progress(run, watch, &id);
                    continue;
                }
                Polled::Unknown => {
                    wait = wait.max(ID_RESOLUTION);
                    continue;
                }
                Polled::Ended(fate) => fate,
                Polled::Missed(missed) => {
                    wait = miss(run, watch, &missed, &open)?.unwrap_or(wait);
                    answered = false;
                    break;
                }
            };
            open.retain(|other| *other != id);
            ended.push(Ended { id, fate });
        }
        if open.is_empty() {
            return Ok(ended);
        }
        if watch.is_long_complete(run) {
            ended.extend(give_up_on(run, &open));
            return Ok(ended);
        }
        if answered && watch.doomed().is_some() {
            wait = wait.min(ENDING);
        } else if answered && watch.is_complete(run) {
            // Barman is about to finish. The run can't end before the directory is quiet, which takes a tenth of the
            // time.
            let age = run.now().saturating_sub(began);
            wait = wait.min((age / 30).clamp(SHORTEST * 2, ID_RESOLUTION));
        }
        watch.wait(run, wait.max(SHORTEST))?;
    }
}

/// Counts a bad answer about these operations; returns how long to wait before asking again, or `None` if the data
/// directory shows that no answer is needed any more.
pub(crate) fn miss(
    run: &mut Run,
    watch: &mut Watch,
    missed: &Missed,
    open: &[String],
) -> Result<Option<Duration>, End> {
    watch.look(run)?;
    if watch.is_long_complete(run) {
        return Ok(None);
    }
    let arrives = watch.arrives(run);
    run.miss(missed, &about(run, open), arrives).map(Some)
}

/// The result of a poll.
enum Polled {
    Running,
    Ended(Fate),
    /// Neither the API nor its list knows the operation; to be confirmed.
    Unknown,
    Missed(Missed),
}

/// When an operation was first unknown both to a poll and to the list.
type Unknown = HashMap<String, Duration>;

fn poll(run: &mut Run, id: &str, unknown: &mut Unknown) -> Result<Polled, End> {
    let reply = match run.ask(&Request::Poll(id.into()))? {
        Ok(reply) => reply,
        Err(error) => return Ok(Polled::Missed(error.into())),
    };
    let missed = |why| Ok(Polled::Missed(Missed::by(&reply, why)));
    let status = match reply.operation() {
        Ok(status) => status,
        Err(why) if reply.status == 404 => return not_found(run, id, unknown, &why),
        Err(why) => return missed(why),
    };
    unknown.remove(id);
    run.good_answer();
    Ok(match status {
        Status::InProgress => Polled::Running,
        Status::Done => Polled::Ended(Fate::Done),
        Status::Failed => Polled::Ended(Fate::Failed),
    })
}

/// The API also answers 404 when it has trouble with an existing operation. The operation is unknown only if the list
/// lacks it too, and both still say so a second later.
fn not_found(run: &mut Run, id: &str, unknown: &mut Unknown, why: &str) -> Result<Polled, End> {
    match run.list()? {
        Ok((list, _)) if !list.iter().any(|known| known == id) => {}
        Ok(_) => {
            unknown.remove(id);
            let (why, hint) = (why.into(), String::new());
            return Ok(Polled::Missed(Missed { why, hint, permanent: false, retry_after: None }));
        }
        Err(missed) => return Ok(Polled::Missed(missed)),
    }
    run.good_answer();
    let now = run.now();
    let first = *unknown.entry(id.into()).or_insert(now);
    if now.saturating_sub(first) < ID_RESOLUTION {
        return Ok(Polled::Unknown);
    }
    run.warn(format!("operation {id} is unknown to the API ({why})"));
    Ok(Polled::Ended(Fate::Unknown))
}

/// The operations that Barman has finished according to the data directory, but not according to the API.
fn give_up_on(run: &mut Run, open: &[String]) -> Vec<Ended> {
    let about = about(run, open);
    run.warn(format!(
        "the data directory holds a complete restore, nothing has changed in it for a minute, and the API does not say that {about} has ended: treating it as done"
    ));
    open.iter().map(|id| Ended { id: id.clone(), fate: Fate::Silent }).collect()
}

/// The progress line that the Python program logs too, once per loop wait.
fn log_progress(run: &mut Run, watch: &Watch, id: &str) {
    let now = run.now();
    if run.progress_logged.is_due(now, run.loop_wait) {
        watch.report(run, false); // the same figures
        let figures = watch.throughput().progress(now, false).map(|progress| format!(": {progress}"));
        let kind = run.kind.capitalized();
        run.info(format!("{kind} operation {id} is still in progress{}", figures.unwrap_or_default()));
    }
}

/// How messages refer to these operations.
fn about(run: &Run, open: &[String]) -> String {
    match open {
        [] => format!("a {} operation", run.kind.name()),
        [id] => format!("operation {}", printable(id)),
        several => {
            format!("one of the operations {}", crate::text::first_few(several.iter().map(String::as_str)))
        }
    }
}
