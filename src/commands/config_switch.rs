//! Switches the configuration of a Barman server after a role change. It keeps no state file: Patroni kills a
//! callback when the next one starts, and the last callback wins.
//!
//! A switch is not retried blindly either: applying a model twice is harmless, but another model may have been
//! applied in between. After a lost reply it first follows the new operations in the list.

use std::time::Duration;

use crate::api::{OperationKind, Request};
use crate::cancel::Cancel;
use crate::commands::not_begun;
use crate::config::change::Change;
use crate::config::options::Command;
use crate::config::{Config, Connection};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome, SwitchCode};
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

/// Switches the configuration of a Barman server, if the node's new role is one for that; blocks.
///
/// `role` is the word with which Patroni calls `on_role_change`. `on_event` is called on this thread. `cancel` ends
/// the run from another thread; a switch that the API has started goes on.
pub fn config_switch(
    config: &Config,
    role: &str,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Outcome<SwitchCode> {
    let host = Host::new(on_event, cancel.clone());
    if let Some(when) = config.switch_when()
        && !when.applies_to(role)
    {
        let message =
            format!("Config switch operation was skipped (role={role}, switch_when={}).", when.name());
        return not_begun(&host, Level::Info, SwitchCode::Skipped, &message);
    }
    let opened = config.switch().and_then(|asked| {
        let connection = config.connection(Command::ConfigSwitch)?;
        Ok((asked, Here::open(&connection, None, host.clone())?, connection))
    });
    match opened {
        Ok((asked, mut world, connection)) => switch(&mut world, &connection, &asked.change),
        Err(why) => not_begun(&host, Level::Error, SwitchCode::InvalidArgument, &why.to_string()),
    }
}

fn switch(world: &mut dyn World, connection: &Connection, change: &Change) -> Outcome<SwitchCode> {
    let mut run = Run::new(world, connection, OperationKind::ConfigSwitch, LOOP_WAIT);
    let what = match change {
        Change::Model(model) => format!("Applying config model {model} to"),
        Change::Reset => "Unapplying the config model of".into(),
    };
    let (server, url) = (&connection.barman_server, &connection.api_url);
    run.info(format!("{what} Barman server {server} through {url} (barman-recover {VERSION})"));
    let end = switched(&mut run, change);
    finish(run, end)
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

fn finish(mut run: Run, end: Result<(), End>) -> Outcome<SwitchCode> {
    let outcome = run.finish(end, |run, interrupt| {
        run.interrupted(match interrupt {
            Interrupt::DeadlinePassed => "the deadline has passed",
            Interrupt::Cancelled | Interrupt::Detached => "cancelled",
        })
    });
    let outcome = outcome.map(|code| match code {
        Code::RecoveryDone => SwitchCode::Done,
        Code::RecoveryFailed => SwitchCode::Failed,
        Code::ApiNotOk => SwitchCode::ApiNotOk,
        Code::TimedOut => SwitchCode::TimedOut,
        Code::Cancelled => SwitchCode::Cancelled,
        _ => SwitchCode::HttpError,
    });
    if outcome.code != SwitchCode::Cancelled {
        run.info(ended_line(&outcome, outcome.code.name(), outcome.code as i32));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::options::Opt;

    #[test]
    fn whatever_a_role_or_a_model_holds_is_logged_in_one_line() {
        let mut config = Config::new();
        config.set(Opt::SwitchWhen, "promoted").unwrap().set(Opt::BarmanModel, "a\nb").unwrap();
        config.set(Opt::Reset, true).unwrap();
        for (role, code) in [("rep\nlica", SwitchCode::Skipped), ("primary", SwitchCode::InvalidArgument)] {
            let log = Arc::new(Mutex::new(Vec::new()));
            let logged = Arc::clone(&log);
            let outcome =
                config_switch(&config, role, &Cancel::new(), move |event| logged.lock().unwrap().push(event));
            assert_eq!(outcome.code, code);
            assert!(!outcome.message.contains(char::is_control), "{}", outcome.message);
            let log = log.lock().unwrap();
            assert!(
                matches!(&log[..], [Event::Log { message, .. }] if *message == outcome.message),
                "{log:?}"
            );
        }
    }
}
