//! Rows of the table of faults: what becomes of a restore.

use std::thread;

use crate::laws::row::{BACKUP, Row, restore, row};
use crate::support::node::{Node, SERVER};
use standin::client::{exchange, recovery_of};
use standin::{Api, Foreign, Mark, Model, Part, Script, Stage, Status, Step, wait_until};

pub fn rows() -> Vec<Row> {
    [ends(), marks(), deadlines(), followed()].into_iter().flatten().collect()
}

/// Operations that write nothing here: the node's data directory can't be seen by Barman, or by us.
pub fn elsewhere() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids().duration_ms(50)
}

pub fn other_node(duration_ms: Option<u64>, status: Status) -> Foreign {
    Foreign { duration_ms, status: Some(status), ..Foreign::default() }
}

pub const UNSEEN: &[&str] = &["--data-directory", "@/nowhere/data"];
/// A backup that is older than `BACKUP`.
const EARLIER: &str = "20261120T080000";

/// A restore of a server with two backups.
fn of_two() -> Model {
    Model::new().server(SERVER).backup(EARLIER).backup(BACKUP).unique_ids().duration_ms(100).fill()
}

fn ends() -> Vec<Row> {
    let failed = "Recovery operation failed.";
    let done = "Recovery operation finished successfully.";
    vec![
        row("end", "DONE is 0").says(done).says("Created the recovery operation with ID 20"),
        row("end", "DONE at the first poll is 0").model(restore().duration_ms(0)).says(done),
        row("end", "0 names the backup, and when it was taken").says(BACKUP).says("2026-11-22 10:19:42"),
        row("end", "FAILED is 1").model(restore().result(Status::Failed)).code(1).says(failed),
        row("end", "FAILED is 1 although the base backup is there")
            .model(restore().stop_behind(Part::Base).result(Status::Failed))
            .code(1)
            .says(failed),
        row("end", "FAILED is 1 although Barman's last mark is there")
            .model(restore().stop_behind(Part::Mark).result(Status::Failed))
            .code(1)
            .says(failed),
        row("end", "DONE without data is 1").model(elsewhere()).code(1).says(failed),
        row("end", "DONE without data is 0 and a warning with --no-verify")
            .model(elsewhere())
            .with(&["--no-verify"])
            .without_data()
            .says("WARNING: Barman says"),
        row("end", "DONE into a directory that can't be seen is 0 and a warning")
            .model(elsewhere())
            .with(UNSEEN)
            .without_data()
            .says("can't be seen from here"),
        row("end", "an unknown backup is final, with the server's words")
            .with(&["--backup-id", "20200101T000000"])
            .code(2)
            .creates(1)
            .took(0)
            .says("HTTP 404: Backup '20200101T000000' does not exist"),
        row("end", "an unknown server is final, with the server's words")
            .with(&["--barman-server", "nope"])
            .code(2)
            .creates(1)
            .took(0)
            .says("HTTP 404: Server 'nope' does not exist"),
    ]
}

/// What Barman leaves as the sign of a complete restore.
fn marks() -> Vec<Row> {
    let asked = &["--backup-id", BACKUP];
    vec![
        row("mark", "new files without it are another Barman's: 0 and a warning")
            .model(restore().mark(Mark::Missing))
            .without_data()
            .says("nothing shows whether it is complete"),
        row("mark", "base backup and WAL without it are 0 and a warning too: its order may be another")
            .model(restore().stop_behind(Part::Wal))
            .without_data()
            .says("WARNING"),
        row("mark", "it counts where the backup's source was itself restored by Barman")
            .model(of_two().old_info(EARLIER)),
        row("mark", "an old .info that came with the backup is no mark")
            .model(of_two().old_info(EARLIER).mark(Mark::Missing))
            .without_data()
            .says("nothing shows whether it is complete"),
        row("mark", "an .info of another backup than backup_label names is no mark")
            .model(of_two().mark(Mark::Of(EARLIER.to_owned())))
            .without_data()
            .says("nothing shows whether it is complete"),
        row("mark", "that of the backup that was asked for by ID counts").model(of_two()).with(asked),
        row("mark", "that of another backup than was asked for by ID is 1")
            .model(of_two().restores(EARLIER))
            .with(asked)
            .code(1)
            .says(EARLIER),
        row("mark", "a backup by pg_basebackup, without an ID in its label, counts")
            .model(of_two().postgres_backup())
            .with(asked),
        row("mark", "WAL that comes in a trickle is waited for").model(restore().wal(4).wal_ms(500)),
    ]
}

fn deadlines() -> Vec<Row> {
    let stuck = || restore().stuck();
    let held = |step: Step| step.hold();
    vec![
        row("deadline", "an operation that never ends ends the run at the deadline, and is remembered")
            .model(stuck())
            .with(&["--deadline", "4"])
            .code(251)
            .keeps_state_file()
            .says("the deadline of 4 s has passed: recovery operation 20"),
        row("deadline", "it passes before the create: nothing was started")
            .script(Script::new().status([held(Step::model())]))
            .with(&["--deadline", "1"])
            .code(251)
            .creates(0)
            .says("no recovery operation was started"),
        row("deadline", "it passes during the create: the operation may be running, and is remembered")
            .model(stuck())
            .script(Script::new().create([held(Step::model())]))
            .with(&["--deadline", "4"])
            .code(251)
            .keeps_state_file()
            .says("may have been created"),
        row("deadline", "a run that is in time ends as ever").with(&["--deadline", "60"]),
    ]
}

/// `--operation-id`: somebody else has created it.
fn followed() -> Vec<Row> {
    let follow = |rule: &'static str, duration_ms, status| {
        let existing = Foreign { id: Some(BACKUP.to_owned()), ..other_node(duration_ms, status) };
        let row = row("followed", rule).model(restore().existing(existing)).creates(0);
        row.with(&["--operation-id", BACKUP])
    };
    let ours = |rule: &'static str, model: Model| {
        let row = row("followed", rule).model(model).creates(1).with(&["--operation-id", "#"]);
        row.before(|node, api| {
            let (_, end) = exchange(api.address(), &recovery_of(SERVER, &node.data));
            end.unwrap();
        })
    };
    vec![
        ours("DONE with the data is 0, and nothing is created", restore()).says("finished successfully"),
        ours("FAILED is 1, and nothing is created", restore().result(Status::Failed)).code(1),
        follow("DONE without the data is 1", Some(300), Status::Done).code(1),
        follow("DONE without the data is 0 with --no-verify", Some(300), Status::Done)
            .with(&["--no-verify"])
            .without_data(),
        follow("404 blips do not end it", Some(0), Status::Done)
            .script(Script::new().poll([Step::recording("operation-unknown-id").times(3)]))
            .with(&["--no-verify"])
            .without_data(),
        follow("an outage in which nothing arrives uses up its budget at once", None, Status::Done)
            .script(Script::new().poll([Step::proxy_error(502).forever()]))
            .with(&["--max-outage", "0"])
            .code(2)
            .keeps_state_file()
            .after("no more polls than tries", |_, api| api.count(Stage::Poll) < 20),
        row("followed", "an operation that the API does not have is 2")
            .with(&["--operation-id", "20200101T000000"])
            .creates(0)
            .code(2)
            .says("is unknown to the API"),
    ]
}

/// Two nodes pass the API's check together and get one ID: the last one's directory is filled, and the API
/// shows nothing of it.
#[test]
fn of_two_nodes_with_one_operation_only_that_with_the_data_ends_with_0() {
    let api = Api::start(Model::new().server(SERVER).backup(BACKUP).race_ms(800).fill(), Script::new());
    let nodes = [Node::new(), Node::new()];
    // Two creates in one second of the clock, and in the first half of it.
    let clock =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_millis();
    wait_until("the beginning of a second", || clock() < 200);
    let runs = nodes.each_ref().map(|node| node.start(&api, &[]));
    for (run, node) in runs.into_iter().zip(&nodes) {
        let ended = run.end();
        assert_eq!(ended.code() == 0, node.is_complete(), "{}", ended.log);
        assert!(api.max_parallel(&node.data) <= 1);
    }
}

/// Barman's process died, or the API did, when all was there.
#[test]
fn a_restore_that_is_complete_is_done_though_the_api_never_says_so() {
    thread::scope(|scope| {
        for is_down in [false, true] {
            scope.spawn(move || {
                let (node, api) = (Node::new(), Api::start(restore().stuck(), Script::new()));
                let run = node.start(&api, &["--max-outage", "300"]);
                wait_until("the restore", || node.is_complete());
                if is_down {
                    api.go_down();
                }
                run.end().expect(0).says("WARNING");
                assert!(!node.has_state_file());
            });
        }
    });
}
