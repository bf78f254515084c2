//! Rows of the table of faults: what becomes of a restore, and what is there before it.

use std::fs;
use std::path::Path;

use crate::laws::row::{BACKUP, Row, nothing, restore, row};
use crate::support::node::{Node, Run, SERVER};
use standin::client::{exchange, recovery_of};
use standin::{
    Api, At, Foreign, Kind, Mark, Model, OnRemoval, Part, Script, Stage, Status, Step, wait_until,
};

pub fn rows() -> Vec<Row> {
    [
        ends(),
        marks(),
        deadlines(),
        lost_creates(),
        lost_creates_and_the_api(),
        removals(),
        before(),
        state_files(),
        followed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Operations that write nothing here: the node's data directory can't be seen by Barman, or by us.
fn elsewhere() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids().duration_ms(50)
}

fn other_node(duration_ms: Option<u64>, status: Status) -> Foreign {
    Foreign { duration_ms, status: Some(status), ..Foreign::default() }
}

const UNSEEN: &[&str] = &["--data-directory", "@/nowhere/data"];
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
        row("mark", "a run ends only when nothing is written any more")
            .model(restore().duration_ms(1500).writes_on_ms(1500))
            .during(|node, api, _| {
                api.wait("the end", |api| api.operations().iter().any(|o| o.status == Status::Done));
                wait_until("the other writer", || Path::new(&node.data).join("base/2/3").exists());
            })
            .after("the other writer has ended", |node, _| Path::new(&node.data).join("base/2/29").exists()),
        row("mark", "receivers that live delay the end")
            .model(restore().receivers().writes_on_ms(1500))
            .after("the receivers have ended", |node, _| Path::new(&node.data).join("base/2/29").exists()),
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

fn lost_creates() -> Vec<Row> {
    let lost = |applied: bool| Step::model().close(At::Request).apply(applied);
    let with_other = |applied: bool, other: Foreign| Script::new().create([lost(applied).foreign(other)]);
    let existing = || restore().existing(other_node(Some(0), Status::Done));
    vec![
        row("lost create", "another node's operation that is done is no success of ours: created again")
            .script(with_other(false, other_node(Some(300), Status::Done)))
            .creates(2)
            .says("is new and may be ours"),
        row("lost create", "another node's operation that failed is no failure of ours: created again")
            .script(with_other(false, other_node(Some(300), Status::Failed)))
            .creates(2),
        row("lost create", "another node's operation that appears late is seen by the second look")
            .script(with_other(false, Foreign { after_ms: 300, ..other_node(Some(300), Status::Done) }))
            .creates(2)
            .says("is new and may be ours"),
        row("lost create", "no second one while another node's operation may be ours")
            .script(with_other(false, other_node(None, Status::Done)))
            .with(&["--deadline", "3"])
            .code(251)
            .creates(1)
            .took(0)
            .keeps_state_file()
            .says("may have been created"),
        row("lost create", "ours is done beside another node's: the data directory tells")
            .script(with_other(true, other_node(Some(300), Status::Failed)))
            .says("finished successfully"),
        row("lost create", "ours failed beside another node's that is done: the data directory tells")
            .model(restore().result(Status::Failed))
            .script(with_other(true, other_node(Some(300), Status::Done)))
            .code(1)
            .says("does not hold a complete restore"),
        row("lost create", "operations of before are no candidates")
            .model(existing())
            .script(Script::new().create([lost(false)]))
            .creates(2)
            .says("no operation was created"),
        row("lost create", "without the list of before every operation is a candidate")
            .model(existing())
            .script(Script::new().list([Step::proxy_error(503)]).create([lost(true)])),
        row("lost create", "a config switch is no candidate")
            .script(with_other(false, Foreign { kind: Kind::ConfigSwitch, ..other_node(None, Status::Done) }))
            .creates(2)
            .says("no operation was created"),
    ]
}

fn lost_creates_and_the_api() -> Vec<Row> {
    let lost = |applied: bool| Step::model().close(At::Request).apply(applied);
    vec![
        row("lost create", "the list has to answer before a second create")
            .script(Script::new().create([lost(true)]).list([Step::model(), Step::proxy_error(502).times(3)]))
            .says("Attempt 3 to ask about a recovery operation failed: HTTP 502"),
        row("lost create", "a list that never answers ends with 2, and the state file remembers")
            .model(nothing())
            .script(
                Script::new().create([lost(true)]).list([Step::model(), Step::proxy_error(502).forever()]),
            )
            .with(&["--max-outage", "1"])
            .code(2)
            .keeps_state_file()
            .says("a recovery operation of server main may still be running"),
        row("lost create", "an end that the data directory can't show is 2, naming the operations")
            .model(elsewhere())
            .script(Script::new().create([lost(true)]))
            .with(UNSEEN)
            .code(2)
            .says("can't be seen from here"),
        row("lost create", "an operation that ended elsewhere restored nothing here: created again")
            .model(elsewhere().next_operation().fill())
            .script(Script::new().create([lost(true)]))
            .creates(2)
            .took(2),
        row("lost create", "new files without Barman's last mark are no evidence: 1")
            .model(restore().mark(Mark::Missing))
            .script(Script::new().create([lost(true)]))
            .code(1),
        row("lost create", "FAILED with Barman's last mark there: the restore was ours, and is complete")
            .model(restore().stop_behind(Part::Mark).result(Status::Failed))
            .script(Script::new().create([lost(true)])),
        row("lost create", "an ID that the API does not know: the new one in its list is followed")
            .script(Script::new().create([
                Step::reply(202, "application/json", "{\"operation_id\":\"20200101T000000\"}").apply(true),
            ]))
            .says("which the API does not know"),
        row("lost create", "an ID that was there before the create is not ours: the new one is followed")
            .model(
                restore()
                    .existing(Foreign { id: Some(BACKUP.to_owned()), ..other_node(Some(0), Status::Done) }),
            )
            .script(
                Script::new().create([Step::reply(
                    202,
                    "application/json",
                    &format!("{{\"operation_id\":\"{BACKUP}\"}}"),
                )
                .apply(true)]),
            )
            .says("but its reply does not say so"),
        row("lost create", "404 blips while looking for it do not hide it").script(
            Script::new().create([lost(true)]).poll([Step::recording("operation-unknown-id").times(3)]),
        ),
        row("lost create", "its poll never answers: ends with 2, and the state file remembers")
            .model(nothing())
            .script(Script::new().create([lost(true)]).poll([Step::proxy_error(502).forever()]))
            .with(&["--max-outage", "1"])
            .code(2)
            .keeps_state_file(),
        row("lost create", "it is done, but the directory was full before: no evidence, no 0")
            .before(|node, _| fill(&node.data))
            .script(Script::new().create([lost(true)]))
            .code(1),
    ]
}

fn fill(data: &str) {
    fs::create_dir_all(Path::new(data).join("global")).unwrap();
    for file in ["PG_VERSION", "global/pg_control"] {
        fs::write(Path::new(data).join(file), "old").unwrap();
    }
}

/// Until the program must have seen the directory that is being restored.
fn seen(node: &Node, api: &Api, _: &Run) {
    wait_until("its first file", || Path::new(&node.data).join("PG_VERSION").exists());
    let polls = api.count(Stage::Poll);
    api.wait("two polls", |api| api.count(Stage::Poll) >= polls + 2);
}

fn removals() -> Vec<Row> {
    let mut rows = Vec::new();
    for (word, what) in
        [("fails", OnRemoval::Fail), ("is DONE", OnRemoval::Ignore), ("fills it again", OnRemoval::Refill)]
    {
        let model = || restore().hold().on_removal(what);
        let removed = row("removal", format!("the directory was removed and the operation {word}: never 0"));
        rows.push(removed.model(model()).code(1).during(|node, api, run| {
            seen(node, api, run);
            node.remove_data();
            api.release();
        }));
        let replaced =
            row("removal", format!("the directory was made anew and the operation {word}: never 0"));
        rows.push(replaced.model(model()).code(1).with(&["--no-state-file"]).during(|node, api, run| {
            seen(node, api, run);
            node.remove_data();
            fs::create_dir(&node.data).unwrap();
            api.release();
        }));
        // What fills it again leaves pieces; else there is nothing, and Barman takes the directory.
        let rule = format!("the same with a lost create, and the operation {word}: its pieces are no 0");
        let lost = row("removal", rule).model(model());
        let lost = if what == OnRemoval::Refill { lost.code(1) } else { lost.creates(2).took(2) };
        let script = Script::new().create([Step::model().close(At::Request)]);
        rows.push(lost.script(script).during(|node, api, run| {
            seen(node, api, run);
            node.remove_data();
            api.release();
        }));
    }
    // A mount point stays: what is in it goes.
    let emptied = row("removal", "the directory was emptied in place and filled by somebody else: never 0");
    rows.push(emptied.model(restore().hold().on_removal(OnRemoval::Refill)).code(1).during(
        |node, api, run| {
            seen(node, api, run);
            empty(&node.data);
            fill(&node.data);
            api.release();
        },
    ));
    let emptied = row("removal", "the directory was emptied in place in the middle of the restore: never 0");
    rows.push(emptied.model(restore().hold_behind(Part::Base)).code(1).during(|node, api, run| {
        seen(node, api, run);
        empty(&node.data);
        wait_until("the run to see it", || run.log().contains("emptied"));
        api.release();
    }));
    rows.push(doomed());
    rows
}

fn empty(data: &str) {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// Its receivers throw away what comes, for as long as the backup is large.
fn doomed() -> Row {
    let row = row("removal", "a restore whose directory was removed under it is ended, not waited for");
    let row = row.model(restore().receivers().stuck().on_removal(OnRemoval::Ignore)).code(1);
    row.during(|node, api, run| {
        seen(node, api, run);
        node.remove_data();
    })
}

fn before() -> Vec<Row> {
    vec![
        row("before", "PostgreSQL that is running in the directory: nothing is sent")
            .before(|node, _| {
                fill(&node.data);
                let pid = std::process::id();
                fs::write(Path::new(&node.data).join("postmaster.pid"), format!("{pid}\n")).unwrap();
            })
            .code(250)
            .creates(0)
            .without_data()
            .says("PostgreSQL is running in"),
        row("before", "a directory that is not empty: said, and Barman refuses it")
            .before(|node, _| fill(&node.data))
            .code(1)
            .says("is not empty: Barman 3.15 and later refuse it"),
        row("before", "a file in its place: said, and Barman refuses it")
            .before(|node, _| fs::write(&node.data, "x").unwrap())
            .code(1)
            .says("is not a directory: Barman will refuse it"),
        row("before", "an empty directory is restored into")
            .before(|node, _| fs::create_dir(&node.data).unwrap()),
    ]
}

fn state_file_of(node: &Node, url: &str, server: &str) {
    let run = serde_json::json!({"run": {
        "pid": 1, "api_url": url, "barman_server": server, "backup_id": "latest", "data_directory": node.data,
    }});
    fs::write(&node.state_file, format!("{run}\n")).unwrap();
}

fn state_files() -> Vec<Row> {
    let unusable = "continuing without it";
    vec![
        row("state file", "none is kept when none is wanted").with(&["--no-state-file"]),
        row("state file", "garbage in it is as if it were not there, with a warning")
            .before(|node, _| fs::write(&node.state_file, b"\xff\xfe garbage\n").unwrap())
            .says("is unreadable"),
        row("state file", "an empty one is as if it were not there")
            .before(|node, _| fs::write(&node.state_file, "").unwrap()),
        row("state file", "without a parent: a warning, and on without it")
            .with(&["--state-file", "@/nowhere/state"])
            .says(unusable),
        row("state file", "a directory in its place: a warning, and on without it")
            .before(|node, _| fs::create_dir(&node.state_file).unwrap())
            .keeps_state_file()
            .says(unusable),
        row("state file", "on a full disk: a warning, and on without it")
            .with(&["--state-file", "/dev/full"])
            .says(unusable),
        row("state file", "of another API: BUSY, saying which file to remove, and nothing is sent")
            .before(|node, _| state_file_of(node, "http://127.0.0.1:9", SERVER))
            .code(250)
            .creates(0)
            .keeps_state_file()
            .says("belongs to a different API")
            .says("then remove"),
        row("state file", "of another server: BUSY, and nothing is sent")
            .before(|node, api| state_file_of(node, &api.url(), "other"))
            .code(250)
            .creates(0)
            .keeps_state_file()
            .says("belongs to a different Barman server"),
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
            .after("no more polls than tries", |_, api| api.count(Stage::Poll) < 20)
            .pending(),
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
fn of_two_nodes_with_one_operation_only_that_with_the_data_is_told_0() {
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
