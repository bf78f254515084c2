//! Signals: SIGTERM and SIGINT end a run, and the restore with it, in every phase and by that signal; one line says so.
//! SIGHUP ends nothing: a lost terminal must not cost hours.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::laws::row::{broken_laws, restore};
use crate::support::node::{Ended, Node, Run};
use crate::support::table::{check_at_once, check_rows};
use standin::{Api, Model, Script, Stage, Status, Step, wait_until};

/// Limits far beyond the guard against hangs: only the signal can end these runs.
const PATIENT: [&str; 8] =
    ["--request-timeout", "600", "--create-timeout", "600", "--max-outage", "600", "--loop-wait", "600"];

const NOTHING: &str = "cancelled: no recovery operation was started";
const MAYBE: &str = "cancelled: a recovery operation of server main can't write on this node any more";
const NAMED: &str = " of server main can't write on this node any more";

struct Phase {
    name: &'static str,
    model: Model,
    script: Script,
    extra: &'static [&'static str],
    reached: fn(&Node, &Api, &Run),
    says: &'static str,
}

/// A phase of a restore that has no end.
fn phase(name: &'static str, script: Script, says: &'static str, reached: fn(&Node, &Api, &Run)) -> Phase {
    Phase { name, model: restore().duration_ms(60_000), script, extra: &[], reached, says }
}

fn phases() -> Vec<Phase> {
    let mut phases = phases_until_the_create();
    phases.extend(phases_of_the_restore());
    phases
}

fn phases_until_the_create() -> Vec<Phase> {
    let hold = || [Step::model().hold()];
    let api_error = Script::new().create([Step::recording("create-recovery-same-second").forever()]);
    let lost = || [Step::proxy_error(502).apply(true)];
    vec![
        phase(
            "waiting for a connection's first byte",
            Script::new().connect(hold()),
            NOTHING,
            |_, api, _| {
                api.wait("the connection", |api| api.connections() == 1);
            },
        ),
        phase("waiting for the status", Script::new().status(hold()), NOTHING, |_, api, _| {
            api.wait("the request", |api| api.count(Stage::Status) == 1);
        }),
        phase("waiting for the list", Script::new().list(hold()), NOTHING, |_, api, _| {
            api.wait("the request", |api| api.count(Stage::List) == 1);
        }),
        Phase {
            extra: &["--retry-wait", "600"],
            ..phase("waiting before another create", api_error, NOTHING, |_, _, run| {
                run.wait_for("Attempt 1 of 3 to create");
            })
        },
        phase("waiting for the reply to the create", Script::new().create(hold()), MAYBE, |node, _, _| {
            wait_until("the restore", || node.file("PG_VERSION").exists());
        }),
        phase(
            "looking for the operation of a lost create",
            Script::new().create(lost()),
            NAMED,
            |_, _, run| {
                run.wait_for("may be ours");
            },
        ),
    ]
}

fn phases_of_the_restore() -> Vec<Phase> {
    vec![
        Phase {
            // While a command of Barman is seen to run, the question comes after the loop wait.
            extra: &["--loop-wait", "1"],
            ..phase(
                "waiting for the status of the operation",
                Script::new().poll([Step::model().hold()]),
                NAMED,
                |_, api, _| {
                    api.wait("the poll", |api| api.count(Stage::Poll) == 1);
                },
            )
        },
        phase("while data arrives", Script::new(), NAMED, |node, _, _| node.wait_for_first_file()),
        Phase {
            model: restore().hold(),
            ..phase("between two commands of Barman", Script::new(), NAMED, |node, _, _| {
                node.wait_for_first_file();
            })
        },
        Phase {
            extra: &["--retry-wait", "600", "--loop-wait", "1"],
            ..phase(
                "waiting in an outage",
                Script::new().poll([Step::proxy_error(502).forever()]),
                NAMED,
                |_, _, run| run.wait_for("Attempt 1 to ask"),
            )
        },
    ]
}

fn cancelled_lines(log: &str) -> usize {
    log.lines().filter(|line| line.contains("WARNING: cancelled:")).count()
}

/// Patroni's next method begins at once: nothing of the restore may write any more.
#[test]
fn in_every_phase_a_signal_ends_the_run_by_itself_and_the_restore_with_it() {
    let phases = phases();
    let mut cases: Vec<(&Phase, (&str, i32))> = phases.iter().map(|phase| (phase, ("TERM", 15))).collect();
    // Both are taken in one place.
    cases.extend(phases.last().map(|phase| (phase, ("INT", 2))));
    let name = |(phase, (signal, _)): &(&Phase, (&str, i32))| format!("{} {signal}", phase.name);
    check_at_once(8, &cases, name, |(phase, (signal, number))| {
        let (node, api) = (Node::new(), Api::start(phase.model.clone(), phase.script.clone()));
        let extra: Vec<&str> = PATIENT.iter().chain(phase.extra).copied().collect();
        let run = node.start(&api, &extra);
        (phase.reached)(&node, &api, &run);
        run.signal(signal);
        let ended = run.end();
        let is_right = ended.code() == -number
            && cancelled_lines(&ended.log) == 1
            && ended.log.contains(phase.says)
            && broken_laws(&node, &ended).is_empty();
        let is_named =
            phase.says != NAMED || ended.log.contains(&format!("operation {}", api.operations()[0].id));
        if !(is_right && is_named) {
            return Err(format!("{ended:?} {:?}", broken_laws(&node, &ended)));
        }
        api.release();
        api.wait("the end of Barman's restore", |api| {
            api.operations().iter().all(|operation| operation.status != Status::InProgress)
        });
        Ok(())
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
    ended.expect(-15).says(NOTHING);
    assert_eq!(cancelled_lines(&ended.log), 1, "{}", ended.log);
    drop(waiting);
}

/// From then on the kernel answers no more connects.
fn fill_backlog(address: SocketAddr) -> Vec<TcpStream> {
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    std::iter::from_fn(connect).take(10_000).collect()
}

#[test]
fn a_signal_ends_a_run_that_waits_for_another_and_leaves_that_alone() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let first = node.start(&api, &[]);
    node.wait_for_first_file();
    let second = node.start(&api, &PATIENT);
    second.wait_for("another run");
    second.signal("TERM");
    second.end().expect(-15).says(NOTHING);
    api.release();
    first.end().done();
    assert!(node.is_complete());
}

/// Whoever sends it does not want to wait; the lease ends with the process.
#[test]
fn after_a_second_signal_the_restore_has_ended_too() {
    let (node, api) = (Node::new(), Api::start(restore().duration_ms(60_000), Script::new()));
    let run = node.start(&api, &PATIENT);
    node.wait_for_first_file();
    let both = format!("kill -s TERM {pid}; kill -s TERM {pid}", pid = run.pid());
    Command::new("sh").args(["-c", &both]).status().unwrap();
    run.end().expect(-15);
    wait_until("the end of the receivers", || node.receivers().is_empty());
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
fn a_hangup_ends_nothing() {
    let (node, api) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let run = node.start(&api, &[]);
    node.wait_for_first_file();
    run.signal("HUP");
    api.release();
    let ended: Ended = run.end();
    ended.done();
    assert_eq!(cancelled_lines(&ended.log), 0);
}
