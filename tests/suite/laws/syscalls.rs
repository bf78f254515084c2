//! The kernel says no: each system call of a run of the program that can fail does so once, in place of being
//! made. Whatever comes of the run, it ends, without a crash, a writer that is left, or a 0 for half a restore.
//!
//! A first run under strace shows which calls there are. Those of the loader and of Rust's runtime, before the
//! program's own first one, are left alone. A thread counts its calls for itself, so that a fault meets the
//! helper threads as well: each request has a thread of its own, and a call that it makes can fail in all of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::laws::row::restore;
use crate::support::node::{Ended, Node, PROGRAM, bare};
use crate::support::table::check_at_once;
use crate::support::tools::{left_out, tool};
use standin::{Api, Model, Script, Status};

/// The calls, and what each may fail with; the first is that of the quick run. Not there: calls whose failure
/// Rust's own library answers with an abort, as it can mean nothing but a bug.
const CALLS: &[(&str, &[&str])] = &[
    ("clone3", &["EAGAIN", "ENOMEM"]),
    ("close", &["EINTR"]),
    ("connect", &["ECONNRESET", "EINTR", "EACCES", "ENOMEM"]),
    ("fallocate", &["ENOSPC", "EIO", "EOPNOTSUPP"]),
    ("fchmod", &["EACCES", "EIO"]),
    ("flock", &["EINTR", "ENOLCK", "EIO"]),
    ("futex", &["EINTR"]),
    ("getdents64", &["EIO", "ENOMEM"]),
    ("getrandom", &["EINTR", "ENOSYS"]),
    ("ioctl", &["EIO", "EINTR"]),
    ("lseek", &["EIO"]),
    ("mkdirat", &["EACCES", "EIO", "ENOSPC"]),
    ("mmap", &["ENOMEM"]),
    ("newfstatat", &["EIO", "EACCES", "ENOMEM"]),
    ("openat", &["EACCES", "EINTR", "EIO", "EMFILE", "ENOMEM", "ENOSPC"]),
    ("poll", &["EINTR", "ENOMEM"]),
    ("ppoll", &["EINTR", "ENOMEM"]),
    ("read", &["EIO", "EINTR", "ENOMEM"]),
    ("pread64", &["EIO", "EINTR"]),
    ("readlink", &["EACCES", "EIO"]),
    ("recvfrom", &["ECONNRESET", "EINTR", "EAGAIN", "ENOMEM"]),
    ("renameat", &["EACCES", "EIO", "ENOSPC"]),
    ("rt_sigtimedwait", &["EINTR", "EAGAIN"]),
    ("sendto", &["ECONNRESET", "EINTR", "EPIPE", "ENOMEM"]),
    ("setsockopt", &["ENOMEM", "EINVAL"]),
    ("socket", &["EMFILE", "EACCES", "ENOMEM"]),
    ("statfs", &["EACCES", "EIO"]),
    ("statx", &["EACCES", "EIO", "ENOMEM"]),
    ("syncfs", &["EIO", "ENOSPC"]),
    ("unlinkat", &["EACCES", "EIO"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
];

/// Of the many calls of a run these must have failed, or the test has tested nothing.
const ESSENTIAL: [&str; 9] =
    ["connect", "flock", "mkdirat", "openat", "recvfrom", "sendto", "syncfs", "unlinkat", "write"];

/// The deep test makes so many faults of each call, spread over its errors and occurrences: most of these are looks at
/// the processes of this machine.
const MOST: usize = 40;

/// The deadline shows a hang before the guard does, and leaves no process behind.
const OPTIONS: [&str; 6] = ["--request-timeout", "2", "--max-outage", "2", "--deadline", "30"];
/// Only a guard: no run takes a tenth of it on a loaded machine.
const HANGS: Duration = Duration::from_secs(80);
/// Done, failed, HTTP error or no state directory, API not OK. Any other is a crash, a hang (the deadline's 251, or killed), or says
/// something of the options.
const ENDS: [i32; 4] = [0, 1, 2, 254];
const DEADLINE: i32 = 251;

/// The program's own first call: it takes the signals that end it, all others are let through.
const OWN_BEGIN: &str = "rt_sigprocmask(SIG_BLOCK, [";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// A restore that works.
    Fresh,
    /// A restore that fails.
    Failing,
    /// An earlier run was killed in its restore, which has left an empty directory and its lease.
    LeftOver,
}

const SCENES: [Scene; 3] = [Scene::Fresh, Scene::Failing, Scene::LeftOver];

struct Stage {
    node: Node,
    api: Api,
}

impl Scene {
    fn set(self) -> Stage {
        let restore = || restore().bytes(8192);
        let start = |model: Model| Stage { node: Node::new(), api: Api::start(model, Script::new()) };
        match self {
            Scene::Fresh => start(restore()),
            Scene::Failing => start(restore().result(Status::Failed)),
            Scene::LeftOver => {
                let stage = start(restore().hold());
                let run = stage.node.start(&stage.api, &[]);
                stage.node.wait_for_first_file();
                run.kill();
                stage.node.remove_data();
                stage.api.release();
                stage
            }
        }
    }
}

#[derive(Debug)]
struct Fault {
    scene: Scene,
    call: &'static str,
    /// From 1.
    occurrence: usize,
    error: &'static str,
}

impl Stage {
    /// Runs the program under strace, which ends as the program ends.
    fn run(&self, words: &[String]) -> (Ended, String) {
        let trace = self.node.path("trace");
        let mut command = bare("strace");
        command.args(["-f", "-qq", "-o", &trace]).args(words).arg(PROGRAM);
        command.args(self.node.arguments(&self.api.url(), &OPTIONS));
        let mut run = self.node.spawn(command);
        let begun = Instant::now();
        while !run.has_ended() && begun.elapsed() < HANGS {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = if run.has_ended() { run.end() } else { run.kill() };
        (ended, fs::read_to_string(trace).unwrap())
    }

    /// `met` is how often a call failed. If that was in the thread of each request, the API was out of reach for good,
    /// and the deadline may end the run.
    fn wrong(&self, ended: &Ended, met: usize) -> Option<String> {
        let code = ended.code();
        let crashed =
            ["panicked", "a bug in", "memory allocation"].iter().any(|words| ended.log.contains(words));
        let lasts = met > 1 && code == DEADLINE;
        if crashed || !(ENDS.contains(&code) || lasts) {
            return Some(format!("a crash or a hang: ended with {code}"));
        }
        let receivers = self.node.receivers();
        if !receivers.is_empty() {
            return Some(format!("something writes on: {receivers:?}"));
        }
        (code == 0 && !self.node.is_complete()).then(|| "0 without the data".into())
    }
}

/// How often each call was made after the program's own beginning, and before: the most of any thread.
fn count_calls(trace: &str) -> BTreeMap<&str, (usize, usize)> {
    let mut threads: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut calls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut begun = false;
    for line in trace.lines() {
        let Some((thread, made)) = line.split_once(' ') else { continue };
        let Some((call, _)) = made.trim_start().split_once('(') else { continue };
        begun = begun || made.contains(OWN_BEGIN);
        let count = threads.entry((thread, call)).or_default();
        *count += 1;
        let (before, all) = calls.entry(call).or_default();
        *all = (*all).max(*count);
        if !begun {
            *before = *count;
        }
    }
    calls
}

fn faults(scene: Scene, quick: bool) -> Vec<Fault> {
    let stage = scene.set();
    let (ended, trace) = stage.run(&[]);
    assert_eq!(stage.wrong(&ended, 0), None, "{scene:?}: {ended:?}");
    let made = count_calls(&trace);
    let mut faults = Vec::new();
    for (call, errors) in CALLS {
        let Some((before, all)) = made.get(call) else { continue };
        let of = |error| (before + 1..=*all).map(move |occurrence| Fault { scene, call, occurrence, error });
        let each: Vec<Fault> = errors.iter().copied().flat_map(of).collect();
        let most = if quick { 1 } else { MOST };
        let step = each.len().div_ceil(most).max(1);
        faults.extend(each.into_iter().step_by(step));
    }
    faults
}

/// Whether the call failed; not if the run made fewer of them than the first one, or if it was the loader's.
fn inject(fault: &Fault) -> Result<bool, String> {
    let stage = fault.scene.set();
    let Fault { call, occurrence, error, .. } = fault;
    let (ended, trace) = stage.run(&[
        "-e".into(),
        format!("trace={call},rt_sigprocmask"),
        "-e".into(),
        format!("inject={call}:error={error}:when={occurrence}"),
    ]);
    let at = |words: &str| trace.lines().position(|line| line.contains(words));
    match (at(OWN_BEGIN), at("(INJECTED)")) {
        (Some(begin), Some(injected)) if begin < injected => {}
        _ => return Ok(false),
    }
    let met = trace.lines().filter(|line| line.contains("(INJECTED)")).count();
    match stage.wrong(&ended, met) {
        None => Ok(true),
        Some(wrong) => Err(format!("{wrong}\n{}{:#?}", ended.log, stage.api.operations())),
    }
}

/// Whether strace is here, and may trace.
fn can_trace() -> bool {
    let Some(mut strace) = tool("strace") else { return false };
    let status = strace.args(["-f", "-qq", "-o", "/dev/null", "sh", "-c", ":"]).status().unwrap();
    if !status.success() {
        left_out("strace must not trace here");
    }
    status.success()
}

fn check(scenes: &[Scene], quick: bool) {
    if !can_trace() {
        return;
    }
    let faults: Vec<Fault> = scenes.iter().flat_map(|scene| faults(*scene, quick)).collect();
    let met = Mutex::new(BTreeMap::<&str, usize>::new());
    check_at_once(
        4,
        &faults,
        |fault| format!("{fault:?}"),
        |fault| {
            if inject(fault)? {
                *met.lock().unwrap().entry(fault.call).or_default() += 1;
            }
            Ok(())
        },
    );
    let met = met.into_inner().unwrap();
    println!("{} runs, {} with a fault: {met:?}", faults.len(), met.values().sum::<usize>());
    for call in ESSENTIAL {
        assert!(met.contains_key(call), "no {call} failed");
    }
}

#[test]
fn a_system_call_that_fails_once_makes_no_hang_no_crash_and_no_wrong_0() {
    check(&[Scene::LeftOver], true);
}

#[test]
#[ignore = "deep"]
fn a_system_call_may_fail_anywhere_with_any_of_its_errors() {
    check(&SCENES, false);
}
