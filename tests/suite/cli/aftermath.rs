//! What is done about a restore without its own run: `verify` looks at what it has left, `end_restore` ends one that
//! nobody follows any more, `backups` lists what can be restored.

use std::fs;
use std::time::Duration;

use barman_recover::{Cancel, Config, OperationsError, Opt, RestoreState, Verified};

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
    barman_recover::verify(&options(&[(Opt::DataDirectory, data)])).unwrap()
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
    ] {
        let (node, api) = (Node::new(), Api::start(model, Script::new()));
        let run = node.start(&api, &[]);
        wait_until("files", || fs::read_dir(&node.data).is_ok_and(|all| all.count() > 1));
        wait_until("the end of the operation", || {
            api.operations().iter().all(|operation| operation.ended_ms.is_some())
        });
        let found = verify(&node.data);
        assert_eq!(found.state, state, "{found:?}");
        assert_eq!(found.receivers, 0);
        api.release();
        run.kill();
    }
}

#[test]
fn backups_come_newest_first_with_what_one_chooses_by() {
    let api = Api::start(model().backup("20261123T000000").backup("20251122T000000"), Script::new());
    let url = api.url();
    let config = options(&[(Opt::ApiUrl, &url), (Opt::BarmanServer, "main"), (Opt::MaxRetries, "1")]);
    let list = || barman_recover::backups(&config, &Cancel::new(), |_| ());
    let found = list().unwrap();
    let ids: Vec<&str> = found.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, ["20261123T000000", BACKUP, "20251122T000000"]);
    assert!(
        found.iter().all(|backup| backup.is_complete && backup.status == "DONE" && backup.bytes.is_some())
    );
    assert_eq!(found[0].version.as_deref(), Some("15.0"));
    api.set_script(Script::new().diagnose([Step::proxy_error(500).forever()]));
    assert!(matches!(list(), Err(OperationsError::Http(problem)) if problem.message.contains("HTTP 500")));
    let unknown = options(&[(Opt::ApiUrl, &url), (Opt::BarmanServer, "nope")]);
    api.set_script(Script::new());
    let refused = barman_recover::backups(&unknown, &Cancel::new(), |_| ());
    assert!(matches!(refused, Err(OperationsError::Http(problem)) if problem.message.contains("only: main")));
}
