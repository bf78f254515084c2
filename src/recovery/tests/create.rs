//! What leads to a create, and every answer to it that says what became of it.

use super::api::{Fault, Kind, Pending, recording, reply};
use super::barman::BACKUP;
use super::row::{ALWAYS, FIRST, Row, later, moved, row, table};
use super::sim::Sim;
use super::state::{Deed, Happening, ms, secs};
use crate::api::{Reply, Request, Status};
use crate::config::options::Opt;
use crate::outcome::Code::{Busy, HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};

fn own_error() -> Fault {
    Fault::Answer(recording!("create-unknown-type"))
}

#[test]
fn a_recovery_that_nothing_disturbs() {
    table([row("it asks for the status, for the list, creates, and follows to the end")
        .code(RecoveryDone)
        .state(Done)
        .creates(1)
        .named(Some(FIRST))
        .says("INFO: Created the recovery operation with ID 20261122T102257")
        .says("INFO: Recovery operation 20261122T102257 is still in progress")
        .says("INFO: Recovery operation finished successfully.")
        .says(BACKUP)
        .says("000000010000000000000004")
        .silent("WARNING")
        .took(secs(60), ms(61_500))
        .holds("status, list, create", |_, ran| {
            let mut kinds = ran.requests.iter().map(|(_, request)| Kind::of(request));
            [Kind::Status, Kind::List, Kind::Create].iter().all(|kind| kinds.next() == Some(*kind))
        })
        .holds("the states in their order", |_, ran| {
            let states: Vec<_> = ran.states.iter().map(|(state, _)| *state).collect();
            states == [MaybeCreated, InProgress, Done]
        })]);
}

#[test]
fn the_simulated_api_answers_as_the_recorded_one() {
    let mut sim = Sim::new();
    sim.state.start(FIRST, None, 0, sim.state.plan.clone());
    let ask = |sim: &mut Sim, request: Request| Reply { date: None, ..sim.state.answer(&request, 0) };
    assert_eq!(ask(&mut sim, Request::Status), recording!("status"));
    assert_eq!(ask(&mut sim, Request::Poll(FIRST.into())), recording!("operation-in-progress"));
    assert_eq!(ask(&mut sim, Request::Poll("x".into())).status, recording!("operation-unknown-id").status);
    let second = |sim: &mut Sim| {
        let replies = [1, 2].map(|ticket| {
            let backup_id = "latest".into();
            sim.state.happen(Happening::Create(Pending { ticket, node: 0, run: 0, backup_id }));
            let new = (&sim.settings().1).into();
            sim.state.answer(&Request::Create(new), ticket)
        });
        replies.map(|reply| Reply { date: None, ..reply })
    };
    assert_eq!(
        second(&mut Sim::new()),
        [recording!("create-recovery"), recording!("create-recovery-same-second")]
    );
    let list = ask(&mut sim, Request::List).operations().unwrap();
    assert!(
        list.iter().any(|operation| (operation.id.as_str(), operation.kind.as_str()) == (FIRST, "recovery"))
    );
}

#[test]
fn a_refused_create_ends_at_once_with_the_servers_words() {
    let rows = [
        (recording!("create-unknown-server"), "HTTP 404: Server 'nope' does not exist", "--barman-server"),
        (
            recording!("create-unknown-backup"),
            "HTTP 404: Backup '20200101T000000' does not exist",
            "--backup-id",
        ),
        (
            recording!("create-empty-object"),
            "HTTP 400: Minimum barman options not met for server 'pg'",
            "log of pg-backup-api",
        ),
        (recording!("create-missing-argument"), "HTTP 400: Make sure all options/arguments are met", ""),
        (recording!("create-no-content-type"), "was not 'application/json'.", ""),
        (recording!("method-not-allowed"), "HTTP 405: The method is not allowed", ""),
        (reply(401, ""), "HTTP 401", "authentication"),
        (reply(403, "\u{1b}[31mno"), "HTTP 403", "authentication"),
        (moved(307), "has moved to https://other", "set --api-url to"),
        (moved(301), "HTTP 301", "set --api-url to"),
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
    table([row("a wrong certificate is final")
        .with(|sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Lasting))
        .code(HttpError)
        .state(NotCreated)
        .creates(1)
        .says("HINT: check --ca-file")
        .took(ms(0), ms(100))]);
}

fn again(name: &str, retry_wait: u32, fault: Fault) -> Row {
    row(format!("{name}, --retry-wait {retry_wait}"))
        .with(move |sim| {
            sim.set(Opt::RetryWait, retry_wait);
            sim.state.meets(Kind::Create, ALWAYS, fault);
        })
        .code(HttpError)
        .state(NotCreated)
        .creates(5)
        .says("(5 tries)")
        .holds("a second at least between two creates, and jitter", move |_, ran| {
            let (gaps, least) = (ran.gaps(Kind::Create), secs(u64::from(retry_wait).max(1)));
            let spread = gaps.windows(2).any(|pair| pair[0] != pair[1]);
            spread && gaps.iter().all(|gap| *gap >= least && *gap < least * 2 + secs(34))
        })
}

#[test]
fn a_create_that_started_nothing_is_sent_again() {
    let faults = [
        ("the API's own 500", own_error()),
        ("no connection", Fault::Refused),
        ("408", Fault::Answer(reply(408, ""))),
        ("429", Fault::Answer(reply(429, ""))),
    ];
    let waits = [0, 1, 2, 5].into_iter();
    table(waits.flat_map(|wait| faults.clone().map(|(name, fault)| again(name, wait, fault))));
    table([
        row("the last try is good")
            .with(|sim| sim.state.meets(Kind::Create, 0..4, own_error()))
            .code(RecoveryDone)
            .creates(5),
        row("one try, if no more are wanted")
            .with(|sim| {
                sim.set(Opt::MaxRetries, 1);
                sim.state.meets(Kind::Create, ALWAYS, own_error());
            })
            .code(HttpError)
            .state(NotCreated)
            .creates(1),
        row("Retry-After is kept to")
            .with(|sim| {
                let answer = later(recording!("create-unknown-type"), 8);
                sim.state.meets(Kind::Create, 0..1, Fault::Answer(answer));
            })
            .code(RecoveryDone)
            .holds("it waits so long", |_, ran| ran.gaps(Kind::Create)[0] >= secs(8)),
    ]);
}

/// Another node's recovery begins every so many seconds, just when our create comes.
fn others(sim: &mut Sim, every: u64, until: u64) {
    for second in (0..until).step_by(usize::try_from(every).unwrap()) {
        let other = Happening::Other(format!("other-{second}"), secs(1), Status::Done);
        sim.state.at(secs(second) + ms(25), other);
    }
}

#[test]
fn a_create_that_found_its_second_taken_is_sent_again_while_others_are_served() {
    let same_second = || Fault::Answer(recording!("create-recovery-same-second"));
    table([
        row("more often than --max-retries while the list grows")
            .with(move |sim| {
                sim.set(Opt::MaxRetries, 2);
                sim.state.meets(Kind::Create, 0..8, same_second());
                others(sim, 1, 600);
            })
            .code(RecoveryDone)
            .creates(9)
            .took(secs(60), secs(400)),
        row("for ten minutes at most")
            .with(move |sim| {
                sim.state.meets(Kind::Create, ALWAYS, same_second());
                others(sim, 1, 2000);
            })
            .code(HttpError)
            .state(NotCreated)
            .took(secs(600), secs(600 + 5 * 33)), // and then the attempts
        row("not more often when nobody is served")
            .with(move |sim| sim.state.meets(Kind::Create, ALWAYS, same_second()))
            .code(HttpError)
            .state(NotCreated)
            .creates(5),
        row("a config switch is no other node's recovery")
            .with(move |sim| {
                sim.state.meets(Kind::Create, ALWAYS, same_second());
                sim.state.add("20261122T102256".into(), "config_switch", Status::Done);
            })
            .code(HttpError)
            .creates(5),
        row("nor when the list fails too")
            .with(move |sim| {
                sim.state.meets(Kind::Create, ALWAYS, same_second());
                sim.state.meets(Kind::List, 1..100, Fault::Refused);
            })
            .code(HttpError)
            .state(NotCreated)
            .creates(5),
    ]);
}

#[test]
fn a_list_that_fails_before_the_create_is_asked_for_again_and_stops_nothing() {
    let faults =
        [Fault::Refused, Fault::Answer(reply(200, "[]")), Fault::Answer(recording!("create-unknown-type"))];
    table(faults.map(|fault| {
        row("no list at all")
            .with(|sim| sim.state.meets(Kind::List, 0..20, fault))
            .code(RecoveryDone)
            .creates(1)
            .says("WARNING")
            .holds("five lists at most before the create", |_, ran| {
                let before = ran.requests.iter().take_while(|(_, request)| Kind::of(request) != Kind::Create);
                (2..=5).contains(&before.filter(|(_, request)| *request == Request::List).count())
            })
    }));
    table([
        row("a list at the last try")
            .with(|sim| sim.state.meets(Kind::List, 0..4, Fault::Refused))
            .code(RecoveryDone)
            .creates(1),
        row("without a list, an old operation is no candidate of a lost create")
            .with(|sim| {
                sim.state.meets(Kind::List, 0..5, Fault::Refused);
                sim.state.meets(Kind::Create, 0..1, Fault::Lost);
                sim.state.add("20261101T000000".into(), "recovery", Status::InProgress);
            })
            .code(RecoveryDone)
            .creates(1)
            .holds("it is not asked about", |_, ran| {
                !ran.requests.iter().any(|(_, r)| *r == Request::Poll("20261101T000000".into()))
            })
            .took(secs(60), secs(140)),
    ]);
}

#[test]
fn nothing_is_sent_while_postgresql_is_running_in_the_directory() {
    let postgres = |sim: &mut Sim| {
        sim.now(Deed::Replace);
        sim.now(Deed::Postmaster(Some(99)));
    };
    table([
        row("it is running from the start")
            .with(postgres)
            .code(Busy)
            .state(NotCreated)
            .says("PostgreSQL is running in /pg/data")
            .holds("nothing is sent", |_, ran| ran.requests.is_empty()),
        row("it is started while a create in doubt ends")
            .with(|sim| {
                sim.state.meets(Kind::Create, 0..1, Fault::Lost);
                sim.at(secs(59), Deed::Postmaster(Some(99)));
            })
            .code(Busy)
            .state(Done)
            .creates(1),
        row("it is started meanwhile")
            .with(|sim| {
                sim.at(ms(15), Deed::Replace);
                sim.at(ms(15), Deed::Postmaster(Some(99)));
            })
            .code(Busy)
            .state(NotCreated)
            .creates(0),
    ]);
}

#[test]
fn the_directory_before_the_create() {
    table([
        row("Barman refuses one that is not empty")
            .with(|sim| sim.now(Deed::Replace))
            .code(RecoveryFailed)
            .state(Failed)
            .creates(1)
            .says("WARNING: the data directory /pg/data is not empty"),
        row("Barman may accept it all the same (delta-restore)")
            .with(|sim| {
                sim.now(Deed::Replace);
                sim.state.plan.accepts_files = true;
            })
            .code(RecoveryDone)
            .creates(1),
        row("an empty one is as good as none")
            .with(|sim| sim.now(Deed::Make))
            .code(RecoveryDone)
            .silent("WARNING"),
        row("hidden names don't count, as for Barman")
            .with(|sim| {
                sim.state.write_hidden(0, "a leftover of another backup");
            })
            .code(RecoveryDone)
            .silent("not empty"),
    ]);
}

/// A restore that another has started writes here.
fn stranger(sim: &mut Sim, length: u64) {
    let mut plan = sim.state.plan.clone();
    plan.length = secs(length);
    sim.state.start("20261122T102200", None, 0, plan);
    sim.until(secs(5));
}

#[test]
fn nothing_is_created_beside_a_restore_of_any_origin() {
    let no_second_writer = |sim: &mut Sim| stranger(sim, 40);
    table([
        row("its end is waited for, or it is ended")
            .with(no_second_writer)
            .code(RecoveryFailed)
            .took(ms(0), secs(60)),
        row("also where no state file can be kept")
            .with(|sim| sim.set(Opt::NoStateFile, true))
            .with(no_second_writer)
            .took(ms(0), secs(60)),
        row("also where none can be written")
            .with(|sim| sim.state.nodes[0].unavailable = true)
            .with(no_second_writer)
            .took(ms(0), secs(60)),
    ]);
}
