//! What a driver would do, in virtual time and with faults on the way, and what every run must keep to.

use std::ops::Range;
use std::time::Duration;

use super::barman::{self, Barman, Plan};
use crate::api::{Reply, Request, TransportError};
use crate::config::options::Opt;
use crate::config::{Config, Settings, Value};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome};
use crate::recovery::machine::{Claim, Course, Machine, Seen, Step};
use crate::world::journal::{Line, Record, Run};

/// No run of a test takes more steps.
const MOST_STEPS: usize = 200_000;
const LATENCY: Duration = Duration::from_millis(10);
pub(super) const SECRETS: [&str; 2] = ["s3cret", "/private/key"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    List,
    Create,
    Poll,
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
    /// The API does it, and no answer arrives.
    Lost,
    /// It was sent, and never sent the API.
    Dropped,
    /// It was sent, no answer came in time, and the API gets to it this much later.
    Late(Duration),
    /// Its answer arrives, so much later.
    Slow(Duration),
}

/// What ends a run from outside. The number counts what takes time: requests, waits, claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// Before that step.
    Cancel(usize),
    /// In the middle of it.
    CancelDuring(usize),
    /// The process dies before it.
    Kill(usize),
    /// The process dies while it waits for the answer.
    KillDuring(usize),
}

/// Another run that has the lock on the state file.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) lines: Vec<Line>,
    pub(super) until: Duration,
    /// It removes the file, after this; or else it is killed.
    pub(super) removes: Option<Vec<Line>>,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) deadline: Option<Duration>,
    pub(super) seed: u64,
    pub(super) barman: Barman,
    pub(super) faults: Vec<(Kind, Range<usize>, Fault)>,
    pub(super) sent: Vec<Kind>,
    pub(super) file: Option<Vec<u8>>,
    pub(super) other: Option<Other>,
    pub(super) unavailable: bool,
    /// Which saves fail, counted over all runs.
    pub(super) failing_saves: Range<usize>,
    pub(super) saves: usize,
    pub(super) forget_fails: bool,
    pub(super) interrupt: Option<Interrupt>,
}

/// What a run did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// None when it was killed.
    pub(super) outcome: Option<Outcome>,
    pub(super) log: Vec<(Duration, Level, String)>,
    pub(super) states: Vec<(OperationState, Option<String>)>,
    /// What was sent, and when (time since the start of the run).
    pub(super) requests: Vec<(Duration, Request)>,
    pub(super) waits: Vec<Duration>,
    /// Whether it got the state file.
    claimed: bool,
    /// Steps that take time.
    pub(super) timed: usize,
    pub(super) steps: usize,
}

impl Ran {
    pub(super) fn creates(&self) -> usize {
        self.requests.iter().filter(|(_, request)| matches!(request, Request::Create(_))).count()
    }

    /// The state of the operation that was told last.
    pub(super) fn told(&self) -> OperationState {
        self.states.last().map_or(OperationState::NotCreated, |(state, _)| *state)
    }

    pub(super) fn says(&self, text: &str) -> bool {
        let outcome =
            self.outcome.iter().any(|outcome| (outcome.message.clone() + &outcome.hint).contains(text));
        outcome || self.log.iter().any(|(_, level, line)| format!("{level}: {line}").contains(text))
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.outcome.as_ref().map(|outcome| outcome.code)
    }

    pub(super) fn story(&self) -> String {
        let mut lines: Vec<(Duration, String)> = Vec::new();
        lines.extend(self.log.iter().map(|(at, level, line)| (*at, format!("{level}: {line}"))));
        lines.extend(self.requests.iter().map(|(at, request)| (*at, format!("-> {request:?}"))));
        lines.sort_by_key(|(at, _)| *at);
        let lines: Vec<String> =
            lines.iter().map(|(at, line)| format!("{:9.3} {line}", at.as_secs_f64())).collect();
        format!("{}\n{:?}\n", lines.join("\n"), self.outcome)
    }
}

impl World {
    pub(super) fn new() -> World {
        let mut config = Config::new();
        for (option, text) in [
            (Opt::ApiUrl, "https://backup:s3cret@barman:7480/api"),
            (Opt::BarmanServer, "pg"),
            (Opt::SshCommand, "ssh -i /private/key postgres@node1"),
            (Opt::DataDirectory, "/pg/data"),
        ] {
            config.set(option, text).unwrap();
        }
        World {
            config,
            deadline: None,
            seed: 7,
            barman: Barman::new(),
            faults: Vec::new(),
            sent: Vec::new(),
            file: None,
            other: None,
            unavailable: false,
            failing_saves: 0..0,
            saves: 0,
            forget_fails: false,
            interrupt: None,
        }
    }

    pub(super) fn set<'a>(&mut self, option: Opt, value: impl Into<Value<'a>>) {
        self.config.set(option, value).unwrap();
    }

    /// The requests of this kind whose number (from 0) is in `which` meet this fault.
    pub(super) fn fault(&mut self, kind: Kind, which: Range<usize>, fault: Fault) {
        self.faults.push((kind, which, fault));
    }

    pub(super) fn plan(&mut self, plan: Plan, length: Duration) {
        (self.barman.plan, self.barman.length) = (plan, length);
    }

    pub(super) fn settings(&self) -> Settings {
        let mut settings = self.config.settings(crate::config::options::Command::Recover).unwrap();
        settings.deadline = self.deadline.or(settings.deadline);
        settings
    }

    /// The first line of an earlier run like this one, which knew of everything that is there now.
    pub(super) fn run_line(&self) -> Run {
        let known = self.barman.operations.iter().map(|operation| operation.id.clone()).collect();
        Run {
            pid: 4711,
            api_url: "https://barman:7480/api".into(),
            barman_server: "pg".into(),
            backup_id: "latest".into(),
            data_directory: "/pg/data".into(),
            known: Some(known),
        }
    }

    pub(super) fn record(&self) -> Option<Record> {
        Record::parse(self.file.as_deref()?).ok()?
    }

    /// One run of the program, from its start to its end.
    pub(super) fn run(&mut self) -> Ran {
        let settings = self.settings();
        let mut machine = Machine::new(settings.clone(), self.seed);
        let (begun, mut ran, mut seen, mut cancelled) = (self.barman.now, Ran::default(), Seen::Start, false);
        loop {
            ran.steps += 1;
            assert!(ran.steps < MOST_STEPS, "it does not end:\n{}", ran.story());
            let now = self.barman.now - begun;
            let (events, step) = machine.advance(seen, now);
            for event in events {
                match event {
                    Event::Log { level, message } => ran.log.push((now, level, message)),
                    Event::State { state, operation_id } => ran.states.push((state, operation_id)),
                    Event::Progress(_) | Event::Tick => {}
                }
            }
            let mut during = false;
            if matches!(step, Step::Claim | Step::Send(..) | Step::Wait(_)) {
                match self.interrupt {
                    Some(Interrupt::Cancel(at)) if at == ran.timed => cancelled = true,
                    Some(Interrupt::Kill(at)) if at == ran.timed => return ran,
                    Some(Interrupt::CancelDuring(at) | Interrupt::KillDuring(at)) => during = at == ran.timed,
                    _ => {}
                }
                ran.timed += 1;
                if cancelled {
                    seen = Seen::Cancelled;
                    continue;
                }
                if let Step::Send(request, _) = &step {
                    // Whoever looks while the reply is awaited is to know that files may be landing.
                    let told =
                        !matches!(request, Request::Create(_)) || ran.told() == OperationState::MaybeCreated;
                    assert!(told, "a create that was not told:\n{}", ran.story());
                    ran.requests.push((now, request.clone()));
                }
            }
            seen = match step {
                Step::Look => Seen::Looked(self.barman.look()),
                Step::Claim => {
                    let claim = self.claim();
                    ran.claimed |= matches!(claim, Claim::Mine { .. });
                    Seen::Claimed(claim)
                }
                Step::Save(lines) => Seen::Saved(self.save(&lines)),
                Step::Forget(_) if self.forget_fails => Seen::Forgotten(Some("read-only".into())),
                Step::Forget(_) => {
                    self.file = None;
                    Seen::Forgotten(None)
                }
                Step::Send(request, timeout) => {
                    let answer = self.exchange(&request, timeout, &settings);
                    match answer {
                        _ if during => {
                            Seen::Unanswered(no_reply(true, "interrupted, as the run was cancelled"))
                        }
                        Ok(reply) => Seen::Reply(reply),
                        Err(none) => Seen::Unanswered(none),
                    }
                }
                Step::Wait(wait) => {
                    ran.waits.push(wait);
                    self.barman.until(self.barman.now + if during { wait / 2 } else { wait });
                    Seen::Waited
                }
                Step::Finish(outcome) => {
                    assert_eq!(outcome.operation_state, ran.told(), "{}", ran.story());
                    ran.outcome = Some(outcome);
                    return ran;
                }
            };
            if during && matches!(self.interrupt, Some(Interrupt::KillDuring(_))) {
                return ran;
            }
            cancelled |= during;
        }
    }

    fn claim(&mut self) -> Claim {
        if self.unavailable {
            return Claim::Unavailable("Permission denied".into());
        }
        let mut left = None;
        if let Some(other) = self.other.take() {
            let bytes = |lines: &[Line]| lines.iter().flat_map(Line::to_bytes).collect::<Vec<u8>>();
            if self.barman.now < other.until {
                let record = Record::parse(&bytes(&other.lines)).ok().flatten();
                self.other = Some(other);
                return Claim::Held(record);
            }
            match other.removes {
                None => self.file = Some(bytes(&other.lines)),
                Some(last) => left = Record::parse(&bytes(&[other.lines, last].concat())).unwrap(),
            }
        }
        match Record::parse(self.file.get_or_insert_default()) {
            Ok(record) => Claim::Mine { record: record.or(left), garbage: None },
            Err(why) => {
                self.file = Some(Vec::new());
                Claim::Mine { record: None, garbage: Some(why) }
            }
        }
    }

    pub(super) fn save(&mut self, lines: &[Line]) -> Option<String> {
        let fails = self.failing_saves.contains(&self.saves);
        self.saves += 1;
        if fails {
            return Some("No space left on device".into());
        }
        self.file.as_mut().expect("a claimed file").extend(lines.iter().flat_map(Line::to_bytes));
        None
    }

    pub(super) fn exchange(
        &mut self,
        request: &Request,
        timeout: Duration,
        settings: &Settings,
    ) -> Result<Reply, TransportError> {
        let kind = match request {
            Request::Diagnose | Request::Switch(_) => unreachable!("not the machine's"),
            Request::Status => Kind::Status,
            Request::List => Kind::List,
            Request::Create(_) => Kind::Create,
            Request::Poll(_) => Kind::Poll,
        };
        let number = self.sent.iter().filter(|sent| **sent == kind).count();
        self.sent.push(kind);
        let fault = self.faults.iter().find(|(of, which, _)| *of == kind && which.contains(&number));
        let fault = fault.map(|(_, _, fault)| fault.clone());
        let pass = |world: &mut World, time: Duration| world.barman.until(world.barman.now + time);
        pass(self, LATENCY.min(timeout));
        match fault {
            None => Ok(self.barman.answer(request, settings)),
            Some(Fault::Answer(reply)) => Ok(reply),
            Some(Fault::Instead(reply)) => {
                self.barman.answer(request, settings);
                Ok(reply)
            }
            Some(Fault::Refused) => Err(no_reply(false, "connection refused")),
            Some(Fault::Lasting) => Err(TransportError {
                timed_out: false,
                permanent: true,
                hint: "check --ca-file".into(),
                ..no_reply(false, "unknown issuer of its certificate")
            }),
            Some(Fault::Lost) => {
                self.barman.answer(request, settings);
                Err(no_reply(true, "connection reset by peer"))
            }
            Some(Fault::Dropped) => {
                pass(self, timeout.saturating_sub(LATENCY));
                Err(no_reply(true, "no answer in time"))
            }
            Some(Fault::Late(later)) => {
                pass(self, timeout.saturating_sub(LATENCY));
                let at = self.barman.now + later;
                self.barman.at(at, barman::Happening::Create);
                Err(no_reply(true, "no answer in time"))
            }
            Some(Fault::Slow(time)) => {
                let answer = self.barman.answer(request, settings);
                pass(self, time.min(timeout.saturating_sub(LATENCY)));
                if time + LATENCY < timeout { Ok(answer) } else { Err(no_reply(true, "no answer in time")) }
            }
        }
    }

    /// What every run keeps to, whatever it met; the reason when it doesn't.
    pub(super) fn check(&self, ran: &Ran) -> Result<(), String> {
        let ensure = |kept: bool, what: &str| if kept { Ok(()) } else { Err(what.to_string()) };
        ensure(self.barman.broken.is_empty(), &self.barman.broken.join("; "))?;
        let file = String::from_utf8_lossy(self.file.as_deref().unwrap_or_default()).into_owned();
        let mut texts: Vec<&str> = ran.log.iter().map(|(_, _, line)| line.as_str()).collect();
        if let Some(outcome) = &ran.outcome {
            texts.extend([outcome.message.as_str(), outcome.hint.as_str()]);
        }
        for text in texts {
            ensure(!text.contains(char::is_control), &format!("more than a line: {text:?}"))?;
            ensure(!SECRETS.iter().any(|secret| text.contains(secret)), &format!("a secret: {text}"))?;
        }
        ensure(!SECRETS.iter().any(|secret| file.contains(secret)), "a secret in the state file")?;
        let Some(outcome) = &ran.outcome else { return Ok(()) };
        let may_run = outcome.operation_state.may_be_running();
        if self.barman.may_run() && (ran.claimed || ran.creates() > 0) {
            ensure(may_run, "one of ours runs, and the outcome does not say so")?;
        }
        if outcome.code == Code::RecoveryDone {
            ensure(!may_run, "done, and running")?;
            ensure(outcome.operation_state == OperationState::Done, "done, and not so called")?;
            ensure(outcome.message.is_empty(), "done, and a message")?;
            let seen = !self.barman.hidden() && self.barman.plan != Plan::Elsewhere;
            ensure(!seen || self.barman.is_whole(), "law 2: done, and the data is not there")?;
        } else {
            ensure(!outcome.message.is_empty(), "not done, and no message")?;
        }
        Ok(())
    }

    /// The state file is there if and only if something may be running.
    pub(super) fn check_file(&self, ran: &Ran) -> Result<(), String> {
        let Some(outcome) = ran.outcome.as_ref().filter(|_| ran.claimed) else { return Ok(()) };
        match (outcome.operation_state.may_be_running(), &self.file) {
            (true, Some(bytes)) if !bytes.is_empty() => Ok(()),
            (true, _) => Err("something may be running, and no state file tells".into()),
            (false, Some(_)) => Err("nothing is running, and a state file is left".into()),
            (false, None) => Ok(()),
        }
    }
}

pub(super) fn no_reply(sent: bool, text: &str) -> TransportError {
    TransportError {
        sent,
        timed_out: false,
        permanent: false,
        text: format!("https://barman:7480/api: {text}"),
        hint: String::new(),
    }
}
