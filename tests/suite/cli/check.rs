//! `check` finds each thing that would make a restore fail, hands it out as it is found, and touches nothing.

use std::fs;
use std::time::{Duration, Instant};

use barman_recover::{Cancel, Config, Finding, Opt, Verdict};

use crate::cli::{BACKUP, model, restore};
use crate::support::node::Node;
use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Script, Status, Step, Tls, wait_until};

fn api() -> Api {
    Api::start(model(), Script::new())
}

/// A backup that is not there.
const OLD: &str = "20200101T000000";

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

/// A check of a node, without a probe; later options win.
fn check(api: &Api, data: &str, more: &[(Opt, &str)]) -> Checked {
    checked(api, data, &[&[(Opt::NoProbe, "true")], more].concat())
}

fn checked(api: &Api, data: &str, more: &[(Opt, &str)]) -> Checked {
    let url = api.url();
    let mut config = Config::new();
    let options = [
        (Opt::ApiUrl, url.as_str()),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, "ssh node"),
        (Opt::DataDirectory, data),
    ];
    for (option, text) in options.iter().chain(more) {
        config.set(*option, text).unwrap();
    }
    let mut handed_out = Vec::new();
    let found =
        barman_recover::check(&config, &Cancel::new(), |_| (), |finding| handed_out.push(finding.clone()));
    let found = found.found.findings;
    assert_eq!(found, handed_out);
    Checked(found)
}

#[test]
fn all_is_well_on_a_node_that_can_restore_and_nothing_is_left_there() {
    let scratch = tempdir();
    let api = Api::start(restore(), Script::new());
    let found = checked(&api, &scratch.within("data"), &[]);
    let rest: Vec<_> = found.all_but_ok().iter().map(|finding| (finding.verdict, finding.what)).collect();
    assert_eq!(rest, [(Verdict::Skipped, "cluster")], "{:#?}", found.0);
    assert!(found.about("backup").detail.contains(BACKUP));
    let [operation] = &api.operations()[..] else { panic!("one operation") };
    let probe = &found.about("probe").detail;
    assert!(probe.contains("Barman logged in") && probe.contains(&operation.id), "{probe}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "no data and no state directory");
}

#[test]
fn each_fault_is_found_with_what_to_do_about_it() {
    let scratch = tempdir();
    let data = scratch.within("data");
    let huge = Api::start(model().bytes(1 << 62), Script::new());
    let plain = api();
    let closed = api();
    closed.go_down();
    let locked = Api::start(model(), Script::new().status([Step::proxy_error(401).forever()]));
    let plain_list = r#"{"operations":["20261122T102257"]}"#;
    let plain_list = Step::reply(200, "application/json", plain_list).forever();
    let old = Api::start(model(), Script::new().list([plain_list]));
    let wrong_path = format!("{}/prefix", plain.url());
    check_rows(
        [
            (&closed, vec![], "API", &["connection refused", "--api-url"][..]),
            (&plain, vec![(Opt::ApiUrl, wrong_path.as_str())], "API", &["HTTP 404", "--api-url"]),
            (&plain, vec![(Opt::ApiUrl, "http://host.invalid:7480")], "API", &["the host name", "--api-url"]),
            (&locked, vec![], "API", &["HTTP 401", "--cert-file"]),
            (&old, vec![], "server", &["older than 2.0", "upgrade pg-backup-api"]),
            (&plain, vec![(Opt::BarmanServer, "nope")], "server", &["'nope'", "--barman-server"]),
            (
                &plain,
                vec![(Opt::BackupId, OLD)],
                "backup",
                &["no backup '20200101T000000'", BACKUP, "backups"],
            ),
            (&plain, vec![(Opt::BackupId, "last-failed")], "backup", &["no backup 'last-failed'"]),
            (&huge, vec![], "free space", &["for a backup of 4611", "make room"]),
            (
                &plain,
                vec![(Opt::CertFile, "/no/such.pem")],
                "options",
                &["--cert-file: /no/such.pem: No such file"],
            ),
        ],
        |(api, more, what, words)| {
            let found = check(api, &data, &more);
            let finding = found.about(what);
            assert_eq!(finding.verdict, Verdict::Failed, "{more:?}: {:#?}", found.0);
            let text = format!("{} {}", finding.detail, finding.hint.as_deref().unwrap_or_default());
            assert!(words.iter().all(|word| text.contains(word)), "{more:?}: {text}");
        },
    );
}

#[test]
fn what_a_fault_keeps_from_being_looked_at_is_named() {
    let scratch = tempdir();
    let closed = api();
    closed.go_down();
    let rest = ["backup", "timeline", "free space", "tablespaces", "Barman", "cluster", "probe"];
    let found = checked(&closed, &scratch.within("data"), &[]);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left");
    assert!(found.all(&["server"], Verdict::Skipped) && found.all(&rest, Verdict::Skipped), "{:#?}", found.0);
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
    let (data, api) = (scratch.within("data"), api());
    fs::create_dir_all(format!("{data}/something")).unwrap();
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
        let text = format!("{} {}", finding.detail, finding.hint.as_deref().unwrap_or_default());
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
    is(&scratch.within("no/data"), Verdict::Ok, "does not exist yet");
    is(&data, Verdict::Ok, "does not exist yet");
    std::os::unix::fs::symlink("nowhere", &data).unwrap();
    is(&data, Verdict::Failed, "a symbolic link to a directory that does not exist");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "x").unwrap();
    is(&data, Verdict::Failed, "not a directory");
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    is(&data, Verdict::Ok, "is empty");
    fs::create_dir(format!("{data}/lost+found")).unwrap();
    is(&data, Verdict::Warning, "lost+found");
    fs::remove_dir(format!("{data}/lost+found")).unwrap();
    fs::write(format!("{data}/PG_VERSION"), "15\n").unwrap();
    is(&data, Verdict::Warning, "not empty");
    let link = scratch.within("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    is(&link, Verdict::Warning, "is a symbolic link, and it is not empty");
    fs::create_dir(format!("{data}/global")).unwrap();
    fs::write(format!("{data}/global/pg_control"), 7_u64.to_ne_bytes()).unwrap();
    assert_eq!(check(&api, &data, &[]).about("cluster").verdict, Verdict::Failed, "of another cluster");
    fs::write(format!("{data}/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    is(&data, Verdict::Failed, "PostgreSQL is running");
}

#[test]
fn the_state_directory_is_judged_as_a_restore_would_find_it() {
    let scratch = tempdir();
    let (data, api) = (scratch.within("data"), api());
    let is = |more: &[(Opt, &str)], verdict, words: &str| {
        let found = check(&api, &data, more);
        let finding = found.about("state directory");
        assert!(finding.verdict == verdict && finding.detail.contains(words), "{words}: {finding:?}");
    };
    is(&[], Verdict::Ok, "data.barman-recover can be locked");
    is(&[(Opt::StateDir, &scratch.within("odd name"))], Verdict::Failed, "odd name");
    is(&[(Opt::NoLease, "true")], Verdict::Skipped, "--no-lease");
    let (node, holds) = (Node::new(), Api::start(restore().hold(), Script::new()));
    let run = node.start(&holds, &[]);
    wait_until("the restore", || fs::exists(format!("{}/PG_VERSION", node.data)).unwrap());
    let found = checked(&api, &node.data, &[]);
    let finding = found.about("state directory");
    let says = format!("another run is restoring into {} (pid {}", node.data, run.pid());
    assert!(finding.verdict == Verdict::Warning && finding.detail.contains(&says), "{finding:?}");
    assert_eq!(found.about("probe").verdict, Verdict::Skipped);
    assert_eq!(api.creates(), 0);
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
fn a_probe_that_the_deadline_ends_has_failed() {
    let (scratch, api) = (tempdir(), Api::start(restore(), Script::new()));
    let hangs = [(Opt::SshCommand, "sh -c 'sleep 10'"), (Opt::Deadline, "5")];
    let found = checked(&api, &scratch.within("data"), &hangs);
    let probe = found.about("probe");
    assert!(probe.verdict == Verdict::Failed && probe.detail.contains("is still in progress"), "{probe:?}");
}

/// Row for row what keeps Barman from restoring to this node, and what the probe says about it.
#[test]
fn a_probe_shows_whether_barman_can_restore_to_this_node() {
    let scratch = tempdir();
    let data = scratch.within("data");
    check_rows(
        [
            (restore(), "false", Verdict::Failed, ["has not reached this node", "can't log in"]),
            (
                restore(),
                "ssh node 'echo Welcome;'",
                Verdict::Failed,
                ["listed the data directory", ".bashrc"],
            ),
            (
                model().result(Status::Failed),
                "ssh node",
                Verdict::Failed,
                ["has not reached this node", "output"],
            ),
        ],
        |(model, ssh_command, verdict, words)| {
            let api = Api::start(model, Script::new());
            let found = checked(&api, &data, &[(Opt::SshCommand, ssh_command)]);
            let probe = found.about("probe");
            let text = format!("{} {}", probe.detail, probe.hint.as_deref().unwrap_or_default());
            assert!(probe.verdict == verdict && words.iter().all(|word| text.contains(word)), "{probe:?}");
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left");
        },
    );
}
