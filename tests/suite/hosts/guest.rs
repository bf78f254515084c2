//! The library is a guest that nobody notices: it never ends its host, and leaves nothing behind in it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::support::tools::{c_program, library, said, source};
use tempfile::TempDir;

use crate::support::{Within as _, tempdir};
use standin::{Api, At, Model, Script, Step, Tls};

fn model() -> Model {
    Model::new().server("main").backup("20261122T101942").unique_ids()
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Over {
    Http,
    Https,
}

fn start(over: Over, model: Model, script: Script) -> Api {
    let tls = || Tls::new(include_bytes!("../../tls/server.pem"), include_bytes!("../../tls/server.key"));
    match over {
        Over::Http => Api::start(model, script),
        Over::Https => Api::start_tls(model, script, &tls()),
    }
}

/// By name, so that names are looked up too.
fn url(api: &Api) -> String {
    api.url().replace("127.0.0.1", "localhost")
}

fn host(path: &str, scratch: &TempDir) -> Option<Command> {
    let mut command = Command::new(c_program(path, scratch)?);
    command.env("HOST_CA", source("tests/tls/ca.pem"));
    Some(command)
}

/// Runs `tests/c/guest.c`; what it prints is for whoever reads along (`--nocapture`).
fn guest(name: &str, api: &Api, count: u32) {
    let scratch = tempdir();
    let Some(mut guest) = host("tests/c/guest.c", &scratch) else { return };
    ends_well(guest.args([name, &url(api), &scratch.within(""), &count.to_string()]));
}

fn ends_well(host: &mut Command) {
    let ended = host.output().unwrap();
    assert!(ended.status.success(), "{host:?}: {}", said(&ended));
    print!("{}", String::from_utf8_lossy(&ended.stdout));
}

/// Each way to lose a connection, in each stage of a recovery.
fn resets(over: Over) -> Script {
    let replies = match over {
        Over::Http => [0, 1, 20, 100, usize::MAX],
        Over::Https => [0, 1, 2, 100, usize::MAX],
    };
    let ways = || {
        let requests = [At::Head, At::Request].into_iter();
        let requests = requests.flat_map(|at| [Step::model().reset(at), Step::model().close(at)]);
        requests.chain(replies.map(|bytes| Step::model().cut(bytes).reset(At::Reply))).collect::<Vec<_>>()
    };
    let connections = [Step::model().reset(At::Head), Step::model().close(At::Head)];
    Script::new().connect(connections).status(ways()).list(ways()).poll(ways()).diagnose(ways())
}

#[test]
fn a_peer_that_resets_never_kills_it() {
    for over in [Over::Http, Over::Https] {
        let script = resets(over).create([Step::model().reset(At::Head), Step::model().reset(At::Request)]);
        let api = start(over, model().fill().duration_ms(300), script);
        guest("restores", &api, 1);
    }
}

#[test]
fn a_signal_each_millisecond_changes_nothing() {
    for (over, name) in [(Over::Http, "interrupted"), (Over::Https, "restarted")] {
        let script = Script::new()
            .status([Step::model().reset(At::Head), Step::model().delay_ms(200)])
            .create([Step::model().reset(At::Head), Step::model().reset(At::Request)])
            .poll([Step::model().reset(At::Request), Step::model().delay_ms(200)]);
        let api = start(over, model().fill().duration_ms(300), script);
        guest(name, &api, 3);
        assert_eq!(api.applied(), 3);
    }
}

#[test]
fn after_runs_the_host_holds_what_it_held() {
    for (over, count) in [(Over::Http, 16), (Over::Https, 12)] {
        guest("restores", &start(over, model().fill(), Script::new()), count);
    }
}

/// A leak of a few KiB a run shows here.
#[test]
#[ignore = "deep"]
fn after_many_runs_the_host_holds_what_it_held() {
    guest("restores", &start(Over::Http, model().fill(), Script::new()), 150);
}

/// The host waits for the word `until` before the operations go on.
fn held(name: &str, api: &Api, count: u32, until: &str) {
    let scratch = tempdir();
    let Some(mut guest) = host("tests/c/guest.c", &scratch) else { return };
    guest.args([name, &url(api), &scratch.within(""), &count.to_string()]);
    // Without optimisation, TLS alone takes more than the 128 KiB.
    if cfg!(debug_assertions) && api.url().starts_with("https:") {
        guest.env("HOST_STACK_KIB", "256");
    }
    let mut running = guest.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said_so_far = BufReader::new(running.stdout.take().unwrap());
    said_so_far.read_line(&mut line).unwrap();
    api.release();
    said_so_far.read_to_string(&mut line).unwrap();
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success() && line.contains(until), "{line}{}", said(&ended));
    print!("{line}");
}

#[test]
fn forks_of_the_host_do_no_harm() {
    let api = start(Over::Http, model().fill().hold(), Script::new());
    held("forks", &api, 5, "forked");
}

fn side_by_side(over: Over, count: u32) {
    let api = start(over, model().fill().hold(), Script::new());
    held("side-by-side", &api, count, "in progress");
    assert_eq!(api.applied(), count as usize);
}

#[test]
fn recoveries_run_side_by_side_on_small_stacks() {
    // Each has a real rsync on both sides, which is what fills the machine.
    side_by_side(Over::Http, 20);
}

#[test]
#[ignore = "deep"]
fn two_hundred_recoveries_run_side_by_side() {
    for count in [1, 10, 100, 200] {
        side_by_side(Over::Http, count);
    }
    for count in [1, 10, 100] {
        side_by_side(Over::Https, count);
    }
}

/// An API that is slow, silent or broken at any moment, and operations that never end.
fn unreliable() -> Script {
    let steps = (0..40_000_u32).map(|number| match number.wrapping_mul(2_654_435_761) >> 28 {
        0 => Step::model().hang_ms(3_600_000),
        1 => Step::model().drip_ms(1),
        2 => Step::proxy_error(502),
        delay => Step::model().delay_ms(u64::from(delay)),
    });
    let connections = (0..40_000_u64).map(|number| match number % 16 {
        7 => Step::model().hang_ms(3_600_000),
        _ => Step::model().delay_ms(number % 4),
    });
    Script::new().connect(connections).any(steps)
}

#[test]
fn another_thread_cancels_at_any_moment() {
    for over in [Over::Http, Over::Https] {
        guest("cancels", &start(over, model().stuck(), unreliable()), 60);
    }
}

#[test]
#[ignore = "deep"]
fn a_thousand_cancels_are_prompt() {
    for over in [Over::Http, Over::Https] {
        let api = start(over, model().stuck(), unreliable());
        let scratch = tempdir();
        let Some(mut guest) = host("tests/c/guest.c", &scratch) else { return };
        guest.args(["cancels", &api.url(), &scratch.within(""), "1000"]);
        // Without optimisation it takes that long to read the system's certificates, which is part of connecting.
        if over == Over::Http || !cfg!(debug_assertions) {
            guest.env("HOST_PROMPT", "1");
        }
        ends_well(&mut guest);
    }
}

/// Runs `tests/c/plugin.c`, which loads the library itself.
fn plugin(name: &str, api: &Api, count: u32) {
    let scratch = tempdir();
    let Some(mut plugin) = host("tests/c/plugin.c", &scratch) else { return };
    let words = [name, &url(api), &scratch.within(""), &count.to_string()];
    ends_well(plugin.args(words).arg(library()));
}

fn cycles(count: u32) {
    let api = start(Over::Http, model().fill(), Script::new());
    plugin("cycles", &api, count);
    assert!(api.applied() >= count.min(20) as usize);
}

#[test]
fn a_plugin_is_loaded_run_and_unloaded_again_and_again() {
    cycles(12);
}

#[test]
#[ignore = "deep"]
fn a_plugin_is_loaded_run_and_unloaded_a_thousand_times() {
    cycles(1000);
}

fn misuse(rounds: u32) {
    plugin("misuse", &start(Over::Http, model(), Script::new()), rounds);
}

#[test]
fn any_call_with_any_argument_from_two_threads_is_an_answer() {
    misuse(100);
}

#[test]
#[ignore = "deep"]
fn any_call_for_a_minute() {
    misuse(1500);
}
