//! Random schedules: kills, delays, lost replies, wipes, second writers, doomed restores, outages, a Barman host in
//! another time zone. The three laws are checked at every step. A failure prints the seed and what happened;
//! `one(seed, true)` runs that schedule alone.

use std::io::Write;
use std::time::Duration;

use super::api::{Fault, Kind, id_at, recording, reply};
use super::barman::{BACKUP, Fate, Plan, Stage};
use super::dice::Dice;
use super::run::Cut;
use super::sim::{Script, Sim};
use super::state::{Deed, Happening, ms, secs};
use crate::api::Status;
use crate::config::options::Opt;
use crate::outcome::Code;

const SCHEDULES: u64 = 3_000;
const DEEP: u64 = 100_000;
/// Schedules that once found something.
const SEEDS: [u64; 14] = [
    0,
    1,
    108_615_428_045_132,
    110_462_263_898_183,
    111_673_444_714_667,
    114_654_151_970_906,
    47_871_705_501_678,
    52_639_119_241_783,
    62_423_054_773_629,
    900_005_060_061,
    900_006_005_783,
    900_022_029_611,
    900_047_094_985,
    u64::MAX,
];
const STAGES: [Stage; 8] = [
    Stage::Begin,
    Stage::Version,
    Stage::Global,
    Stage::Control,
    Stage::Copied,
    Stage::Info,
    Stage::AutoConf,
    Stage::End,
];

fn random_plan(dice: &mut Dice) -> Plan {
    let length = ms(300 + dice.below(40_000));
    Plan {
        length,
        preparation: dice.one_in(5).then(|| length / 2),
        fate: match dice.below(8) {
            0 | 1 => Fate::Fails(dice.pick(&STAGES)),
            2 if dice.one_in(2) => Fate::Dies(dice.pick(&STAGES)),
            _ => Fate::Done,
        },
        elsewhere: dice.one_in(20),
        retries: if dice.one_in(5) { 1 + u32::from(dice.one_in(2)) } else { 0 },
        restored_source: dice.one_in(3),
        stall: dice.one_in(8).then(|| (ms(dice.below(20_000)), ms(20_000 + dice.below(30_000)))),
        unaware: dice.one_in(2),
        linger: if dice.one_in(5) { ms(dice.below(6000)) } else { Duration::ZERO },
        ..Plan::default()
    }
}

fn random_fault(dice: &mut Dice, kind: Kind) -> Fault {
    let lying = |dice: &mut Dice| {
        let mut reply = match dice.below(5) {
            0 => reply(dice.pick(&[502, 503, 504]), "<h1>Bad Gateway</h1>"),
            1 => reply(202, "{\"operation_id\":"),
            2 => reply(200, "<html>"),
            3 => recording!("create-gunicorn-500"),
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
        // A request may lie in a socket's backlog, but not for longer than our patience.
        (_, 7) => Fault::Late(ms(dice.below(50_000))),
        (Kind::Create, _) => Fault::Ghost(ms(dice.below(50_000))),
        (Kind::Poll, _) => Fault::Answer(recording!("operation-unknown-id")),
        _ => Fault::Broken,
    }
}

pub(super) fn random_options(dice: &mut Dice, sim: &mut Sim) {
    for (option, values) in [
        (Opt::RetryWait, [0, 1, 2, 4]),
        (Opt::MaxRetries, [0, 1, 3, 8]),
        (Opt::LoopWait, [0, 1, 5, 60]),
        (Opt::MaxOutage, [0, 1, 30, 300]),
    ] {
        if dice.one_in(3) {
            sim.set(option, dice.pick(&values));
        }
    }
    if dice.one_in(6) {
        sim.set(Opt::BackupId, BACKUP);
    }
    sim.set(Opt::LeaveRunning, dice.one_in(4));
    sim.set(Opt::StallTimeout, 200);
}

fn random_world(dice: &mut Dice) -> Sim {
    let mut sim = Sim::new();
    sim.state.longest = Some(secs(5000));
    sim.seed = dice.next();
    random_options(dice, &mut sim);
    sim.state.api.zone = dice.pick(&[0, 0, 3600, -39_600, 46_800]);
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
        let other = Happening::Other(
            id_at(secs(second)),
            ms(dice.below(60_000)),
            dice.pick(&[Status::Done, Status::Failed]),
        );
        sim.state.at(ms(second * 1000 + dice.below(1000)), other);
    }
    for _ in 0..dice.below(5) {
        let plan = random_plan(dice);
        sim.state.plans.push(plan);
    }
    sim.state.plan.length = ms(1000 + dice.below(20_000));
    if dice.one_in(6) {
        sim.state.at(ms(dice.below(60_000)), Happening::SecondWriter(0));
    }
    if dice.one_in(10) {
        sim.state.at(ms(dice.below(90_000)), Happening::BarmanDies(0));
    }
    let here = &mut sim.state.nodes[0];
    here.no_proc = dice.one_in(6);
    match dice.below(16) {
        0 | 1 => {
            here.mount_point = true;
            sim.now(Deed::Make);
        }
        // Without any memory, only the processes show what those before have started.
        2 => {
            here.no_proc = false;
            sim.set(Opt::NoStateFile, true);
        }
        3 => (here.unavailable, here.no_proc) = (true, false),
        4 => (here.failing_saves, here.no_proc) = (dice.index(0..6)..6, false),
        5 => sim.state.leave_file(0, b"garbage\n".to_vec()),
        _ => {}
    }
    sim
}

fn random_cuts(dice: &mut Dice) -> Vec<Cut> {
    let at = |dice: &mut Dice| ms(if dice.one_in(2) { dice.below(1000) } else { dice.below(90_000) });
    match dice.below(10) {
        0 => vec![Cut::Kill(dice.index(0..60))],
        1 => vec![Cut::KillDuring(dice.index(0..60))],
        2 | 3 => vec![Cut::KillAt(at(dice))],
        4 => vec![Cut::Cancel(at(dice))],
        5 => {
            let at = at(dice);
            vec![Cut::Cancel(at), Cut::KillAt(at + ms(dice.below(10_000)))]
        }
        6 => vec![Cut::Detach(at(dice))],
        _ => Vec::new(),
    }
}

/// Patroni removes the directory; what it can't remove it moves away, and it gives up half-way on a mount point.
fn random_wipe(dice: &mut Dice, mount_point: bool) -> Deed {
    match (dice.below(6), mount_point) {
        (0, _) => Deed::Empty,
        (1 | 2, true) => Deed::HalfRemove,
        (1, false) => Deed::MoveAway,
        _ => Deed::Remove,
    }
}

/// Patroni on a node: calls, wipes after a failure, is killed and comes back, and calls again when all is well.
fn patroni(mut dice: Dice, seed: u64) -> Script {
    Box::new(move |caller| {
        for _ in 0..dice.below(5) {
            caller.connection.deadline = dice.one_in(8).then(|| ms(dice.below(60_000)));
            let code = caller.call(&random_cuts(&mut dice));
            caller.connection.deadline = None;
            if code == Some(Code::RecoveryDone) {
                return;
            }
            if code.is_some() || dice.one_in(2) {
                caller.with(|state| {
                    let wipe = random_wipe(&mut dice, state.nodes[0].mount_point);
                    state.happen(Happening::Node(0, wipe));
                });
            }
            let most = if dice.one_in(3) { 20_000 } else { 1500 };
            caller.wait(ms(dice.below(most)));
        }
        caller.with(|state| {
            state.api.faults.clear();
            state.api.outages.clear();
            state.plans.clear();
            state.tell(|| "from here on all is well".into());
        });
        let done = (0..8).any(|_| {
            caller.with(|state| state.operator_looks_after(0));
            caller.until_done(1, &Deed::Remove)
        });
        caller.with(|state| {
            if !done {
                state.breaks(format!("seed {seed}: the node gets no data"));
            }
        });
    })
}

/// Somebody calls by hand meanwhile.
fn by_hand(mut dice: Dice) -> Script {
    Box::new(move |caller| {
        let cuts = random_cuts(&mut dice);
        caller.call(&cuts);
    })
}

fn one(seed: u64, story: bool) -> Result<(), String> {
    let dice = &mut Dice(seed);
    let mut sim = random_world(dice);
    sim.state.silent = !story;
    let mut scripts = vec![(0, Duration::ZERO, patroni(Dice(dice.next()), seed))];
    // Two runs at once without a state file know nothing of each other.
    let by_one = sim.has_state_file() && !sim.state.nodes[0].unavailable;
    if dice.one_in(6) && by_one {
        scripts.push((0, ms(dice.below(40_000)), by_hand(Dice(dice.next()))));
    }
    sim.play(scripts);
    if sim.state.broken.is_empty() {
        return Ok(());
    }
    Err(format!("--- seed {seed}: {}\n{}", sim.state.broken.join("; "), sim.story()))
}

fn search(from: u64, count: u64) {
    let mut failed = Vec::new();
    for seed in SEEDS.into_iter().chain(from..from + count) {
        if one(seed, false).is_err() {
            failed.push(seed);
        }
    }
    let stories: Vec<String> = failed.iter().take(3).filter_map(|seed| one(*seed, true).err()).collect();
    assert!(
        failed.is_empty(),
        "{} schedules of {count} broke a law: {failed:?}\n{}",
        failed.len(),
        stories.join("\n")
    );
}

#[test]
fn no_schedule_breaks_a_law() {
    search(1000, SCHEDULES);
}

/// Run by `tests/run --deep`. The seeds are other ones each time, and printed: `BARMAN_RECOVER_SEED` repeats them.
#[test]
#[ignore = "takes minutes"]
fn no_schedule_of_very_many_breaks_a_law() {
    let seed = std::env::var("BARMAN_RECOVER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 32);
    // Past the capture of a test that passes.
    let _ = writeln!(std::io::stderr(), "BARMAN_RECOVER_SEED={seed}");
    search(seed, DEEP);
}
