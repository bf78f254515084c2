//! A row per decision of the machine up to the end of a followed operation.

use std::time::Duration;

use super::barman::{Happening, Plan, Stage, id_at, ms, recording, reply, secs};
use super::{Fault, Kind, Row, World, gaps, row};
use crate::options::Opt;
use crate::outcome::Code::{ApiNotOk, Busy, HttpError, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};
use crate::protocol::{Reply, Request, Second, Status};

const ALWAYS: std::ops::Range<usize> = 0..usize::MAX;
/// The ID of the first create, as recorded.
const FIRST: &str = "20261122T102257";

fn is_create(request: &Request) -> bool {
    *request == Request::Create
}

fn is_poll(request: &Request) -> bool {
    matches!(request, Request::Poll(_))
}

fn moved(status: u16) -> Reply {
    Reply { location: Some(crate::url::Url::parse("https://other/").unwrap()), ..reply(status, "") }
}

fn later(reply: Reply, wait: u64) -> Reply {
    Reply { retry_after: Some(secs(wait)), ..reply }
}

/// Sent in the second of this ID.
fn sent_in(reply: Reply, id: &str) -> Reply {
    Reply { sent: Second::of_id(id), ..reply }
}

fn other_node(second: u64, length: u64) -> Happening {
    Happening::Other(id_at(secs(second)), secs(length), Status::Done)
}

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
    assert_eq!(kinds, [Request::Status, Request::List, Request::Create]);
    let states: Vec<_> = row.ran.states.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [MaybeCreated, InProgress, Done]);
}

#[test]
fn the_simulated_api_answers_as_the_recorded_one() {
    let mut world = World::new();
    let settings = world.settings();
    let answers: Vec<Reply> = [Request::Create, Request::Poll(FIRST.into()), Request::Create]
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
fn a_refused_create_ends_at_once_with_the_servers_words() {
    for (answer, words, hint) in [
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
        (reply(429, ""), "HTTP 429", ""),
        (moved(307), "has moved to https://other", "set --api-url to it"),
        (moved(301), "HTTP 301", "set --api-url to it"),
    ] {
        row("refused", |w| w.fault(Kind::Create, ALWAYS, Fault::Answer(answer)))
            .ends(HttpError, NotCreated)
            .creates(1)
            .named(None)
            .says("An issue was faced while trying to create a recovery operation")
            .says(words)
            .says(hint)
            .took(ms(0), ms(100));
    }
    row("wrong certificate", |w| w.fault(Kind::Create, ALWAYS, Fault::Lasting))
        .ends(HttpError, NotCreated)
        .creates(1)
        .says("HINT: check --ca-file")
        .took(ms(0), ms(100));
}

#[test]
fn a_create_that_started_nothing_is_sent_again() {
    let error = || Fault::Answer(recording!("create-unknown-type"));
    for retry_wait in [0, 1, 2, 5] {
        for (name, fault) in [("500", error()), ("refused", Fault::Refused)] {
            let row = row(name, |w| {
                w.set(Opt::RetryWait, retry_wait);
                w.fault(Kind::Create, ALWAYS, fault);
            })
            .ends(HttpError, NotCreated)
            .creates(5)
            .says("(5 tries)");
            let (gaps, least) = (gaps(&row.ran, is_create), secs(u64::from(retry_wait).max(1)));
            row.ensure(
                gaps.iter().all(|gap| *gap >= least && *gap < least * 2 + secs(1)),
                &format!("{gaps:?}"),
            );
            row.ensure(gaps.windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
        }
    }
    row("the last try is good", |w| w.fault(Kind::Create, 0..4, error())).ends(RecoveryDone, Done).creates(5);
    row("one try", |w| {
        w.set(Opt::MaxRetries, 1);
        w.fault(Kind::Create, ALWAYS, error());
    })
    .ends(HttpError, NotCreated)
    .creates(1);
    row("Retry-After", |w| {
        w.fault(Kind::Create, 0..1, Fault::Answer(later(recording!("create-unknown-type"), 8)));
    })
    .ends(RecoveryDone, Done)
    .holds(|row| gaps(&row.ran, is_create)[0] >= secs(8), "Retry-After");
}

#[test]
fn another_nodes_create_in_the_same_second_is_no_failed_attempt() {
    let row = row("collisions", |w| {
        w.set(Opt::MaxRetries, 2);
        for n in 0..8 {
            // It takes the ID of the second in which each of our creates arrives.
            w.fault(Kind::Create, n..n + 1, Fault::Answer(recording!("create-recovery-same-second")));
        }
        w.fault(Kind::Create, 8..9, Fault::Refused); // the one attempt that counts
        for second in 0..400 {
            w.barman.at(
                secs(second) + ms(25),
                Happening::Other(format!("other-{second}"), secs(1), Status::Done),
            );
        }
    })
    .ends(RecoveryDone, Done)
    .creates(10)
    .says("another node's recovery was created in the same second");
    let gaps = gaps(&row.ran, is_create);
    assert!(gaps.iter().all(|gap| *gap >= secs(2)), "{gaps:?}");
    row_without_others();
}

#[test]
fn another_nodes_create_in_the_same_second_may_be_in_the_first_list() {
    for sent in [FIRST, "20261122T102258", "20261122T082257"] {
        row("the newest there", |w| {
            w.set(Opt::MaxRetries, 1);
            let error = sent_in(recording!("create-recovery-same-second"), sent);
            w.fault(Kind::Create, 0..1, Fault::Answer(error));
            w.barman.add(FIRST.into(), "recovery", Status::Done);
            w.barman.add("20261121T101941".into(), "recovery", Status::Done);
        })
        .ends(RecoveryDone, Done)
        .creates(2)
        .says("another node's recovery was created in the same second");
    }
}

fn row_without_others() {
    row("a config switch is no other node's recovery", |w| {
        w.fault(Kind::Create, ALWAYS, Fault::Answer(recording!("create-recovery-same-second")));
        w.barman.add("20261122T102256".into(), "config_switch", Status::Done);
    })
    .ends(HttpError, NotCreated)
    .creates(5);
    row("nor is an old one", |w| {
        let error = sent_in(recording!("create-recovery-same-second"), FIRST);
        w.fault(Kind::Create, ALWAYS, Fault::Answer(error));
        w.barman.add("20261122T101941".into(), "recovery", Status::Done);
    })
    .ends(HttpError, NotCreated)
    .creates(5);
    row("the list fails too", |w| {
        w.fault(Kind::Create, ALWAYS, Fault::Answer(recording!("create-recovery-same-second")));
        w.fault(Kind::List, 1..100, Fault::Refused);
    })
    .ends(HttpError, NotCreated)
    .creates(5);
    // pg-backup-api registers the operation before it starts a program that it may not find.
    row("each create that fails leaves an operation", |w| {
        for n in 0..100 {
            w.fault(Kind::Create, n..n + 1, Fault::Answer(recording!("create-unknown-type")));
            let body = (0..=n).map(|n| format!("{{\"id\":\"dead-{n}\",\"type\":\"recovery\"}}"));
            let body = format!("{{\"operations\":[{}]}}", body.collect::<Vec<_>>().join(","));
            w.fault(Kind::List, n + 1..n + 2, Fault::Answer(reply(200, body)));
        }
    })
    .ends(HttpError, NotCreated)
    .creates(4 + 5)
    .says("(5 tries)");
}

/// Answers to a create that say nothing of what became of it, though the API got it.
fn lost() -> Vec<(&'static str, Fault)> {
    let mut cut = reply(202, "{\"operation_id\":\"202611");
    cut.cut = Some("its body is cut off".into());
    vec![
        ("lost", Fault::Lost),
        ("timeout", Fault::Slow(secs(60))),
        ("cut", Fault::Instead(cut)),
        ("garbled", Fault::Instead(reply(202, "<html>"))),
        ("empty", Fault::Instead(reply(202, ""))),
        ("no ID", Fault::Instead(reply(202, "{\"operation_id\":\"\"}"))),
        ("502", Fault::Instead(reply(502, "<h1>Bad Gateway</h1>"))),
        ("503", Fault::Instead(later(reply(503, ""), 5))),
        ("504", Fault::Instead(reply(504, ""))),
        ("a 500 that names one", Fault::Instead(reply(500, "{\"operation_id\":\"20261122T102257\"}"))),
    ]
}

#[test]
fn a_lost_create_whose_operation_is_found() {
    for (name, fault) in lost() {
        let lost = |plan, prepare: fn(&mut World)| {
            let fault = fault.clone();
            move |w: &mut World| {
                w.plan(plan, secs(100));
                w.fault(Kind::Create, 0..1, fault);
                prepare(w);
            }
        };
        row(name, lost(Plan::Whole, |_| {}))
            .ends(RecoveryDone, Done)
            .creates(1)
            .named(Some(FIRST))
            .says("WARNING: the reply to the create is lost")
            .says("INFO: Recovery operation finished successfully.");
        row(name, lost(Plan::Pieces, |_| {})).ends(RecoveryFailed, Failed).creates(1).says("only pieces");
        // It wrote nothing: again, until the attempts are used up.
        row(name, lost(Plan::Nothing, |_| {})).ends(RecoveryFailed, Failed).creates(2);
        row(name, lost(Plan::Whole, |w| w.barman.at(secs(90), Happening::Hide)))
            .ends(HttpError, MaybeCreated)
            .creates(1)
            .says(FIRST);
    }
}

#[test]
fn a_lost_create_that_never_was_is_sent_again() {
    for (name, fault) in [
        ("dropped", Fault::Dropped),
        ("502", Fault::Answer(reply(502, ""))),
        ("504", Fault::Answer(reply(504, ""))),
    ] {
        let row = row(name, |w| w.fault(Kind::Create, 0..1, fault.clone()))
            .ends(RecoveryDone, Done)
            .creates(2)
            .says("no operation was created");
        row.ensure(row.ran.waits[0] >= secs(2), "the second look at the list comes a retry wait later");
        super::row(name, |w| w.fault(Kind::Create, ALWAYS, fault.clone()))
            .ends(HttpError, NotCreated)
            .creates(5);
        super::row(name, |w| {
            w.fault(Kind::Create, 0..1, fault);
            w.barman.happen(Happening::Hide);
        })
        .ends(RecoveryDone, Done)
        .creates(2);
    }
}

#[test]
fn a_lost_create_that_the_api_gets_to_late() {
    row("late", |w| w.fault(Kind::Create, 0..1, Fault::Late(ms(1500)))).ends(RecoveryDone, Done).creates(1);
}

#[test]
fn a_lost_create_while_other_nodes_restore() {
    row("only another's, which ends after ours would have", |w| {
        w.fault(Kind::Create, 0..1, Fault::Dropped);
        w.barman.at(secs(30), other_node(30, 100));
    })
    .ends(RecoveryDone, Done)
    .creates(2)
    .says("has ended elsewhere")
    .took(secs(130 + 60), secs(130 + 60 + 25));
    row("ours and another's", |w| {
        w.fault(Kind::Create, 0..1, Fault::Slow(secs(60)));
        w.barman.at(secs(30), other_node(30, 100));
    })
    .ends(RecoveryDone, Done)
    .creates(1)
    .took(secs(130), secs(150));
    row("another's is done, ours left pieces", |w| {
        w.plan(Plan::Pieces, secs(20));
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.barman.at(ms(25), Happening::Other("other".into(), secs(50), Status::Done));
    })
    .ends(RecoveryFailed, Failed)
    .creates(1);
    row("ours fails when all is written", |w| {
        w.plan(Plan::Unfinished, secs(20));
        w.fault(Kind::Create, 0..1, Fault::Lost);
    })
    .ends(RecoveryFailed, Failed)
    .creates(1);
    row("ours was done elsewhere", |w| {
        w.plan(Plan::Elsewhere, secs(20));
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.fault(Kind::Create, 1..2, Fault::Answer(reply(404, "")));
    })
    .ends(HttpError, NotCreated)
    .creates(2);
}

#[test]
fn what_has_ended_is_no_candidate_of_the_next_create() {
    for unlisted in [0..0, 0..1] {
        let row = row("dropped twice", |w| {
            w.fault(Kind::Create, 0..2, Fault::Dropped);
            w.fault(Kind::List, unlisted, Fault::Refused);
            w.barman.at(secs(30), other_node(30, 5));
        })
        .ends(RecoveryDone, Done)
        .creates(3);
        let other = Request::Poll(id_at(secs(30)));
        let asked = row.ran.requests.iter().filter(|(_, request)| *request == other).count();
        row.ensure(asked == 1, "asked about again");
    }
}

#[test]
fn a_lost_create_is_judged_only_by_what_has_changed() {
    // A whole data directory from before: Barman refuses it, and what is there proves nothing.
    let old = |w: &mut World| {
        w.barman.fill("before", &[Stage::Start, Stage::Version, Stage::Global, Stage::Control]);
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.barman.at(ms(25), Happening::Other("other".into(), secs(50), Status::Done));
    };
    row("as it was", old).ends(RecoveryFailed, Failed).creates(1).says("is not empty: Barman 3.15");
}

#[test]
fn the_list_after_a_lost_create_can_fail_for_a_while() {
    row("a while", |w| {
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.fault(Kind::List, 1..6, Fault::Answer(reply(502, "")));
        w.fault(Kind::Poll, 2..5, Fault::Refused);
    })
    .ends(RecoveryDone, Done)
    .creates(1)
    .says("the API answers again");
    row("for ever", |w| {
        w.fault(Kind::Create, 0..1, Fault::Lost);
        w.fault(Kind::List, 1..1000, Fault::Answer(reply(502, "")));
    })
    .ends(HttpError, MaybeCreated)
    .creates(1)
    .says("may still be running");
}

#[test]
fn an_operation_that_the_api_does_not_have_but_for_another_that_it_did_not_name() {
    row("named wrongly", |w| {
        w.fault(Kind::Create, 0..1, Fault::Instead(reply(202, "{\"operation_id\":\"wrong\"}")));
    })
    .ends(RecoveryDone, Done)
    .creates(1)
    .named(Some(FIRST));
}

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
fn misses_while_polling_are_waited_out() {
    for fault in [
        Fault::Refused,
        Fault::Lasting,
        Fault::Dropped,
        Fault::Lost,
        Fault::Answer(reply(200, "{")),
        Fault::Answer(reply(200, "{\"status\":\"RESTING\"}")),
        Fault::Answer(reply(200, "null")),
        Fault::Answer(reply(202, "{\"status\":\"DONE\"}")),
        Fault::Answer(recording!("operation-unknown-id")),
        Fault::Answer(recording!("operation-unknown-server")),
        Fault::Answer(recording!("create-unknown-type")),
        Fault::Answer(reply(403, "")),
        Fault::Answer(reply(503, "")),
        Fault::Answer(moved(301)),
    ] {
        // From the very first poll on, and in the middle.
        for from in [0, 3] {
            row("a while", |w| w.fault(Kind::Poll, from..from + 4, fault.clone()))
                .ends(RecoveryDone, Done)
                .creates(1)
                .says("WARNING: Attempt 1 to ask about operation 20261122T102257 failed");
            row("for ever", |w| {
                w.plan(Plan::Whole, secs(10_000));
                w.fault(Kind::Poll, from..usize::MAX, fault.clone());
            })
            .ends(HttpError, InProgress)
            .creates(1)
            .named(Some(FIRST))
            .says("Maximum number of retries exceeded")
            .says("operation 20261122T102257 of server pg may still be running")
            .took(secs(300), secs(345)); // the last request may take its time
        }
    }
}

#[test]
fn the_outage_budget() {
    let out = |prepare: fn(&mut World)| {
        row("outage", |w| {
            w.plan(Plan::Whole, secs(10_000));
            w.fault(Kind::Poll, ALWAYS, Fault::Refused);
            prepare(w);
        })
        .ends(HttpError, InProgress)
    };
    out(|w| w.set(Opt::MaxOutage, 1000)).took(secs(1000), secs(1001));
    out(|w| w.set(Opt::MaxOutage, 0)).took(ms(0), secs(1));
    out(|w| w.set(Opt::RetryWait, 3)).took(secs(15), secs(19));
    out(|w| w.set(Opt::MaxRetries, 50)).took(secs(100), secs(101));
    out(|w| w.set(Opt::RetryWait, 0)).holds(|row| row.ran.requests.len() == 3 + 5, "five tries at least");
    let row = row("a good answer refills it", |w| {
        w.plan(Plan::Whole, secs(2000));
        for n in 0..200 {
            w.fault(Kind::Poll, n * 10..n * 10 + 9, Fault::Answer(reply(503, "")));
        }
        w.set(Opt::MaxOutage, 90);
    })
    .ends(RecoveryDone, Done);
    assert!(row.ran.requests.len() > 20);
}

#[test]
fn retry_after_is_honoured_up_to_the_loop_wait() {
    for (wanted, least, most) in
        [(1, ms(2000), ms(2600)), (7, secs(7), ms(7100)), (3600, secs(10), ms(10_100))]
    {
        let row = row("Retry-After", |w| {
            w.fault(Kind::Poll, 0..1, Fault::Answer(later(reply(503, ""), wanted)));
        })
        .ends(RecoveryDone, Done);
        let gap = gaps(&row.ran, is_poll)[0];
        row.ensure((least..=most).contains(&gap), &format!("{gap:?}"));
    }
}

#[test]
fn polls_become_rarer_and_progress_is_told_once_per_loop_wait() {
    let row = row("an hour", |w| w.plan(Plan::Whole, secs(3600)))
        .ends(RecoveryDone, Done)
        .took(secs(3600), secs(3611));
    let gaps = gaps(&row.ran, is_poll);
    row.ensure(gaps[0] <= ms(120), "the first polls come at once");
    row.ensure(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "the waits grow");
    row.ensure(*gaps.last().unwrap() <= ms(10_010), "and no further than the loop wait");
    let told: Vec<Duration> = row
        .ran
        .log
        .iter()
        .filter(|(.., line)| line.contains("still in progress"))
        .map(|(at, ..)| *at)
        .collect();
    row.ensure(told.windows(2).all(|pair| pair[1] - pair[0] >= secs(10)), "once per loop wait");
    row.ensure(told.len() > 180, "every loop wait");
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

#[test]
fn an_operation_to_follow() {
    let follow = |id: &'static str| {
        move |w: &mut World| {
            w.set(Opt::OperationId, id);
            w.barman.start(FIRST);
        }
    };
    let row_of = |name, id, more: fn(&mut World)| -> Row {
        row(name, |w| {
            follow(id)(w);
            more(w);
        })
        .creates(0)
    };
    row_of("known", FIRST, |_| {})
        .ends(RecoveryDone, Done)
        .named(Some(FIRST))
        .says("Following recovery operation");
    row_of("unknown", "nope", |_| {})
        .ends_of_another(HttpError)
        .says("operation nope is unknown to the API")
        .says("HINT: check --operation-id")
        .took(secs(2), secs(4));
    row_of("a blip", FIRST, |w| w.fault(Kind::Poll, 0..3, Fault::Answer(recording!("operation-unknown-id"))))
        .ends(RecoveryDone, Done);
    row_of("no API", FIRST, |w| w.fault(Kind::Poll, ALWAYS, Fault::Refused)).ends(HttpError, InProgress);
    row("failed", |w| {
        w.plan(Plan::Pieces, secs(60));
        follow(FIRST)(w);
    })
    .ends(RecoveryFailed, Failed);
}

impl Row {
    /// As `ends`, when what runs in the world is none of what the run was about.
    fn ends_of_another(mut self, code: crate::outcome::Code) -> Row {
        self.world.barman.until(secs(1000));
        self.ends(code, NotCreated)
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

#[test]
fn without_a_state_file() {
    row("none wanted", |w| w.set(Opt::NoStateFile, true)).ends(RecoveryDone, Done).silent("state file");
}
