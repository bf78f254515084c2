//! A run of any command that starts or follows operations: the world, what is known about the operation, and how both
//! are logged.

use std::time::Duration;

use crate::api::date::Date;
use crate::api::{OperationKind, Reply, Request, TransportError};
use crate::config::Connection;
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome, Problem};
use crate::text::seconds;
use crate::world::journal::Line;
use crate::world::{Interrupt, World};

use super::waits::{Every, Missed, Outage, retry_wait};

/// Why a run ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    With(Code, Problem),
    Interrupted(Interrupt),
}

impl From<Interrupt> for End {
    fn from(interrupt: Interrupt) -> End {
        End::Interrupted(interrupt)
    }
}

impl End {
    pub(crate) fn with(code: Code, message: impl Into<String>, hint: impl Into<String>) -> End {
        End::With(code, Problem::new(message, hint))
    }

    /// The code and what to say; `left` says what an interrupt leaves behind.
    pub(crate) fn report(self, left: impl FnOnce(Interrupt) -> Problem) -> (Code, Problem) {
        match self {
            End::With(code, problem) => (code, problem),
            End::Interrupted(why @ Interrupt::DeadlinePassed) => (Code::TimedOut, left(why)),
            End::Interrupted(why) => (Code::Cancelled, left(why)),
        }
    }
}

/// The IDs of operations, and the date on the API's clock.
pub(crate) type Listed = (Vec<String>, Option<Date>);

/// A run, and what is known about its operation.
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(crate) struct Run<'a> {
    pub(crate) world: &'a mut dyn World,
    pub(crate) connection: &'a Connection,
    pub(crate) kind: OperationKind,
    /// Longest wait between two polls.
    pub(crate) loop_wait: Duration,
    pub(crate) operation_id: Option<String>,
    pub(crate) state: OperationState,
    /// The HTTP status of the last reply that decided something.
    pub(crate) http_status: Option<u16>,
    /// Whether nothing that this run or an earlier one started can still write.
    pub(crate) settled: bool,
    /// Whether the operation is this run's own, rather than that of another live run that it waits for.
    pub(crate) owns: bool,
    /// Whether this run has locked the state file.
    pub(crate) locked: bool,
    /// Whether receivers of this restore have been seen.
    pub(crate) receivers_seen: bool,
    /// Whether anything has arrived in the data directory, in this run or in the one whose operation it follows.
    pub(crate) arrived: bool,
    /// The bytes that have arrived, and the size of the backup, if known.
    pub(crate) bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
    /// How large a backup may be, if its size was not known before the create.
    pub(crate) room: Option<u64>,
    pub(crate) outage: Outage,
    pub(crate) progress_logged: Every,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        world: &'a mut dyn World,
        connection: &'a Connection,
        kind: OperationKind,
        loop_wait: Duration,
    ) -> Run<'a> {
        Run {
            world,
            connection,
            kind,
            loop_wait,
            operation_id: None,
            state: OperationState::NotCreated,
            http_status: None,
            settled: true,
            owns: false,
            locked: false,
            receivers_seen: false,
            arrived: false,
            bytes: None,
            total_bytes: None,
            room: None,
            outage: Outage::default(),
            progress_logged: Every::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.now()
    }

    pub(crate) fn pause(&mut self, time: Duration) -> Result<(), End> {
        Ok(self.world.pause(time)?)
    }

    /// The wait before a retry, at `least` this long.
    pub(crate) fn retry_wait(&mut self, least: Duration, retry_after: Option<Duration>) -> Duration {
        let first = self.connection.retry_wait.max(least);
        retry_wait(1, first, self.loop_wait, retry_after, self.world.random())
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

    /// Sends a request, once.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Reply, TransportError> {
        self.world.send(request, request.timeout(self.connection))
    }

    /// Asks a question, once. An interrupt of the run interrupts the question too.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Result<Reply, TransportError>, End> {
        let answer = self.send(request);
        match &answer {
            Ok(reply) => self.http_status = Some(reply.status),
            Err(_) => self.pause(Duration::ZERO)?,
        }
        Ok(answer)
    }

    /// Asks for the operations of this kind, once. Returns why if they could not be listed.
    pub(crate) fn list(&mut self) -> Result<Result<Listed, Missed>, End> {
        Ok(match self.ask(&Request::List)? {
            Ok(reply) => match reply.ids(self.kind) {
                Ok(ids) => Ok((ids, reply.date)),
                Err(why) => Err(Missed::by(&reply, why)),
            },
            Err(error) => Err(error.into()),
        })
    }

    /// Records what is known about the operation, and reports it.
    pub(crate) fn set_operation(&mut self, id: Option<&str>, state: OperationState) {
        let same = self.state == state && self.operation_id.as_deref() == id;
        self.operation_id = id.map(str::to_string);
        self.state = state;
        match state {
            OperationState::NotCreated => self.settled = true,
            OperationState::MaybeCreated | OperationState::InProgress => self.settled = false,
            // `quiet` sets it once nothing is being written any more.
            OperationState::Done | OperationState::Failed => {}
        }
        if !same {
            self.world.report(Event::State { state, operation_id: self.operation_id.clone() });
        }
    }

    /// Appends lines to the state file, if this run has one. If that fails, it warns once.
    pub(crate) fn note(&mut self, lines: &[Line]) {
        if !self.locked {
            return;
        }
        let written = self.world.journal().map_or(Ok(()), |journal| journal.append(lines));
        if let Err(why) = written {
            self.locked = false;
            self.warn(format!(
                "the state file can't be written ({why}): continuing without it; if this run is killed, the next one will not know about it"
            ));
        }
    }

    /// A good answer of the API ends an outage.
    pub(crate) fn good_answer(&mut self) {
        let now = self.now();
        if let Some(outage) = self.outage.over(now) {
            self.info(format!("the API answers again, after {}", seconds(outage)));
        }
    }

    /// Counts a bad answer, and logs it; returns how long to wait before asking again. Ends the run if the outage has
    /// lasted too long; the time does not count while something `arrives`.
    pub(crate) fn miss(&mut self, missed: &Missed, about: &str, arrives: bool) -> Result<Duration, End> {
        let now = self.now();
        let random = self.world.random();
        let miss = self.outage.miss(now, self.connection, self.loop_wait, missed, arrives, random);
        let (lasted, tries, why) = (seconds(miss.lasted), miss.tries, &missed.why);
        if miss.too_long {
            let (server, url) = (&self.connection.barman_server, &self.connection.api_url);
            return Err(End::with(
                Code::HttpError,
                format!(
                    "Maximum number of retries exceeded, exiting. {about} of server {server} may still be running: no valid answer from {url} for {lasted} ({tries} tries), the last error: {why}"
                ),
                self.still_running_hint(),
            ));
        }
        let budget = seconds(self.connection.max_outage);
        self.warn(format!(
            "Attempt {tries} to ask about {about} failed: {why} (no valid answer for {lasted}, giving up after {budget})"
        ));
        Ok(miss.wait)
    }

    /// What to do about an operation that may go on without this run.
    pub(crate) fn still_running_hint(&mut self) -> String {
        let server = &self.connection.barman_server;
        let look = match &self.operation_id {
            Some(id) => format!("'patroni_barman operations wait {id}' waits for it to end"),
            None => format!("see on the Barman host what is running for server {server}"),
        };
        let meanwhile = match self.kind {
            OperationKind::Recovery => "; nothing else must write into the data directory until it has ended",
            _ => "",
        };
        let journal = self.world.journal().filter(|_| self.locked).map(|journal| {
            let path = journal.path();
            format!("; if nothing of it is running on the Barman host any more, remove {path}: otherwise the next run waits for it again")
        });
        look + meanwhile + &journal.unwrap_or_default()
    }
}

/// The end of a run.
impl Run<'_> {
    /// Logs what went wrong and what to do about it, and makes the report. `left` says what an interrupt leaves
    /// behind.
    pub(crate) fn finish(
        &mut self,
        end: Result<(), End>,
        left: impl FnOnce(&mut Self, Interrupt) -> Problem,
    ) -> Outcome {
        let (code, problem) = match end {
            Ok(()) => (Code::RecoveryDone, Problem::default()),
            Err(end) => end.report(|interrupt| left(self, interrupt)),
        };
        let level = if code == Code::Cancelled { Level::Warning } else { Level::Error };
        if !problem.message.is_empty() {
            self.log(level, &problem.message);
        }
        if !problem.hint.is_empty() {
            self.log(level, format!("HINT: {}", problem.hint));
        }
        Outcome {
            code,
            message: problem.message,
            hint: problem.hint,
            backup_id: None,
            operation_id: self.operation_id.clone(),
            operation_state: self.state,
            http_status: self.http_status,
            warnings: Vec::new(),
            elapsed: self.now(),
            bytes: self.bytes,
            total_bytes: self.total_bytes,
        }
    }

    /// Says what an interrupted run leaves behind; `what` is the reason.
    pub(crate) fn interrupted(&mut self, what: &str) -> Problem {
        let (kind, server) = (self.kind.name(), &self.connection.barman_server);
        let message = match (&self.operation_id, self.settled) {
            (Some(id), false) if !self.state.may_be_running() => format!(
                "{what}: {kind} operation {id} has ended ({}), but something may still be writing into the data directory",
                self.state.name()
            ),
            (Some(id), false) => {
                format!("{what}: {kind} operation {id} of server {server} continues on the Barman host")
            }
            (None, false) => format!(
                "{what}: a {kind} operation of server {server} may have been created; if so, it continues on the Barman host"
            ),
            (Some(id), true) => format!("{what}: {kind} operation {id} has ended ({})", self.state.name()),
            (None, true) => format!("{what}: no {kind} operation was started"),
        };
        let hint = if self.settled { String::new() } else { self.still_running_hint() };
        Problem::new(message, hint)
    }
}
