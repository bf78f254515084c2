//! What the API knows about a server's operations. Read-only.

use serde::Serialize;

use crate::api::{Listed, Request};
use crate::cancel::Cancel;
use crate::commands::{ask, ask_api};
use crate::config::Config;
use crate::config::options::{Command, Opt};
use crate::event::Event;
use crate::outcome::{Answer, OperationState, or_empty};
use crate::text::one_line;
use crate::world::caller::Caller;

/// The operations of a Barman server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Operations {
    /// The newest first; at most as many as the option `limit` says.
    pub operations: Vec<Operation>,
}

/// An operation of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its ID, which is its start time in the Barman host's time zone.
    pub id: String,
    /// What the API calls its kind: `recovery`, `config_switch`, ..., if it says so.
    #[serde(serialize_with = "or_empty")]
    pub kind: Option<String>,
    /// Its state; `None` if the API did not give it.
    pub state: Option<OperationState>,
}

/// Lists the newest operations of the Barman server, each with its state, which costs a request; blocks. `on_event` is
/// called on this thread; `cancel` ends the call from another thread.
pub fn operations(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Operations> {
    let limit = config.number(Opt::Limit).filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    ask_api(Command::Operations, config, Caller::new(on_event, cancel.clone()), |run| {
        let listed = ask(run, &Request::List)?.operations().map_err(|error| {
            let (server, url) = (&run.connection.barman_server, &run.connection.api_url);
            error.about(format_args!("server {server} at {url}"))
        })?;
        let mut operations: Vec<_> = listed.into_iter().map(Operation::from).collect();
        operations.sort_by(|one, other| other.id.cmp(&one.id));
        operations.truncate(limit);
        for operation in &mut operations {
            let reply = ask(run, &Request::Poll(operation.id.clone()))?;
            operation.state = reply.operation().ok().map(OperationState::from);
        }
        Ok(Operations { operations })
    })
}

/// Sanitized: whatever is in the reply ends up in a terminal.
impl From<Listed> for Operation {
    fn from(found: Listed) -> Operation {
        let kind = found.kind.as_deref().map(one_line);
        Operation { id: one_line(&found.id), kind, state: None }
    }
}
