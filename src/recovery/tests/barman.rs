//! Barman in the simulated world: operations, and the restores that they start, which write in the measured order.

use std::time::Duration;

use super::node::Part;
use super::state::{Happening, State, ms, secs};
use crate::api::Status;

/// Until Barman has noticed that its receivers have gone.
const NOTICED: Duration = Duration::from_millis(400);
/// `basebackup_retry_sleep`.
const RETRY_SLEEP: Duration = Duration::from_secs(30);

/// Where a restore is in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The destination is looked at, and the first receiver begins.
    Begin,
    Version,
    Global,
    Control,
    /// The base backup has been copied.
    Copied,
    Info,
    WalBegin,
    WalEnd,
    AutoConf,
    End,
}

impl Stage {
    const ALL: [Stage; 10] = [
        Stage::Begin,
        Stage::Version,
        Stage::Global,
        Stage::Control,
        Stage::Copied,
        Stage::Info,
        Stage::WalBegin,
        Stage::WalEnd,
        Stage::AutoConf,
        Stage::End,
    ];

    fn next(self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| *stage > self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// It fails instead of reaching this stage.
    Fails(Stage),
    /// Its process dies there, and nobody notices.
    Dies(Stage),
}

/// What a restore does.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Plan {
    pub(super) length: Duration,
    /// Before the first file.
    pub(super) preparation: Option<Duration>,
    pub(super) fate: Fate,
    /// It writes to another host.
    pub(super) elsewhere: bool,
    /// Barman restores into a directory that is not empty (`delta-restore`, or older than 3.15).
    pub(super) accepts_files: bool,
    /// `basebackup_retry_times`
    pub(super) retries: u32,
    /// The backup is of a server that Barman itself had restored.
    pub(super) restored_source: bool,
    /// Whether `.barman-recover.info` is written.
    pub(super) marks: bool,
    /// Whether the directory names the backup's ID.
    pub(super) named_label: bool,
    /// What it restores, whatever it was asked for.
    pub(super) backup: String,
    /// From when to when, since its begin, nothing arrives.
    pub(super) stall: Option<(Duration, Duration)>,
    /// It does not notice that its directory was removed.
    pub(super) unaware: bool,
    /// How long receivers outlive it.
    pub(super) linger: Duration,
}

/// The backup that is the latest.
pub(super) const BACKUP: &str = "20261122T080000";

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            length: secs(60),
            preparation: None,
            fate: Fate::Done,
            elsewhere: false,
            accepts_files: false,
            retries: 0,
            restored_source: false,
            marks: true,
            named_label: true,
            backup: BACKUP.into(),
            stall: None,
            unaware: false,
            linger: Duration::ZERO,
        }
    }
}

impl Plan {
    /// When a stage is reached, since the begin.
    pub(super) fn time(&self, stage: Stage) -> Duration {
        let begin = self.preparation.unwrap_or_else(|| (self.length / 20).min(secs(1))).min(self.length);
        let copying = self.length - begin;
        let tail = (copying / 4).min(secs(8));
        let base = copying - tail;
        let copied = begin + base;
        match stage {
            Stage::Begin => begin,
            Stage::Version => begin + base / 50,
            Stage::Global => begin + base / 3,
            Stage::Control => begin + base * 2 / 3,
            Stage::Copied => copied,
            Stage::Info => copied + tail / 10,
            Stage::WalBegin => copied + tail / 5,
            Stage::WalEnd => copied + tail / 2,
            Stage::AutoConf => copied + tail * 9 / 10,
            Stage::End => self.length,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) status: Status,
}

/// A `barman recover`.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Restore {
    pub(super) operation: String,
    /// The node and the run whose create started it.
    pub(super) asked_by: Option<(usize, usize)>,
    /// The node that it writes to.
    pub(super) node: usize,
    pub(super) plan: Plan,
    pub(super) alive: bool,
    /// Whether it has looked at its destination.
    pub(super) begun: bool,
    /// What its receiver stands in.
    pub(super) tree: Option<usize>,
    /// Whether that was removed or emptied meanwhile.
    pub(super) disturbed: bool,
    pub(super) disturbed_at: Option<Duration>,
    /// Whether the base backup has been copied: nothing after it is tried again.
    copied: bool,
    /// When its attempt began, and which one that is.
    start: Duration,
    attempt: u32,
}

impl Restore {
    /// Whether it can still write into the directory of its node.
    pub(super) fn can_write(&self) -> bool {
        self.alive && !self.plan.elsewhere
    }

    /// For how long nothing arrives between these times.
    pub(super) fn stalled(&self, from: Duration, to: Duration) -> Duration {
        let Some((begin, end)) = self.plan.stall else { return Duration::ZERO };
        (self.start + end).min(to).saturating_sub((self.start + begin).max(from))
    }
}

impl State {
    pub(super) fn add(&mut self, id: String, kind: &'static str, status: Status) {
        self.operations.push(Operation { id, kind, status });
    }

    pub(super) fn status(&self, id: &str) -> Option<Status> {
        self.operations.iter().find(|operation| operation.id == id).map(|operation| operation.status)
    }

    pub(super) fn end_operation(&mut self, id: &str, status: Status) {
        self.tell(|| format!("operation {id}: {status:?}"));
        for operation in self.operations.iter_mut().filter(|operation| operation.id == id) {
            operation.status = status;
        }
    }

    /// Starts an operation that restores into a node's directory.
    pub(super) fn start(&mut self, id: &str, asked_by: Option<(usize, usize)>, node: usize, plan: Plan) {
        if self.status(id).is_none() {
            self.add(id.into(), "recovery", Status::InProgress);
        }
        self.tell(|| format!("operation {id}: a restore of {} into node {node} begins", plan.backup));
        let first = plan.time(Stage::Begin);
        self.restores.push(Restore {
            operation: id.into(),
            asked_by,
            node,
            plan,
            alive: true,
            begun: false,
            tree: None,
            disturbed: false,
            disturbed_at: None,
            copied: false,
            start: self.now,
            attempt: 0,
        });
        self.after(first, Happening::Stage(self.restores.len() - 1, 0, Stage::Begin));
    }

    /// The plan of the next restore.
    pub(super) fn next_plan(&mut self) -> Plan {
        if self.plans.is_empty() { self.plan.clone() } else { self.plans.remove(0) }
    }

    pub(super) fn stage(&mut self, number: usize, attempt: u32, stage: Stage) {
        let restore = &self.restores[number];
        if !restore.alive || restore.attempt != attempt {
            return;
        }
        match restore.plan.fate {
            Fate::Fails(at) if at == stage => return self.fail(number),
            Fate::Dies(at) if at == stage => return self.die(number),
            _ => {}
        }
        let (node, plan) = (restore.node, restore.plan.clone());
        let refused = stage == Stage::Begin && !plan.elsewhere && self.refuses(number);
        if refused {
            return self.fail(number);
        }
        if !plan.elsewhere && !self.work(number, node, &plan, stage) {
            return self.copy_failed(number);
        }
        if stage == Stage::End {
            self.restores[number].alive = false;
            let id = self.restores[number].operation.clone();
            return self.end_operation(&id, Status::Done);
        }
        if let Some(next) = stage.next() {
            let at = self.restores[number].start + plan.time(next);
            self.at(at.max(self.now), Happening::Stage(number, attempt, next));
        }
    }

    /// Whether Barman refuses the directory. It looks once, before its first attempt.
    fn refuses(&self, number: usize) -> bool {
        let restore = &self.restores[number];
        !restore.plan.accepts_files && !restore.begun && self.is_filled(restore.node)
    }

    /// What a restore does at a stage; false when it fails there.
    fn work(&mut self, number: usize, node: usize, plan: &Plan, stage: Stage) -> bool {
        let backup = plan.backup.as_str();
        match stage {
            Stage::Begin => {
                (self.restores[number].begun, self.restores[number].disturbed) = (true, false);
                self.receive(number, node);
            }
            Stage::Version => {
                self.receive_parts(number, &[Part::Version, Part::Label], backup);
                if plan.restored_source {
                    self.receive_parts(number, &[Part::Info], "20261101T000000");
                }
            }
            Stage::Global => self.receive_parts(number, &[Part::Global, Part::Base, Part::AutoConf], backup),
            Stage::Control => self.receive_parts(number, &[Part::Control], backup),
            Stage::Copied => {
                let disturbed = self.restores[number].disturbed;
                if !disturbed {
                    self.receive_parts(number, &[Part::Rest], backup);
                }
                self.close_receivers(number, Duration::ZERO);
                self.restores[number].copied = !disturbed || plan.unaware;
                return self.restores[number].copied;
            }
            Stage::Info if plan.marks => self.copy_anew(number, node, Part::Info, backup),
            Stage::WalBegin => self.receive(number, node),
            Stage::WalEnd => {
                self.receive_parts(number, &[Part::Wal], backup);
                self.close_receivers(number, Duration::ZERO);
            }
            Stage::AutoConf => self.copy_anew(number, node, Part::AutoConf, backup),
            Stage::Info | Stage::End => {}
        }
        true
    }

    /// A receiver begins in whatever is at the path.
    fn receive(&mut self, number: usize, node: usize) {
        let tree = self.nodes[node].tree.unwrap_or_else(|| self.make_tree(node));
        self.restores[number].tree = Some(tree);
        self.open_receiver(node, number, tree);
    }

    /// What a receiver that has been there for a while writes: to nowhere, if its directory has gone.
    fn receive_parts(&mut self, number: usize, parts: &[Part], backup: &str) {
        if let Some(tree) = self.restores[number].tree {
            for part in parts {
                self.write(tree, *part, backup);
            }
        }
    }

    fn copy_anew(&mut self, number: usize, node: usize, part: Part, backup: &str) {
        let tree = self.nodes[node].tree.unwrap_or_else(|| self.make_tree(node));
        self.restores[number].tree = Some(tree);
        self.put(tree, part, backup, part == Part::AutoConf);
    }

    pub(super) fn receivers_gone(&mut self, number: usize) {
        let attempt = self.restores[number].attempt;
        self.after(NOTICED, Happening::Broken(number, attempt));
    }

    pub(super) fn broken_pipe(&mut self, number: usize, attempt: u32) {
        let restore = &self.restores[number];
        if restore.alive && restore.attempt == attempt {
            self.copy_failed(number);
        }
    }

    /// A copy of the base backup may be tried again, into whatever is at the path then.
    fn copy_failed(&mut self, number: usize) {
        let restore = &mut self.restores[number];
        if restore.copied || restore.attempt >= restore.plan.retries {
            return self.fail(number);
        }
        restore.attempt += 1;
        restore.disturbed = false;
        restore.start = self.now + RETRY_SLEEP - restore.plan.time(Stage::Begin).min(RETRY_SLEEP);
        let (attempt, id) = (restore.attempt, restore.operation.clone());
        self.tell(|| format!("operation {id}: copies again in 30 s"));
        self.close_receivers(number, Duration::ZERO);
        self.after(RETRY_SLEEP, Happening::Stage(number, attempt, Stage::Begin));
    }

    fn fail(&mut self, number: usize) {
        let linger = self.restores[number].plan.linger;
        self.restores[number].alive = false;
        self.close_receivers(number, linger);
        let id = self.restores[number].operation.clone();
        self.end_operation(&id, Status::Failed);
    }

    fn die(&mut self, number: usize) {
        let linger = self.restores[number].plan.linger;
        self.restores[number].alive = false;
        self.close_receivers(number, linger);
        let id = self.restores[number].operation.clone();
        self.tell(|| format!("operation {id}: its process dies, it stays in progress for ever"));
    }

    pub(super) fn barman_dies(&mut self, node: usize) {
        for number in 0..self.restores.len() {
            if self.restores[number].alive && self.restores[number].node == node {
                self.die(number);
            }
        }
    }

    /// Whether an operation will stay in progress for ever: no process of it lives.
    fn is_stuck(&self, id: &str) -> bool {
        self.status(id) == Some(Status::InProgress)
            && self.restores.iter().any(|restore| restore.operation == id)
            && !self.restores.iter().any(|restore| restore.operation == id && restore.alive)
    }

    /// Somebody who sees that nothing of an operation is running any more removes the state file, as the message says.
    pub(super) fn operator_looks_after(&mut self, node: usize) {
        let stuck = self.restores.iter().any(|restore| self.is_stuck(&restore.operation));
        let calm = self.runs.iter().all(|ran| ran.ended.is_some());
        if stuck && calm && !self.restores.iter().any(|restore| restore.alive) && self.api.pending.is_empty()
        {
            self.tell(|| "the operator removes the state file".into());
            self.nodes[node].state_file = None;
        }
    }

    /// Two creates of one second that the API gave one ID: another node's, with this node's job file.
    pub(super) fn second_writer(&mut self, node: usize) {
        let ours = self.restores.iter().rev().find(|restore| restore.alive && restore.node == node);
        let Some((id, plan)) = ours.map(|restore| (restore.operation.clone(), restore.plan.clone())) else {
            return;
        };
        let plan =
            Plan { fate: Fate::Done, length: plan.length * 4 / 3 + ms(500), accepts_files: true, ..plan };
        self.start(&id, None, node, plan);
    }
}
