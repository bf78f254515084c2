//! A run of any command that starts or follows operations: the world, what is known about the operation, how both are
//! logged, and the one loop in which a question is asked again.

use std::time::Duration;

use super::explain;
use crate::api::{OperationKind, Reply, Request};
use crate::cancel::Interrupt;
use crate::config::Connection;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, OperationState, Problem, Recovery};
use crate::text::seconds;
use crate::timing::{SHORTEST, retry_wait};
use crate::world::World;

/// A run, and what is known about its operation.
pub(crate) struct Session<'a> {
    pub(crate) world: &'a mut dyn World,
    pub(crate) connection: &'a Connection,
    pub(crate) kind: OperationKind,
    /// Longest wait between two questions about an operation.
    pub(crate) loop_wait: Duration,
    pub(crate) operation_id: Option<String>,
    pub(crate) state: OperationState,
    /// The HTTP status of the last reply that decided something.
    pub(crate) http_status: Option<u16>,
    /// The bytes that have arrived, and the size of the backup, if known.
    pub(crate) bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        world: &'a mut dyn World,
        connection: &'a Connection,
        kind: OperationKind,
        loop_wait: Duration,
    ) -> Session<'a> {
        Session {
            world,
            connection,
            kind,
            loop_wait,
            operation_id: None,
            state: OperationState::NotCreated,
            http_status: None,
            bytes: None,
            total_bytes: None,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.now()
    }

    pub(crate) fn pause(&mut self, time: Duration) -> Result<(), Error> {
        Ok(self.world.pause(time)?)
    }

    pub(crate) fn log(&mut self, level: Level, message: impl AsRef<str>) {
        self.world.report(Event::log(level, message.as_ref()));
    }

    pub(crate) fn info(&mut self, message: impl AsRef<str>) {
        self.log(Level::Info, message);
    }

    pub(crate) fn warn(&mut self, message: impl AsRef<str>) {
        self.log(Level::Warning, message);
    }

    /// Warns of a problem and says what to do about it.
    pub(crate) fn warn_of(&mut self, problem: &Problem) {
        self.log_problem(Level::Warning, problem);
    }

    fn log_problem(&mut self, level: Level, problem: &Problem) {
        self.log(level, &problem.message);
        if let Some(hint) = &problem.hint {
            self.log(level, format!("HINT: {hint}"));
        }
    }

    /// Sends a request, once.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Reply, Error> {
        self.world.send(request, request.timeout(self.connection))
    }

    /// Asks a question, once; `read` says what the reply means. An interrupt of the run interrupts the question too.
    pub(crate) fn ask<T>(
        &mut self,
        request: &Request,
        read: impl Fn(&Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.send(request) {
            Ok(reply) => {
                self.http_status = Some(reply.status);
                read(&reply)
            }
            Err(error) => {
                self.pause(Duration::ZERO)?;
                Err(error)
            }
        }
    }

    /// Asks a question until it is answered, as often as the options allow. Each retry logs `what` was asked
    /// for. The error is that of the last attempt, with the number of attempts.
    pub(crate) fn ask_again<T>(
        &mut self,
        request: &Request,
        what: &str,
        read: impl Fn(&Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let most = self.connection.max_retries.max(1);
        let mut attempt = 1;
        loop {
            let error = match self.ask(request, &read) {
                Err(error) if !error.is_interrupt() => error,
                answered_or_interrupted => return answered_or_interrupted,
            };
            if error.is_final() || attempt >= most {
                return Err(error.after(attempt));
            }
            self.warn(format!("Attempt {attempt} of {most} to ask for {what} failed: {}", error.message));
            let wait = self.retry_wait(Duration::ZERO, error.retry_after());
            self.pause(wait)?;
            attempt += 1;
        }
    }

    /// The wait before a retry, at `least` this long.
    pub(crate) fn retry_wait(&mut self, least: Duration, retry_after: Option<Duration>) -> Duration {
        let first = self.connection.retry_wait.max(least);
        retry_wait(1, first, self.loop_wait, retry_after, self.world.random())
    }

    /// Records what is known about the operation, and reports it.
    pub(crate) fn set_operation(&mut self, id: Option<&str>, state: OperationState) {
        let same = self.state == state && self.operation_id.as_deref() == id;
        self.operation_id = id.map(str::to_string);
        self.state = state;
        if !same {
            self.world.report(Event::State { state, operation_id: self.operation_id.clone() });
        }
    }

    /// The same operation, in another state.
    pub(crate) fn set_state(&mut self, state: OperationState) {
        let id = self.operation_id.clone();
        self.set_operation(id.as_deref(), state);
    }

    /// Logs what went wrong and what to do about it, and makes the report; `interrupted` says what an interrupt leaves.
    pub(crate) fn finish(
        &mut self,
        end: Result<(), Error>,
        interrupted: impl FnOnce(&mut Self, Interrupt) -> Problem,
    ) -> Answer<Recovery> {
        let code = end.as_ref().map_or_else(Error::code, |()| Code::RecoveryDone);
        let problem = end.err().map(|error| match error.kind {
            ErrorKind::Interrupted { why, .. } => interrupted(self, why),
            _ => explain::problem(error),
        });
        if let Some(problem) = &problem {
            let level = if code == Code::Cancelled { Level::Warning } else { Level::Error };
            self.log_problem(level, problem);
        }
        let found = Recovery {
            operation_id: self.operation_id.clone(),
            operation_state: self.state,
            bytes: self.bytes,
            total_bytes: self.total_bytes,
            http_status: self.http_status,
            ..Recovery::default()
        };
        Answer::new(code, problem.unwrap_or_default(), self.now(), found)
    }

    /// Why an interrupt ends the run, as said in its last message.
    pub(crate) fn reason(&self, interrupt: Interrupt) -> String {
        match interrupt {
            Interrupt::DeadlinePassed => {
                format!(
                    "the deadline of {} has passed",
                    seconds(self.connection.deadline.unwrap_or_default())
                )
            }
            Interrupt::Cancelled => "cancelled".into(),
        }
    }
}

/// The last line of a run, which has this name and exit status for Patroni.
pub(crate) fn ended_line(answer: &Answer<Recovery>, name: &str, exit_status: u8) -> String {
    let operation = match (&answer.found.operation_id, answer.found.operation_state) {
        (_, OperationState::NotCreated) => String::new(),
        (Some(id), state) => format!("; operation {id}: {}", state.name()),
        (None, state) => format!("; operation: {}", state.name()),
    };
    let status = match answer.code as i32 {
        0.. => exit_status.to_string(),
        number => format!("{number}, exit status {exit_status}"),
    };
    format!("Ended with {name} ({status}) after {}{operation}", seconds(answer.elapsed))
}

/// The time without a good answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage {
    since: Option<Duration>,
    misses: u32,
}

/// An outage, as of its latest miss.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) lasted: Duration,
    pub(crate) tries: u32,
    /// Whether the budget is used up.
    pub(crate) too_long: bool,
    /// Until the next try.
    pub(crate) wait: Duration,
}

impl Outage {
    pub(crate) fn is_over(&self) -> bool {
        self.since.is_none()
    }

    /// Counts a miss. The budget runs from the last good answer or, if that is later, from `news`, when
    /// something last happened in the restore. While something is happening, the budget does not run, however
    /// small it is.
    pub(crate) fn miss(&mut self, run: &mut Session, missed: &Error, news: Option<Duration>) -> Miss {
        let now = run.now();
        self.misses = self.misses.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        let lasted = now.saturating_sub(since.max(news.unwrap_or_default()));
        let first = run.connection.retry_wait;
        let wait = retry_wait(self.misses, first, run.loop_wait, missed.retry_after(), run.world.random());
        if news == Some(now) {
            return Miss { lasted, tries: self.misses, too_long: false, wait };
        }
        let left = run.connection.max_outage.saturating_sub(lasted);
        Miss { lasted, tries: self.misses, too_long: left.is_zero(), wait: wait.min(left).max(SHORTEST) }
    }

    /// A good answer; returns how long the outage was, if there was one.
    pub(crate) fn over(&mut self, now: Duration) -> Option<Duration> {
        self.misses = 0;
        self.since.take().map(|since| now.saturating_sub(since))
    }
}
