//! The shared library as C programs meet it: that it keeps what its header promises.

use std::process::{Command, Output};

use crate::support::tools::{c_program, said};
use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script, Step};

fn api(model: impl Fn(Model) -> Model, script: Script) -> Api {
    Api::start(model(Model::new().server("main").backup("20261122T101942")).fill(), script)
}

/// Runs one of the promises of `tests/c/promises.c`, which prints nothing if it is kept.
fn promise(name: &str, api: Option<&Api>) -> Option<Output> {
    let scratch = tempdir();
    let mut program = Command::new(c_program("tests/c/promises.c", &scratch)?);
    let url = api.map_or("http://127.0.0.1:1".to_owned(), Api::url);
    let output = program.args([name, &url, &scratch.within("data")]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", said(&output));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", said(&output));
    Some(output)
}

#[test]
fn null_is_an_answer_everywhere() {
    promise("null", None);
}

#[test]
fn library_and_header_have_one_version_and_the_table_of_options_is_json() {
    promise("version", None);
}

#[test]
fn refused_values_are_explained_and_null_is_the_default_again() {
    promise("refused", None);
}

#[test]
fn a_command_is_started_and_its_events_are_taken() {
    let api = api(|model| model.duration_ms(2500), Script::new());
    if promise("events", Some(&api)).is_some() {
        assert_eq!(api.applied(), 1);
    }
}

#[test]
fn events_that_nobody_takes_are_kept_and_hold_nothing_up() {
    promise("unread", Some(&api(|model| model.duration_ms(1500), Script::new())));
}

#[test]
fn one_handle_runs_every_command() {
    promise("reused", Some(&api(|model| model, Script::new())));
}

#[test]
fn a_config_switch_says_whether_it_switched() {
    let api = api(Model::unique_ids, Script::new());
    if promise("switched", Some(&api)).is_some() {
        assert_eq!(api.creates(), 1);
    }
}

#[test]
fn a_cancel_before_a_command_ends_that_command() {
    promise("cancelled-before", None);
}

#[test]
fn another_thread_cancels_while_the_operation_runs() {
    promise("cancelled-at=IN_PROGRESS", Some(&api(Model::stuck, Script::new())));
}

#[test]
fn another_thread_cancels_while_the_api_is_silent() {
    let api = api(|model| model, Script::new().any([Step::model().hold().forever()]));
    promise("cancelled-at=", Some(&api));
    assert_eq!(api.creates(), 0);
}

#[test]
fn a_handle_runs_one_command_at_a_time() {
    promise("busy", Some(&api(Model::stuck, Script::new())));
}

#[test]
fn a_handle_is_freed_at_any_moment() {
    promise("freed", Some(&api(|model| model.stuck().unique_ids(), Script::new())));
}

/// `cargo test --features panic-test`
#[cfg(feature = "panic-test")]
#[test]
fn a_panic_is_caught_and_prints_nothing() {
    promise("panics", Some(&api(|model| model, Script::new())));
}
