//! Rows of the table of faults: what becomes of a restore, what is in its directory before, and what is done to that
//! directory meanwhile.

use std::fs;
use std::path::Path;

use crate::laws::row::{BACKUP, Row, nothing, restore, row};
use crate::support::node::WRONG;
use standin::{Part, Status, wait_until};

pub fn rows() -> Vec<Row> {
    [ends(), removals(), before(), state_directories()].into_iter().flatten().collect()
}

fn ends() -> Vec<Row> {
    let failed = "Recovery operation failed.";
    vec![
        row("end", "DONE is 0, and names the backup and when it was taken")
            .says("Created the recovery operation with ID 20")
            .says("Recovery operation finished successfully.")
            .says(BACKUP)
            .says("2026-11-22 10:19:42"),
        row("end", "FAILED is 1").model(restore().result(Status::Failed)).code(1).says(failed),
        row("end", "DONE for which Barman never came here is no success: created again, and then 1")
            .model(nothing())
            .code(1)
            .creates(3)
            .took(3)
            .says("Barman never ran a command on this node"),
        row("end", "DONE without what Barman writes last is 1, and names it")
            .model(restore().stop_behind(Part::Wal))
            .code(1)
            .says("postgresql.auto.conf is still the one from the backup"),
        row(
            "end",
            "Barman 3.14, which makes pg_tblspc before its first copy, is not taken for another program",
        )
        .model(restore().tablespaces_first()),
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
        row("end", "the deadline ends a restore that goes on without end")
            .model(restore().hold())
            .with(&["--deadline", "10"])
            .code(251)
            .says("the deadline of 10 s has passed: recovery operation 20")
            .says("can't write on this node any more"),
    ]
}

pub fn fill(data: &str) {
    fs::create_dir_all(Path::new(data).join("global")).unwrap();
    for file in ["PG_VERSION", "global/pg_control"] {
        fs::write(Path::new(data).join(file), "old").unwrap();
    }
}

fn removals() -> Vec<Row> {
    vec![
        row("removal", "a directory that is removed in the base copy ends the restore at once")
            .code(1)
            .says("was removed or emptied while it was being restored")
            .model(restore().duration_ms(60_000))
            .during(|node, _, _| {
                node.wait_for_first_file();
                node.remove_data();
            }),
    ]
}

fn before() -> Vec<Row> {
    vec![
        row("before", "PostgreSQL that is running in the directory: nothing is sent")
            .before(|node, _| {
                fill(&node.data);
                let pid = std::process::id();
                fs::write(node.file("postmaster.pid"), format!("{pid}\n")).unwrap();
            })
            .code(250)
            .creates(0)
            .says("PostgreSQL is running in"),
        row("before", "the root directory is no data directory: nothing is sent")
            .with(&["--data-directory", "/"])
            .code(WRONG)
            .creates(0)
            .says("the root directory"),
        row("before", "lost+found, which Patroni does not see: said, and Barman refuses it")
            .before(|node, _| fs::create_dir_all(node.file("lost+found")).unwrap())
            .code(1)
            .says("has lost+found, as the root of a file system does")
            .says("was not empty (lost+found)"),
        row("before", "an empty directory is restored into")
            .before(|node, _| fs::create_dir(&node.data).unwrap()),
    ]
}

fn state_directories() -> Vec<Row> {
    vec![
        row("state directory", "at --state-dir, made with its parents and gone afterwards")
            .with(&["--state-dir", "@/var/lib/state"])
            .during(|node, _, _| wait_until("it", || Path::new(&node.path("var/lib/state/run")).exists())),
        row("state directory", "what an earlier run left in it, or somebody wrote, hinders nobody").before(
            |node, _| {
                fs::create_dir(&node.state_dir).unwrap();
                for name in
                    ["run", "log-0123456789abcdef", "revoked-0123456789abcdef", "new-0123456789abcdef"]
                {
                    fs::write(Path::new(&node.state_dir).join(name), b"\xff\xfe garbage\n").unwrap();
                }
            },
        ),
        row("state directory", "one that can't be made: nothing is sent, and what to do is said")
            .with(&["--state-dir", "/proc/state"])
            .code(WRONG)
            .creates(0)
            .says("the state directory can't be made at")
            .says("--state-dir must name"),
        row("state directory", "one in the data directory would be restored over: refused")
            .with(&["--state-dir", "@/pg/data/state"])
            .code(WRONG)
            .creates(0)
            .says("is in the data directory"),
    ]
}
