//! `operations`: what is printed of what the API knows.

use crate::support::commands::{Ran, ask, run};
use standin::{Api, Kind, Model, Script, Status};

fn three() -> Api {
    let model = Model::new()
        .server("main")
        .existing("20260103T000000", Kind::Recovery, Status::InProgress)
        .existing("20260101T000000", Kind::Recovery, Status::Failed)
        .existing("20260102T000000", Kind::ConfigSwitch, Status::Done);
    Api::start(model, Script::new())
}

fn operations(api: &Api, words: &[&str]) -> Ran {
    ask(api, &[&["operations"][..], words, &["--barman-server=main"]].concat())
}

#[test]
fn the_list_has_each_status_the_newest_first() {
    let ran = operations(&three(), &["list"]);
    let table = "ID               TYPE           STATUS\n\
        20260103T000000  recovery       IN_PROGRESS\n\
        20260102T000000  config_switch  DONE\n\
        20260101T000000  recovery       FAILED\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), table), "{}", ran.log);
    let ran = operations(&three(), &["list", "--format=json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let row = serde_json::json!({"id": "20260102T000000", "kind": "config_switch", "state": "DONE"});
    assert_eq!((&answer["code"], &answer["operations"][1]), (&0.into(), &row));
}

#[test]
fn only_the_newest_are_asked_about_unless_all_are_wanted() {
    let id = |n: u32| format!("20260101T0000{n:02}");
    let model = (0..25)
        .fold(Model::new().server("main"), |model, n| model.existing(&id(n), Kind::Recovery, Status::Done));
    let api = Api::start(model, Script::new());
    let ran = operations(&api, &["list"]);
    assert_eq!(ran.out.lines().count(), 21);
    assert!(ran.has(&id(24)) && ran.has(&id(5)) && !ran.has(&id(4)), "{}", ran.out);
    assert!(ran.log.contains("--all"), "says that there are more: {}", ran.log);
    let all = operations(&api, &["list", "--all"]);
    assert_eq!((all.out.lines().count(), all.log.as_str()), (26, ""));
}

#[test]
fn what_the_api_does_not_know_is_an_http_error() {
    let ran =
        run(&["--api-url=http://127.0.0.1:1", "--max-retries=1", "operations", "list", "--barman-server=x"]);
    assert!(ran.code == Some(2) && ran.has("connection refused") && ran.has("HINT: "), "{}", ran.log);
    let ran = ask(&three(), &["operations", "list", "--barman-server=nope"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.has("No barman config found for 'nope'"), "{}", ran.log);
}
