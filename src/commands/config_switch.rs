//! Switches the configuration of a Barman server after a role change. It keeps no state file: Patroni kills a
//! callback when the next one starts, and the last callback wins.
//!
//! A switch is not retried blindly either: applying a model twice is harmless, but another model may have been
//! applied in between. After a lost reply, the new operations in the list are followed first.

use serde::Serialize;

use crate::api::{OperationKind, Request, Status};
use crate::cancel::Cancel;
use crate::commands::recover::Warnings;
use crate::config::Change;
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError, Connection};
use crate::error::Error;
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, OperationState, Problem};
use crate::recovery::create::{Attempts, create};
use crate::recovery::explain::own_output;
use crate::recovery::follow::{follow, poll};
use crate::recovery::history::History;
use crate::recovery::monitor::Monitor;
use crate::recovery::session::{Session, ended_line};
use crate::recovery::verdict::Ended;
use crate::recovery::{known_operations::KnownOperations, preflight::api_is_up};
use crate::timing::SWITCH_LOOP_WAIT;
use crate::version::VERSION;
use crate::world::World;
use crate::world::real::RealWorld;

/// How many earlier switches may still be in progress.
const LATEST: usize = 2;

/// What became of a config switch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Switch {
    /// Whether the configuration was switched. With [`Code::RecoveryDone`], `false` means that no switch is
    /// wanted for this role.
    pub switched: bool,
    /// The operation that was created, if it is known.
    pub operation_id: Option<String>,
    /// What is known about that operation.
    pub operation_state: OperationState,
    /// The HTTP status of the reply that decided how it ended; `None` when no reply did.
    pub http_status: Option<u16>,
    /// The warnings of the log.
    pub warnings: Vec<String>,
}

impl Answer<Switch> {
    /// The exit status of Patroni's `patroni_barman config-switch`, and its name.
    #[must_use]
    pub fn exit(&self) -> (&'static str, u8) {
        match (self.code, self.found.switched) {
            (Code::RecoveryDone, true) => ("CONFIG_SWITCH_DONE", 0),
            (Code::RecoveryDone, false) => ("CONFIG_SWITCH_SKIPPED", 1),
            (Code::RecoveryFailed, _) => ("CONFIG_SWITCH_FAILED", 2),
            (Code::HttpError, _) => ("HTTP_ERROR", 3),
            (Code::InvalidArgument, _) => ("INVALID_ARGS", 4),
            (code, _) => (code.name(), code.exit_status()),
        }
    }
}

/// Switches the configuration of a Barman server, if a switch is wanted for the node's new role; blocks.
///
/// The option `role` is the word with which Patroni calls `on_role_change`. `on_event` is called on this thread.
/// `cancel` ends the run from another thread; a switch that the API has started goes on.
pub fn config_switch(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Switch> {
    let (caller, warnings) = Warnings::caller(on_event, cancel);
    let not_begun = |level: Level, code: Code, why: &str| {
        caller.report(Event::log(level, why));
        Answer::not_begun(code, Problem::without_hint(why))
    };
    if let (Some(when), Some(role)) = (config.text(Opt::SwitchWhen), config.text(Opt::Role))
        && !config.switches_for(role)
    {
        let message = format!("Config switch operation was skipped (role={role}, switch_when={when}).");
        return not_begun(Level::Info, Code::RecoveryDone, &message);
    }
    let opened = config.change().and_then(|change| {
        if config.text(Opt::Role).is_none() {
            return Err(ConfigError::of(Opt::Role, "is required"));
        }
        let connection = config.connection(Command::ConfigSwitch)?;
        Ok((change, RealWorld::open(&connection, None, caller.clone())?, connection))
    });
    match opened {
        Ok((change, mut world, connection)) => switch(&mut world, &connection, &change, || warnings.taken()),
        Err(why) => not_begun(Level::Error, Code::InvalidArgument, &why.to_string()),
    }
}

fn switch(
    world: &mut dyn World,
    connection: &Connection,
    change: &Change,
    warnings: impl FnOnce() -> Vec<String>,
) -> Answer<Switch> {
    let mut run = Session::new(world, connection, OperationKind::ConfigSwitch, SWITCH_LOOP_WAIT);
    let what = match change {
        Change::Model(model) => format!("Applying config model {model} to"),
        Change::Reset => "Unapplying the config model of".into(),
    };
    let (server, url) = (&connection.barman_server, &connection.api_url);
    run.info(format!("{what} Barman server {server} through {url} (barman-recover {VERSION})"));
    let end = switched(&mut run, change);
    let ended = run.finish(end, |run, interrupt| {
        let what = run.reason(interrupt);
        let server = &run.connection.barman_server;
        Problem::without_hint(match (&run.operation_id, run.state.may_be_running()) {
            (Some(id), true) => format!(
                "{what}: config switch operation {id} of server {server} continues on the Barman host"
            ),
            (None, true) => {
                format!("{what}: a config switch operation of server {server} may have been created")
            }
            (_, false) => format!("{what}: no config switch operation is running"),
        })
    });
    let switch = Switch {
        switched: ended.code == Code::RecoveryDone,
        operation_id: ended.found.operation_id.clone(),
        operation_state: ended.found.operation_state,
        http_status: ended.found.http_status,
        warnings: warnings(),
    };
    let answer = ended.clone().with(switch);
    if answer.code != Code::Cancelled {
        let (name, exit_status) = answer.exit();
        run.info(ended_line(&ended, name, exit_status));
    }
    answer
}

fn switched(run: &mut Session, change: &Change) -> Result<(), Error> {
    api_is_up(run)?;
    let mut known = KnownOperations::list(run)?;
    wait_for_another(run, &known)?;
    let mut attempts = Attempts::default();
    loop {
        let created = create(run, &Request::Switch(change.clone()), &known)?;
        let mut history = History::blind(run.now());
        let mut monitor = Monitor::new(run.now(), None, None, &mut history);
        let failure = match follow(run, &mut monitor, created, &mut known)? {
            Ended::Done => {
                done(run);
                return Ok(());
            }
            Ended::Failed => return Err(failed(run)),
            Ended::Nothing(failure) => failure,
            Ended::Unclear(why) | Ended::Stalled(why) => return Err(unclear(run, &why)),
            Ended::SecondBarman => Error::new(Code::HttpError, "two operations were created"),
        };
        attempts.again(run, &mut known, failure)?;
    }
}

/// When the role changes again, Patroni kills the callback, but not the switch that the callback has started,
/// and Barman runs two switches in parallel. The earlier one has to end first, so that the last role wins.
fn wait_for_another(run: &mut Session, known: &KnownOperations) -> Result<(), Error> {
    for id in known.newest(LATEST) {
        let mut waited = false;
        let begun = run.now();
        while is_in_progress(run, &id)? && run.now().saturating_sub(begun) < run.connection.create_timeout {
            if !std::mem::replace(&mut waited, true) {
                run.info(format!("config switch operation {id} is in progress: waiting for it to end"));
            }
            run.pause(SWITCH_LOOP_WAIT / 10)?;
        }
    }
    Ok(())
}

/// Whether the API says that `id` is in progress. Any other answer, or none, does not prevent the new switch.
fn is_in_progress(run: &mut Session, id: &str) -> Result<bool, Error> {
    match poll(run, id) {
        Err(error) if error.is_interrupt() => Err(error),
        answer => Ok(answer == Ok(Status::InProgress)),
    }
}

fn done(run: &mut Session) {
    run.set_state(OperationState::Done);
    run.info("Config switch operation finished successfully.");
}

fn failed(run: &mut Session) -> Error {
    run.set_state(OperationState::Failed);
    let output =
        own_output(&run.connection.barman_server, run.operation_id.as_deref().unwrap_or("OPERATION"));
    Error::with(
        Code::RecoveryFailed,
        "Config switch operation failed.",
        format!("the API gives no reason; {output}"),
    )
}

fn unclear(run: &Session, why: &str) -> Error {
    let id = run.operation_id.as_deref().unwrap_or("OPERATION");
    Error::with(
        Code::HttpError,
        format!("Maximum number of retries exceeded, exiting. {why}"),
        own_output(&run.connection.barman_server, id),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn whatever_a_role_or_a_model_holds_is_logged_in_one_line() {
        let mut config = Config::new();
        config.set(Opt::SwitchWhen, "promoted").unwrap().set(Opt::BarmanModel, "a\nb").unwrap();
        config.set(Opt::Reset, "true").unwrap();
        for (role, code) in [("rep\nlica", Code::RecoveryDone), ("primary", Code::InvalidArgument)] {
            config.set(Opt::Role, role).unwrap();
            let log = Arc::new(Mutex::new(Vec::new()));
            let logged = Arc::clone(&log);
            let outcome =
                config_switch(&config, &Cancel::new(), move |event| logged.lock().unwrap().push(event));
            assert_eq!((outcome.code, outcome.found.switched), (code, false));
            assert!(!outcome.message.contains(char::is_control), "{}", outcome.message);
            let log = log.lock().unwrap();
            assert!(
                matches!(&log[..], [Event::Log { message, .. }] if *message == outcome.message),
                "{log:?}"
            );
        }
    }
}
