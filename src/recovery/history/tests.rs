//! Looks and lines of the log, and what follows from them.

use super::*;

const S: Duration = Duration::from_secs(1);

fn look(file: Result<Option<u64>, String>) -> Look {
    let first_file = file.map(|file| file.map(|inode| FileId { inode, modified: 1, size: 3 }));
    let content = first_file.clone().map(|_| Content::Something);
    Look { content, first_file, postmaster: Ok(None), usage: None }
}

fn began(process: u32, words: &str) -> LogLine {
    LogLine::Began(process, words.into())
}

#[test]
fn only_two_looks_in_a_row_without_the_first_file_are_an_emptied_directory() {
    let unseen = || look(Err("EIO".into()));
    let at = |inode, modified| Look {
        first_file: Ok(Some(FileId { inode, modified, size: 3 })),
        ..look(Ok(Some(inode)))
    };
    for (looks, emptied) in [
        (vec![look(Ok(Some(1))), look(Ok(None)), look(Ok(None))], true),
        (vec![look(Ok(Some(1))), look(Ok(Some(2))), look(Ok(Some(2)))], true),
        (vec![look(Ok(Some(1))), look(Ok(None)), unseen(), look(Ok(None))], true),
        (vec![look(Ok(Some(1))), look(Ok(None)), look(Ok(Some(1))), look(Ok(None))], false),
        (vec![look(Ok(Some(1))), unseen(), unseen(), unseen()], false),
        (vec![look(Ok(None)), look(Ok(None)), look(Ok(Some(1)))], false),
        // tar sets its time; a file that came later has the inode of the one that was removed.
        (vec![at(1, 9), at(1, 5), at(1, 5)], false),
        (vec![at(1, 5), at(1, 9), at(1, 9)], true),
        // What was there before the create is replaced by a copy onto it.
        (vec![look(Ok(Some(9))), look(Ok(Some(2))), look(Ok(Some(2)))], false),
    ] {
        let mut history = History::new(S, &look(Ok(Some(9))));
        for (at, look) in looks.iter().enumerate() {
            history.look(S * u32::try_from(at).unwrap(), look);
        }
        assert_eq!(history.was_emptied(), emptied, "{looks:?}");
    }
}

#[test]
fn a_copy_that_failed_and_was_not_repeated_may_be_the_end() {
    let copies = |copies: &[(&str, i32)]| {
        let mut history = History::new(S, &look(Ok(None)));
        for (process, (words, status)) in (1..).zip(copies) {
            history.log(S, Ok(vec![began(process, words), LogLine::Ended(process, *status)]));
        }
        history.may_have_failed()
    };
    let (base, check) = ("rsync --server -sKtprRe.iLsfxCIvu", "rsync --server -sKtprcRe.iLsfxCIvu");
    assert!(copies(&[("ls /pg/data", 0)]));
    assert!(!copies(&[("mkdir -p /pg/data", 0), (base, 0)]));
    assert!(copies(&[(base, 12)]));
    // Barman's second copy of the data directory, begun although the first one had failed.
    assert!(copies(&[(base, 12), (check, 0)]));
    assert!(copies(&[(base, 12), (check, 0), (base, 12), (check, 0)]));
    assert!(!copies(&[(base, 12), (check, 0), (base, 0)]), "Barman's retry");
}

#[test]
fn data_that_moves_is_news() {
    let mut history = History::new(S, &look(Ok(None)));
    for (at, moved, still) in [
        (10, Some(5), 9),
        (20, Some(5), 19),
        (30, Some(6), 0),
        (40, None, 10), // it can't be seen
        (50, Some(9), 20),
        (60, Some(4), 0), // one of two commands has ended
    ] {
        history.moved(S * at, moved);
        assert_eq!(history.still(S * at), S * still, "at {at} s");
    }
}

#[test]
fn the_log_says_what_runs_and_how_far_barman_came() {
    let mut history = History::new(S, &look(Ok(None)));
    assert_eq!((history.lease_use(), history.idle(S * 3)), (Use::Nothing, Some(S * 2)));
    history.log(S * 4, Ok(vec![began(7, "true"), LogLine::Ended(7, 0), began(8, "ls /pg/data")]));
    assert_eq!((history.lease_use(), history.idle(S * 5)), (Use::Reached, None));
    history.log(S * 6, Ok(vec![LogLine::Ended(8, 0), LogLine::Ended(99, 1)]));
    assert_eq!((history.idle(S * 8), history.still(S * 8)), (Some(S * 2), S * 2));
    history.log(S * 9, Ok(vec![began(9, "rsync --server --sender -e . x"), LogLine::Ended(9, 0)]));
    assert_eq!(history.lease_use(), Use::Reached);
    history.log(S * 9, Ok(vec![began(9, "rsync --server -sKtprRe.iLsfxCIvu . ")]));
    assert_eq!(history.lease_use(), Use::Wrote);
    assert_eq!(history.news(S * 60), S * 60);
    assert_eq!(history.news(S * 3600), S * 9);
    assert!(history.is_at_work(S * 608));
    assert!(!history.is_at_work(S * 609), "its last line may never come");
    for missed in 1..=MOST_MISSES {
        history.log(S * 9, Err("EIO".into()));
        assert_eq!(history.is_at_work(S * 10), missed < MOST_MISSES);
    }
    history.log(S * 9, Ok(Vec::new()));
    assert!(!history.began_twice("/pg/data"));
    history.log(S * 10, Ok(vec![began(10, "ls /pg/data/")]));
    assert!(history.began_twice("/pg/data"));
    // Barman 3.14 lists nothing, and makes the directory only if it is not there.
    let mut history = History::new(S, &look(Ok(None)));
    let looks =
        [began(7, "test -e /pg/data/.barman-recover.info"), began(8, "cat /pg/data/.barman-recover.info")];
    history.log(S, Ok(looks.to_vec()));
    assert!(!history.began_twice("/pg/data") && history.lease_use() == Use::Reached);
    history.log(S, Ok(looks.to_vec()));
    assert!(history.began_twice("/pg/data"));
}

#[test]
fn content_that_barman_has_not_written_is_another_programs() {
    let empty = Look { content: Ok(Content::Empty), ..look(Ok(None)) };
    let listed = began(7, "mkdir -p /pg/data");
    let copied = began(8, "rsync --server . /pg/data");
    let mut history = History::new(S, &empty);
    history.log(S, Ok(vec![listed.clone()]));
    history.look(S, &empty);
    assert!(!history.was_filled_by_another());
    history.look(S, &look(Ok(Some(1))));
    assert!(history.was_filled_by_another());
    assert_eq!(history.first_file(), None, "it is not Barman's");
    history.log(S, Err("EIO".into()));
    assert!(!history.was_filled_by_another(), "a log that can't be read shows nothing");
    history.log(S, Ok(vec![copied]));
    assert!(!history.was_filled_by_another() && history.first_file().is_some());
    // Barman 3.14 makes the links to tablespaces before the first copy.
    let mut history = History::new(S, &empty);
    history.log(S, Ok(vec![listed.clone(), began(8, "mkdir -p /pg/data/pg_tblspc")]));
    history.look(S, &look(Ok(None)));
    assert!(!history.was_filled_by_another());
    // What was there before the create shows nothing.
    let mut history = History::new(S, &look(Ok(Some(9))));
    history.log(S, Ok(vec![listed]));
    history.look(S, &look(Ok(Some(1))));
    assert!(!history.was_filled_by_another());
}

#[test]
fn a_log_that_cannot_be_read_is_no_evidence() {
    let mut history = History::new(S, &look(Ok(None)));
    history.log(S, Err("EIO".into()));
    assert_eq!(history.lease_use(), Use::Unknown);
    history.log(S, Ok(Vec::new()));
    assert_eq!(history.lease_use(), Use::Nothing);
}
