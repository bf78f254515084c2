//! Ends runs at every step that they take (cancelled, killed, out of time, unable to save), then calls again
//! as Patroni does: no law may break, and the node gets its data in the end.

use std::time::Duration;

use super::barman::{Happening, Plan, id_at, ms, recording, reply, secs};
use super::{Fault, Interrupt, Kind, Ran, World};
use crate::api::{Request, Status};
use crate::config::options::Opt;
use crate::event::Level;
use crate::outcome::{Code, OperationState};

type Scenario = (&'static str, fn(&mut World));

const SCENARIOS: [Scenario; 9] = [
    ("plain", |_| {}),
    ("not up yet", |w| w.fault(Kind::Status, 0..2, Fault::Refused)),
    ("no list", |w| w.fault(Kind::List, 0..1, Fault::Refused)),
    ("collision", |w| {
        w.fault(Kind::Create, 0..2, Fault::Answer(recording!("create-recovery-same-second")));
        w.barman.at(ms(25), Happening::Other("other".into(), secs(20), Status::Done));
    }),
    ("lost", |w| w.fault(Kind::Create, 0..1, Fault::Lost)),
    ("dropped", |w| w.fault(Kind::Create, 0..1, Fault::Dropped)),
    ("late", |w| w.fault(Kind::Create, 0..1, Fault::Late(ms(1500)))),
    ("dropped, another node's", |w| {
        w.fault(Kind::Create, 0..1, Fault::Answer(reply(502, "")));
        w.barman.at(secs(1), Happening::Other(id_at(secs(1)), secs(30), Status::Done));
    }),
    ("outage", |w| {
        w.fault(Kind::Poll, 0..1, Fault::Answer(recording!("operation-unknown-id")));
        w.fault(Kind::Poll, 3..5, Fault::Refused);
    }),
];

fn world(prepare: fn(&mut World)) -> World {
    let mut world = World::new();
    world.plan(Plan::Whole, secs(30));
    prepare(&mut world);
    world
}

/// What Patroni does to the data directory between two calls.
const BETWEEN: [Option<Happening>; 3] = [None, Some(Happening::Remove), Some(Happening::Empty)];

/// Calls again and again, the directory wiped after each failure, until the node has its data.
fn call_again(name: &str, mut world: World, first: &Ran, wipe: Option<&Happening>) {
    let mut runs: Vec<Ran> = Vec::new();
    let story = |runs: &[Ran]| {
        let later: Vec<String> = runs.iter().map(Ran::story).collect();
        format!("wiped between: {wipe:?}\n{}--- next run\n{}", first.story(), later.join("--- next run\n"))
    };
    world.interrupt = None;
    world.deadline = None;
    for run in 2..=6 {
        world.barman.until(world.barman.now + ms(500));
        match wipe {
            Some(happening) => world.barman.happen(happening.clone()),
            // Patroni was killed together with its hook: it wipes only after a code that it has seen.
            None if run > 2 || first.outcome.is_some() => world.barman.happen(Happening::Remove),
            None => {}
        }
        let ran = world.run();
        let checked = world.check(&ran).and_then(|()| world.check_file(&ran));
        let done = ran.code() == Some(Code::RecoveryDone);
        runs.push(ran);
        assert!(checked.is_ok(), "{name}: {checked:?}\n{}", story(&runs));
        if done {
            return;
        }
    }
    panic!("{name}: no data after 6 runs\n{}", story(&runs));
}

/// Every run of this scenario that is interrupted in this way, then called again.
fn interrupted(interrupt: fn(usize) -> Interrupt, judge: fn(&World, &Ran) -> Result<(), String>) {
    for (name, prepare) in SCENARIOS {
        let steps = world(prepare).run().timed;
        for step in 0..steps {
            let mut world = world(prepare);
            world.interrupt = Some(interrupt(step));
            let ran = world.run();
            let checked = world.check(&ran).and_then(|()| judge(&world, &ran));
            assert!(checked.is_ok(), "{name}, step {step}: {checked:?}\n{}", ran.story());
            for wipe in &BETWEEN {
                call_again(&format!("{name}, step {step}"), world.clone(), &ran, wipe.as_ref());
            }
        }
    }
}

fn cancelled(world: &World, ran: &Ran) -> Result<(), String> {
    world.check_file(ran)?;
    let outcome = ran.outcome.as_ref().ok_or("no outcome")?;
    if outcome.code != Code::Cancelled {
        return Err("not cancelled".into());
    }
    if ran.creates() == 0 && outcome.operation_state != OperationState::NotCreated {
        return Err("a create that was never sent".into());
    }
    let (last, _) = ran.requests.last().map_or((Duration::ZERO, &Request::Status), |(at, r)| (*at, r));
    if last > outcome.elapsed { Err("a request after the end".into()) } else { Ok(()) }
}

#[test]
fn cancelled_before_every_step() {
    interrupted(Interrupt::Cancel, cancelled);
}

#[test]
fn cancelled_in_the_middle_of_every_step() {
    interrupted(Interrupt::CancelDuring, cancelled);
}

#[test]
fn killed_before_every_step() {
    interrupted(Interrupt::Kill, |_, _| Ok(()));
}

#[test]
fn killed_in_the_middle_of_every_step() {
    interrupted(Interrupt::KillDuring, |_, _| Ok(()));
}

#[test]
fn out_of_time_at_every_step() {
    for (name, prepare) in SCENARIOS {
        let whole = world(prepare).run();
        let times = whole.requests.iter().map(|(at, _)| *at).chain(whole.log.iter().map(|(at, ..)| *at));
        for time in times.flat_map(|at| [at, at + ms(5), at + ms(60)]) {
            let mut world = world(prepare);
            world.deadline = Some(time);
            let ran = world.run();
            let checked = world.check(&ran).and_then(|()| world.check_file(&ran));
            assert!(checked.is_ok(), "{name}, deadline {time:?}: {checked:?}\n{}", ran.story());
            let outcome = ran.outcome.as_ref().unwrap();
            let kept = outcome.code == Code::RecoveryDone || outcome.code == Code::TimedOut;
            assert!(kept && outcome.elapsed <= time + ms(20), "{name}, deadline {time:?}\n{}", ran.story());
            for wipe in &BETWEEN {
                call_again(&format!("{name}, deadline {time:?}"), world.clone(), &ran, wipe.as_ref());
            }
        }
    }
}

#[test]
fn unable_to_save_at_every_point() {
    for (name, prepare) in SCENARIOS {
        let saves = {
            let mut world = world(prepare);
            world.run();
            world.saves
        };
        assert!(saves >= 3, "{name}: run, operation and identity are saved");
        for save in 0..saves {
            for failing in [save..save + 1, save..usize::MAX] {
                let mut world = world(prepare);
                world.failing_saves = failing;
                let ran = world.run();
                let checked = world.check(&ran).and_then(|()| world.check_file(&ran));
                assert!(checked.is_ok(), "{name}, save {save}: {checked:?}\n{}", ran.story());
                let told = |(_, level, line): &&(Duration, Level, String)| {
                    *level == Level::Warning && line.contains("state file can't be written (No space left")
                };
                let good = ran.code() == Some(Code::RecoveryDone) && ran.log.iter().filter(told).count() == 1;
                assert!(good, "{name}, save {save}\n{}", ran.story());
            }
        }
    }
}

#[test]
fn an_outage_that_is_given_up_and_called_again() {
    for wipe in &BETWEEN {
        let mut world = world(|w| {
            w.plan(Plan::Whole, secs(900));
            w.set(Opt::MaxOutage, 100);
            w.fault(Kind::Poll, 3..40, Fault::Answer(reply(502, "")));
        });
        let ran = world.run();
        assert_eq!(ran.code(), Some(Code::HttpError), "{}", ran.story());
        let checked = world.check(&ran).and_then(|()| world.check_file(&ran));
        assert!(checked.is_ok(), "{checked:?}\n{}", ran.story());
        call_again("outage", world, &ran, wipe.as_ref());
    }
}
