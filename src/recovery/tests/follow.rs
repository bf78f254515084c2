//! From the create to the end of the operation: polls and what they miss, the mark, progress, stalls.

use std::time::Duration;

use super::api::{Fault, Kind, recording, reply};
use super::barman::{Fate, Plan, Stage};
use super::row::{ALWAYS, FIRST, Row, later, moved, row, table};
use super::sim::Sim;
use super::state::{Happening, ms, secs};
use crate::config::options::Opt;
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, InProgress, NotCreated};

/// Nothing arrives, and nobody writes, for a very long time.
fn preparing(sim: &mut Sim) {
    sim.state.plan.length = secs(20_000);
    sim.state.plan.preparation = Some(secs(10_000));
}

#[test]
fn misses_are_waited_out() {
    let faults = [
        ("no connection", Fault::Refused),
        ("a wrong certificate", Fault::Lasting),
        ("silence", Fault::Dropped),
        ("a broken connection", Fault::Lost),
        ("half a reply", Fault::Answer(reply(200, "{"))),
        ("another word", Fault::Answer(reply(200, "{\"status\":\"RESTING\"}"))),
        ("null", Fault::Answer(reply(200, "null"))),
        ("202", Fault::Answer(reply(202, "{\"status\":\"DONE\"}"))),
        ("a 404 of a half-written file", Fault::Answer(recording!("operation-unknown-id"))),
        ("a 404 for the server", Fault::Answer(recording!("operation-unknown-server"))),
        ("500", Fault::Answer(recording!("create-unknown-type"))),
        ("403", Fault::Answer(reply(403, ""))),
        ("503", Fault::Answer(reply(503, ""))),
        ("a redirect", Fault::Answer(moved(301))),
    ];
    let rows = faults.into_iter().flat_map(|(name, fault)| {
        // From the very first poll on, and in the middle.
        [0, 3].into_iter().flat_map(move |from| {
            let (once, always) = (fault.clone(), fault.clone());
            [
                row(format!("{name}, four times from poll {from} on"))
                    .with(move |sim| sim.state.meets(Kind::Poll, from..from + 4, once))
                    .code(RecoveryDone)
                    .state(Done)
                    .creates(1)
                    .says("WARNING"),
                row(format!("{name}, for ever from poll {from} on, while nothing arrives"))
                    .with(preparing)
                    .with(move |sim| sim.state.meets(Kind::Poll, from..usize::MAX, always))
                    .code(HttpError)
                    .state(InProgress)
                    .creates(1)
                    .named(Some(FIRST))
                    .says("Maximum number of retries exceeded")
                    .took(secs(300), secs(345)), // the last request may take its time
            ]
        })
    });
    table(rows);
}

fn out(name: &'static str, prepare: fn(&mut Sim)) -> Row {
    row(name)
        .with(preparing)
        .with(|sim| sim.state.meets(Kind::Poll, ALWAYS, Fault::Refused))
        .with(prepare)
        .code(HttpError)
        .state(InProgress)
}

#[test]
fn the_outage_budget() {
    table([
        out("--max-outage 1000", |sim| sim.set(Opt::MaxOutage, 1000)).took(secs(1000), secs(1003)),
        out("--max-outage 0", |sim| sim.set(Opt::MaxOutage, 0)).took(ms(0), secs(1)),
        out("--retry-wait 3: five times that", |sim| sim.set(Opt::RetryWait, 3)).took(secs(15), secs(20)),
        out("--max-retries 50: so many retry waits", |sim| sim.set(Opt::MaxRetries, 50))
            .took(secs(100), secs(103)),
        out("--retry-wait 0: five tries", |sim| sim.set(Opt::RetryWait, 0))
            .holds("five tries at least", |_, ran| ran.polls() >= 5),
        row("a good answer refills it")
            .with(|sim| {
                sim.state.plan.length = secs(2000);
                sim.state.plan.preparation = Some(secs(1900));
                for n in 0..200 {
                    sim.state.meets(Kind::Poll, n * 10..n * 10 + 9, Fault::Answer(reply(503, "")));
                }
                sim.set(Opt::MaxOutage, 90);
            })
            .code(RecoveryDone),
    ]);
    let waits = [(1, ms(2000), ms(2600)), (7, secs(7), ms(7100)), (3600, secs(10), ms(10_100))];
    table(waits.map(|(wanted, least, most)| {
        row(format!("Retry-After {wanted} is kept to, up to the loop wait"))
            .with(move |sim| {
                sim.state.meets(Kind::Poll, 0..1, Fault::Answer(later(reply(503, ""), wanted)));
            })
            .code(RecoveryDone)
            .holds("it waits so long", move |_, ran| (least..=most).contains(&ran.gaps(Kind::Poll)[0]))
    }));
}

#[test]
fn polls_become_rarer() {
    table([
        row("an hour")
            .with(|sim| sim.state.plan.length = secs(3600))
            .code(RecoveryDone)
            .took(secs(3600), secs(3602))
            .holds("the first polls come at once", |_, ran| ran.gaps(Kind::Poll)[0] <= ms(250))
            .holds("and no further apart than the loop wait", |_, ran| {
                ran.gaps(Kind::Poll).iter().all(|gap| *gap <= ms(10_050))
            })
            .holds("progress is logged once per loop wait", |_, ran| {
                let told = ran.log.iter().filter(|(.., line)| line.contains("still in progress"));
                let told: Vec<Duration> = told.map(|(at, ..)| *at).collect();
                told.len() > 180 && told.windows(2).all(|pair| pair[1] - pair[0] >= secs(10))
            }),
        row("a minute takes fewer than 40 requests").code(RecoveryDone).requests_below(40),
    ]);
}

#[test]
fn the_end_is_noticed_by_the_mark() {
    let long = |sim: &mut Sim| {
        sim.set(Opt::LoopWait, 60);
        sim.state.plan.length = secs(1200);
    };
    table([
        row("where receivers can be seen, a second and a half after the end")
            .with(long)
            .code(RecoveryDone)
            .took(secs(1200), ms(1_201_500)),
        row("elsewhere, three seconds and a poll")
            .with(long)
            .with(|sim| sim.state.nodes[0].no_proc = true)
            .code(RecoveryDone)
            .took(secs(1200), ms(1_204_500)),
    ]);
}

#[test]
fn the_mark_is_here_and_the_operation_never_ends() {
    let dies = |sim: &mut Sim| sim.state.plan.fate = Fate::Dies(Stage::End);
    table([
        row("done, with a warning, once nothing has changed for a minute")
            .with(dies)
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(115), secs(135)),
        row("also when the API has gone for good")
            .with(|sim| sim.state.outage(30..100_000, Fault::Refused))
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(110), secs(135)),
        row("also when the API has gone for good and processes can't be seen")
            .with(|sim| {
                sim.state.nodes[0].no_proc = true;
                sim.state.outage(30..100_000, Fault::Answer(reply(502, "")));
            })
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(110), secs(135)),
        row("not by a hidden mark of the same backup from before")
            .with(|sim| {
                sim.state.leave_mark(0);
                sim.state.plan.fate = Fate::Dies(Stage::Copied);
                sim.set(Opt::StallTimeout, 100);
            })
            .code(RecoveryFailed)
            .took(secs(140), secs(170)),
        row("not before, if something still writes")
            .with(|sim| {
                sim.state.outage(30..100_000, Fault::Refused);
                sim.state.at(secs(2), Happening::SecondWriter(0));
                sim.state.plan.length = secs(60);
            })
            .code(RecoveryDone)
            .took(secs(140), secs(165)),
    ]);
}

#[test]
fn a_restore_that_stalls() {
    let stalls = |sim: &mut Sim| {
        sim.state.plan.length = secs(2000);
        sim.state.plan.stall = Some((secs(20), secs(1000)));
    };
    table([
        row("a warning, and on")
            .with(stalls)
            .code(RecoveryDone)
            .says("WARNING: nothing new has arrived in /pg/data"),
        row("--stall-timeout ends it")
            .with(stalls)
            .with(|sim| sim.set(Opt::StallTimeout, 100))
            .code(RecoveryFailed)
            .says("nothing new has arrived")
            .took(secs(115), secs(145)),
        row("--stall-timeout ends one whose process has died")
            .with(|sim| {
                sim.state.plan.fate = Fate::Dies(Stage::Control);
                sim.set(Opt::StallTimeout, 100);
            })
            .code(RecoveryFailed)
            .took(secs(130), secs(160)),
    ]);
}

#[test]
fn an_operation_to_follow_instead_of_a_create() {
    let follow = |name: &'static str, id: &'static str| {
        row(name)
            .with(move |sim| {
                sim.set(Opt::OperationId, id);
                let plan = sim.state.plan.clone();
                sim.state.start(FIRST, None, 0, plan);
            })
            .creates(0)
    };
    table([
        follow("it ends well", FIRST).code(RecoveryDone).state(Done).named(Some(FIRST)),
        follow("the API does not know it", "nope")
            .code(HttpError)
            .state(NotCreated)
            .says("nope")
            .says("HINT: check --operation-id")
            .took(secs(1), secs(4)),
        follow("a 404 for a moment", FIRST)
            .with(|sim| sim.state.meets(Kind::Poll, 0..3, Fault::Answer(recording!("operation-unknown-id"))))
            .code(RecoveryDone),
        follow("the API goes while data arrives", FIRST)
            .with(|sim| sim.state.outage(1..100_000, Fault::Refused))
            .code(RecoveryDone)
            .says("WARNING"),
        row("it has failed")
            .with(|sim| {
                sim.set(Opt::OperationId, FIRST);
                let plan = Plan { fate: Fate::Fails(Stage::Global), ..sim.state.plan.clone() };
                sim.state.start(FIRST, None, 0, plan);
            })
            .code(RecoveryFailed)
            .state(Failed)
            .creates(0),
    ]);
}
