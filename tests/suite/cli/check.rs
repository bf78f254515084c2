//! `check` finds each thing that would make a restore fail, and touches nothing.

use std::fs;

use crate::support::commands::{Ran, ask};
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script, Step, Tls};

const BACKUP: &str = "20261122T101942";

fn api() -> Api {
    Api::start(Model::new().server("main").backup(BACKUP), Script::new())
}

/// A check of a node; later options win.
fn check(api: &Api, data: &str, more: &[&str]) -> Ran {
    let datadir = format!("--datadir={data}");
    let words = ["check", "--barman-server=main", "--ssh-command=ssh node", &datadir, "--scope=x"];
    ask(api, &[&words[..], more].concat())
}

/// The lines about one thing, the hint included.
fn about(ran: &Ran, what: &str) -> String {
    let mut lines =
        ran.out.lines().skip_while(|line| line.get(9..).is_none_or(|rest| !rest.starts_with(what)));
    let first = lines.next().unwrap_or_default().to_owned();
    let hints = lines.take_while(|line| line.trim_start().starts_with("HINT:"));
    hints.fold(first, |all, hint| all + "\n" + hint)
}

#[test]
fn all_is_well_on_a_node_that_can_restore() {
    let scratch = tempdir();
    let api = api();
    let ran = check(&api, &scratch.within("data"), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 7, "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.starts_with("OK ")), "{}", ran.out);
    assert!(about(&ran, "backup").contains(BACKUP), "{}", ran.out);
    assert_eq!(api.creates(), 0);
    assert!(!fs::exists(scratch.within("data.barman-recover.json")).unwrap());
}

#[test]
fn each_fault_is_found_with_what_to_do_about_it() {
    let scratch = tempdir();
    let data = scratch.within("data");
    let huge = Api::start(Model::new().server("main").backup(BACKUP).files(1).bytes(1 << 62), Script::new());
    let plain = api();
    let closed = api();
    closed.go_down();
    let failing = |stage: fn(Script, [Step; 1]) -> Script, step: Step| {
        Api::start(Model::new().server("main").backup(BACKUP), stage(Script::new(), [step.forever()]))
    };
    let locked = failing(Script::status, Step::proxy_error(401));
    let wrong_path = format!("--api-url={}/prefix", plain.url());
    let wrong_host = "--api-url=http://host.invalid:7480";
    check_rows(
        [
            (&closed, &[][..], "API", &["connection refused", "HINT: check --api-url"][..]),
            (&plain, &[wrong_path.as_str()], "API", &["HTTP 404", "HINT: check --api-url"]),
            (&plain, &[wrong_host], "API", &["the host name", "HINT: check --api-url"]),
            (&locked, &[], "API", &["HTTP 401", "HINT: something before pg-backup-api wants authentication"]),
            (&plain, &["--barman-server=nope"], "server", &["'nope'", "HINT: --barman-server"]),
            (&plain, &["--backup-id=nope"], "backup", &["no backup 'nope'", BACKUP, "barman list-backups"]),
            (&plain, &["--backup-id=last-failed"], "backup", &["no backup 'last-failed'", "HINT"]),
            (&huge, &[], "free space", &["for a backup of 4611", "HINT: make room"]),
            (&plain, &["--cert-file=/no/such.pem"], "options", &["--cert-file: /no/such.pem: No such file"]),
            (&plain, &["--ssh-command=ssh"], "ssh command", &["no whole command", "HINT"]),
        ],
        |(api, more, what, words)| {
            let ran = check(api, &data, more);
            let found = about(&ran, what);
            assert_eq!(ran.code, Some(1), "{more:?}: {}", ran.out);
            assert!(found.starts_with("FAILED "), "{more:?}: {}", ran.out);
            assert!(words.iter().all(|word| found.contains(word)), "{more:?}: {found}");
        },
    );
}

#[test]
fn trouble_with_certificates_is_found() {
    let scratch = tempdir();
    let data = scratch.within("data");
    let file = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let tls = Tls::new(include_bytes!("../../tls/server.pem"), include_bytes!("../../tls/server.key"));
    let model = || Model::new().server("main").backup(BACKUP);
    let strict = tls.clone().client_ca(include_bytes!("../../tls/ca.pem"));
    let open = Api::start_tls(model(), Script::new(), &tls);
    let strict = Api::start_tls(model(), Script::new(), &strict);
    let ca = format!("--ca-file={}", file("ca.pem"));
    let stranger = format!("--ca-file={}", file("stranger.pem"));
    check_rows(
        [
            (
                &open,
                &[stranger.as_str()][..],
                ["not trusted", "HINT: give the issuer's certificate with --ca-file"],
            ),
            (&strict, &[&ca], ["client certificate", "--cert-file"]),
        ],
        |(api, more, words)| {
            let ran = check(api, &data, more);
            let found = about(&ran, "API");
            assert_eq!(ran.code, Some(1), "{}", ran.out);
            assert!(words.iter().all(|word| found.contains(word)), "{found}");
        },
    );
    let certificate = format!("--cert-file={}", file("client.pem"));
    let key = format!("--key-file={}", file("client.key"));
    let ran = check(&strict, &data, &[&ca, &certificate, &key]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(about(&ran, "API").contains("over TLS"), "{}", ran.out);
}

#[test]
fn the_data_directory_and_the_state_file_are_looked_at() {
    let scratch = tempdir();
    let (data, api) = (scratch.within("data"), api());
    let line = |what| {
        let ran = check(&api, &data, &[]);
        (ran.code, about(&ran, what))
    };
    let (code, unseen) = {
        let ran = check(&api, &scratch.within("no/data"), &[]);
        (ran.code, about(&ran, "data directory"))
    };
    assert!(code == Some(0) && unseen.starts_with("WARNING  data directory: "), "{unseen}");
    fs::write(&data, "x").unwrap();
    let (code, file) = line("data directory");
    assert!(code == Some(1) && file.starts_with("FAILED ") && file.contains("no directory"), "{file}");
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    assert!(line("data directory").1.starts_with("OK "), "{:?}", line("data directory"));
    fs::write(format!("{data}/PG_VERSION"), "15\n").unwrap();
    let (code, full) = line("data directory");
    assert!(code == Some(0) && full.starts_with("WARNING ") && full.contains("not empty"), "{full}");
    fs::write(format!("{data}/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let (code, running) = line("data directory");
    assert!(
        code == Some(1) && running.starts_with("FAILED ") && running.contains("PostgreSQL runs"),
        "{running}"
    );
    let state = format!("{data}.barman-recover.json");
    let run = r#"{"run":{"pid":1,"api_url":"http://h","barman_server":"main","backup_id":"latest","data_directory":"/d"}}"#;
    fs::write(&state, format!("{run}\n{{\"operation\":\"20260101T000000\"}}\n")).unwrap();
    let left = line("state file").1;
    assert!(left.starts_with("WARNING ") && left.contains("20260101T000000"), "{left}");
    let holder = fs::File::open(&state).unwrap();
    holder.lock().unwrap();
    let locked = line("state file").1;
    assert!(locked.starts_with("WARNING ") && locked.contains("a restore goes on"), "{locked}");
}

#[test]
fn an_api_that_cannot_diagnose_is_only_a_warning() {
    let scratch = tempdir();
    check_rows(
        [Step::proxy_error(500), Step::reply(200, "application/json", "{"), Step::raw("garbage")],
        |step| {
            let script = Script::new().diagnose([step.forever()]);
            let api = Api::start(Model::new().server("main").backup(BACKUP), script);
            let ran = check(&api, &scratch.within("data"), &[]);
            assert_eq!(ran.code, Some(0), "{}", ran.out);
            assert!(about(&ran, "backup").starts_with("WARNING "), "{}", ran.out);
        },
    );
}
