//! What must not end a restore: a log that can't be written. And what must not fill the node's memory: a
//! reply, however long.

use std::fs::{self, File};
use std::process::Stdio;

use crate::cli::restore;
use crate::support::node::{Node, PROGRAM, Run, bare};
use crate::support::table::check_rows;
use standin::{Api, Form, Script, Stage, Step};

#[test]
fn a_standard_error_that_cannot_be_written_does_not_end_a_restore() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    check_rows([("full", Some(full())), ("broken pipe", None)], |(name, stderr)| {
        let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
        let command = node.command(&api.url(), &[]);
        let broken = || std::io::pipe().unwrap().1.into(); // its reader is dropped here
        let run = node.spawn_with(command, Some(stderr.unwrap_or_else(broken)));
        assert_eq!((run.end().code(), node.is_complete()), (0, true), "{name}");
    });
}

#[test]
fn a_closed_standard_error_does_not_end_a_restore() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    let mut closed = bare("sh");
    closed.args(["-c", "exec \"$0\" \"$@\" 2>&- >&- <&-", PROGRAM]).args(node.arguments(&api.url(), &[]));
    node.spawn(closed).end().expect(0);
    assert!(node.is_complete());
}

#[test]
fn a_full_disk_under_the_log_file_does_not_end_a_restore() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    node.run(&api, &["--log-file", "/dev/full"]).expect(0);
    assert!(node.is_complete());
}

#[test]
fn a_log_file_takes_the_lines_behind_what_is_in_it() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    let file = node.path("log");
    fs::write(&file, "before\n").unwrap();
    let ended = node.run(&api, &["--log-file", &file]);
    ended.expect(0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("before\n") && text.contains("finished successfully") && ended.log.is_empty());
}

#[test]
fn a_log_file_that_cannot_be_opened_stops_before_anything_is_sent() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    check_rows([node.path("no/log"), node.path("")], |file| {
        node.run(&api, &["--log-file", &file]).expect(2).says("--log-file");
    });
    assert_eq!((api.connections(), fs::read_dir(node.path("pg")).unwrap().count()), (0, 0));
}

/// The most memory that it has had, in KiB.
fn peak(run: &Run) -> u64 {
    peak_of(run.pid()).expect("the run lives")
}

fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Steps for one stage; the request of the other stage is held, so that the run can be looked at.
fn peak_at(script: Script, next: Stage, count: usize) -> u64 {
    let (node, api) = (Node::new(), Api::start(restore(), script));
    let run = node.start(&api, &["--request-timeout", "5", "--create-timeout", "5"]);
    api.wait("the next request", |api| api.count(next) == count);
    let peak = peak(&run);
    api.release();
    run.end().expect(0);
    peak
}

fn hold() -> Step {
    Step::model().hold()
}

#[test]
fn endless_replies_do_not_fill_the_memory() {
    for what in [Form::EndlessHead, Form::EndlessBody] {
        let endless = || Step::model().form(what);
        let script = Script::new;
        check_rows(
            [
                ("status", script().status([endless()]).list([hold()]), Stage::List, 1),
                ("list", script().list([endless()]).create([hold()]), Stage::Create, 1),
                ("create", script().create([endless()]).list([Step::model(), hold()]), Stage::List, 2),
                ("poll", script().poll([endless(), hold()]), Stage::Poll, 2),
            ],
            |(name, script, next, count)| {
                let peak = peak_at(script, next, count);
                println!("endless {what:?} at the {name}: {peak} KiB");
                assert!(peak < 32 << 10, "endless {what:?} at the {name}: {peak} KiB");
            },
        );
    }
}

/// It is asked beside the polling, which goes on.
#[test]
fn an_endless_diagnosis_does_not_fill_the_memory() {
    let model = restore().duration_ms(6_000);
    let (node, api) =
        (Node::new(), Api::start(model, Script::new().diagnose([Step::model().form(Form::EndlessBody)])));
    let mut most = 0;
    let ended =
        node.start(&api, &["--watch-size"]).end_watched(|pid| most = peak_of(pid).unwrap_or(0).max(most));
    ended.expect(0);
    println!("endless diagnosis: {most} KiB");
    assert_eq!(api.count(Stage::Diagnose), 1);
    assert!(most < 32 << 10, "{most} KiB");
}

/// As long as a list may be: one operation an hour for twenty years.
#[test]
fn the_longest_list_does_not_fill_the_memory() {
    let operations = (0..180_000).map(|n| format!("{{\"id\":\"20{n:06}T101942\",\"type\":\"recovery\"}}"));
    let list = format!("{{\"operations\":[{}]}}", operations.collect::<Vec<_>>().join(","));
    let reply = Step::reply(200, "application/json", &list);
    let peak = peak_at(Script::new().list([reply]).create([hold()]), Stage::Create, 1);
    println!("the longest list: {peak} KiB");
    assert!(peak < 64 << 10, "{peak} KiB");
}
