//! What leads to a create, and every answer to it: those that say what became of it, and those that do not.

use super::api::{Fault, Kind, id_at, recording, reply};
use super::caller::Sim;
use super::plan::{BACKUP, Fate, Plan, Stage};
use super::row::{ALWAYS, FIRST, Row, later, moved, row, table};
use super::state::{Happening, ms, secs};
use crate::api::{Request, Status};
use crate::outcome::Code::{ApiNotOk, HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};

#[test]
fn a_recovery_that_nothing_disturbs() {
    table([row("it asks for the status, for the list, creates, and follows to the end")
        .code(RecoveryDone)
        .state(Done)
        .creates(1)
        .named(Some(FIRST))
        // As the Python program says it.
        .says("INFO: Created the recovery operation with ID 20261122T102257")
        .says("INFO: Recovery operation 20261122T102257 is still in progress")
        .says("INFO: Recovery operation finished successfully.")
        .says(BACKUP)
        .says("000000010000000000000004")
        .silent("WARNING")
        .took(secs(60), ms(60_330)) // 0.03 s before the restore begins
        .requests(40)
        .holds("status, list, create", |_, ran| {
            let mut kinds = ran.requests.iter().map(|(_, request)| Kind::of(request));
            [Kind::Status, Kind::List, Kind::Create].iter().all(|kind| kinds.next() == Some(*kind))
        })
        .holds("the states in their order", |_, ran| {
            let states: Vec<_> = ran.states.iter().map(|(state, _)| *state).collect();
            states == [MaybeCreated, InProgress, Done]
        })
        .holds("figures four times a second at first, and then once", |_, ran| {
            let within = |from, to| ran.figures.iter().filter(|at| (from..to).contains(*at)).count();
            (3..=8).contains(&within(secs(0), secs(2))) && (9..=11).contains(&within(secs(20), secs(30)))
        })
        .holds("through its lease", |sim, ran| {
            let Some((_, Request::Create(new))) = ran.requests.get(2) else { return false };
            new.ssh_command == format!("{} sh {}", sim.restore.ssh_command, sim.state.leases[0].path)
        })]);
}

#[test]
fn the_simulated_api_answers_as_the_recorded_one() {
    let mut sim = Sim::new();
    sim.state.runs.push(super::run::Ran::default());
    let plan = sim.state.plan.clone();
    sim.state.start(FIRST, 0, 0, None, plan);
    assert_eq!(sim.state.answer(0, &Request::Status, 0), recording!("status"));
    assert_eq!(sim.state.answer(0, &Request::Poll(FIRST.into()), 0), recording!("operation-in-progress"));
    assert_eq!(sim.state.answer(0, &Request::Poll("x".into()), 0), recording!("operation-unknown-id"));
    let list = sim.state.answer(0, &Request::List, 0).operations().unwrap();
    assert!(list.iter().any(|it| (it.id.as_str(), it.kind.as_deref()) == (FIRST, Some("recovery"))));
}

#[test]
fn an_api_that_is_not_up_is_asked_again_where_that_may_help() {
    let down = |name: &'static str, fault: Fault| {
        row(name)
            .with(|sim| sim.state.meets(Kind::Status, ALWAYS, fault))
            .code(ApiNotOk)
            .state(NotCreated)
            .creates(0)
    };
    table([
        down("another word than OK is final", Fault::Answer(reply(200, "\"down\"")))
            .says("\"down\" instead of \"OK\"")
            .took(ms(0), ms(50)),
        down("no connection", Fault::Refused).says("connection refused (5 tries)").took(secs(8), secs(11)),
        down("a wrong certificate is final", Fault::Lasting)
            .says("HINT: give the issuer")
            .took(ms(0), ms(50)),
        down("silence", Fault::Dropped).took(secs(60), secs(120)),
        down("500", Fault::Answer(recording!("create-unknown-type")))
            .says("HTTP 500: The server encountered"),
        down("401 is final", Fault::Answer(reply(401, "<p>who are you</p>"))).says("HTTP 401: who are you"),
        down("a redirect is final", moved(301)).took(ms(0), ms(50)),
        down("Retry-After is kept to, up to the loop wait", later(reply(503, ""), 3600))
            .took(secs(40), secs(50)),
        row("back at the last try")
            .with(|sim| sim.state.meets(Kind::Status, 0..4, Fault::Refused))
            .code(RecoveryDone)
            .says("WARNING: Attempt 4 of 5 to ask for the status of the API failed"),
    ]);
}

#[test]
fn a_refused_create_ends_at_once_with_the_servers_words() {
    let rows = [
        (recording!("create-unknown-server"), "HTTP 404: Server 'nope' does not exist", "--barman-server"),
        (recording!("create-unknown-backup"), "HTTP 404: Backup '20200101T000000' does not", "--backup-id"),
        (recording!("create-empty-object"), "HTTP 400: Minimum barman options not met for server 'pg'", ""),
        (recording!("create-no-content-type"), "was not 'application/json'.", ""),
        (recording!("method-not-allowed"), "HTTP 405: The method is not allowed", ""),
        (reply(401, ""), "HTTP 401", "authentication"),
        (reply(403, "\u{1b}[31mno"), "HTTP 403", "authentication"),
    ];
    table(rows.map(|(answer, words, hint)| {
        row(format!("an answer that is final: {words}"))
            .with(|sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Answer(answer)))
            .code(HttpError)
            .state(NotCreated)
            .creates(1)
            .named(None)
            .says("An issue was faced while trying to create a recovery operation")
            .says(words)
            .says(hint)
            .took(ms(0), ms(100))
    }));
    table([(moved(307), "has moved to https://other"), (Fault::Lasting, "--ca-file")].map(
        |(fault, words)| {
            row(words)
                .with(|sim| sim.state.meets(Kind::Create, ALWAYS, fault))
                .code(HttpError)
                .state(NotCreated)
                .creates(1)
                .says(words)
                .took(ms(0), ms(100))
        },
    ));
}

fn gaps(ran: &super::run::Ran) -> Vec<std::time::Duration> {
    let times: Vec<_> = ran.of(Kind::Create).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn a_create_that_started_nothing_is_sent_again() {
    let faults = [
        ("the API's own 500", Fault::Answer(recording!("create-unknown-type"))),
        ("no connection", Fault::Refused),
        ("429", Fault::Answer(reply(429, ""))),
    ];
    let waits = [0, 1, 2, 5].into_iter();
    table(waits.flat_map(|wait| {
        faults.clone().map(|(name, fault)| {
            row(format!("{name}, --retry-wait {wait}"))
                .with(move |sim| {
                    sim.connection.retry_wait = secs(wait);
                    sim.state.meets(Kind::Create, ALWAYS, fault);
                })
                .code(HttpError)
                .state(NotCreated)
                .creates(5)
                .says("(5 tries)")
                .holds("a second at least between two creates, and jitter", move |_, ran| {
                    let (gaps, least) = (gaps(ran), secs(wait.max(1)));
                    let spread = gaps.windows(2).any(|pair| pair[0] != pair[1]);
                    spread && gaps.iter().all(|gap| *gap >= least && *gap < least * 2 + secs(34))
                })
        })
    }));
    table([
        row("the last try is good")
            .with(|sim| sim.state.meets(Kind::Create, 0..4, Fault::Refused))
            .code(RecoveryDone)
            .creates(5),
        row("Retry-After is kept to")
            .with(|sim| sim.state.meets(Kind::Create, 0..1, later(recording!("create-unknown-type"), 8)))
            .code(RecoveryDone)
            .holds("it waits so long", |_, ran| gaps(ran)[0] >= secs(8)),
    ]);
}

#[test]
fn a_create_that_found_its_second_taken_is_sent_again_while_others_are_served() {
    let taken = |name: &'static str, which| {
        let fault = Fault::Answer(recording!("create-recovery-same-second"));
        row(name).with(move |sim| sim.state.meets(Kind::Create, which, fault))
    };
    // Another node's recovery begins every second, just when our create comes.
    let others = |until: u64| {
        move |sim: &mut Sim| {
            for second in 0..until {
                let other = Happening::Other(format!("other-{second}"), secs(1), Status::Done);
                sim.state.at(secs(second) + ms(25), other);
            }
        }
    };
    table([
        taken("more often than --max-retries while the list grows", 0..8)
            .with(|sim| sim.connection.max_retries = 2)
            .with(others(600))
            .code(RecoveryDone)
            .creates(9)
            .took(secs(60), secs(400)),
        taken("for ten minutes at most", ALWAYS)
            .with(others(2000))
            .code(HttpError)
            .state(NotCreated)
            .took(secs(600), secs(600 + 5 * 33)), // and then the attempts
        taken("not more often when nobody is served", ALWAYS).code(HttpError).creates(5),
        taken("nor when the list fails too", ALWAYS)
            .with(|sim| sim.state.meets(Kind::List, 1..100, Fault::Refused))
            .code(HttpError)
            .state(NotCreated)
            .creates(5),
    ]);
}

/// Answers to a create that say nothing of what became of it, though the API got it.
fn lost() -> Vec<(&'static str, Fault)> {
    let mut cut = reply(202, "{\"operation_id\":\"202611");
    cut.cut = Some("its body is cut off".into());
    let names = |id: &str| Fault::Instead(reply(202, format!("{{\"operation_id\":\"{id}\"}}")));
    vec![
        ("lost", Fault::Lost),
        ("timed out", Fault::Slow(secs(70))),
        ("processed late, from the backlog", Fault::Ghost(secs(20))),
        ("cut", Fault::Instead(cut)),
        ("garbled", Fault::Instead(reply(202, "<html>"))),
        ("without an ID", Fault::Instead(reply(202, "{\"operation_id\":\"\"}"))),
        ("with an ID that was there before", names("20261122T101942")),
        ("gunicorn's 500", Fault::Instead(recording!("create-gunicorn-500"))),
        ("408", Fault::Instead(reply(408, ""))),
        ("502", Fault::Instead(reply(502, "<h1>Bad Gateway</h1>"))),
        ("504", Fault::Instead(reply(504, ""))),
        ("a 500 that names one", Fault::Instead(reply(500, "{\"operation_id\":\"20261122T102257\"}"))),
    ]
}

fn in_doubt(name: impl Into<String>, fault: Fault) -> Row {
    row(name).with(move |sim| {
        sim.state.plan.length = secs(100);
        sim.state.meets(Kind::Create, 0..1, fault);
    })
}

#[test]
fn a_create_in_doubt_is_found_by_its_lease_and_followed() {
    table(lost().into_iter().map(|(name, fault)| {
        in_doubt(format!("{name}: done"), fault)
            .code(RecoveryDone)
            .state(Done)
            .creates(1)
            .says("WARNING")
            .says("has ended: DONE")
            .says("INFO: Recovery operation finished successfully.")
            .holds("it is named as soon as only one may be ours", |_, ran| {
                ran.states.iter().any(|(state, id)| *state == InProgress && id.is_some())
            })
    }));
    table(lost().into_iter().map(|(name, fault)| {
        in_doubt(format!("{name}: failed"), fault)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .state(Failed)
            .creates(1)
    }));
    table([
        in_doubt("no list any more: done by the data", Fault::Lost)
            .with(|sim| sim.state.meets(Kind::List, 1..100_000, Fault::Refused))
            .code(RecoveryDone)
            .creates(1)
            .says("WARNING")
            .took(secs(155), secs(180)),
        in_doubt("never a list, and an old operation in it", Fault::Lost)
            .with(|sim| {
                sim.state.meets(Kind::List, 0..5, Fault::Refused);
                sim.state.add("20261101T000000".into(), "recovery", Status::InProgress);
            })
            .code(RecoveryDone)
            .creates(1)
            .holds("the old one is not asked about", |_, ran| {
                !ran.requests.iter().any(|(_, it)| *it == Request::Poll("20261101T000000".into()))
            }),
    ]);
}

#[test]
fn a_lease_that_was_never_used_is_revoked_and_the_create_sent_again() {
    let faults = [
        ("broken off", Fault::Broken),
        ("502", Fault::Answer(reply(502, ""))),
        ("gunicorn's 500", Fault::Answer(recording!("create-gunicorn-500"))),
    ];
    table(faults.into_iter().flat_map(|(name, fault)| {
        let always = fault.clone();
        [
            in_doubt(format!("{name}, once"), fault)
                .code(RecoveryDone)
                .creates(2)
                .holds("after the create timeout", |_, ran| gaps(ran)[0] >= secs(60)),
            row(format!("{name}, always"))
                .with(move |sim| sim.state.meets(Kind::Create, ALWAYS, always))
                .code(HttpError)
                .state(NotCreated)
                .creates(5),
        ]
    }));
}

#[test]
fn a_create_in_doubt_is_told_from_those_of_others() {
    table([
        in_doubt("the API gets to the lost one after all: refused here", Fault::Ghost(secs(80)))
            .code(RecoveryDone)
            .creates(2)
            .holds("two restores began, one was refused", |sim, _| {
                let wrote = sim.state.restores.iter().filter(|restore| restore.tree.is_some()).count();
                (sim.state.restores.len(), wrote) == (2, 1)
            }),
        in_doubt("another node's operation is not taken for ours", Fault::Broken)
            .with(|sim| {
                let other = Happening::Other(id_at(secs(30)), secs(100), Status::Done);
                sim.state.at(secs(30), other);
            })
            .code(RecoveryDone)
            .creates(2),
        in_doubt("what has ended is no candidate of the next create", Fault::Broken)
            .with(|sim| {
                sim.state.meets(Kind::Create, 1..2, Fault::Broken);
                sim.state.at(secs(30), Happening::Other(id_at(secs(30)), secs(5), Status::Done));
            })
            .code(RecoveryDone)
            .creates(3)
            .holds("it is not asked about again", |_, ran| {
                let other = Request::Poll(id_at(secs(30)));
                !ran.requests.iter().any(|(at, request)| *request == other && *at > secs(64))
            }),
        in_doubt("ours and another's at once: the data says which", Fault::Slow(secs(70)))
            .with(|sim| {
                sim.state.at(secs(30), Happening::Other(id_at(secs(30)), secs(20), Status::Failed));
            })
            .code(RecoveryDone)
            .creates(1),
        in_doubt("another's, whose output is broken, is no outage while ours runs", Fault::Lost)
            .with(|sim| {
                sim.state.plan.gap = secs(400);
                sim.state.api.broken = Some("20261122T102200".into());
                sim.state.at(ms(25), Happening::Other("20261122T102200".into(), secs(50), Status::Done));
            })
            .code(RecoveryDone)
            .creates(1),
        in_doubt("another's is done, ours left pieces", Fault::Lost)
            .with(|sim| {
                sim.state.plan =
                    Plan { length: secs(20), fate: Fate::Fails(Stage::Control), ..Plan::default() };
                sim.state.at(ms(25), Happening::Other("20261122T102258".into(), secs(50), Status::Done));
            })
            .code(RecoveryFailed)
            .creates(1)
            .says("it is not known which of the operations was this node's"),
    ]);
}
