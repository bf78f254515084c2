//! What a restore does not fit into is refused before the create, and what can be seen of a failure is said after it.

use std::fs;

use crate::support::node::{Node, WRONG};
use standin::{Api, Model, Script, Status, Step};

fn model() -> Model {
    Model::new().server("main").backup("20261122T101942")
}

#[test]
fn a_backup_larger_than_the_free_space_is_refused_with_both_figures() {
    let huge = || model().files(1).bytes(1 << 62);
    let (node, api) = (Node::new(), Api::start(huge(), Script::new()));
    let ended = node.run(&api, &[]);
    ended
        .expect(1)
        .says("the backup does not fit: it needs 4611686 TB, but there is room for ")
        .says("--force");
    assert_eq!(api.creates(), 0);
    assert!(!node.has_state_file());
    for goes_on in ["--force", "--no-diagnose"] {
        // Refused in the end, as nobody has so much.
        let script = Script::new().create([Step::recording("create-unknown-backup").forever()]);
        let (node, api) = (Node::new(), Api::start(huge(), script));
        node.run(&api, &[goes_on]).expect(2);
        assert_eq!(api.creates(), 1, "{goes_on}");
    }
}

#[test]
fn a_size_that_comes_late_holds_no_create_up_and_is_a_warning() {
    let body = r#"{"global": {}, "servers": {"main": {"backups": {"20261122T101942": {"status": "DONE", "size": 4611686018427387904}}}}}"#;
    let late = Step::reply(200, "application/json", body).delay_ms(4_000);
    let (node, api) = (Node::new(), Api::start(model().stuck(), Script::new().diagnose([late])));
    let run = node.start(&api, &[]);
    run.wait_for("Created the recovery operation");
    assert!(!run.log().contains("does not fit"));
    run.wait_for("WARNING: the backup does not fit");
    run.kill();
}

#[test]
fn the_root_directory_is_no_data_directory() {
    let (node, api) = (Node::new(), Api::start(model(), Script::new()));
    let ended = node.run(&api, &["--data-directory=/"]);
    ended.expect(WRONG).says("the root directory").says("--force");
    assert!(api.requests().is_empty(), "{:?}", api.requests());
}

#[test]
fn after_a_failure_what_this_node_shows_comes_before_barmans_output() {
    let failing = || model().result(Status::Failed);
    let output = "Barman's own output is in /var/lib/barman/main/output/";
    let (node, api) = (Node::new(), Api::start(failing(), Script::new()));
    let ended = node.run(&api, &[]);
    ended.expect(1).says("nothing has reached").says("could Barman log in?").says(output);
    let (node, api) = (Node::new(), Api::start(failing(), Script::new()));
    fs::create_dir_all(format!("{}/pg_wal", node.data)).unwrap();
    let ended = node.run(&api, &[]);
    ended.expect(1).says("was not empty (pg_wal)").says(output);
    let (node, api) = (Node::new(), Api::start(failing().fill(), Script::new()));
    let ended = node.run(&api, &["--no-diagnose"]);
    ended.expect(1).says("the API gives no reason; Barman's own output is in <barman_home>/main/output/");
}
