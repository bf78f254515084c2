//! `config-switch` as Patroni's callback: what it sends, when it sends it again, and how it ends.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use crate::support::commands::{Ran, ask, program};
use crate::support::table::{Expected, check_at_once, check_rows};
use crate::support::{Within as _, tempdir};
use standin::{Api, At, Kind, Model, Script, Stage, Status, Step, wait_until};

const APPLY: [&str; 4] =
    ["config-switch", "--barman-server=main", "--barman-model=m", "--switch-when=promoted"];
const CALLBACK: [&str; 3] = ["on_role_change", "primary", "demo"];

fn model() -> Model {
    Model::new().server("main").unique_ids()
}

fn start(script: Script) -> Api {
    Api::start(model(), script)
}

fn switch(api: &Api) -> Ran {
    ask(api, &[&APPLY[..], &CALLBACK].concat())
}

fn bodies(api: &Api) -> Vec<String> {
    let creates = api.requests().into_iter().filter(|received| received.stage == Stage::Create);
    creates.map(|received| received.body).collect()
}

#[test]
fn a_model_is_applied_and_reset_with_the_words_of_the_python_program() {
    let reset = ["config-switch", "--barman-server=main", "--reset", "--switch-when=always"];
    check_rows(
        [
            (&APPLY[..], r#"{"type":"config_switch","model_name":"m"}"#),
            (&reset[..], r#"{"type":"config_switch","reset":true}"#),
        ],
        |(words, body)| {
            let runs = r#"{"operation_id":"20260101T000000","status":"IN_PROGRESS"}"#;
            let api = start(Script::new().poll([Step::reply(200, "application/json", runs)]));
            let ran = ask(&api, &[words, &CALLBACK].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.log);
            assert_eq!(bodies(&api), [body]);
            let id = &api.operations()[0].id;
            for line in [
                format!(" INFO: Created the config switch operation with ID {id}\n"),
                format!(" INFO: Config switch operation {id} is still in progress\n"),
                " INFO: Config switch operation finished successfully.\n".to_owned(),
            ] {
                assert!(ran.has(&line), "{line}: {}", ran.log);
            }
        },
    );
}

#[test]
fn a_role_that_is_none_for_a_switch_is_skipped_without_a_request() {
    let api = start(Script::new());
    let ran = ask(&api, &[&APPLY[..], &["on_role_change", "replica", "demo"]].concat());
    assert_eq!(ran.code, Some(1));
    assert!(ran.has("INFO: Config switch operation was skipped (role=replica, switch_when=promoted).\n"));
    assert_eq!(api.connections(), 0);
}

#[test]
fn each_end_has_the_exit_code_of_the_python_program() {
    let down = || Script::new().status([Step::reply(200, "text/html", "\"down\"").forever()]);
    let no_model = &["config-switch", "--barman-server=main", "--barman-model=", "--switch-when=always"];
    let no_choice = &["config-switch", "--barman-server=main", "--switch-when=always"];
    let unknown = Script::new().create([Step::recording("create-unknown-server")]);
    let refused = Script::new().create([Step::proxy_error(401)]);
    let row = |code, creates, says: &str| Expected { code, creates, took: None, says: vec![says.to_owned()] };
    check_rows(
        [
            (
                model().result(Status::Failed),
                Script::new(),
                &APPLY[..],
                row(2, 1, "ERROR: Config switch operation failed.\n"),
            ),
            (model(), unknown, &APPLY, row(3, 1, "does not exist\n")),
            (model(), refused, &APPLY, row(3, 1, "HTTP 401")),
            (model(), Script::new(), no_model, row(4, 0, "ERROR: One, and only one among 'barman_model'")),
            (model(), down(), &APPLY, row(254, 0, "ERROR: pg-backup-api is not working: ")),
            (model(), Script::new(), no_choice, row(2, 0, "is required")),
        ],
        |(model, script, words, expected)| {
            let api = Api::start(model, script);
            let ran = ask(&api, &[words, &CALLBACK].concat());
            let said = ran.out.clone() + &ran.log;
            let wrong = expected.differences(ran.code, &said, &api);
            assert!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
        },
    );
}

#[test]
fn a_failure_names_the_place_of_barmans_output() {
    let ran = switch(&Api::start(model().result(Status::Failed), Script::new()));
    assert!(ran.has("HINT: ") && ran.has("<barman_home>/main/output/"), "{}", ran.log);
}

#[test]
fn an_api_that_has_no_config_switch_is_named_as_a_cause() {
    let api = Api::start(model(), Script::new().create([Step::recording("create-unknown-type").forever()]));
    let ran = ask(&api, &[&APPLY[..], &["--max-retries=1"], &CALLBACK].concat());
    assert_eq!((ran.code, api.creates()), (Some(3), 1), "{}", ran.log);
    assert!(ran.has("HTTP 500") && ran.has("HINT: pg-backup-api before 2.1"), "{}", ran.log);
}

#[test]
fn a_create_that_started_nothing_is_sent_again() {
    check_rows([Step::recording("create-recovery-same-second"), Step::proxy_error(429)], |step| {
        let api = start(Script::new().create([step]));
        let ran = switch(&api);
        assert_eq!((ran.code, api.creates(), api.applied()), (Some(0), 2, 1), "{}", ran.log);
    });
    let api = start(Script::new().create([Step::recording("create-recovery-same-second").forever()]));
    let ran = switch(&api);
    assert_eq!((ran.code, api.creates()), (Some(3), 3), "{}", ran.log);
}

#[test]
fn a_lost_reply_is_looked_for_in_the_list_before_anything_is_sent_again() {
    let lost = [
        Step::model().reset(At::Request),
        Step::model().close(At::Request),
        Step::model().cut(9),
        Step::recording("create-gunicorn-500"),
        Step::proxy_error(502),
        Step::proxy_error(503),
        Step::proxy_error(504),
        Step::reply(202, "application/json", "{}"),
        Step::raw("garbage"),
    ];
    let mut rows = lost.map(|step| (step.apply(true), 1)).to_vec();
    rows.push((Step::model().reset(At::Request).apply(false), 2));
    let name = |(step, creates): &(Step, usize)| format!("{creates} creates, {step:?}");
    check_at_once(8, &rows, name, |(step, creates)| {
        // An older switch is no candidate.
        let model = model().existing("20260101T000000", Kind::ConfigSwitch, Status::Done);
        let api = Api::start(model, Script::new().create([step.clone()]));
        let ran = switch(&api);
        let expected = Expected { creates: *creates, took: Some(1), ..Expected::default() };
        let wrong = expected.differences(ran.code, &ran.log, &api);
        if wrong.is_empty() { Ok(()) } else { Err(format!("\n{}\n{}", wrong.join("\n"), ran.log)) }
    });
}

#[test]
fn what_a_lost_create_has_started_is_followed_to_its_end() {
    check_rows([(Status::Done, 0), (Status::Failed, 2)], |(result, code)| {
        let model = model().duration_ms(300).result(result);
        let api = Api::start(model, Script::new().create([Step::model().reset(At::Request)]));
        let ran = switch(&api);
        assert_eq!((ran.code, api.creates()), (Some(code), 1), "{}", ran.log);
        assert!(ran.has(" is new and may be ours: following it\n"), "{}", ran.log);
    });
}

#[test]
fn nothing_is_sent_again_when_nothing_shows_what_a_lost_create_has_started() {
    let unlistable = || [Step::proxy_error(502).forever()];
    let api = start(Script::new().list(unlistable()).create([Step::model().reset(At::Request)]));
    let ran = ask(&api, &[&["--max-outage=3"], &APPLY[..], &CALLBACK].concat());
    assert_eq!((ran.code, api.creates()), (Some(3), 1), "{}", ran.log);
}

#[test]
fn a_killed_switch_leaves_nothing_behind() {
    let scratch = tempdir();
    let home = scratch.within("home");
    std::fs::create_dir(&home).unwrap();
    let api = Api::start(model().stuck(), Script::new());
    let url = format!("--api-url={}", api.url());
    let words = [&[url.as_str()][..], &APPLY, &CALLBACK].concat();
    let mut command = program(&words);
    command.current_dir(&home).env("HOME", &home).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_until("a poll", || api.count(Stage::Poll) > 0);
    terminate(child.id());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(15));
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
}

/// SIGTERM, as Patroni sends it.
fn terminate(pid: u32) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap();
    assert!(sent.success());
}
