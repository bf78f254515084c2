//! `check` finds each thing that would make a restore fail, hands it out as it is found, and touches nothing.

use std::fs;
use std::time::{Duration, Instant};

use barman_recover::{Cancel, Config, Finding, Opt, Verdict};

use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script, Step, Tls};

const BACKUP: &str = "20261122T101942";

fn model() -> Model {
    Model::new().server("main").backup(BACKUP)
}

fn api() -> Api {
    Api::start(model(), Script::new())
}

struct Checked(Vec<Finding>);

impl Checked {
    fn about(&self, what: &str) -> &Finding {
        let found = self.0.iter().find(|finding| finding.what == what);
        found.unwrap_or_else(|| panic!("nothing about {what}: {:#?}", self.0))
    }

    /// Of everything but those that depend on who runs the tests.
    fn all_but_ok(&self) -> Vec<&Finding> {
        self.0.iter().filter(|finding| finding.verdict != Verdict::Ok && finding.what != "user").collect()
    }

    fn all(&self, what: &[&str], verdict: Verdict) -> bool {
        what.iter().all(|what| self.about(what).verdict == verdict)
    }
}

/// A check of a node; later options win.
fn check(api: &Api, data: &str, more: &[(Opt, &str)]) -> Checked {
    let user =
        String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let (url, ssh) = (api.url(), format!("ssh {}@127.0.0.1", user.trim()));
    let mut config = Config::new();
    let options = [
        (Opt::ApiUrl, url.as_str()),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, &ssh),
        (Opt::DataDirectory, data),
    ];
    for (option, text) in options.iter().chain(more) {
        config.set(*option, *text).unwrap();
    }
    let mut handed_out = Vec::new();
    let found =
        barman_recover::check(&config, &Cancel::new(), |_| (), |finding| handed_out.push(finding.clone()));
    let found = found.found.findings;
    assert_eq!(found, handed_out);
    Checked(found)
}

#[test]
fn all_is_well_on_a_node_that_can_restore() {
    let scratch = tempdir();
    let api = api();
    let found = check(&api, &scratch.within("data"), &[]);
    let skipped: Vec<_> = found.all_but_ok().iter().map(|finding| (finding.verdict, finding.what)).collect();
    assert_eq!(skipped, [(Verdict::Skipped, "cluster"), (Verdict::Skipped, "probe")], "{:#?}", found.0);
    assert!(found.about("backup").detail.contains(BACKUP));
    assert_eq!(api.creates(), 0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn each_fault_is_found_with_what_to_do_about_it() {
    let scratch = tempdir();
    let data = scratch.within("data");
    let huge = Api::start(model().files(1).bytes(1 << 62), Script::new());
    let plain = api();
    let closed = api();
    closed.go_down();
    let locked = Api::start(model(), Script::new().status([Step::proxy_error(401).forever()]));
    let wrong_path = format!("{}/prefix", plain.url());
    check_rows(
        [
            (&closed, vec![], "API", &["connection refused", "--api-url"][..]),
            (&plain, vec![(Opt::ApiUrl, wrong_path.as_str())], "API", &["HTTP 404", "--api-url"]),
            (&plain, vec![(Opt::ApiUrl, "http://host.invalid:7480")], "API", &["the host name", "--api-url"]),
            (&locked, vec![], "API", &["HTTP 401", "--cert-file"]),
            (&plain, vec![(Opt::BarmanServer, "nope")], "server", &["'nope'", "--barman-server"]),
            (&plain, vec![(Opt::BackupId, "nope")], "backup", &["no backup 'nope'", BACKUP, "backups"]),
            (&plain, vec![(Opt::BackupId, "last-failed")], "backup", &["no backup 'last-failed'"]),
            (&huge, vec![], "free space", &["for a backup of 4611", "make room"]),
            (
                &plain,
                vec![(Opt::CertFile, "/no/such.pem")],
                "options",
                &["--cert-file: /no/such.pem: No such file"],
            ),
            (&plain, vec![(Opt::SshCommand, "ssh")], "ssh command", &["no host", "quote the whole command"]),
        ],
        |(api, more, what, words)| {
            let found = check(api, &data, &more);
            let finding = found.about(what);
            assert_eq!(finding.verdict, Verdict::Failed, "{more:?}: {:#?}", found.0);
            let text = format!("{} {}", finding.detail, finding.hint);
            assert!(words.iter().all(|word| text.contains(word)), "{more:?}: {text}");
        },
    );
}

#[test]
fn what_a_fault_keeps_from_being_looked_at_is_named() {
    let scratch = tempdir();
    let closed = api();
    closed.go_down();
    let rest = ["backup", "newest backup", "free space", "tablespaces", "Barman", "last WAL", "probe"];
    let found = check(&closed, &scratch.within("data"), &[(Opt::Probe, "true")]);
    assert!(found.all(&["server"], Verdict::Skipped) && found.all(&rest, Verdict::Skipped), "{:#?}", found.0);
    let plain = api();
    for more in [(Opt::NoDiagnose, "true"), (Opt::OperationId, "20260101T000000")] {
        let found = check(&plain, &scratch.within("data"), &[more]);
        assert!(found.all(&rest[..6], Verdict::Skipped), "{more:?}: {:#?}", found.0);
    }
}

#[test]
fn an_api_that_hangs_holds_a_check_up_for_one_request_timeout() {
    let scratch = tempdir();
    let hang = || Step::model().hang_ms(60_000).forever();
    for (script, silent) in [
        (Script::new().status([hang()]), "API"),
        (Script::new().list([hang()]), "server"),
        (Script::new().diagnose([hang()]), "diagnose"),
    ] {
        let api = Api::start(model(), script);
        let begun = Instant::now();
        let found = check(&api, &scratch.within("data"), &[(Opt::RequestTimeout, "1")]);
        assert!(begun.elapsed() < Duration::from_secs(10), "{silent}: {:?}", begun.elapsed());
        assert_ne!(found.about(silent).verdict, Verdict::Ok);
        assert_eq!(found.about("data directory").verdict, Verdict::Ok, "found all the same");
        assert_eq!(found.about("backup").verdict, Verdict::Skipped);
    }
}

#[test]
fn warnings_are_failures_when_it_is_strict() {
    let scratch = tempdir();
    let data = scratch.within("no/data");
    let api = api();
    assert_eq!(check(&api, &data, &[]).about("data directory").verdict, Verdict::Warning);
    let strict = check(&api, &data, &[(Opt::Strict, "true")]);
    assert_eq!(strict.about("data directory").verdict, Verdict::Failed);
    assert!(strict.0.iter().all(|finding| finding.verdict != Verdict::Warning));
}

#[test]
fn trouble_with_certificates_is_found() {
    let scratch = tempdir();
    let data = scratch.within("data");
    let file = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let tls = Tls::new(include_bytes!("../../tls/server.pem"), include_bytes!("../../tls/server.key"));
    let strict = tls.clone().client_ca(include_bytes!("../../tls/ca.pem"));
    let open = Api::start_tls(model(), Script::new(), &tls);
    let strict = Api::start_tls(model(), Script::new(), &strict);
    let (ca, stranger) = (file("ca.pem"), file("stranger.pem"));
    for (api, ca, words) in [
        (&open, stranger.as_str(), ["not trusted", "give the issuer's certificate with --ca-file"]),
        (&strict, &ca, ["client certificate", "--cert-file"]),
    ] {
        let found = check(api, &data, &[(Opt::CaFile, ca)]);
        let finding = found.about("API");
        let text = format!("{} {}", finding.detail, finding.hint);
        assert!(finding.verdict == Verdict::Failed && words.iter().all(|word| text.contains(word)), "{text}");
    }
    let (certificate, key) = (file("client.pem"), file("client.key"));
    let files = [(Opt::CaFile, ca.as_str()), (Opt::CertFile, &certificate), (Opt::KeyFile, &key)];
    let found = check(&strict, &data, &files);
    assert!(found.about("API").detail.contains("over TLS"), "{:#?}", found.0);
}

#[test]
fn the_data_directory_is_judged_as_a_restore_would_find_it() {
    let scratch = tempdir();
    let (data, api) = (scratch.within("data"), api());
    let found = |data: &str| check(&api, data, &[]).about("data directory").clone();
    let is = |data: &str, verdict, words: &str| {
        let finding = found(data);
        assert!(finding.verdict == verdict && finding.detail.contains(words), "{words}: {finding:?}");
    };
    is("/", Verdict::Failed, "root directory");
    is(&scratch.within("no/data"), Verdict::Warning, "its parent directory do not exist");
    assert_ne!(found("/proc/no/data").verdict, Verdict::Ok, "root may write everywhere, by its own account");
    is(&data, Verdict::Ok, "does not exist yet");
    std::os::unix::fs::symlink("nowhere", &data).unwrap();
    is(&data, Verdict::Failed, "a symbolic link to a directory that does not exist");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "x").unwrap();
    is(&data, Verdict::Failed, "not a directory");
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    is(&data, Verdict::Ok, "is empty");
    fs::write(format!("{data}/PG_VERSION"), "15\n").unwrap();
    is(&data, Verdict::Warning, "not empty");
    fs::create_dir(format!("{data}/global")).unwrap();
    fs::write(format!("{data}/global/pg_control"), 7_u64.to_ne_bytes()).unwrap();
    assert_eq!(check(&api, &data, &[]).about("cluster").verdict, Verdict::Failed, "of another cluster");
    fs::write(format!("{data}/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    is(&data, Verdict::Failed, "PostgreSQL is running");
}

#[test]
fn the_state_file_is_judged_as_a_restore_would_find_it() {
    let scratch = tempdir();
    let (data, api) = (scratch.within("data"), api());
    let state = format!("{data}.barman-recover.json");
    let is = |verdict, words: &str| {
        let found = check(&api, &data, &[]);
        let finding = found.about("state file");
        assert!(finding.verdict == verdict && finding.detail.contains(words), "{words}: {finding:?}");
    };
    is(Verdict::Ok, "none is left over");
    fs::write(&state, "garbage\n").unwrap();
    is(Verdict::Warning, "unreadable");
    let run = |url: &str| {
        let run = format!(
            r#"{{"run":{{"pid":1,"api_url":"{url}","barman_server":"main","backup_id":"latest","data_directory":"{data}"}}}}"#
        );
        fs::write(&state, format!("{run}\n{{\"operation\":\"20260101T000000\"}}\n")).unwrap();
    };
    run("http://another:7480");
    is(Verdict::Failed, "belongs to a different API");
    run(&api.url());
    is(Verdict::Warning, "operation 20260101T000000 that was killed");
    let holder = fs::File::open(&state).unwrap();
    holder.lock().unwrap();
    is(Verdict::Warning, "a restore is running: a run of operation 20260101T000000 (pid 1)");
}

#[test]
fn an_api_that_cannot_diagnose_is_only_a_warning() {
    let scratch = tempdir();
    check_rows(
        [Step::proxy_error(500), Step::reply(200, "application/json", "{"), Step::raw("garbage")],
        |step| {
            let api = Api::start(model(), Script::new().diagnose([step.forever()]));
            let found = check(&api, &scratch.within("data"), &[]);
            assert_eq!(found.about("diagnose").verdict, Verdict::Warning, "{:#?}", found.0);
            assert_eq!(found.about("backup").verdict, Verdict::Skipped, "{:#?}", found.0);
            assert!(found.0.iter().all(|finding| finding.verdict != Verdict::Failed), "{:#?}", found.0);
        },
    );
}

#[test]
fn a_probe_shows_that_barman_looks_into_a_directory_here_and_leaves_nothing() {
    let scratch = tempdir();
    let data = scratch.within("data");
    // The stand-in lists its destination, and refuses what is not empty, as Barman does.
    let here = Api::start(model().fill(), Script::new());
    let found = check(&here, &data, &[(Opt::Probe, "true")]);
    let probe = found.about("probe");
    assert!(probe.verdict == Verdict::Ok && probe.detail.contains("Barman logged in"), "{probe:?}");
    let [operation] = &here.operations()[..] else { panic!("one operation") };
    assert!(probe.detail.contains(&operation.id), "{probe:?}");
    assert!(operation.destination_directory.as_ref().is_some_and(|path| path.starts_with("/proc/")));
    // Without a look at it, as when Barman can't log in.
    let elsewhere = Api::start(model().result(standin::Status::Failed), Script::new());
    let found = check(&elsewhere, &data, &[(Opt::Probe, "true")]);
    let probe = found.about("probe");
    assert!(probe.verdict == Verdict::Failed && probe.hint.contains("can't log in"), "{probe:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left beside the data directory");
}
