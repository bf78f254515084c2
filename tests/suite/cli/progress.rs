//! What a run reports while a restore goes on, and what it does when nothing arrives.

use crate::cli::{model, restore};
use crate::support::node::Node;
use standin::{Api, Part, Script, Stage};

/// `GET /diagnose` keeps a small API busy, so that it is asked only where someone watches.
#[test]
fn the_known_line_has_share_rate_and_time_left_where_someone_watches() {
    let big = || restore().bytes(8_000_000).duration_ms(3_000);
    let figures = |watched: &[&str]| {
        let (node, api) = (Node::new(), Api::start(big(), Script::new()));
        let ended = node.run(&api, watched);
        ended.expect(0).says(", 8.0 MB"); // what is there at the end, with the small files beside the 8 MB
        let lines =
            ended.log.lines().filter(|line| line.contains(" is still in progress: ") && line.contains("/s"));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        assert!(!lines.is_empty(), "{}", ended.log);
        (lines, api.count(Stage::Diagnose))
    };
    for watched in ["--watch-size", "--progress=always"] {
        let (lines, asked) = figures(&[watched]);
        let has_all = |line: &String| line.contains(" of 8.0 MB (") && line.ends_with(" left");
        assert!(lines.iter().any(has_all), "{watched}: {lines:?}");
        assert_eq!(asked, 1, "{watched}");
    }
    for unwatched in [&[][..], &["--progress=always", "--watch-size=false"]] {
        let (lines, asked) = figures(unwatched);
        assert!(lines.iter().all(|line| !line.contains(" left")), "{lines:?}");
        assert_eq!(asked, 0, "{unwatched:?}");
    }
}

#[test]
fn a_restore_in_which_nothing_happens_is_ended_only_if_that_is_asked_for() {
    let stalls = restore().stop_behind(Part::Base).stuck();
    let (node, api) = (Node::new(), Api::start(stalls, Script::new()));
    let ended = node.run(&api, &["--stall-timeout", "2"]);
    ended.fails(1, "nothing new has arrived");
    ended.says("(--stall-timeout)");
    assert_eq!(api.applied(), 1);
}

/// An operation of which nothing reaches this node is not waited for either.
#[test]
fn neither_is_an_operation_waited_for_that_never_comes() {
    let (node, api) = (Node::new(), Api::start(model().stuck(), Script::new()));
    node.run(&api, &["--stall-timeout", "2"]).expect(1).says("(--stall-timeout)");
    assert_eq!(api.applied(), 1);
}
