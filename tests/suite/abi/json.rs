//! The places of results and events are those of `docs/abi.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};

use barman_recover::{Cancel, Code, Command, Config, Opt, call};
use serde_json::Value;
use standin::{Api, Model, Script, Status, Step};

use crate::support::tools::source;
use crate::support::{Within as _, tempdir};

/// The places in the table below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(source("docs/abi.md")).unwrap();
    let section = page.split(&format!("# {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(place, _)| place.to_owned()).collect()
}

/// The places of everything in a value, with `N` for the place in a list.
fn places(value: &Value, above: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| places(value, &format!("{above}/{name}"), found));
        }
        Value::Array(list) => list.iter().for_each(|value| places(value, &format!("{above}/N"), found)),
        _ => {
            found.insert(above.to_owned());
        }
    }
}

type Places = BTreeMap<&'static str, BTreeSet<String>>;

/// Runs a command, and adds the places of its result and of its events to those found before.
fn add(found: &mut Places, command: Command, config: &Config) -> Code {
    let events = Arc::new(Mutex::new(BTreeSet::new()));
    let of_events = Arc::clone(&events);
    let report = call(command, config, &Cancel::new(), move |event| {
        places(&serde_json::to_value(event).unwrap(), "", &mut of_events.lock().unwrap());
    });
    places(&report.json, "", found.entry(command.name()).or_default());
    found.entry("Events").or_default().append(&mut events.lock().unwrap());
    report.code
}

fn config(api: &Api, data: &str) -> Config {
    let mut config = Config::new();
    for (option, value) in [
        (Opt::ApiUrl, api.url().as_str()),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, "ssh node"),
        (Opt::DataDirectory, data),
        (Opt::BarmanModel, "model"),
        (Opt::SwitchWhen, "always"),
        (Opt::Role, "primary"),
        (Opt::RetryWait, "0"),
    ] {
        config.set(option, value).unwrap();
    }
    config
}

/// Results in which each list has something, and which have nothing that the page does not name.
#[test]
fn the_places_of_results_and_events_are_those_of_the_page() {
    let scratch = tempdir();
    let model = || Model::new().server("main").backup("20261122T101942").fill().unique_ids();
    let mut found = Places::new();

    // What a failed restore has left is moved.
    let failing = Api::start(model().result(Status::Failed), Script::new());
    let failed = config(&failing, &scratch.within("failed"));
    assert_eq!(add(&mut found, Command::Recover, &failed), Code::RecoveryFailed);
    assert_eq!(add(&mut found, Command::Settle, &failed), Code::RecoveryDone);

    // The log of a recovery warns of a reply that went wrong; WAL of another timeline is one of the directory's warnings.
    let wrong = || Step::proxy_error(502);
    let api = Api::start(model().duration_ms(1500), Script::new().status([wrong()]));
    let done = config(&api, &scratch.within("data"));
    assert_eq!(add(&mut found, Command::Recover, &done), Code::RecoveryDone);
    fs::write(scratch.within("data/pg_wal/00000009.history"), "").unwrap();
    for command in Command::ALL.iter().filter(|command| **command != Command::Recover) {
        if *command == Command::ConfigSwitch {
            api.set_script(Script::new().status([wrong()]));
        }
        add(&mut found, *command, &done);
    }

    let common = documented("every command");
    let mut page = Places::from([("Events", documented("Events"))]);
    for command in Command::ALL {
        page.insert(command.name(), common.union(&documented(command.name())).cloned().collect());
    }
    assert_eq!(found, page);
}

#[test]
fn the_places_that_the_header_names_are_on_the_page() {
    let page = fs::read_to_string(source("docs/abi.md")).unwrap();
    let header = fs::read_to_string(source("include/barman_recover.h")).unwrap();
    let functions = header.split_once("#include").unwrap().1; // above is an example, which has paths
    let named = functions.split('"').filter(|text| text.starts_with('/') && !text.contains(' '));
    let missing: Vec<&str> =
        named.filter(|place| !page.contains(&format!("| `{}` |", place.replace("/0", "/N")))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
