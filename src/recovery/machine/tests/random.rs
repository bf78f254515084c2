//! Random sequences of what can be seen: anything at all, and worlds full of faults. A failure names the seed;
//! `one(seed)` of its test runs that case alone.

use std::ops::Range;
use std::time::Duration;

use super::barman::{Happening, Plan, id_at, ms, recording, reply, secs};
use super::{Fault, Interrupt, Kind, Ran, SECRETS, World, no_reply};
use crate::api::{Reply, Status, TransportError};
use crate::config::options::Opt;
use crate::event::Event;
use crate::outcome::Code;
use crate::recovery::machine::{Claim, Course, Machine, Seen, Step};
use crate::world::fs::directory::{Content, Identity, Inode, Look, Stamp};
use crate::world::journal::{Ended, Line, Record};

const CASES: u64 = 20_000;
/// Cases that once found a bug, or are to be tried first.
const SEEDS: [u64; 6] = [0, 1, 2, 0x5eed, u64::MAX / 2, u64::MAX];

/// A small generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, range: Range<usize>) -> usize {
        range.start + usize::try_from(self.below(range.len() as u64)).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(0..from.len())].clone()
    }
}

fn all(cases: u64, one: impl Fn(u64)) {
    SEEDS.into_iter().chain(1000..1000 + cases).for_each(one);
}

// Anything at all

/// Answers of the API and of whatever else may answer, some of them damaged.
fn any_reply(dice: &mut Dice) -> Reply {
    let id = dice.pick(&["20261122T102257", "a", "b", "20261122T101942"]);
    let status = dice.pick(&[
        200, 200, 200, 200, 202, 202, 202, 404, 404, 500, 500, 101, 204, 301, 400, 403, 502, 503, 999,
    ]);
    let word = dice.pick(&["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "DONE", "FAILED", "", "done"]);
    let mut body = match dice.below(8) {
        0 => b"\"OK\"".to_vec(),
        1 | 2 => format!("{{\"operation_id\":\"{id}\",\"status\":\"{word}\"}}").into_bytes(),
        3 | 4 => {
            let more = dice.below(1000);
            format!("{{\"operations\":[{{\"id\":\"{id}\",\"type\":\"recovery\"}},{{\"id\":\"x{more}\"}}]}}")
                .into_bytes()
        }
        5 => b"{\"operations\":[]}".to_vec(),
        6 => recording!("create-recovery-same-second").body,
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
        retry_after: dice.one_in(5).then(|| Duration::from_secs(dice.pick(&[0, 1, 60, u64::MAX]))),
        date: None,
        location: dice.one_in(5).then(|| crate::config::url::Url::parse("https://other/x").unwrap()),
        ..reply(status, body)
    }
}

fn any_look(dice: &mut Dice) -> Look {
    let content = dice.pick(&[
        Content::Unseen,
        Content::Missing,
        Content::Empty,
        Content::Something,
        Content::Something,
    ]);
    let something = content == Content::Something;
    let stamp = |dice: &mut Dice| {
        (something && dice.one_in(2)).then(|| Stamp { inode: dice.below(2), ctime: (0, 0) })
    };
    let (pg_version, pg_control) = (stamp(dice), stamp(dice));
    Look {
        content,
        identity: something.then(|| any_identity(dice)),
        removable: dice.one_in(2),
        pg_version,
        pg_control,
        postmaster: (something && dice.one_in(50)).then_some(1),
        arrived: None,
    }
}

fn any_identity(dice: &mut Dice) -> Identity {
    let inode = |dice: &mut Dice| Inode { device: 1, inode: 1, born: dice.below(2) };
    Identity { directory: inode(dice), marks: [(); 3].map(|()| dice.one_in(2).then(|| inode(dice))) }
}

fn any_claim(dice: &mut Dice, world: &World) -> Claim {
    if dice.one_in(3) {
        return Claim::Mine { record: None, garbage: dice.one_in(2).then(|| "what\n?".into()) };
    }
    let mut record = Record::new(world.run_line());
    for _ in 0..dice.below(5) {
        record.add(match dice.below(4) {
            0 => Line::Operation(dice.pick(&["20261122T102257", "a", "b\u{7}"]).into()),
            1 => Line::Identity(any_identity(dice)),
            2 => Line::Removed(dice.one_in(2)),
            _ => Line::Ended(dice.pick(&[Ended::Done, Ended::Failed])),
        });
    }
    match dice.below(6) {
        0 => Claim::Unavailable("no\tway".into()),
        1 => Claim::Held(dice.one_in(2).then_some(record)),
        2 => {
            record.run.api_url = "http://other".into();
            Claim::Mine { record: Some(record), garbage: None }
        }
        _ => Claim::Mine { record: Some(record), garbage: None },
    }
}

/// Whatever is seen, a run ends in time, without a panic, and tells it in printable lines.
#[test]
fn anything_at_all() {
    fn one(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = World::new();
        random_settings(dice, &mut world);
        if dice.one_in(5) {
            world.set(Opt::OperationId, dice.pick(&["20261122T102257", "a", "x\u{1b}y"]));
        }
        let deadline = secs(1 + dice.below(100));
        world.deadline = Some(deadline);
        let mut machine = Machine::new(world.settings(), seed);
        let (mut now, mut next, mut cancelled, mut said_done) = (Duration::ZERO, Seen::Start, false, false);
        for _ in 0..5_000 {
            let (events, step) = machine.advance(next, now);
            for event in events {
                if let Event::Log { message, .. } = event {
                    assert!(!message.contains(char::is_control), "seed {seed}: {message:?}");
                    assert!(!SECRETS.iter().any(|secret| message.contains(secret)), "seed {seed}: {message}");
                }
            }
            if matches!(step, Step::Claim | Step::Send(..) | Step::Wait(_)) {
                cancelled |= dice.one_in(500);
                if cancelled {
                    next = Seen::Cancelled;
                    continue;
                }
            }
            let trouble = dice.one_in(20).then(|| "no\nspace".to_string());
            next = match step {
                Step::Look => Seen::Looked(any_look(dice)),
                Step::Claim => {
                    let claim = any_claim(dice, &world);
                    said_done |=
                        matches!(&claim, Claim::Mine { record: Some(record), .. } if record.ended.is_some());
                    Seen::Claimed(claim)
                }
                Step::Save(lines) => {
                    assert!(!lines.is_empty(), "seed {seed}");
                    Seen::Saved(trouble)
                }
                Step::Forget(_) => Seen::Forgotten(trouble),
                Step::Send(_, timeout) => {
                    now += timeout.min(ms(1 + dice.below(3000)));
                    if dice.one_in(8) {
                        let none = no_reply(dice.one_in(2), "no answer");
                        Seen::Unanswered(TransportError { permanent: dice.one_in(3), ..none })
                    } else {
                        let reply = any_reply(dice);
                        said_done |= reply.operation() == Ok(Status::Done);
                        Seen::Reply(reply)
                    }
                }
                Step::Wait(wait) => {
                    assert!(wait <= secs(60), "seed {seed}: a wait of {wait:?}");
                    now += wait;
                    Seen::Waited
                }
                Step::Finish(outcome) => {
                    let text = format!("{}{}", outcome.message, outcome.hint);
                    assert!(!text.contains(char::is_control), "seed {seed}: {text:?}");
                    assert!(outcome.elapsed <= deadline, "seed {seed}: {:?}", outcome.elapsed);
                    assert!(outcome.code != Code::RecoveryDone || said_done, "seed {seed}: nobody said DONE");
                    assert!(outcome.code != Code::Cancelled || cancelled, "seed {seed}");
                    return;
                }
            };
        }
        panic!("seed {seed}: it does not end");
    }
    all(CASES, one);
}

// Worlds full of faults

fn random_settings(dice: &mut Dice, world: &mut World) {
    for (option, values) in [
        (Opt::RetryWait, [0, 1, 2, 4]),
        (Opt::MaxRetries, [0, 1, 3, 8]),
        (Opt::LoopWait, [0, 1, 5, 10]),
        (Opt::MaxOutage, [0, 1, 30, 300]),
    ] {
        if dice.one_in(3) {
            world.set(option, dice.pick(&values));
        }
    }
    world.set(Opt::Verify, dice.one_in(3));
}

fn random_fault(dice: &mut Dice, kind: Kind, retry_wait: Duration) -> Fault {
    let lying = |dice: &mut Dice| {
        let mut reply = match dice.below(4) {
            0 => reply(dice.pick(&[502, 503, 504]), "<h1>Bad Gateway</h1>"),
            1 => reply(202, "{\"operation_id\":"),
            2 => reply(200, "<html>"),
            _ => reply(202, ""),
        };
        reply.retry_after = dice.one_in(3).then(|| secs(dice.below(20)));
        reply
    };
    match (kind, dice.below(9)) {
        (_, 0) => Fault::Refused,
        (_, 1) => Fault::Lost,
        (_, 2) => Fault::Dropped,
        (_, 3) => Fault::Slow(ms(dice.below(70_000))),
        (_, 4) => Fault::Answer(recording!("create-recovery-same-second")),
        (_, 5) => Fault::Answer(lying(dice)),
        (_, 6) => Fault::Instead(lying(dice)),
        (Kind::Create, 7) => {
            let soon = retry_wait.max(ms(100)).as_millis().try_into().unwrap();
            Fault::Late(ms(dice.below(soon)))
        }
        (Kind::Poll, 7 | 8) => Fault::Answer(recording!("operation-unknown-id")),
        (_, 8) => Fault::Answer(reply(dice.pick(&[301, 403, 404, 429]), "{}")),
        _ => Fault::Lasting,
    }
}

fn random_world(dice: &mut Dice) -> World {
    let mut world = World::new();
    world.seed = dice.next();
    random_settings(dice, &mut world);
    let retry_wait = world.settings().retry_wait;
    for _ in 0..dice.below(7) {
        let kind = dice.pick(&[Kind::Status, Kind::List, Kind::Create, Kind::Create, Kind::Poll, Kind::Poll]);
        let fault = random_fault(dice, kind, retry_wait);
        let from = dice.index(0..5);
        let count = if kind == Kind::Poll { dice.index(1..12) } else { dice.index(1..4) };
        world.fault(kind, from..from + count, fault);
    }
    for _ in 0..dice.below(4) {
        let second = dice.below(60);
        let status = dice.pick(&[Status::Done, Status::Done, Status::Failed]);
        let length = ms(dice.below(40_000));
        world
            .barman
            .at(secs(second) + ms(dice.below(1000)), Happening::Other(id_at(secs(second)), length, status));
    }
    match dice.below(12) {
        0 => world.barman.make_empty(),
        1 => {
            world.barman.happen(Happening::Hide);
            world.set(Opt::Verify, false);
        }
        2 => world.set(Opt::NoStateFile, true),
        3 => world.unavailable = true,
        4 => {
            let from = dice.index(0..6);
            world.failing_saves = from..from + dice.index(1..4);
        }
        _ => {}
    }
    world
}

/// Whatever happens to a node and its runs, no law breaks; and when it is over, the node gets its data.
#[test]
fn worlds_full_of_faults() {
    fn one(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = random_world(dice);
        let remembers =
            !world.unavailable && world.failing_saves.is_empty() && world.settings().state_file.is_some();
        let mut story = Vec::<Ran>::new();
        for run in 0..10 {
            let calm = run >= 4;
            if calm {
                world.faults.clear();
            }
            let plan = dice.pick(&[Plan::Whole, Plan::Whole, Plan::Pieces, Plan::Nothing]);
            world.plan(if calm { Plan::Whole } else { plan }, ms(1 + dice.below(30_000)));
            world.deadline = (!calm && dice.one_in(6)).then(|| ms(dice.below(60_000)));
            let step = dice.index(0..30);
            world.interrupt = match dice.below(10) {
                _ if calm => None,
                0 => Some(Interrupt::Cancel(step)),
                1 => Some(Interrupt::CancelDuring(step)),
                2 => Some(Interrupt::Kill(step)),
                3 => Some(Interrupt::KillDuring(step)),
                _ => None,
            };
            let ran = world.run();
            let mut checked = world.check(&ran);
            if remembers {
                checked = checked.and_then(|()| world.check_file(&ran));
            }
            let (code, may_run) = (ran.code(), world.barman.may_run());
            story.push(ran);
            let told = || story.iter().map(Ran::story).collect::<Vec<_>>().join("--- next run\n");
            assert!(checked.is_ok(), "seed {seed}: {checked:?}\n{}", told());
            if code == Some(Code::RecoveryDone) || (!remembers && (may_run || code.is_none())) {
                return;
            }
            assert!(run < 9, "seed {seed}: no data\n{}", told());
            world.barman.until(world.barman.now + ms(500 + dice.below(20_000)));
            let wiped = dice.pick(&[Happening::Remove, Happening::Remove, Happening::Empty]);
            if code.is_some() || dice.one_in(2) {
                world.barman.happen(wiped);
            }
        }
    }
    all(CASES / 5, one); // each is several runs
}
