//! Rows of the table of faults: what is in the data directory and in the state file before a restore, and what becomes
//! of a restore whose directory is removed or emptied.

use std::fs;
use std::path::Path;

use crate::laws::row::{Row, restore, row};
use crate::support::node::{Node, Run, SERVER};
use standin::{Api, At, Part, Script, Stage, Step, wait_until};

pub fn rows() -> Vec<Row> {
    [removals(), before(), state_files()].into_iter().flatten().collect()
}

pub fn fill(data: &str) {
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

/// What is left of Barman's restore fills the directory again: pieces.
fn removals() -> Vec<Row> {
    let held = |rule: &str| row("removal", rule).model(restore().hold()).code(1);
    vec![
        held("the directory was removed in the middle of the restore: never 0").during(|node, api, run| {
            seen(node, api, run);
            node.remove_data();
            api.release();
        }),
        held("the directory was made anew: never 0").with(&["--no-state-file"]).during(|node, api, run| {
            seen(node, api, run);
            node.remove_data();
            fs::create_dir(&node.data).unwrap();
            api.release();
        }),
        held("the directory was removed after a lost create: never 0")
            .script(Script::new().create([Step::model().close(At::Request)]))
            .during(|node, api, run| {
                seen(node, api, run);
                node.remove_data();
                api.release();
            }),
        // A mount point stays: what is in it goes.
        held("the directory was emptied in place and filled by somebody else: never 0").during(
            |node, api, run| {
                seen(node, api, run);
                empty(&node.data);
                fill(&node.data);
                api.release();
            },
        ),
        held("the directory was emptied in place: never 0").model(restore().hold_behind(Part::Base)).during(
            |node, api, run| {
                seen(node, api, run);
                empty(&node.data);
                wait_until("the run to see it", || run.log().contains("emptied"));
                api.release();
            },
        ),
    ]
}

fn empty(data: &str) {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
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
