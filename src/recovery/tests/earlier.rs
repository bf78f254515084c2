//! What an earlier run has left over: its operation is waited for while it can count, and ended where it can't.

use super::api::{Fault, Kind, id_at, recording};
use super::barman::{Fate, Plan, Stage};
use super::file::bytes;
use super::row::{Row, row, table};
use super::sim::Sim;
use super::state::{Deed, Happening, ms, secs};
use crate::api::{Request, Status};
use crate::config::options::Opt;
use crate::outcome::Code::{Busy, HttpError, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, InProgress, MaybeCreated};
use crate::world::journal::{Ended, Line, Run};
use crate::world::snapshot::Identity;

/// The ID of the earlier run's operation.
const EARLIER: &str = "20261122T102257";
/// The number of a run that is not in the simulated world.
const ELDER: usize = usize::MAX;

fn operation() -> Line {
    Line::Operation(EARLIER.into())
}

/// An earlier run's operation has been running for 40 of its 60 seconds when ours starts.
fn running(sim: &mut Sim) {
    started(sim, |_| {});
}

fn started(sim: &mut Sim, change: fn(&mut Plan)) {
    let mut plan = sim.state.plan.clone();
    change(&mut plan);
    sim.state.start(EARLIER, Some((0, ELDER)), 0, plan);
    sim.until(secs(40));
}

/// And it has noted its operation and its directory.
fn noted(sim: &mut Sim) {
    running(sim);
    note(sim);
}

fn note(sim: &mut Sim) {
    let identity = sim.identity();
    sim.left(&[operation(), identity]);
    forget_known(sim);
}

/// What was there before the earlier run's create.
fn forget_known(sim: &mut Sim) {
    let mut record = sim.state.record(0).unwrap();
    record.run.known.as_mut().unwrap().remove(EARLIER);
    let lines = [
        Some(Line::Run(record.run)),
        record.operation_id.map(Line::Operation),
        record.identity.map(Line::Identity),
    ];
    let lines: Vec<Line> = lines.into_iter().flatten().collect();
    sim.state.leave_file(0, bytes(&lines));
}

fn case(name: &'static str, prepare: fn(&mut Sim)) -> Row {
    row(name).with(prepare)
}

#[test]
fn it_died_before_it_knew_its_operation() {
    table([
        case("it started nothing: our own, once a create can't come any more", |sim| sim.left(&[]))
            .code(RecoveryDone)
            .creates(1)
            .took(secs(60), secs(125)),
        case("it started one, whose rest lies here: ended, and failed", |sim| {
            sim.left(&[]);
            running(sim);
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(secs(0), secs(75)),
        case("it started one, and Patroni has wiped: ended, then our own", |sim| {
            sim.left(&[]);
            running(sim);
            sim.now(Deed::Remove);
        })
        .code(RecoveryDone)
        .creates(1)
        .took(secs(60), secs(135)),
        case("its create comes late: found and ended, then our own", |sim| {
            sim.left(&[]);
            sim.state.late_create(0, ELDER, secs(30));
        })
        .holds("never a second one beside it", |sim, _| sim.state.broken.is_empty()),
        case("only another node did", |sim| {
            sim.left(&[]);
            sim.state.happen(Happening::Other(id_at(secs(1)), secs(50), Status::Done));
        })
        .code(RecoveryDone)
        .creates(1)
        .took(secs(60), secs(185)),
        case("it could not list what was there: only recent operations are asked about", |sim| {
            let run = Line::Run(Run { known: None, ..sim.run_line() });
            sim.state.leave_file(0, bytes(&[run]));
            for day in 10..20 {
                sim.state.add(format!("202611{day}T000000"), "recovery", Status::InProgress);
            }
        })
        .code(RecoveryDone)
        .creates(1)
        .holds("no old operation is asked about", |_, ran| {
            !ran.requests.iter().any(|(_, r)| matches!(r, Request::Poll(id) if id.starts_with("2026111")))
        }),
    ]);
}

#[test]
fn its_operation_is_still_running_and_can_count() {
    table([
        case("it is waited for", noted)
            .code(RecoveryDone)
            .state(Done)
            .creates(0)
            .named(Some(EARLIER))
            .took(secs(20), secs(22)),
        case("it fails: failed, its rest lies here", |sim| {
            started(sim, |plan| plan.fate = Fate::Fails(Stage::Info));
            note(sim);
        })
        .code(RecoveryFailed)
        .creates(0),
        case("it ends without the mark: failed", |sim| {
            started(sim, |plan| plan.marks = false);
            note(sim);
        })
        .code(RecoveryFailed)
        .creates(0),
        case("its process dies after the mark: done", |sim| {
            started(sim, |plan| plan.fate = Fate::Dies(Stage::End));
            note(sim);
        })
        .code(RecoveryDone)
        .says("WARNING")
        .creates(0),
        case("the API is away for a while", |sim| {
            noted(sim);
            sim.state.meets(Kind::Poll, 0..10, Fault::Refused);
        })
        .code(RecoveryDone)
        .creates(0),
        case("the API is away for ever, while data arrives: done by the mark", |sim| {
            noted(sim);
            sim.state.outage(0..100_000, Fault::Refused);
        })
        .code(RecoveryDone)
        .creates(0)
        .says("WARNING"),
        case("the directory can't be seen any more: not to be said", |sim| {
            noted(sim);
            sim.now(Deed::Hide);
        })
        .code(HttpError)
        .creates(0),
        case("the deadline", |sim| {
            noted(sim);
            sim.deadline = Some(secs(5));
        })
        .code(TimedOut)
        .state(InProgress)
        .creates(0),
    ]);
}

#[test]
fn a_doomed_restore_is_ended() {
    for (name, deed) in [("removed", Deed::Remove), ("moved away", Deed::MoveAway), ("emptied", Deed::Empty)]
    {
        let (before, meanwhile) = (deed.clone(), deed.clone());
        let ended = |name: String| row(name).code(RecoveryDone).creates(1);
        table([
            ended(format!("its directory was {name} before"))
                .with(noted)
                .with(move |sim| sim.now(before))
                .took(secs(60), secs(100)),
            ended(format!("its directory is {name} while we wait"))
                .with(noted)
                .with(move |sim| sim.at(secs(43), meanwhile))
                .took(secs(60), secs(100)),
        ]);
    }
    let hours = |sim: &mut Sim| {
        started(sim, |plan| plan.length = secs(36_000));
        note(sim);
    };
    table([
        case("one that would throw hours of data away", hours)
            .with(|sim| sim.now(Deed::Remove))
            .code(RecoveryDone)
            .creates(1)
            .took(secs(60), secs(70)),
        case("one that was emptied and noted so", |sim| {
            running(sim);
            let identity = sim.identity();
            sim.left(&[operation(), identity, Line::Removed(true)]);
            sim.now(Deed::Empty);
        })
        .code(RecoveryDone)
        .creates(1),
        case("one whose removal was noted, though nothing else shows it any more", |sim| {
            running(sim);
            let identity = sim.identity();
            sim.left(&[operation(), identity, Line::Removed(true)]);
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(ms(0), secs(12)),
        case("one that Barman starts again after 30 s", |sim| {
            started(sim, |plan| plan.retries = 2);
            note(sim);
            sim.now(Deed::Remove);
        })
        .code(RecoveryDone)
        .creates(1)
        .took(secs(120), secs(140)),
        case("one that was killed before its first file", |sim| {
            let plan = Plan { length: secs(4000), preparation: Some(secs(42)), ..sim.state.plan.clone() };
            sim.state.start(EARLIER, Some((0, ELDER)), 0, plan);
            sim.until(secs(5));
            sim.left(&[operation()]);
        })
        .holds("ended as soon as it begins", |_, ran| ran.ended.unwrap() - ran.started < secs(120)),
        case("one that is not of the backup asked for", |sim| {
            noted(sim);
            sim.set(Opt::BackupId, "20260101T000000");
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(ms(0), secs(10)),
        case("one on a mount point, whose directory may be half removed", |sim| {
            sim.now(Deed::Make);
            sim.state.nodes[0].mount_point = true;
            noted(sim);
            sim.now(Deed::HalfRemove);
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(ms(0), secs(10)),
        case("one whose directory was replaced", |sim| {
            noted(sim);
            sim.now(Deed::Replace);
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(ms(0), secs(12)),
        case("one of which no directory was noted", |sim| {
            running(sim);
            sim.left(&[operation()]);
        })
        .code(RecoveryFailed)
        .creates(0)
        .took(ms(0), secs(12)),
        case("where processes can't be seen, its end is waited for", |sim| {
            sim.state.nodes[0].no_proc = true;
            noted(sim);
            sim.now(Deed::Remove);
        })
        .holds("our own comes after it", |_, ran| matches!(ran.code(), Some(RecoveryDone | RecoveryFailed))),
    ]);
}

/// It has ended while nobody was there.
fn over(sim: &mut Sim, change: fn(&mut Plan)) {
    started(sim, change);
    note(sim);
    sim.until(secs(70));
}

#[test]
fn its_operation_has_ended() {
    table([
        case("complete: done", |sim| over(sim, |_| {})).code(RecoveryDone).creates(0).took(ms(0), secs(5)),
        case("complete, but of another backup: failed", |sim| {
            over(sim, |_| {});
            sim.set(Opt::BackupId, "20260101T000000");
        })
        .code(RecoveryFailed)
        .creates(0),
        case("pieces: failed", |sim| over(sim, |plan| plan.fate = Fate::Fails(Stage::Copied)))
            .code(RecoveryFailed)
            .creates(0),
        case("complete, in another directory: failed", |sim| {
            over(sim, |_| {});
            sim.now(Deed::Replace);
        })
        .code(RecoveryFailed)
        .creates(0),
        case("complete, on a mount point: failed", |sim| {
            over(sim, |_| {});
            sim.state.nodes[0].mount_point = true;
        })
        .code(RecoveryFailed)
        .creates(0),
        case("complete, in a directory with the same inode number", |sim| {
            over(sim, |_| {});
            let Line::Identity(noted) = sim.identity() else { unreachable!() };
            let mut other: Identity = noted;
            other.directory.born += 1;
            sim.left(&[operation(), Line::Identity(other)]);
        })
        .code(RecoveryFailed)
        .creates(0),
        case("wiped: our own", |sim| {
            over(sim, |_| {});
            sim.now(Deed::Remove);
        })
        .code(RecoveryDone)
        .creates(1),
        case("emptied: our own", |sim| {
            over(sim, |_| {});
            sim.now(Deed::Empty);
        })
        .code(RecoveryDone)
        .creates(1),
        case("its end was noted: the API is not asked about it", |sim| {
            over(sim, |_| {});
            let identity = sim.identity();
            sim.left(&[operation(), identity, Line::Ended(Ended::Done)]);
        })
        .code(RecoveryDone)
        .creates(0)
        .holds("no poll", |_, ran| ran.polls() == 0),
    ]);
}

#[test]
fn the_api_does_not_know_its_operation() {
    let unknown = || Fault::Answer(recording!("operation-unknown-id"));
    table([
        case("nothing here: our own", |sim| sim.left(&[operation()]))
            .code(RecoveryDone)
            .creates(1)
            .took(secs(60), secs(130)),
        case("files here: failed", |sim| {
            sim.left(&[operation()]);
            sim.now(Deed::Replace);
        })
        .code(RecoveryFailed)
        .creates(0),
        case("a 404 for a moment", noted)
            .with(move |sim| sim.state.meets(Kind::Poll, 0..1, unknown()))
            .code(RecoveryDone)
            .creates(0),
        case("a 404 and a list without it, once", noted)
            .with(move |sim| {
                sim.state.meets(Kind::Poll, 0..1, unknown());
                sim.state.meets(Kind::List, 0..1, Fault::Answer(recording!("operations-list")));
            })
            .code(RecoveryDone)
            .creates(0),
        case("no list and no ID for ever: may be running", |sim| {
            sim.left(&[]);
            sim.state.meets(Kind::List, 0..usize::MAX, Fault::Refused);
        })
        .code(HttpError)
        .state(MaybeCreated)
        .creates(0),
    ]);
}

#[test]
fn postgresql_was_started_while_its_operation_ended() {
    table([case("nothing is created, and nothing is called done", noted)
        .with(|sim| sim.at(secs(50), Deed::Postmaster(Some(99))))
        .code(Busy)
        .creates(0)]);
}
