//! A restore runs Barman's commands on the node, in Barman's order, and leaves what Barman leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use standin::client::recovery;
use standin::{Api, Model, Script};
use tempfile::tempdir;

use crate::{BACKUP, ask, created_id, wait_for, within};

const RECEIVER: &str = "rsync --server -sKtprRe.iLsfxCIvu";

const COMMANDS: [&str; 20] = [
    "true",
    "ls DIR",
    "test -e DIR/.barman-recover.info",
    "test -e DIR",
    "mkdir -p DIR -m 700",
    "touch DIR/.barman_write_check",
    "rm DIR/.barman_write_check",
    "rsync --server --sender -sre.iLsfxCIvu",
    RECEIVER,
    "rsync --server -sKtprcRe.iLsfxCIvu",
    "test -e DIR/pg_tblspc",
    RECEIVER,
    "test -e DIR/backup_manifest",
    RECEIVER,
    "test -e DIR/postgresql.conf",
    "test -e DIR/postgresql.auto.conf",
    "test -e DIR/pg_hba.conf",
    "test -e DIR/pg_ident.conf",
    "rsync --server --sender -stprRe.iLsfxCIvu",
    RECEIVER,
];

/// Each command goes through a script in the ssh command, as through the lease.
#[test]
fn a_restore_runs_barmans_commands_in_their_order_and_is_complete() {
    let scratch = tempdir().unwrap();
    let [data, log, script] = ["data", "log", "script"].map(|name| within(&scratch, name));
    fs::write(&script, format!("printf '%s\\n' \"$*\" >>'{log}'\nexec \"$@\"\n")).unwrap();
    let model = Model::new().server("pg").backup(BACKUP).duration_ms(200).fill();
    let api = Api::start(model, Script::new());
    let ssh_command = format!("ssh -q -o BatchMode=yes node sh {script}");
    let id = created_id(&ask(api.address(), &recovery(&ssh_command, &data)));
    wait_for(api.address(), &id, "DONE");
    let log = fs::read_to_string(log).unwrap().replace(&data, "DIR");
    assert_eq!(log.lines().collect::<Vec<_>>(), COMMANDS);

    let read = |name: &str| fs::read_to_string(Path::new(&data).join(name)).unwrap();
    let modified = |name: &str| fs::metadata(Path::new(&data).join(name)).unwrap().modified().unwrap();
    let info = read(".barman-recover.info");
    let info: BTreeMap<_, _> = info.lines().map(|line| line.split_once('=').expect("a key")).collect();
    let start = format!("START WAL LOCATION: {} (file {})\n", info["begin_xlog"], info["begin_wal"]);
    assert!(read("backup_label").starts_with(&start));
    assert_eq!((info["server_name"], info["status"]), ("pg", "DONE"));
    assert!(info["backup_label"].contains(&format!("LABEL: Barman backup pg {BACKUP}\\n")));
    assert!(modified("postgresql.auto.conf") > modified(".barman-recover.info"));
    assert!(read("postgresql.conf").contains("archive_command = false"));
    for file in ["PG_VERSION", "global/pg_control", "postgresql.auto.conf.origin"] {
        assert!(Path::new(&data).join(file).exists(), "{file}");
    }
    assert!(["begin_wal", "end_wal"].iter().all(|key| !read(&format!("pg_wal/{}", info[key])).is_empty()));
}
