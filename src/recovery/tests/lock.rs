//! Several runs for one data directory, and what can be wrong with their state file.

use std::time::Duration;

use super::api::{Fault, Kind};
use super::barman::{Fate, Plan, Stage};
use super::file::bytes;
use super::row::{FIRST, Row, row, table};
use super::run::{Cut, Ran};
use super::sim::{Script, Sim, once};
use super::state::{Deed, Happening, ms, secs};
use crate::config::options::Opt;
use crate::outcome::Code::{Busy, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::NotCreated;
use crate::world::journal::{Ended, Line, Run};

/// Two runs on one node; the second one counts.
fn two(sim: &mut Sim, first: Vec<Cut>, second_at: Duration, second: Vec<Cut>) -> Ran {
    sim.play(vec![(0, Duration::ZERO, once(first)), (0, second_at, once(second))]);
    sim.state.runs[1].clone()
}

fn behind(name: &'static str, first: Vec<Cut>, second_at: Duration) -> Row {
    row(name).play(move |sim| two(sim, first, second_at, Vec::new()))
}

#[test]
fn another_run_that_is_alive_is_waited_for() {
    table([
        behind("it ends well: done, without a request", vec![], secs(20))
            .code(RecoveryDone)
            .creates(0)
            .says("WARNING: another run (pid")
            .says(FIRST)
            .took(secs(40), secs(43)),
        behind("it fails: its rest lies here", vec![], secs(20))
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Info))
            .code(RecoveryFailed)
            .creates(0),
        behind("it fails, and may have been one of several: judged at once", vec![], secs(5))
            .with(|sim| {
                sim.state.meets(Kind::Create, 0..1, Fault::Lost);
                sim.state.plan.length = secs(20);
                sim.state.plan.fate = Fate::Fails(Stage::Info);
                let other = Happening::Other("20261122T102258".into(), secs(10), crate::api::Status::Failed);
                sim.state.at(secs(1), other);
            })
            .code(RecoveryFailed)
            .creates(0)
            .silent("killed or gave up")
            .holds("as soon as the other one has ended", |sim, ran| {
                ran.ended.unwrap() - sim.state.runs[0].ended.unwrap() < secs(3)
            }),
        behind("it fails and wrote nothing: our own", vec![], ms(100))
            .with(|sim| {
                let fate = Fate::Fails(Stage::Begin);
                let plan = Plan { fate, ..sim.state.plan.clone() };
                sim.state.plans.push(plan);
            })
            .code(RecoveryDone)
            .creates(1),
        behind("it is killed: its operation is waited for", vec![Cut::KillAt(secs(30))], secs(20))
            .code(RecoveryDone)
            .creates(0)
            .took(secs(40), secs(43)),
        behind("it is killed before its create: our own", vec![Cut::KillAt(ms(15))], ms(5))
            .code(RecoveryDone)
            .creates(1),
        behind("it is refused: our own at once, not other nodes' operations", vec![], secs(2))
            .with(|sim| {
                sim.state.meets(Kind::Create, 0..1, Fault::Refused);
                sim.state.meets(Kind::Status, 0..1, Fault::Slow(secs(10)));
                sim.set(Opt::MaxRetries, 1);
                let other = Happening::Other("20261122T102300".into(), secs(500), crate::api::Status::Done);
                sim.state.at(secs(3), other);
            })
            .code(RecoveryDone)
            .creates(1)
            .took(secs(60), secs(80)),
        row("the deadline comes first")
            .play(|sim| {
                let second: Script = Box::new(|caller| {
                    caller.connection.deadline = Some(secs(20));
                    caller.call(&[]);
                });
                sim.play(vec![(0, secs(0), once(vec![])), (0, secs(1), second)]);
                sim.state.runs[1].clone()
            })
            .code(TimedOut)
            .creates(0),
        behind("a message once per loop wait", vec![], ms(500)).code(RecoveryDone).holds(
            "six or seven",
            |_, ran| {
                let told = ran.log.iter().filter(|(.., line)| line.contains("another run")).count();
                (5..=7).contains(&told)
            },
        ),
    ]);
}

#[test]
fn only_its_own_state_file_is_removed() {
    let three = |sim: &mut Sim| {
        sim.at(secs(10), Deed::Unlink);
        sim.play(vec![(0, secs(0), once(vec![])), (0, secs(20), once(vec![])), (0, secs(70), once(vec![]))]);
        sim.state.runs[2].clone()
    };
    table([row("removed by hand while A lives, made anew by B: C waits for B")
        .play(three)
        .holds("A and B restored nothing beside each other", |sim, _| sim.state.broken.is_empty())]);
}

#[test]
fn a_state_file_that_can_not_be_used_stops_nothing() {
    let garbage: [&[u8]; 4] = [b"\xff\xfe", b"{}\n", b"{\"run\":", b"\n\n"];
    table(garbage.map(|garbage| {
        row("garbage")
            .with(move |sim| sim.state.leave_file(0, garbage.into()))
            .code(RecoveryDone)
            .creates(1)
            .says("WARNING: the state file /pg/data.barman-recover.json")
    }));
    table([
        row("it can't be had")
            .with(|sim| sim.state.nodes[0].unavailable = true)
            .code(RecoveryDone)
            .creates(1)
            .says("Permission denied")
            .says("WARNING: the state file"),
        row("it can't be written")
            .with(|sim| sim.state.nodes[0].failing_saves = 0..usize::MAX)
            .code(RecoveryDone)
            .creates(1)
            .says("No space left on device")
            .holds("one warning", |_, ran| {
                ran.log.iter().filter(|(.., line)| line.contains("No space left on device")).count() == 1
            }),
        row("it can't be removed")
            .with(|sim| sim.state.nodes[0].close_fails = true)
            .code(RecoveryDone)
            .says("WARNING")
            .says("read-only"),
        row("none is wanted")
            .with(|sim| sim.set(Opt::NoStateFile, true))
            .code(RecoveryDone)
            .silent("state file"),
        row("an empty one is as good as none")
            .with(|sim| sim.state.leave_file(0, Vec::new()))
            .code(RecoveryDone)
            .creates(1)
            .silent("WARNING"),
    ]);
}

#[test]
fn following_an_operation_keeps_to_the_state_file() {
    let follow = |name, lines: Vec<Line>| {
        row(name).with(move |sim| {
            sim.set(Opt::OperationId, FIRST);
            let plan = sim.state.plan.clone();
            let run = Line::Run(sim.run_line()); // before its create
            sim.state.start(FIRST, Some((0, usize::MAX)), 0, plan);
            sim.until(secs(40));
            sim.left(&std::iter::once(run).chain(lines.clone()).collect::<Vec<_>>());
        })
    };
    table([
        follow("the operation that it names", vec![Line::Operation(FIRST.into())])
            .code(RecoveryDone)
            .creates(0)
            .took(secs(20), secs(22)),
        follow("one of which it did not know yet", vec![]).code(RecoveryDone).creates(0),
        follow("another one than it names", vec![Line::Operation("20261122T101942".into())])
            .code(Busy)
            .creates(0)
            .says("20261122T101942")
            .holds("it stays", |sim, _| sim.state.record(0).is_some()),
    ]);
    table([
        row("an operation from before its create is not its own")
            .with(|sim| {
                sim.set(Opt::OperationId, FIRST);
                let plan = sim.state.plan.clone();
                sim.state.start(FIRST, None, 0, plan);
                sim.left(&[Line::Run(sim.run_line())]);
            })
            .code(Busy)
            .creates(0)
            .lawless() // nothing shows that the earlier run has started nothing
            .says("one that is newer")
            .holds("it stays", |sim, _| sim.state.record(0).is_some_and(|record| record.ended.is_none())),
        row("a wrong ID does not make an earlier run forgotten")
            .with(|sim| {
                sim.left(&[]);
                sim.set(Opt::OperationId, "nope");
            })
            .state(NotCreated)
            .lawless() // what the earlier run has started was nothing, which nobody can know
            .holds("the state file stays", |sim, _| sim.state.record(0).is_some())
            .holds("not done", |_, ran| ran.code() != Some(RecoveryDone)),
        row("a removal that was seen is noted for the next run")
            .with(|sim| {
                sim.state.nodes[0].no_proc = true;
                sim.at(secs(30), Deed::Remove);
                sim.deadline = Some(secs(33));
            })
            .holds("noted", |sim, _| sim.state.record(0).is_none_or(|record| record.removed)),
    ]);
}

#[test]
fn a_restore_that_failed_leaves_a_state_file_with_its_remains() {
    let says_failed =
        |sim: &Sim, _: &Ran| sim.state.record(0).is_some_and(|record| record.ended == Some(Ended::Failed));
    table([
        row("whose remains are here")
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Copied))
            .code(RecoveryFailed)
            .holds("says so", says_failed),
        row("which the next run ignores, whatever API it was")
            .with(|sim| {
                let mut run = sim.run_line();
                run.api_url = "https://other/".into();
                sim.state.leave_file(
                    0,
                    bytes(&[Line::Run(run), Line::Operation(FIRST.into()), Line::Ended(Ended::Failed)]),
                );
            })
            .code(RecoveryDone)
            .creates(1)
            .silent("WARNING")
            .holds("no state file", |sim, _| sim.state.record(0).is_none()),
    ]);
}

#[test]
fn a_state_file_of_another_recovery_stops_everything() {
    let other = |name: &'static str, change: fn(&mut Run)| {
        row(name)
            .with(move |sim| {
                let mut run = sim.run_line();
                change(&mut run);
                sim.state.leave_file(0, bytes(&[Line::Run(run), Line::Operation(FIRST.into())]));
            })
            .code(Busy)
            .state(NotCreated)
            .creates(0)
            .says(FIRST)
            .says("remove /pg/data.barman-recover.json")
            .holds("it stays, and nothing is sent", |sim, ran| {
                sim.state.record(0).is_some() && ran.requests.is_empty()
            })
    };
    table([
        other("another API", |run| run.api_url = "https://elsewhere".into()).says("https://elsewhere"),
        other("another Barman server", |run| run.barman_server = "main".into()).says("main"),
        other("another data directory", |run| run.data_directory = "/pg/other".into()).says("/pg/other"),
        other("unprintable", |run| run.api_url = "https://else\u{1b}[31m\nwhere".into()),
    ]);
    let spellings = ["/pg/data/", "/pg//data", "/pg/./data"];
    table(spellings.map(|spelling| {
        row(format!("{spelling} is no other directory"))
            .with(move |sim| {
                let run = Run { data_directory: spelling.into(), ..sim.run_line() };
                sim.state.leave_file(0, bytes(&[Line::Run(run), Line::Operation("gone".into())]));
            })
            .code(RecoveryDone)
            .creates(1)
    }));
}
