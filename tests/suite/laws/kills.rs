//! Runs that are killed, and those that come after them: never a second restore beside the first, and 0 only
//! for a directory that is whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use crate::laws::row::restore;
use crate::support::node::{Ended, Node, Run};
use crate::support::table::{check_at_once, check_rows};
use standin::{Api, Model, Script, Stage, Status, Step, wait_until};

const KILLED: i32 = -9;
const DOOMED: &str = "was killed or gave up: first ending its operation";
const WAITS: &str = "was killed or gave up: first waiting for its operation";

/// A node and an API whose operation waits in the middle for `release`.
fn held() -> (Node, Api) {
    (Node::new(), Api::start(restore().hold(), Script::new()))
}

/// A run that has seen the directory that its operation writes into, and remembers it.
fn restoring(node: &Node, api: &Api) -> Run {
    let run = node.start(api, &[]);
    wait_until("the state file to know the directory", || node.state().contains("identity"));
    run
}

/// The end of a run, with what has to hold at any time.
fn end(run: Run, node: &Node, api: &Api) -> Ended {
    let ended = run.end();
    assert!(api.max_parallel(&node.data) <= 1, "{:#?}\n{}", api.operations(), ended.log);
    assert!(ended.code() != 0 || node.is_complete(), "{}", ended.log);
    ended
}

#[test]
fn killed_before_the_create_it_leaves_nothing_that_hinders() {
    check_rows(
        [
            (Script::new().status([Step::model().hold()]), Stage::Status),
            (Script::new().list([Step::model().hold()]), Stage::List),
        ],
        |(script, stage)| {
            let (node, api) = (Node::new(), Api::start(restore(), script));
            let run = node.start(&api, &[]);
            api.wait("the request", |api| api.count(stage) == 1);
            run.kill().expect(KILLED);
            end(node.start(&api, &[]), &node, &api).expect(0);
            assert_eq!((api.creates(), node.has_state_file()), (1, false), "{stage:?}");
        },
    );
}

#[test]
fn killed_with_the_create_in_hand_its_operation_comes_first() {
    let script = Script::new().create([Step::model().hold()]);
    let (node, api) = (Node::new(), Api::start(restore(), script));
    let run = node.start(&api, &[]);
    api.wait("the create", |api| api.applied() == 1);
    run.kill().expect(KILLED);
    // Nobody knows the operation by its ID, so nothing shows that the directory is its whole work.
    let second = end(node.start(&api, &[]), &node, &api);
    second
        .expect(1)
        .says("an operation that it may have started")
        .says("holds the remains of an earlier restore");
    assert_eq!((api.creates(), node.remembers()), (1, false));
    node.remove_data();
    end(node.start(&api, &[]), &node, &api).expect(0);
    assert_eq!(api.creates(), 2);
}

#[test]
fn killed_with_a_create_that_never_took_effect_the_next_run_creates() {
    let script = Script::new().create([Step::model().apply(false).hold()]);
    let (node, api) = (Node::new(), Api::start(restore(), script));
    let run = node.start(&api, &[]);
    api.wait("the create", |api| api.creates() == 1);
    run.kill().expect(KILLED);
    let second = end(node.start(&api, &[]), &node, &api);
    second.expect(0).says("the earlier run left no data and nothing in progress");
    assert_eq!((api.creates(), api.applied(), node.has_state_file()), (2, 1, false));
}

/// Patroni restarts during a restore.
#[test]
fn killed_while_polling_the_next_run_waits_and_the_directory_is_complete() {
    let (node, api) = held();
    restoring(&node, &api).kill().expect(KILLED);
    // Once more: a run that only waits can be killed as well.
    let second = node.start(&api, &[]);
    second.wait_for(WAITS);
    second.kill().expect(KILLED);
    let third = node.start(&api, &[]);
    third.wait_for(WAITS);
    api.release();
    end(third, &node, &api).expect(0).says("finished successfully");
    assert_eq!((api.creates(), node.has_state_file()), (1, false));
}

#[test]
fn killed_after_it_noted_the_end_the_next_run_needs_no_api() {
    let (node, api) = held();
    restoring(&node, &api).kill().expect(KILLED);
    api.release();
    wait_until("the data", || node.is_complete());
    fs::write(&node.state_file, node.state() + "{\"ended\":\"DONE\"}\n").unwrap();
    api.go_down();
    end(node.start(&api, &[]), &node, &api).expect(0);
    assert!(!node.has_state_file());
}

#[test]
fn a_left_over_operation_is_waited_for_through_an_outage() {
    let (node, api) = held();
    restoring(&node, &api).kill().expect(KILLED);
    api.go_down();
    let second = end(node.start(&api, &["--max-outage", "1"]), &node, &api);
    second.expect(2).says("may still be running");
    assert!(node.has_state_file(), "it may be running: not forgotten");
    let third = node.start(&api, &[]);
    third.wait_for("Attempt 1 to ask about operation");
    api.come_up();
    third.wait_for("the API answers again");
    api.release();
    end(third, &node, &api).expect(0);
    assert_eq!(api.creates(), 1);
}

#[test]
fn a_left_over_operation_that_never_ends_is_left_alone_at_the_deadline() {
    let (node, api) = held();
    restoring(&node, &api).kill().expect(KILLED);
    let second = end(node.start(&api, &["--deadline", "3"]), &node, &api);
    second.expect(251).says("continues on the Barman host");
    assert_eq!((api.creates(), node.has_state_file()), (1, true));
}

#[test]
fn a_left_over_operation_that_failed_leaves_no_0() {
    let (node, api) = held();
    restoring(&node, &api).kill().expect(KILLED);
    let id = api.operations()[0].id.clone();
    assert!(api.finish(&id, Status::Failed));
    end(node.start(&api, &[]), &node, &api).expect(1).says("holds the remains of an earlier restore");
    assert_eq!((api.creates(), node.remembers()), (1, false));
}

#[test]
fn a_left_over_operation_that_the_api_no_longer_knows_hinders_only_where_files_lie() {
    check_rows([(false, 0), (true, 1)], |(filled, code)| {
        let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
        let run = serde_json::json!({"run": {
            "pid": 1, "api_url": api.url(), "barman_server": "main", "backup_id": "latest",
            "data_directory": node.data, "known": [],
        }});
        fs::write(&node.state_file, format!("{run}\n{{\"operation\":\"20200101T000000\"}}\n")).unwrap();
        if filled {
            fs::create_dir(&node.data).unwrap();
            fs::write(format!("{}/PG_VERSION", node.data), "15\n").unwrap();
        }
        let ended = end(node.start(&api, &[]), &node, &api);
        ended.expect(code).says("operation 20200101T000000 is unknown to the API");
        assert_eq!((api.creates(), node.remembers()), (usize::from(!filled), false));
    });
}

#[test]
fn a_second_run_waits_for_the_one_that_lives_and_finds_the_directory_complete() {
    let (node, api) = held();
    let first = restoring(&node, &api);
    let mut second = node.start(&api, &[]);
    second.wait_for(&format!("another run (pid {}, operation 20", first.pid()));
    assert!(!second.has_ended());
    api.release();
    end(first, &node, &api).expect(0);
    end(second, &node, &api).expect(0);
    assert_eq!((api.creates(), node.has_state_file()), (1, false));
}

/// Ends the runs that come after a removal as Patroni calls them: again and again, into an empty directory.
fn patroni_goes_on(mut ended: Ended, node: &Node, api: &Api) {
    for _ in 0..3 {
        if ended.code() == 0 {
            break;
        }
        node.remove_data();
        ended = end(node.start(api, &[]), node, api);
    }
    ended.expect(0);
    assert_eq!((api.creates(), node.has_state_file()), (2, false));
}

/// `patronictl reinit --force`: the hook is ended, the directory is removed and the hook is called again, while
/// the operation goes on. Its data can't count any more; where no receiver of it is to be seen, its end is waited for.
#[test]
fn reinit_during_a_restore_never_restores_twice_at_once() {
    check_rows(["TERM", "KILL"], |signal| {
        let (node, api) = held();
        let first = restoring(&node, &api);
        first.signal(signal);
        assert!(end(first, &node, &api).code() < 0);
        node.remove_data();
        let second = node.start(&api, &[]);
        second.wait_for(DOOMED);
        assert_eq!(api.creates(), 1);
        api.release();
        let ended = end(second, &node, &api);
        assert_eq!(ended.code(), 1, "its pieces are there: {}", ended.log);
        patroni_goes_on(ended, &node, &api);
    });
}

/// Patroni was killed and its hook was not; the new Patroni empties the directory and calls another hook.
#[test]
fn a_hook_that_outlives_patroni_never_ends_with_0_for_an_emptied_directory() {
    let (node, api) = held();
    let first = restoring(&node, &api);
    node.remove_data();
    let second = node.start(&api, &[]);
    second.wait_for("another run");
    api.release();
    end(first, &node, &api).expect(1);
    let ended = end(second, &node, &api);
    patroni_goes_on(ended, &node, &api);
}

#[test]
fn a_state_file_that_cannot_be_read_is_a_warning() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    fs::write(&node.state_file, "{}\n").unwrap();
    fs::set_permissions(&node.state_file, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read(&node.state_file).is_ok();
    let words = if is_root { "is unreadable" } else { "can't be used" };
    end(node.start(&api, &[]), &node, &api).expect(0).says(words);
}

/// Kills at any moment, one after the other, until a run is left alone.
#[test]
fn kills_at_any_moment_never_end_in_two_restores_at_once_or_a_wrong_0() {
    let moments: Vec<u64> = (0..24).map(|n| n * 17).collect();
    check_at_once(
        8,
        &moments,
        |moment| format!("killed after {moment} ms"),
        |moment| {
            let model: Model = restore().duration_ms(200);
            let (node, api) = (Node::new(), Api::start(model, Script::new()));
            for again in 0..2 {
                let run = node.start(&api, &[]);
                thread::sleep(Duration::from_millis(moment + again * 40));
                let _ = run.kill();
                if again == 0 && moment % 2 == 0 {
                    node.remove_data();
                }
            }
            let mut codes = Vec::new();
            while codes.last() != Some(&0) && codes.len() < 4 {
                let ended = end(node.start(&api, &[]), &node, &api);
                codes.push(ended.code());
                if ended.code() != 0 {
                    node.remove_data();
                }
            }
            let right = codes.last() == Some(&0) && codes[..codes.len() - 1].iter().all(|code| *code == 1);
            if right { Ok(()) } else { Err(format!("{codes:?}")) }
        },
    );
}
