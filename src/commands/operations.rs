//! What the API knows about a server's operations: the list, a single one, and waiting for one to end. Read-only.

use std::time::Duration;

use serde::Serialize;

use crate::api::{OperationKind, Reply, Request};
use crate::cancel::Cancel;
use crate::config::options::Command;
use crate::config::{Config, ConfigError, Connection};
use crate::event::Event;
use crate::outcome::{Code, OperationState, Problem};
use crate::recovery::follow::{Fate, follow};
use crate::recovery::problems::{API_HINT, refusal_hint};
use crate::recovery::run::{End, Run};
use crate::recovery::waits::SHORTEST;
use crate::recovery::watch::Watch;
use crate::text::one_line;
use crate::world::Interrupt;
use crate::world::here::Here;
use crate::world::host::Host;

/// An operation of the API, serialized in the API's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its ID, which is its start time in the Barman host's time zone.
    pub id: String,
    /// What the API calls its kind: `recovery`, `config_switch`, ...; "" if it doesn't say.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its state; `None` if the API did not give it.
    #[serde(rename = "status")]
    pub state: Option<OperationState>,
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationsError {
    /// An option is missing or wrong; nothing was sent.
    InvalidArgument(String),
    /// The API refused, or could not be reached.
    Http(Problem),
    /// Ended by [`Cancel`].
    Cancelled,
    /// The overall deadline passed.
    TimedOut,
}

impl std::fmt::Display for OperationsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OperationsError::InvalidArgument(message) => f.write_str(message),
            OperationsError::Http(problem) => f.write_str(&problem.message),
            OperationsError::Cancelled => f.write_str("cancelled"),
            OperationsError::TimedOut => f.write_str("the deadline has passed"),
        }
    }
}

impl std::error::Error for OperationsError {}

impl OperationsError {
    /// The matching code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            OperationsError::InvalidArgument(_) => Code::InvalidArgument,
            OperationsError::Http(_) => Code::HttpError,
            OperationsError::Cancelled => Code::Cancelled,
            OperationsError::TimedOut => Code::TimedOut,
        }
    }

    /// What to do about it, in one line; may be empty.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            OperationsError::Http(problem) => &problem.hint,
            _ => "",
        }
    }
}

impl From<ConfigError> for OperationsError {
    fn from(error: ConfigError) -> Self {
        OperationsError::InvalidArgument(error.to_string())
    }
}

/// Asks about the operations of one server. Each call blocks.
pub struct Operations {
    connection: Connection,
    loop_wait: Duration,
    world: Here,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operations { .. }")
    }
}

impl Operations {
    /// `on_event` is called on the thread of the call. `cancel` ends a call from another thread.
    ///
    /// # Errors
    /// An option is missing or wrong, or a certificate can't be read.
    pub fn open(
        config: &Config,
        cancel: &Cancel,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Operations, OperationsError> {
        let connection = config.connection(Command::Operations)?;
        let world = Here::open(&connection, None, Host::new(on_event, cancel.clone()))?;
        Ok(Operations { connection, loop_wait: config.loop_wait(), world })
    }

    /// The newest operations, newest first, at most this many. Asks for the state of each.
    ///
    /// # Errors
    /// The list could not be obtained, or the API could not be reached any more. A state that the API did not give is
    /// `None`.
    pub fn list(&mut self, newest: usize) -> Result<Vec<Operation>, OperationsError> {
        self.run(|run| {
            let mut operations = listed(run)?;
            operations.sort_by(|one, other| other.id.cmp(&one.id));
            operations.truncate(newest);
            for operation in &mut operations {
                let reply = ask(run, &Request::Poll(operation.id.clone()))?;
                operation.state = reply.operation().ok().map(OperationState::from);
            }
            Ok(operations)
        })
    }

    /// One operation.
    ///
    /// # Errors
    /// The API does not know it, or could not be reached.
    pub fn show(&mut self, id: &str) -> Result<Operation, OperationsError> {
        self.run(|run| {
            let reply = ask(run, &Request::Poll(id.into()))?;
            let status = reply.operation().map_err(|why| unanswered(run, id, &why))?;
            let kind = kind(run, id)?.unwrap_or_default();
            Ok(Operation { id: id.into(), kind, state: Some(status.into()) })
        })
    }

    /// Waits for the end of an operation.
    ///
    /// # Errors
    /// The API does not know it, or could not be reached for too long.
    pub fn wait(&mut self, id: &str) -> Result<Operation, OperationsError> {
        self.run(|run| {
            let kind = kind(run, id)?.ok_or_else(|| unanswered(run, id, "the API does not know it"))?;
            run.set_operation(Some(id), OperationState::InProgress);
            let mut watch = Watch::blind(run.now());
            let ended = follow(run, &mut watch, &[id.to_string()])?;
            match ended.first().map(|ended| ended.fate) {
                None | Some(Fate::Unknown) => Err(unanswered(run, id, "the API does not know it any more")),
                Some(fate) => Ok(Operation { id: id.into(), kind, state: Some(fate.state()) }),
            }
        })
    }

    fn run<T>(&mut self, question: impl FnOnce(&mut Run) -> Result<T, End>) -> Result<T, OperationsError> {
        let mut run = Run::new(&mut self.world, &self.connection, OperationKind::Any, self.loop_wait);
        question(&mut run).map_err(of_end)
    }
}

pub(crate) fn of_end(end: End) -> OperationsError {
    match end {
        End::With(_, problem) | End::Busy(_, problem) => OperationsError::Http(problem),
        End::Interrupted(Interrupt::DeadlinePassed) => OperationsError::TimedOut,
        End::Interrupted(_) => OperationsError::Cancelled,
    }
}

/// Every operation, sanitized: whatever is in the reply ends up in a terminal.
fn listed(run: &mut Run) -> Result<Vec<Operation>, End> {
    let reply = ask(run, &Request::List)?;
    let listed = reply.operations().map_err(|why| {
        let hint = refusal_hint(&format!("HTTP {}", reply.status));
        refused(run, &why, &hint)
    })?;
    Ok(listed
        .into_iter()
        .map(|found| Operation { id: one_line(&found.id), kind: one_line(&found.kind), state: None })
        .collect())
}

/// The kind of the operation; `None` if the API does not know it.
fn kind(run: &mut Run, id: &str) -> Result<Option<String>, End> {
    Ok(listed(run)?.into_iter().find(|operation| operation.id == id).map(|operation| operation.kind))
}

/// Asks a question, with retries as long as they may help.
pub(crate) fn ask(run: &mut Run, request: &Request) -> Result<Reply, End> {
    let mut left = run.connection.max_retries.max(1);
    loop {
        left -= 1;
        match run.ask(request)? {
            Ok(reply) if reply.status < 500 || left == 0 => return Ok(reply),
            Err(error) if error.is_permanent() || left == 0 => {
                let hint = error.hint().unwrap_or(API_HINT);
                return Err(End::with(Code::HttpError, error.message, hint));
            }
            _ => run.pause(run.connection.retry_wait.max(SHORTEST))?,
        }
    }
}

fn unanswered(run: &Run, id: &str, why: &str) -> End {
    refused(run, &format!("operation {id}: {why}"), "'patroni_barman operations list' lists those that exist")
}

fn refused(run: &Run, why: &str, hint: &str) -> End {
    let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
    End::with(Code::HttpError, format!("server {server} at {url}: {why}"), hint)
}
