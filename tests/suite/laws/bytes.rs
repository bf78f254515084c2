//! Every reply of a recovery cut off behind each of its bytes, and with each of its bytes changed. Thousands of
//! recoveries, so they run inside of the test, through the library.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use barman_recover::{Cancel, Code, Config, Event, Opt, run};

use crate::laws::row::{BACKUP, nothing};
use crate::support::node::{Node, SERVER};
use crate::support::table::check_at_once;
use standin::client::{exchange, get, recovery};
use standin::{Api, Kind, Model, Script, Status, Step, operation_id};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Status,
    List,
    Create,
    InProgress,
    Done,
    Failed,
}

const TARGETS: [Target; 6] =
    [Target::Status, Target::List, Target::Create, Target::InProgress, Target::Done, Target::Failed];

impl Target {
    /// Another node's operation is in the list, and its ID is one second before ours.
    fn model(self) -> Model {
        let other = operation_id(SystemTime::now() - Duration::from_secs(1));
        let model = nothing().duration_ms(100).existing(&other, Kind::Recovery, Status::Done);
        match self {
            Target::Done => model.duration_ms(0),
            Target::Failed => model.duration_ms(0).result(Status::Failed),
            _ => model,
        }
    }

    fn script(self, step: Step) -> Script {
        let script = Script::new();
        match self {
            Target::Status => script.status([step]),
            Target::List => script.list([step]),
            Target::Create => script.create([step]),
            _ => script.poll([step]),
        }
    }

    /// The bytes that are to be spoilt; dates and IDs in them differ from those of a later reply.
    fn reply(self) -> Vec<u8> {
        let status = match self {
            Target::Done => Status::Done,
            Target::Failed => Status::Failed,
            _ => Status::InProgress,
        };
        let model = Model::new().server("pg").backup(BACKUP).existing(BACKUP, Kind::Recovery, status);
        let api = Api::start(model, Script::new());
        let request = match self {
            Target::Status => get("/status"),
            Target::List => get("/servers/pg/operations"),
            Target::Create => recovery("ssh node", "/data"),
            _ => get(&format!("/servers/pg/operations/{BACKUP}")),
        };
        exchange(api.address(), &request).0
    }
}

#[derive(Clone, Copy, Debug)]
enum Spoil {
    Cut(usize),
    Flip(usize, u8),
}

struct Case {
    target: Target,
    spoil: Spoil,
}

fn cases(one_in: usize) -> Vec<Case> {
    let spoils = TARGETS.into_iter().flat_map(|target| {
        let reply = target.reply();
        assert!(reply.len() > 100, "{target:?}: {}", String::from_utf8_lossy(&reply));
        let each = move |(at, byte): (usize, &u8)| {
            [Spoil::Cut(at), Spoil::Flip(at, byte ^ 1), Spoil::Flip(at, b'x')]
                .map(|spoil| Case { target, spoil })
        };
        reply.iter().enumerate().flat_map(each).collect::<Vec<_>>()
    });
    spoils.enumerate().filter(|(number, _)| number % one_in == 0).map(|(_, case)| case).collect()
}

/// Without a lease and without data, so that there is nothing but the replies to go by.
fn config(node: &Node, api: &Api) -> Config {
    let mut config = Config::new();
    let url = api.url();
    let texts = [
        (Opt::ApiUrl, url.as_str()),
        (Opt::BarmanServer, SERVER),
        (Opt::SshCommand, "ssh node"),
        (Opt::DataDirectory, &node.data),
        (Opt::NoLease, "true"),
        (Opt::NoVerify, "true"),
        (Opt::RetryWait, "0"),
        (Opt::MaxRetries, "3"),
        (Opt::LoopWait, "1"),
        (Opt::MaxOutage, "1"),
        (Opt::Deadline, "60"), // only the guard against a hang
    ];
    for (option, text) in texts {
        config.set(option, text).unwrap();
    }
    config
}

/// Exit codes that may come of it. The end of an operation is never misread; a status that is changed may say that the
/// API is not OK, and after a create whose reply names no operation, or another, nobody knows.
fn allowed(case: &Case) -> &'static [Code] {
    match (case.target, case.spoil) {
        (Target::Failed, _) => &[Code::RecoveryFailed],
        (Target::Status, Spoil::Flip(..)) => &[Code::RecoveryDone, Code::ApiNotOk],
        (Target::Create, _) => &[Code::RecoveryDone, Code::HttpError],
        _ => &[Code::RecoveryDone],
    }
}

fn check(case: &Case) -> Result<(), String> {
    let step = match case.spoil {
        Spoil::Cut(bytes) => Step::model().cut(bytes),
        Spoil::Flip(at, to) => Step::model().flip(at, to),
    };
    let node = Node::new();
    let api = Api::start(case.target.model(), case.target.script(step));
    let log = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&log);
    let outcome = run(&config(&node, &api), &Cancel::new(), move |event| {
        if let Event::Log { message, .. } = event {
            lines.lock().unwrap().extend([&message, "\n"]);
        }
    });
    let operations = api.operations();
    let ours: Vec<_> =
        operations.iter().filter(|o| o.destination_directory.as_deref() == Some(&node.data)).collect();
    let is_done = matches!(ours[..], [operation] if operation.status == Status::Done);
    let wrong = if outcome.code == Code::RecoveryDone && !is_done {
        "a wrong 0"
    } else if ours.len() > 1 {
        "a second create"
    } else if !allowed(case).contains(&outcome.code) {
        "another code than allowed"
    } else {
        return Ok(());
    };
    let log = log.lock().unwrap();
    Err(format!("{wrong}: {:?}\n{log}{ours:?}", outcome.code))
}

fn check_all(one_in: usize) {
    let cases = cases(one_in);
    let name = |case: &Case| format!("{:?} {:?}", case.target, case.spoil);
    check_at_once(32, &cases, name, check);
    let cuts = cases.iter().filter(|case| matches!(case.spoil, Spoil::Cut(_))).count();
    println!("{} cases: cut replies {cuts}, changed bytes {}", cases.len(), cases.len() - cuts);
}

/// One in seven is a sample of every kind of fault and every part of a reply.
#[test]
fn a_reply_that_is_cut_or_changed_at_some_byte_is_never_misread() {
    check_all(7);
}

#[test]
#[ignore = "deep"]
fn a_reply_that_is_cut_or_changed_at_any_byte_is_never_misread() {
    check_all(1);
}
