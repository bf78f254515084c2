//! The API gives no reason for FAILED. What this node shows says which it is most likely, in one hint, with the place of
//! the log in which Barman's commands can be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::laws::restores::fill;
use crate::laws::row::restore;
use crate::support::node::{Ended, Node};
use crate::support::table::check_rows;
use standin::{Api, Model, Part, Script, Status};

const OUTPUT: &str = "Barman's own output is in <barman_home>/main/output/";

/// A run that failed, with one error and one hint, which has all these words.
#[track_caller]
fn explained(node: &Node, model: Model, extra: &[&str], words: &[&str]) -> Ended {
    let api = Api::start(model, Script::new());
    let ended = node.run(&api, extra);
    ended.fails(1, "Recovery operation failed.");
    for words in words.iter().chain(&[OUTPUT]) {
        ended.says(words);
    }
    assert_eq!(api.creates(), 1, "{}", ended.log);
    ended
}

#[test]
fn barman_that_never_came_here_is_told_from_one_that_failed_here() {
    let never = "Barman never ran a command on this node through the lease: it could not log in";
    check_rows(
        [
            ("exit 255; ssh node", restore(), never),
            // As on another host, which has no such file.
            ("ssh node cd / && exec sh -c 'exit 2' --", restore(), never),
            ("ssh node 'echo Welcome;'", restore(), "the login shell prints something"),
            ("ssh node", restore().result(Status::Failed), "failed on its own host between two commands"),
            (
                "ssh node",
                restore().stop_behind(Part::Mark).result(Status::Failed),
                "Barman failed after everything was here",
            ),
            ("ssh node", restore().stop_behind(Part::Look).result(Status::Failed), "on its own host"),
        ],
        |(ssh_command, model, words)| {
            // With an attempt left the create would be sent once more: the failure may be another node's.
            let extra = ["--ssh-command", ssh_command, "--max-retries", "1"];
            explained(&Node::new(), model, &extra, &[words]);
        },
    );
}

#[test]
fn what_is_in_the_way_is_named() {
    let node = Node::new();
    fill(&node.data);
    explained(
        &node,
        restore(),
        &[],
        &["was not empty (PG_VERSION, global)", "is not empty: Barman 3.15 and later refuse it"],
    );
    let node = Node::new();
    fs::write(&node.data, "").unwrap();
    explained(&node, restore(), &[], &["is not a directory: Barman will refuse it"]);
}

/// The login of Barman may have other programs in its `PATH` than this program, and fewer rights.
#[test]
fn a_command_that_is_missing_or_fails_for_barmans_login_is_named() {
    let without_rsync = ("rsync", None, "rsync is not in the PATH of Barman's login on this node");
    let without_rights = ("mkdir", Some("false"), "Barman could not create ");
    check_rows([without_rsync, without_rights], |(command, instead, words)| {
        let node = Node::new();
        let programs = node.path("bin");
        fs::create_dir(&programs).unwrap();
        for name in ["sh", "flock", "setsid", "true", "ls", "test", "mkdir", "touch", "rm", "rsync"] {
            let Some(program) = (if name == command { instead } else { Some(name) }) else { continue };
            symlink(in_path(program), Path::new(&programs).join(name)).unwrap();
        }
        explained(&node, restore(), &["--ssh-command", &format!("ssh node env PATH={programs}")], &[words]);
    });
}

fn in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.exists()).unwrap()
}

/// Needs the right to mount; without it the test passes.
#[test]
fn a_full_disk_is_named() {
    let node = Node::new();
    let Some(_small) = Small::mounted(node.path("pg")) else {
        println!("left out: nothing can be mounted here");
        return;
    };
    explained(&node, restore().bytes(4 << 20), &[], &["the disk is full: "]);
}

/// A file system with room for a megabyte.
struct Small(String);

impl Small {
    fn mounted(at: String) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &at]).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn after_a_failure_the_hint_names_the_log_of_barmans_commands_and_it_is_there() {
    let node = Node::new();
    let ended = explained(
        &node,
        restore().result(Status::Failed),
        &[],
        &["Barman's commands on this node are in ", &node.state_dir],
    );
    assert_eq!(node.note()["ended"], "RECOVERY_FAILED");
    assert!(ended.left.contains(&format!(" ls {}\n", node.data)), "{}", ended.left);
    // The next run removes it with everything else when it succeeds.
    node.remove_data();
    node.run(&Api::start(restore(), Script::new()), &[]).done();
    assert!(!node.has_state());
}

/// Nothing is left of a run whose create never reached this node: there is nothing to read.
#[test]
fn a_failure_that_never_came_here_leaves_no_state_directory() {
    let node = Node::new();
    let api = Api::start(restore(), Script::new());
    let ended = node.run(&api, &["--ssh-command", "exit 255; ssh node"]);
    ended.fails(1, "Recovery operation failed.");
    ended.says("it may be another node's, with the same ID");
    assert_eq!(api.creates(), 2, "{}", ended.log);
    assert!(!node.has_state() && ended.left.is_empty(), "{}", ended.left);
}
