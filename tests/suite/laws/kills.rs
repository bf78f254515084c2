//! Runs that are killed, and those that come beside or after them: Barman's commands end with the run, and the next run
//! has the directory for itself.

use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use crate::laws::row::{broken_laws, restore};
use crate::support::node::{Ended, Node, Run};
use crate::support::table::{check_at_once, check_rows};
use standin::{Api, Model, Script, Stage, Status, Step, wait_until};

const KILLED: i32 = -9;

/// A restore whose base copy takes a minute, and then those that take no time.
fn long() -> Model {
    restore().duration_ms(60_000).next_operation().duration_ms(100)
}

/// A run in the middle of the base copy.
fn copying(model: Model) -> (Node, Api, Run) {
    let (node, api) = (Node::new(), Api::start(model, Script::new()));
    let run = node.start(&api, &[]);
    node.wait_for_first_file();
    assert!(!node.receivers().is_empty());
    (node, api, run)
}

/// The end of a run that nobody killed.
fn end(run: Run, node: &Node) -> Ended {
    let ended = run.end();
    assert_eq!(broken_laws(node, &ended), [""; 0], "{}", ended.log);
    ended
}

fn first_operation_failed(api: &Api) {
    api.wait("Barman to notice it", |api| api.operations()[0].status == Status::Failed);
}

#[test]
fn killed_in_the_base_copy_the_receivers_go_with_it_and_the_next_run_restores() {
    let (node, api, run) = copying(long());
    run.kill().expect(KILLED);
    wait_until("the end of the receivers", || node.receivers().is_empty());
    first_operation_failed(&api);
    assert_eq!(node.note()["ended"], serde_json::Value::Null);
    node.remove_data();
    end(node.start(&api, &[]), &node).done();
    assert_eq!(api.creates(), 2);
}

#[test]
fn killed_before_barman_came_it_leaves_nothing_that_hinders() {
    let step = |applied: bool| [Step::model().apply(applied).hold()];
    check_rows(
        [
            (Script::new().status(step(true)), Stage::Status, 1),
            (Script::new().list(step(true)), Stage::List, 1),
            (Script::new().create(step(false)), Stage::Create, 2),
        ],
        |(script, stage, creates)| {
            let (node, api) = (Node::new(), Api::start(restore(), script));
            let run = node.start(&api, &[]);
            api.wait("the request", |api| api.count(stage) == 1);
            run.kill().expect(KILLED);
            end(node.start(&api, &[]), &node).done();
            assert_eq!((api.creates(), api.applied()), (creates, 1), "{stage:?}");
        },
    );
}

/// The reply comes when nobody waits for it any more, and Barman has begun.
#[test]
fn killed_with_the_create_in_hand_its_restore_is_ended_too() {
    let script = Script::new().create([Step::model().hold()]);
    let (node, api) = (Node::new(), Api::start(long(), script));
    let run = node.start(&api, &[]);
    wait_until("the restore", || node.file("PG_VERSION").exists());
    run.kill().expect(KILLED);
    first_operation_failed(&api);
    node.remove_data();
    end(node.start(&api, &[]), &node).done();
    assert_eq!(api.creates(), 2);
}

/// Barman's `basebackup_retry_times`: it comes again when the run has long been dead.
#[test]
fn barman_that_tries_again_after_the_end_of_the_run_is_refused() {
    check_rows(["TERM", "KILL"], |signal| {
        let (node, api, run) = copying(restore().duration_ms(60_000).retries(3));
        run.signal(signal);
        assert!(run.end().code() < 0);
        node.remove_data();
        first_operation_failed(&api);
        let output = &api.operations()[0].output;
        assert!(output.matches("rsync error: ").count() > 3, "it has not tried again: {output}");
        assert!(!node.file("").exists(), "it wrote after the end of the run");
    });
}

#[test]
fn two_runs_restore_one_after_the_other_whatever_path_they_were_given() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    symlink(node.path("pg"), node.path("alias")).unwrap();
    let first = node.start(&api, &[]);
    node.wait_for_first_file();
    let mut second = node.start(&api, &["--data-directory", &node.path("alias/data")]);
    let operation = api.operations()[0].id.clone();
    second.wait_for(&format!("another run (pid {}, operation {operation})", first.pid()));
    assert!(!second.has_ended());
    assert_eq!(api.creates(), 1);
    api.release();
    first.end().done();
    // Barman restores into no directory that is not empty.
    second.end().expect(1).says("was not empty");
    assert_eq!(api.creates(), 2);
    assert!(node.is_complete());
}

/// `patronictl reinit --force`: the hook is ended, the directory is removed and the hook is called again.
#[test]
fn reinit_during_a_restore_begins_anew_at_once() {
    let (node, api, first) = copying(long());
    first.signal("TERM");
    first.end().expect(-15);
    node.remove_data();
    end(node.start(&api, &[]), &node).done();
    assert_eq!(api.creates(), 2);
}

/// Patroni was killed and its hook was not; the new Patroni empties the directory and calls another hook.
#[test]
fn a_hook_that_outlives_patroni_gives_way_to_the_next() {
    let (node, api, first) = copying(long());
    let second = node.start(&api, &[]);
    second.wait_for("another run");
    node.remove_data();
    first.end().expect(1).says("was removed or emptied while it was being restored");
    end(second, &node).done();
    assert_eq!(api.creates(), 2);
}

/// Kills at any moment, one after the other, until a run is left alone.
#[test]
fn kills_at_any_moment_never_leave_a_writer_or_end_in_a_wrong_0() {
    let moments: Vec<u64> = (0..8).map(|n| n * 80).collect();
    check_at_once(
        8,
        &moments,
        |moment| format!("killed after {moment} ms"),
        |moment| {
            let (node, api) = (Node::new(), Api::start(restore().duration_ms(200), Script::new()));
            for again in 0..2 {
                let run = node.start(&api, &[]);
                thread::sleep(Duration::from_millis(moment + again * 40));
                let _ = run.kill();
                wait_until("the end of the receivers", || node.receivers().is_empty());
                if again == 0 && moment % 160 == 0 {
                    node.remove_data();
                }
            }
            let mut codes = Vec::new();
            while codes.last() != Some(&0) && codes.len() < 4 {
                let ended = end(node.start(&api, &[]), &node);
                codes.push(ended.code());
                if ended.code() != 0 {
                    node.remove_data();
                }
            }
            if [&[0][..], &[1, 0]].contains(&&codes[..]) { Ok(()) } else { Err(format!("{codes:?}")) }
        },
    );
}
