//! A row per create whose answer does not tell what became of it.

use super::barman::{Happening, Plan, Stage, id_at, ms, reply, secs};
use super::row::{ALWAYS, FIRST, later};
use super::{Fault, Kind, World, row};
use crate::api::{Request, Status};
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{Done, Failed, MaybeCreated, NotCreated};

fn other_node(second: u64, length: u64) -> Happening {
    Happening::Other(id_at(secs(second)), secs(length), Status::Done)
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
