use std::fs;
use std::sync::{Arc, Mutex};

use super::*;
use crate::cancel::Cancel;
use crate::config::Config;
use crate::config::options::Command;
use crate::world::fs::directory::inode;
use crate::world::journal::{Line, Lock, Run};
use crate::world::snapshot::{Identity, MARKS, Stamps};
use tempfile::tempdir;

const LONG: Duration = Duration::from_secs(600);

fn asked(data: &Path) -> (Connection, Restore) {
    let mut config = Config::new();
    let data = data.display().to_string();
    for (option, value) in [
        (Opt::ApiUrl, "http://127.0.0.1:9"),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, "ssh node"),
        (Opt::DataDirectory, &data),
    ] {
        config.set(option, value).unwrap();
    }
    (config.connection(Command::Recover).unwrap(), config.restore().unwrap())
}

fn here(data: &Path, deadline: Option<Duration>) -> (Here, Cancel) {
    let (connection, restore) = asked(data);
    let connection = Connection { deadline, ..connection };
    let cancel = Cancel::new();
    (Here::open(&connection, Some(&restore), Host::new(|_| {}, cancel.clone())).unwrap(), cancel)
}

#[test]
fn the_deadline_ends_waits_and_allows_no_request_behind_it() {
    let scratch = tempdir().unwrap();
    let (mut here, cancel) = here(scratch.path(), Some(Duration::from_millis(50)));
    assert_eq!(here.pause(Duration::ZERO), Ok(()));
    assert_eq!(here.pause(LONG), Err(Interrupt::DeadlinePassed));
    assert!(here.now() >= Duration::from_millis(50));
    let error = here.send(&Request::Status, LONG).unwrap_err();
    assert!(!error.sent && error.kind == NoReply::DeadlinePassed);
    here.grant_grace();
    assert_eq!(here.pause(Duration::from_millis(10)), Ok(()), "a grace of its own");
    cancel.cancel();
    assert_eq!(here.pause(Duration::from_millis(10)), Ok(()));
}

#[test]
fn a_cancelled_run_says_so_even_behind_its_deadline() {
    let scratch = tempdir().unwrap();
    let (mut here, cancel) = here(scratch.path(), Some(Duration::ZERO));
    cancel.cancel();
    assert_eq!(here.pause(LONG), Err(Interrupt::Cancelled));
}

#[test]
fn each_request_is_in_the_log_of_those_who_look_for_a_fault() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    let host = Host::new(move |event| kept.lock().unwrap().push(event), Cancel::new());
    let (connection, _) = asked(Path::new("/data"));
    let mut here = Here::open(&connection, None, host).unwrap();
    here.send(&Request::Status, Duration::from_secs(5)).unwrap_err();
    let lines = lines.lock().unwrap();
    let Some(Event::Log { level: Level::Debug, message }) = lines.last() else { panic!("{lines:?}") };
    assert!(
        message.starts_with("GET http://127.0.0.1:9/status: no reply (the request was not sent), "),
        "{message}"
    );
}

#[test]
fn a_command_without_a_data_directory_sees_nothing() {
    let (connection, _) = asked(Path::new("/data"));
    let mut here = Here::open(&connection, None, Host::new(|_| {}, Cancel::new())).unwrap();
    assert_eq!(here.look(), Snapshot::default());
    assert_eq!((here.receivers(), here.end_receivers(), here.journal().is_none()), (0, 0, true));
}

#[test]
fn a_look_shows_the_directory_and_what_is_in_it() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let (mut here, _) = here(&data, None);
    let look = here.look();
    assert_eq!((look.content, look.usage.unwrap().bytes), (Content::Missing, 0));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    let look = here.look();
    assert_eq!((look.content, look.usage.unwrap().bytes), (Content::Something, 3));
    assert!(look.usage.unwrap().changes > 0 && look.receivers == 0 && look.mark.is_none());
    fs::rename(scratch.path(), scratch.path().with_extension("away")).unwrap();
    let look = here.look();
    assert!(look.content == Content::Unseen && look.usage.is_none());
    fs::rename(scratch.path().with_extension("away"), scratch.path()).unwrap();
}

#[test]
fn the_directory_of_an_earlier_run_is_known_wherever_it_is_now() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    fs::create_dir(&data).unwrap();
    let directory = inode(&fs::metadata(&data).unwrap());
    let (mut earlier, _) = here(&data, None);
    let journal = earlier.journal().unwrap();
    assert!(journal.path().ends_with("data.barman-recover.json"));
    assert_eq!(journal.lock(), Lock::Ours { left_over: None, garbage: None });
    let run = Run {
        pid: 1,
        api_url: "http://127.0.0.1:9".into(),
        barman_server: "main".into(),
        backup_id: "latest".into(),
        data_directory: data.display().to_string(),
        known: None,
        before: Stamps::default(),
    };
    let identity = Identity { directory, marks: [None; MARKS.len()] };
    journal.append(&[Line::Run(run), Line::Identity(identity)]).unwrap();
    drop(earlier);
    let (mut later, _) = here(&data, None);
    assert!(matches!(later.journal().unwrap().lock(), Lock::Ours { left_over: Some(_), .. }));
    assert_eq!(later.node.as_ref().unwrap().state_file.as_ref().unwrap().directory(), Some(directory));
}

#[test]
fn random_numbers_differ() {
    let (connection, _) = asked(Path::new("/data"));
    let mut here = Here::open(&connection, None, Host::new(|_| {}, Cancel::new())).unwrap();
    let numbers: std::collections::HashSet<u64> = (0..100).map(|_| here.random()).collect();
    assert_eq!(numbers.len(), 100);
}

#[test]
fn a_relative_directory_is_one_of_here() {
    let given = |data: &str| from_here(asked(Path::new(data)).1).unwrap();
    let current = std::env::current_dir().unwrap();
    for (data, whole) in [("data", current.join("data")), ("/data", "/data".into()), (".", current.clone())] {
        let restore = given(data);
        assert_eq!(Path::new(&restore.data_directory), whole, "{data}");
        assert_eq!(restore.state_file, Some(beside(&restore.data_directory)), "{data}");
    }
}

/// Watches a real restore from its beginning, for `tests/mark/run`, and prints what a look sees.
#[test]
#[ignore = "is called by tests/mark/run"]
fn a_restore_is_watched() {
    let Some(data) = std::env::var_os("BARMAN_RECOVER_WATCH") else { return };
    let mut ended = data.clone();
    ended.push(".ended");
    let (data, ended) = (Path::new(&data), Path::new(&ended));
    let time = || std::time::UNIX_EPOCH.elapsed().unwrap();
    let say = |what: String| println!("{}.{:09} {what}", time().as_secs(), time().subsec_nanos());
    let (mut here, _) = here(data, None);
    let mut last = Snapshot::default();
    println!();
    say("watching".into());
    let mut is_over = false;
    while !is_over {
        is_over = ended.exists();
        let mut look = here.look();
        look.receivers = here.receivers();
        if look.receivers != last.receivers {
            say(format!("receivers={}", look.receivers));
        }
        if look.stamps.info != last.stamps.info {
            say("info".into());
        }
        if look.mark != last.mark {
            say(look.mark.as_ref().map_or("no mark".into(), |mark| {
                let (id, wal) = (mark.backup_id.as_deref(), mark.last_wal.as_deref());
                let (id, wal) = (id.unwrap_or("-"), wal.unwrap_or("-"));
                format!("mark server={} id={id} wal={wal} begin={}", mark.server, mark.begin_time)
            }));
        }
        last = look;
        std::thread::sleep(Duration::from_millis(5));
    }
    let usage = last.usage.unwrap();
    say(format!(
        "ended bytes={} wal={} changes={} passes={}",
        usage.bytes, usage.wal_bytes, usage.changes, usage.passes
    ));
}
