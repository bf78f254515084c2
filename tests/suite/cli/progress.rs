//! What a run reports while a restore goes on, and what it does when nothing arrives.

use crate::support::node::Node;
use standin::{Api, Model, Script, Stage, Step};

fn api(model: impl Fn(Model) -> Model) -> Api {
    Api::start(model(Model::new().server("main").backup("20261122T101942").fill()), Script::new())
}

#[test]
fn the_known_line_has_share_rate_and_time_left() {
    let (node, api) = (Node::new(), api(|model| model.files(40).bytes(8_000_000).duration_ms(6_000)));
    let ended = node.run(&api, &["--loop-wait", "1"]);
    ended.expect(0);
    let lines = ended.log.lines().filter(|line| line.contains(" is still in progress: "));
    let figures: Vec<&str> = lines.filter(|line| line.contains(" of 8.0 MB (")).collect();
    assert!(!figures.is_empty(), "{}", ended.log);
    assert!(figures.iter().all(|line| line.contains("/s, ") && line.ends_with(" left")), "{figures:?}");
    assert_eq!(api.count(Stage::Diagnose), 1);
    // What is there at the end, with the small files beside the 8 MB.
    assert!(ended.log.lines().last().unwrap().ends_with(", 8.0 MB"), "{}", ended.log);
}

#[test]
fn without_diagnose_barman_is_spared_and_the_rest_is_logged() {
    let (node, api) = (Node::new(), api(|model| model.files(40).bytes(8_000_000).duration_ms(4_000)));
    let ended = node.run(&api, &["--loop-wait", "1", "--no-diagnose"]);
    ended.expect(0).says("/s, ");
    assert!(!ended.log.contains(" left"), "{}", ended.log);
    assert_eq!(api.count(Stage::Diagnose), 0);
}

#[test]
fn an_operation_that_brings_nothing_ends_the_run_and_keeps_the_state_file() {
    let (node, api) = (Node::new(), api(Model::stuck));
    let ended = node.run(&api, &["--stall-timeout", "2", "--max-outage", "60"]);
    ended
        .expect(1)
        .says("nothing new has arrived in")
        .says("(--stall-timeout)")
        .says("HINT: check on the Barman host");
    assert!(node.has_state_file());
    assert_eq!(api.applied(), 1);
}

#[test]
fn neither_does_one_that_only_may_be_ours_hold_the_run_for_ever() {
    let model = Model::new().server("main").backup("20261122T101942").stuck();
    let api = Api::start(model, Script::new().create([Step::proxy_error(502).apply(true)]));
    let node = Node::new();
    let ended = node.run(&api, &["--stall-timeout", "2", "--max-outage", "60"]);
    let id = &api.operations()[0].id;
    ended.expect(1).says("nothing new has arrived in").says(&format!("operation {id} is new"));
    ended.says("HINT: check on the Barman host");
    assert!(node.has_state_file());
    assert_eq!(api.applied(), 1);
}
