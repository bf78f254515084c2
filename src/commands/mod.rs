//! The commands: each opens what it needs, runs, and reports. A new one needs a variant of [`Command`], and its line in
//! [`call`].

pub(crate) mod backups;
pub(crate) mod check;
pub(crate) mod config_switch;
pub(crate) mod operations;
pub(crate) mod recover;
pub(crate) mod settle;
pub(crate) mod verify;

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::api::{OperationKind, Reply, Request};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::config::options::Command;
use crate::error::Error;
use crate::event::Event;
use crate::outcome::{Answer, Code, Problem};
use crate::recovery::explain::{api_hint, problem};
use crate::recovery::session::Session;
use crate::world::caller::Caller;
use crate::world::real::RealWorld;

/// The result of any command, as JSON: for hosts that choose the command by its name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub code: Code,
    /// The serialized result of the command: an object.
    pub json: Value,
}

impl Report {
    /// The report of a command that found nothing, or of a call that ran no command.
    pub(crate) fn bare(code: Code, problem: Problem) -> Report {
        Answer::<Option<()>>::not_begun(code, problem).into()
    }
}

impl<T: Serialize> From<Answer<T>> for Report {
    fn from(answer: Answer<T>) -> Report {
        // Strings, numbers, lists and objects with names always serialize.
        Report { code: answer.code, json: serde_json::to_value(&answer).unwrap_or_default() }
    }
}

/// Runs a command to its end; blocks. `on_event` is called on this thread. `cancel` ends the command from another
/// thread; if it has been cancelled before, the command ends at once.
pub fn call(
    command: Command,
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Report {
    if cancel.is_cancelled() {
        return Report::bare(Code::Cancelled, Problem::without_hint("cancelled"));
    }
    match command {
        Command::Recover => recover::run(config, cancel, on_event).into(),
        Command::Check => check::check(config, cancel, on_event, |_| ()).into(),
        Command::Verify => verify::verify(config).into(),
        Command::Backups => backups::backups(config, cancel, on_event).into(),
        Command::Operations => operations::operations(config, cancel, on_event).into(),
        Command::ConfigSwitch => config_switch::config_switch(config, cancel, on_event).into(),
        Command::Settle => settle::settle(config, cancel, on_event).into(),
    }
}

/// Asks the API something for a command that only reads.
fn ask_api<T: Default>(
    command: Command,
    config: &Config,
    caller: Caller,
    question: impl FnOnce(&mut Session) -> Result<T, Error>,
) -> Answer<T> {
    answer(|| {
        let connection = config.connection(command)?;
        let mut world = RealWorld::open(&connection, None, caller)?;
        let mut run = Session::new(&mut world, &connection, OperationKind::Any, config.loop_wait());
        question(&mut run)
    })
}

/// Asks a question, with retries as long as they may help.
fn ask(run: &mut Session, request: &Request) -> Result<Reply, Error> {
    let asked = run.ask_again(request, "an answer", |reply| match reply.status {
        500.. => Err(reply.refusal()),
        _ => Ok(reply.clone()),
    });
    asked.map_err(|error| Error { hint: Some(api_hint(&error)).filter(|_| !error.is_interrupt()), ..error })
}

/// Times a question, and says how it ended.
fn answer<T: Default>(question: impl FnOnce() -> Result<T, Error>) -> Answer<T> {
    let begun = Instant::now();
    let (code, problem, found) = match question() {
        Ok(found) => (Code::RecoveryDone, Problem::default(), found),
        Err(error) => (error.code(), problem(error), T::default()),
    };
    Answer::new(code, problem, begun.elapsed(), found)
}
