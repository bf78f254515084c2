//! A world without sense: any answer, any look, any state file, in any order. Whatever it shows, a run ends in time,
//! without a panic, and in printable lines.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::api::{no_reply, recording, reply};
use super::dice::Dice;
use super::random::random_options;
use super::run::Killed;
use super::sim::{SECRETS, Sim};
use super::state::{ms, secs};
use crate::api::{NoReply, Phase, Reply, Request, Status, TransportError};
use crate::config::options::Opt;
use crate::config::url::Url;
use crate::event::Event;
use crate::outcome::Code;
use crate::recovery::recover;
use crate::world::inspection::{Asked, Diagnosed, Inspection};
use crate::world::journal::{Ended, Journal, Line, Lock, Record, Run};
use crate::world::snapshot::{Content, Identity, Inode, Mark, Snapshot, Stamp, Stamps, Usage};
use crate::world::{GRACE, Interrupt, World};

const CASES: u64 = 3_000;

struct Anything {
    dice: Dice,
    now: Duration,
    deadline: Duration,
    interrupt: Option<(Duration, Interrupt)>,
    grace: Duration,
    /// Whether anything has ever said that data is here.
    done: bool,
    texts: Vec<String>,
    run: Run,
    steps: usize,
}

impl Anything {
    fn trouble(&mut self) -> Result<(), String> {
        if self.dice.one_in(20) { Err("no\nspace".into()) } else { Ok(()) }
    }

    fn pass(&mut self, time: Duration) -> Result<(), Interrupt> {
        self.steps += 1;
        assert!(self.steps < 50_000, "it does not end");
        let deadline = (self.deadline, Interrupt::DeadlinePassed);
        let (at, why) = self.interrupt.filter(|(at, _)| *at < self.deadline).unwrap_or(deadline);
        let left = (at + self.grace).saturating_sub(self.now);
        self.now += time.min(left);
        if time >= left { Err(why) } else { Ok(()) }
    }

    fn any_reply(&mut self) -> Reply {
        let dice = &mut self.dice;
        let id = dice.pick(&["20261122T102257", "a", "b", "20261122T101942"]);
        let status = dice.pick(&[
            200, 200, 200, 200, 202, 202, 202, 404, 404, 500, 500, 101, 204, 301, 400, 403, 408, 429, 502,
            503, 999,
        ]);
        let word = dice.pick(&["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "DONE", "FAILED", "", "done"]);
        let mut body = match dice.below(9) {
            0 => b"\"OK\"".to_vec(),
            1 | 2 => format!("{{\"operation_id\":\"{id}\",\"status\":\"{word}\"}}").into_bytes(),
            3 | 4 => {
                let more = dice.below(1000);
                format!(
                    "{{\"operations\":[{{\"id\":\"{id}\",\"type\":\"recovery\"}},{{\"id\":\"x{more}\"}}]}}"
                )
                .into()
            }
            5 => b"{\"operations\":[]}".to_vec(),
            6 => recording!("create-recovery-same-second").body,
            7 => recording!("create-gunicorn-500").body,
            _ => recording!("operation-unknown-id").body,
        };
        if dice.one_in(6) {
            for _ in 0..dice.below(4) {
                let at = dice.index(0..body.len());
                body[at] = dice.pick(b"\"\0\n{}[]\\\xff<p>7");
            }
        }
        if dice.one_in(10) {
            body.truncate(dice.index(0..body.len()));
        }
        Reply {
            cut: dice.one_in(20).then(|| "its body is cut off".into()),
            retry_after: dice.one_in(5).then(|| secs(dice.pick(&[0, 1, 60, u64::MAX]))),
            location: dice.one_in(5).then(|| Url::parse("https://other/x").unwrap()),
            ..reply(status, body)
        }
    }

    fn identity(&mut self) -> Identity {
        let inode = |dice: &mut Dice| Inode { device: 1, inode: 1, born: dice.below(2) };
        let dice = &mut self.dice;
        Identity { directory: inode(dice), marks: [(); 3].map(|()| dice.one_in(2).then(|| inode(dice))) }
    }

    fn record(&mut self) -> Record {
        let mut record = Record::new(self.run.clone());
        for _ in 0..self.dice.below(5) {
            record.add(match self.dice.below(4) {
                0 => Line::Operation(self.dice.pick(&["20261122T102257", "a", "b\u{7}"]).into()),
                1 => Line::Identity(self.identity()),
                2 => Line::Removed(self.dice.one_in(2)),
                _ => Line::Ended(self.dice.pick(&[Ended::Done, Ended::Failed, Ended::NothingStarted])),
            });
        }
        if self.dice.one_in(4) {
            record.run.known = None;
        }
        record
    }
}

impl World for Anything {
    fn now(&self) -> Duration {
        self.now
    }

    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, TransportError> {
        let timed_out = self.dice.one_in(20);
        let most = if timed_out { limit } else { limit.min(ms(1 + self.dice.below(3000))) };
        if self.pass(most).is_err() {
            return Err(no_reply(self.dice.one_in(2), "interrupted"));
        }
        if timed_out || self.dice.one_in(8) {
            let error = no_reply(timed_out || self.dice.one_in(2), "no\tanswer");
            let permanent = !error.sent && self.dice.one_in(3);
            let kind = match (timed_out, permanent) {
                (true, _) => NoReply::TimedOut(Phase::Answer),
                (false, true) => NoReply::Redirects,
                (false, false) => error.kind,
            };
            return Err(TransportError { kind, ..error });
        }
        let reply = self.any_reply();
        self.done |= matches!(request, Request::Poll(_)) && reply.operation() == Ok(Status::Done);
        Ok(reply)
    }

    fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        assert!(time <= secs(70), "a wait of {time:?}");
        self.pass(time)
    }

    fn grant_grace(&mut self) {
        self.grace = GRACE;
    }

    fn look(&mut self) -> Snapshot {
        let contents =
            [Content::Unseen, Content::Missing, Content::NotADirectory, Content::Empty, Content::Something];
        let content = self.dice.pick(&contents);
        let content = if self.dice.one_in(2) { Content::Something } else { content };
        let something = content == Content::Something;
        let identity = (something && self.dice.one_in(2)).then(|| self.identity());
        let dice = &mut self.dice;
        let mut stamp =
            || (something && dice.one_in(2)).then(|| Stamp { inode: dice.below(2), ctime: (0, 0) });
        let [pg_version, pg_control, info, auto_conf] = [stamp(), stamp(), stamp(), stamp()];
        let mark = (something && dice.one_in(4)).then(|| Mark {
            server: dice.pick(&["pg", "pg", "main\n"]).into(),
            backup_id: dice.one_in(2).then(|| dice.pick(&["20261122T080000", "\u{1b}[m"]).into()),
            begin_time: "yesterday\n".into(),
            last_wal: dice.one_in(2).then(|| "\0".into()),
        });
        self.done |= mark.is_some();
        let changes = dice.below(3);
        Snapshot {
            content,
            identity,
            removable: dice.one_in(2),
            stamps: Stamps { pg_version, pg_control, info, auto_conf },
            mark,
            postmaster: (something && dice.one_in(200)).then_some(1),
            usage: dice.one_in(2).then(|| Usage {
                bytes: dice.next(),
                changes,
                total: Some(0),
                ..Usage::default()
            }),
            receivers: if dice.one_in(2) { 0 } else { 2 },
        }
    }

    fn receivers(&mut self) -> usize {
        if self.dice.one_in(4) { 2 } else { 0 }
    }

    fn end_receivers(&mut self) -> usize {
        self.receivers()
    }

    fn ask_size(&mut self) {}

    fn inspect(&mut self) -> Inspection {
        let backup = Diagnosed {
            bytes: self.dice.one_in(2).then(|| self.dice.next()),
            is_one_place: self.dice.one_in(2),
            barman_home: self.dice.one_in(2).then(|| "/srv\n".into()),
        };
        let backup = match self.dice.below(3) {
            0 => Asked::No,
            1 => Asked::Waiting,
            _ => Asked::Answered(backup),
        };
        Inspection {
            free: self.dice.one_in(2).then(|| self.dice.next()),
            foreign_owner: self.dice.one_in(200).then(|| "\u{1b}[mroot".into()),
            is_writable: self.dice.one_in(2),
            names: vec!["PG_VERSION\n".into()],
            has_rsync: self.dice.one_in(2),
            backup,
        }
    }

    fn journal(&mut self) -> Option<&mut dyn Journal> {
        if self.dice.one_in(30) { None } else { Some(self) }
    }

    fn report(&mut self, event: Event) {
        if let Event::Log { message, .. } = event {
            self.texts.push(message);
        }
    }

    fn random(&mut self) -> u64 {
        self.dice.next()
    }
}

impl Journal for Anything {
    fn path(&self) -> String {
        "/pg/data.barman-recover.json".into()
    }

    fn lock(&mut self) -> Lock {
        let record = self.record();
        match self.dice.below(8) {
            0 => Lock::Unavailable("no\tway".into()),
            1 | 2 => Lock::Held(self.dice.one_in(2).then_some(record)),
            3 => Lock::Ours { left_over: None, garbage: self.dice.one_in(2).then(|| "what\n?".into()) },
            4 => {
                let run = Run { api_url: "http://other\u{7}".into(), ..record.run.clone() };
                Lock::Ours { left_over: Some(Record { run, ..record }), garbage: None }
            }
            _ => {
                self.done |= record.ended == Some(Ended::Done);
                Lock::Ours { left_over: Some(record), garbage: None }
            }
        }
    }

    fn append(&mut self, lines: &[Line]) -> Result<(), String> {
        assert!(!lines.is_empty());
        self.trouble()
    }

    fn close(&mut self, _: &[Line]) -> Result<(), String> {
        self.trouble()
    }

    fn leave(&mut self) {}
}

fn one(seed: u64) -> Result<(), String> {
    let dice = &mut Dice(seed);
    let mut sim = Sim::new();
    random_options(dice, &mut sim);
    if dice.one_in(5) {
        sim.set(Opt::OperationId, dice.pick(&["20261122T102257", "a", "x\u{1b}y"]));
    }
    sim.deadline = Some(secs(1 + dice.below(300)));
    let (connection, restore) = sim.settings();
    let run = Run { before: Stamps::default(), ..sim.run_line() };
    let why = dice.pick(&[Interrupt::Cancelled, Interrupt::Detached]);
    let mut world = Anything {
        dice: Dice(dice.next()),
        now: Duration::ZERO,
        deadline: connection.deadline.unwrap(),
        interrupt: dice.one_in(3).then(|| (ms(dice.below(60_000)), why)),
        grace: Duration::ZERO,
        done: false,
        texts: Vec::new(),
        run,
        steps: 0,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| recover(&mut world, &connection, &restore)));
    let outcome = ended.map_err(|payload| format!("a panic, and no kill: {}", !payload.is::<Killed>()))?;
    world.texts.extend([outcome.message.clone(), outcome.hint.clone()]);
    let ensure = |kept: bool, what: &str| if kept { Ok(()) } else { Err(format!("{what}: {outcome:?}")) };
    for text in &world.texts {
        ensure(!text.contains(char::is_control), &format!("more than a line: {text:?}"))?;
        ensure(!SECRETS.iter().any(|secret| text.contains(secret)), &format!("a secret: {text}"))?;
    }
    let latest = world.interrupt.map_or(world.deadline, |(at, _)| at.min(world.deadline)) + GRACE;
    ensure(outcome.elapsed <= latest, "too late")?;
    ensure(outcome.code != Code::RecoveryDone || world.done, "done, and nothing said so")?;
    ensure(outcome.code != Code::Cancelled || world.interrupt.is_some(), "cancelled by nobody")
}

#[test]
fn whatever_is_seen_a_run_ends_in_time_and_in_printable_lines() {
    let failed: Vec<String> =
        (0..CASES).filter_map(|seed| one(seed).err().map(|why| format!("seed {seed}: {why}"))).collect();
    let first = failed.first().map_or("", String::as_str);
    assert!(failed.is_empty(), "{} of {CASES} cases failed, the first: {first}", failed.len());
}
