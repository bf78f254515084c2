//! A simulated world with its options, and those who call the recovery in it: once, again and again as Patroni
//! does, or on many nodes at once.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Shared, Turns};
use super::dice::Dice;
use super::lease::SSH;
use super::run::{Cut, Here, Killed, Ran};
use super::state::{Deed, Happening, State, secs};
use crate::config::Config;
use crate::config::options::{Command, Opt};
use crate::config::{Connection, Restore};
use crate::outcome::Code;
use crate::recovery::recover;

pub(super) struct Sim {
    pub(super) connection: Connection,
    pub(super) restore: Restore,
    pub(super) state: State,
    pub(super) cuts: Vec<Cut>,
    /// Which calls of the run that can fail do.
    pub(super) failing: Vec<Range<usize>>,
    pub(super) seed: u64,
}

pub(super) type Script = Box<dyn FnOnce(&mut Caller) + Send>;

/// One call.
pub(super) fn once(cuts: Vec<Cut>, failing: Vec<Range<usize>>) -> Script {
    Box::new(move |caller| {
        caller.call(&cuts, &failing);
    })
}

impl Sim {
    pub(super) fn new() -> Sim {
        Sim::with_nodes(1)
    }

    pub(super) fn with_nodes(nodes: usize) -> Sim {
        let mut options = Config::new();
        for (option, text) in [
            (Opt::ApiUrl, "https://backup:s3cret@barman:7480/api"),
            (Opt::BarmanServer, "pg"),
            (Opt::SshCommand, SSH),
            (Opt::DataDirectory, "/pg/data"),
        ] {
            options.set(option, text).unwrap();
        }
        Sim {
            connection: options.connection(Command::Recover).unwrap(),
            restore: options.restore().unwrap(),
            state: State::new(nodes),
            cuts: Vec::new(),
            failing: Vec::new(),
            seed: 7,
        }
    }

    pub(super) fn at(&mut self, time: Duration, deed: Deed) {
        self.state.at(time, Happening::Node(0, deed));
    }

    pub(super) fn now(&mut self, deed: Deed) {
        self.state.happen(Happening::Node(0, deed));
    }

    /// One run of the program, from its start to its end.
    pub(super) fn run(&mut self) -> Ran {
        let before = self.state.runs.len();
        self.play(vec![(0, Duration::ZERO, once(self.cuts.clone(), self.failing.clone()))]);
        self.state.runs[before].clone()
    }

    /// Everybody does what they do, at once: their nodes, and when they start.
    pub(super) fn play(&mut self, scripts: Vec<(usize, Duration, Script)>) {
        let mut state = std::mem::take(&mut self.state);
        state.turns = Turns::of(scripts.iter().map(|(_, start, _)| state.now + *start).collect());
        let shared = Arc::new(Shared::new(state, scripts.len()));
        let callers = scripts.into_iter().enumerate().map(|(thread, (node, _, script))| {
            let seed = self.seed.wrapping_add((thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (connection, restore) = (self.connection.clone(), self.restore.clone());
            let shared = Arc::clone(&shared);
            (Caller { shared, thread, node, connection, restore, dice: Dice(seed) }, script)
        });
        let mut callers: Vec<_> = callers.collect();
        if callers.len() == 1 {
            for (caller, script) in callers {
                caller.perform(script);
            }
        } else {
            std::thread::scope(|scope| {
                for (caller, script) in callers.drain(..) {
                    scope.spawn(move || caller.perform(script));
                }
            });
        }
        let Some(shared) = Arc::into_inner(shared) else { panic!("a run has kept the world") };
        self.state = shared.into_state();
    }

    /// What happened, line by line.
    pub(super) fn story(&self) -> String {
        let mut said: Vec<String> = Vec::new();
        let mut last = ("", 0);
        let lines = self.state.story.iter().map(|(at, line)| (at.as_secs_f64(), line.as_str()));
        for (at, line) in lines.chain([(0.0, "")]) {
            if line == last.0 {
                last.1 += 1;
                continue;
            }
            if last.1 > 0 {
                said.push(format!("           (so {} times more)", last.1));
            }
            last = (line, 0);
            if !line.is_empty() {
                said.push(format!("{at:10.3} {line}"));
            }
        }
        said.join("\n")
    }
}

/// Who calls the recovery on a node.
pub(super) struct Caller {
    shared: Arc<Shared>,
    thread: usize,
    pub(super) node: usize,
    pub(super) connection: Connection,
    pub(super) restore: Restore,
    pub(super) dice: Dice,
}

impl Caller {
    fn perform(mut self, script: Script) {
        self.shared.begin(self.thread);
        let performed = catch_unwind(AssertUnwindSafe(|| script(&mut self)));
        if let Err(payload) = performed {
            self.with(|state| state.breaks(format!("panicked: {}", text(&*payload))));
        }
        self.shared.end(self.thread);
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.shared.lock())
    }

    pub(super) fn wait(&self, time: Duration) {
        let state = self.shared.lock();
        let end = state.now + time;
        drop(self.shared.until(state, self.thread, end));
    }

    /// One run. None when it was killed.
    pub(super) fn call(&mut self, cuts: &[Cut], failing: &[Range<usize>]) -> Option<Code> {
        let (node, thread, random) = (self.node, self.thread, self.dice.next());
        let run = self.with(|state| {
            state.record(|| format!("node {node}: the recovery is called, {cuts:?}, failing {failing:?}"));
            state.runs.push(Ran {
                node,
                backup_id: self.restore.backup_id.clone(),
                replica: self.restore.replica,
                has_lease: self.restore.lease,
                verifies: self.restore.verify,
                started: state.now,
                cuts: cuts.to_vec(),
                failing: failing.to_vec(),
                deadline: self.connection.deadline,
                ..Ran::default()
            });
            state.runs.len() - 1
        });
        let mut here = Here { shared: Arc::clone(&self.shared), run, thread, random };
        let ended = catch_unwind(AssertUnwindSafe(|| recover(&mut here, &self.connection, &self.restore)));
        self.with(|state| {
            state.runs[run].ended = Some(state.now);
            let code = match ended {
                Ok(outcome) => {
                    let code = outcome.code;
                    state.record(|| format!("node {node}: {code:?}: {} {:?}", outcome.message, outcome.hint));
                    state.runs[run].outcome = Some(outcome);
                    state.check_ended(run);
                    Some(code)
                }
                Err(payload) if payload.is::<Killed>() => None,
                Err(payload) => {
                    state.breaks(format!("panicked: {}", text(&*payload)));
                    None
                }
            };
            state.dies(run); // the program ends with the run
            code
        })
    }

    /// Calls again and again, the directory wiped after each failure, as Patroni does.
    pub(super) fn until_done(&mut self, most: usize, wipe: &Deed) -> bool {
        for _ in 0..most {
            if self.call(&[], &[]) == Some(Code::RecoveryDone) {
                return true;
            }
            self.wait(secs(1));
            let (node, wipe) = (self.node, wipe.clone());
            self.with(|state| state.happen(Happening::Node(node, wipe)));
        }
        false
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
