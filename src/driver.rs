//! The one loop: asks the machine what to do, does it, and tells the machine what came of it.

use std::path::Path;
use std::time::Instant;

use crate::cancel::Cancel;
use crate::config::Config;
use crate::data_directory;
use crate::event::{Event, Level};
use crate::ffi::sys;
use crate::host::Host;
use crate::machine::{Claim, Machine, Seen, Step};
use crate::options::Command;
use crate::outcome::Outcome;
use crate::state_file::StateFile;
use crate::transport::Transport;

/// Runs one recovery to its end; blocks.
///
/// `on_event` is called on this thread. `cancel` ends the run from another thread. Options that are missing,
/// wrong or don't fit together end it with [`Code::InvalidArgument`](crate::Code::InvalidArgument) before
/// anything is sent.
pub fn run(config: &Config, cancel: &Cancel, on_event: impl FnMut(Event) + Send + 'static) -> Outcome {
    let host = Host::new(on_event, cancel.clone());
    let settings = config.settings(Command::Recover).map_err(|error| error.to_string());
    let ready = settings.and_then(|settings| {
        let transport = Transport::new(&settings, &host)?;
        Ok((settings, transport))
    });
    match ready {
        Ok((settings, transport)) => drive(Machine::new(settings, seed()), &transport, &host),
        Err(why) => {
            host.tell(Event::Log { level: Level::Error, message: why.clone() });
            Outcome::invalid(why)
        }
    }
}

fn drive(mut machine: Machine, transport: &Transport, host: &Host) -> Outcome {
    let started = Instant::now();
    let mut state_file = machine.settings().state_file.as_deref().map(StateFile::new);
    let mut seen = Seen::Start;
    loop {
        let (events, step) = machine.advance(seen, started.elapsed());
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
                let path = Path::new(&machine.settings().data_directory);
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
            Step::Send(request, timeout) => match transport.send(&request, machine.settings(), timeout) {
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
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
