//! Rows of the table of faults: what becomes of a restore, what is in its directory before, and what is done to that
//! directory meanwhile.

use std::fs;
use std::path::Path;

use crate::laws::row::{BACKUP, Row, nothing, restore, row};
use crate::support::node::WRONG;
use standin::{Mark, Part, Script, Status, Step, wait_until};

/// A backup that is older than `BACKUP`.
const EARLIER: &str = "20261120T080000";

pub fn rows() -> Vec<Row> {
    [ends(), removals(), before(), state_directories()].into_iter().flatten().collect()
}

fn ends() -> Vec<Row> {
    let failed = "Recovery operation failed.";
    let stuck = || restore().stuck();
    vec![
        row("end", "DONE is 0, and names the backup and when it was taken")
            .says("Created the recovery operation with ID 20")
            .says("Recovery operation finished successfully.")
            .says(BACKUP)
            .says("2026-11-22 10:19:42"),
        row("end", "FAILED is 1").model(restore().result(Status::Failed)).code(1).says(failed),
        row("end", "FAILED is 1 although everything is there, as after a hook script of Barman that failed")
            .model(restore().stop_behind(Part::Mark).result(Status::Failed))
            .code(1)
            .says(failed),
        row("end", "DONE for which Barman never came here is no success: created again, and then 1")
            .model(nothing())
            .code(1)
            .creates(3)
            .took(3)
            .says("Barman never ran a command on this node"),
        row(
            "end",
            "a backup by pg_basebackup, of a server that Barman itself had restored, asked for by its ID",
        )
        .model(restore().postgres_backup().old_info(EARLIER))
        .with(&["--backup-id", BACKUP]),
        row("end", "another backup than was asked for is 1")
            .model(nothing().backup(EARLIER).restores(EARLIER).fill())
            .with(&["--backup-id", BACKUP])
            .code(1)
            .says(EARLIER),
        row("end", "DONE without what Barman writes last is 1, and names it")
            .model(restore().stop_behind(Part::Wal))
            .code(1)
            .says("postgresql.auto.conf is still the one of the backup"),
        row("end", "DONE without a file that must be there is 1, and names it")
            .model(restore().mark(Mark::Missing))
            .code(1)
            .says("is not complete: there is no .barman-recover.info"),
        row("end", "WAL that comes in a trickle is waited for").model(restore().wal(4).wal_ms(500)),
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
            .model(stuck().hold())
            .with(&["--deadline", "4"])
            .code(251)
            .says("the deadline of 4 s has passed: recovery operation 20")
            .says("can't write on this node any more"),
        row("end", "the deadline ends a run whose create is not answered")
            .model(stuck())
            .script(Script::new().create([Step::model().hold()]))
            .with(&["--deadline", "4"])
            .code(251),
    ]
}

pub fn fill(data: &str) {
    fs::create_dir_all(Path::new(data).join("global")).unwrap();
    for file in ["PG_VERSION", "global/pg_control"] {
        fs::write(Path::new(data).join(file), "old").unwrap();
    }
}

fn removals() -> Vec<Row> {
    let removed = |rule: &str| {
        row("removal", rule)
            .code(1)
            .says("was removed or emptied while it was being restored")
            .model(restore().duration_ms(60_000))
    };
    vec![
        removed("a directory that is removed in the base copy ends the restore at once").during(
            |node, _, _| {
                node.wait_for_first_file();
                node.remove_data();
            },
        ),
        removed("a directory that is removed between two commands ends it too")
            .model(restore().hold())
            .during(|node, _, _| {
                node.wait_for_first_file();
                node.remove_data();
            }),
        // A mount point stays: what is in it goes.
        removed("a directory that is emptied in place, and filled by somebody else, ends it").during(
            |node, _, _| {
                node.wait_for_first_file();
                for entry in fs::read_dir(&node.data).unwrap() {
                    let path = entry.unwrap().path();
                    let removed =
                        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                    let _ = removed; // rsync renames its own files meanwhile
                }
                fill(&node.data);
            },
        ),
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
        row("before", "a directory that is not empty: said, and Barman refuses it")
            .before(|node, _| fill(&node.data))
            .code(1)
            .says("is not empty: Barman 3.15 and later refuse it")
            .says("was not empty (PG_VERSION, global)"),
        row("before", "lost+found, which Patroni does not see: said, and Barman refuses it")
            .before(|node, _| fs::create_dir_all(node.file("lost+found")).unwrap())
            .code(1)
            .says("has lost+found, as the root of a file system does")
            .says("was not empty (lost+found)"),
        row("before", "a file in its place: said, and Barman refuses it")
            .before(|node, _| fs::write(&node.data, "x").unwrap())
            .code(1)
            .says("is not a directory: Barman will refuse it"),
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
