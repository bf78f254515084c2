//! Creates whose answer does not say what became of them.

use super::api::{Fault, Kind, id_at, recording, reply};
use super::barman::{Fate, Plan, Stage};
use super::row::{ALWAYS, FIRST, Row, later, row, table};
use super::run::Cut;
use super::sim::Sim;
use super::state::{Deed, Happening, ms, secs};
use crate::api::{Request, Status};
use crate::config::options::Opt;
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, MaybeCreated, NotCreated};

fn other_node(second: u64, length: u64) -> Happening {
    Happening::Other(id_at(secs(second)), secs(length), Status::Done)
}

fn create(sim: &mut Sim, fault: Fault) {
    sim.state.meets(Kind::Create, 0..1, fault);
}

/// Answers to a create that say nothing of what became of it, though the API got it.
fn lost() -> Vec<(&'static str, Fault)> {
    let mut cut = reply(202, "{\"operation_id\":\"202611");
    cut.cut = Some("its body is cut off".into());
    vec![
        ("lost", Fault::Lost),
        ("timed out", Fault::Slow(secs(70))),
        ("cut", Fault::Instead(cut)),
        ("garbled", Fault::Instead(reply(202, "<html>"))),
        ("empty", Fault::Instead(reply(202, ""))),
        ("without an ID", Fault::Instead(reply(202, "{\"operation_id\":\"\"}"))),
        ("gunicorn's 500", Fault::Instead(recording!("create-gunicorn-500"))),
        ("502", Fault::Instead(reply(502, "<h1>Bad Gateway</h1>"))),
        ("503", Fault::Instead(later(reply(503, ""), 5))),
        ("504", Fault::Instead(reply(504, ""))),
        ("a 500 that names one", Fault::Instead(reply(500, "{\"operation_id\":\"20261122T102257\"}"))),
    ]
}

#[test]
fn its_operation_is_found_in_the_list_and_followed() {
    let rows = lost().into_iter().flat_map(|(name, fault)| {
        let lost = move |what: &str, plan: fn(&mut Plan)| {
            let fault = fault.clone();
            row(format!("{name}: {what}")).with(move |sim| {
                sim.state.plan.length = secs(100);
                plan(&mut sim.state.plan);
                create(sim, fault);
            })
        };
        [
            lost("done", |_| {})
                .code(RecoveryDone)
                .state(Done)
                .creates(1)
                .named(Some(FIRST))
                .says("WARNING")
                .says("INFO: Recovery operation finished successfully."),
            lost("pieces: failed", |plan| plan.fate = Fate::Fails(Stage::Control))
                .code(RecoveryFailed)
                .state(Failed)
                .creates(1),
            lost("it can't be seen", |_| {})
                .with(|sim| sim.at(secs(95), Deed::Hide))
                .code(HttpError)
                .creates(1)
                .says(FIRST),
        ]
    });
    table(rows);
}

#[test]
fn one_that_never_was_is_sent_again_unless_it_timed_out() {
    let faults = [
        ("broken off", Fault::Broken),
        ("502", Fault::Answer(reply(502, ""))),
        ("504", Fault::Answer(reply(504, ""))),
        ("gunicorn's 500", Fault::Answer(recording!("create-gunicorn-500"))),
    ];
    let rows = faults.into_iter().flat_map(|(name, fault)| {
        let (once, hidden, always) = (fault.clone(), fault.clone(), fault);
        [
            row(format!("{name}, once"))
                .with(|sim| create(sim, once))
                .code(RecoveryDone)
                .creates(2)
                .holds("no create before the API can't get to the first one any more", |_, ran| {
                    ran.gaps(Kind::Create)[0] >= secs(60)
                }),
            row(format!("{name}, always"))
                .with(move |sim| sim.state.meets(Kind::Create, ALWAYS, always))
                .code(HttpError)
                .state(NotCreated),
            row(format!("{name}, once, in a directory that can't be seen"))
                .with(|sim| {
                    create(sim, hidden);
                    sim.now(Deed::Hide);
                })
                .holds("done by a second one, or not to be said", |_, ran| {
                    (ran.code(), ran.creates()) == (Some(RecoveryDone), 2)
                        || (ran.code(), ran.creates()) == (Some(HttpError), 1)
                }),
        ]
    });
    table(rows);
    table([
        row("one that timed out ends the run, at most 130 s after its begin")
            .with(|sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Dropped))
            .code(HttpError)
            .creates(1)
            .took(secs(60), secs(130)),
        row("one that times out soon, and is processed later: found and followed")
            .with(|sim| {
                sim.set(Opt::CreateTimeout, 3);
                create(sim, Fault::Late(secs(5)));
            })
            .code(RecoveryDone)
            .creates(1),
    ]);
}

#[test]
fn the_api_gets_to_it_late() {
    let lates = [ms(1500), secs(10), secs(45)];
    table(lates.map(|late| {
        row(format!("{late:?} after it was lost"))
            .with(move |sim| {
                create(sim, Fault::Ghost(late));
            })
            .code(RecoveryDone)
            .creates(1)
    }));
    let rows = [ms(1500), secs(30), secs(55)].map(|late| {
        row(format!("{late:?} after its client has gone"))
            .with(move |sim| {
                sim.set(Opt::CreateTimeout, 60);
                create(sim, Fault::Late(secs(60) + late));
            })
            .code(RecoveryDone)
            .creates(1)
    });
    table(rows);
}

#[test]
fn the_run_is_killed_while_the_api_takes_five_seconds() {
    let twice = |sim: &mut Sim| {
        sim.cuts = vec![Cut::KillAt(secs(1))];
        sim.run();
        sim.cuts.clear();
        sim.run()
    };
    let slow = |name: &'static str, fault| row(name).with(|sim| create(sim, fault)).play(twice);
    table([
        slow("called again at once: found and ended, and never two at once", Fault::Late(secs(5)))
            .holds("no law is broken", |sim, _| sim.state.broken.is_empty())
            .holds("one create at most", |_, ran| ran.creates() <= 1),
        slow("called again at once, and the create was never processed: our own", Fault::Broken)
            .code(RecoveryDone)
            .creates(1),
    ]);
}

#[test]
fn other_nodes_restore_meanwhile() {
    table([
        row("only another's, which ends elsewhere: created again")
            .with(|sim| {
                create(sim, Fault::Broken);
                sim.state.at(secs(30), other_node(30, 100));
            })
            .code(RecoveryDone)
            .creates(2)
            .took(secs(130 + 60), secs(130 + 60 + 80)),
        row("ours and another's")
            .with(|sim| {
                create(sim, Fault::Slow(secs(70)));
                sim.state.at(secs(30), other_node(30, 100));
            })
            .code(RecoveryDone)
            .creates(1)
            .took(secs(60), secs(150)),
        row("another's is done, ours left pieces")
            .with(|sim| {
                sim.state.plan.length = secs(20);
                sim.state.plan.fate = Fate::Fails(Stage::Control);
                create(sim, Fault::Lost);
                sim.state.at(ms(25), Happening::Other("20261122T102258".into(), secs(50), Status::Done));
            })
            .code(RecoveryFailed)
            .creates(1),
        row("receivers of the create before say nothing of this one")
            .with(|sim| {
                let fate = Fate::Fails(Stage::Version);
                sim.state.plans.push(Plan { length: secs(400), fate, ..Plan::default() });
                sim.state.meets(Kind::Create, 0..1, Fault::Lost);
                sim.state.meets(Kind::Create, 1..2, Fault::Ghost(secs(30)));
                sim.state.at(secs(18), other_node(18, 3));
            })
            .code(RecoveryDone)
            .creates(2),
        row("what has ended is no candidate of the next create")
            .with(|sim| {
                sim.state.meets(Kind::Create, 0..2, Fault::Broken);
                sim.state.at(secs(30), other_node(30, 5));
            })
            .code(RecoveryDone)
            .creates(3)
            .holds("it is not asked about again", |_, ran| {
                let other = Request::Poll(id_at(secs(30)));
                !ran.requests.iter().any(|(at, request)| *request == other && *at > secs(50))
            }),
        row("a host in another time zone")
            .with(|sim| {
                sim.state.api.zone = -11 * 3600;
                create(sim, Fault::Lost);
            })
            .code(RecoveryDone)
            .creates(1),
        row("a host in another time zone, and no list before")
            .with(|sim| {
                sim.state.api.zone = 13 * 3600;
                sim.state.meets(Kind::List, 0..5, Fault::Refused);
                create(sim, Fault::Lost);
            })
            .code(RecoveryDone)
            .creates(1),
    ]);
}

fn listless(name: &'static str, which: std::ops::Range<usize>) -> Row {
    row(name).with(move |sim| {
        create(sim, Fault::Lost);
        sim.state.meets(Kind::List, which, Fault::Answer(reply(502, "")));
    })
}

#[test]
fn the_list_after_it_can_fail_too() {
    table([
        listless("for a while", 1..6)
            .with(|sim| sim.state.meets(Kind::Poll, 2..5, Fault::Refused))
            .code(RecoveryDone)
            .creates(1),
        listless("for ever, while data arrives: done by the mark", 1..100_000)
            .code(RecoveryDone)
            .creates(1)
            .says("WARNING"),
        listless("for ever, while nothing arrives", 1..100_000)
            .with(|sim| {
                sim.state.plan.length = secs(20_000);
                sim.state.plan.preparation = Some(secs(10_000));
            })
            .code(HttpError)
            .state(MaybeCreated)
            .creates(1)
            .says("may still be running"),
    ]);
}

#[test]
fn the_api_names_an_operation_that_is_not_ours() {
    let names = |id: &str| Fault::Instead(reply(202, format!("{{\"operation_id\":\"{id}\"}}")));
    table([
        row("one that it does not know, and has another")
            .with(move |sim| create(sim, names("wrong")))
            .code(RecoveryDone)
            .creates(1),
        row("one that was there before, and has another")
            .with(move |sim| create(sim, names("20261122T101942")))
            .code(RecoveryDone)
            .creates(1),
    ]);
}
