//! The log: what is in it, how it looks, and where it goes.

use std::fs;

use serde_json::Value;

use crate::support::commands::{Ran, ask};
use tempfile::TempDir;

use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir, without_root};
use standin::{Api, Model, Script, Step};

fn restore(scratch: &TempDir, api: &Api, more: &[&str]) -> Ran {
    let datadir = format!("--datadir={}", scratch.within("data"));
    let words = ["recover", "--barman-server=main", "--ssh-command=ssh node", &datadir];
    ask(api, &[&words[..], more].concat())
}

fn api() -> Api {
    Api::start(Model::new().server("main").backup("20261122T101942").fill(), Script::new())
}

/// The message of each line of a JSON log; every line must have all that a line has.
fn messages(log: &str) -> Vec<String> {
    let line = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let message = |line: Value| {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 29 && time.is_char_boundary(10) && time.as_bytes()[10] == b'T', "{time}");
        for name in ["level", "event", "operation_state"] {
            assert!(line[name].is_string(), "{line}");
        }
        assert!(line["elapsed_ms"].is_u64() && line.get("operation_id").is_some(), "{line}");
        assert!(line.get("bytes").is_some() && line.get("total_bytes").is_some(), "{line}");
        line["message"].as_str().unwrap().to_owned()
    };
    log.lines().map(line).map(message).collect()
}

#[test]
fn the_json_log_has_the_messages_of_the_text_log_and_the_states() {
    let (scratch, api) = (tempdir(), api());
    let ran = restore(&scratch, &api, &["--log-format=json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let all = messages(&ran.log);
    assert!(all.iter().any(|line| line == "Recovery operation finished successfully."), "{all:?}");
    let last: Value = serde_json::from_str(ran.log.lines().last().unwrap()).unwrap();
    let id = &api.operations()[0].id;
    assert_eq!(
        (last["operation_id"].as_str(), last["operation_state"].as_str()),
        (Some(id.as_str()), Some("DONE"))
    );
    let states: Vec<Value> = ran.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states = states.iter().filter(|line| line["event"] == "state").map(|line| &line["operation_state"]);
    assert_eq!(states.collect::<Vec<_>>(), ["MAYBE_CREATED", "IN_PROGRESS", "DONE"]);
}

#[test]
fn a_file_takes_the_log_or_shares_it_with_standard_error() {
    let (scratch, api) = (tempdir(), api());
    let file = scratch.within("log");
    let option = format!("--log-file={file}");
    let ran = restore(&scratch, &api, &[&option]);
    assert_eq!((ran.code, ran.log.as_str()), (Some(0), ""));
    assert!(fs::read_to_string(&file).unwrap().contains("INFO: Recovery operation finished successfully.\n"));
    fs::remove_file(&file).unwrap();
    // Refused by Barman, as the directory is full now: an end with a hint.
    let ran = restore(&scratch, &api, &[&option, "--log-stderr"]);
    assert_eq!(without_root(&fs::read_to_string(&file).unwrap()), ran.log);
    assert!(ran.has("ERROR: HINT: "), "{}", ran.log);
}

#[test]
fn levels_leave_out_what_is_below_them() {
    let (scratch, api) = (tempdir(), api());
    let ran = restore(&scratch, &api, &["-q"]);
    assert_eq!((ran.code, ran.log.as_str()), (Some(0), ""));
    fs::remove_dir_all(scratch.within("data")).unwrap();
    let url = api.url().replace("http://", "http://user:secret@");
    let ran = restore(&scratch, &api, &["-v", &format!("--api-url={url}")]);
    let request = format!("DEBUG: GET {}/status: HTTP 200, 4 bytes, ", api.url());
    assert!(ran.has(&request) && ran.has("DEBUG: POST "), "{}", ran.log);
    assert!(!ran.has("secret"));
}

#[test]
fn nothing_that_a_server_or_an_option_says_gets_control_characters_into_the_log() {
    let page = "<p>no \u{1b}[31m\r such\nbackup</p>";
    let script = Script::new().create([Step::reply(404, "text/html", page).forever()]);
    check_rows(["text", "json"], |format| {
        let scratch = tempdir();
        let api = Api::start(Model::new().server("main"), script.clone());
        let ran = restore(&scratch, &api, &["--log-format", format, "--barman-server=ma\r\u{1b}[2Jin"]);
        assert_eq!(ran.code, Some(2), "{}", ran.log);
        assert!(!ran.log.replace('\n', "").contains(char::is_control), "{:?}", ran.log);
        if format == "json" {
            messages(&ran.log);
        }
    });
}

#[test]
fn progress_is_a_line_of_the_log_where_there_is_no_terminal_and_only_if_asked_for() {
    let (scratch, api) = (tempdir(), api());
    check_rows([("auto", false), ("never", false), ("always", true)], |(show, lines)| {
        let data = format!("--datadir={}", scratch.within(show));
        let ran = restore(&scratch, &api, &[&data, &format!("--progress={show}")]);
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert!(!ran.log.contains(['\x1b', '\r']), "{:?}", ran.log);
        assert_eq!(
            ran.log.lines().any(|line| line.contains("/s, ") && !line.contains("operation")),
            lines,
            "{}",
            ran.log
        );
    });
}
