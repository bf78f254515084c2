//! What the host ends: a cancel ends the restore too, a lost terminal and the deadline only the run.

use super::api::{Fault, Kind};
use super::row::{ALWAYS, FIRST, Row, row, table};
use super::run::Cut;
use super::sim::{Sim, once};
use super::state::{Happening, ms, secs};
use crate::config::options::Opt;
use crate::outcome::Code::{Cancelled, RecoveryDone, TimedOut};
use crate::outcome::OperationState::{Failed, InProgress, MaybeCreated, NotCreated};
use crate::world::journal::Ended;

fn cut(name: &'static str, cut: Cut) -> Row {
    row(name).with(move |sim| sim.cuts = vec![cut])
}

fn says_failed(sim: &Sim) -> bool {
    sim.state.record(0).is_some_and(|record| record.ended == Some(Ended::Failed))
}

fn is_over(sim: &Sim) -> bool {
    sim.state.restores.iter().all(|restore| !restore.alive)
}

#[test]
fn a_cancel_ends_the_restore() {
    table([
        cut(
            "in the middle: Barman says FAILED, and the state file says so of what is here",
            Cut::Cancel(secs(30)),
        )
        .code(Cancelled)
        .state(Failed)
        .took(secs(30), ms(32_500))
        .holds("it has ended", |sim, _| is_over(sim))
        .holds("the state file says so", |sim, _| says_failed(sim)),
        cut("one that Barman starts again: its state file stays", Cut::Cancel(secs(30)))
            .with(|sim| sim.state.plan.retries = 3)
            .code(Cancelled)
            .state(InProgress)
            .took(secs(30), secs(39))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
        cut("where no receiver has been seen, nothing is waited for", Cut::Cancel(ms(200)))
            .with(|sim| sim.state.plan.preparation = Some(secs(20)))
            .code(Cancelled)
            .state(InProgress)
            .took(ms(200), ms(700))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
        cut("where processes can't be seen, nothing is ended", Cut::Cancel(secs(30)))
            .with(|sim| sim.state.nodes[0].no_proc = true)
            .code(Cancelled)
            .state(InProgress)
            .took(secs(30), secs(31))
            .holds("it goes on", |sim, _| !is_over(sim)),
        cut("--leave-running", Cut::Cancel(secs(30)))
            .with(|sim| sim.set(Opt::LeaveRunning, true))
            .code(Cancelled)
            .state(InProgress)
            .says(FIRST)
            .took(secs(30), secs(31))
            .holds("it goes on", |sim, _| !is_over(sim))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
        cut("while the API is away: the state file stays", Cut::Cancel(secs(30)))
            .with(|sim| sim.state.outage(20..100, Fault::Refused))
            .code(Cancelled)
            .took(secs(30), secs(39))
            .holds("its receivers have gone", |sim, _| is_over(sim))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
        cut("during the wait for quiet: the state file stays", Cut::Cancel(ms(20_500)))
            .with(|sim| {
                sim.state.plan.length = secs(20);
                sim.state.nodes[0].no_proc = true;
                sim.state.at(ms(1500), Happening::SecondWriter(0));
            })
            .holds("as something may still write", |sim, ran| {
                ran.code() != Some(Cancelled) || sim.state.record(0).is_some()
            }),
    ]);
}

#[test]
fn a_cancel_while_the_create_is_under_way_waits_for_its_answer() {
    table([
        cut("the answer comes: the restore is ended", Cut::Cancel(secs(2)))
            .with(|sim| sim.state.meets(Kind::Create, 0..1, Fault::Slow(secs(5))))
            .code(Cancelled)
            .took(secs(2), secs(11))
            .named(Some(FIRST)),
        cut("none comes: eight seconds, and the state file stays", Cut::Cancel(secs(2)))
            .with(|sim| sim.state.meets(Kind::Create, 0..1, Fault::Dropped))
            .code(Cancelled)
            .state(MaybeCreated)
            .took(secs(9), ms(10_200))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
    ]);
}

#[test]
fn a_cancel_before_the_create_ends_at_once() {
    let early = |name, at, fault, kind| {
        cut(name, Cut::Cancel(at))
            .with(move |sim| sim.state.meets(kind, ALWAYS, fault))
            .code(Cancelled)
            .state(NotCreated)
            .creates(0)
            .took(at, at + ms(100))
            .holds("no state file", |sim, _| sim.state.record(0).is_none())
    };
    table([
        early("at the very start", ms(0), Fault::Refused, Kind::Poll),
        early("during the question for the status", secs(3), Fault::Dropped, Kind::Status),
        early("between two of them", secs(3), Fault::Refused, Kind::Status),
        early("during the question for the list", secs(3), Fault::Dropped, Kind::List),
    ]);
    table([cut("while another run is waited for", Cut::Cancel(secs(5)))
        .play(|sim| {
            sim.play(vec![(0, secs(0), once(vec![])), (0, secs(10), once(vec![Cut::Cancel(secs(5))]))]);
            sim.state.runs[1].clone()
        })
        .code(Cancelled)
        .creates(0)
        .took(secs(5), ms(5100))
        .holds("the other one goes on to its end", |sim, _| sim.state.runs[0].code() == Some(RecoveryDone))]);
}

#[test]
fn a_lost_terminal_ends_the_run_alone() {
    table([
        cut("in the middle", Cut::Detach(secs(30)))
            .state(InProgress)
            .says(FIRST)
            .took(secs(30), secs(31))
            .holds("not done", |_, ran| ran.code() != Some(RecoveryDone))
            .holds("it goes on", |sim, _| !is_over(sim))
            .holds("a state file", |sim, _| sim.state.record(0).is_some()),
        cut("the next call waits for the restore", Cut::Detach(secs(30)))
            .play(|sim| {
                sim.run();
                sim.cuts.clear();
                sim.run()
            })
            .code(RecoveryDone)
            .creates(0)
            .named(Some(FIRST))
            .took(secs(30), secs(32)),
    ]);
}

fn after(name: &'static str, deadline: u64, prepare: fn(&mut Sim)) -> Row {
    row(name)
        .with(move |sim| sim.deadline = Some(secs(deadline)))
        .with(prepare)
        .code(TimedOut)
        .says("the deadline of")
        .took(secs(deadline), secs(deadline + 8) + ms(100))
}

#[test]
fn the_deadline_ends_the_run() {
    table([
        after("polling", 30, |_| {}).state(InProgress).says(FIRST),
        after("the status", 5, |sim| sim.state.meets(Kind::Status, ALWAYS, Fault::Dropped)).state(NotCreated),
        after("the list", 5, |sim| sim.state.meets(Kind::List, ALWAYS, Fault::Dropped))
            .state(NotCreated)
            .creates(0),
        after("the create", 5, |sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Dropped))
            .state(MaybeCreated)
            .says("/pg/data.barman-recover.json"),
        after("a create that is slow", 5, |sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Slow(secs(40))))
            .state(MaybeCreated)
            .creates(1),
        after("a create that is refused", 3, |sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Refused))
            .state(NotCreated),
        after("an outage", 100, |sim| {
            sim.state.plan.length = secs(500);
            sim.state.meets(Kind::Poll, ALWAYS, Fault::Refused);
        })
        .state(InProgress),
        row("one that is not reached").with(|sim| sim.deadline = Some(secs(100))).code(RecoveryDone),
    ]);
}
