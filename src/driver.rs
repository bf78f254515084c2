//! The one loop: asks a machine what to do, does it, and tells the machine what came of it.

use std::path::Path;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::client::Client;
use crate::config::Config;
use crate::data_directory;
use crate::event::{Event, Level};
use crate::ffi::sys;
use crate::host::Host;
use crate::machine::{Claim, Machine, Seen, Step};
use crate::options::Command;
use crate::outcome::{Code, Outcome};
use crate::state_file::StateFile;

/// A pure state machine that leads to an outcome.
pub(crate) trait Course {
    /// How it can end.
    type Code;

    /// Takes what was seen at `now` (time since the start) and tells what to do. Events come before the step.
    fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Step<Self::Code>);
}

impl Course for Machine {
    type Code = Code;

    fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Step) {
        Machine::advance(self, seen, now)
    }
}

/// Runs one recovery to its end; blocks.
///
/// `on_event` is called on this thread. `cancel` ends the run from another thread. Options that are missing,
/// wrong or don't fit together end it with [`Code::InvalidArgument`] before anything is sent.
pub fn run(config: &Config, cancel: &Cancel, on_event: impl FnMut(Event) + Send + 'static) -> Outcome {
    let host = Host::new(on_event, cancel.clone());
    match Client::open(config, Command::Recover, host.clone()) {
        Ok(client) => drive(Machine::new(client.settings.clone(), seed()), &client),
        Err(why) => {
            let why = why.to_string();
            host.tell(Event::Log { level: Level::Error, message: why.clone() });
            Outcome::invalid(why)
        }
    }
}

pub(crate) fn drive<C: Course>(mut course: C, client: &Client) -> Outcome<C::Code> {
    let Client { settings, host, started, .. } = client;
    let mut state_file = settings.state_file.as_deref().map(StateFile::new);
    let mut seen = Seen::Start;
    loop {
        let (events, step) = course.advance(seen, started.elapsed());
        for event in events {
            host.tell(event);
        }
        host.tick();
        // What has been seen must not be lost; what takes time need not begin.
        let takes_time = matches!(step, Step::Claim | Step::Send(..) | Step::Wait(_));
        if takes_time && host.cancel.is_cancelled() {
            seen = Seen::Cancelled;
            continue;
        }
        seen = match step {
            Step::Look => {
                let path = Path::new(&settings.data_directory);
                Seen::Looked(data_directory::look(path, sys::process_lives))
            }
            Step::Claim => Seen::Claimed(match &mut state_file {
                Some(file) => file.claim(),
                None => Claim::Unavailable("there is none".into()),
            }),
            Step::Save(lines) => {
                let saved = state_file.as_mut().map_or(Ok(()), |file| file.append(&lines));
                Seen::Saved(saved.err().map(|error| error.to_string()))
            }
            Step::Forget(last) => {
                let removed = state_file.as_mut().map_or(Ok(()), |file| file.remove(last));
                Seen::Forgotten(removed.err().map(|error| error.to_string()))
            }
            Step::Send(request, timeout) => match client.send(&request, timeout) {
                Ok(reply) => Seen::Reply(reply),
                Err(none) => Seen::NoReply(none),
            },
            Step::Wait(wait) => {
                host.wait(wait);
                Seen::Waited
            }
            Step::Finish(outcome) => return outcome,
        };
    }
}

/// Differs between nodes and runs that start together.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
