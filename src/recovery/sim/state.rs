//! The simulated world: what there is, and what happens in it by itself. It knows what really runs and what the
//! directories really hold, so that it can say when a law is broken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::api::{Api, Operation, Pending};
use super::barman::Restore;
use super::clock::Turns;
use super::lease::Lease;
use super::node::{Node, Tree};
use super::plan::{Plan, Stage};
use super::run::Ran;
use crate::api::Status;

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What happens at its time, whoever watches.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// The API gets to a create.
    Create(Pending),
    /// The API writes the job file of a create that it has checked, and starts Barman.
    Register(Pending, String),
    /// A restore reaches a stage of its work; the number of its attempt.
    Stage(usize, u32, Stage),
    /// Barman notices that a command of a restore was killed.
    Broken(usize, u32),
    /// A killed process leaves the kernel at last: its node and its number.
    Leaves(usize, u32),
    /// Another node's operation: ID, how long it runs, how it ends.
    Other(String, Duration, Status),
    Ends(String, Status),
    /// Barman's host fails, and with it every restore that runs. The API reports them as in progress from then on.
    BarmanDies,
    /// A second Barman runs with the job file of the restore into this node.
    SecondBarman(usize),
    /// The API has lost its job files.
    Amnesia,
    Node(usize, Deed),
}

/// What is done to a node.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// The data directory goes, as when Patroni wipes it.
    Remove,
    /// What is in it goes, as on a mount point.
    Empty,
    /// Some of what is in it goes, as when Patroni gives up under a writer.
    HalfRemove,
    /// It is renamed.
    MoveAway,
    /// It goes, and another method writes a new one.
    Replace,
    /// It can't be seen any more, or again.
    Hide(bool),
    Postmaster(Option<u32>),
    /// Patroni's next method begins to write, or has ended.
    Basebackup(bool),
    /// So many receivers write that are nobody's lease.
    Strangers(usize),
    /// Everything that was broken works again, as after a reboot.
    Mend,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) now: Duration,
    pub(super) counter: u64,
    pub(super) agenda: BTreeMap<(Duration, u64), Happening>,
    pub(super) turns: Turns,
    pub(super) api: Api,
    pub(super) operations: Vec<Operation>,
    pub(super) restores: Vec<Restore>,
    /// What the next restores do, and all after them.
    pub(super) plans: Vec<Plan>,
    pub(super) plan: Plan,
    pub(super) nodes: Vec<Node>,
    pub(super) trees: Vec<Tree>,
    pub(super) leases: Vec<Lease>,
    pub(super) runs: Vec<Ran>,
    /// Laws that were broken.
    pub(super) broken: Vec<String>,
    pub(super) story: Vec<(Duration, String)>,
    /// Whether the story is not wanted: a search repeats the schedule that failed.
    pub(super) silent: bool,
}

impl State {
    pub(super) fn new(nodes: usize) -> State {
        let mut state = State { nodes: (0..nodes).map(|_| Node::default()).collect(), ..State::default() };
        state.add("20261122T101942".into(), "recovery", Status::Done);
        state.add("20261122T090000".into(), "config_switch", Status::Done);
        state
    }

    pub(super) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn at(&mut self, time: Duration, what: Happening) {
        let number = self.number();
        self.agenda.insert((time, number), what);
    }

    pub(super) fn after(&mut self, time: Duration, what: Happening) {
        self.at(self.now + time, what);
    }

    /// Adds a line to the story.
    pub(super) fn record(&mut self, line: impl FnOnce() -> String) {
        if !self.silent {
            self.story.push((self.now, line()));
        }
    }

    /// A law is broken.
    pub(super) fn breaks(&mut self, law: impl Into<String>) {
        let law = law.into();
        if !self.broken.contains(&law) {
            self.record(|| format!("!! {law}"));
            self.broken.push(law);
        }
    }

    /// Lets everything happen up to `time`.
    pub(super) fn until(&mut self, time: Duration) {
        while let Some(next) = self.agenda.first_entry()
            && next.key().0 <= time
        {
            let ((at, _), what) = next.remove_entry();
            self.now = self.now.max(at);
            self.happen(what);
        }
        self.now = self.now.max(time);
    }

    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::Create(pending) => self.check_create(pending),
            Happening::Register(pending, id) => self.register(pending, id),
            Happening::Stage(restore, attempt, stage) => self.stage(restore, attempt, stage),
            Happening::Broken(restore, attempt) => self.notice(restore, attempt),
            Happening::Leaves(node, pid) => self.nodes[node].processes.retain(|process| process.pid != pid),
            Happening::Other(id, length, status) => {
                if self.status(&id).is_none() {
                    self.record(|| format!("operation {id}: another node's begins"));
                    self.add(id.clone(), "recovery", Status::InProgress);
                    self.after(length, Happening::Ends(id, status));
                }
            }
            Happening::Ends(id, status) => self.end_operation(&id, status),
            Happening::BarmanDies => self.barman_dies(),
            Happening::SecondBarman(node) => self.second_barman(node),
            Happening::Amnesia => {
                self.record(|| "the API has lost its operations".into());
                self.operations.clear();
            }
            Happening::Node(node, deed) => {
                self.record(|| format!("node {node}: {deed:?}"));
                self.happen_to(node, deed);
            }
        }
        for node in 0..if self.nodes.len() > 8 { 0 } else { self.nodes.len() } {
            self.check_writers(node);
        }
    }
}
