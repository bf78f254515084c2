//! A row per answer to a create that tells what became of it: refused, failed, in another node's way.

use super::barman::{Happening, ms, recording, reply, secs};
use super::row::{ALWAYS, gaps, later, moved};
use super::{Fault, Kind, row};
use crate::api::{Request, Status};
use crate::config::options::Opt;
use crate::outcome::Code::{HttpError, RecoveryDone};
use crate::outcome::OperationState::{Done, NotCreated};

fn is_create(request: &Request) -> bool {
    matches!(request, Request::Create(_))
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

fn row_without_others() {
    row("a config switch is no other node's recovery", |w| {
        w.fault(Kind::Create, ALWAYS, Fault::Answer(recording!("create-recovery-same-second")));
        w.barman.add("20261122T102256".into(), "config_switch", Status::Done);
    })
    .ends(HttpError, NotCreated)
    .creates(5);
    row("nor is an old one", |w| {
        w.fault(Kind::Create, ALWAYS, Fault::Answer(recording!("create-recovery-same-second")));
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
