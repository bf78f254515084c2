//! What is done about a restore without its own run: `verify` looks at what it has left, `end_restore` ends one that
//! nobody follows any more, `backups` lists what can be restored.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use barman_recover::{Cancel, Code, Config, Event, OperationState, Opt, Outcome, RestoreState, Verified};

use crate::support::node::Node;
use standin::{Api, Mark, Model, Part, Script, Step, wait_until};

const BACKUP: &str = "20261122T101942";

fn model() -> Model {
    Model::new().server("main").backup(BACKUP)
}

fn options(all: &[(Opt, &str)]) -> Config {
    let mut config = Config::new();
    for (option, text) in all {
        config.set(*option, *text).unwrap();
    }
    config
}

fn verify(data: &str) -> Verified {
    barman_recover::verify(&options(&[(Opt::DataDirectory, data)])).found.unwrap()
}

/// The outcome, and what was logged.
fn end_restore(all: &[(Opt, &str)]) -> (Outcome, String) {
    let log = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&log);
    let outcome = barman_recover::end_restore(&options(all), &Cancel::new(), move |event| {
        if let Event::Log { level, message } = event {
            lines.lock().unwrap().extend([level.name(), ": ", &message, "\n"]);
        }
    });
    let log = log.lock().unwrap().clone();
    (outcome, log)
}

#[test]
fn a_complete_restore_is_verified_without_api_and_state_file() {
    let (node, api) = (Node::new(), Api::start(model().fill(), Script::new()));
    assert_eq!(verify(&node.data).state, RestoreState::Nothing);
    assert_eq!(node.run(&api, &[]).code(), 0);
    drop(api);
    let found = verify(&node.data);
    assert!(found.is_complete(), "{found:?}");
    let restore = found.restore.unwrap();
    assert_eq!((restore.backup_id.as_deref(), restore.server.as_str()), (Some(BACKUP), "main"));
    assert!(restore.restored.elapsed().unwrap() < Duration::from_secs(600) && !restore.taken.is_empty());
    assert!(restore.last_wal.is_some() && found.detail.contains(BACKUP), "{}", found.detail);
    // PostgreSQL renames the label when it starts.
    fs::rename(format!("{}/backup_label", node.data), format!("{}/backup_label.old", node.data)).unwrap();
    assert_eq!(verify(&node.data).state, RestoreState::InUse);
    fs::remove_file(format!("{}/.barman-recover.info", node.data)).unwrap();
    assert_eq!(verify(&node.data).state, RestoreState::Incomplete);
}

#[test]
fn what_is_not_complete_is_named() {
    for (model, state) in [
        (model().fill().stop_behind(Part::Wal), RestoreState::Incomplete),
        (model().fill().mark(Mark::Missing), RestoreState::Incomplete),
        (model().stuck().fill().hold_behind(Part::Half).receivers(), RestoreState::BeingWritten),
    ] {
        let (node, api) = (Node::new(), Api::start(model, Script::new()));
        let run = node.start(&api, &[]);
        wait_until("files", || fs::read_dir(&node.data).is_ok_and(|all| all.count() > 1));
        if state == RestoreState::Incomplete {
            wait_until("the end of the operation", || {
                api.operations().iter().all(|operation| operation.ended_ms.is_some())
            });
        }
        let found = verify(&node.data);
        assert_eq!(found.state, state, "{found:?}");
        assert_eq!(found.receivers > 0, state == RestoreState::BeingWritten);
        api.release();
        run.kill();
    }
}

#[test]
fn a_restore_whose_run_was_killed_is_ended() {
    let (node, api) =
        (Node::new(), Api::start(model().stuck().fill().hold_behind(Part::Half).receivers(), Script::new()));
    let run = node.start(&api, &[]);
    wait_until("receivers", || node.state().contains("operation\":") && verify(&node.data).receivers > 0);
    let url = api.url();
    let given =
        [(Opt::DataDirectory, node.data.as_str()), (Opt::ApiUrl, url.as_str()), (Opt::BarmanServer, "main")];
    let (refused, log) = end_restore(&given);
    assert_eq!(refused.code, Code::Busy, "{log}");
    assert!(refused.hint.contains(&format!("kill {}", run.pid())), "{refused:?}");
    assert!(verify(&node.data).receivers > 0, "the live run's restore goes on");
    run.kill();
    let (ended, log) = end_restore(&given);
    assert_eq!((ended.code, ended.operation_state), (Code::RecoveryDone, OperationState::Failed), "{log}");
    assert!(log.contains("sent SIGTERM to 2 rsync receivers") && log.contains("is FAILED"), "{log}");
    assert!(!node.remembers() && verify(&node.data).receivers == 0);
    let (nothing, log) = end_restore(&given);
    assert!(nothing.code == Code::RecoveryDone && !node.remembers(), "{log}");
    node.remove_data();
    let (nothing, log) = end_restore(&given);
    assert!(nothing.code == Code::RecoveryDone && !node.has_state_file(), "{log}");
    let (nothing, log) = end_restore(&given);
    assert!(nothing.code == Code::RecoveryDone && log.contains("nothing had to be ended"), "{log}");
}

#[test]
fn without_the_api_the_state_file_is_left_to_the_next_run() {
    let (node, api) =
        (Node::new(), Api::start(model().stuck().fill().hold_behind(Part::Half).receivers(), Script::new()));
    let run = node.start(&api, &[]);
    wait_until("receivers", || node.state().contains("operation\":") && verify(&node.data).receivers > 0);
    run.kill();
    let begun = Instant::now();
    let (ended, log) = end_restore(&[(Opt::DataDirectory, &node.data)]);
    assert!(ended.code == Code::RecoveryDone && log.contains("--api-url is not given"), "{log}");
    assert!(node.has_state_file() && begun.elapsed() < Duration::from_secs(20), "{log}");
}

#[test]
fn backups_come_newest_first_with_what_one_chooses_by() {
    let api = Api::start(model().backup("20261123T000000").backup("20251122T000000"), Script::new());
    let url = api.url();
    let config = options(&[(Opt::ApiUrl, &url), (Opt::BarmanServer, "main"), (Opt::MaxRetries, "1")]);
    let list = || barman_recover::backups(&config, &Cancel::new(), |_| ());
    let found = list().found.backups;
    let ids: Vec<&str> = found.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, ["20261123T000000", BACKUP, "20251122T000000"]);
    assert!(
        found.iter().all(|backup| backup.is_complete && backup.status == "DONE" && backup.bytes.is_some())
    );
    assert_eq!(found[0].version.as_deref(), Some("15.0"));
    api.set_script(Script::new().diagnose([Step::proxy_error(500).forever()]));
    let failed = list();
    assert!(failed.code == Code::HttpError && failed.message.contains("HTTP 500"), "{failed:?}");
    let unknown = options(&[(Opt::ApiUrl, &url), (Opt::BarmanServer, "nope")]);
    api.set_script(Script::new());
    let refused = barman_recover::backups(&unknown, &Cancel::new(), |_| ());
    assert!(refused.code == Code::HttpError && refused.message.contains("only: main"), "{refused:?}");
}
