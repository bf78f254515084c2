//! A simulated world with its options, and those who call the recovery in it: once, again and again as Patroni
//! does, or on many nodes at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Shared, Turns};
use super::dice::Dice;
use super::file::{StateFile, bytes};
use super::run::{Cut, Here, Killed, Ran};
use super::state::{Deed, Happening, State, secs};
use crate::config::options::{Command, Opt};
use crate::config::settings::{Connection, Restore};
use crate::config::{Config, Value};
use crate::outcome::Code;
use crate::recovery::recover;
use crate::world::journal::{Line, Run};
use crate::world::snapshot::Stamps;

pub(super) const SECRETS: [&str; 2] = ["s3cret", "/private/key"];

pub(super) struct Sim {
    pub(super) options: Config,
    /// In place of the option's whole seconds.
    pub(super) deadline: Option<Duration>,
    pub(super) state: State,
    pub(super) cuts: Vec<Cut>,
    pub(super) seed: u64,
}

pub(super) type Script = Box<dyn FnOnce(&mut Caller) + Send>;

/// One call.
pub(super) fn once(cuts: Vec<Cut>) -> Script {
    Box::new(move |caller| {
        caller.call(&cuts);
    })
}

impl Sim {
    pub(super) fn new() -> Sim {
        Sim::of_nodes(1)
    }

    pub(super) fn of_nodes(nodes: usize) -> Sim {
        let mut options = Config::new();
        for (option, text) in [
            (Opt::ApiUrl, "https://backup:s3cret@barman:7480/api"),
            (Opt::BarmanServer, "pg"),
            (Opt::SshCommand, "ssh -i /private/key postgres@node1"),
            (Opt::DataDirectory, "/pg/data"),
        ] {
            options.set(option, text).unwrap();
        }
        Sim { options, deadline: None, state: State::new(nodes), cuts: Vec::new(), seed: 7 }
    }

    pub(super) fn set<'a>(&mut self, option: Opt, value: impl Into<Value<'a>>) {
        self.options.set(option, value).unwrap();
    }

    pub(super) fn at(&mut self, time: Duration, deed: Deed) {
        self.state.at(time, Happening::Node(0, deed));
    }

    pub(super) fn now(&mut self, deed: Deed) {
        self.state.happen(Happening::Node(0, deed));
    }

    /// Lets time pass before the run.
    pub(super) fn until(&mut self, time: Duration) {
        self.state.until(time);
    }

    pub(super) fn has_state_file(&self) -> bool {
        self.settings().1.state_file.is_some()
    }

    pub(super) fn settings(&self) -> (Connection, Restore) {
        let mut connection = self.options.connection(Command::Recover).unwrap();
        connection.deadline = self.deadline.or(connection.deadline);
        (connection, self.options.restore().unwrap())
    }

    /// The first line of an earlier run like this one, which knew of everything that is there now.
    pub(super) fn run_line(&self) -> Run {
        let known = self.state.operations.iter().map(|operation| operation.id.clone()).collect();
        Run {
            pid: 4711,
            api_url: "https://barman:7480/api".into(),
            barman_server: "pg".into(),
            backup_id: "latest".into(),
            data_directory: "/pg/data".into(),
            known: Some(known),
            before: Stamps::default(),
        }
    }

    /// An earlier run has left these lines.
    pub(super) fn left(&mut self, lines: &[Line]) {
        let run = Line::Run(self.run_line());
        let bytes = bytes(&[&[run], lines].concat());
        self.state.leave_file(0, bytes);
    }

    /// What the data directory is now, as an earlier run noted it.
    pub(super) fn identity(&mut self) -> Line {
        Line::Identity(self.state.tree(0).unwrap().identity())
    }

    /// One run of the program, from its start to its end.
    pub(super) fn run(&mut self) -> Ran {
        let cuts = self.cuts.clone();
        let before = self.state.runs.len();
        self.play(vec![(0, Duration::ZERO, once(cuts))]);
        self.state.runs[before].clone()
    }

    /// Everybody does what they do, at once: their nodes, and when they start.
    pub(super) fn play(&mut self, scripts: Vec<(usize, Duration, Script)>) {
        let (connection, restore) = self.settings();
        let mut state = std::mem::take(&mut self.state);
        state.turns = Turns::of(scripts.iter().map(|(_, start, _)| state.now + *start).collect());
        let shared = Arc::new(Shared::new(state, scripts.len()));
        let callers = scripts.into_iter().enumerate().map(|(thread, (node, _, script))| {
            let seed = self.seed.wrapping_add((thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (connection, restore) = (connection.clone(), restore.clone());
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
        let mut told: Vec<String> = Vec::new();
        let mut last = ("", 0);
        let lines = self.state.story.iter().map(|(at, line)| (at.as_secs_f64(), line.as_str()));
        for (at, line) in lines.chain([(0.0, "")]) {
            if line == last.0 {
                last.1 += 1;
                continue;
            }
            if last.1 > 0 {
                told.push(format!("           (so {} times more)", last.1));
            }
            last = (line, 0);
            if !line.is_empty() {
                told.push(format!("{at:10.3} {line}"));
            }
        }
        told.join("\n")
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
        self.shared.end(self.thread);
        if let Err(payload) = performed {
            self.with(|state| state.breaks(format!("panicked: {}", text(&*payload))));
        }
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
    pub(super) fn call(&mut self, cuts: &[Cut]) -> Option<Code> {
        let (node, thread, random) = (self.node, self.thread, self.dice.next());
        let run = self.with(|state| {
            state.tell(|| format!("node {node}: the recovery is called"));
            state.runs.push(Ran {
                node,
                started: state.now,
                cuts: cuts.to_vec(),
                deadline: self.connection.deadline,
                backup_id: self.restore.backup_id.clone(),
                remembers: self.restore.state_file.is_some(),
                ..Ran::default()
            });
            state.runs.len() - 1
        });
        let shared = || Arc::clone(&self.shared);
        let file = StateFile { shared: shared(), run, node, open: None, waited: None };
        let file = self.restore.state_file.as_ref().map(|_| file);
        let mut here = Here { shared: shared(), run, node, thread, file, random };
        let ended = catch_unwind(AssertUnwindSafe(|| recover(&mut here, &self.connection, &self.restore)));
        self.with(|state| {
            state.unlock_all(run);
            state.runs[run].ended = Some(state.now);
            match ended {
                Ok(outcome) => {
                    let code = outcome.code;
                    state.tell(|| format!("node {node}: {code:?}: {} {}", outcome.message, outcome.hint));
                    state.runs[run].outcome = Some(outcome);
                    state.check_ended(run);
                    Some(code)
                }
                Err(payload) => {
                    if !payload.is::<Killed>() {
                        state.breaks(format!("panicked: {}", text(&*payload)));
                    }
                    None
                }
            }
        })
    }

    /// Calls again and again, the directory wiped after each failure, as Patroni does.
    pub(super) fn until_done(&mut self, most: usize, wipe: &Deed) -> bool {
        for _ in 0..most {
            if self.call(&[]) == Some(Code::RecoveryDone) {
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
