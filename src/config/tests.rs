//! What options accept, and what they come to.

use super::*;
use std::time::Duration;

use crate::config::options::{Command, Kind, OPTIONS, Opt};
use crate::config::settings::Change;

fn config() -> Config {
    let mut config = Config::new();
    for (option, text) in [
        (Opt::ApiUrl, "http://h"),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, "ssh h"),
        (Opt::DataDirectory, "/pg/data/"),
    ] {
        config.set(option, text).unwrap();
    }
    config
}

#[test]
fn defaults_are_those_of_the_table() {
    let restore = config().restore().unwrap();
    assert_eq!(restore.backup_id, "latest");
    assert_eq!(restore.loop_wait, Duration::from_secs(10));
    assert_eq!(restore.state_dir, None);
    assert!(restore.lease && restore.verify && !restore.replica && !restore.watched);
    let settings = config().connection(Command::Recover).unwrap();
    assert_eq!(settings.retry_wait, Duration::from_secs(2));
    assert_eq!(settings.max_retries, 5);
    assert_eq!(settings.request_timeout, Duration::from_secs(20));
    assert_eq!(settings.create_timeout, Duration::from_secs(60));
    assert_eq!(settings.max_outage, Duration::from_secs(300));
    assert_eq!(settings.deadline, None);
}

#[test]
fn every_option_refuses_what_is_not_of_its_kind() {
    for spec in OPTIONS {
        let wrong: &[&str] = match spec.kind {
            Kind::Text | Kind::Path => &["", "a\0b"],
            Kind::Url => &["", "host:80", "true"],
            Kind::Seconds | Kind::Count => &["", "abc", "-1", "10m", "4294967296", "true"],
            Kind::Flag => &["maybe", "", "2"],
            Kind::Word(_) => &["", "Always", "true"],
        };
        for value in wrong {
            let error = Config::new().set(spec.option, value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--{}: ", spec.name)), "{error}");
        }
    }
}

#[test]
fn a_wrong_value_leaves_the_option_as_it_was() {
    let mut config = config();
    assert!(config.set(Opt::LoopWait, "3").is_ok());
    assert!(config.set(Opt::LoopWait, "x").is_err());
    assert_eq!(config.restore().unwrap().loop_wait, Duration::from_secs(3));
}

#[test]
fn missing_options_are_named() {
    let mut config = Config::new();
    for option in [Opt::ApiUrl, Opt::BarmanServer, Opt::SshCommand, Opt::DataDirectory] {
        let error = config.connection(Command::Recover).err().unwrap().to_string();
        assert_eq!(error, format!("--{}: is required", option.spec().name));
        config.set(option, if option == Opt::ApiUrl { "http://x" } else { "x" }).unwrap();
    }
    assert!(config.connection(Command::Recover).is_ok());
}

#[test]
fn what_the_api_would_refuse_is_refused_before_it_is_asked() {
    let refused = |option: Opt, text: &str| Config::new().set(option, text).is_err();
    for id in ["latest", "last", "oldest", "first", "last-failed", "20261122T102257"] {
        assert!(!refused(Opt::BackupId, id), "{id}");
    }
    for id in ["None", "['latest']", "latest-full", "auto", "weekly", "20261122T10225", "2026-11-22"] {
        assert!(refused(Opt::BackupId, id), "{id}");
    }
    assert!(refused(Opt::DataDirectory, "node1:/pg/data"));
}

#[test]
fn only_a_restore_to_another_host_goes_unverified() {
    let mut config = config();
    config.set(Opt::NoVerify, "true").unwrap();
    assert!(config.restore().err().unwrap().to_string().contains("--no-lease"));
    config.set(Opt::NoLease, "true").unwrap();
    assert!(!config.restore().unwrap().verify);
}

#[test]
fn a_command_needs_its_own_options_only() {
    let mut config = Config::new();
    config.set(Opt::ApiUrl, "http://h").unwrap().set(Opt::BarmanServer, "main").unwrap();
    assert!(config.connection(Command::Operations).is_ok());
    let error = config.connection(Command::ConfigSwitch).err().unwrap().to_string();
    assert_eq!(error, "--switch-when: is required");
}

#[test]
fn a_switch_applies_a_model_or_resets() {
    let switch = |model: Option<&str>, reset: Option<bool>| {
        let mut config = Config::new();
        config.set(Opt::SwitchWhen, "always").unwrap();
        if let Some(model) = model {
            config.set(Opt::BarmanModel, model).unwrap();
        }
        if let Some(reset) = reset {
            config.set(Opt::Reset, if reset { "true" } else { "false" }).unwrap();
        }
        config.change().map_err(|error| error.to_string())
    };
    assert_eq!(switch(Some("m"), None), Ok(Change::Model("m".into())));
    assert_eq!(switch(Some("m"), Some(false)), Ok(Change::Model("m".into())));
    assert_eq!(switch(None, Some(true)), Ok(Change::Reset));
    let refused = |model, reset| {
        format!("One, and only one among 'barman_model' ('{model}') and 'reset' ('{reset}') should be given")
    };
    assert_eq!(switch(None, None), Err(refused("None", "False")));
    assert_eq!(switch(Some("m"), Some(true)), Err(refused("m", "True")));
}

const ODD: [&str; 20] = [
    "", "", "/", "//", ":", "?", "#", "@", "%40", "%", "%2", "%25", " ", "\\", "é", "\n", "[", "]", "1", "h",
];
const SCHEMES: [&str; 9] =
    ["http://", "https://", "http:/", "http:", "http//", "", "HTTP://", "ftp://", "socks5://"];
const TAILS: [&str; 8] = ["barman", "barman:74800", "barman/x", "[::1", "", ":", "barman?x", "é"];

/// Whatever surrounds them: what stands before an `@`, and a password whose `@` was forgotten.
#[test]
fn no_error_ever_shows_credentials() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut pick = |count: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % count as u64).unwrap()
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut odd = || format!("{}{}", ODD[pick(ODD.len())], ODD[pick(ODD.len())]);
        let parts = [odd(), odd(), odd(), odd()];
        let [a, b, c, d] = parts;
        let (scheme, tail) = (SCHEMES[pick(SCHEMES.len())], TAILS[pick(TAILS.len())]);
        let at = ["@", "%40", "@"][pick(3)];
        let with_at = format!("{scheme}{a}U5ER{b}:{c}S3CRET{d}{at}{tail}");
        let without = format!("{scheme}name:S3CRET{d}{tail}");
        for (text, hidden) in [(with_at, &["U5ER", "S3CRET"][..]), (without, &["S3CRET"])] {
            for option in [Opt::ApiUrl, Opt::Proxy] {
                let Err(error) = Config::new().set(option, &text) else { continue };
                refused += 1;
                let shown = error.to_string();
                assert!(!hidden.iter().any(|part| shown.contains(part)), "{text:?}: {shown}");
                assert!(!shown.contains(char::is_control), "{shown:?}");
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}
