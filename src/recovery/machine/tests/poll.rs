//! A row per answer to a poll, and how often there is one.

use std::time::Duration;

use super::barman::{Plan, ms, recording, reply, secs};
use super::row::{ALWAYS, FIRST, gaps, later, moved};
use super::{Fault, Kind, Row, World, row};
use crate::api::Request;
use crate::config::options::Opt;
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, InProgress, NotCreated};

fn is_poll(request: &Request) -> bool {
    matches!(request, Request::Poll(_))
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

/// The API may give two creates one ID: two restores into one directory, of which one makes the other fail.
#[test]
fn a_failure_is_told_once_nothing_comes_any_more() {
    let fails = |until: fn(Duration) -> u64| {
        move |w: &mut World| {
            w.plan(Plan::Pieces, secs(20)); // fails after 6 s
            w.barman.bytes = Some(until);
        }
    };
    row("nothing came at all", fails(|_| 0)).ends(RecoveryFailed, Failed).took(secs(9), secs(11));
    row("nothing comes any more", fails(|now| now.min(secs(5)).as_secs()))
        .ends(RecoveryFailed, Failed)
        .took(secs(9), secs(11));
    row("another restore goes on for a minute", fails(|now| now.min(secs(60)).as_secs()))
        .ends(RecoveryFailed, Failed)
        .creates(1)
        .says("WARNING: operation 20261122T102257 has failed, and something still writes into /pg/data")
        .took(secs(62), secs(66));
    row("another restore begins after it", fails(|now| now.min(secs(60)).as_secs().saturating_sub(8)))
        .ends(RecoveryFailed, Failed)
        .took(secs(62), secs(66));
    row("until the deadline", |w| {
        fails(|now| now.as_secs())(w);
        w.set(Opt::Deadline, 100);
    })
    .ends(RecoveryFailed, Failed)
    .took(secs(100), secs(101));
}
