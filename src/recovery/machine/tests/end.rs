//! A row per end of an operation that was followed, and of a run whose time is up.

use std::time::Duration;

use super::barman::{Happening, Plan, Stage, recording, secs};
use super::row::ALWAYS;
use super::{Fault, Kind, World, row};
use crate::config::options::Opt;
use crate::outcome::Code::{RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};

#[test]
fn operations_that_fail() {
    row("nothing", |w| w.plan(Plan::Nothing, secs(60)))
        .ends(RecoveryFailed, Failed)
        .creates(1)
        .says("ERROR: Recovery operation failed.")
        .says("<barman_home>/pg/output/20261122T102257.json");
    row("pieces", |w| w.plan(Plan::Pieces, secs(60))).ends(RecoveryFailed, Failed).creates(1);
    row("not empty", |w| {
        w.barman.fill("before", &[Stage::Start, Stage::Version]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(1)
    .says("WARNING: the data directory /pg/data is not empty");
}

#[test]
fn done_with_no_data() {
    let elsewhere = |w: &mut World| w.plan(Plan::Elsewhere, secs(60));
    row("missing", elsewhere)
        .ends(RecoveryDone, Done)
        .says("WARNING: Barman says that operation 20261122T102257 is done, but /pg/data does not exist");
    row("empty", |w| {
        elsewhere(w);
        w.barman.make_empty();
    })
    .ends(RecoveryDone, Done)
    .says("is empty");
    for prepare in [
        |_: &mut World| {},
        |w: &mut World| w.barman.make_empty(),
        |w: &mut World| w.barman.happen(Happening::Hide),
    ] {
        row("verified", |w| {
            elsewhere(w);
            prepare(w);
            w.set(Opt::Verify, true);
        })
        .ends(RecoveryFailed, Done)
        .says("ERROR: Recovery operation failed. ");
    }
    row("unseen", |w| {
        elsewhere(w);
        w.barman.happen(Happening::Hide);
    })
    .ends(RecoveryDone, Done)
    .silent("WARNING");
    row("verified and good", |w| w.set(Opt::Verify, true)).ends(RecoveryDone, Done);
}

#[test]
fn a_directory_that_was_removed_under_the_operation_is_never_called_restored() {
    for happening in [Happening::Remove, Happening::Empty, Happening::Replace] {
        for second in [10, 30, 50, 58] {
            for fault in [None, Some(Fault::Lost)] {
                let row = row("removed", |w| {
                    w.barman.at(secs(second), happening.clone());
                    if let Some(fault) = fault {
                        w.fault(Kind::Create, 0..1, fault);
                    }
                })
                .says("was removed or emptied while")
                .creates(1);
                let state = row.ran.outcome.as_ref().unwrap().operation_state;
                row.ends(RecoveryFailed, state).took(secs(60), secs(70));
            }
        }
    }
}

#[test]
fn the_deadline_ends_a_run_and_nothing_else() {
    let after = |name, deadline: Duration, prepare: fn(&mut World)| {
        row(name, |w| {
            w.deadline = Some(deadline);
            prepare(w);
        })
        .took(deadline, deadline)
        .says("the deadline of")
    };
    after("polling", secs(30), |_| {}).ends(TimedOut, InProgress).says("--operation-id 20261122T102257");
    after("status", secs(5), |w| w.fault(Kind::Status, ALWAYS, Fault::Dropped)).ends(TimedOut, NotCreated);
    after("list", secs(5), |w| w.fault(Kind::List, ALWAYS, Fault::Dropped))
        .ends(TimedOut, NotCreated)
        .creates(0);
    after("creating", secs(5), |w| w.fault(Kind::Create, ALWAYS, Fault::Dropped))
        .ends(TimedOut, MaybeCreated)
        .says("let nothing else write into /pg/data meanwhile")
        .says("remove /pg/data.barman-recover.json");
    after("created, late", secs(5), |w| w.fault(Kind::Create, ALWAYS, Fault::Slow(secs(20))))
        .ends(TimedOut, MaybeCreated)
        .creates(1);
    after("refused", secs(3), |w| w.fault(Kind::Create, ALWAYS, Fault::Refused))
        .ends(TimedOut, NotCreated)
        .says("no recovery operation was started");
    after("collision", secs(5), |w| {
        w.fault(Kind::Create, ALWAYS, Fault::Answer(recording!("create-recovery-same-second")));
        w.fault(Kind::List, 1..9, Fault::Dropped);
    })
    .ends(TimedOut, NotCreated);
    after("an outage", secs(100), |w| w.fault(Kind::Poll, ALWAYS, Fault::Refused)).ends(TimedOut, InProgress);
    row("not reached", |w| w.deadline = Some(secs(100))).ends(RecoveryDone, Done);
}
