//! Barman in the simulated world: `barman recover` in the measured order of its commands on the node, each of which
//! goes through the ssh command that it was given.

use std::time::Duration;

use super::node::{How, Part};
use super::plan::{Fate, Place, Plan, STAGES, Stage, Wal};
use super::state::{Happening, State, ms};
use crate::api::Status;

/// Until Barman has noticed that a command was killed, or refused.
const NOTICED: Duration = Duration::from_millis(700);
/// `basebackup_retry_sleep`.
const RETRY_SLEEP: Duration = Duration::from_secs(30);
const RECEIVE: &str = "rsync --server -sKtprRe.iLsfxCIvu";

/// A `barman recover`.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Restore {
    pub(super) operation: String,
    /// The run whose create started it.
    pub(super) asked_by: usize,
    /// The node and the lease that its commands go to.
    pub(super) node: usize,
    pub(super) lease: Option<usize>,
    pub(super) plan: Plan,
    pub(super) alive: bool,
    /// Whether it has logged in.
    pub(super) begun: bool,
    /// What it writes into.
    pub(super) tree: Option<usize>,
    /// Whether that was removed or emptied meanwhile.
    pub(super) disturbed: bool,
    /// Whether the base backup has been copied: nothing after it is tried again.
    copied: bool,
    /// When its attempt began, and which one that is.
    start: Duration,
    attempt: u32,
}

impl Restore {
    /// For how long nothing arrives between these times.
    pub(super) fn stalled(&self, from: Duration, to: Duration) -> Duration {
        self.within(self.plan.stall, from, to)
    }

    /// For how long what arrives between these times goes to where nobody counts it.
    pub(super) fn uncounted(&self, from: Duration, to: Duration) -> Duration {
        self.within(self.plan.elsewhere, from, to)
    }

    fn within(&self, span: Option<(Duration, Duration)>, from: Duration, to: Duration) -> Duration {
        let Some((begin, end)) = span else { return Duration::ZERO };
        (self.start + end).min(to).saturating_sub((self.start + begin).max(from))
    }
}

impl State {
    /// Starts a restore for an operation.
    pub(super) fn start(&mut self, id: &str, run: usize, node: usize, lease: Option<usize>, plan: Plan) {
        if self.status(id).is_none() {
            self.add(id.into(), "recovery", Status::InProgress);
        }
        self.record(|| {
            format!("operation {id}: a restore of {} to node {node}, lease {lease:?}: {plan:?}", plan.backup)
        });
        let (number, first) = (self.restores.len(), plan.time(Stage::Login));
        self.restores.push(Restore {
            operation: id.into(),
            asked_by: run,
            node,
            lease,
            plan,
            alive: true,
            begun: false,
            tree: None,
            disturbed: false,
            copied: false,
            start: self.now,
            attempt: 0,
        });
        self.after(first, Happening::Stage(number, 0, Stage::Login));
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
        let plan = restore.plan.clone();
        if !self.work(number, &plan, stage) {
            return self.after(NOTICED, Happening::Broken(number, attempt));
        }
        if stage == Stage::End {
            return self.done(number);
        }
        let next = STAGES.into_iter().find(|next| *next > stage).unwrap_or(Stage::End);
        let at = self.restores[number].start + plan.time(next);
        self.at(at.max(self.now), Happening::Stage(number, attempt, next));
    }

    /// What a restore does at a stage; false when it fails there.
    fn work(&mut self, number: usize, plan: &Plan, stage: Stage) -> bool {
        let once = |state: &mut State, words: &str| {
            state.command(number, words).is_some_and(|pid| {
                state.finish(number, pid, 0);
                true
            })
        };
        match stage {
            Stage::Login => {
                self.restores[number].begun = true;
                once(self, "true")
            }
            Stage::Make => self.make_directory(number, plan),
            Stage::Staging => {
                !plan.staging || self.command(number, &format!("{RECEIVE} . /staging")).is_some()
            }
            Stage::Copy => self.copy(number, plan),
            Stage::Version if plan.restored_source => {
                self.receive(number, &[Part::Version, Part::Label, Part::Info])
            }
            Stage::Version => self.receive(number, &[Part::Version, Part::Label]),
            Stage::Control => self.receive(number, &[Part::Control, Part::AutoConf]),
            Stage::Copied => self.copied(number, plan),
            Stage::Info => once(self, RECEIVE) && self.put(number, Part::Info, How::Edited),
            Stage::Wal => plan.wal != Wal::Copied || self.command(number, RECEIVE).is_some(),
            Stage::WalEnd if plan.wal == Wal::Copied => {
                self.receive(number, &[Part::Wal]) && self.finish_all(number, 0)
            }
            Stage::Conf => {
                once(self, "test -e /pg/data/postgresql.auto.conf")
                    && self.command(number, RECEIVE).is_some()
                    && (!plan.auto_conf || self.put(number, Part::AutoConf, How::Edited))
            }
            Stage::ConfEnd => self.finish_all(number, 0),
            Stage::WalEnd | Stage::End => true,
        }
    }

    /// Barman lists the directory, once, and refuses one that is not empty.
    fn make_directory(&mut self, number: usize, plan: &Plan) -> bool {
        let node = self.restores[number].node;
        let mut words = vec!["test -e /pg/data/.barman-recover.info"];
        if plan.place != Place::Here || self.nodes[node].tree.is_none() {
            words.push("mkdir -p /pg/data -m 700");
        }
        if plan.lists {
            words.insert(0, "ls /pg/data");
        }
        for words in words {
            let Some(pid) = self.command(number, words) else { return false };
            self.finish(number, pid, i32::from(words.starts_with("test")));
            let filled = plan.place == Place::Here && self.is_filled(node);
            if words.starts_with("ls") && (plan.prints_text || (filled && !plan.accepts_files)) {
                self.record(|| "Barman refuses the directory".into());
                self.restores[number].copied = true; // this is not tried again
                return false;
            }
        }
        if plan.place == Place::Here && self.nodes[node].tree.is_none() {
            self.make_tree(node);
        }
        true
    }

    fn copy(&mut self, number: usize, plan: &Plan) -> bool {
        if plan.staging {
            self.finish_all(number, 0);
        }
        let node = self.restores[number].node;
        if plan.place == Place::Here {
            let tree = self.nodes[node].tree.unwrap_or_else(|| self.make_tree(node));
            (self.restores[number].tree, self.restores[number].disturbed) = (Some(tree), false);
        }
        let words = if plan.staging { "tar -xzf /staging/base.tar.gz --directory /pg/data" } else { RECEIVE };
        let runs = (0..plan.jobs).all(|_| self.command(number, words).is_some());
        if let (Some(lease), true, leftover @ Some(_)) = (self.restores[number].lease, runs, plan.leftover) {
            self.leases[lease].leftover = leftover;
        }
        runs
    }

    fn copied(&mut self, number: usize, plan: &Plan) -> bool {
        let disturbed = self.restores[number].disturbed;
        let received = disturbed || self.receive(number, &[Part::Rest]);
        self.finish_all(number, if disturbed { 23 } else { 0 });
        self.restores[number].copied = received && (!disturbed || plan.unaware);
        self.restores[number].copied
    }

    /// What the commands that run write, into where they stand: false if they were killed.
    fn receive(&mut self, number: usize, parts: &[Part]) -> bool {
        self.is_running(number) && parts.iter().all(|part| self.put(number, *part, How::Copied))
    }

    fn put(&mut self, number: usize, part: Part, how: How) -> bool {
        let restore = &self.restores[number];
        let there = match how {
            How::Copied => restore.tree,
            How::Edited => self.nodes[restore.node].tree,
        };
        if let (Place::Here, Some(tree)) = (restore.plan.place, there)
            && (part != Part::AutoConf || restore.plan.auto_conf)
        {
            self.write(tree, part, number, how);
        }
        true
    }

    /// Barman notices that a command failed. A copy of the base backup may be tried again, into whatever is at the
    /// path then.
    pub(super) fn notice(&mut self, number: usize, attempt: u32) {
        let restore = &mut self.restores[number];
        if !restore.alive || restore.attempt != attempt {
            return;
        }
        if restore.copied || restore.tree.is_none() || restore.attempt >= restore.plan.retries {
            return self.fail(number);
        }
        restore.attempt += 1;
        restore.start = self.now + RETRY_SLEEP - restore.plan.time(Stage::Copy).min(RETRY_SLEEP);
        let (attempt, id) = (restore.attempt, restore.operation.clone());
        self.record(|| format!("operation {id}: copies again in 30 s"));
        self.finish_all(number, 20);
        self.after(RETRY_SLEEP, Happening::Stage(number, attempt, Stage::Copy));
    }

    /// A command of it was killed.
    pub(super) fn was_killed(&mut self, number: usize) {
        let attempt = self.restores[number].attempt;
        self.after(NOTICED, Happening::Broken(number, attempt));
    }

    fn done(&mut self, number: usize) {
        self.restores[number].alive = false;
        let id = self.restores[number].operation.clone();
        self.end_operation(&id, Status::Done);
    }

    fn fail(&mut self, number: usize) {
        self.restores[number].alive = false;
        self.finish_all(number, 12);
        let id = self.restores[number].operation.clone();
        self.end_operation(&id, Status::Failed);
    }

    fn die(&mut self, number: usize) {
        self.restores[number].alive = false;
        self.finish_all(number, 12);
        let id = self.restores[number].operation.clone();
        self.record(|| format!("operation {id}: its Barman dies: the API says IN_PROGRESS from now on"));
    }

    pub(super) fn barman_dies(&mut self) {
        for number in 0..self.restores.len() {
            if self.restores[number].alive {
                self.die(number);
            }
        }
    }

    /// Two creates of one second that the API gave one ID: another node's, with this node's job file.
    pub(super) fn second_barman(&mut self, node: usize) {
        let first = self.restores.iter().rev().find(|restore| restore.alive && restore.node == node);
        let Some(Restore { operation, asked_by, lease, plan, .. }) = first.cloned() else { return };
        let plan = Plan { fate: Fate::Done, length: plan.length * 4 / 3 + ms(500), ..plan };
        self.start(&operation, asked_by, node, lease, plan);
    }
}
