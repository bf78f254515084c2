//! What every run keeps to, whatever it meets: the simulated world knows what is true.

use std::time::Duration;

use super::barman::{Fate, Restore};
use super::sim::SECRETS;
use super::state::{State, ms, secs};
use crate::api::{Reply, Request, Status, TransportError};
use crate::outcome::{Code, OperationState};
use crate::world::GRACE;

/// How long a receiver may have been there without having been seen.
const UNSEEN: Duration = Duration::from_millis(300);
/// How long a run may go on while nothing that runs or may begin counts for it: the look at the list after a
/// lost create, and the quiet after the mark.
const IDLE: Duration = Duration::from_secs(180);
/// How long a restore whose directory was removed may go on receiving beside a run.
const DOOMED: Duration = Duration::from_secs(12);

impl State {
    /// Whether its operation is still in progress: a second restore of the same operation may have ended that.
    fn is_open(&self, restore: &Restore) -> bool {
        self.status(&restore.operation) == Some(Status::InProgress)
    }

    fn is_receiving(&self, number: usize, since: Duration) -> bool {
        let node = self.restores[number].node;
        self.visible_receivers(node).any(|r| r.restore == Some(number) && r.since + since <= self.now)
    }

    /// What this node, or somebody else into it, may still write.
    fn writers(&self, run: usize) -> Vec<String> {
        let node = self.runs[run].node;
        let knows = self.remembers(run);
        let pending = self.api.pending.iter().filter(|(_, of, by)| *of == node && (knows || *by == run));
        let mut writers: Vec<String> = pending.map(|_| "a create on its way".into()).collect();
        for (number, restore) in self.restores.iter().enumerate() {
            if restore.node != node || !restore.can_write() {
                continue;
            }
            let own = restore.asked_by.is_some_and(|(of, by)| of == node && (knows || by == run));
            if (own && self.is_open(restore)) || self.is_receiving(number, UNSEEN) {
                writers.push(format!("the restore of {}", restore.operation));
            }
        }
        let left = self
            .visible_receivers(node)
            .filter(|receiver| receiver.restore.is_none() && self.nodes[node].tree == Some(receiver.tree));
        writers.extend(left.map(|_| "receivers of a restore that has ended".into()));
        writers
    }

    /// Whether the run can know what those before it have started.
    fn remembers(&self, run: usize) -> bool {
        let node = &self.nodes[self.runs[run].node];
        self.runs[run].remembers && !node.unavailable && !node.forgetful
    }

    /// The first law, as a create is sent.
    pub(super) fn check_sent_create(&mut self, run: usize) {
        let writers = self.writers(run);
        if !writers.is_empty() {
            self.breaks(format!("law 1: a create is sent beside {}", writers.join(", ")));
        }
        if self.runs[run].reported() != OperationState::MaybeCreated {
            self.breaks("a create that was not reported before".into());
        }
        if self.nodes[self.runs[run].node].postmaster.is_some() {
            self.breaks("a create is sent while PostgreSQL is running here".into());
        }
    }

    /// The third law, at each step: nobody waits for what cannot count.
    pub(super) fn check_waiting(&mut self, run: usize) {
        if self.nodes.len() > 1 || self.runs[run].lawless {
            return;
        }
        let node = self.runs[run].node;
        let held = self.runs.iter().enumerate().any(|(other, ran)| other != run && ran.ended.is_none());
        let counts = held
            || !self.api.pending.is_empty()
            || self.operations.iter().any(|operation| operation.status == Status::InProgress)
            || self.nodes[node].receivers.iter().any(|receiver| receiver.restore.is_none())
            || self.api.outages.iter().any(|(when, _)| when.contains(&self.now));
        let now = self.now;
        let ran = &mut self.runs[run];
        if held {
            ran.faulted = now; // another run's state file keeps it from doing anything
        }
        let since = *ran.idle.get_or_insert(now);
        if counts {
            ran.idle = None;
        } else if now - since > IDLE {
            ran.lawless = true; // once is enough
            self.breaks(format!("law 3: waits since {:.1} s for nothing", since.as_secs_f64()));
        }
        let doomed = (0..self.restores.len()).find(|number| {
            let restore = &self.restores[*number];
            restore.asked_by.is_some()
                && restore.alive
                && restore.disturbed
                && self.is_receiving(*number, DOOMED)
        });
        let since = doomed.and_then(|number| self.restores[number].disturbed_at).unwrap_or(now);
        let began = self.runs[run].started.max(since).max(self.runs[run].faulted);
        if !held && self.remembers(run) && now - began > DOOMED {
            self.runs[run].lawless = true;
            self.breaks("law 3: lets a restore go on whose directory was removed".into());
        }
    }

    /// The laws, at the end of a run.
    pub(super) fn check_ended(&mut self, run: usize) {
        let node = self.runs[run].node;
        let Some(outcome) = self.runs[run].outcome.clone() else { return };
        let mut broken: Vec<String> = Vec::new();
        let mut ensure = |kept: bool, what: &str| {
            if !kept {
                broken.push(what.to_string());
            }
        };
        let state = outcome.operation_state;
        ensure(state == self.runs[run].reported(), "the outcome has another state than was reported last");
        if outcome.code == Code::RecoveryDone {
            ensure(outcome.message.is_empty(), "done, and a message");
            ensure(state == OperationState::Done, "done, and not so called");
            let elsewhere = self.restores.iter().any(|r| r.plan.elsewhere) || self.nodes[node].hidden;
            let complete = self.tree(node).and_then(|tree| tree.complete());
            let complete = complete.is_some_and(|backup| self.runs[run].wants(backup));
            let what = self.tree(node).map_or("no directory".into(), super::node::Tree::describe);
            // Without a state file nothing shows an earlier restore that is between two of its copies, nor without
            // `/proc` the second restore of an ID that the API gave twice.
            let (remembers, blind) = (self.remembers(run), self.nodes[node].no_proc);
            let strange = self.restores.iter().any(|restore| {
                let unknown = match restore.asked_by {
                    None => blind || !remembers,
                    by => by != Some((node, run)) && !remembers,
                };
                unknown && restore.tree == self.nodes[node].tree
            });
            ensure(
                complete || elsewhere || strange,
                &format!("law 2: done, and the data is not there: {what}"),
            );
            let writers = self.writers_after(run);
            ensure(writers.is_empty() || elsewhere, &format!("law 2: done beside {}", writers.join(", ")));
        } else {
            ensure(!outcome.message.is_empty(), "not done, and no message");
            let forced = matches!(outcome.code, Code::Cancelled | Code::TimedOut | Code::Busy);
            let arriving = (0..self.restores.len()).find(|number| self.is_arriving(*number, run));
            let id = arriving.map(|number| self.restores[number].operation.clone());
            ensure(forced || id.is_none(), &format!("law 3: gives up while {id:?} brings data"));
        }
        let ours = self.own(run);
        let took_part = self.runs[run].locked || self.runs[run].closed || self.runs[run].creates() > 0;
        ensure(
            !ours || !took_part || state.may_be_running(),
            "one of ours may run, and the outcome does not say so",
        );
        if let Some(late) = self.runs[run].overdue() {
            ensure(late <= GRACE + ms(100), &format!("ends {late:?} after it was told to"));
        }
        let texts = self.runs[run].log.iter().map(|(.., line)| line).chain([&outcome.message, &outcome.hint]);
        for text in texts {
            ensure(!text.contains(char::is_control), &format!("more than a line: {text:?}"));
            ensure(!SECRETS.iter().any(|secret| text.contains(secret)), &format!("a secret: {text}"));
        }
        broken.extend(self.check_file(run));
        for law in broken {
            self.breaks(law);
        }
    }

    /// Whether something may run that the run must know of.
    fn own(&self, run: usize) -> bool {
        let (node, knows) = (self.runs[run].node, self.remembers(run));
        let of = |(of, _): (usize, usize)| of == node && knows;
        self.api.pending.iter().any(|(_, node, by)| of((*node, *by)))
            || self
                .restores
                .iter()
                .any(|r| r.can_write() && self.is_open(r) && r.node == node && r.asked_by.is_some_and(of))
    }

    /// Who can still write into a directory that is called complete. Barman refuses it before it has begun; and a
    /// restore that nobody here has asked for can't be seen between two of its copies.
    fn writers_after(&self, run: usize) -> Vec<&str> {
        let node = self.runs[run].node;
        let writes = |(number, r): &(usize, &Restore)| {
            let own = r.asked_by.is_some_and(|(of, by)| of == node && (self.remembers(run) || by == run));
            let can = r.node == node && r.can_write() && (r.begun || r.plan.accepts_files);
            can && ((own && self.is_open(r)) || self.is_receiving(*number, UNSEEN))
        };
        self.restores
            .iter()
            .enumerate()
            .filter(writes)
            .map(|(_, restore)| restore.operation.as_str())
            .collect()
    }

    /// Whether a restore brings data that will be complete, as this node can see.
    fn is_arriving(&self, number: usize, run: usize) -> bool {
        let (node, knows) = (self.runs[run].node, self.remembers(run));
        let restore = &self.restores[number];
        let good = restore.plan.fate == Fate::Done && !restore.disturbed && restore.node == node;
        let here = restore.tree.is_some() && restore.tree == self.nodes[node].tree;
        let ours = restore.asked_by.is_some_and(|(of, by)| of == node && (knows || by == run));
        good && here
            && ours
            && restore.alive
            && !self.nodes[node].hidden
            && self.is_receiving(number, secs(1))
            && restore.stalled(self.now.saturating_sub(secs(10)), self.now).is_zero()
    }

    /// The state file is there if and only if something may be running, or the directory holds what a restore that
    /// failed has left.
    fn check_file(&self, run: usize) -> Option<String> {
        let ran = &self.runs[run];
        let outcome = ran.outcome.as_ref()?;
        if !self.remembers(run) || outcome.code == Code::Busy || self.nodes[ran.node].close_fails {
            return None;
        }
        let record = self.record(ran.node);
        let held = self.nodes[ran.node].state_file.is_some_and(|file| self.files[file].locked_by.is_some());
        if held || !(ran.closed || ran.left) {
            return None;
        }
        let is_open = record.as_ref().map(|record| record.ended.is_none());
        match (outcome.operation_state.may_be_running(), is_open) {
            (true, None | Some(false)) => Some("something may be running, and no state file says so".into()),
            // An interrupt may come before it is quiet.
            (false, Some(true)) if !ran.says("may still be writing") => {
                Some("nothing is running, and a state file says so".into())
            }
            (false, Some(false)) if outcome.code == Code::RecoveryDone => {
                Some("done, and a state file is left".into())
            }
            (false, Some(false)) if !self.is_filled(ran.node) => {
                Some("a state file is left for no data".into())
            }
            (false, None) if outcome.code != Code::RecoveryDone && self.has_remains(run) => {
                Some("what a restore has left is here, and no state file says so".into())
            }
            _ => None,
        }
    }

    /// Whether the directory holds what a restore of this run has left, without its mark.
    fn has_remains(&self, run: usize) -> bool {
        let node = self.runs[run].node;
        let wrote = |restore: &Restore| {
            restore.begun && restore.asked_by == Some((node, run)) && restore.tree == self.nodes[node].tree
        };
        let incomplete = self.tree(node).is_some_and(|tree| tree.complete().is_none());
        incomplete && self.is_filled(node) && !self.nodes[node].hidden && self.restores.iter().any(wrote)
    }

    pub(super) fn tell_exchange(
        &mut self,
        run: usize,
        request: &Request,
        answer: &Result<Reply, TransportError>,
    ) {
        let node = self.runs[run].node;
        let name = match request {
            Request::Status => "status".into(),
            Request::List => "list".into(),
            Request::Poll(id) => format!("poll {id}"),
            _ => "create".into(),
        };
        self.tell(|| match answer {
            Ok(reply) => {
                let body = String::from_utf8_lossy(&reply.body);
                let body: String =
                    body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(70).collect();
                format!("node {node} {name}: {} {body}", reply.status)
            }
            Err(error) => format!("node {node} {name}: {} (sent: {})", error.message, error.sent),
        });
    }
}
