//! One writer: a second Barman on one lease, what outlives a lease, what a dead run has left, two runs at once, and
//! directories that are removed under a run.

use std::time::Duration;

use super::caller::{Sim, once};
use super::plan::{Fate, Leftover, Place, Stage};
use super::row::{Row, row, table};
use super::run::Cut;
use super::state::{Deed, Happening, ms, secs};
use crate::outcome::Code::{Busy, Cancelled, InvalidArgument, RecoveryDone, RecoveryFailed};
use crate::outcome::OperationState::{InProgress, NotCreated};

/// Two creates of one second got one ID, and both Barmans write through this node's lease.
fn second(name: &'static str) -> Row {
    row(name).with(|sim| {
        sim.state.plan.accepts_files = true;
        sim.state.at(secs(10), Happening::SecondBarman(0));
    })
}

#[test]
fn a_second_barman_on_one_lease_ends_both() {
    table([
        second("seen in the log within a second, and created again").code(RecoveryDone).creates(2).holds(
            "the second one ran for a second at most",
            |sim, _| {
                let shared = sim.state.leases[0].shared_since;
                shared.is_some_and(|at| {
                    sim.state.leases[0].cut_writer.is_some_and(|(cut, _)| cut - at < secs(1))
                })
            },
        ),
        second("also with a Barman that does not list the directory")
            .with(|sim| sim.state.plan.lists = false)
            .code(RecoveryDone)
            .creates(2),
        second("Barman refuses what the two have written")
            .with(|sim| sim.state.plan.accepts_files = false)
            .code(RecoveryFailed)
            .creates(2)
            .says("not empty"),
        second("not created again beside something that still holds the lease")
            .with(|sim| sim.state.plan.leftover = Some(Leftover::OfAnotherUser))
            .code(RecoveryFailed)
            .creates(1)
            .says("could not be ended"),
        second("not while it is in the kernel either")
            .with(|sim| sim.state.plan.sticks = Some(secs(1000)))
            .code(RecoveryFailed)
            .creates(1)
            .took(secs(18), secs(21)),
    ]);
}

fn stopped(name: &'static str, sticks: Option<u64>, leftover: Option<Leftover>) -> Row {
    row(name).with(move |sim| {
        sim.state.plan.sticks = sticks.map(secs);
        sim.state.plan.leftover = leftover;
        sim.cuts = vec![Cut::Cancel(secs(20))];
    })
}

#[test]
fn a_run_that_is_stopped_leaves_no_writer() {
    table([
        stopped("at once", None, None).code(Cancelled).state(InProgress).took(secs(20), ms(20_100)),
        stopped("as soon as the kernel lets it go", Some(3), None).took(secs(23), ms(23_500)),
        stopped("or after eight seconds", Some(1000), None)
            .took(secs(28), ms(29_000))
            .says("could not be ended: rsync (pid"),
        stopped(
            "what has left its process group is killed after four seconds",
            None,
            Some(Leftover::OfThisUser),
        )
        .took(secs(24), secs(25))
        .silent("could not be ended"),
        stopped("what belongs to another user is said", None, Some(Leftover::OfAnotherUser))
            .says("could not be ended"),
        row("a leftover beside complete data is a warning")
            .with(|sim| sim.state.plan.leftover = Some(Leftover::OfAnotherUser))
            .code(RecoveryDone)
            .says("WARNING: something that the restore has started could not be ended"),
    ]);
}

#[test]
fn what_a_dead_run_left_is_revoked_and_drained_first() {
    let died = |name, sticks: Option<u64>, leftover| {
        stopped(name, sticks, leftover).runs(2).with(|sim| {
            sim.cuts = vec![Cut::KillAt(secs(20))];
            sim.at(ms(20_000), Deed::Remove);
        })
    };
    let cut = |ms_after: u64| {
        move |sim: &Sim, _: &_| {
            sim.state.runs[1].times[0].0 < ms(ms_after) // the second run is killed like the first; it has begun by then
        }
    };
    table([
        died("without waiting", None, None).creates(1).holds("it begins at once", cut(1)),
        died("waits for the kernel", Some(5), None)
            .creates(1)
            .holds("after five seconds", |_, ran| ran.requests[0].0 >= secs(5)),
        died("kills what has left its process group", None, Some(Leftover::OfThisUser))
            .creates(1)
            .holds("after four seconds", |_, ran| ran.requests[0].0 >= secs(4)),
        died("and does not wait for ever for another user's", None, Some(Leftover::OfAnotherUser))
            .with(|sim| sim.cuts = vec![Cut::KillAt(secs(200))])
            .with(|sim| sim.state.plan.script = secs(1000))
            .code(RecoveryFailed)
            .creates(0)
            .state(NotCreated)
            .took(secs(60), secs(62)),
    ]);
}

#[test]
fn a_run_that_is_killed_has_noted_what_settle_needs() {
    let noted = |at: Duration| {
        let mut sim = Sim::new();
        sim.play(vec![(0, secs(0), once(vec![Cut::KillAt(at)], vec![]))]);
        let note = sim.state.nodes[0].state.note.clone().unwrap();
        assert!(note.was_empty && note.ended.is_none(), "{note:?}");
        note
    };
    // Before the create is answered, after it, and after the first file.
    assert_eq!(noted(ms(25)).operation_id, None);
    assert!(noted(ms(40)).operation_id.is_some());
    assert!(noted(secs(30)).first_file.is_some());
}

#[test]
fn two_runs_at_once_are_one_after_the_other() {
    let mut sim = Sim::new();
    sim.play(vec![
        (0, secs(0), once(vec![], vec![])),
        (0, secs(5), once(vec![Cut::Cancel(secs(90))], vec![])),
    ]);
    let [first, second] = [0, 1].map(|run| &sim.state.runs[run]);
    assert_eq!(first.code(), Some(RecoveryDone), "{}", sim.story());
    assert!(second.says("another run"), "{}", sim.story());
    assert!(second.requests[0].0 + second.started >= first.ended.unwrap(), "{}", sim.story());
    assert!(sim.state.broken.is_empty(), "{:?}\n{}", sim.state.broken, sim.story());
}

fn removed(name: &'static str, deed: Deed) -> Row {
    row(name)
        .with(move |sim| sim.at(secs(20), deed))
        .code(RecoveryFailed)
        .says("was removed or emptied while it was being restored")
        .took(secs(20), secs(21))
}

#[test]
fn a_directory_that_is_removed_under_a_restore_ends_it() {
    table([
        removed("removed", Deed::Remove),
        removed("emptied", Deed::Empty),
        removed("emptied but for what could not be removed", Deed::HalfRemove),
        removed("moved away", Deed::MoveAway),
        removed("replaced by another method", Deed::Replace),
        row("not one that can't be seen for a while")
            .with(|sim| {
                sim.at(secs(20), Deed::Hide(true));
                sim.at(secs(50), Deed::Hide(false));
            })
            .code(RecoveryDone)
            .creates(1),
        row("but never done while it can't be seen")
            .with(|sim| sim.at(secs(20), Deed::Hide(true)))
            .code(RecoveryFailed)
            .says("can't be seen"),
        row("removed while it is written to disk")
            .with(|sim| sim.state.nodes[0].flush = secs(30))
            .with(|sim| sim.at(secs(75), Deed::Remove))
            .code(RecoveryFailed)
            .says("was changed while it was written to disk"),
        row("a flush that fails")
            .with(|sim| sim.state.nodes[0].flush_fails = true)
            .code(RecoveryFailed)
            .says("can't be written to disk"),
        row("PostgreSQL is started in it")
            .with(|sim| sim.at(secs(20), Deed::Postmaster(Some(77))))
            .code(Busy)
            .took(secs(20), secs(21)),
        row("another method fills it while Barman unpacks on its own host")
            .with(|sim| sim.state.plan.gap = secs(30))
            .with(|sim| sim.state.at(secs(20), Happening::Node(0, Deed::Basebackup(true))))
            .code(RecoveryFailed)
            .says("was filled by something else")
            .took(secs(20), secs(21))
            .holds("nothing of the restore is in it", |sim, _| {
                sim.state.tree(0).is_some_and(|tree| tree.writes == 4)
            }),
    ]);
}

#[test]
fn nothing_is_sent_for_a_node_that_is_not_fit() {
    let refused = |name| row(name).creates(0).state(NotCreated);
    table([
        refused("PostgreSQL runs there")
            .with(|sim| sim.now(Deed::Postmaster(Some(77))))
            .code(Busy)
            .says("names process 77"),
        refused("it is another user's")
            .with(|sim| sim.state.nodes[0].foreign_owner = Some("root".into()))
            .code(InvalidArgument)
            .says("belongs to a different user (root)"),
        refused("the state directory can't be made")
            .with(|sim| sim.state.nodes[0].state.impossible = true)
            .code(InvalidArgument)
            .says("--state-dir"),
        refused("it can't be seen").with(|sim| sim.now(Deed::Hide(true))).code(RecoveryFailed),
        row("a stranger's rsync is waited for")
            .with(|sim| {
                sim.now(Deed::Strangers(2));
                sim.at(secs(100), Deed::Strangers(0));
            })
            .code(RecoveryDone)
            .says("something that this run did not start is writing into /pg/data")
            .holds("the create comes after it", |_, ran| {
                ran.of(super::api::Kind::Create).all(|at| at > secs(100))
            }),
        row("no room for the note").with(|sim| sim.state.nodes[0].state.room = Some(0)).code(RecoveryDone),
    ]);
}

#[test]
fn a_lease_that_barman_cannot_use_is_said() {
    table([
        row("the wrong host")
            .with(|sim| sim.state.plan.place = Place::OtherHost)
            .code(RecoveryFailed)
            .says("it may be another node's, with the same ID")
            .says("ERROR: HINT: Barman never ran a command")
            .creates(2)
            .took(secs(3), secs(6)),
        row("the wrong host, and no attempt is left")
            .with(|sim| sim.state.plan.place = Place::OtherHost)
            .with(|sim| sim.connection.max_retries = 1)
            .code(RecoveryFailed)
            .says("ERROR: HINT: Barman never ran a command")
            .creates(1)
            .took(ms(500), secs(3)),
        row("Barman can't log in, after a long time")
            .with(|sim| sim.state.plan.place = Place::OtherHost)
            .with(|sim| sim.state.plan.late = secs(70))
            .code(RecoveryFailed)
            .creates(1),
        row("the disk is full")
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .says("HINT"),
        row("a login shell that prints text")
            .with(|sim| sim.state.plan.prints_text = true)
            .code(RecoveryFailed)
            .says("login shell"),
    ]);
}
