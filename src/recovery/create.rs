//! The create request: what its answer means, and when it may be sent again.

use std::time::Duration;

use crate::api::{Created as Answer, Request};
use crate::outcome::{Code, OperationState};
use crate::text::seconds;
use crate::world::journal::Line;

use super::problems::refusal_hint;
use super::run::{End, Run};
use super::start::Baseline;
use super::waits::{ID_RESOLUTION, below};

/// How long a node waits its turn while the API serves other nodes.
const QUEUE: Duration = Duration::from_secs(600);
/// Nodes spread their retries over a window that grows with every failure, up to this.
const WIDEST_SPREAD: Duration = Duration::from_secs(32);

/// The result of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    Started(Started),
    NotStarted(Failure),
}

/// A create that started something, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Started {
    /// The API named the operation.
    Named(String),
    InDoubt(Doubt),
}

/// A create whose answer does not say what it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) timed_out: bool,
    /// The last look at the list comes no earlier: a request may be processed long after its client has gone.
    pub(crate) last_look: Duration,
}

/// A create that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) why: String,
    /// The API itself failed, perhaps because of another node's create in the same second.
    pub(crate) by_api: bool,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure about which the API has said nothing.
    pub(crate) fn new(why: String) -> Failure {
        Failure { why, by_api: false, retry_after: None }
    }
}

/// Sends the create, once. A refusal ends the run.
pub(crate) fn create(run: &mut Run, request: &Request) -> Result<Created, End> {
    run.pause(Duration::ZERO)?;
    // Assumed until proven otherwise: the host may ask, or the run may be killed, before the reply comes.
    run.set_operation(None, OperationState::MaybeCreated);
    (run.owns, run.receivers_seen) = (true, false);
    match run.send(request) {
        Ok(reply) => {
            run.http_status = Some(reply.status);
            match reply.created() {
                Answer::Named(id) => Ok(Created::Started(named(run, id))),
                Answer::Refused(why) => Err(refused(run, &why, "")),
                Answer::NotStarted(why) => {
                    run.set_operation(None, OperationState::NotCreated);
                    let (by_api, retry_after) = (reply.status == 500, reply.retry_after);
                    Ok(Created::NotStarted(Failure { why, by_api, retry_after }))
                }
                Answer::InDoubt(why) => Ok(Created::Started(Started::InDoubt(in_doubt(run, why, false)))),
            }
        }
        Err(error) if error.sent => {
            Ok(Created::Started(Started::InDoubt(in_doubt(run, error.message.clone(), error.is_late()))))
        }
        Err(error) => {
            run.set_operation(None, OperationState::NotCreated);
            run.pause(Duration::ZERO)?;
            if error.is_permanent() {
                return Err(refused(run, &error.message, error.hint().unwrap_or_default()));
            }
            Ok(Created::NotStarted(Failure::new(error.message)))
        }
    }
}

fn named(run: &mut Run, id: String) -> Started {
    run.set_operation(Some(&id), OperationState::InProgress);
    let kind = run.kind.name();
    run.info(format!("Created the {kind} operation with ID {id}"));
    run.note(&[Line::Operation(id.clone())]);
    Started::Named(id)
}

/// The create may have been processed, but its answer doesn't say so.
pub(crate) fn in_doubt(run: &mut Run, why: String, timed_out: bool) -> Doubt {
    run.set_operation(None, OperationState::MaybeCreated);
    let kind = run.kind.name();
    run.warn(format!(
        "the create request may have started a {kind} operation, but its reply does not say so ({why}): looking for it"
    ));
    let last_look = run.now() + run.connection.create_timeout;
    Doubt { timed_out, last_look }
}

/// The end of a run whose create was refused or failed too often.
fn refused(run: &mut Run, why: &str, hint: &str) -> End {
    run.set_operation(None, OperationState::NotCreated);
    let (kind, server, url) = (run.kind.name(), &run.connection.barman_server, &run.connection.api_url);
    let message = format!(
        "An issue was faced while trying to create a {kind} operation: server {server} at {url}: {why}"
    );
    End::with(Code::HttpError, message, if hint.is_empty() { refusal_hint(why) } else { hint.into() })
}

/// Creates that started nothing.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: u32,
    /// How often the API itself failed, and when the first create failed.
    queued: u32,
    since: Option<Duration>,
}

impl Attempts {
    /// Waits until the create may be sent again, or ends the run after the last attempt. While the list grows, the
    /// API is serving other nodes, and the failure does not count as an attempt.
    pub(crate) fn again(
        &mut self,
        run: &mut Run,
        baseline: &mut Baseline,
        failure: &Failure,
    ) -> Result<(), End> {
        let since = *self.since.get_or_insert(run.now());
        let why = &failure.why;
        let status = run.http_status; // of the create
        let others = failure.by_api && list_grows(run, baseline)?;
        run.http_status = status;
        let wait = if failure.by_api {
            self.spread(run, failure.retry_after, others)
        } else {
            run.retry_wait(ID_RESOLUTION, failure.retry_after)
        };
        if others && run.now().saturating_sub(since) < QUEUE {
            run.info(format!(
                "the API is busy with other nodes, it creates one operation per second ({why}): trying again in {}",
                seconds(wait)
            ));
            return run.pause(wait);
        }
        self.failed += 1;
        let (attempt, most, kind) = (self.failed, run.connection.max_retries.max(1), run.kind.name());
        if attempt >= most {
            let tries = if attempt > 1 { format!(" ({attempt} tries)") } else { String::new() };
            return Err(refused(run, &format!("{why}{tries}"), ""));
        }
        run.warn(format!("Attempt {attempt} of {most} to create the {kind} operation failed: {why}"));
        run.pause(wait)
    }

    /// While `others` are being served this is a wait for our turn rather than a retry. Each second serves one of the
    /// nodes that ask in it, so the window grows slowly at first: of a few nodes, one should ask in every second.
    fn spread(&mut self, run: &mut Run, retry_after: Option<Duration>, others: bool) -> Duration {
        self.queued = self.queued.saturating_add(1);
        let (least, growth) = if others {
            (ID_RESOLUTION, self.queued.max(2_u32.saturating_pow(self.queued.saturating_sub(2))))
        } else {
            (run.connection.retry_wait.max(ID_RESOLUTION), 2_u32.saturating_pow(self.queued - 1))
        };
        let least = least.max(retry_after.unwrap_or_default().min(run.loop_wait));
        let window = ID_RESOLUTION.saturating_mul(growth).min(WIDEST_SPREAD);
        least + below(window, run.world.random())
    }
}

/// Whether the list has new operations. None of them is ours, as none of our creates started anything.
fn list_grows(run: &mut Run, baseline: &mut Baseline) -> Result<bool, End> {
    Ok(run.list()?.is_ok_and(|(list, _)| baseline.add(list)))
}
