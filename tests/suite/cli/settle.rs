//! `settle`, as `ExecStartPre=` of Patroni's unit: it moves aside what a restore that failed or died has left, proves
//! that first, and leaves everything else alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::cli::restore;
use crate::support::commands::{Ran, run};
use crate::support::node::{API_NOT_OK, Node, PROGRAM, bare};
use crate::support::table::check_rows;
use standin::{Api, Part, Script, Step, wait_until};

fn settle(node: &Node) -> Ran {
    run(&["settle", "--datadir", &node.data])
}

/// The names in a directory, sorted.
fn names(path: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A run that failed in the middle of its restore.
fn failed(node: &Node) {
    let api = Api::start(restore().stop_behind(Part::Half).result(standin::Status::Failed), Script::new());
    node.run(&api, &[]).expect(1);
}

#[test]
fn remains_are_moved_aside_whole_and_once() {
    let node = Node::new();
    failed(&node);
    // As in a backup of a node that was restored itself: no sign that PostgreSQL has been started here.
    fs::write(node.file("backup_label.old"), "").unwrap();
    let there = names(&node.data);
    assert!(there.contains(&"PG_VERSION".to_owned()), "{there:?}");
    let ran = settle(&node);
    assert!(ran.code == Some(0) && !Path::new(&node.data).exists(), "{}", ran.log);
    let aside: Vec<_> =
        names(node.path("pg")).into_iter().filter(|name| name.starts_with("data.failed-")).collect();
    let [aside] = &aside[..] else { panic!("{aside:?}") };
    assert_eq!(names(node.path(&format!("pg/{aside}"))), there);
    assert!(ran.has(aside), "it says where they are: {}", ran.log);
    assert_eq!(settle(&node).code, Some(0));
    // A restore finds nothing in its way.
    let api = Api::start(restore(), Script::new());
    node.run(&api, &[]).expect(0);
    assert!(node.is_complete());
}

#[test]
fn what_is_not_proved_to_be_remains_is_left_alone() {
    let left = |node: &Node, why: &str| {
        let before = names(&node.data);
        let ran = settle(node);
        assert!(ran.code == Some(0) && ran.has(why), "{why}: {}", ran.log);
        assert_eq!(names(&node.data), before, "{why}");
    };
    let node = Node::new();
    left(&node, "no restore has left anything");
    let api = Api::start(restore(), Script::new());
    node.run(&api, &[]).expect(0);
    left(&node, "no restore has left anything");

    let node = Node::new();
    failed(&node);
    fs::write(node.file("postmaster.opts"), "").unwrap();
    left(&node, "PostgreSQL has been started");

    let node = Node::new();
    failed(&node);
    fs::remove_dir_all(&node.data).unwrap();
    fs::create_dir(&node.data).unwrap();
    fs::write(node.file("PG_VERSION"), "15\n").unwrap();
    left(&node, "not there any more");
}

/// Killed without a word: the note on the state directory shows it, and Barman's commands have ended with the run.
#[test]
fn the_remains_of_a_run_that_was_killed_are_moved_aside() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let run = node.start(&api, &[]);
    node.wait_for_first_file();
    run.kill();
    let ran = settle(&node);
    assert!(ran.code == Some(0) && !Path::new(&node.data).exists(), "{}", ran.log);
    api.release();
}

/// Neither a run that starts nothing nor one that Barman refuses brings anything, and what was there is still there.
#[test]
fn later_runs_that_bring_nothing_do_not_hide_the_remains() {
    let node = Node::new();
    failed(&node);
    let down = Script::new().status([Step::reply(500, "text/html", "").forever()]);
    node.run(&Api::start(restore(), down), &[]).expect(API_NOT_OK);
    node.run(&Api::start(restore(), Script::new()), &[]).expect(1).says("was not empty");
    let ran = settle(&node);
    assert!(ran.code == Some(0) && !Path::new(&node.data).exists(), "{}", ran.log);
}

/// A run that was killed while it waited for the reply to its create: it has not looked at what came meanwhile.
fn killed_before_it_looked(model: standin::Model, is_there: &str) -> Node {
    let held = Script::new().create([Step::model().hold()]);
    let (node, api) = (Node::new(), Api::start(model, held));
    let run = node.start(&api, &[]);
    wait_until(is_there, || node.file(is_there).exists());
    run.kill();
    assert!(node.note()["first_file"].is_null(), "it has looked: {}", node.note());
    wait_until("the end of the receivers", || node.receivers().is_empty());
    node
}

#[test]
fn remains_are_known_by_the_log_of_the_lease_if_the_run_was_killed_before_it_saw_them() {
    let node = killed_before_it_looked(restore().hold(), "PG_VERSION");
    let ran = settle(&node);
    assert!(ran.code == Some(0) && !Path::new(&node.data).exists(), "{}", ran.log);
    assert!(ran.has("the remains of a failed restore are in"), "{}", ran.log);
}

/// An empty directory hinders nobody.
#[test]
fn of_a_run_that_was_killed_before_the_first_file_nothing_is_moved() {
    let node = killed_before_it_looked(restore().hold_behind(Part::Look), "");
    let ran = settle(&node);
    assert!(ran.code == Some(0) && ran.has("no restore has left anything"), "{}", ran.log);
    assert!(node.file("").exists());
}

/// The log shows a restore, and what is there now is not what it brought.
#[test]
fn what_came_or_changed_after_the_last_command_of_the_restore_is_left_alone() {
    let refill: fn(&Node) = |node| {
        fs::remove_dir_all(&node.data).unwrap();
        fs::create_dir(&node.data).unwrap();
        fs::write(node.file("PG_VERSION"), "15\n").unwrap();
    };
    let empty_and_fill: fn(&Node) = |node| {
        for entry in fs::read_dir(&node.data).unwrap().flatten() {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
        fs::write(node.file("PG_VERSION"), "15\n").unwrap();
    };
    let change_one_file: fn(&Node) = |node| {
        fs::set_permissions(node.file("PG_VERSION"), Permissions::from_mode(0o640)).unwrap();
    };
    // As old as the restore by the times of its files, which any program can set.
    let copy: fn(&Node) = |node| {
        let copied = node.path("copied");
        assert!(Command::new("cp").args(["-a", &node.data, &copied]).status().unwrap().success());
        fs::remove_dir_all(&node.data).unwrap();
        fs::rename(copied, &node.data).unwrap();
    };
    check_rows(
        [
            ("another directory", refill),
            ("filled again in place", empty_and_fill),
            ("a file was changed", change_one_file),
            ("a copy with the same times", copy),
        ],
        |(_, change)| {
            let node = killed_before_it_looked(restore().hold(), "PG_VERSION");
            change(&node);
            let before = names(&node.data);
            let ran = settle(&node);
            assert!(ran.code == Some(0) && ran.has("no restore has left anything"), "{}", ran.log);
            assert_eq!(names(&node.data), before);
        },
    );
}

#[test]
fn it_waits_while_a_run_restores() {
    let (node, api) = (Node::new(), Api::start(restore().hold_behind(Part::Base), Script::new()));
    let run = node.start(&api, &[]);
    wait_until("the base backup", || node.file("global/pg_control").exists());
    let mut command = bare(PROGRAM);
    command.args(["settle", "--datadir", &node.data]);
    let mut settling = node.spawn(command);
    settling.wait_for("a restore into ");
    assert!(!settling.has_ended());
    api.release();
    run.end().expect(0);
    settling.end().expect(0);
    assert!(node.is_complete());
}
