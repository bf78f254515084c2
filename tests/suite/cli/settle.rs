//! `settle`, as `ExecStartPre=` of Patroni's unit: it moves aside what a restore that failed or died has left, proves
//! that first, and leaves everything else alone. What decides is tested row for row beside it, in `src/commands`.

use std::fs;
use std::path::Path;

use crate::cli::restore;
use crate::support::commands::{Ran, run};
use crate::support::node::{Node, PROGRAM, bare};
use standin::{Api, Part, Script, wait_until};

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
