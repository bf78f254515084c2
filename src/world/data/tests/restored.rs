//! Each way in which Barman restores: complete only after its last step.

use std::fs;

use super::steps::{ID, RESTORE, Restore, STEPS, Special, WAL, complete, disturb};
use crate::commands::verify::{RestoreState as State, looked};
use crate::world::{Completeness, MissingWal};

/// The ways that end with a proof.
const PROVEN: [Special; 6] = [
    Special::Plain,
    Special::Postgres,
    Special::Tar,
    Special::SourceRestored,
    Special::GetWal,
    Special::Renamed,
];

#[test]
fn a_restore_is_complete_after_its_last_step_and_not_before() {
    for backup in PROVEN {
        let restore = Restore::new(backup);
        let mut directory = restore.directory();
        directory.remember().unwrap();
        let mut disturbed = restore.directory();
        for (n, step) in STEPS.into_iter().enumerate() {
            let answer = directory.examine();
            assert!(
                matches!(answer, Completeness::Incomplete(_) | Completeness::Unchanged(_)),
                "{backup:?} before step {n}: {answer:?}"
            );
            if n > 0 {
                disturb(&restore.data);
                assert_eq!(directory.examine(), answer, "{backup:?} before step {n}, after chown");
                assert!(
                    !matches!(disturbed.examine(), Completeness::Complete(_)),
                    "{backup:?} before step {n}"
                );
            }
            step(&restore);
        }
        let answer = complete(directory.examine());
        disturb(&restore.data);
        assert_eq!(complete(directory.examine()), answer, "{backup:?} after chown");
        disturbed.look();
        assert_eq!(complete(disturbed.examine()), answer, "{backup:?} without a memory");
    }
}

#[test]
fn the_backup_is_named_by_what_is_its_own() {
    for (backup, id, server) in [
        (Special::Plain, Some(ID), "main"),
        (Special::Postgres, Some(ID), "main"),
        (Special::SourceRestored, Some(ID), "main"),
        (Special::Tar, None, "main"),
        (Special::Renamed, Some(ID), "old"),
    ] {
        let found = complete(Restore::whole(backup).directory().examine());
        assert_eq!((found.id.as_deref(), found.server.as_str()), (id, server), "{backup:?}");
        assert_eq!(found.last_wal.as_deref(), Some(WAL[2]));
        assert_eq!(found.warnings, []);
    }
    let restore = Restore::whole(Special::SourceRestored);
    fs::remove_file(restore.data.join(format!("backup_manifest.{ID}"))).unwrap();
    assert_eq!(complete(restore.directory().examine()).id, None, "the manifest of an earlier backup");
}

#[test]
fn a_restore_over_an_older_one_counts_from_its_own_last_file_on() {
    let mut restore = Restore::whole(Special::Plain);
    restore.edited = RESTORE + 1;
    let mut directory = restore.directory();
    directory.remember().unwrap();
    for (n, step) in STEPS.into_iter().enumerate() {
        let answer = directory.examine();
        // The base backup brings its own postgresql.auto.conf again, and leaves alone what is the same.
        let is_right = match n {
            0 | 1 => matches!(answer, Completeness::Unchanged(_)),
            _ => matches!(answer, Completeness::Incomplete(_)),
        };
        assert!(is_right, "before step {n}: {answer:?}");
        step(&restore);
    }
    complete(directory.examine());
    directory.remember().unwrap();
    restore.put("global/pg_control", "CONTROL", 1);
    assert!(matches!(directory.examine(), Completeness::Incomplete(_)), "something else is new");
    restore.put("postgresql.auto.conf", "work_mem = 1\n#\n", RESTORE + 2);
    complete(directory.examine());
}

#[test]
fn hidden_files_of_an_older_restore_prove_nothing() {
    let restore = Restore::whole(Special::Plain);
    for entry in fs::read_dir(&restore.data).unwrap().map(|entry| entry.unwrap()) {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else if entry.file_name() != ".barman-recover.info" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut directory = restore.directory();
    directory.remember().unwrap();
    for (n, step) in STEPS.into_iter().enumerate() {
        assert!(!matches!(directory.examine(), Completeness::Complete(_)), "before step {n}");
        step(&restore);
    }
    complete(directory.examine());
}

#[test]
fn without_the_file_that_barman_writes_last_there_is_no_proof() {
    let restore = Restore::new(Special::NoAutoConf);
    let mut directory = restore.directory();
    directory.remember().unwrap();
    restore.run();
    let Completeness::NoProof(backup, why) = directory.examine() else { panic!() };
    assert!(backup.id.as_deref() == Some(ID) && why.contains("postgresql.auto.conf"), "{why}");
    directory.remember().unwrap();
    assert!(matches!(directory.examine(), Completeness::Unchanged(_)));
    restore.put("base/5/2", "x", 1);
    restore.put("backup_label", &fs::read_to_string(restore.data.join("backup_label")).unwrap(), 2);
    assert!(matches!(directory.examine(), Completeness::Incomplete(_)), "the base backup is an old one");
    let restore = Restore::whole(Special::Plain);
    fs::remove_file(restore.data.join("postgresql.auto.conf.origin")).unwrap();
    let Completeness::NoProof(_, why) = restore.directory().examine() else { panic!() };
    assert!(why.contains(".origin"), "{why}");
}

#[test]
fn wal_that_the_backup_needs_is_part_of_it() {
    let lacks = |there: &str| MissingWal { needed: Some(WAL[2].into()), there: Some(there.into()) };
    for (backup, lost, there) in
        [(Special::Plain, 2, WAL[1]), (Special::Plain, 1, WAL[0]), (Special::Waiting, 2, WAL[1])]
    {
        let restore = Restore::whole(backup);
        let _ = fs::remove_file(restore.data.join("pg_wal").join(WAL[lost]));
        let Completeness::WalMissing(_, missing) = restore.directory().examine() else { panic!() };
        assert_eq!(missing, lacks(there), "{backup:?}");
    }
    let restore = Restore::whole(Special::Waiting);
    restore.put(&format!("pg_wal/{}", WAL[2]), "wal", 1);
    let Completeness::WalMissing(_, missing) = restore.directory().examine() else { panic!() };
    assert_eq!(missing, lacks(WAL[2]), "Barman waits, and does not say for what");
    let restore = Restore::whole(Special::GetWal);
    fs::remove_file(restore.data.join("recovery.signal")).unwrap();
    assert!(matches!(restore.directory().examine(), Completeness::WalMissing(..)), "nothing fetches it");
    let restore = Restore::whole(Special::Plain);
    fs::remove_dir_all(restore.data.join("pg_wal")).unwrap();
    assert!(matches!(restore.directory().examine(), Completeness::Incomplete(_)), "no pg_wal");
}

#[test]
fn what_loses_rows_or_a_night_is_said_beside_complete_data() {
    let restore = Restore::whole(Special::GetWal);
    let [warning] = &complete(restore.directory().examine()).warnings[..] else { panic!() };
    assert!(warning.message.contains("get-wal"), "{warning:?}");
    for line in ["recovery_conf:", "restore_command: barman-wal-restore -P -U barman backup main %f %p"] {
        assert!(warning.hint.as_ref().unwrap().contains(line), "{warning:?}");
    }
    let restore = Restore::whole(Special::Plain);
    restore.put("pg_wal/00000001.history", "", 1);
    assert_eq!(complete(restore.directory().examine()).warnings, []);
    restore.put("pg_wal/00000003.history", "", 1);
    let [warning] = &complete(restore.directory().examine()).warnings[..] else { panic!() };
    assert!(warning.message.contains("ends on timeline 1, but the archive has timeline 3"), "{warning:?}");
    assert!(warning.hint.as_ref().unwrap().contains("barman-wal-restore"), "{warning:?}");
}

#[test]
fn each_file_that_must_be_there_is_named_when_it_is_not() {
    for name in ["PG_VERSION", "global/pg_control", "backup_label", ".barman-recover.info"] {
        for text in [None, Some("")] {
            let restore = Restore::whole(Special::Plain);
            fs::remove_file(restore.data.join(name)).unwrap();
            if let Some(text) = text {
                restore.put(name, text, 1);
            }
            let Completeness::Incomplete(why) = restore.directory().examine() else { panic!("{name}") };
            assert!(why.contains(name), "{why}");
        }
    }
    for (name, text) in [
        ("backup_label", "START WAL LOCATION: 0/1000028 (file 000000010000000000000001)\n"),
        ("backup_label", "garbage"),
        (".barman-recover.info", "garbage"),
    ] {
        let restore = Restore::whole(Special::Plain);
        restore.put(name, text, 2_000_000);
        assert!(matches!(restore.directory().examine(), Completeness::Incomplete(_)), "{name}: {text}");
    }
}

#[test]
fn verify_says_the_same_to_people_and_programs() {
    for (backup, state, id) in [
        (Special::Plain, State::Complete, Some(ID)),
        (Special::NoAutoConf, State::Unproven, Some(ID)),
        (Special::Waiting, State::Incomplete, Some(ID)),
    ] {
        let found = looked(&Restore::whole(backup).data.to_string_lossy());
        assert_eq!((found.state, found.backup.unwrap().id.as_deref()), (state, id), "{}", found.detail);
    }
    let found = looked(&Restore::new(Special::Plain).data.to_string_lossy());
    assert_eq!((found.state, found.backup), (State::Incomplete, None));
    let waiting =
        serde_json::to_value(looked(&Restore::whole(Special::Waiting).data.to_string_lossy())).unwrap();
    assert_eq!(waiting["state"], "incomplete");
    assert_eq!((&waiting["wal"]["needed"], &waiting["wal"]["there"]), (&WAL[2].into(), &WAL[1].into()));
}
