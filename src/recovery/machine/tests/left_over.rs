//! A row per kind of state file: left over, held by another run, of another recovery, unusable.

use super::barman::{Barman, Happening, Plan, Stage, id_at, recording, secs};
use super::{Fault, Kind, Other, Row, World, row};
use crate::api::Status;
use crate::config::options::Opt;
use crate::outcome::Code::{Busy, HttpError, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, Failed, InProgress, MaybeCreated, NotCreated};
use crate::world::fs::directory::Identity;
use crate::world::journal::{Ended, Line, Run};

/// The ID of the earlier run's operation.
const EARLIER: &str = "20261122T102257";
const WHOLE: [Stage; 4] = [Stage::Start, Stage::Version, Stage::Global, Stage::Control];

fn left(w: &mut World, lines: &[Line]) {
    let run = Line::Run(w.run_line());
    let bytes = std::iter::once(&run).chain(lines).flat_map(Line::to_bytes).collect();
    w.file = Some(bytes);
}

fn operation() -> Line {
    Line::Operation(EARLIER.into())
}

/// What the data directory is now, as the earlier run noted it.
fn identity(barman: &Barman) -> Line {
    Line::Identity(barman.look().identity.unwrap())
}

/// An earlier run's operation has run for a while when ours starts: 40 of its 60 seconds.
fn running(w: &mut World) {
    w.barman.start(EARLIER);
    w.barman.until(secs(40));
}

fn ended(w: &mut World) {
    w.barman.start(EARLIER);
    w.barman.until(secs(70));
}

#[test]
fn an_earlier_run_that_died_before_it_knew_its_operation() {
    row("it started nothing", |w| left(w, &[])).ends(RecoveryDone, Done).creates(1).says("starting anew");
    row("it did", |w| {
        left(w, &[]);
        running(w);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0)
    .says("WARNING: an earlier run (pid 4711) for this data directory was killed or gave up")
    .says("The rest of an earlier restore (operation 20261122T102257) lies in /pg/data")
    .took(secs(20), secs(30));
    row("it did, and Patroni has wiped what was there", |w| {
        left(w, &[]);
        running(w);
        w.barman.at(secs(59), Happening::Remove);
    })
    .ends(RecoveryDone, Done)
    .creates(1);
    row("only another node did", |w| {
        left(w, &[]);
        w.barman.happen(Happening::Other(id_at(secs(1)), secs(50), Status::Done));
    })
    .ends(RecoveryDone, Done)
    .creates(1)
    .took(secs(110), secs(125));
    row("it could not list what was there", |w| {
        w.file = Some(Line::Run(Run { known: None, ..w.run_line() }).to_bytes());
        running(w);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
}

#[test]
fn an_earlier_run_whose_operation_still_runs() {
    let with_identity = |w: &mut World| {
        running(w);
        let identity = identity(&w.barman);
        left(w, &[operation(), identity]);
    };
    row("the directory is the same", with_identity)
        .ends(RecoveryDone, Done)
        .creates(0)
        .named(Some(EARLIER))
        .says("of the earlier run has restored")
        .took(secs(20), secs(25));
    for happening in [Happening::Remove, Happening::Empty, Happening::Replace] {
        // It goes on and fills the directory again.
        let row = row("wiped meanwhile", |w| {
            with_identity(w);
            w.barman.at(secs(45), happening.clone());
        })
        .ends(RecoveryFailed, Failed)
        .creates(0);
        assert!(!row.world.barman.is_whole());
    }
    row("wiped before", |w| {
        with_identity(w);
        w.barman.happen(Happening::Remove);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("wiped before, and noted", |w| {
        with_identity(w);
        let identity = identity(&w.barman);
        left(w, &[operation(), identity, Line::Removed(true)]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("wiped at its end", |w| {
        with_identity(w);
        w.barman.at(secs(59), Happening::Remove);
    })
    .ends(RecoveryDone, Done)
    .creates(1);
    row("nothing was noted", |w| {
        running(w);
        left(w, &[operation()]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("it fails", |w| {
        w.plan(Plan::Pieces, secs(100));
        w.barman.start(EARLIER);
        w.barman.until(secs(20));
        let identity = identity(&w.barman);
        left(w, &[operation(), identity]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
}

#[test]
fn an_earlier_run_whose_operation_has_ended() {
    let with_identity = |w: &mut World| {
        ended(w);
        let identity = identity(&w.barman);
        left(w, &[operation(), identity]);
    };
    row("whole", with_identity).ends(RecoveryDone, Done).creates(0);
    row("whole, but of another backup", |w| {
        with_identity(w);
        w.set(Opt::BackupId, "20260101T000000");
    })
    .ends(RecoveryFailed, Failed)
    .creates(0)
    .says("the whole of backup 20260101T000000");
    row("done, and pieces are left", |w| {
        w.barman.add(EARLIER.into(), "recovery", Status::Done);
        w.barman.fill(EARLIER, &[Stage::Start, Stage::Version]);
        let identity = identity(&w.barman);
        left(w, &[operation(), identity]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("another directory", |w| {
        with_identity(w);
        w.barman.happen(Happening::Replace);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("another directory with the same inode", |w| {
        ended(w);
        let mut noted: Identity = w.barman.look().identity.unwrap();
        noted.marks[0].as_mut().unwrap().born += 1;
        left(w, &[operation(), Line::Identity(noted)]);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    let noted_early = |w: &mut World| {
        ended(w);
        let mut noted: Identity = w.barman.look().identity.unwrap();
        noted.marks = Default::default();
        left(w, &[operation(), Line::Identity(noted)]);
    };
    row("noted before it had a mark", noted_early).ends(RecoveryDone, Done).creates(0);
    row("noted before it had a mark, and it may have been emptied in place", |w| {
        noted_early(w);
        w.barman.mount_point = true;
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    for happening in [Happening::Remove, Happening::Empty] {
        row("wiped", |w| {
            with_identity(w);
            w.barman.happen(happening.clone());
        })
        .ends(RecoveryDone, Done)
        .creates(1);
    }
    row("failed, wiped", |w| {
        w.plan(Plan::Pieces, secs(60));
        ended(w);
        left(w, &[operation()]);
        w.barman.happen(Happening::Remove);
        w.plan(Plan::Whole, secs(60));
    })
    .ends(RecoveryDone, Done)
    .creates(1);
}

#[test]
fn an_earlier_operation_that_the_api_does_not_know() {
    row("nothing there", |w| left(w, &[operation()]))
        .ends(RecoveryDone, Done)
        .creates(1)
        .says("operation 20261122T102257 is unknown to the API");
    row("something there", |w| {
        left(w, &[operation()]);
        w.barman.fill("x", &WHOLE);
    })
    .ends(RecoveryFailed, Failed)
    .creates(0);
    row("it runs under another ID", |w| {
        left(w, &[operation()]);
        w.barman.start("20261122T102259");
        w.barman.until(secs(40));
    })
    .ends(RecoveryFailed, Failed)
    .creates(0)
    .took(secs(20), secs(30));
    row("a blip, and not in the list either", |w| {
        running(w);
        left(w, &[operation()]);
        w.fault(Kind::Poll, 0..1, Fault::Answer(recording!("operation-unknown-id")));
        w.fault(Kind::List, 0..1, Fault::Answer(recording!("operations-list")));
    })
    .ends(RecoveryFailed, Failed)
    .creates(0)
    .silent("is unknown to the API")
    .took(secs(20), secs(30));
    row("a blip", |w| {
        running(w);
        left(w, &[operation()]);
        w.fault(Kind::Poll, 0..3, Fault::Answer(recording!("operation-unknown-id")));
    })
    .ends(RecoveryFailed, Failed)
    .creates(0)
    .took(secs(20), secs(30));
}

#[test]
fn an_earlier_operation_while_the_api_is_away() {
    row("for ever", |w| {
        running(w);
        left(w, &[operation()]);
        w.fault(Kind::Poll, 0..usize::MAX, Fault::Refused);
    })
    .ends(HttpError, InProgress)
    .creates(0)
    .named(Some(EARLIER))
    .took(secs(300), secs(315));
    row("for a while", |w| {
        running(w);
        let identity = identity(&w.barman);
        left(w, &[operation(), identity]);
        w.fault(Kind::Poll, 0..10, Fault::Refused);
    })
    .ends(RecoveryDone, Done)
    .creates(0);
    row("no list, no ID", |w| {
        left(w, &[]);
        w.fault(Kind::List, 0..usize::MAX, Fault::Refused);
    })
    .ends(HttpError, MaybeCreated)
    .creates(0);
    row("the deadline", |w| {
        running(w);
        left(w, &[operation()]);
        w.deadline = Some(secs(5));
    })
    .ends(TimedOut, InProgress)
    .creates(0);
}

#[test]
fn a_state_file_of_another_recovery() {
    let other = |change: fn(&mut Run)| {
        row("other", move |w| {
            let mut run = w.run_line();
            change(&mut run);
            w.file = Some([Line::Run(run), operation()].iter().flat_map(Line::to_bytes).collect());
        })
        .foreign_file()
        .ends(Busy, NotCreated)
        .creates(0)
        .says("HINT: make sure that operation 20261122T102257 of server")
        .says("then remove /pg/data.barman-recover.json")
        .holds(|row| row.world.record().is_some() && row.ran.requests.is_empty(), "it stays, nothing is sent")
    };
    other(|run| run.api_url = "https://elsewhere".into()).says("another API: https://elsewhere, not");
    other(|run| run.barman_server = "main".into()).says("another Barman server: main, not pg");
    other(|run| run.data_directory = "/pg/other".into()).says("another data directory: /pg/other");
    other(|run| run.api_url = "https://else\u{1b}[31m\nwhere".into()).says("another API");
}

#[test]
fn another_spelling_of_the_data_directory_is_no_other_one() {
    for spelling in ["/pg/data/", "/pg//data", "/pg/./data"] {
        row(spelling, |w| {
            running(w);
            let run = Run { data_directory: spelling.into(), ..w.run_line() };
            let lines = [Line::Run(run), operation(), identity(&w.barman)];
            w.file = Some(lines.iter().flat_map(Line::to_bytes).collect());
        })
        .ends(RecoveryDone, Done)
        .creates(0)
        .named(Some(EARLIER));
    }
}

/// Another run holds the lock until second 50; its operation runs from 0 to 60 or as told.
fn held(
    name: &'static str,
    prepare: fn(&mut World),
    lines: fn(&World) -> Vec<Line>,
    last: Option<Line>,
) -> Row {
    row(name, |w| {
        prepare(w);
        let run = Line::Run(w.run_line());
        let lines = [vec![run], lines(w)].concat();
        w.other = Some(Other { lines, until: secs(100), removes: last.map(|line| vec![line]) });
    })
}

#[test]
fn another_run_that_is_alive_is_waited_for() {
    let noted = |w: &World| vec![operation(), identity(&w.barman)];
    held("it ends well", running, noted, Some(Line::Ended(Ended::Done)))
        .ends(RecoveryDone, Done)
        .creates(0)
        .says("WARNING: another run (pid 4711) restores into this data directory, operation 20261122T102257")
        .took(secs(60), secs(61))
        .holds(|row| row.ran.requests.is_empty(), "it tells all that is needed");
    held("it fails", running, noted, Some(Line::Ended(Ended::Failed)))
        .ends(RecoveryFailed, Failed)
        .creates(0);
    held("it fails, and nothing is there", |_| {}, |_| vec![operation()], Some(Line::Ended(Ended::Failed)))
        .ends(RecoveryDone, Done)
        .creates(1);
    held("it is killed", running, noted, None).ends(RecoveryDone, Done).creates(0);
    held("it is killed before its create", |_| {}, |_| vec![], None).ends(RecoveryDone, Done).creates(1);
    let row = row("it has written nothing yet", |w| {
        w.other = Some(Other { lines: vec![], until: secs(30), removes: Some(vec![]) });
    })
    .ends(RecoveryDone, Done)
    .creates(1);
    let told = row.ran.log.iter().filter(|(.., line)| line.contains("another run")).count();
    assert_eq!(told, 3, "once per loop wait");
    super::row("the deadline", |w| {
        w.other = Some(Other { lines: vec![], until: secs(3000), removes: None });
        w.deadline = Some(secs(20));
    })
    .ends(TimedOut, NotCreated)
    .creates(0);
}

#[test]
fn a_state_file_that_can_not_be_used_stops_nothing() {
    let warnings =
        |row: &Row| row.ran.log.iter().filter(|(.., line)| line.contains("state file")).count() == 1;
    row("unavailable", |w| w.unavailable = true)
        .ends(RecoveryDone, Done)
        .creates(1)
        .says("WARNING: the state file /pg/data.barman-recover.json can't be used (Permission denied)")
        .holds(warnings, "one warning");
    for garbage in [&b"\xff\xfe"[..], b"{}\n", b"{\"run\":", b"\n\n"] {
        row("garbage", |w| w.file = Some(garbage.into()))
            .ends(RecoveryDone, Done)
            .creates(1)
            .says("WARNING: the state file /pg/data.barman-recover.json is unreadable")
            .holds(warnings, "one warning");
    }
    row("it can't be removed", |w| w.forget_fails = true)
        .foreign_file()
        .ends(RecoveryDone, Done)
        .says("WARNING: the state file could not be removed: read-only");
}

#[test]
fn a_postgres_that_was_started_while_an_earlier_operation_ended() {
    row("postgres", |w| {
        running(w);
        left(w, &[operation()]);
        w.barman.at(secs(50), Happening::Postmaster(Some(99)));
    })
    .ends(Busy, Done)
    .creates(0);
}

#[test]
fn following_an_operation_by_id_with_a_state_file() {
    let follow = |name, id: &'static str, lines: fn() -> Vec<Line>| {
        row(name, move |w| {
            left(w, &lines());
            running(w);
            w.set(Opt::OperationId, id);
        })
        .creates(0)
    };
    follow("the same", EARLIER, || vec![operation()]).ends(RecoveryDone, Done);
    follow("not known before", EARLIER, Vec::new).ends(RecoveryDone, Done);
    row("another", |w| {
        left(w, &[operation()]);
        w.set(Opt::OperationId, "20261122T101942");
    })
    .foreign_file()
    .ends(Busy, NotCreated)
    .says("another operation");
}

#[test]
fn a_wrong_id_does_not_make_an_earlier_run_forgotten() {
    let row = row("wrong", |w| {
        left(w, &[]);
        w.set(Opt::OperationId, "nope");
    });
    assert_eq!(row.ran.code(), Some(HttpError));
    row.ensure(row.world.record().is_some(), "the earlier run's state file stays");
}

#[test]
fn a_removal_that_was_seen_is_noted_for_the_next_run() {
    let row = row("removed, then given up", |w| {
        w.barman.at(secs(30), Happening::Remove);
        w.deadline = Some(secs(45));
    })
    .ends(TimedOut, InProgress);
    assert!(row.world.record().unwrap().removed);
}

#[test]
fn without_a_state_file() {
    row("none wanted", |w| w.set(Opt::NoStateFile, true)).ends(RecoveryDone, Done).silent("state file");
}
