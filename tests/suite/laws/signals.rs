//! Signals: a run ends at once by the signal, and says in one line what goes on without it.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::laws::row::restore;
use crate::support::node::{Node, PROGRAM, Run, bare};
use crate::support::table::{check_at_once, check_rows};
use standin::{Api, Model, Script, Stage, Step, wait_until};

const SIGNALS: [(&str, i32); 3] = [("TERM", 15), ("INT", 2), ("HUP", 1)];

/// Limits far beyond the guard against hangs: only the signal can end these runs.
const PATIENT: [&str; 10] = [
    "--request-timeout",
    "600",
    "--create-timeout",
    "600",
    "--connect-timeout",
    "600",
    "--max-outage",
    "600",
    "--loop-wait",
    "600",
];

const NOTHING: &str = "operation was started";
const MAYBE: &str = "a recovery operation of server main may have been created";
const NAMED: &str = "of server main continues on the Barman host";

struct Phase {
    name: &'static str,
    model: fn() -> Model,
    script: Script,
    extra: &'static [&'static str],
    reached: fn(&Api, &Run),
    says: &'static str,
    /// Whether something may be running, and has to be remembered.
    state_file: bool,
}

fn phases() -> Vec<Phase> {
    let hold = || [Step::model().hold()];
    let phase = |name, script, reached, says, state_file| Phase {
        name,
        model: || restore().stuck(),
        script,
        extra: &[],
        reached,
        says,
        state_file,
    };
    let api_error = Script::new().create([Step::recording("create-recovery-same-second").forever()]);
    vec![
        phase(
            "waiting for a connection's first byte",
            Script::new().connect(hold()),
            |api, _| api.wait("the connection", |api| api.connections() == 1),
            NOTHING,
            false,
        ),
        phase(
            "waiting for the status",
            Script::new().status(hold()),
            |api, _| api.wait("the request", |api| api.count(Stage::Status) == 1),
            NOTHING,
            false,
        ),
        phase(
            "waiting for the list",
            Script::new().list(hold()),
            |api, _| api.wait("the request", |api| api.count(Stage::List) == 1),
            NOTHING,
            false,
        ),
        Phase {
            extra: &["--retry-wait", "600"],
            ..phase(
                "waiting before another create",
                api_error,
                |_, run| run.wait_for("Attempt 1 of 3 to create"),
                NOTHING,
                false,
            )
        },
        phase(
            "waiting for the reply to the create",
            Script::new().create(hold()),
            |api, _| api.wait("the create", |api| api.applied() == 1),
            MAYBE,
            true,
        ),
        phase(
            "looking for the operation of a lost create",
            Script::new().create([Step::proxy_error(502).apply(true)]),
            |_, run| run.wait_for("may be ours"),
            MAYBE,
            true,
        ),
        phase(
            "waiting for the status of the operation",
            Script::new().poll(hold()),
            |api, _| api.wait("the poll", |api| api.count(Stage::Poll) == 1),
            NAMED,
            true,
        ),
        phase(
            "waiting between two polls",
            Script::new(),
            |_, run| run.wait_for("is still in progress"),
            NAMED,
            true,
        ),
        Phase {
            extra: &["--retry-wait", "600"],
            ..phase(
                "waiting in an outage",
                Script::new().poll([Step::proxy_error(502).forever()]),
                |_, run| run.wait_for("Attempt 1 to ask"),
                NAMED,
                true,
            )
        },
    ]
}

fn cancelled_lines(log: &str) -> usize {
    log.lines().filter(|line| line.contains("WARNING: cancelled:")).count()
}

#[test]
fn in_every_phase_a_signal_ends_the_run_by_itself_and_one_line_says_what_goes_on() {
    let phases = phases();
    let cases: Vec<(&Phase, (&str, i32))> =
        phases.iter().flat_map(|phase| SIGNALS.map(|signal| (phase, signal))).collect();
    let name = |(phase, (signal, _)): &(&Phase, (&str, i32))| format!("{} {signal}", phase.name);
    check_at_once(8, &cases, name, |(phase, (signal, number))| {
        let (node, api) = (Node::new(), Api::start((phase.model)(), phase.script.clone()));
        let extra: Vec<&str> = PATIENT.iter().chain(phase.extra).copied().collect();
        let run = node.start(&api, &extra);
        (phase.reached)(&api, &run);
        run.signal(signal);
        let ended = run.end();
        let right = ended.code() == -number
            && cancelled_lines(&ended.log) == 1
            && ended.log.contains(phase.says)
            && node.has_state_file() == phase.state_file
            && !ended.log.contains("panicked");
        let named =
            phase.says != NAMED || ended.log.contains(&format!("operation {}", api.operations()[0].id));
        if right && named { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    println!("{} cases: signals {}", cases.len(), cases.len());
}

/// A TCP connect can't be interrupted; the signal need not wait for it.
#[test]
fn a_signal_ends_a_run_that_is_connecting() {
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let waiting = fill_backlog(address);
    let node = Node::new();
    let run = node.spawn(node.command(&format!("http://{address}"), &PATIENT));
    run.wait_for("Restoring backup");
    run.signal("TERM");
    let ended = run.end();
    ended.expect(-15).says("operation was started");
    assert_eq!(cancelled_lines(&ended.log), 1, "{}", ended.log);
    drop(waiting);
}

/// From then on the kernel answers no more connects.
fn fill_backlog(address: SocketAddr) -> Vec<TcpStream> {
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    std::iter::from_fn(connect).take(10_000).collect()
}

#[test]
fn a_signal_ends_a_run_that_waits_for_the_lock_and_leaves_the_other_alone() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let first = node.start(&api, &[]);
    wait_until("the operation", || node.state().contains("operation"));
    let second = node.start(&api, &PATIENT);
    second.wait_for("another run");
    second.signal("TERM");
    let ended = second.end();
    ended.expect(-15).says("cancelled:");
    assert_eq!(cancelled_lines(&ended.log), 1, "{}", ended.log);
    assert!(node.has_state_file());
    api.release();
    first.end().expect(0);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_left_over_operation_and_names_it() {
    let (node, api) = (Node::new(), Api::start(restore().stuck(), Script::new()));
    let first = node.start(&api, &[]);
    first.wait_for("is still in progress");
    first.signal("TERM");
    first.end().expect(-15);
    let second = node.start(&api, &PATIENT);
    second.wait_for("is still in progress");
    second.signal("INT");
    second.end().expect(-2).says(&format!("operation {} {NAMED}", api.operations()[0].id));
    assert!(node.has_state_file());
}

#[test]
fn a_second_signal_changes_nothing() {
    let (node, api) = (Node::new(), Api::start(restore().stuck(), Script::new()));
    let run = node.start(&api, &PATIENT);
    run.wait_for("is still in progress");
    let both = format!("kill -s TERM {pid}; kill -s TERM {pid}", pid = run.pid());
    Command::new("sh").args(["-c", &both]).status().unwrap();
    run.end().expect(-15).says(NAMED);
}

/// Its lines have no room any more, as in a pipe to a log collector that has stopped.
#[test]
fn a_signal_ends_a_run_whose_log_nobody_reads() {
    check_rows(["info", "debug"], |level| {
        let (node, api) = (Node::new(), Api::start(restore().stuck(), Script::new()));
        let (reader, mut stderr) = UnixStream::pair().unwrap();
        stderr.set_nonblocking(true).unwrap();
        while stderr.write(&[b'x'; 4096]).is_ok() {}
        stderr.set_nonblocking(false).unwrap();
        let command = node.command(&api.url(), &["--log-level", level]);
        let run = node.spawn_with(command, Some(OwnedFd::from(stderr).into()));
        wait_until("the watch for signals", || blocks_sigterm(run.pid()));
        run.signal("TERM");
        run.end().expect(-15);
        assert_eq!(api.connections(), 0, "its first line waits to be read");
        drop(reader);
    });
}

fn blocks_sigterm(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & (1 << (15 - 1)) != 0
}

#[test]
fn a_hangup_that_is_ignored_at_the_start_stays_ignored() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let mut nohup = bare("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", PROGRAM]).args(node.arguments(&api.url(), &[]));
    let run = node.spawn(nohup);
    run.wait_for("is still in progress");
    run.signal("HUP");
    api.release();
    let ended = run.end();
    ended.expect(0);
    assert_eq!(cancelled_lines(&ended.log), 0);
}
