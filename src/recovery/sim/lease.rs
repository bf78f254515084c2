//! Leases and state directories of the simulated world: what the script of a lease does with a command of Barman, and
//! what a run can do with its claim and its leases.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Shared;
use super::node::bytes;
use super::plan::{Leftover, Place};
use super::state::{Happening, State};
use crate::outcome::Problem;
use crate::world::{ClaimHandle, Claiming, Drain, Known, LeaseHandle, LeftLog, LogLine, Note};

pub(super) const SSH: &str = "ssh -i /private/key postgres@node1";

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) node: usize,
    pub(super) run: usize,
    pub(super) path: String,
    pub(super) revoked: bool,
    log: Vec<LogLine>,
    read: usize,
    /// A process of its own group that holds it.
    pub(super) leftover: Option<Leftover>,
    /// Restores that have run a command through it, and since when that are two.
    pub(super) restores: Vec<usize>,
    pub(super) shared_since: Option<Duration>,
    /// When a writer was killed by its revocation, and since when that had run.
    pub(super) cut_writer: Option<(Duration, Duration)>,
    /// The data directory could not be seen then.
    pub(super) cut_unseen: bool,
}

/// A command of Barman on a node.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) lease: Option<usize>,
    pub(super) restore: usize,
    pub(super) since: Duration,
    /// Killed, and in the kernel: it writes nothing more.
    pub(super) stuck: bool,
}

/// The state directory of a node's data directory.
#[derive(Debug, Default)]
pub(super) struct StateDir {
    pub(super) impossible: bool,
    pub(super) locked_by: Option<usize>,
    pub(super) note: Option<Note>,
    /// The leases that have files in it.
    pub(super) leases: Vec<usize>,
    /// How many notes can be written, if not all.
    pub(super) room: Option<usize>,
}

impl State {
    /// Which lease an ssh command leads through.
    pub(super) fn lease_of(&mut self, ssh_command: &str) -> Option<usize> {
        let path = ssh_command.strip_prefix(SSH).and_then(|rest| rest.strip_prefix(" sh "));
        let lease = path.and_then(|path| self.leases.iter().position(|lease| lease.path == path));
        if lease.is_none() && ssh_command != SSH {
            self.breaks(format!("a create with the ssh command '{ssh_command}'"));
        }
        lease
    }

    fn is_live(&self, lease: usize) -> bool {
        !self.leases[lease].revoked && !self.runs[self.leases[lease].run].dead
    }

    /// The leases of a node through which commands run.
    pub(super) fn live_leases(&self, node: usize) -> Vec<usize> {
        self.nodes[node].state.leases.iter().copied().filter(|lease| self.is_live(*lease)).collect()
    }

    /// Barman runs a command on a node; None if it is refused there, or the node has no such lease.
    pub(super) fn command(&mut self, number: usize, words: &str) -> Option<u32> {
        let restore = &self.restores[number];
        let (node, lease, place) = (restore.node, restore.lease, restore.plan.place);
        if lease.is_some_and(|lease| place == Place::OtherHost || !self.is_live(lease)) {
            let id = restore.operation.clone();
            self.record(|| format!("operation {id}: '{words}' is refused"));
            return None;
        }
        let pid = 1000 + u32::try_from(self.number()).unwrap();
        if let Some(lease) = lease {
            let now = self.now;
            let lease = &mut self.leases[lease];
            lease.log.push(LogLine::Began(pid, words.into()));
            if !lease.restores.contains(&number) {
                lease.restores.push(number);
            }
            if lease.restores.len() > 1 {
                lease.shared_since.get_or_insert(now);
            }
        }
        if place != Place::OtherHost {
            self.flow(node);
            self.nodes[node].processes.push(Process {
                pid,
                lease,
                restore: number,
                since: self.now,
                stuck: false,
            });
        }
        Some(pid)
    }

    pub(super) fn is_running(&self, number: usize) -> bool {
        let restore = &self.restores[number];
        let is_it = |process: &Process| process.restore == number && !process.stuck;
        restore.plan.place == Place::OtherHost || self.nodes[restore.node].processes.iter().any(is_it)
    }

    pub(super) fn finish(&mut self, number: usize, pid: u32, status: i32) {
        let restore = &self.restores[number];
        let (node, lease) = (restore.node, restore.lease);
        self.flow(node);
        let before = self.nodes[node].processes.len();
        self.nodes[node].processes.retain(|process| process.pid != pid || process.stuck);
        if self.nodes[node].processes.len() < before
            && let Some(lease) = lease
        {
            self.leases[lease].log.push(LogLine::Ended(pid, status));
        }
    }

    /// Whether any of them ran.
    pub(super) fn finish_all(&mut self, number: usize, status: i32) -> bool {
        let running = self.is_running(number);
        let here = &self.nodes[self.restores[number].node];
        let pids: Vec<u32> = here.processes.iter().filter(|p| p.restore == number).map(|p| p.pid).collect();
        for pid in pids {
            self.finish(number, pid, status);
        }
        running
    }

    /// The lease is revoked, or its run has died: what runs is killed, in no time, unless it is in the kernel.
    fn cut(&mut self, lease: usize) {
        let node = self.leases[lease].node;
        let running = self.nodes[node].processes.iter().filter(|p| p.lease == Some(lease) && !p.stuck);
        for Process { pid, restore, since, .. } in running.cloned().collect::<Vec<_>>() {
            self.leases[lease].cut_writer = Some((self.now, since));
            self.leases[lease].cut_unseen = self.nodes[node].hidden;
            if let Some(time) = self.restores[restore].plan.sticks {
                self.flow(node);
                let stuck = self.nodes[node].processes.iter_mut().find(|process| process.pid == pid);
                if let Some(process) = stuck {
                    process.stuck = true;
                }
                self.after(time, Happening::Leaves(node, pid));
            } else {
                self.finish(restore, pid, 137);
            }
            self.was_killed(restore);
        }
    }

    fn revoke(&mut self, lease: usize) {
        if !std::mem::replace(&mut self.leases[lease].revoked, true) {
            self.record(|| format!("lease {lease} is revoked"));
            self.cut(lease);
        }
    }

    fn drain(&self, lease: usize) -> Drain {
        let Lease { node, leftover, .. } = &self.leases[lease];
        let held = self.nodes[*node].processes.iter().filter(|process| process.lease == Some(lease));
        let mut held: Vec<String> = held.map(|process| format!("rsync (pid {})", process.pid)).collect();
        if held.is_empty() && leftover.is_none() {
            return Drain::Drained;
        }
        // What another user runs can't be seen from here.
        held.extend(leftover.filter(|it| *it == Leftover::OfThisUser).map(|_| "agent (pid 4711)".into()));
        Drain::Held(held)
    }

    pub(super) fn is_drained(&self, lease: usize) -> bool {
        self.drain(lease) == Drain::Drained
    }

    /// The process of a run has gone: its locks are free.
    pub(super) fn dies(&mut self, run: usize) {
        self.runs[run].dead = true;
        let node = self.runs[run].node;
        for lease in self.nodes[node].state.leases.clone() {
            if self.leases[lease].run == run {
                self.cut(lease);
            }
        }
        self.nodes[node].state.locked_by.take_if(|by| *by == run);
    }

    pub(super) fn claim(&mut self, run: usize, shared: &Arc<Shared>) -> Claiming {
        let node = self.runs[run].node;
        let here = &mut self.nodes[node].state;
        if here.impossible {
            return Claiming::Impossible(Problem::new("no state directory can be made", "see --state-dir"));
        }
        if here.locked_by.is_some() {
            return Claiming::Held(here.note.clone());
        }
        here.locked_by = Some(run);
        let left = here.note.clone();
        Claiming::Ours(Box::new(Claim { shared: Arc::clone(shared), run, node, left }))
    }
}

/// What a run holds while it has the state directory.
struct Claim {
    shared: Arc<Shared>,
    run: usize,
    node: usize,
    left: Option<Note>,
}

impl ClaimHandle for Claim {
    fn path(&self) -> String {
        "/pg/data.barman-recover".into()
    }

    fn left(&self) -> Known<Option<Note>> {
        Ok(self.left.clone())
    }

    fn left_log(&self) -> Known<Option<LeftLog>> {
        Ok(None) // only `settle` asks for it
    }

    fn note(&mut self, note: &Note) -> Known<()> {
        let mut state = self.shared.lock();
        state.step(self.run);
        state.fallible(self.run, "a note")?;
        let here = &mut state.nodes[self.node].state;
        match &mut here.room {
            Some(0) => return Err("No space left on device".into()),
            room => *room = room.map(|room| room - 1),
        }
        here.note = Some(note.clone());
        Ok(())
    }

    fn drain(&mut self) -> Drain {
        let mut state = self.shared.lock();
        state.step(self.run);
        if let Err(why) = state.fallible(self.run, "a drain") {
            return Drain::Unknown(why);
        }
        let (mut held, mut is_held) = (Vec::new(), false);
        for lease in state.nodes[self.node].state.leases.clone() {
            if state.leases[lease].run != self.run {
                state.revoke(lease);
                if let Drain::Held(by) = state.drain(lease) {
                    is_held = true;
                    held.extend(by);
                }
            }
        }
        if is_held { Drain::Held(held) } else { Drain::Drained }
    }

    fn kill_holders(&mut self) {
        let mut state = self.shared.lock();
        state.step(self.run);
        for lease in state.nodes[self.node].state.leases.clone() {
            state.leases[lease].leftover.take_if(|it| *it == Leftover::OfThisUser);
        }
    }

    fn grant(&mut self, _: &str) -> Result<Box<dyn LeaseHandle>, Problem> {
        let mut state = self.shared.lock();
        state.step(self.run);
        state.fallible(self.run, "a grant").map_err(Problem::without_hint)?;
        let nonce = state.number();
        let (node, run) = (self.node, self.run);
        state.leases.push(Lease {
            node,
            run,
            path: format!("/pg/data.barman-recover/lease-{nonce:016x}"),
            revoked: false,
            log: Vec::new(),
            read: 0,
            leftover: None,
            restores: Vec::new(),
            shared_since: None,
            cut_writer: None,
            cut_unseen: false,
        });
        let lease = state.leases.len() - 1;
        state.nodes[node].state.leases.push(lease);
        state.record(|| format!("node {node}: lease {lease} is granted"));
        state.check_granted(node);
        Ok(Box::new(Held { shared: Arc::clone(&self.shared), run, lease }))
    }

    fn remove(&mut self) -> Known<()> {
        let mut state = self.shared.lock();
        state.step(self.run);
        state.fallible(self.run, "a removal")?;
        if !state.live_leases(self.node).is_empty() {
            state.breaks("the state directory is removed under a live lease");
        }
        let here = &mut state.nodes[self.node].state;
        here.note = None;
        here.leases.clear();
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.nodes[self.node].state.locked_by.take_if(|by| *by == self.run);
    }
}

/// A lease that a run has.
struct Held {
    shared: Arc<Shared>,
    run: usize,
    lease: usize,
}

impl LeaseHandle for Held {
    fn path(&self) -> String {
        self.shared.lock().leases[self.lease].path.clone()
    }

    fn log(&mut self) -> Known<Vec<LogLine>> {
        let mut state = self.shared.lock();
        state.step(self.run);
        let read = state.fallible(self.run, "the log");
        let now = state.now;
        let lease = &mut state.leases[self.lease];
        if let Err(why) = read {
            // A second Barman can't be noticed where the log can't be read.
            lease.shared_since = lease.shared_since.map(|_| now);
            return Err(why);
        }
        let new = lease.log[lease.read..].to_vec();
        lease.read = lease.log.len();
        Ok(new)
    }

    fn moved(&mut self) -> Option<u64> {
        let mut state = self.shared.lock();
        state.step(self.run);
        state.fallible(self.run, "what the commands move").ok()?;
        let state = &*state;
        let here = &state.nodes[state.leases[self.lease].node];
        let ours = here.processes.iter().filter(|process| process.lease == Some(self.lease));
        let all = ours.map(|process| {
            let time = state.now - process.since;
            bytes(time.saturating_sub(state.restores[process.restore].stalled(process.since, state.now)))
        });
        all.reduce(|all, one| all + one)
    }

    fn revoke(&mut self) {
        let mut state = self.shared.lock();
        // While a killed run unwinds, nothing of it does anything any more.
        if !state.runs[self.run].dead {
            if !std::thread::panicking() {
                state.step(self.run);
            }
            state.revoke(self.lease);
        }
    }

    fn drain(&mut self) -> Drain {
        let mut state = self.shared.lock();
        state.step(self.run);
        if !state.leases[self.lease].revoked {
            state.breaks("a lease is drained that was not revoked");
        }
        match state.fallible(self.run, "a drain") {
            Ok(()) => state.drain(self.lease),
            Err(why) => Drain::Unknown(why),
        }
    }

    fn kill_holders(&mut self) {
        let mut state = self.shared.lock();
        state.step(self.run);
        state.leases[self.lease].leftover.take_if(|it| *it == Leftover::OfThisUser);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.runs[self.run].dead {
            state.revoke(self.lease);
        }
    }
}
