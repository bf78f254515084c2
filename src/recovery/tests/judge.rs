//! How an operation has ended is what its data directory shows: the table of the ends, row by row, and the wait
//! for quiet before each.

use std::time::Duration;

use super::api::{Fault, Kind};
use super::barman::{Fate, Plan, Stage};
use super::row::{FIRST, Row, row, table};
use super::sim::Sim;
use super::state::{Deed, Happening, ms, secs};
use crate::api::Status;
use crate::config::options::Opt;
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, Failed};

fn planned(name: impl Into<String>, change: fn(&mut Plan)) -> Row {
    row(name).with(move |sim| change(&mut sim.state.plan))
}

/// The reply to the create is lost.
fn lost(sim: &mut Sim) {
    sim.state.meets(Kind::Create, 0..1, Fault::Lost);
}

#[test]
fn named_and_done() {
    table([
        planned("complete: done", |_| {}).code(RecoveryDone).state(Done).silent("WARNING"),
        planned("complete from a source that Barman had restored: done", |plan| plan.restored_source = true)
            .code(RecoveryDone)
            .silent("WARNING"),
        planned("new files without the mark: done, with a warning", |plan| plan.marks = false)
            .code(RecoveryDone)
            .state(Done)
            .says("WARNING"),
        planned("complete over a hidden mark of the same backup from before: done", |_| {})
            .with(|sim| sim.state.leave_mark(0))
            .code(RecoveryDone)
            .silent("WARNING"),
        planned("nothing here: failed", |plan| plan.elsewhere = true)
            .code(RecoveryFailed)
            .state(Done)
            .says("ERROR: Recovery operation failed."),
        planned("nothing here, an empty directory: failed", |plan| plan.elsewhere = true)
            .with(|sim| sim.now(Deed::Make))
            .code(RecoveryFailed)
            .state(Done),
        planned("nothing new here: failed", |plan| plan.elsewhere = true)
            .with(|sim| sim.now(Deed::Replace))
            .code(RecoveryFailed)
            .state(Done),
        planned("nothing here, --no-verify: done, with a warning", |plan| plan.elsewhere = true)
            .with(|sim| sim.set(Opt::NoVerify, true))
            .code(RecoveryDone)
            .says("WARNING"),
        planned("nothing here, --verify=false: done, with a warning", |plan| plan.elsewhere = true)
            .with(|sim| sim.set(Opt::Verify, false))
            .code(RecoveryDone)
            .says("WARNING"),
        planned("a directory that can't be seen: done, with a warning", |_| {})
            .with(|sim| sim.now(Deed::Hide))
            .code(RecoveryDone)
            .state(Done)
            .says("WARNING"),
        planned("another backup than the one asked for: failed", |_| {})
            .with(|sim| {
                sim.set(Opt::BackupId, "20260101T000000");
                sim.state.restores_instead = Some("20261122T080000".into());
            })
            .code(RecoveryFailed)
            .state(Done)
            .says("20261122T080000"),
        planned("a backup of another Barman server: failed", |_| {})
            .with(|sim| sim.state.other_server = true)
            .code(RecoveryFailed)
            .state(Done)
            .says("main"),
        planned("the backup that was asked for by its ID: done", |_| {})
            .with(|sim| sim.set(Opt::BackupId, "20260101T000000"))
            .code(RecoveryDone)
            .says("20260101T000000"),
        planned("a backup whose ID the directory does not name: done", |plan| plan.named_label = false)
            .with(|sim| sim.set(Opt::BackupId, "20260101T000000"))
            .code(RecoveryDone),
    ]);
}

#[test]
fn named_and_failed() {
    let stages = [Stage::Begin, Stage::Version, Stage::Control, Stage::Copied, Stage::AutoConf, Stage::End];
    table(stages.map(|stage| {
        row(format!("failed at {stage:?}: failed"))
            .with(move |sim| sim.state.plan.fate = Fate::Fails(stage))
            .code(RecoveryFailed)
            .state(Failed)
            .creates(1)
            .says("ERROR: Recovery operation failed.")
            .says(FIRST)
    }));
    table([
        planned("failed, and can't be seen: failed", |plan| plan.fate = Fate::Fails(Stage::Control))
            .with(|sim| sim.now(Deed::Hide))
            .code(RecoveryFailed)
            .state(Failed),
        planned("failed after a copy that was tried again: failed", |plan| {
            plan.retries = 1;
            plan.fate = Fate::Fails(Stage::Info);
        })
        .code(RecoveryFailed)
        .state(Failed),
    ]);
}

#[test]
fn in_doubt() {
    table([
        row("complete: done").with(lost).code(RecoveryDone).state(Done).creates(1).named(Some(FIRST)),
        planned("pieces without the mark: failed", |plan| plan.fate = Fate::Fails(Stage::Control))
            .with(lost)
            .code(RecoveryFailed)
            .state(Failed)
            .creates(1),
        planned("done without the mark: failed", |plan| plan.marks = false)
            .with(lost)
            .code(RecoveryFailed)
            .creates(1),
        planned("pieces under a hidden mark of the same backup from before: failed", |plan| {
            plan.fate = Fate::Fails(Stage::Copied);
        })
        .with(lost)
        .with(|sim| sim.state.leave_mark(0))
        .code(RecoveryFailed)
        .creates(1),
        row("nothing: created again")
            .with(lost)
            .with(|sim| {
                let plan = Plan { fate: Fate::Fails(Stage::Begin), ..Plan::default() };
                sim.state.plans.push(plan);
            })
            .code(RecoveryDone)
            .creates(2),
        row("nothing new in a directory with files: failed")
            .with(lost)
            .with(|sim| sim.now(Deed::Replace))
            .code(RecoveryFailed)
            .creates(1),
        row("it can't be seen: not to be said")
            .with(lost)
            .with(|sim| sim.now(Deed::Hide))
            .code(HttpError)
            .says(FIRST)
            .creates(1),
        planned("ours fails after pg_control while another node's is done: failed", |plan| {
            plan.fate = Fate::Fails(Stage::Copied);
        })
        .with(lost)
        .with(|sim| {
            sim.state.at(ms(25), Happening::Other("20261122T102258".into(), secs(70), Status::Done));
        })
        .code(RecoveryFailed)
        .creates(1),
        planned("all is written, and then it fails: the directory decides", |plan| {
            plan.fate = Fate::Fails(Stage::End);
        })
        .with(lost)
        .code(RecoveryDone)
        .creates(1),
    ]);
}

#[test]
fn a_directory_that_was_removed_under_the_operation_is_never_called_restored() {
    let deeds = [Deed::Remove, Deed::Empty, Deed::Replace, Deed::HalfRemove, Deed::MoveAway];
    let rows = deeds.into_iter().flat_map(|deed| {
        [10, 30, 50, 58].into_iter().flat_map(move |second| {
            let deed = deed.clone();
            [false, true].into_iter().flat_map(move |unaware| {
                let deed = deed.clone();
                [false, true].map(|is_lost| {
                    let deed = deed.clone();
                    let name = format!("{deed:?} at {second}, Barman notices: {}, lost: {is_lost}", !unaware);
                    row(name)
                        .with(move |sim| {
                            sim.state.plan.unaware = unaware;
                            sim.at(secs(second), deed);
                            if is_lost {
                                lost(sim);
                            }
                        })
                        .took(secs(10), secs(190))
                        .holds("failed, or created again", |_, ran| {
                            ran.code() == Some(RecoveryFailed)
                                || (ran.code() == Some(RecoveryDone) && ran.creates() == 2)
                        })
                })
            })
        })
    });
    table(rows);
}

/// Two creates of one second that got one ID: two restores into this directory, the other one longer.
fn second_writer(sim: &mut Sim) {
    sim.state.at(ms(1500), Happening::SecondWriter(0));
}

#[test]
fn the_end_of_everything_that_writes_is_waited_for() {
    let fails = |plan: &mut Plan| {
        plan.fate = Fate::Fails(Stage::Global);
        plan.length = secs(20);
    };
    table([
        planned("after DONE", |_| {}).with(second_writer).code(RecoveryDone).took(secs(79), secs(86)),
        planned("after DONE, where processes can't be seen", |_| {})
            .with(second_writer)
            .with(|sim| sim.state.nodes[0].no_proc = true)
            .code(RecoveryDone)
            .took(secs(79), secs(86)),
        planned("after DONE, a receiver that gets nothing for a while", |plan| {
            plan.stall = Some((secs(50), secs(77)));
        })
        .with(second_writer)
        .code(RecoveryDone)
        .took(secs(79), secs(86)),
        planned("after FAILED", fails)
            .with(second_writer)
            .code(RecoveryFailed)
            .says("WARNING")
            .took(secs(25), secs(33)),
        planned("after FAILED, receivers that outlive it", |plan| {
            plan.fate = Fate::Fails(Stage::Control);
            plan.linger = secs(9);
        })
        .code(RecoveryFailed)
        .took(secs(44), secs(58)),
        planned("after the FAILED of a candidate", |plan| {
            plan.fate = Fate::Fails(Stage::Version);
            plan.linger = secs(9);
        })
        .with(lost)
        .code(RecoveryFailed),
        planned("until the deadline", fails)
            .with(|sim| {
                sim.state.plan.linger = secs(10_000);
                sim.set(Opt::Deadline, 100);
            })
            .took(secs(100), secs(101))
            .holds("failed, or out of time", |_, ran| matches!(ran.code(), Some(RecoveryFailed | TimedOut))),
    ]);
    let quick: [(&str, Duration); 2] =
        [("nothing came at all", secs(3)), ("nothing comes any more", secs(20))];
    table(quick.map(|(name, length)| {
        row(format!("{name}: at most three seconds more"))
            .with(move |sim| {
                sim.state.plan.length = length;
                sim.state.plan.fate = Fate::Fails(if length < secs(10) { Stage::Begin } else { Stage::Info });
            })
            .code(RecoveryFailed)
            .took(ms(0), length + secs(4))
    }));
}
