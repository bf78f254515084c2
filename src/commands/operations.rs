//! What the API knows of a server's operations: the list, one of them, and waiting for its end. Asks only.

use std::time::Duration;

use crate::api::{Reply, Request, Status, TransportError};
use crate::cancel::Cancel;
use crate::commands::recover::seed;
use crate::config::options::Command;
use crate::config::{Config, ConfigError};
use crate::event::{Event, Level};
use crate::outcome::OperationState;
use crate::recovery::api_status;
use crate::recovery::backoff::Random;
use crate::recovery::follow::{Follow, Next};
use crate::recovery::machine::{Seen, refusal_hint};
use crate::text::one_line;
use crate::world::client::Client;
use crate::world::host::Host;

/// An operation of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its ID, which is the time of its start in the Barman host's time zone.
    pub id: String,
    /// The API's word for what it does: `recovery`, `config_switch`, ...; "" when it doesn't say.
    pub kind: String,
    /// Its state; none when the API did not tell.
    pub state: Option<OperationState>,
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationsError {
    /// An option is missing or wrong; nothing was sent.
    InvalidArgument(String),
    /// The API refused, or could not be talked to.
    Http {
        /// What it said, in one line.
        message: String,
        /// What to do about it; may be empty.
        hint: String,
    },
    /// Ended by [`Cancel`].
    Cancelled,
    /// The overall deadline passed.
    TimedOut,
}

impl std::fmt::Display for OperationsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OperationsError::InvalidArgument(message) | OperationsError::Http { message, .. } => {
                f.write_str(message)
            }
            OperationsError::Cancelled => f.write_str("cancelled"),
            OperationsError::TimedOut => f.write_str("the deadline has passed"),
        }
    }
}

impl std::error::Error for OperationsError {}

impl From<ConfigError> for OperationsError {
    fn from(error: ConfigError) -> Self {
        OperationsError::InvalidArgument(error.to_string())
    }
}

/// Asks for the operations of one server. Each call blocks.
pub struct Operations {
    client: Client,
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
        let host = Host::new(on_event, cancel.clone());
        Ok(Operations { client: Client::open(config, Command::Operations, host)? })
    }

    /// The newest operations, at most so many, sorted by ID. Asks for the state of each.
    ///
    /// # Errors
    /// The list was not to be had, or the API could not be talked to any more. A state that it did not tell is
    /// none.
    pub fn list(&self, newest: usize) -> Result<Vec<Operation>, OperationsError> {
        let mut operations = self.listed()?;
        operations.sort_by(|one, other| one.id.cmp(&other.id));
        operations.drain(..operations.len().saturating_sub(newest));
        for operation in &mut operations {
            let request = Request::Poll(operation.id.clone());
            let status = self.ask(&request)?.operation().ok();
            operation.state = status.map(state);
        }
        // What comes from outside ends up in a terminal.
        for operation in &mut operations {
            operation.id = one_line(&operation.id);
            operation.kind = one_line(&operation.kind);
        }
        Ok(operations)
    }

    /// One operation.
    ///
    /// # Errors
    /// The API does not know it, or was not to be talked to.
    pub fn show(&self, id: &str) -> Result<Operation, OperationsError> {
        let reply = self.ask(&Request::Poll(id.into()))?;
        let status = reply.operation().map_err(|why| self.unanswered(id, &why))?;
        Ok(Operation { id: one_line(id), kind: self.kind(id)?, state: Some(state(status)) })
    }

    /// Waits for the end of an operation.
    ///
    /// # Errors
    /// The API does not know it, or could not be talked to for too long.
    pub fn wait(&self, id: &str) -> Result<Operation, OperationsError> {
        let settings = &self.client.settings;
        let mut random = Random::new(seed());
        let mut follow = Follow::new(id.into(), Duration::ZERO, settings.loop_wait);
        loop {
            let request = Request::Poll(id.into());
            let seen = match self.client.send(&request, request.timeout(settings).min(self.client.left())) {
                Ok(reply) => Seen::Reply(reply),
                Err(none) if none.permanent => return Err(self.failure(none)),
                Err(none) => Seen::Unanswered(none),
            };
            let wait = match follow.saw(seen, self.client.started.elapsed(), settings, &mut random) {
                Next::Ended(status) => {
                    return Ok(Operation {
                        id: one_line(id),
                        kind: self.kind(id)?,
                        state: Some(state(status)),
                    });
                }
                Next::Unknown(why) | Next::Lost(why) => return Err(self.unanswered(id, &why)),
                Next::Wait(wait, tell) => {
                    if tell {
                        self.log(Level::Info, &format!("Operation {id} is still in progress"));
                    }
                    wait
                }
                Next::Again(wait, why) => {
                    self.log(Level::Warning, &why);
                    wait
                }
            };
            if self.client.pause(wait) {
                return Err(self.interrupted());
            }
        }
    }

    fn listed(&self) -> Result<Vec<Operation>, OperationsError> {
        let reply = self.ask(&Request::List)?;
        let listed = reply
            .operations()
            .map_err(|why| self.http(&why, &refusal_hint(&format!("HTTP {}", reply.status))))?;
        Ok(listed.into_iter().map(|op| Operation { id: op.id, kind: op.kind, state: None }).collect())
    }

    fn kind(&self, id: &str) -> Result<String, OperationsError> {
        let found = self.listed()?.into_iter().find(|operation| operation.id == id);
        Ok(found.map_or(String::new(), |operation| one_line(&operation.kind)))
    }

    fn ask(&self, request: &Request) -> Result<Reply, OperationsError> {
        self.client.ask(request).map_err(|none| self.failure(none))
    }

    fn failure(&self, none: TransportError) -> OperationsError {
        if self.client.host.cancel.is_cancelled() || self.client.left().is_zero() {
            return self.interrupted();
        }
        let hint = if none.hint.is_empty() { api_status::HINT.into() } else { none.hint };
        OperationsError::Http { message: none.text, hint }
    }

    fn interrupted(&self) -> OperationsError {
        if self.client.host.cancel.is_cancelled() {
            OperationsError::Cancelled
        } else {
            OperationsError::TimedOut
        }
    }

    fn unanswered(&self, id: &str, why: &str) -> OperationsError {
        self.http(
            &format!("operation {id}: {why}"),
            "'patroni_barman operations list' names those that there are",
        )
    }

    fn http(&self, why: &str, hint: &str) -> OperationsError {
        let (server, url) = (&self.client.settings.barman_server, &self.client.settings.api_url);
        OperationsError::Http { message: format!("server {server} at {url}: {why}"), hint: hint.into() }
    }

    fn log(&self, level: Level, message: &str) {
        self.client.host.report(Event::log(level, message));
    }
}

fn state(status: Status) -> OperationState {
    match status {
        Status::InProgress => OperationState::InProgress,
        Status::Done => OperationState::Done,
        Status::Failed => OperationState::Failed,
    }
}
