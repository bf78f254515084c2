//! A call that fails is neither yes nor no: for every call of a look and of an examination.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::double::Double;
use super::steps::{Restore, STEPS, Special, complete};
use crate::world::{Completeness, Content, Known, Look};

const ERRORS: [i32; 5] = [libc::EIO, libc::ESTALE, libc::ENOMEM, libc::EACCES, libc::EMFILE];

/// Every state that a restore passes through, and every kind of backup when it is whole.
fn states() -> Vec<Restore> {
    let parts = (0..STEPS.len()).map(|steps| {
        let restore = Restore::new(Special::SourceRestored);
        STEPS[..steps].iter().for_each(|step| step(&restore));
        restore
    });
    let wholes = [Special::Plain, Special::Postgres, Special::Tar, Special::GetWal, Special::NoAutoConf];
    parts.chain(wholes.map(Restore::whole)).collect()
}

fn is_right<T: PartialEq>(found: &Known<T>, right: &Known<T>) -> bool {
    found.is_err() || found == right
}

/// Counting is no part of a look: it happens on another thread.
fn look(found: Look) -> Look {
    Look { usage: None, ..found }
}

#[test]
fn an_examination_is_right_or_unknown_and_the_next_one_right() {
    for restore in states() {
        for error in ERRORS {
            let (mut directory, knobs) = Double::directory(&restore.data, Path::new("/"));
            let right = directory.examine();
            assert!(!matches!(right, Completeness::Unknown(_)), "{right:?}");
            for nth in 1.. {
                knobs.fail(nth, error);
                let found = directory.examine();
                let has_failed = knobs.has_failed();
                if has_failed {
                    assert!(
                        matches!(found, Completeness::Unknown(_)),
                        "call {nth}, error {error}: {found:?}"
                    );
                } else {
                    assert_eq!(found, right);
                }
                assert_eq!(directory.examine(), right, "after call {nth}");
                if !has_failed {
                    break;
                }
            }
            let _ = directory.look();
        }
    }
}

#[test]
fn a_look_is_right_or_unknown_and_the_next_one_right() {
    for restore in states() {
        for error in ERRORS {
            let (mut directory, knobs) = Double::directory(&restore.data, Path::new("/"));
            let right = look(directory.look());
            for nth in 1.. {
                knobs.fail(nth, error);
                let found = look(directory.look());
                let has_failed = knobs.has_failed();
                assert!(is_right(&found.content, &right.content), "call {nth}: {found:?}");
                assert!(is_right(&found.first_file, &right.first_file), "call {nth}: {found:?}");
                assert!(is_right(&found.postmaster, &right.postmaster), "call {nth}: {found:?}");
                assert_eq!(look(directory.look()), right, "after call {nth}");
                if !has_failed {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_could_not_be_remembered_leaves_the_memory_as_it_was() {
    let restore = Restore::new(Special::Plain);
    let (mut directory, knobs) = Double::directory(&restore.data, Path::new("/"));
    directory.remember().unwrap();
    restore.run();
    for nth in 1.. {
        knobs.fail(nth, libc::EIO);
        let remembered = directory.remember();
        if !knobs.has_failed() {
            remembered.unwrap();
            break;
        }
        remembered.unwrap_err();
        complete(directory.examine());
    }
    assert!(matches!(directory.examine(), Completeness::Unchanged(_)));
}

#[test]
fn an_absence_on_another_file_system_is_no_absence() {
    let restore = Restore::whole(Special::Plain);
    let empty = restore.scratch.path().join("mount point");
    fs::create_dir(&empty).unwrap();
    for instead in [&empty, &restore.scratch.path().join("missing")] {
        let (mut directory, knobs) = Double::directory(&restore.data, instead);
        assert_eq!(directory.look().content, Ok(Content::Something));
        knobs.is_elsewhere.store(true, Ordering::SeqCst);
        assert!(directory.look().content.is_err() && directory.look().first_file.is_err());
        assert!(matches!(directory.examine(), Completeness::Unknown(_)));
        assert!(directory.remember().is_err());
        knobs.is_elsewhere.store(false, Ordering::SeqCst);
        assert_eq!(directory.look().content, Ok(Content::Something));
        complete(directory.examine());
    }
}

#[test]
fn a_file_system_that_goes_away_during_an_examination_takes_nothing_with_it() {
    let restore = Restore::whole(Special::Plain);
    let empty = restore.scratch.path().join("mount point");
    fs::create_dir(&empty).unwrap();
    for nth in 1..50 {
        let (mut directory, knobs) = Double::directory(&restore.data, &empty);
        directory.look();
        knobs.at_call(nth, |knobs| knobs.is_elsewhere.store(true, Ordering::SeqCst));
        let found = directory.examine();
        assert!(
            matches!(found, Completeness::Unknown(_) | Completeness::Complete(_)),
            "call {nth}: {found:?}"
        );
        knobs.is_elsewhere.store(false, Ordering::SeqCst);
        knobs.at_call(nth, |knobs| knobs.is_elsewhere.store(true, Ordering::SeqCst));
        let found = directory.look();
        assert!(is_right(&found.content, &Ok(Content::Something)), "call {nth}: {found:?}");
        assert!(found.first_file != Ok(None), "call {nth}: {found:?}");
    }
}

#[test]
fn a_restore_that_goes_on_during_an_examination_is_not_complete_before_its_end() {
    for backup in [Special::SourceRestored, Special::GetWal] {
        for (step, happens) in STEPS.into_iter().enumerate() {
            for nth in 1.. {
                let restore = Arc::new(Restore::new(backup));
                STEPS[..step].iter().for_each(|step| step(&restore));
                let (directory, knobs) = Double::directory(&restore.data, Path::new("/"));
                let goes_on = restore.clone();
                knobs.at_call(nth, move |_| happens(&goes_on));
                let found = directory.examine();
                if knobs.is_waiting() {
                    break;
                }
                let is_last = step + 1 == STEPS.len();
                assert!(
                    is_last || !matches!(found, Completeness::Complete(_)),
                    "{step}, call {nth}: {found:?}"
                );
            }
        }
    }
}
