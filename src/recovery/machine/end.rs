//! How a run ends: the report, the last lines of the log, and what becomes of the state file.

use std::time::Duration;

use super::{Machine, Phase, Step};
use crate::event::Level;
use crate::outcome::{Code, OperationState, Outcome};
use crate::text::{printable, seconds, size};
use crate::world::journal::{Ended, Line};

impl Machine {
    pub(super) fn finish(&mut self, code: Code, message: impl Into<String>, hint: impl Into<String>) -> Step {
        let (message, hint) = (printable(&message.into()), printable(&hint.into()));
        if code == Code::Cancelled {
            self.log(Level::Warning, message.clone());
        } else if code != Code::RecoveryDone {
            self.log(Level::Error, message.clone());
            if !hint.is_empty() {
                self.log(Level::Error, format!("HINT: {hint}"));
            }
        }
        if code != Code::Cancelled {
            let line =
                ended_line(code.name(), code as i32, self.now, self.operation_id.as_deref(), self.state);
            let restored = match self.watch.arrived() {
                Some(arrived) if self.state == OperationState::Done => format!(", {}", size(arrived.bytes)),
                _ => String::new(),
            };
            self.log(Level::Info, line + &restored);
        }
        let outcome = Outcome {
            code,
            message,
            hint,
            operation_id: self.operation_id.clone(),
            operation_state: self.state,
            http_status: self.http_status,
            elapsed: self.now,
            bytes: self.watch.arrived().map(|arrived| arrived.bytes),
            total_bytes: self.watch.arrived().and_then(|arrived| arrived.total),
        };
        if !self.claimed || self.state.may_be_running() {
            return Step::Finish(outcome);
        }
        // For a run that waits for the lock.
        let ended = match self.state {
            OperationState::Done => Some(Line::Ended(Ended::Done)),
            OperationState::Failed => Some(Line::Ended(Ended::Failed)),
            _ => None,
        };
        let operation = self.operation_id.clone().map(Line::Operation).filter(|_| ended.is_some());
        self.phase = Phase::Finishing(Box::new(outcome));
        Step::Forget(operation.into_iter().chain(ended).collect())
    }

    /// Ends a run that was told to end or whose time is up.
    pub(super) fn interrupted(&mut self, code: Code) -> Step {
        match std::mem::replace(&mut self.phase, Phase::FirstLook) {
            Phase::Finishing(outcome) => return Step::Finish(*outcome),
            // How it ended is known.
            Phase::Ebbing(_) if code == Code::TimedOut => return self.failed(),
            // The create was about to be sent, and is not.
            Phase::Creating => self.set_state(OperationState::NotCreated),
            _ => {}
        }
        let what = if code == Code::TimedOut {
            format!("the deadline of {} has passed", seconds(self.settings.deadline.unwrap_or_default()))
        } else {
            "cancelled".into()
        };
        let server = &self.settings.barman_server;
        let message = match (&self.operation_id, self.state) {
            (Some(id), state) if state.may_be_running() => {
                format!("{what}: recovery operation {id} of server {server} goes on at the Barman host")
            }
            (_, state) if state.may_be_running() => format!(
                "{what}: a recovery operation of server {server} may have been created and goes on at the Barman host then"
            ),
            (Some(id), state) => format!("{what}: recovery operation {id} has ended ({})", state.name()),
            _ => format!("{what}: no recovery operation was started"),
        };
        let hint = match &self.operation_id {
            Some(id) if self.state.may_be_running() => format!(
                "follow it with --operation-id {id}, and let nothing else write into {} meanwhile{}",
                self.settings.data_directory,
                self.forget_hint()
            ),
            None if self.state.may_be_running() => format!(
                "see on the Barman host whether 'barman recover' of server {server} runs, and let nothing else write into {} meanwhile{}",
                self.settings.data_directory,
                self.forget_hint()
            ),
            _ => String::new(),
        };
        self.finish(code, message, hint)
    }

    /// How to have an operation forgotten that never ends.
    pub(super) fn forget_hint(&self) -> String {
        match &self.settings.state_file {
            Some(path) if self.claimed => format!(
                "; once it is certain that nothing of it runs on the Barman host any more, remove {}, or the next run waits for it again",
                path.display()
            ),
            _ => String::new(),
        }
    }

    /// Nothing that takes time begins after the deadline, or lasts beyond it.
    pub(super) fn within_deadline(&mut self, step: Step) -> Step {
        let Some(deadline) = self.settings.deadline else { return step };
        step.within(deadline.saturating_sub(self.now)).unwrap_or_else(|| self.interrupted(Code::TimedOut))
    }
}

/// The last line of a run.
pub(crate) fn ended_line(
    code: &str,
    number: i32,
    time: Duration,
    operation_id: Option<&str>,
    state: OperationState,
) -> String {
    let operation = match (operation_id, state) {
        (_, OperationState::NotCreated) => String::new(),
        (Some(id), state) => format!("; operation {id}: {}", state.name()),
        (None, state) => format!("; operation: {}", state.name()),
    };
    // What the program ends with, which is what Patroni logs.
    let status =
        if number < 0 { format!("{number}, exit status {}", number & 0xff) } else { number.to_string() };
    format!("Ended with {code} ({status}) after {}{operation}", seconds(time))
}
