//! Ends runs at every step that they take (killed, cancelled, out of time, unable to save), then calls again as
//! Patroni does: no law may break, and the node gets its data in the end.

use std::time::Duration;

use super::api::{Fault, Kind, id_at, recording, reply};
use super::row::row;
use super::run::{Cut, Ran};
use super::sim::Sim;
use super::state::{Deed, Happening, ms, secs};
use crate::api::Status;
use crate::config::options::Opt;
use crate::outcome::{Code, OperationState};

type Judge = fn(&Sim, &Ran) -> Result<(), String>;
type Scenario = (&'static str, fn(&mut Sim));

const SCENARIOS: [Scenario; 11] = [
    ("plain", |_| {}),
    ("not up yet", |sim| sim.state.meets(Kind::Status, 0..2, Fault::Refused)),
    ("no list", |sim| sim.state.meets(Kind::List, 0..1, Fault::Refused)),
    ("collision", |sim| {
        sim.state.meets(Kind::Create, 0..2, Fault::Answer(recording!("create-recovery-same-second")));
        sim.state.at(ms(25), Happening::Other("other".into(), secs(20), Status::Done));
    }),
    ("lost", |sim| sim.state.meets(Kind::Create, 0..1, Fault::Lost)),
    ("broken off", |sim| sim.state.meets(Kind::Create, 0..1, Fault::Broken)),
    ("late", |sim| {
        sim.set(Opt::CreateTimeout, 5);
        sim.state.meets(Kind::Create, 0..1, Fault::Late(ms(5200)));
    }),
    ("broken off, another node's", |sim| {
        sim.state.meets(Kind::Create, 0..1, Fault::Answer(reply(502, "")));
        sim.state.at(secs(1), Happening::Other(id_at(secs(1)), secs(30), Status::Done));
    }),
    ("outage", |sim| {
        sim.state.meets(Kind::Poll, 0..1, Fault::Answer(recording!("operation-unknown-id")));
        sim.state.meets(Kind::Poll, 3..5, Fault::Refused);
    }),
    ("second writer", |sim| sim.state.at(ms(600), Happening::SecondWriter(0))),
    ("tried again", |sim| {
        sim.state.plan.retries = 1;
    }),
];

/// What is done to the data directory between two calls.
const BETWEEN: [Option<Deed>; 5] =
    [None, Some(Deed::Remove), Some(Deed::Empty), Some(Deed::HalfRemove), Some(Deed::MoveAway)];

fn world(prepare: fn(&mut Sim)) -> Sim {
    let mut sim = Sim::new();
    sim.state.plan.length = secs(10);
    prepare(&mut sim);
    sim
}

/// One run that is interrupted, then calls until the node has its data.
fn interrupted(
    name: &str,
    prepare: fn(&mut Sim),
    interrupt: &dyn Fn(&mut Sim),
    judge: Judge,
    betweens: &[Option<Deed>],
) -> Result<(), String> {
    for between in betweens {
        // The story is only made for one that fails.
        let silent = called_again(name, prepare, interrupt, judge, between.as_ref(), true);
        if silent.is_err() {
            return called_again(name, prepare, interrupt, judge, between.as_ref(), false);
        }
    }
    Ok(())
}

fn called_again(
    name: &str,
    prepare: fn(&mut Sim),
    interrupt: &dyn Fn(&mut Sim),
    judge: Judge,
    between: Option<&Deed>,
    silent: bool,
) -> Result<(), String> {
    let mut sim = world(prepare);
    sim.state.silent = silent;
    interrupt(&mut sim);
    let first = sim.run();
    let judged = judge(&sim, &first);
    (sim.cuts, sim.deadline) = (Vec::new(), None);
    sim.state.nodes[0].failing_saves = 0..0;
    let mut done = first.code() == Some(Code::RecoveryDone);
    if !done {
        let wiped = between.cloned();
        sim.play(vec![(
            0,
            ms(500),
            Box::new(move |caller| {
                // Patroni that was killed together with its hook wipes nothing.
                if let Some(deed) = wiped.or_else(|| first.outcome.is_some().then_some(Deed::Remove)) {
                    caller.with(|state| state.happen(Happening::Node(0, deed)));
                }
                caller.until_done(6, &Deed::Remove);
            }),
        )]);
        done = sim.state.runs.last().is_some_and(|ran| ran.code() == Some(Code::RecoveryDone));
    }
    let fine = done && judged.is_ok() && sim.state.broken.is_empty();
    if !fine {
        let (broken, story) = (&sim.state.broken, sim.story());
        return Err(format!("--- {name}, {between:?} between: done {done}, {judged:?}, {broken:?}\n{story}"));
    }
    Ok(())
}

/// Every step, or every time, of every scenario.
fn everywhere(cut: impl Fn(&mut Sim, usize, Duration) + Copy, judge: Judge) {
    let mut failed = Vec::new();
    for (name, prepare) in SCENARIOS {
        let whole = world(prepare).run();
        for (step, (time, wait)) in whole.times.iter().enumerate() {
            // Waits are all alike, but for those that something has just come before.
            if *wait && step % 3 != 0 {
                continue;
            }
            let cut = |sim: &mut Sim| cut(sim, step, *time);
            let between = [BETWEEN[0].clone(), BETWEEN[1 + step % (BETWEEN.len() - 1)].clone()];
            let name = format!("{name}, step {step}");
            if let Err(why) = interrupted(&name, prepare, &cut, judge, &between) {
                failed.push(why);
                break; // the next steps fail alike
            }
        }
    }
    assert!(failed.is_empty(), "{} scenarios failed:\n{}", failed.len(), failed.join("\n"));
}

#[allow(clippy::unnecessary_wraps, reason = "one of several judges")]
fn any(_: &Sim, _: &Ran) -> Result<(), String> {
    Ok(())
}

#[test]
fn killed_before_every_step() {
    everywhere(|sim, step, _| sim.cuts = vec![Cut::Kill(step)], any);
}

#[test]
fn killed_in_the_middle_of_every_step() {
    everywhere(|sim, step, _| sim.cuts = vec![Cut::KillDuring(step)], any);
}

fn cancelled(_: &Sim, ran: &Ran) -> Result<(), String> {
    let outcome = ran.outcome.as_ref().ok_or("no outcome")?;
    if !matches!(outcome.code, Code::Cancelled | Code::RecoveryDone) {
        return Err(format!("not cancelled, but {:?}", outcome.code));
    }
    if ran.creates() == 0 && outcome.operation_state != OperationState::NotCreated {
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
fn cancelled_at_every_step_and_left_running() {
    everywhere(
        |sim, _, time| {
            sim.set(Opt::LeaveRunning, true);
            sim.cuts = vec![Cut::Cancel(time + ms(5))];
        },
        cancelled,
    );
}

#[test]
fn detached_at_every_step() {
    everywhere(|sim, _, time| sim.cuts = vec![Cut::Detach(time + ms(5))], any);
}

#[test]
fn cancelled_and_killed_soon_after() {
    everywhere(|sim, _, time| sim.cuts = vec![Cut::Cancel(time), Cut::KillAt(time + ms(700))], any);
}

#[test]
fn out_of_time_at_every_step() {
    everywhere(
        |sim, _, time| sim.deadline = Some(time + ms(5)),
        |_, ran| match ran.code() {
            Some(Code::RecoveryDone | Code::TimedOut | Code::RecoveryFailed) => Ok(()),
            code => Err(format!("ends with {code:?}")),
        },
    );
}

#[test]
fn unable_to_save_at_every_point() {
    let mut rows = Vec::new();
    for (name, prepare) in SCENARIOS {
        let mut whole = world(prepare);
        whole.run();
        for save in 0..whole.state.nodes[0].saves {
            for failing in [save..save + 1, save..usize::MAX] {
                let new = row(format!("{name}: lines {failing:?}"))
                    .with(|sim| sim.state.plan.length = secs(10))
                    .with(prepare)
                    .with(move |sim| sim.state.nodes[0].failing_saves = failing)
                    .code(Code::RecoveryDone)
                    .says("No space left on device");
                rows.push(new);
            }
        }
    }
    super::row::table(rows);
}

#[test]
fn an_outage_that_is_given_up_and_called_again() {
    let prepare = |sim: &mut Sim| {
        sim.state.plan.length = secs(900);
        sim.state.plan.preparation = Some(secs(300));
        sim.set(Opt::MaxOutage, 100);
        sim.state.meets(Kind::Poll, 3..40, Fault::Answer(reply(502, "")));
    };
    let gave_up = |_: &Sim, ran: &Ran| {
        if ran.code() == Some(Code::HttpError) { Ok(()) } else { Err("did not give up".into()) }
    };
    interrupted("outage", prepare, &|_| {}, gave_up, &BETWEEN).unwrap();
}
