//! After a lost reply to the create: finds out what it has started, and follows that.

use std::collections::VecDeque;

use super::{Do, LOOP_WAIT, Phase, Switch};
use crate::api::{OperationKind, Request, Status};
use crate::event::Level;
use crate::outcome::{OperationState, SwitchCode};
use crate::recovery::backoff::SHORTEST;
use crate::recovery::follow::{Follow, Next};
use crate::recovery::machine::Seen;

/// What is known after a lost reply.
pub(super) struct Lost {
    why: String,
    looks: u32,
    open: VecDeque<String>,
    ended: Vec<(String, Status)>,
}

impl Switch {
    pub(super) fn lost(&mut self, why: String) -> Do {
        self.set_state(OperationState::MaybeCreated);
        self.log(
            Level::Warning,
            format!("the reply to the create is lost ({why}): the config may be switched, looking for the operation"),
        );
        let lost = Lost { why, looks: 0, open: VecDeque::new(), ended: Vec::new() };
        self.send(Request::List, Phase::Looking(lost))
    }

    pub(super) fn looking(&mut self, mut lost: Lost, seen: Seen) -> Do {
        lost.looks += 1;
        let listed = match switches(seen) {
            Ok(listed) => listed,
            Err(why) if lost.looks >= self.settings.max_retries.max(2) => {
                return self.uncertain(&lost, &format!("the operations can't be listed: {why}"));
            }
            Err(why) => {
                self.log(Level::Warning, format!("the operations can't be listed: {why}"));
                return self.look_again(lost);
            }
        };
        let Some(known) = &mut self.known else {
            return self.uncertain(&lost, "the operations could not be listed before it");
        };
        lost.open.extend(listed.into_iter().filter(|id| known.insert(id.clone())));
        if lost.open.is_empty() && lost.looks < 2 {
            // A create that the API was still busy with shows up a little later.
            return self.look_again(lost);
        }
        self.settle(lost)
    }

    fn look_again(&mut self, lost: Lost) -> Do {
        self.wait(self.settings.retry_wait.max(SHORTEST), Phase::Looking(lost))
    }

    /// Follows the next of what is new; at the end of all reports it, or creates again if there was none.
    fn settle(&mut self, mut lost: Lost) -> Do {
        if let Some(id) = lost.open.pop_front() {
            self.log(Level::Info, format!("operation {id} is new: it may be the one"));
            let follow = Follow::new(id.clone(), self.now, LOOP_WAIT);
            return self.send(Request::Poll(id), Phase::Settling(follow, lost));
        }
        if lost.ended.is_empty() {
            return self.create_failed(&format!("{}; no operation was created", lost.why), None);
        }
        self.ended(&lost.ended)
    }

    pub(super) fn settling(&mut self, mut follow: Follow, mut lost: Lost, seen: Seen) -> Do {
        let id = follow.id.clone();
        match follow.saw(seen, self.now, &self.settings, &mut self.random) {
            Next::Ended(status) => {
                lost.ended.push((id, status));
                self.settle(lost)
            }
            Next::Unknown(_) => self.settle(lost),
            next => match self.go_on(&id, next) {
                Ok(wait) => self.wait(wait, Phase::Settling(follow, lost)),
                Err(why) => self.given_up(&id, &why),
            },
        }
    }

    fn uncertain(&mut self, lost: &Lost, why: &str) -> Do {
        let message = format!(
            "An issue was faced while trying to create a config switch operation: its reply was lost ({}), and {why}",
            lost.why
        );
        let hint = "see on the Barman host which model is active ('barman diagnose', active_model)";
        self.finish(SwitchCode::HttpError, message, hint)
    }
}

/// The switches of a reply to `List`, or why there are none.
pub(super) fn switches(seen: Seen) -> Result<Vec<String>, String> {
    match seen {
        Seen::Reply(reply) => reply.ids(OperationKind::Switch),
        Seen::Unanswered(none) => Err(none.text),
        _ => Err("no answer".into()),
    }
}
