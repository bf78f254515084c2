//! What every run keeps to, whatever it meets: the simulated world knows what is true.

use std::time::Duration;

use super::api::Kind;
use super::barman::Restore;
use super::lease::{Lease, Process};
use super::plan::{Fate, Place};
use super::state::{State, ms, secs};
use crate::api::{NewRecovery, Reply, Request, Status};
use crate::error::Error;
use crate::outcome::{Answer, Code, OperationState, Recovery};

pub(super) const SECRETS: [&str; 2] = ["s3cret", "/private/key"];
/// How long two Barmans may write through one lease, and Barman beside a PostgreSQL that was started, until the run has
/// noticed: it waits for a reply as long as a request may take.
const NOTICED: Duration = Duration::from_secs(65);
/// How long a run may go on while nothing comes: the search for a lost create, waits between retries.
const IDLE: Duration = Duration::from_secs(180);
/// The same while the API says that an operation is in progress, whose Barman has died.
const IDLE_IN_PROGRESS: Duration = Duration::from_secs(700);
/// How long the end of a run may take if something can't be killed.
const DRAIN: Duration = Duration::from_secs(9);

impl State {
    /// The first law, at each step of each run, and after all that happens.
    pub(super) fn check_writers(&mut self, node: usize) {
        let here = &self.nodes[node];
        let writers: Vec<&Process> =
            here.processes.iter().filter(|p| p.lease.is_some() && !p.stuck).collect();
        if writers.is_empty() {
            return;
        }
        let mut broken: Vec<String> = Vec::new();
        if here.basebackup {
            broken.push("law 1: Barman writes beside basebackup".into());
        }
        if here.postmaster.is_some() && self.now - here.postmaster_changed > NOTICED {
            broken.push("law 1: Barman writes beside PostgreSQL".into());
        }
        for process in writers {
            let Some(lease) = process.lease.map(|lease| &self.leases[lease]) else { continue };
            let run = &self.runs[lease.run];
            if lease.revoked || run.dead || run.ended.is_some() {
                broken.push(format!("law 1: Barman writes for run {}, which has ended", lease.run));
            }
            if lease.shared_since.is_some_and(|since| self.now - since > NOTICED)
                && self.have_two_written(lease)
            {
                broken.push("law 1: two Barmans write through one lease".into());
            }
        }
        for law in broken {
            self.breaks(law);
        }
    }

    /// As a lease is granted.
    pub(super) fn check_granted(&mut self, node: usize) {
        if self.live_leases(node).len() > 1 {
            self.breaks("law 1: two leases of one directory");
        }
    }

    /// As a create is sent.
    pub(super) fn check_create_sent(&mut self, run: usize, new: &NewRecovery) {
        let node = self.runs[run].node;
        let lease = self.lease_of(&new.ssh_command);
        let mut broken: Vec<&str> = Vec::new();
        if new.data_directory != "/pg/data" || new.backup_id != self.runs[run].backup_id {
            broken.push("a create for something else");
        }
        if self.runs[run].reported() != OperationState::MaybeCreated {
            broken.push("a create that was not reported before");
        }
        if self.nodes[node].postmaster.is_some() && self.runs[run].failing.is_empty() {
            let began = self.nodes[node].postmaster_changed;
            if self.now - began > NOTICED {
                broken.push("a create is sent while PostgreSQL is running here");
            }
        }
        let is_new = lease.is_some_and(|lease| self.leases[lease].restores.is_empty());
        if self.runs[run].has_lease
            && (lease.is_none() || self.live_leases(node) != lease.as_slice() || !is_new)
        {
            broken.push("a create without a lease of its own");
        }
        let earlier = self.nodes[node].state.leases.iter().filter(|earlier| Some(**earlier) != lease);
        if earlier.copied().any(|earlier| !self.is_drained(earlier)) {
            broken.push("a create before an earlier lease is drained");
        }
        for law in broken {
            self.breaks(law);
        }
    }

    /// The third law, at each step: nobody waits where nothing can come.
    pub(super) fn check_waiting(&mut self, run: usize) {
        if self.nodes.len() > 1 {
            return;
        }
        let node = self.runs[run].node;
        let here = &self.nodes[node];
        let other = self.runs.iter().enumerate().any(|(other, ran)| other != run && ran.ended.is_none());
        let counts = other
            || !self.api.pending.is_empty()
            || self.restores.iter().any(|restore| restore.alive)
            || here.processes.iter().any(|process| process.stuck)
            || here.strangers > 0
            || here.hidden
            || self.api.outages.iter().any(|(when, _)| when.contains(&self.now));
        let in_progress = self.operations.iter().any(|operation| operation.status == Status::InProgress);
        let now = self.now;
        let ran = &mut self.runs[run];
        let since = *ran.idle.get_or_insert(now);
        if counts {
            ran.idle = None;
        } else if now - since > if in_progress { IDLE_IN_PROGRESS } else { IDLE } {
            self.breaks(format!("law 3: run {run} waits for nothing"));
            self.runs[run].idle = None;
        }
    }

    /// A state of the operation is reported.
    pub(super) fn check_state(&mut self, run: usize, state: OperationState) {
        use OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};
        let before = self.runs[run].reported();
        let follows = match state {
            InProgress => before == MaybeCreated,
            // Again, after a create of which nothing came, or whose restore was ended.
            NotCreated => before.may_be_running(),
            MaybeCreated => true,
            Done | Failed => matches!(before, InProgress | MaybeCreated),
        };
        if !follows {
            self.breaks(format!("{state:?} is reported after {before:?}"));
        }
    }

    /// The laws, at the end of a run.
    pub(super) fn check_ended(&mut self, run: usize) {
        let Some(outcome) = self.runs[run].outcome.clone() else { return };
        let (ran, here) = (&self.runs[run], &self.nodes[self.runs[run].node]);
        let mut broken: Vec<String> = Vec::new();
        let mut ensure = |kept: bool, what: &str| {
            if !kept {
                broken.push(what.to_string());
            }
        };
        let live = here
            .state
            .leases
            .iter()
            .any(|lease| self.leases[*lease].run == run && !self.leases[*lease].revoked);
        ensure(!live, "law 1: a live lease is left");
        ensure(here.state.locked_by != Some(run), "the claim is left");
        ensure(
            outcome.found.operation_state == ran.reported(),
            "the outcome has another state than was reported last",
        );
        let done = outcome.code == Code::RecoveryDone;
        ensure(done == outcome.message.is_empty(), "done, and a message; or not done, and none");
        if done {
            ensure(outcome.found.operation_state == OperationState::Done, "done, and not so called");
            let unseen = !ran.has_lease && !ran.verifies;
            if let (false, Err(why)) = (unseen, self.is_complete(run)) {
                ensure(false, &format!("law 2: done, and the data is not here: {why}"));
            }
            let writes = (here.tree, self.tree(ran.node).map_or(0, |tree| tree.writes));
            ensure(unseen || ran.flushed == Some(writes), "law 2: done, and not flushed");
            ensure(!self.is_torn(run), "law 2: done, and two Barmans wrote");
            let is_gone = here.state.note.is_none() && here.state.leases.is_empty();
            ensure(is_gone || !ran.failing.is_empty(), "done, and the state directory is left");
        } else {
            let forced = [Code::Cancelled, Code::TimedOut, Code::Busy].contains(&outcome.code)
                || ran.says("stall-timeout");
            let arriving = self.restores.iter().find(|restore| self.is_arriving(restore, run));
            let what = arriving.map(|restore| restore.operation.clone());
            ensure(forced || what.is_none(), &format!("law 3: gives up while {what:?} brings data"));
            let is_noted = here.state.note.as_ref().is_some_and(|note| note.ended.is_some());
            let may_note =
                ran.failing.is_empty() && here.state.room.is_none() && here.state.locked_by.is_none();
            let was_used = self.leases.iter().any(|lease| lease.run == run && !lease.restores.is_empty());
            ensure(is_noted || !was_used || !may_note, "its end is not noted");
            if let (Some(id), false) =
                (&outcome.found.operation_id, outcome.found.operation_state.may_be_running())
            {
                let has_ended = self.status(id) != Some(Status::InProgress) || self.is_complete(run).is_ok();
                ensure(has_ended, "an end of the operation that the API has not said");
            }
        }
        self.check_code(run, outcome.code, &mut ensure);
        self.check_promptness(run, &mut ensure);
        self.check_texts(run, &outcome, &mut ensure);
        for law in broken {
            self.breaks(law);
        }
    }

    /// A run that is cancelled, or whose deadline passes, ends at once, unless something can't be killed.
    fn check_promptness(&self, run: usize, ensure: &mut impl FnMut(bool, &str)) {
        let ran = &self.runs[run];
        let Some(late) = ran.overdue() else { return };
        let holds = |restore: &Restore| restore.plan.sticks.is_some() || restore.plan.leftover.is_some();
        let held = self.restores.iter().any(|restore| restore.node == ran.node && holds(restore));
        let most = if held || !ran.failing.is_empty() { DRAIN } else { ms(500) };
        ensure(
            late <= most,
            &format!("ended {late:?} after its cancel or its deadline, and {most:?} are allowed"),
        );
    }

    /// What it says is one line each, and without a secret.
    fn check_texts(&self, run: usize, outcome: &Answer<Recovery>, ensure: &mut impl FnMut(bool, &str)) {
        let texts =
            self.runs[run].log.iter().map(|(.., line)| line).chain([&outcome.message]).chain(&outcome.hint);
        for text in texts {
            ensure(!text.contains(char::is_control), &format!("more than a line: {text:?}"));
            ensure(!SECRETS.iter().any(|secret| text.contains(secret)), &format!("a secret: {text}"));
        }
    }

    /// Each code has its cause.
    fn check_code(&self, run: usize, code: Code, ensure: &mut impl FnMut(bool, &str)) {
        let (ran, here) = (&self.runs[run], &self.nodes[self.runs[run].node]);
        let reason = match code {
            Code::RecoveryDone => ran.creates() > 0,
            Code::RecoveryFailed => {
                ran.creates() > 0 || here.hidden || !ran.failing.is_empty() || ran.says("could not be ended")
            }
            Code::HttpError => ran.has_met(&[Kind::Create, Kind::List, Kind::Poll]) || ran.says("HTTP 404"),
            Code::ApiNotOk => ran.has_met(&[Kind::Status]),
            Code::InvalidArgument => {
                here.state.impossible || here.foreign_owner.is_some() || !ran.failing.is_empty()
            }
            Code::Cancelled => !ran.cuts.is_empty(),
            Code::TimedOut => ran.deadline.is_some(),
            // It may have been stopped while the lease was drained.
            Code::Busy => here.postmaster.is_some() || self.now - here.postmaster_changed < DRAIN,
            _ => false,
        };
        ensure(reason, &format!("{code:?} without a reason"));
        let sent = !matches!(code, Code::ApiNotOk | Code::InvalidArgument) || ran.creates() == 0;
        ensure(sent || !ran.failing.is_empty(), &format!("{code:?} after a create"));
    }

    /// Whether two Barmans have written through the last lease of a run.
    fn is_torn(&self, run: usize) -> bool {
        let last = self.leases.iter().rev().find(|lease| lease.run == run);
        last.is_some_and(|lease| self.have_two_written(lease))
    }

    /// One that died before it had written has done no harm.
    fn have_two_written(&self, lease: &Lease) -> bool {
        let wrote = |number: &&usize| self.restores[**number].tree.is_some();
        lease.restores.iter().filter(wrote).count() > 1
    }

    /// Whether a restore of this run brings data that will be complete, as this node can see.
    fn is_arriving(&self, restore: &Restore, run: usize) -> bool {
        let (node, now) = (self.runs[run].node, self.now);
        let here = &self.nodes[node];
        // Only the last create of a run counts, and only if it is alone.
        let alone = self.restores.iter().filter(|other| other.operation == restore.operation).count() == 1;
        restore.asked_by == run
            && alone
            && restore.alive
            && restore.plan.fate == Fate::Done
            && restore.plan.place == Place::Here
            && !restore.disturbed
            && restore.tree.is_some()
            && restore.tree == here.tree
            && restore.node == node
            && !self.tree(node).is_some_and(|tree| tree.is_foreign)
            && !here.hidden
            // What the API says has failed is over, even if that was another node's with the same ID.
            && self.status(&restore.operation) != Some(Status::Failed)
            && restore.stalled(now.saturating_sub(secs(10)), now).is_zero()
            && self.was_writing(restore, secs(1))
    }

    /// Whether its lease was revoked only now.
    fn was_writing(&self, restore: &Restore, time: Duration) -> bool {
        let Some(lease) = restore.lease.map(|lease| &self.leases[lease]) else { return false };
        // A run that sees neither the data directory nor, for calls that fail, the log, sees nothing arrive.
        if lease.cut_unseen && !self.runs[lease.run].failing.is_empty() {
            return false;
        }
        lease.cut_writer.is_some_and(|(at, since)| self.now - at < secs(10) && at - since > time)
    }

    pub(super) fn tell_exchange(&mut self, run: usize, request: &Request, answer: &Result<Reply, Error>) {
        let node = self.runs[run].node;
        let name = match request {
            Request::Status => "status".into(),
            Request::List => "list".into(),
            Request::Poll(id) => format!("poll {id}"),
            _ => "create".into(),
        };
        self.record(|| match answer {
            Ok(reply) => {
                let body = String::from_utf8_lossy(&reply.body);
                let body: String =
                    body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(70).collect();
                format!("node {node} {name}: {} {body}", reply.status)
            }
            Err(error) => format!("node {node} {name}: {} (sent: {})", error.message, error.was_sent()),
        });
    }
}
