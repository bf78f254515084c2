//! The API of the simulated world: one-second IDs, workers that may be busy, and what can happen to a request.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::barman::Plan;
use super::state::{Happening, State, ms, secs};
use crate::api::date::Date;
use crate::api::{NoReply, Reply, Request, Status, TlsFault, TransportError};

/// Until a reply that nothing delays is there.
pub(super) const LATENCY: Duration = Duration::from_millis(10);

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
            Request::Poll(_) => Kind::Poll,
            Request::Create(_) | Request::Switch(_) => Kind::Create,
            Request::Diagnose => unreachable!("not asked by a recovery"),
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
    /// The same, and the API gets to it so much later.
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
    pub(super) ticket: u64,
    pub(super) node: usize,
    pub(super) run: usize,
    pub(super) backup_id: String,
}

pub(super) struct Api {
    pub(super) latency: Duration,
    /// When each worker is free, where that counts; and how long a create and another request take them.
    pub(super) workers: Vec<Duration>,
    pub(super) work: (Duration, Duration),
    /// From a create's look at its ID to its registration.
    pub(super) race: Duration,
    /// Local time of the Barman host, in seconds east of GMT.
    pub(super) zone: i64,
    /// Which requests of a kind, counted over all runs from 0, meet a fault.
    pub(super) faults: Vec<(Kind, Range<usize>, Fault)>,
    /// When all requests meet a fault.
    pub(super) outages: Vec<(Range<Duration>, Fault)>,
    pub(super) sent: Vec<Kind>,
    /// Creates on their way: ticket, node and run.
    pub(super) pending: Vec<(u64, usize, usize)>,
    replies: HashMap<u64, Reply>,
}

impl Default for Api {
    fn default() -> Api {
        Api {
            latency: LATENCY,
            workers: Vec::new(),
            work: (ms(150), ms(15)),
            race: Duration::ZERO,
            zone: 0,
            faults: Vec::new(),
            outages: Vec::new(),
            sent: Vec::new(),
            pending: Vec::new(),
            replies: HashMap::new(),
        }
    }
}

/// What becomes of a request, as its client sees it.
pub(super) enum Exchange {
    /// After this time there is an answer: of the API, or another one.
    Answer(Duration, Option<Reply>),
    /// After this time there is none.
    Broken(Duration, TransportError),
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
        $crate::recovery::tests::api::recorded(include_str!(concat!(
            "../../../tests/recordings/",
            $name,
            ".http"
        )))
    };
}
pub(super) use recording;

pub(super) fn no_reply(sent: bool, text: &str) -> TransportError {
    TransportError { kind: NoReply::Cut, message: format!("https://barman:7480/api: {text}"), sent }
}

/// `202611` + `22T102257`: time 0 is that second in GMT.
pub(super) fn stamp(now: Duration, zone: i64) -> String {
    let seconds = 22 * 86_400 + 10 * 3600 + 22 * 60 + 57 + i64::try_from(now.as_secs()).unwrap() + zone;
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    format!("202611{day:02}T{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

pub(super) fn id_at(now: Duration) -> String {
    stamp(now, 0)
}

impl State {
    /// A request is sent: what becomes of it. Its creates go on by themselves.
    pub(super) fn send(&mut self, request: &Request, run: usize) -> (Exchange, u64) {
        let node = self.runs[run].node;
        let kind = Kind::of(request);
        let number = self.api.sent.iter().filter(|sent| **sent == kind).count();
        self.api.sent.push(kind);
        let fault = self.fault(kind, number);
        if fault.is_some() {
            self.runs[run].idle = None;
            self.runs[run].faulted = self.now;
        }
        let latency = self.api.latency;
        let at = match &fault {
            Some(Fault::Late(late) | Fault::Ghost(late)) => latency + *late,
            _ => latency + self.queue(kind),
        };
        let reaches = !matches!(
            fault,
            Some(Fault::Answer(_) | Fault::Refused | Fault::Lasting | Fault::Broken | Fault::Dropped)
        );
        let ticket = self.number();
        if kind == Kind::Create && reaches {
            self.api.pending.push((ticket, node, run));
            let Request::Create(new) = request else { unreachable!() };
            assert_eq!(new.data_directory, "/pg/data");
            let backup_id = new.backup_id.clone();
            self.after(at, Happening::Create(Pending { ticket, node, run, backup_id }));
        }
        let at = at + if kind == Kind::Create { self.api.race } else { Duration::ZERO };
        let exchange = match fault {
            None | Some(Fault::Late(_)) => Exchange::Answer(at, None),
            Some(Fault::Slow(time)) => Exchange::Answer(at + time, None),
            Some(Fault::Answer(reply) | Fault::Instead(reply)) => Exchange::Answer(at, Some(reply)),
            Some(Fault::Refused) => Exchange::Broken(latency, no_reply(false, "connection refused")),
            Some(Fault::Lasting) => {
                let text = "unknown issuer of its certificate";
                let kind = NoReply::Tls(TlsFault::UnknownIssuer);
                Exchange::Broken(latency, TransportError { kind, ..no_reply(false, text) })
            }
            Some(Fault::Lost) => Exchange::Broken(at, no_reply(true, "connection reset by peer")),
            Some(Fault::Broken | Fault::Ghost(_)) => {
                Exchange::Broken(latency, no_reply(true, "connection reset by peer"))
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
        let work = if kind == Kind::Create { self.api.work.0 } else { self.api.work.1 };
        let Some(free) = self.api.workers.iter_mut().min() else { return Duration::ZERO };
        *free = (*free).max(self.now) + work;
        *free - self.now
    }

    /// The API's answer, as its client still waits for it.
    pub(super) fn answer(&mut self, request: &Request, ticket: u64) -> Reply {
        match request {
            Request::Status => recording!("status"),
            Request::List => {
                let entry = |id: &str, kind: &str| format!("{{\"id\":\"{id}\",\"type\":\"{kind}\"}}");
                let entries: Vec<String> = self.operations.iter().map(|op| entry(&op.id, op.kind)).collect();
                self.dated(reply(200, format!("{{\"operations\":[{}]}}\n", entries.join(","))))
            }
            Request::Poll(id) => match self.status(id) {
                None => recording!("operation-unknown-id"),
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

    fn dated(&self, reply: Reply) -> Reply {
        let day = stamp(self.now, 0);
        let header =
            format!("Sun, {} Nov 2026 {}:{}:{} GMT", &day[6..8], &day[9..11], &day[11..13], &day[13..15]);
        Reply { date: Date::of_header(&header), ..reply }
    }

    /// The API gets to a create: is its ID free?
    pub(super) fn check_create(&mut self, pending: Pending) {
        let id = stamp(self.now, self.api.zone);
        if self.status(&id).is_some() {
            self.api.pending.retain(|(ticket, ..)| *ticket != pending.ticket);
            let answer = self.dated(recording!("create-recovery-same-second"));
            self.api.replies.insert(pending.ticket, answer);
        } else if self.api.race.is_zero() {
            self.register(pending, id);
        } else {
            self.after(self.api.race, Happening::Register(pending, id));
        }
    }

    /// Two creates that both found it free get one ID, and both restores go where the later job file says.
    pub(super) fn register(&mut self, pending: Pending, id: String) {
        self.api.pending.retain(|(ticket, ..)| *ticket != pending.ticket);
        let plan = self.next_plan();
        let known = ["latest", "last", "oldest", "first"];
        let instead = self.restores_instead.clone();
        let backup = if let Some(instead) = instead {
            instead
        } else if known.contains(&pending.backup_id.as_str()) {
            plan.backup.clone()
        } else {
            pending.backup_id
        };
        for other in self.restores.iter_mut().filter(|restore| restore.operation == id && !restore.begun) {
            other.node = pending.node;
        }
        self.start(&id, Some((pending.node, pending.run)), pending.node, Plan { backup, ..plan });
        let answer = self.dated(reply(202, format!("{{\"operation_id\":\"{id}\"}}\n")));
        self.api.replies.insert(pending.ticket, answer);
    }

    /// A create of an earlier run that the API gets to then.
    pub(super) fn late_create(&mut self, node: usize, run: usize, at: Duration) {
        let ticket = self.number();
        self.api.pending.push((ticket, node, run));
        let pending = Pending { ticket, node, run, backup_id: "latest".into() };
        self.at(at, Happening::Create(pending));
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
