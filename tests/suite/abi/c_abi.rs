//! The shared library as C programs meet it: that it keeps what its header promises.

use std::fs;
use std::process::{Command, Output};

use crate::support::tools::{c_program, said};
use crate::support::{Within as _, tempdir};
use standin::{Api, At, Model, Script, Step};

fn api(model: impl Fn(Model) -> Model, script: Script) -> Api {
    Api::start(model(Model::new().server("main").backup("20261122T101942")).fill(), script)
}

/// Runs one of the promises; its directories are gone afterwards.
fn promise(name: &str, api: Option<&Api>) -> Option<Output> {
    let scratch = tempdir();
    let mut program = Command::new(c_program("tests/c/promises.c", &scratch)?);
    program.arg(name);
    if let Some(api) = api {
        program.args([api.url(), scratch.within("data")]);
    }
    let output = program.output().unwrap();
    assert!(output.status.success(), "{name}: {}", said(&output));
    Some(output)
}

#[test]
fn a_short_c_program_restores_and_returns_the_code() {
    let scratch = tempdir();
    let Some(program) = c_program("tests/c/recover.c", &scratch) else { return };
    let api = api(|model| model, Script::new());
    let data = scratch.within("data");
    let done = Command::new(&program).args([&api.url(), &data]).output().unwrap();
    assert_eq!((done.status.code(), api.applied()), (Some(0), 1), "{}", said(&done));
    assert!(fs::exists(format!("{data}/global/pg_control")).unwrap());

    let wrong = Command::new(&program).args(["no-url", &data]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(253));
    assert!(said(&wrong).contains("INVALID_ARGUMENT --api-url: "), "{}", said(&wrong));
}

#[test]
fn null_is_an_answer_everywhere() {
    promise("null", None);
}

#[test]
fn refused_values_are_explained() {
    promise("refused", None);
}

#[test]
fn library_and_header_have_one_version() {
    promise("version", None);
}

#[test]
fn a_run_tells_and_reports() {
    let api = api(|model| model.duration_ms(2500), Script::new());
    if let Some(output) = promise("run", Some(&api)) {
        assert_eq!(api.applied(), 1);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", said(&output));
    }
}

#[test]
fn cancelled_before_the_run_nothing_is_sent() {
    let api = api(|model| model, Script::new());
    promise("cancelled-before", Some(&api));
    assert_eq!(api.connections(), 0);
}

#[test]
fn the_callback_cancels() {
    let api = api(Model::stuck, Script::new());
    promise("callback-cancels", Some(&api));
}

#[test]
fn another_thread_cancels_while_the_operation_runs() {
    let api = api(Model::stuck, Script::new());
    promise("thread-cancels-operation", Some(&api));
}

#[test]
fn another_thread_cancels_while_the_api_is_silent() {
    let api = api(|model| model, Script::new().any([Step::model().hold().forever()]));
    promise("thread-cancels-request", Some(&api));
    assert_eq!(api.creates(), 0);
}

#[test]
fn signals_do_no_harm() {
    let script = Script::new()
        .status([Step::model().reset(At::Head), Step::model().delay_ms(200)])
        .create([Step::model().reset(At::Head), Step::model().reset(At::Request)])
        .poll([Step::model().reset(At::Request), Step::model().delay_ms(200)]);
    let api = api(|model| model.duration_ms(300), script);
    if promise("signals", Some(&api)).is_some() {
        assert_eq!(api.applied(), 1);
    }
}

/// `cargo test --features panic-test`
#[cfg(feature = "panic-test")]
#[test]
fn a_panic_is_caught_and_prints_nothing() {
    let api = api(|model| model, Script::new());
    if let Some(output) = promise("panic", Some(&api)) {
        assert_eq!(api.applied(), 1);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", said(&output));
    }
}
