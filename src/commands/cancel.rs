//! Ends a restore that nobody follows any more: the run that started it was killed, or has given up. It does to the
//! restore what a cancelled run does, and touches nothing but the rsync receivers in the data directory.

use std::time::Duration;

use crate::api::{Request, Status};
use crate::cancel::Cancel;
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError, Connection};
use crate::event::{Event, Level};
use crate::outcome::{Busy, Code, OperationState, Outcome, Problem};
use crate::text::seconds;
use crate::world::here::{Here, from_here};
use crate::world::host::Host;
use crate::world::journal::{Ended, Line, Lock, Record};
use crate::world::{Interrupt, World};

/// Without a receiver for so long: nobody writes any more.
const QUIET: Duration = Duration::from_secs(2);
/// Between two looks for receivers.
const LOOKS: Duration = Duration::from_millis(250);
/// Between two questions to the API.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Barman copies again after 30 s where it is configured to; from there on it is not the restore that lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a restore into the data directory whose own run is gone; blocks.
///
/// Needs the option `data-directory` alone. It sends SIGTERM to the rsync receivers in the data directory, again until
/// none has been there for two seconds. Where `api-url` and `barman-server` are given, and the state file names an
/// operation of theirs, it goes on until Barman says that this has ended, and then removes the state file. What it does
/// it reports as events, on this thread; `cancel` ends it from another.
///
/// The code of the outcome is
/// - [`Code::RecoveryDone`]: nothing writes into the data directory (any more);
/// - [`Code::RecoveryFailed`]: the receivers don't end, or Barman does not say for a minute that the operation has ended;
/// - [`Code::HttpError`]: the API does not say for a minute what became of the operation;
/// - [`Code::Busy`]: the run that follows the restore is alive: nothing was ended, as that run is what to cancel;
/// - [`Code::InvalidArgument`], [`Code::Cancelled`], [`Code::TimedOut`]: as of a recovery.
pub fn end_restore(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Outcome {
    let host = Host::new(on_event, cancel.clone());
    match opened(config, &host) {
        Ok((mut world, api, directory)) => Ending::new(&mut world, api.as_ref(), directory).run(),
        Err(why) => {
            let why = why.to_string();
            host.report(Event::log(Level::Error, &why));
            Outcome::not_begun(Code::InvalidArgument, &why)
        }
    }
}

fn opened(config: &Config, host: &Host) -> Result<(Here, Option<Connection>, String), ConfigError> {
    let mut restore = from_here(config.restore_for(Command::EndRestore)?)?;
    restore.diagnose = false;
    let api = config.is_set(Opt::ApiUrl).then(|| config.connection(Command::EndRestore)).transpose()?;
    let world = match &api {
        Some(connection) => Here::open(connection, Some(&restore), host.clone())?,
        None => Here::offline(&restore, host.clone()),
    };
    Ok((world, api, restore.data_directory))
}

/// Why it is over before everything has ended.
enum Stop {
    With(Code, Problem),
    Interrupted(Interrupt),
}

impl From<Interrupt> for Stop {
    fn from(interrupt: Interrupt) -> Stop {
        Stop::Interrupted(interrupt)
    }
}

struct Ending<'a> {
    world: &'a mut dyn World,
    api: Option<&'a Connection>,
    directory: String,
    /// What the state file says.
    record: Option<Record>,
    /// The operation that Barman is asked about.
    operation: Option<String>,
    state: OperationState,
    http_status: Option<u16>,
    /// Why the last question was not answered.
    missed: Option<String>,
    /// How often a copy was ended.
    copies: u32,
}

impl<'a> Ending<'a> {
    fn new(world: &'a mut dyn World, api: Option<&'a Connection>, directory: String) -> Ending<'a> {
        Ending {
            world,
            api,
            directory,
            record: None,
            operation: None,
            state: OperationState::NotCreated,
            http_status: None,
            missed: None,
            copies: 0,
        }
    }

    fn run(mut self) -> Outcome {
        let end = self.lock().and_then(|()| self.end());
        let (code, problem) = match end {
            Ok(()) => (Code::RecoveryDone, Problem::default()),
            Err(Stop::With(code, problem)) => (code, problem),
            Err(Stop::Interrupted(Interrupt::DeadlinePassed)) => {
                (Code::TimedOut, Problem::new("the deadline has passed: the restore may continue", ""))
            }
            Err(Stop::Interrupted(_)) => {
                (Code::Cancelled, Problem::new("cancelled: the restore may continue", ""))
            }
        };
        if code == Code::RecoveryDone {
            self.say_end();
        }
        if code != Code::Busy {
            self.leave(code == Code::RecoveryDone);
        }
        for text in
            [problem.message.clone(), problem.hint.clone()].into_iter().filter(|text| !text.is_empty())
        {
            self.world.report(Event::log(Level::Error, &text));
        }
        Outcome {
            operation_id: self.record.and_then(|record| record.operation_id),
            operation_state: self.state,
            http_status: self.http_status,
            elapsed: self.world.now(),
            hint: problem.hint,
            busy: (code == Code::Busy).then_some(Busy::StateFile),
            ..Outcome::not_begun(code, &problem.message)
        }
    }

    /// Keeps other runs out meanwhile, and reads what the state file says. A run that has it is alive.
    fn lock(&mut self) -> Result<(), Stop> {
        let Some(journal) = self.world.journal() else { return Ok(()) };
        let (path, lock) = (journal.path(), journal.lock());
        match lock {
            Lock::Ours { left_over, garbage } => {
                if let Some(why) = garbage {
                    self.warn(&format!("the state file {path} is unreadable ({why}): ignoring it"));
                }
                self.record = left_over;
            }
            Lock::Held(record) => {
                let pid = record.map(|record| record.run.pid);
                let (who, how) = pid.map_or((String::new(), "that run".into()), |pid| {
                    (format!(" (pid {pid})"), format!("it: 'kill {pid}'"))
                });
                let message = format!(
                    "a run{who} is following the restore into {}: it has locked {path}",
                    self.directory
                );
                let hint = format!("cancel {how}, which ends the restore too");
                return Err(Stop::With(Code::Busy, Problem::new(message, hint)));
            }
            Lock::Unavailable(why) => self.warn(&format!(
                "the state file {path} can't be used ({why}): whether a run follows this restore can't be seen"
            )),
        }
        self.find_operation();
        Ok(())
    }

    /// Which operation the API is asked about, if any.
    fn find_operation(&mut self) {
        let Some((run, id)) = self.record.as_ref().and_then(|record| {
            let id = record.operation_id.clone().filter(|_| record.ended.is_none())?;
            Some((record.run.clone(), id))
        }) else {
            return;
        };
        self.state = OperationState::InProgress;
        let is_theirs = |api: &Connection| {
            api.api_url.to_string() == run.api_url && api.barman_server == run.barman_server
        };
        if self.api.is_some_and(is_theirs) {
            self.operation = Some(id);
        } else {
            let why = if self.api.is_some() { "another is given" } else { "--api-url is not given" };
            self.info(&format!(
                "the state file names operation {id} of server {} at {}: not asking about it, as {why}",
                run.barman_server, run.api_url
            ));
        }
    }

    /// Ends receivers until there are none, and the operation has ended where it is known.
    fn end(&mut self) -> Result<(), Stop> {
        let (mut asked, mut seen, mut quiet_since) = (None::<Duration>, None::<Duration>, self.world.now());
        loop {
            let receivers = self.world.end_receivers();
            let now = self.world.now();
            if receivers > 0 {
                self.say_ended(receivers, seen.is_none());
                quiet_since = now;
                let since = *seen.get_or_insert(now);
                if now.saturating_sub(since) >= PATIENCE {
                    return Err(self.endless(receivers));
                }
            } else {
                seen = None;
            }
            if self.operation.is_some() && asked.is_none_or(|last| now.saturating_sub(last) >= ASK_AGAIN) {
                asked = Some(now);
                self.ask();
            }
            let quiet = self.world.now().saturating_sub(quiet_since);
            let is_over = self.operation.is_none() || !self.state.may_be_running();
            if receivers == 0 && quiet >= QUIET && is_over {
                return Ok(());
            }
            if quiet >= PATIENCE {
                return Err(self.no_end());
            }
            self.world.pause(LOOKS)?;
        }
    }

    fn ask(&mut self) {
        let (Some(id), Some(api)) = (self.operation.clone(), self.api) else { return };
        let reply = match self.world.send(&Request::Poll(id), api.request_timeout) {
            Ok(reply) => reply,
            Err(error) => return self.missed = Some(error.text),
        };
        self.http_status = Some(reply.status);
        match reply.operation() {
            Ok(status) => {
                self.missed = None;
                self.state = match status {
                    Status::InProgress => OperationState::InProgress,
                    Status::Done => OperationState::Done,
                    Status::Failed => OperationState::Failed,
                };
            }
            Err(why) => self.missed = Some(why),
        }
    }

    fn endless(&self, receivers: usize) -> Stop {
        let message = format!(
            "{receivers} rsync receivers in {} have not ended {} after SIGTERM",
            self.directory,
            seconds(PATIENCE)
        );
        let hint = "are they stopped? 'ps -o pid,stat,args -C rsync' shows them; kill -9 ends them";
        Stop::With(Code::RecoveryFailed, Problem::new(message, hint))
    }

    fn no_end(&self) -> Stop {
        let id = self.operation.as_deref().unwrap_or_default();
        let server = self.api.map_or("", |api| &api.barman_server);
        let hint = format!(
            "see on the Barman host whether 'barman recover' of server {server} is still running; once it is not, remove the state file"
        );
        let (code, what) = match &self.missed {
            Some(why) => {
                (Code::HttpError, format!("the API does not say what became of operation {id}: {why}"))
            }
            None => (Code::RecoveryFailed, format!("operation {id} is still IN_PROGRESS")),
        };
        let message =
            format!("no receiver has been in {} for {}, but {what}", self.directory, seconds(PATIENCE));
        Stop::With(code, Problem::new(message, hint))
    }

    /// Removes the state file when it is certain that nothing of what it names is left; otherwise leaves it.
    fn leave(&mut self, ended: bool) {
        let record = self.record.clone();
        let is_known = record.as_ref().is_none_or(|record| record.ended.is_some());
        let asked = self.operation.is_some() && !self.state.may_be_running();
        let Some(journal) = self.world.journal() else { return };
        if !(ended && (is_known || asked)) {
            let path = journal.path();
            journal.leave();
            if ended {
                self.info(&format!(
                    "{path} stays: the next run for this data directory finds out what became of the operation"
                ));
            }
            return;
        }
        let last = match self.state {
            OperationState::Done => Ended::Done,
            OperationState::Failed => Ended::Failed,
            _ => Ended::NothingStarted,
        };
        let operation = record.and_then(|record| record.operation_id).map(Line::Operation);
        let lines: Vec<Line> = operation.into_iter().chain([Line::Ended(last)]).collect();
        let path = journal.path();
        if let Err(why) = journal.close(&lines) {
            self.warn(&format!("the state file {path} could not be removed: {why}"));
        }
    }

    fn say_ended(&mut self, receivers: usize, is_new: bool) {
        if !is_new {
            return;
        }
        self.copies += 1;
        let again = if self.copies > 1 { "Barman has begun to copy again: " } else { "" };
        let directory = self.directory.clone();
        self.info(&format!("{again}sent SIGTERM to {receivers} rsync receivers in {directory}"));
    }

    fn say_end(&mut self) {
        let what = if self.copies > 0 { "the restore has ended" } else { "there was nothing to end" };
        let operation =
            self.operation.as_ref().map(|id| format!("; operation {id} is {}", self.state.name()));
        self.info(&format!(
            "{what}: no rsync receiver has been in {} for {}{}",
            self.directory,
            seconds(QUIET),
            operation.unwrap_or_default()
        ));
    }

    fn info(&mut self, message: &str) {
        self.world.report(Event::log(Level::Info, message));
    }

    fn warn(&mut self, message: &str) {
        self.world.report(Event::log(Level::Warning, message));
    }
}
