//! The places of results and events are those of `docs/abi.md`.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};

use barman_recover::{Cancel, Command, Config, Opt, call};
use serde_json::Value;
use standin::{Api, Model, Script};

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

#[test]
fn the_places_of_results_and_events_are_those_of_the_page() {
    let scratch = tempdir();
    let model = Model::new().server("main").backup("20261122T101942").fill().unique_ids().duration_ms(1500);
    let api = Api::start(model, Script::new());
    let (url, data) = (api.url(), scratch.within("data"));
    let mut config = Config::new();
    for (option, value) in [
        (Opt::ApiUrl, url.as_str()),
        (Opt::BarmanServer, "main"),
        (Opt::SshCommand, "ssh node"),
        (Opt::DataDirectory, &data),
        (Opt::BarmanModel, "model"),
        (Opt::SwitchWhen, "always"),
        (Opt::Role, "primary"),
    ] {
        config.set(option, value).unwrap();
    }
    let events = Arc::new(Mutex::new(BTreeSet::new()));
    for command in Command::ALL {
        let of_events = Arc::clone(&events);
        let report = call(*command, &config, &Cancel::new(), move |event| {
            places(&serde_json::to_value(event).unwrap(), "", &mut of_events.lock().unwrap());
        });
        let mut found = BTreeSet::new();
        places(&report.json, "", &mut found);
        let page =
            documented("every command").union(&documented(command.name())).cloned().collect::<BTreeSet<_>>();
        // With nothing to warn of, or moved, there is no place for it; without a gap in the WAL its places are null.
        let sure = |places: BTreeSet<String>| -> BTreeSet<_> {
            places
                .into_iter()
                .filter(|place| !place.starts_with("/warnings/N") && place != "/moved_to/N")
                .collect()
        };
        assert_eq!(sure(found), sure(page), "{}", command.name());
    }
    assert_eq!(*events.lock().unwrap(), documented("Events"));
}
