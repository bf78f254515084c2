//! Random schedules: kills, delays, lost replies, wipes, second Barmans, outages, calls that fail. The laws are
//! checked at every step. Each kind of failure prints a seed and what happened.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use super::api::{Fault, Kind, id_at, recording, reply};
use super::caller::{Caller, Script, Sim};
use super::dice::Dice;
use super::node::Node;
use super::plan::{BACKUP, Fate, Leftover, Place, Plan, STAGES, Wal};
use super::run::Cut;
use super::state::{Deed, Happening, ms, secs};
use crate::api::Status;
use crate::outcome::Code;

const SCHEDULES: u64 = 3_000;
const DEEP: u64 = 100_000;
/// Schedules that once found something.
const SEEDS: [u64; 21] = [
    0,
    5_000_020_061,
    6_000_000_779,
    6_000_045_273,
    8_000_025_386,
    9_547_712_373_663,
    9_547_712_387_850,
    42_000_000_061_422,
    44_000_000_084_662,
    46_000_000_108_061,
    54_000_000_137_383,
    73_000_000_033_220,
    82_000_000_038_378,
    82_000_000_145_602,
    83_000_000_029_818,
    85_000_000_014_634,
    85_000_000_142_373,
    86_000_000_082_841,
    86_000_000_143_532,
    102_000_000_084_809,
    u64::MAX,
];

fn random_plan(dice: &mut Dice) -> Plan {
    let length = ms(300 + dice.below(40_000));
    let long = |dice: &mut Dice, one_in: u64, most: u64| {
        if dice.one_in(one_in) { ms(dice.below(most)) } else { Duration::ZERO }
    };
    Plan {
        length,
        fate: match dice.below(8) {
            0 | 1 => Fate::Fails(dice.pick(&STAGES)),
            2 if dice.one_in(2) => Fate::Dies(dice.pick(&STAGES)),
            _ => Fate::Done,
        },
        place: match dice.below(24) {
            0 => Place::OtherDirectory,
            1 => Place::OtherHost,
            _ => Place::Here,
        },
        gap: long(dice, 6, 90_000),
        staging: dice.one_in(8),
        script: long(dice, 8, 120_000),
        leftover: dice.one_in(12).then(|| dice.pick(&[Leftover::OfThisUser, Leftover::OfAnotherUser])),
        lists: !dice.one_in(8),
        accepts_files: dice.one_in(6),
        prints_text: dice.one_in(30),
        jobs: if dice.one_in(4) { 3 } else { 1 },
        retries: if dice.one_in(5) { 1 + u32::from(dice.one_in(2)) } else { 0 },
        wal: if dice.one_in(8) { dice.pick(&[Wal::Get, Wal::Waiting]) } else { Wal::Copied },
        auto_conf: !dice.one_in(10),
        restored_source: dice.one_in(3),
        named: !dice.one_in(6),
        stall: dice.one_in(8).then(|| (ms(dice.below(20_000)), ms(20_000 + dice.below(30_000)))),
        elsewhere: dice.one_in(12).then(|| (ms(dice.below(20_000)), ms(20_000 + dice.below(300_000)))),
        unaware: dice.one_in(2),
        sticks: dice.one_in(12).then(|| ms(dice.pick(&[500, 5_000, 60_000, 1_000_000]))),
        ..Plan::default()
    }
}

fn random_fault(dice: &mut Dice, kind: Kind) -> Fault {
    let lying = |dice: &mut Dice| {
        let mut reply = match dice.below(6) {
            0 => reply(dice.pick(&[502, 503, 504]), "<h1>Bad Gateway</h1>"),
            1 => reply(202, "{\"operation_id\":"),
            2 => reply(200, "<html>"),
            3 => recording!("create-gunicorn-500"),
            4 => reply(dice.pick(&[408, 429]), ""),
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
        (Kind::Create, 6) if dice.one_in(2) => Fault::Instead(recording!("create-recovery-same-second")),
        (_, 6) => Fault::Instead(lying(dice)),
        (_, 7) => Fault::Late(ms(dice.below(100_000))),
        (Kind::Create, _) => Fault::Ghost(ms(dice.below(100_000))),
        (Kind::Poll, _) => Fault::Answer(recording!("operation-unknown-id")),
        _ => Fault::Broken,
    }
}

fn random_options(dice: &mut Dice, sim: &mut Sim) {
    let some = |dice: &mut Dice, values: &[u64], default: Duration| {
        if dice.one_in(3) { secs(dice.pick(values)) } else { default }
    };
    let connection = &mut sim.connection;
    connection.retry_wait = some(dice, &[0, 1, 2, 4], connection.retry_wait);
    connection.max_outage = some(dice, &[0, 1, 30, 300], connection.max_outage);
    if dice.one_in(3) {
        connection.max_retries = dice.pick(&[0, 1, 3, 8]);
    }
    sim.restore.loop_wait = some(dice, &[0, 1, 5, 60], sim.restore.loop_wait);
    if dice.one_in(6) {
        sim.restore.backup_id = BACKUP.into();
    }
    sim.restore.replica = dice.one_in(2);
    sim.restore.stall_timeout = Some(secs(200));
}

fn random_world(dice: &mut Dice) -> Sim {
    let mut sim = Sim::new();
    sim.seed = dice.next();
    random_options(dice, &mut sim);
    for _ in 0..dice.below(6) {
        let kind = dice.pick(&[Kind::Status, Kind::List, Kind::Create, Kind::Create, Kind::Poll, Kind::Poll]);
        let (fault, from) = (random_fault(dice, kind), dice.index(0..5));
        let count = if kind == Kind::Poll { dice.index(1..12) } else { dice.index(1..4) };
        sim.state.meets(kind, from..from + count, fault);
    }
    for _ in 0..dice.below(3) {
        let from = dice.below(150);
        let down =
            [Fault::Refused, Fault::Broken, Fault::Answer(reply(502, "")), Fault::Answer(reply(503, ""))];
        sim.state.outage(from..from + dice.below(120), dice.pick(&down));
    }
    for _ in 0..dice.below(4) {
        let second = dice.below(100);
        let end = dice.pick(&[Status::Done, Status::Failed]);
        let other = Happening::Other(id_at(secs(second)), ms(dice.below(60_000)), end);
        sim.state.at(ms(second * 1000 + dice.below(1000)), other);
    }
    for _ in 0..dice.below(5) {
        let plan = random_plan(dice);
        sim.state.plans.push(plan);
    }
    sim.state.plan.length = ms(1000 + dice.below(20_000));
    random_trouble(dice, &mut sim);
    sim
}

fn random_trouble(dice: &mut Dice, sim: &mut Sim) {
    for (one_in, what) in [
        (6, Happening::SecondBarman(0)),
        (12, Happening::BarmanDies),
        (12, Happening::Amnesia),
        (24, Happening::Node(0, Deed::Postmaster(Some(77)))),
    ] {
        if dice.one_in(one_in) {
            sim.state.at(ms(dice.below(90_000)), what);
        }
    }
    if dice.one_in(10) {
        let (from, time) = (ms(dice.below(60_000)), ms(dice.below(30_000)));
        sim.at(from, Deed::Hide(true));
        sim.at(from + time, Deed::Hide(false));
    }
    if dice.one_in(10) {
        let (from, time) = (ms(dice.below(60_000)), ms(dice.below(30_000)));
        sim.at(from, Deed::Strangers(2));
        sim.at(from + time, Deed::Strangers(0));
    }
    // Somebody meddles with the directory under a live run.
    if dice.one_in(8) {
        let deed = dice.pick(&[Deed::Remove, Deed::Empty, Deed::HalfRemove, Deed::MoveAway, Deed::Replace]);
        sim.at(ms(dice.below(60_000)), deed);
    }
    let here = &mut sim.state.nodes[0];
    here.flush = if dice.one_in(6) { ms(dice.below(200_000)) } else { ms(dice.below(300)) };
    here.flush_fails = dice.one_in(20);
    here.state.impossible = dice.one_in(40);
    here.state.room = dice.one_in(20).then(|| dice.index(0..6));
    if dice.one_in(8) {
        here.mount_point = true;
        sim.state.make_tree(0);
    }
}

fn random_cuts(dice: &mut Dice) -> Vec<Cut> {
    let at = |dice: &mut Dice| ms(if dice.one_in(2) { dice.below(1000) } else { dice.below(90_000) });
    match dice.below(10) {
        0 | 1 => vec![Cut::Kill(dice.index(0..80))],
        2 | 3 => vec![Cut::KillAt(at(dice))],
        4 => vec![Cut::Cancel(at(dice))],
        5 => {
            let at = at(dice);
            vec![Cut::Cancel(at), Cut::KillAt(at + ms(dice.below(10_000)))]
        }
        _ => Vec::new(),
    }
}

fn random_failing(dice: &mut Dice) -> Vec<Range<usize>> {
    let count = if dice.one_in(2) { dice.below(4) } else { 0 };
    let from: Vec<usize> = (0..count).map(|_| dice.index(0..200)).collect();
    from.into_iter().map(|from| from..from + dice.pick(&[1, 1, 1, 2, 5, 60])).collect()
}

/// Patroni removes the directory; what it can't remove it moves away, and it gives up half-way on a mount point.
fn random_wipe(dice: &mut Dice, node: &Node) -> Deed {
    match (dice.below(6), node.mount_point) {
        (0, _) => Deed::Empty,
        (1 | 2, true) => Deed::HalfRemove,
        (1, false) => Deed::MoveAway,
        _ => Deed::Remove,
    }
}

/// What Patroni does after a hook that failed or was killed.
fn after_failure(caller: &mut Caller, dice: &mut Dice) {
    if dice.one_in(3) {
        // The next method writes at once into what is there, after its wipe.
        let (wipe, time) = (dice.one_in(2), ms(dice.below(40_000)));
        caller.with(|state| {
            if wipe {
                state.happen(Happening::Node(0, Deed::Remove));
            }
            state.basebackup(0, time);
        });
        caller.wait(time.max(secs(1)));
    }
    caller.with(|state| {
        let wipe = random_wipe(dice, &state.nodes[0]);
        state.happen(Happening::Node(0, wipe));
    });
}

/// Who calls the recovery on a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Callers {
    PatroniAlone,
    PatroniAndSomebody,
}

/// Patroni on a node: calls, wipes after a failure, is killed and comes back, and calls again when all is well.
fn patroni(mut dice: Dice, callers: Callers) -> Script {
    Box::new(move |caller| {
        for _ in 0..dice.below(5) {
            caller.connection.deadline = dice.one_in(8).then(|| ms(dice.below(60_000)));
            let (cuts, failing) = (random_cuts(&mut dice), random_failing(&mut dice));
            let code = caller.call(&cuts, &failing);
            caller.connection.deadline = None;
            if code == Some(Code::RecoveryDone) {
                return;
            }
            // Another program that calls by hand may still be at work.
            if callers == Callers::PatroniAlone && (code.is_some() || dice.one_in(2)) {
                after_failure(caller, &mut dice);
            }
            let most = if dice.one_in(3) { 20_000 } else { 1500 };
            caller.wait(ms(dice.below(most)));
        }
        caller.with(|state| {
            state.api.faults.clear();
            state.api.outages.clear();
            state.plans.clear();
            state.record(|| "from here on all is well".into());
        });
        let done = (0..8).any(|_| {
            caller.with(|state| state.happen(Happening::Node(0, Deed::Mend)));
            caller.until_done(1, &Deed::Remove)
        });
        if !done {
            caller.with(|state| state.breaks("the node gets no data"));
        }
    })
}

/// Somebody calls by hand meanwhile.
fn by_hand(mut dice: Dice) -> Script {
    Box::new(move |caller| {
        let (cuts, failing) = (random_cuts(&mut dice), random_failing(&mut dice));
        caller.call(&cuts, &failing);
    })
}

/// What becomes of the lines of a schedule: only those of one that broke a law are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    Kept,
    Dropped,
}

/// Plays one schedule.
fn play(seed: u64, story: Story) -> Sim {
    let dice = &mut Dice(seed);
    let mut sim = random_world(dice);
    sim.state.silent = story == Story::Dropped;
    let callers = if dice.one_in(6) { Callers::PatroniAndSomebody } else { Callers::PatroniAlone };
    let mut scripts = vec![(0, Duration::ZERO, patroni(Dice(dice.next()), callers))];
    if callers == Callers::PatroniAndSomebody {
        scripts.push((0, ms(dice.below(40_000)), by_hand(Dice(dice.next()))));
    }
    sim.play(scripts);
    sim
}

/// Says for each kind of violation how many schedules had it, and the story of the first.
fn search(from: u64, count: u64) {
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for seed in SEEDS.into_iter().chain(from..from + count) {
        for law in play(seed, Story::Dropped).state.broken {
            let kind = law.chars().filter(|c| !c.is_ascii_digit()).take(50).collect();
            kinds.entry(kind).or_default().push(seed);
        }
    }
    let stories: Vec<String> = kinds
        .iter()
        .map(|(kind, seeds)| {
            let (first, number) = (seeds[0], seeds.len());
            format!(
                "--- {number} of {count} schedules: {kind}: seed {first}\n{}",
                play(first, Story::Kept).story()
            )
        })
        .collect();
    assert!(kinds.is_empty(), "{}\n{kinds:?}", stories.join("\n"));
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_schedule_breaks_a_law() {
    search(1000, SCHEDULES);
}

/// Run by `tests/run --deep`. The seeds are other ones each time, and printed: `BARMAN_RECOVER_SEED` repeats them,
/// `BARMAN_RECOVER_SCHEDULES` says how many.
#[test]
#[ignore = "takes minutes"]
fn no_schedule_of_very_many_breaks_a_law() {
    let seed = variable("BARMAN_RECOVER_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 32);
    // Past the capture of a test that passes.
    let _ = writeln!(std::io::stderr(), "BARMAN_RECOVER_SEED={seed}");
    search(seed, variable("BARMAN_RECOVER_SCHEDULES").unwrap_or(DEEP));
}
