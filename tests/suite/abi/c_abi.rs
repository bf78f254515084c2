//! The shared library as C programs meet it: that it keeps what its header promises.

use std::fs;
use std::process::{Command, Output};

use crate::support::tools::{c_program, said};
use crate::support::{Within as _, tempdir};
use standin::{Api, At, Foreign, Kind, Model, Script, Status, Step};

fn api(model: impl Fn(Model) -> Model, script: Script) -> Api {
    Api::start(model(Model::new().server("main").backup("20261122T101942")).fill(), script)
}

/// Runs one of the promises of a program; its directories are gone afterwards.
fn kept(program: &str, name: &str, api: Option<&Api>) -> Option<Output> {
    let scratch = tempdir();
    let mut program = Command::new(c_program(program, &scratch)?);
    program.arg(name);
    let url = api.map_or("http://127.0.0.1:1".to_owned(), Api::url);
    let output = program.args([url, scratch.within("data")]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", said(&output));
    Some(output)
}

fn promise(name: &str, api: Option<&Api>) -> Option<Output> {
    kept("tests/c/promises.c", name, api)
}

fn pulled(name: &str, api: &Api) {
    kept("tests/c/pulled.c", name, Some(api));
}

fn command(name: &str, api: Option<&Api>) {
    kept("tests/c/commands.c", name, api);
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
fn a_run_logs_and_reports() {
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

#[test]
fn options_are_set_by_name_and_read_as_a_table() {
    command("options", None);
}

#[test]
fn a_handle_makes_another_with_its_options() {
    let api = api(|model| model, Script::new());
    command("again", Some(&api));
}

#[test]
fn a_check_lists_findings_and_starts_nothing() {
    let api = api(|model| model, Script::new());
    command("check", Some(&api));
    assert_eq!(api.creates(), 0);
}

#[test]
fn operations_are_listed_shown_and_waited_for() {
    let known = |id: &str, kind, duration_ms, status| Foreign {
        id: Some(id.to_owned()),
        kind,
        duration_ms,
        status: Some(status),
        ..Foreign::default()
    };
    let three = |model: Model| {
        model
            .existing(known("20260103T000000", Kind::Recovery, None, Status::Done))
            .existing(known("20260101T000000", Kind::Recovery, Some(0), Status::Failed))
            .existing(known("20260102T000000", Kind::ConfigSwitch, Some(0), Status::Done))
    };
    command("operations", Some(&api(three, Script::new())));
}

#[test]
fn a_config_switch_has_codes_of_its_own() {
    let api = api(Model::unique_ids, Script::new());
    command("switch", Some(&api));
    assert_eq!(api.creates(), 1);
}

#[test]
fn being_busy_has_a_reason() {
    command("busy", Some(&api(Model::stuck, Script::new())));
}

#[test]
fn the_http_status_is_that_of_the_reply_that_decided() {
    let same_second = || Step::recording("create-recovery-same-second");
    let unknown = Step::recording("create-unknown-backup");
    command(
        "status",
        Some(&api(|model| model, Script::new().create([same_second(), same_second(), unknown]))),
    );
}

#[test]
fn a_directory_is_verified_offline() {
    kept("tests/c/restored.c", "verify", Some(&api(|model| model, Script::new())));
}

#[test]
fn backups_are_listed() {
    let api = api(|model| model.backup("20261121T101942"), Script::new());
    kept("tests/c/restored.c", "backups", Some(&api));
}

#[test]
fn a_restore_is_ended_unless_its_run_is_alive() {
    kept("tests/c/restored.c", "end", Some(&api(Model::stuck, Script::new())));
}

#[test]
fn a_run_is_started_and_its_events_are_taken() {
    let api = api(|model| model.duration_ms(2500), Script::new());
    pulled("followed", &api);
    assert_eq!(api.applied(), 1);
}

#[test]
fn events_that_nobody_takes_are_kept_and_hold_nothing_up() {
    pulled("unread", &api(|model| model.duration_ms(2500), Script::new()));
}

#[test]
fn a_started_run_is_cancelled_and_freed() {
    pulled("cancelled", &api(|model| model.stuck().unique_ids(), Script::new()));
}

#[test]
fn a_started_run_is_detached_from_its_restore() {
    pulled("detached", &api(Model::stuck, Script::new()));
}

#[test]
fn a_started_run_calls_back_on_a_thread_that_takes_no_signals() {
    pulled("called-back", &api(|model| model, Script::new()));
}

#[test]
fn a_started_run_ends_even_if_its_options_are_refused() {
    kept("tests/c/pulled.c", "refused", None);
}

#[test]
fn started_runs_are_freed_at_any_moment() {
    pulled("freed", &api(|model| model.unique_ids().duration_ms(20), Script::new()));
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
