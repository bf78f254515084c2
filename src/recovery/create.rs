//! The create request: what its reply means, and when it may be sent again.

use std::time::Duration;

use crate::api::{Created as Answer, Request};
use crate::error::{BadReply, Error};
use crate::outcome::{Code, OperationState};
use crate::text::seconds;

use super::explain::create_hint;
use super::history::Use;
use super::known_operations::KnownOperations;
use super::session::Session;
use super::verdict::Ended;
use crate::timing::{ID_RESOLUTION, QUEUE, SAME_ID, WIDEST_SPREAD, below};

/// The result of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    /// The API named the operation.
    Named(String),
    /// It may have started an operation, which is looked for until `last_look`.
    InDoubt { why: String, last_look: Duration },
    /// Nothing has come of it.
    NotStarted(Error),
}

/// Sends the create, once. A refusal ends the run.
pub(crate) fn create(
    run: &mut Session,
    request: &Request,
    known: &KnownOperations,
) -> Result<Created, Error> {
    run.pause(Duration::ZERO)?;
    // Assumed until proven otherwise: the host may ask, or the run may be killed, before the reply comes.
    run.set_operation(None, OperationState::MaybeCreated);
    let reply = match run.send(request) {
        Ok(reply) => reply,
        Err(error) if error.was_sent() => {
            run.pause(Duration::ZERO)?;
            return Ok(in_doubt(run, error.message));
        }
        Err(error) => {
            run.set_operation(None, OperationState::NotCreated);
            run.pause(Duration::ZERO)?;
            if error.is_final() {
                return Err(refused(run, &error));
            }
            return Ok(Created::NotStarted(error));
        }
    };
    run.http_status = Some(reply.status);
    Ok(match reply.created() {
        Answer::Named(id) if known.has(&id) => {
            in_doubt(run, format!("it named operation {id}, which existed before"))
        }
        Answer::Named(id) => {
            run.set_operation(Some(&id), OperationState::InProgress);
            let kind = run.kind.name();
            run.info(format!("Created the {kind} operation with ID {id}"));
            Created::Named(id)
        }
        Answer::Refused(error) => return Err(refused(run, &error)),
        Answer::NotStarted(error) => {
            run.set_operation(None, OperationState::NotCreated);
            Created::NotStarted(error)
        }
        Answer::InDoubt(why) => in_doubt(run, why),
    })
}

/// The create may have been processed, but its reply does not say so.
fn in_doubt(run: &mut Session, why: String) -> Created {
    run.set_operation(None, OperationState::MaybeCreated);
    let kind = run.kind.name();
    run.warn(format!(
        "the create request may have started a {kind} operation, but its reply does not say so ({why}): looking for it"
    ));
    let last_look = run.now() + run.connection.create_timeout;
    Created::InDoubt { why, last_look }
}

/// The end of a run whose create was refused or failed too often.
fn refused(run: &mut Session, error: &Error) -> Error {
    run.set_operation(None, OperationState::NotCreated);
    let (kind, server, url) = (run.kind.name(), &run.connection.barman_server, &run.connection.api_url);
    let message = format!(
        "An issue was faced while trying to create a {kind} operation: server {server} at {url}: {}",
        error.message
    );
    Error::with(error.code(), message, create_hint(run.kind, error))
}

/// Creates of which nothing came.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: u32,
    /// How often the API itself failed, and when the first create failed.
    queued: u32,
    since: Option<Duration>,
    /// An operation that failed was doubted to be this node's.
    doubted: bool,
}

impl Attempts {
    /// Of two creates in one second both may get one ID, and Barman restores to the node of the later one, twice: there
    /// both are ended, and the API says `FAILED` to both nodes. So if Barman never came here, the create is sent again;
    /// once, because a login that fails looks the same.
    pub(crate) fn doubt(&mut self, run: &Session, began: Duration, ended: Ended, lease_use: Use) -> Ended {
        let is_soon = run.now().saturating_sub(began) < SAME_ID;
        let may_be_anothers = ended == Ended::Failed && lease_use == Use::Nothing && is_soon;
        let is_last = self.failed + 1 >= run.connection.max_retries.max(1);
        if !may_be_anothers || is_last || std::mem::replace(&mut self.doubted, true) {
            return ended;
        }
        let operation = run.operation_id.as_ref().map_or("it".into(), |id| format!("operation {id}"));
        let why = format!(
            "{operation} has failed, but Barman never ran a command on this node: it may be another node's, with the same ID"
        );
        Ended::Nothing(Error::new(Code::RecoveryFailed, why))
    }

    /// Waits until the create may be sent again, or ends the run after the last attempt. While the list grows, the
    /// API is serving other nodes, and the failure does not count as an attempt.
    pub(crate) fn again(
        &mut self,
        run: &mut Session,
        known: &mut KnownOperations,
        failure: Error,
    ) -> Result<(), Error> {
        let since = *self.since.get_or_insert(run.now());
        let why = &failure.message;
        let by_api = failure.bad_reply() == Some(BadReply::ApiFailed);
        let others = by_api && serves_others(run, known)?;
        let wait = if by_api {
            self.queued = self.queued.saturating_add(1);
            let (least, growth) = if others { self.turn() } else { self.retry(run) };
            spread(run, least.max(failure.retry_after().unwrap_or_default().min(run.loop_wait)), growth)
        } else {
            run.retry_wait(ID_RESOLUTION, failure.retry_after())
        };
        if others && run.now().saturating_sub(since) < QUEUE {
            run.info(format!(
                "the API is busy with other nodes: it creates only one operation per second ({why}); trying again in {}",
                seconds(wait)
            ));
            return run.pause(wait);
        }
        self.failed += 1;
        let (attempt, most, kind) = (self.failed, run.connection.max_retries.max(1), run.kind.name());
        if attempt >= most {
            return Err(refused(run, &failure.after(attempt)));
        }
        run.warn(format!("Attempt {attempt} of {most} to create the {kind} operation failed: {why}"));
        run.pause(wait)
    }

    /// The wait for our turn while other nodes are served: the shortest wait, and over how many seconds to
    /// spread it. In each second the API serves one of the nodes that ask, so the window grows slowly at
    /// first: with a few nodes, one of them should ask in every second.
    fn turn(&self) -> (Duration, u32) {
        (ID_RESOLUTION, self.queued.max(2_u32.saturating_pow(self.queued.saturating_sub(2))))
    }

    /// The same for a retry.
    fn retry(&self, run: &Session) -> (Duration, u32) {
        (run.connection.retry_wait.max(ID_RESOLUTION), 2_u32.saturating_pow(self.queued - 1))
    }
}

/// A random wait, from the least one on.
fn spread(run: &mut Session, least: Duration, growth: u32) -> Duration {
    let window = ID_RESOLUTION.saturating_mul(growth).min(WIDEST_SPREAD);
    least + below(window, run.world.random())
}

/// Whether the list has grown: the API is serving other nodes.
fn serves_others(run: &mut Session, known: &mut KnownOperations) -> Result<bool, Error> {
    let status = run.http_status; // of the create
    let listed = known.new_ones(run);
    run.http_status = status;
    match listed {
        Ok(new) => Ok(known.add(new)),
        Err(error) if error.is_interrupt() => Err(error),
        Err(_) => Ok(false),
    }
}
