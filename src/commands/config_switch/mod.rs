//! A config switch as a state machine, in the manner of `machine`: what was seen goes in, what to do next comes
//! out. It keeps no state file: Patroni kills a callback when the next one comes, which then has the last word.
//!
//! A switch is not repeated blindly either. Applying a model twice would be harmless, were it not for those that
//! may be switched to in between: after a lost reply, what is new in the list is followed first (`lost.rs`).

mod lost;

use std::collections::HashSet;
use std::time::Duration;

use crate::api::{Created, Request, Status, TransportError};
use crate::cancel::Cancel;
use crate::commands::recover::{drive, seed};
use crate::config::options::Command;
use crate::config::{Config, Settings};
use crate::event::{Event, Level};
use crate::outcome::{OperationState, Outcome, SwitchCode};
use crate::recovery::api_status::{ApiStatus, judge};
use crate::recovery::backoff::{Random, SHORTEST, create_wait};
use crate::recovery::follow::{Follow, Next};
use crate::recovery::machine::{Course, Seen, Step, ended_line, refusal_hint};
use crate::text::printable;
use crate::world::client::Client;
use crate::world::host::Host;

use lost::{Lost, switches};

use crate::config::change::Change;

/// Longest wait between two looks at the operation, as Python's.
const LOOP_WAIT: Duration = Duration::from_secs(5);

/// Switches the configuration of a Barman server, if the node's new role is one for that; blocks.
///
/// `role` is the word with which Patroni calls `on_role_change`. `on_event` is called on this thread. `cancel`
/// ends the run from another thread; it leaves nothing behind but what the API does.
pub fn config_switch(
    config: &Config,
    role: &str,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Outcome<SwitchCode> {
    let host = Host::new(on_event, cancel.clone());
    let end = |level, code, message: String| {
        host.report(Event::log(level, &message));
        Outcome::not_begun(code, &message)
    };
    match config.switch_when() {
        Some(when) if !when.applies_to(role) => {
            let message =
                format!("Config switch operation was skipped (role={role}, switch_when={}).", when.name());
            return end(Level::Info, SwitchCode::Skipped, message);
        }
        _ => {}
    }
    let opened = config
        .switch()
        .and_then(|switch| Ok((switch.change, Client::open(config, Command::ConfigSwitch, host.clone())?)));
    match opened {
        Ok((change, client)) => drive(Switch::new(client.settings.clone(), change, seed()), &client),
        Err(why) => end(Level::Error, SwitchCode::InvalidArgument, why.to_string()),
    }
}

enum Phase {
    Status {
        attempt: u32,
    },
    Baseline,
    Creating,
    /// The pause before another create.
    CreateAgain,
    /// The switch, which the API named.
    Following(Follow),
    /// The reply to the create is lost: looks at the list for what is new.
    Looking(Lost),
    /// Follows what is new.
    Settling(Follow, Lost),
}

struct Switch {
    settings: Settings,
    change: Change,
    random: Random,
    now: Duration,
    events: Vec<Event>,
    phase: Phase,
    /// The switches that were there before the create.
    known: Option<HashSet<String>>,
    attempts: u32,
    operation_id: Option<String>,
    state: OperationState,
    http_status: Option<u16>,
}

type Do = Step<SwitchCode>;

impl Course for Switch {
    type Code = SwitchCode;

    fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Do) {
        self.now = now;
        if let Seen::Reply(reply) = &seen {
            self.http_status = Some(reply.status);
        }
        let step = match seen {
            Seen::Cancelled => self.interrupted(SwitchCode::Cancelled, "cancelled"),
            seen => self.react(seen),
        };
        let left = self.settings.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(now));
        let step = step
            .within(left)
            .unwrap_or_else(|| self.interrupted(SwitchCode::TimedOut, "the deadline has passed"));
        (std::mem::take(&mut self.events), step)
    }
}

impl Switch {
    fn new(settings: Settings, change: Change, seed: u64) -> Switch {
        Switch {
            settings,
            change,
            random: Random::new(seed),
            now: Duration::ZERO,
            events: Vec::new(),
            phase: Phase::Status { attempt: 1 },
            known: None,
            attempts: 0,
            operation_id: None,
            state: OperationState::NotCreated,
            http_status: None,
        }
    }

    fn react(&mut self, seen: Seen) -> Do {
        match (std::mem::replace(&mut self.phase, Phase::Baseline), seen) {
            (Phase::Status { attempt }, Seen::Start) => {
                self.tell_begin();
                self.ask_status(attempt)
            }
            (Phase::Status { attempt }, Seen::Waited) => self.ask_status(attempt),
            (Phase::Status { attempt }, seen) => self.api_status(attempt, seen),
            (Phase::Baseline, seen) => {
                self.known = switches(seen).map(|list| list.into_iter().collect()).ok();
                self.create()
            }
            (Phase::Creating, seen) => self.creating(seen),
            (Phase::CreateAgain, _) => self.create(),
            (Phase::Following(follow), Seen::Waited) => {
                self.send(Request::Poll(follow.id.clone()), Phase::Following(follow))
            }
            (Phase::Following(follow), seen) => self.following(follow, seen),
            (Phase::Looking(lost), Seen::Waited) => self.send(Request::List, Phase::Looking(lost)),
            (Phase::Looking(lost), seen) => self.looking(lost, seen),
            (Phase::Settling(follow, lost), Seen::Waited) => {
                self.send(Request::Poll(follow.id.clone()), Phase::Settling(follow, lost))
            }
            (Phase::Settling(follow, lost), seen) => self.settling(follow, lost, seen),
        }
    }

    fn tell_begin(&mut self) {
        let what = match &self.change {
            Change::Model(model) => format!("Applying config model {model} to"),
            Change::Reset => "Unapplying the config model of".into(),
        };
        let (server, url) = (&self.settings.barman_server, &self.settings.api_url);
        let line = format!("{what} Barman server {server} through {url} (barman-recover {})", crate::VERSION);
        self.log(Level::Info, line);
    }

    // The API's status

    fn ask_status(&mut self, attempt: u32) -> Do {
        self.send(Request::Status, Phase::Status { attempt })
    }

    fn api_status(&mut self, attempt: u32, seen: Seen) -> Do {
        match judge(seen, attempt, &self.settings, &mut self.random) {
            ApiStatus::Up => self.send(Request::List, Phase::Baseline),
            ApiStatus::Down(message, hint) => self.finish(SwitchCode::ApiNotOk, message, hint),
            ApiStatus::Again(wait, line) => {
                self.log(Level::Warning, line);
                self.wait(wait, Phase::Status { attempt: attempt + 1 })
            }
        }
    }

    // The create

    fn create(&mut self) -> Do {
        self.set_state(OperationState::MaybeCreated); // until the contrary is known
        self.send(Request::Switch(self.change.clone()), Phase::Creating)
    }

    fn creating(&mut self, seen: Seen) -> Do {
        match seen {
            Seen::Reply(reply) => match reply.created() {
                Created::Named(id) => {
                    self.operation_id = Some(id.clone());
                    self.set_state(OperationState::InProgress);
                    self.log(Level::Info, format!("Created the config switch operation with ID {id}"));
                    self.wait(SHORTEST, Phase::Following(Follow::new(id, self.now, LOOP_WAIT)))
                }
                Created::Refused(why) => self.refused(&why, refusal_hint(&why)),
                Created::NotStarted(why) => self.create_failed(&why, reply.retry_after),
                Created::InDoubt(why) => self.lost(why),
            },
            Seen::Unanswered(TransportError { sent: true, text, .. }) => self.lost(text),
            Seen::Unanswered(TransportError { permanent: true, text, hint, .. }) => self.refused(&text, hint),
            Seen::Unanswered(none) => self.create_failed(&none.text, None),
            _ => self.lost("no answer".into()),
        }
    }

    fn refused(&mut self, why: &str, hint: String) -> Do {
        self.set_state(OperationState::NotCreated);
        let (server, url) = (&self.settings.barman_server, &self.settings.api_url);
        let message = format!(
            "An issue was faced while trying to create a config switch operation: server {server} at {url}: {why}"
        );
        self.finish(SwitchCode::HttpError, message, hint)
    }

    /// A create that started nothing.
    fn create_failed(&mut self, why: &str, retry_after: Option<Duration>) -> Do {
        self.operation_id = None;
        self.set_state(OperationState::NotCreated);
        self.attempts += 1;
        let (attempt, most) = (self.attempts, self.settings.max_retries.max(1));
        if attempt >= most {
            let why = format!("{why} ({attempt} tries)");
            return self.refused(&why, refusal_hint(&why));
        }
        let line = format!("Attempt {attempt} of {most} to create the config switch operation failed: {why}");
        self.log(Level::Warning, line);
        let wait = create_wait(self.settings.retry_wait, LOOP_WAIT, retry_after, &mut self.random);
        self.wait(wait, Phase::CreateAgain)
    }

    // The operation

    fn following(&mut self, mut follow: Follow, seen: Seen) -> Do {
        let id = follow.id.clone();
        match follow.saw(seen, self.now, &self.settings, &mut self.random) {
            Next::Ended(status) => self.ended(&[(id, status)]),
            next => match self.go_on(&id, next) {
                Ok(wait) => self.wait(wait, Phase::Following(follow)),
                Err(why) => self.given_up(&id, &why),
            },
        }
    }

    /// How long to wait before the next look, or why there is none.
    fn go_on(&mut self, id: &str, next: Next) -> Result<Duration, String> {
        match next {
            Next::Wait(wait, tell) => {
                if tell {
                    self.log(Level::Info, format!("Config switch operation {id} is still in progress"));
                }
                Ok(wait)
            }
            Next::Again(wait, why) => {
                self.log(Level::Warning, why);
                Ok(wait)
            }
            Next::Unknown(why) | Next::Lost(why) => Err(why),
            Next::Ended(_) => Ok(Duration::ZERO),
        }
    }

    fn given_up(&mut self, id: &str, why: &str) -> Do {
        let (server, url) = (&self.settings.barman_server, &self.settings.api_url);
        let message = format!(
            "Maximum number of retries exceeded, exiting. Operation {id} of server {server} may still be running: {url}: {why}"
        );
        self.finish(SwitchCode::HttpError, message, "'patroni_barman operations wait' follows it")
    }

    fn ended(&mut self, ended: &[(String, Status)]) -> Do {
        if let [(id, _)] = ended {
            self.operation_id = Some(id.clone());
        }
        if ended.iter().all(|(_, status)| *status == Status::Done) {
            self.set_state(OperationState::Done);
            self.log(Level::Info, "Config switch operation finished successfully.".into());
            return self.finish(SwitchCode::Done, "", "");
        }
        self.set_state(OperationState::Failed);
        let server = &self.settings.barman_server;
        let ids: Vec<&str> = ended.iter().map(|(id, _)| id.as_str()).collect();
        let hint = format!(
            "the API tells no reason; Barman's own output is in <barman_home>/{server}/output/{}.json on the Barman host",
            ids.join(".json and ")
        );
        self.finish(SwitchCode::Failed, "Config switch operation failed.", hint)
    }

    // The end

    fn interrupted(&mut self, code: SwitchCode, what: &str) -> Do {
        if let Phase::Creating = self.phase {
            self.set_state(OperationState::NotCreated); // it was about to be sent
        }
        let message = match (&self.operation_id, self.state) {
            (Some(id), state) if state.may_be_running() => {
                format!("{what}: config switch operation {id} goes on at the Barman host")
            }
            (_, state) if state.may_be_running() => {
                format!(
                    "{what}: a config switch operation may have been created and goes on at the Barman host then"
                )
            }
            _ => format!("{what}: no config switch operation was started"),
        };
        self.finish(code, message, "")
    }

    fn finish(&mut self, code: SwitchCode, message: impl Into<String>, hint: impl Into<String>) -> Do {
        let (message, hint) = (printable(&message.into()), printable(&hint.into()));
        match code {
            SwitchCode::Done => {}
            SwitchCode::Cancelled => self.log(Level::Warning, message.clone()),
            _ => self.log(Level::Error, message.clone()),
        }
        if !hint.is_empty() {
            self.log(Level::Error, format!("HINT: {hint}"));
        }
        if code != SwitchCode::Cancelled {
            let ended =
                ended_line(code.name(), code as i32, self.now, self.operation_id.as_deref(), self.state);
            self.log(Level::Info, ended);
        }
        Step::Finish(Outcome {
            code,
            message,
            hint,
            operation_id: self.operation_id.clone(),
            operation_state: self.state,
            http_status: self.http_status,
            elapsed: self.now,
            bytes: None,
            total_bytes: None,
        })
    }

    // What several phases share

    fn send(&mut self, request: Request, phase: Phase) -> Do {
        let timeout = request.timeout(&self.settings);
        self.phase = phase;
        Step::Send(request, timeout)
    }

    fn wait(&mut self, wait: Duration, phase: Phase) -> Do {
        self.phase = phase;
        Step::Wait(wait)
    }

    fn log(&mut self, level: Level, message: String) {
        self.events.push(Event::log(level, &message));
    }

    fn set_state(&mut self, state: OperationState) {
        if self.state != state {
            self.state = state;
            self.events.push(Event::State { state, operation_id: self.operation_id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::options::Opt;

    #[test]
    fn whatever_a_role_or_a_model_holds_is_told_in_one_line() {
        let mut config = Config::new();
        config.set(Opt::SwitchWhen, "promoted").unwrap().set(Opt::BarmanModel, "a\nb").unwrap();
        config.set(Opt::Reset, true).unwrap();
        for (role, code) in [("rep\nlica", SwitchCode::Skipped), ("primary", SwitchCode::InvalidArgument)] {
            let log = Arc::new(Mutex::new(Vec::new()));
            let told = Arc::clone(&log);
            let outcome =
                config_switch(&config, role, &Cancel::new(), move |event| told.lock().unwrap().push(event));
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
