//! The Python `patroni_barman`, which this program replaces: the same arguments against the same API give the
//! same exit status, requests and key messages, and where they do not, the difference is meant and has a row
//! here. Python's side is only run when the environment variable `PYTHON_PATRONI_BARMAN` names it.

use std::{env, fs};

use crate::cli::{BACKUP, model, restore};
use crate::support::node::{Node, PROGRAM, SERVER, bare};
use crate::support::table::{Expected, check_at_once, check_rows};
use standin::{Api, At, Model, Script, Status, Step, wait_until};

struct Case {
    rule: &'static str,
    model: Model,
    script: Script,
    /// `URL`, `DATA` and `NOWHERE` stand for the API's address, the data directory and a path that can't be.
    arguments: Vec<&'static str>,
    ours: Expected,
    pythons: Expected,
    down: bool,
}

fn end(code: i32, creates: usize, says: &[&str]) -> Expected {
    let says = says.iter().map(|&words| words.to_owned()).collect();
    Expected { code, creates, took: None, says }
}

fn case(rule: &'static str, script: Script, ours: Expected, pythons: Expected) -> Case {
    let arguments = [GLOBAL, &["recover"], RECOVER].concat();
    Case { rule, model: restore().duration_ms(0), script, arguments, ours, pythons, down: false }
}

fn same(rule: &'static str, code: i32, creates: usize, says: &'static [&'static str]) -> Case {
    case(rule, Script::new(), end(code, creates, says), end(code, creates, says))
}

impl Case {
    fn script(self, script: Script) -> Self {
        Self { script, ..self }
    }

    fn model(self, model: Model) -> Self {
        Self { model, ..self }
    }

    fn arguments(self, arguments: &[&[&'static str]]) -> Self {
        Self { arguments: arguments.concat(), ..self }
    }

    fn down(self) -> Self {
        Self { down: true, ..self }
    }

    fn check(&self, program: &str, expected: &Expected) -> Result<(), String> {
        let (node, api) = (Node::new(), Api::start(self.model.clone(), self.script.clone()));
        if self.down {
            api.go_down();
        }
        let fill = |word: &&str| {
            word.replace("URL", &api.url())
                .replace("DATA", &node.data)
                .replace("NOWHERE", &node.path("no/file"))
        };
        let mut command = bare(program);
        command.args(self.arguments.iter().map(fill));
        let ended = node.spawn(command).end();
        let wrong = expected.differences(Some(ended.code()), &ended.log, &api);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("\n{}\n{}", wrong.join("\n"), ended.log))
    }
}

const GLOBAL: &[&str] = &["--api-url", "URL", "--retry-wait", "0", "--max-retries", "3"];
const RECOVER: &[&str] = &[
    "--barman-server",
    SERVER,
    "--ssh-command",
    "ssh node",
    "--data-directory",
    "DATA",
    "--loop-wait",
    "1",
    "--backup-id",
    BACKUP,
];
const PATRONIS: &[&str] = &[
    "--scope=demo",
    "--role=replica",
    "--connstring=host=a port=5432",
    "--no_leader=1",
    "--keep_data=True",
    "--datadir=DATA",
];
const DONE: &[&str] =
    &["INFO: Created the recovery operation with ID 20", "INFO: Recovery operation finished successfully."];
const GIVES_UP: &str = "ERROR: Maximum number of retries exceeded, exiting.";
const ISSUE: &str = "ERROR: An issue was faced while trying to create a recovery operation: ";
const TRACEBACK: &[&str] = &["Traceback (most recent call last)"];

fn cases_alike() -> Vec<Case> {
    let mut cases = answers_alike();
    cases.extend(arguments_alike());
    cases
}

fn answers_alike() -> Vec<Case> {
    let word = |body: &str| Step::reply(200, "application/json", body);
    vec![
        same("a restore that is done is 0", 0, 1, DONE),
        same("a restore that fails is 1", 1, 1, &["ERROR: Recovery operation failed."])
            .model(restore().duration_ms(0).result(Status::Failed)),
        same(
            "a restore that takes a while is reported",
            0,
            1,
            &["Recovery operation 20", "is still in progress"],
        )
        .model(restore().duration_ms(1500)),
        same(
            "an API that is not OK is 254",
            254,
            0,
            &["ERROR: pg-backup-api is not working: ", "maintenance"],
        )
        .script(Script::new().status([word("\"maintenance\"")])),
        same("an unknown status word, again and again, is 2", 2, 1, &[GIVES_UP])
            .model(model().stuck())
            .script(Script::new().poll([word("{\"status\":\"PAUSED\"}").forever()]))
            .arguments(&[GLOBAL, &["recover"], RECOVER, &["--no-lease", "--max-outage=1"]]),
        same("a poll without a status is asked again", 0, 1, DONE)
            .script(Script::new().poll([word("{}").times(2)])),
        same("a poll of 404 is asked again", 0, 1, DONE)
            .script(Script::new().poll([Step::recording("operation-unknown-id").times(2)])),
    ]
}

fn arguments_alike() -> Vec<Case> {
    vec![
        same("no sub-command is 255", 255, 0, &[]).arguments(&[GLOBAL]),
        same("no arguments are wrong usage", 2, 0, &["the following arguments are required: --api-url"])
            .arguments(&[]),
        same(
            "missing options of the sub-command are named",
            2,
            0,
            &["the following arguments are required: --barman-server, --ssh-command, --data-directory"],
        )
        .arguments(&[GLOBAL, &["recover"]]),
        same("a missing value is wrong usage", 2, 0, &["--api-url"]).arguments(&[&["--api-url"]]),
        same("a number that is none is wrong usage", 2, 0, &["--retry-wait"]).arguments(&[
            GLOBAL,
            &["--retry-wait", "x", "recover"],
            RECOVER,
        ]),
        same("an unknown sub-command is wrong usage", 2, 0, &["restore"]).arguments(&[GLOBAL, &["restore"]]),
        same("unknown options are ignored", 0, 1, DONE).arguments(&[
            GLOBAL,
            &["recover"],
            RECOVER,
            &["--hello=1", "--no-such-option"],
        ]),
        same("what Patroni passes by itself is ignored", 0, 1, DONE).arguments(&[
            GLOBAL,
            &["recover"],
            RECOVER,
            PATRONIS,
        ]),
        same("prefixes of options mean what they meant, whatever options have come since", 0, 1, DONE)
            .arguments(&[
                &["--a", "URL", "--r", "0", "--m", "3", "recover", "--bar", SERVER, "--s", "ssh node"],
                &["--datad", "DATA", "--l", "1", "--bac", BACKUP],
            ]),
        same("the last of an option that is given twice wins", 0, 1, DONE).arguments(&[
            GLOBAL,
            &["recover"],
            RECOVER,
            &["--backup-id", "nope", "--backup-id=latest"],
        ]),
        same("help is 0", 0, 0, &[]).arguments(&[&["recover", "--help"]]),
    ]
}

fn cases_of_meant_differences() -> Vec<Case> {
    let error_500 = || Step::recording("create-recovery-same-second");
    let lost = || Step::model().reset(At::Request);
    let unknown = || Step::recording("operation-unknown-id");
    vec![
        case(
            "connection refused at the start: 254 in words instead of a traceback",
            Script::new(),
            end(254, 0, &["pg-backup-api is not working: ", "connection refused"]),
            end(1, 0, TRACEBACK),
        )
        .down(),
        case(
            "503 of the status: asked again instead of a traceback",
            Script::new().status([Step::proxy_error(503)]),
            end(0, 1, DONE),
            end(1, 0, TRACEBACK),
        ),
        case(
            "500 of the create, as another node was served in that second: created again instead of a traceback",
            Script::new().create([error_500()]),
            end(0, 2, DONE),
            end(1, 1, TRACEBACK),
        ),
        case(
            "404 of the create: final at once, with the server's words, instead of asked again",
            Script::new().create([Step::recording("create-unknown-backup").forever()]),
            end(2, 1, &[ISSUE, "Backup '20200101T000000' does not exist"]),
            end(2, 3, &[ISSUE]),
        ),
        case(
            "a lost reply to the create: its operation is followed instead of left alone",
            Script::new().create([lost()]),
            end(0, 1, &["but its reply does not say so", "Recovery operation finished successfully."]),
            end(1, 1, TRACEBACK),
        ),
        case(
            "502 of a poll: asked again instead of a traceback while the restore goes on",
            Script::new().poll([Step::proxy_error(502)]),
            end(0, 1, DONE),
            end(1, 1, TRACEBACK),
        ),
        case(
            "404 of a poll, more often than --max-retries: waited for up to --max-outage",
            Script::new().poll([unknown().times(4)]),
            end(0, 1, DONE),
            end(2, 1, &[]),
        )
        .arguments(&[GLOBAL, &["recover"], RECOVER, &["--max-outage=30"]]),
        case(
            "a log file that can't be opened: wrong usage, before anything is sent, instead of a traceback",
            Script::new(),
            end(2, 0, &["argument --log-file: "]),
            end(1, 0, TRACEBACK),
        )
        .arguments(&[GLOBAL, &["--log-file", "NOWHERE", "recover"], RECOVER]),
    ]
}

fn check_all(cases: &[Case]) {
    let name = |case: &Case| case.rule.to_owned();
    check_at_once(4, cases, name, |case| case.check(PROGRAM, &case.ours));
    match env::var("PYTHON_PATRONI_BARMAN") {
        Ok(python) => check_at_once(4, cases, name, |case| case.check(&python, &case.pythons)),
        Err(_) => println!("PYTHON_PATRONI_BARMAN is not set: Python's side was not run"),
    }
}

#[test]
fn what_the_python_program_does_is_done_alike() {
    check_all(&cases_alike());
}

#[test]
fn what_the_python_program_does_otherwise_is_meant() {
    check_all(&cases_of_meant_differences());
}

/// Barman would take it from the home directory of its ssh user; Python's program lets it.
#[test]
fn a_relative_data_directory_is_taken_from_the_current_directory() {
    let (node, api) = (Node::new(), Api::start(restore(), Script::new()));
    let mut command = node.command(&api.url(), &["--datadir=data"]);
    command.current_dir(node.path("pg"));
    node.spawn(command).end().expect(0);
    assert_eq!(api.operations()[0].destination_directory.as_deref(), Some(&*node.data), "the whole path");
    assert!(node.is_complete());
}

/// Barman refuses a directory in which our own state directory lies.
#[test]
fn a_data_directory_that_ends_with_dots_has_its_state_directory_beside_it() {
    check_rows(
        [("pg/data", "."), ("pg/data", "./"), ("pg/data/sub", ".."), ("pg", "data/sub/..")],
        |(here, given)| {
            let (node, api) =
                (Node::new(), Api::start(restore(), Script::new().status([Step::model().hold()])));
            fs::create_dir_all(node.path("pg/data/sub")).unwrap();
            let mut command = node.command(&api.url(), &["--datadir", given]);
            command.current_dir(node.path(here));
            let run = node.spawn(command);
            wait_until(given, || node.has_state());
            assert_eq!(fs::read_dir(&node.data).unwrap().count(), 1, "{given}: something beside 'sub'");
            run.kill();
        },
    );
}
