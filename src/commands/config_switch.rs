//! Switches the configuration of a Barman server after a role change. It keeps no state file: Patroni kills a
//! callback when the next one starts, and the last callback wins.
//!
//! A switch is not retried blindly either: applying a model twice is harmless, but another model may have been
//! applied in between. After a lost reply it first follows the new operations in the list.

use std::time::Duration;

use serde::Serialize;

use crate::api::{OperationKind, Request};
use crate::cancel::Cancel;
use crate::commands::recover::Warnings;
use crate::config::change::Change;
use crate::config::options::{Command, Opt};
use crate::config::{Config, Connection};
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, OperationState, Outcome, Problem};
use crate::recovery::create::{Attempts, Created, Failure, create};
use crate::recovery::ended_line;
use crate::recovery::follow::{Ended, Fate};
use crate::recovery::in_doubt::follow_started;
use crate::recovery::problems::own_output;
use crate::recovery::run::{End, Run};
use crate::recovery::start::{Baseline, api_is_up};
use crate::recovery::watch::Watch;
use crate::version::VERSION;
use crate::world::here::Here;
use crate::world::host::Host;
use crate::world::{Interrupt, World};

/// Longest wait between two polls, as in the Python program.
const LOOP_WAIT: Duration = Duration::from_secs(5);

/// What became of a config switch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Switch {
    /// Whether the configuration was switched: with [`Code::RecoveryDone`], `false` means that this role is none for
    /// which it is to be.
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

/// Switches the configuration of a Barman server, if the node's new role is one for that; blocks.
///
/// The option `role` is the word with which Patroni calls `on_role_change`. `on_event` is called on this thread.
/// `cancel` ends the run from another thread; a switch that the API has started goes on.
pub fn config_switch(
    config: &Config,
    cancel: &Cancel,
    mut on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Switch> {
    let warnings = Warnings::default();
    let noted = warnings.clone();
    let host = Host::new(
        move |event| {
            noted.note(&event);
            on_event(event);
        },
        cancel.clone(),
    );
    let not_begun = |level: Level, code: Code, why: &str| {
        host.report(Event::log(level, why));
        Answer::new(code, Problem::new(why, ""), Duration::ZERO, Switch::default())
    };
    if let (Some(when), Some(role)) = (config.switch_when(), config.text(Opt::Role))
        && !when.applies_to(role)
    {
        let message =
            format!("Config switch operation was skipped (role={role}, switch_when={}).", when.name());
        return not_begun(Level::Info, Code::RecoveryDone, &message);
    }
    let opened = config.switch().and_then(|asked| {
        let connection = config.connection(Command::ConfigSwitch)?;
        Ok((asked, Here::open(&connection, None, host.clone())?, connection))
    });
    match opened {
        Ok((asked, mut world, connection)) => {
            switch(&mut world, &connection, &asked.change, || warnings.taken())
        }
        Err(why) => not_begun(Level::Error, Code::InvalidArgument, &why.to_string()),
    }
}

fn switch(
    world: &mut dyn World,
    connection: &Connection,
    change: &Change,
    warnings: impl FnOnce() -> Vec<String>,
) -> Answer<Switch> {
    let mut run = Run::new(world, connection, OperationKind::ConfigSwitch, LOOP_WAIT);
    let what = match change {
        Change::Model(model) => format!("Applying config model {model} to"),
        Change::Reset => "Unapplying the config model of".into(),
    };
    let (server, url) = (&connection.barman_server, &connection.api_url);
    run.info(format!("{what} Barman server {server} through {url} (barman-recover {VERSION})"));
    let end = switched(&mut run, change);
    let outcome = run.finish(end, |run, interrupt| {
        run.interrupted(match interrupt {
            Interrupt::DeadlinePassed => "the deadline has passed",
            Interrupt::Cancelled | Interrupt::Detached => "cancelled",
        })
    });
    let answer = answered(&outcome, warnings());
    if answer.code != Code::Cancelled {
        let (name, status) = answer.exit();
        let number = if (answer.code as i32) < 0 { answer.code as i32 } else { status.into() };
        run.info(ended_line(&outcome, name, number));
    }
    answer
}

fn answered(outcome: &Outcome, warnings: Vec<String>) -> Answer<Switch> {
    let switch = Switch {
        switched: outcome.code == Code::RecoveryDone,
        operation_id: outcome.operation_id.clone(),
        operation_state: outcome.operation_state,
        http_status: outcome.http_status,
        warnings,
    };
    let code = match outcome.code {
        code @ (Code::RecoveryDone
        | Code::RecoveryFailed
        | Code::ApiNotOk
        | Code::TimedOut
        | Code::Cancelled) => code,
        _ => Code::HttpError,
    };
    let problem = Problem::new(outcome.message.as_str(), outcome.hint.as_str());
    Answer::new(code, problem, outcome.elapsed, switch)
}

fn switched(run: &mut Run, change: &Change) -> Result<(), End> {
    api_is_up(run)?;
    let mut baseline = Baseline::take(run)?;
    let mut attempts = Attempts::default();
    loop {
        let mut watch = Watch::blind(run.now());
        let failure = match create(run, &Request::Switch(change.clone()))? {
            Created::NotStarted(failure) => failure,
            Created::Started(started) => {
                let ended = follow_started(run, &mut watch, &mut baseline, started)?.ended;
                if !ended.is_empty() {
                    return judge(run, &ended);
                }
                Failure::new("no operation was created".into())
            }
        };
        attempts.again(run, &mut baseline, &failure)?;
    }
}

/// Only the API knows how a switch ended.
fn judge(run: &mut Run, ended: &[Ended]) -> Result<(), End> {
    let is_done = ended.iter().all(|ended| ended.fate == Fate::Done);
    let id = match ended {
        [one] => Some(one.id.as_str()),
        _ => None,
    };
    run.set_operation(id, if is_done { OperationState::Done } else { OperationState::Failed });
    run.settled = true;
    if is_done {
        run.info("Config switch operation finished successfully.");
        return Ok(());
    }
    let server = &run.connection.barman_server;
    let ids: Vec<&str> = ended.iter().map(|ended| ended.id.as_str()).collect();
    Err(End::with(
        Code::RecoveryFailed,
        "Config switch operation failed.",
        format!("the API gives no reason; {}", own_output(None, server, &ids.join(".json and "))),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn whatever_a_role_or_a_model_holds_is_logged_in_one_line() {
        let mut config = Config::new();
        config.set(Opt::SwitchWhen, "promoted").unwrap().set(Opt::BarmanModel, "a\nb").unwrap();
        config.set(Opt::Reset, true).unwrap();
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
