//! Ends runs at every step that they take (killed, cancelled, out of time), or lets one call fail, then calls again as
//! Patroni does: no law may break, and the node gets its data in the end.

use std::time::Duration;

use super::api::{Fault, Kind, recording, reply};
use super::caller::Sim;
use super::plan::{Fate, Plan, Stage};
use super::run::{Cut, Ran};
use super::state::{Deed, Happening, ms, secs};
use crate::outcome::{Code, OperationState};

type Prepare = fn(&mut Sim);
type Judge = fn(&Ran) -> Result<(), String>;

/// What a run meets.
const SCENARIOS: [(&str, Prepare); 8] = [
    ("all is well", |_| {}),
    ("the reply of the create is lost", |sim| sim.state.meets(Kind::Create, 0..1, Fault::Lost)),
    ("the create runs late", |sim| sim.state.meets(Kind::Create, 0..1, Fault::Ghost(secs(20)))),
    ("the second of that name", |sim| {
        let same = Fault::Answer(recording!("create-recovery-same-second"));
        sim.state.meets(Kind::Create, 0..1, same);
    }),
    ("an outage", |sim| sim.state.outage(2..5, Fault::Answer(reply(502, "")))),
    ("Barman unpacks, and a script runs afterwards", |sim| {
        (sim.state.plan.gap, sim.state.plan.script) = (secs(60), secs(60));
    }),
    ("a second Barman on the same lease, into a directory with files", |sim| {
        sim.state.plan.accepts_files = true;
        sim.state.at(secs(6), Happening::SecondBarman(0));
    }),
    ("it fails, and the copy is tried again", |sim| {
        let plan = Plan { retries: 1, fate: Fate::Fails(Stage::Wal), ..sim.state.plan.clone() };
        sim.state.plans.push(plan);
    }),
];

fn world(prepare: Prepare) -> Sim {
    let mut sim = Sim::new();
    sim.state.plan.length = secs(10);
    sim.restore.stall_timeout = Some(secs(200));
    prepare(&mut sim);
    sim
}

/// Runs once, cut, and then all is well; basebackup writes in between.
fn interrupted(name: &str, prepare: Prepare, cut: &dyn Fn(&mut Sim), judge: Judge) -> Result<(), String> {
    let mut sim = world(prepare);
    cut(&mut sim);
    let ran = sim.run();
    let judged = judge(&ran);
    let mut done = ran.code() == Some(Code::RecoveryDone);
    (sim.cuts, sim.failing, sim.connection.deadline) = (Vec::new(), Vec::new(), None);
    if !done {
        sim.now(Deed::Remove);
        sim.state.basebackup(0, secs(3));
        let later = sim.state.now + secs(4);
        sim.state.until(later);
        sim.now(Deed::Remove);
        sim.play(vec![(
            0,
            Duration::ZERO,
            Box::new(|caller| {
                caller.until_done(4, &Deed::Remove);
            }),
        )]);
        done = sim.state.runs.last().is_some_and(|ran| ran.code() == Some(Code::RecoveryDone));
    }
    if done && judged.is_ok() && sim.state.broken.is_empty() {
        return Ok(());
    }
    let (broken, story) = (&sim.state.broken, sim.story());
    Err(format!("--- {name}: done {done}, {judged:?}, {broken:?}\n{story}"))
}

/// Every step of every scenario, with its time.
fn everywhere(cut: impl Fn(&mut Sim, usize, Duration), judge: Judge) {
    let mut failed = Vec::new();
    for (name, prepare) in SCENARIOS {
        let whole = world(prepare).run();
        let mut waits = 0;
        for (step, (time, is_wait)) in whole.times.iter().enumerate() {
            waits += usize::from(*is_wait);
            // Waits, and the looks after them, are all alike.
            if waits > 8 && waits % 5 != 0 {
                continue;
            }
            let name = format!("{name}, step {step}");
            if let Err(why) = interrupted(&name, prepare, &|sim| cut(sim, step, *time), judge) {
                failed.push(why);
                break; // the next steps fail alike
            }
        }
    }
    assert!(failed.is_empty(), "{} scenarios failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn killed_before_every_step() {
    everywhere(|sim, step, _| sim.cuts = vec![Cut::Kill(step)], |_| Ok(()));
}

#[test]
fn killed_in_the_middle_of_every_step() {
    everywhere(|sim, _, time| sim.cuts = vec![Cut::KillAt(time + ms(5))], |_| Ok(()));
}

fn cancelled(ran: &Ran) -> Result<(), String> {
    let outcome = ran.outcome.as_ref().ok_or("no outcome")?;
    if !matches!(outcome.code, Code::Cancelled | Code::RecoveryDone | Code::RecoveryFailed) {
        return Err(format!("not cancelled, but {:?}", outcome.code));
    }
    if ran.creates() == 0 && outcome.found.operation_state != OperationState::NotCreated {
        return Err("a create that was never sent".into());
    }
    Ok(())
}

#[test]
fn cancelled_at_every_step() {
    everywhere(|sim, _, time| sim.cuts = vec![Cut::Cancel(time)], cancelled);
}

#[test]
fn cancelled_in_the_middle_of_every_step() {
    everywhere(|sim, _, time| sim.cuts = vec![Cut::Cancel(time + ms(5))], cancelled);
}

#[test]
fn cancelled_and_killed_soon_after_while_something_is_stuck() {
    let stuck = |sim: &mut Sim, time: Duration| {
        sim.state.plan.sticks = Some(secs(5));
        sim.cuts = vec![Cut::Cancel(time), Cut::KillAt(time + ms(700))];
    };
    everywhere(|sim, _, time| stuck(sim, time), |_| Ok(()));
}

#[test]
fn out_of_time_at_every_step() {
    everywhere(
        |sim, _, time| sim.connection.deadline = Some(time + ms(5)),
        |ran| match ran.code() {
            Some(Code::RecoveryDone | Code::TimedOut | Code::RecoveryFailed) => Ok(()),
            code => Err(format!("ends with {code:?}")),
        },
    );
}

fn short(prepare: Prepare) -> Sim {
    let mut sim = world(prepare);
    sim.state.plan.length = secs(4);
    sim
}

/// Law 4: whichever one call fails, the run ends as it would have ended, and takes hardly longer.
#[test]
fn one_call_that_fails_changes_nothing() {
    let mut failed = Vec::new();
    for (name, prepare) in SCENARIOS {
        let whole = short(prepare).run();
        for call in (0..whole.calls).filter(|call| *call < 100 || call % 5 == 0 || call + 60 > whole.calls) {
            let mut sim = short(prepare);
            sim.failing.push(call..call + 1);
            let ran = sim.run();
            let took = ran.ended.unwrap_or_default().saturating_sub(whole.ended.unwrap_or_default());
            let same = (ran.code(), ran.creates()) == (whole.code(), whole.creates());
            if !same || took > secs(15) || !sim.state.broken.is_empty() {
                let (code, broken) = (ran.code(), &sim.state.broken);
                let what = format!("--- {name}, call {call}: {code:?}, {took:?} more, {broken:?}");
                failed.push((what, sim.story()));
            }
        }
    }
    let (what, stories): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
    let first = stories.first().map_or("", String::as_str);
    assert!(what.is_empty(), "{} calls failed:\n{}\n{first}", what.len(), what.join("\n"));
}
