//! The one loop: asks a machine what to do, does it, and tells the machine what came of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::config::Config;
use crate::config::options::Command;
use crate::event::{Event, Level};
use crate::outcome::{Code, Outcome};
use crate::recovery::machine::{Claim, Counting, Course, Machine, Seen, Step};
use crate::sys;
use crate::world::client::Client;
use crate::world::fs::directory::{Content, Look};
use crate::world::fs::state_file::StateFile;
use crate::world::fs::usage::Counter;
use crate::world::host::Host;
use crate::world::sizer::Sizer;

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
            host.report(Event::log(Level::Error, &why));
            Outcome::not_begun(Code::InvalidArgument, &why)
        }
    }
}

pub(crate) fn drive<C: Course>(mut course: C, client: &Client) -> Outcome<C::Code> {
    let Client { settings, host, started, .. } = client;
    let mut state_file = settings.state_file.as_deref().map(StateFile::new);
    let mut arrivals = Arrivals::new(&settings.data_directory);
    let mut seen = Seen::Start;
    loop {
        let (events, step) = course.advance(seen, started.elapsed());
        for event in events {
            host.report(event);
        }
        host.tick();
        // What has been seen must not be lost; what takes time need not begin.
        let takes_time = matches!(step, Step::Claim | Step::Send(..) | Step::Wait(_));
        if takes_time && host.cancel.is_cancelled() {
            seen = Seen::Cancelled;
            continue;
        }
        seen = match step {
            Step::Look => Seen::Looked(arrivals.look(course.counting(), client)),
            Step::Claim => Seen::Claimed(match &mut state_file {
                Some(file) => file.claim(),
                None => Claim::Unavailable("there is none".into()),
            }),
            Step::Save(lines) => {
                let saved = state_file.as_mut().map_or(Ok(()), |file| file.append(&lines));
                Seen::Saved(saved.err().map(|error| error.to_string()))
            }
            Step::Forget(last) => {
                let removed = state_file.as_mut().map_or(Ok(()), |file| file.remove(&last));
                Seen::Forgotten(removed.err().map(|error| error.to_string()))
            }
            Step::Send(request, timeout) => match client.send(&request, timeout) {
                Ok(reply) => Seen::Reply(reply),
                // Whether a create got through must be told; any other failure is the host's own doing.
                Err(none) if host.cancel.is_cancelled() && !(none.sent && request.changes()) => {
                    Seen::Cancelled
                }
                Err(none) => Seen::Unanswered(none),
            },
            Step::Wait(wait) => {
                let _ = host.wait(wait); // an interrupt is seen before the next step
                Seen::Waited
            }
            Step::Finish(outcome) => return outcome,
        };
    }
}

/// The data directory and what arrives in it.
struct Arrivals {
    path: PathBuf,
    counter: Counter,
    /// When it was counted last.
    counted: Instant,
    /// When it was counted first.
    begun: Option<Instant>,
    sizer: Option<Sizer>,
    asked: bool,
}

impl Arrivals {
    /// How long the count at the end may take.
    const LAST_COUNT: Duration = Duration::from_secs(1);
    /// A restore that is over sooner is not worth the work that the question makes for Barman.
    const ASK_AFTER: Duration = Duration::from_secs(2);

    fn new(path: &str) -> Arrivals {
        let path = PathBuf::from(path);
        Arrivals {
            counter: Counter::new(&path),
            path,
            counted: Instant::now(),
            begun: None,
            sizer: None,
            asked: false,
        }
    }

    fn look(&mut self, counting: Counting, client: &Client) -> Look {
        let mut look = crate::world::fs::directory::look(&self.path, sys::process_lives);
        if look.content == Content::Unseen || counting == Counting::Nothing {
            return look;
        }
        let since = std::mem::replace(&mut self.counted, Instant::now()).elapsed();
        let mut arrived = match counting {
            Counting::All => self.counter.finish(Self::LAST_COUNT),
            _ => self.counter.look(since),
        };
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let lasts = counting == Counting::Some && begun.elapsed() >= Self::ASK_AFTER;
        let wanted = lasts && arrived.bytes > 0 && client.settings.diagnose;
        if wanted && !std::mem::replace(&mut self.asked, true) {
            self.sizer =
                Sizer::start(&client.transport, &client.settings.connection, &client.settings.backup_id);
        }
        arrived.total = self.sizer.as_mut().and_then(Sizer::size);
        look.arrived = Some(arrived);
        look
    }
}

/// Differs between nodes and runs that start together.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
