//! One claim for one data directory, whatever leads to it, and what is kept in its state directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::world::FileId;
use crate::world::lease::tests::run_elsewhere;

fn ours(data: &Path, state_dir: Option<&Path>) -> Box<dyn ClaimHandle> {
    match claim(data, state_dir) {
        Claiming::Ours(claim) => claim,
        Claiming::Held(note) => panic!("held: {note:?}"),
        Claiming::Impossible(problem) => panic!("impossible: {problem:?}"),
    }
}

fn is_held(claiming: Claiming) -> bool {
    matches!(claiming, Claiming::Held(_))
}

fn note() -> Note {
    Note {
        pid: 7,
        api_url: "http://barman:7480".into(),
        operation_id: Some("20261122T102257".into()),
        first_file: Some(FileId { inode: 5, modified: 6, size: 3 }),
        ..Note::default()
    }
}

#[test]
fn a_second_run_waits_and_reads_the_note_of_the_first() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("a/b/data");
    let mut first = ours(&data, None);
    first.note(&note()).unwrap();
    let Claiming::Held(Some(seen)) = claim(&data, None) else { panic!("one run at a time") };
    assert!(seen.started > 0, "it says since when the directory has been claimed");
    let expected = Note { started: seen.started, ..note() };
    assert_eq!(seen, expected);
    drop(first);
    let mut second = ours(&data, None);
    assert_eq!(second.left(), Ok(Some(expected)));
    second.remove().unwrap();
    assert!(!place.path().join("a/b/data.barman-recover").exists());
    assert!(place.path().join("a/b").exists());
    drop(second);
    assert_eq!(ours(&data, None).left(), Ok(None));
}

#[test]
fn links_lead_to_the_same_claim() {
    let place = TempDir::new().unwrap();
    let real = place.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, place.path().join("link")).unwrap();
    symlink(real.join("data"), place.path().join("dangling")).unwrap();
    let first = ours(&real.join("data"), None);
    assert!(is_held(claim(&place.path().join("link/data"), None)));
    assert!(is_held(claim(&place.path().join("dangling"), None)));
    fs::create_dir(real.join("data")).unwrap();
    assert!(is_held(claim(&place.path().join("dangling"), None)));
    assert_eq!(first.path(), real.canonicalize().unwrap().join("data.barman-recover").to_str().unwrap());
}

#[test]
fn two_state_directories_for_one_data_directory_are_one_claim() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    fs::create_dir(&data).unwrap();
    let first = ours(&data, Some(&one));
    assert!(is_held(claim(&data, Some(&two))));
    assert!(!two.exists(), "nothing is left of the second");
    drop(first);
    drop(ours(&data, Some(&two)));
}

#[test]
fn two_state_directories_are_one_claim_as_soon_as_the_data_directory_exists() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let mut first = ours(&data, Some(&place.path().join("one")));
    let mut second = ours(&data, Some(&place.path().join("two")));
    fs::create_dir(&data).unwrap();
    first.note(&note()).unwrap();
    let problem = second.grant("").err().unwrap();
    assert!(problem.message.contains("another run is restoring into"), "{problem:?}");
    // Barman before 3.17 removes the directory and makes it again.
    fs::remove_dir(&data).unwrap();
    fs::create_dir(&data).unwrap();
    first.note(&note()).unwrap();
    assert!(second.grant("").is_err());
}

#[test]
fn a_run_that_removes_the_directory_and_one_that_begins_do_not_disturb_each_other() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let data = data.clone();
            thread::spawn(move || {
                let mut claims = 0;
                while claims < 50 {
                    match claim(&data, None) {
                        Claiming::Ours(mut claim) => {
                            claim.note(&note()).unwrap();
                            drop(claim.grant("").unwrap());
                            assert_eq!(claim.drain(), Drain::Drained);
                            claim.remove().unwrap();
                            claims += 1;
                        }
                        Claiming::Held(_) => thread::sleep(Duration::from_millis(1)),
                        Claiming::Impossible(problem) => panic!("{problem:?}"),
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn what_others_have_put_there_stays() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let mut claim = ours(&data, None);
    let path = PathBuf::from(claim.path());
    fs::write(path.join("notes.txt"), "x").unwrap();
    drop(claim.grant("").unwrap());
    claim.remove().unwrap();
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn a_note_that_is_none_is_ignored() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let path = PathBuf::from(ours(&data, None).path()).join(NOTE);
    let long = format!("{{\"pid\":1,\"api_url\":\"{}\"}}", "x".repeat(1 << 20));
    for text in ["", "x", "[]", "{\"pid\":-1}", "{\"pid\":\"x\"}", &"[".repeat(10_000), &long] {
        fs::write(&path, text).unwrap();
        assert_eq!(ours(&data, None).left(), Ok(None), "{}", text.get(..20).unwrap_or(text));
    }
    fs::write(&path, b"{\"pid\":1,\"api_url\":\"a\\u001b[31m\\n\xff\",\"unknown\":1}").unwrap();
    let left = Note { pid: 1, api_url: "a [31m \u{fffd}".into(), ..Note::default() };
    assert_eq!(ours(&data, None).left(), Ok(Some(left)));
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    let mut claim = ours(&data, None);
    assert_eq!(claim.left(), Ok(None));
    claim.note(&note()).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file(), "the link is replaced, not followed");
}

#[test]
fn a_link_or_a_directory_in_place_of_the_lock_is_refused() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let lock = PathBuf::from(ours(&data, None).path()).join(LOCK);
    fs::remove_file(&lock).unwrap();
    symlink(place.path().join("elsewhere"), &lock).unwrap();
    let Claiming::Impossible(problem) = claim(&data, None) else { panic!("a link is not followed") };
    assert!(problem.message.contains("can't be locked"), "{problem:?}");
    assert!(!place.path().join("elsewhere").exists());
}

#[test]
fn the_hint_is_about_what_failed() {
    for (error, hint) in [
        (libc::ENOLCK, "file system that can lock files"),
        (libc::ENOSPC, "make room"),
        (libc::EMFILE, "more open files"),
    ] {
        let problem = cannot_lock("/pg/data.barman-recover", &io::Error::from_raw_os_error(error));
        assert!(problem.hint.is_some_and(|said| said.contains(hint)), "{error}");
    }
}

#[test]
fn what_a_dead_run_left_is_kept_from_use_before_it_is_drained() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let (mut run, path) = run_elsewhere(&data, "022");
    assert!(is_held(claim(&data, None)));
    // What a command of the dead run still has: a lock on the lease.
    let command = File::open(&path).unwrap();
    assert!(command.try_lock_shared().is_ok());
    run.kill().unwrap();
    run.wait().unwrap();
    let mut next = ours(&data, None);
    assert!(matches!(next.drain(), Drain::Held(_)));
    assert!(!Path::new(&path).exists(), "nothing new can use it");
    let lease = next.grant("").unwrap();
    drop(command);
    assert_eq!(next.drain(), Drain::Drained);
    assert!(Path::new(&lease.path()).exists(), "the lease of this run is untouched");
}
