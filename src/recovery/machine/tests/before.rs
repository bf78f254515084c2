//! A row per decision before the create: whether the API is up, what runs already, what the list says.

use super::barman::{Happening, Stage, ms, recording, reply, secs};
use super::row::{ALWAYS, FIRST, later, moved};
use super::{Fault, Kind, World, row};
use crate::api::{NewRecovery, Reply, Request};
use crate::config::options::Opt;
use crate::outcome::Code::{ApiNotOk, Busy, RecoveryDone};
use crate::outcome::OperationState::{Done, InProgress, MaybeCreated, NotCreated};

#[test]
fn a_recovery_that_nothing_disturbs() {
    let row = row("plain", |_| {})
        .ends(RecoveryDone, Done)
        .creates(1)
        .named(Some(FIRST))
        .says("INFO: Created the recovery operation with ID 20261122T102257")
        .says("INFO: Recovery operation 20261122T102257 is still in progress")
        .says("INFO: Recovery operation finished successfully.")
        .silent("WARNING")
        .took(secs(60), secs(66));
    let kinds: Vec<Request> = row.ran.requests.iter().take(3).map(|(_, request)| request.clone()).collect();
    assert!(matches!(kinds[..], [Request::Status, Request::List, Request::Create(_)]), "{kinds:?}");
    let states: Vec<_> = row.ran.states.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [MaybeCreated, InProgress, Done]);
}

#[test]
fn the_simulated_api_answers_as_the_recorded_one() {
    let mut world = World::new();
    let settings = world.settings();
    let create = Request::Create(NewRecovery {
        backup_id: settings.backup_id.clone(),
        ssh_command: settings.ssh_command.clone(),
        data_directory: settings.data_directory.clone(),
    });
    let answers: Vec<Reply> = [create.clone(), Request::Poll(FIRST.into()), create]
        .iter()
        .map(|request| world.barman.answer(request, &settings))
        .collect();
    let recorded = [
        recording!("create-recovery"),
        recording!("operation-in-progress"),
        recording!("create-recovery-same-second"),
    ];
    assert_eq!(answers, recorded);
}

#[test]
fn status() {
    let down = |fault: Fault| move |w: &mut World| w.fault(Kind::Status, ALWAYS, fault);
    let start = |name, fault| row(name, down(fault)).ends(ApiNotOk, NotCreated).creates(0);
    start("not OK", Fault::Answer(reply(200, "\"down\"")))
        .says("\"down\" instead of \"OK\"")
        .took(ms(0), ms(50));
    start("refused", Fault::Refused).says("connection refused (5 tries)").took(secs(8), secs(11));
    start("wrong certificate", Fault::Lasting).says("HINT: check --ca-file").took(ms(0), ms(50));
    start("silent", Fault::Dropped).took(secs(60), secs(120));
    start("garbled", Fault::Answer(reply(200, "<html>"))).says("not understood").says("5 tries");
    start("500", Fault::Answer(recording!("create-unknown-type"))).says("HTTP 500: The server encountered");
    start("401", Fault::Answer(reply(401, "<p>who are you</p>")))
        .says("HTTP 401: who are you")
        .took(ms(0), ms(50));
    start("moved", Fault::Answer(moved(301))).took(ms(0), ms(50));
    start("Retry-After", Fault::Answer(later(reply(503, ""), 3600))).took(secs(40), secs(50));
    row("back in time", |w| {
        w.fault(Kind::Status, 0..4, Fault::Refused);
    })
    .ends(RecoveryDone, Done)
    .says("WARNING: Attempt 4 of 5 to ask for the status of the API failed");
    row("one try", |w| {
        w.set(Opt::MaxRetries, 1);
        w.fault(Kind::Status, ALWAYS, Fault::Refused);
    })
    .ends(ApiNotOk, NotCreated)
    .took(ms(0), ms(50));
    row("zero tries are one", |w| w.set(Opt::MaxRetries, 0)).ends(RecoveryDone, Done);
}

#[test]
fn a_list_that_fails_before_the_create_stops_nothing() {
    for fault in
        [Fault::Refused, Fault::Answer(reply(200, "[]")), Fault::Answer(recording!("create-unknown-type"))]
    {
        row("no list", |w| w.fault(Kind::List, 0..2, fault))
            .ends(RecoveryDone, Done)
            .creates(1)
            .says("WARNING: the operations can't be listed");
    }
    row("no list, and the create is lost", |w| {
        w.fault(Kind::List, 0..1, Fault::Refused);
        w.fault(Kind::Create, 0..1, Fault::Lost);
    })
    .ends(RecoveryDone, Done)
    .creates(1);
}

#[test]
fn a_postgres_in_the_data_directory() {
    let runs = |w: &mut World| {
        w.barman.fill("before", &[Stage::Start, Stage::Version]);
        w.barman.happen(Happening::Postmaster(Some(99)));
    };
    row("from the start", runs)
        .ends(Busy, NotCreated)
        .says("a PostgreSQL runs in /pg/data")
        .holds(|row| row.ran.requests.is_empty(), "nothing is sent");
    row("meanwhile", |w| {
        w.barman.at(ms(15), Happening::Replace);
        w.barman.at(ms(15), Happening::Postmaster(Some(99)));
    })
    .ends(Busy, NotCreated)
    .creates(0);
    row("after a lost create", |w| {
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.barman.at(secs(59), Happening::Postmaster(Some(99)));
    })
    .ends(Busy, Done)
    .creates(1);
}
