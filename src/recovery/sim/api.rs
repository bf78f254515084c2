//! The API of the simulated world: one-second IDs, workers that may be busy, and what can happen to a request.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::plan::Plan;
use super::state::{Happening, State, ms, secs};
use crate::api::date::Date;
use crate::api::{Reply, Request, Status};
use crate::error::{Error, ErrorKind, NoReply};

/// Until a reply that nothing delays is there.
const LATENCY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    List,
    Create,
    Poll,
}

impl Kind {
    pub(super) fn of(request: &Request) -> Kind {
        match request {
            Request::Status => Kind::Status,
            Request::List => Kind::List,
            Request::Create(_) => Kind::Create,
            Request::Poll(_) => Kind::Poll,
            _ => panic!("no request of a recovery: {request:?}"),
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Something before the API answers in its place.
    Answer(Reply),
    /// The API does it, and another answer arrives.
    Instead(Reply),
    /// No connection.
    Refused,
    /// No connection, and never one (a wrong certificate).
    Lasting,
    /// The API does it, and the connection breaks.
    Lost,
    /// It was sent, and the connection breaks before the API has seen it.
    Broken,
    /// The same, and the API gets to it so much later, from its backlog.
    Ghost(Duration),
    /// It was sent, and nothing ever comes of it.
    Dropped,
    /// The API gets to it only so much later.
    Late(Duration),
    /// Its answer arrives so much later.
    Slow(Duration),
}

/// A create on its way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    ticket: u64,
    pub(super) node: usize,
    pub(super) run: usize,
    backup_id: String,
    /// The lease that its ssh command leads through.
    lease: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    kind: &'static str,
    pub(super) status: Status,
}

#[derive(Default)]
pub(super) struct Api {
    /// When each worker is free, where that counts.
    pub(super) workers: Vec<Duration>,
    /// From a create's look at its ID to its registration.
    pub(super) race: Duration,
    /// Which requests of a kind, counted over all runs from 0, meet a fault.
    pub(super) faults: Vec<(Kind, Range<usize>, Fault)>,
    /// When all requests meet a fault.
    pub(super) outages: Vec<(Range<Duration>, Fault)>,
    sent: [usize; 4],
    /// An operation whose output is broken: the API lists it, and says that it does not know it.
    pub(super) broken: Option<String>,
    /// Creates that the API has not come to yet.
    pub(super) pending: Vec<Pending>,
    replies: HashMap<u64, Reply>,
}

/// What becomes of a request, as its client sees it.
pub(super) enum Exchange {
    /// After this time there is an answer: of the API, or another one.
    Answer(Duration, Option<Reply>),
    /// After this time there is none.
    Broken(Duration, Error),
    /// There never is one.
    Silence,
}

pub(super) fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, body: body.into(), cut: None, retry_after: None, date: None, location: None }
}

/// What the API really answered once: `tests/recordings`, without the head.
pub(super) fn recorded(text: &str) -> Reply {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap();
    reply(head[9..12].parse().unwrap(), body)
}

macro_rules! recording {
    ($name:literal) => {
        super::api::recorded(include_str!(concat!("../../../tests/recordings/", $name, ".http")))
    };
}
pub(super) use recording;

/// The error of a request that was never sent.
pub(super) fn not_sent(text: &str) -> Error {
    without_reply(ErrorKind::NoReply { why: NoReply::Other, sent: false }, text)
}

/// The error of a request that was sent, and to which no reply came.
pub(super) fn not_answered(text: &str) -> Error {
    without_reply(ErrorKind::NoReply { why: NoReply::Other, sent: true }, text)
}

fn without_reply(kind: ErrorKind, text: &str) -> Error {
    Error { kind, message: format!("https://barman:7480/api: {text}"), hint: None }
}

/// The ID of a create in that second: `20261122T102257` in the first one.
pub(super) fn id_at(now: Duration) -> String {
    let seconds = 22 * 86_400 + 10 * 3600 + 22 * 60 + 57 + now.as_secs();
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    format!("202611{day:02}T{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The same second as the API's `Date` header says it.
fn header_at(now: Duration) -> String {
    let id = id_at(now);
    format!("Sun, {} Nov 2026 {}:{}:{} GMT", &id[6..8], &id[9..11], &id[11..13], &id[13..15])
}

impl State {
    pub(super) fn add(&mut self, id: String, kind: &'static str, status: Status) {
        self.operations.push(Operation { id, kind, status });
    }

    pub(super) fn status(&self, id: &str) -> Option<Status> {
        self.operations.iter().rev().find(|operation| operation.id == id).map(|operation| operation.status)
    }

    pub(super) fn end_operation(&mut self, id: &str, status: Status) {
        self.record(|| format!("operation {id}: {status:?}"));
        for operation in self.operations.iter_mut().filter(|operation| operation.id == id) {
            operation.status = status;
        }
    }

    /// A request is sent: what becomes of it. Its creates go on by themselves.
    pub(super) fn send(&mut self, request: &Request, run: usize) -> (Exchange, u64) {
        let kind = Kind::of(request);
        let number = self.api.sent[kind as usize];
        self.api.sent[kind as usize] += 1;
        let fault = self.fault(kind, number);
        if fault.is_some() {
            self.runs[run].met_fault(kind, self.now);
        }
        let at = match &fault {
            Some(Fault::Late(late) | Fault::Ghost(late)) => LATENCY + *late,
            _ => LATENCY + self.queue(kind),
        };
        let ticket = self.number();
        let reaches = !matches!(
            fault,
            Some(Fault::Answer(_) | Fault::Refused | Fault::Lasting | Fault::Broken | Fault::Dropped)
        );
        if let (Request::Create(new), true) = (request, reaches) {
            let node = self.runs[run].node;
            let lease = self.lease_of(&new.ssh_command);
            let pending = Pending { ticket, node, run, backup_id: new.backup_id.clone(), lease };
            self.api.pending.push(pending.clone());
            self.after(at, Happening::Create(pending));
        }
        let at = at + if kind == Kind::Create { self.api.race } else { Duration::ZERO };
        let exchange = match fault {
            None | Some(Fault::Late(_)) => Exchange::Answer(at, None),
            Some(Fault::Slow(time)) => Exchange::Answer(at + time, None),
            Some(Fault::Answer(reply) | Fault::Instead(reply)) => Exchange::Answer(at, Some(reply)),
            Some(Fault::Refused) => Exchange::Broken(LATENCY, not_sent("connection refused")),
            Some(Fault::Lasting) => {
                let text = "unknown issuer of its certificate";
                Exchange::Broken(LATENCY, Error::unsent(NoReply::UnknownIssuer, text))
            }
            Some(Fault::Lost) => Exchange::Broken(at, not_answered("connection reset by peer")),
            Some(Fault::Broken | Fault::Ghost(_)) => {
                Exchange::Broken(LATENCY, not_answered("connection reset by peer"))
            }
            Some(Fault::Dropped) => Exchange::Silence,
        };
        (exchange, ticket)
    }

    fn fault(&self, kind: Kind, number: usize) -> Option<Fault> {
        let counted = self.api.faults.iter().find(|(of, which, _)| *of == kind && which.contains(&number));
        let timed = || self.api.outages.iter().find(|(when, _)| when.contains(&self.now));
        counted.map(|(_, _, fault)| fault.clone()).or_else(|| timed().map(|(_, fault)| fault.clone()))
    }

    /// Until a worker has done it.
    fn queue(&mut self, kind: Kind) -> Duration {
        let work = ms(if kind == Kind::Create { 150 } else { 15 });
        let Some(free) = self.api.workers.iter_mut().min() else { return Duration::ZERO };
        *free = (*free).max(self.now) + work;
        *free - self.now
    }

    /// The API's answer, as its client still waits for it.
    pub(super) fn answer(&mut self, run: usize, request: &Request, ticket: u64) -> Reply {
        match request {
            Request::Status => recording!("status"),
            Request::List => {
                if self.operations.is_empty() {
                    self.runs[run].met_fault(Kind::List, self.now);
                }
                let entry = |op: &Operation| format!("{{\"id\":\"{}\",\"type\":\"{}\"}}", op.id, op.kind);
                let entries: Vec<String> = self.operations.iter().map(entry).collect();
                let listed = reply(200, format!("{{\"operations\":[{}]}}\n", entries.join(",")));
                Reply { date: Date::from_header(&header_at(self.now)), ..listed }
            }
            Request::Poll(id) => match self.status(id).filter(|_| self.api.broken.as_ref() != Some(id)) {
                None => {
                    self.runs[run].met_fault(Kind::Poll, self.now);
                    recording!("operation-unknown-id")
                }
                Some(status) => {
                    let word = match status {
                        Status::InProgress => "IN_PROGRESS",
                        Status::Done => "DONE",
                        Status::Failed => "FAILED",
                    };
                    reply(200, format!("{{\"operation_id\":\"{id}\",\"status\":\"{word}\"}}\n"))
                }
            },
            _ => self.api.replies.remove(&ticket).unwrap_or_else(|| recording!("create-gunicorn-500")),
        }
    }

    /// The API gets to a create: is its ID free?
    pub(super) fn check_create(&mut self, pending: Pending) {
        let id = id_at(self.now);
        if self.status(&id).is_some() {
            self.api.pending.retain(|other| other.ticket != pending.ticket);
            self.runs[pending.run].met_fault(Kind::Create, self.now);
            self.api.replies.insert(pending.ticket, recording!("create-recovery-same-second"));
        } else if self.api.race.is_zero() {
            self.register(pending, id);
        } else {
            self.after(self.api.race, Happening::Register(pending, id));
        }
    }

    /// Two creates that both found it free get one ID, and both Barmans do what the later job file says.
    pub(super) fn register(&mut self, pending: Pending, id: String) {
        self.api.pending.retain(|other| other.ticket != pending.ticket);
        let plan = if self.plans.is_empty() { self.plan.clone() } else { self.plans.remove(0) };
        let known = ["latest", "last", "oldest", "first"].contains(&pending.backup_id.as_str());
        let backup = if known { plan.backup.clone() } else { pending.backup_id };
        for other in self.restores.iter_mut().filter(|restore| restore.operation == id && !restore.begun) {
            (other.node, other.lease) = (pending.node, pending.lease);
            other.plan.backup.clone_from(&backup);
        }
        self.start(&id, pending.run, pending.node, pending.lease, Plan { backup, ..plan });
        self.api.replies.insert(pending.ticket, reply(202, format!("{{\"operation_id\":\"{id}\"}}\n")));
    }

    /// The requests of this kind whose number (from 0) is in `which` meet this fault.
    pub(super) fn meets(&mut self, kind: Kind, which: Range<usize>, fault: Fault) {
        self.api.faults.push((kind, which, fault));
    }

    /// All requests between these seconds meet this fault.
    pub(super) fn outage(&mut self, when: Range<u64>, fault: Fault) {
        self.api.outages.push((secs(when.start)..secs(when.end), fault));
    }
}
