//! Without a lease the program is what the Python one is: Barman's word and the files decide.

use crate::cli::{model, restore};
use crate::support::node::{Node, WRONG};
use standin::{Api, At, Script, Stage, Step};

/// The ssh command goes to Barman as it is, and no state directory is made.
#[test]
fn the_request_is_that_of_the_python_program() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    node.run(&api, &["--no-lease"])
        .expect(0)
        .says("without a lease: the restore goes on if this program ends");
    assert!(node.is_complete());
    let bodies = api.requests().into_iter().filter(|received| received.stage == Stage::Create);
    let bodies: Vec<_> = bodies.map(|received| received.body).collect();
    assert!(bodies.len() == 1 && bodies[0].contains(r#""remote_ssh_command":"ssh node""#), "{bodies:?}");
    let beside = std::fs::read_dir(node.path("pg")).unwrap().count();
    assert_eq!(beside, 1, "the data directory alone");
}

/// As after a restore to another host.
#[test]
fn data_that_is_not_here_is_a_failure_unless_barmans_word_is_to_count() {
    let api = Api::start(model(), Script::new());
    let without = |more: &[&str]| Node::new().run(&api, &[&["--no-lease"], more].concat());
    without(&[]).fails(1, "Recovery operation failed. Barman says that the restore is done, but ");
    without(&["--no-verify"]).expect(0).says("WARNING: the data in ").says("was not verified");
}

/// Nothing here could end what it may have started, so that another create could mean two writers.
#[test]
fn a_lost_reply_ends_the_run() {
    let (node, api) =
        (Node::new(), Api::start(restore(), Script::new().create([Step::model().reset(At::Request)])));
    node.run(&api, &["--no-lease"]).fails(WRONG, "may have started a recovery operation");
    assert_eq!(api.creates(), 1);
}

#[test]
fn barmans_word_alone_does_not_count_with_a_lease() {
    let (node, api) = (Node::new(), Api::start(model(), Script::new()));
    node.run(&api, &["--no-verify"]).is_refused(&["--no-verify: needs --no-lease too"]);
    assert_eq!(api.connections(), 0);
}
