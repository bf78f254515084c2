//! An API that is not up at the start, or goes while an operation is running.

use super::api::{Fault, Kind, recording, reply};
use super::barman::{Fate, Stage};
use super::row::{ALWAYS, FIRST, Row, later, moved, row, table};
use super::state::{ms, secs};
use crate::config::options::Opt;
use crate::outcome::Code::{ApiNotOk, HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{InProgress, NotCreated};

fn down(name: &'static str, fault: Fault) -> Row {
    row(name)
        .with(|sim| sim.state.meets(Kind::Status, ALWAYS, fault))
        .code(ApiNotOk)
        .state(NotCreated)
        .creates(0)
}

#[test]
fn an_api_that_is_not_up_is_asked_again_where_that_may_help() {
    table([
        down("another word than OK is final", Fault::Answer(reply(200, "\"down\"")))
            .says("\"down\" instead of \"OK\"")
            .took(ms(0), ms(50)),
        down("no connection", Fault::Refused).says("connection refused (5 tries)").took(secs(8), secs(11)),
        down("a wrong certificate is final", Fault::Lasting)
            .says("HINT: check --ca-file")
            .took(ms(0), ms(50)),
        down("silence", Fault::Dropped).took(secs(60), secs(120)),
        down("half a page", Fault::Answer(reply(200, "<html>"))).says("5 tries"),
        down("500", Fault::Answer(recording!("create-unknown-type")))
            .says("HTTP 500: The server encountered"),
        down("401 is final", Fault::Answer(reply(401, "<p>who are you</p>")))
            .says("HTTP 401: who are you")
            .took(ms(0), ms(50)),
        down("a redirect is final", Fault::Answer(moved(301))).took(ms(0), ms(50)),
        down("Retry-After is kept to, up to the loop wait", Fault::Answer(later(reply(503, ""), 3600)))
            .took(secs(40), secs(50)),
        down("one try, if no more are wanted", Fault::Refused)
            .with(|sim| sim.set(Opt::MaxRetries, 1))
            .took(ms(0), ms(50)),
        row("back at the last try")
            .with(|sim| sim.state.meets(Kind::Status, 0..4, Fault::Refused))
            .code(RecoveryDone)
            .says("WARNING: Attempt 4 of 5 to ask for the status of the API failed"),
        row("zero tries are one").with(|sim| sim.set(Opt::MaxRetries, 0)).code(RecoveryDone),
    ]);
}

fn gone(name: &'static str, from: u64, to: u64) -> Row {
    row(name).with(move |sim| {
        sim.state.plan.length = secs(1500);
        sim.state.outage(from..to, Fault::Refused);
    })
}

#[test]
fn nobody_gives_up_while_data_arrives() {
    table([
        gone("twenty minutes without the API", 100, 1300)
            .code(RecoveryDone)
            .creates(1)
            .took(secs(1500), secs(1510)),
        gone("for good: done by the mark", 100, 1_000_000)
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(1550), secs(1580)),
        gone("for good, where processes can't be seen", 100, 1_000_000)
            .with(|sim| sim.state.nodes[0].no_proc = true)
            .code(RecoveryDone)
            .took(secs(1550), secs(1580)),
        gone("for good, --max-outage 10", 100, 1_000_000)
            .with(|sim| sim.set(Opt::MaxOutage, 10))
            .code(RecoveryDone),
        gone("for good, and a receiver that gets nothing for a while", 100, 1_000_000)
            .with(|sim| sim.state.plan.stall = Some((secs(200), secs(900))))
            .code(RecoveryDone),
    ]);
}

#[test]
fn the_budget_runs_once_nothing_arrives() {
    table([
        gone("the restore has ended without the mark", 100, 1_000_000)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(HttpError)
            .state(InProgress)
            .says(FIRST)
            .says("Maximum number of retries exceeded"),
        gone("and the API comes back in time to say so", 100, 1100)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed),
    ]);
}

#[test]
fn a_run_that_gave_up_is_continued_by_the_next() {
    let twice = |sim: &mut super::sim::Sim| {
        sim.run();
        sim.run()
    };
    table([gone("an outage before the first file, then the same operation", 10, 400)
        .with(|sim| sim.state.plan.preparation = Some(secs(700)))
        .play(twice)
        .holds("never a second one beside it", |sim, _| sim.state.broken.is_empty())
        .holds("the first gave up", |sim, _| sim.state.runs[0].code() == Some(HttpError))]);
}
