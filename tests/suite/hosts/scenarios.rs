//! `tests/scenarios.json`, the table that hosts of every language run: through the library, and from Python through
//! the C ABI with one prototype for all options.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use barman_recover::{Cancel, Config, Event, Opt, run};
use serde::Deserialize;
use standin::options::Options;
use standin::{Api, Script};

use crate::support::node::Node;
use crate::support::table::check_at_once;
use crate::support::tempdir;
use crate::support::tools::{installed, library, said, source, standin_program, tool};

#[derive(Deserialize)]
struct Table {
    common: Common,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Common {
    standin: Vec<String>,
    options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(default)]
    standin: Vec<String>,
    #[serde(default)]
    script: serde_json::Value,
    #[serde(default)]
    options: BTreeMap<String, String>,
    code: String,
    state: String,
    creates: usize,
}

fn check(common: &Common, scenario: &Scenario) -> Result<(), String> {
    let node = Node::new();
    let words = [common.standin.clone(), scenario.standin.clone()].concat();
    let script = if scenario.script.is_null() {
        Script::new()
    } else {
        Script::from_json(&scenario.script.to_string())?
    };
    let api = Api::start(Options::parse(words)?.model, script);
    let mut config = Config::new();
    let mut options = common.options.clone();
    options.extend(scenario.options.clone());
    options.extend([("api-url".to_owned(), api.url()), ("data-directory".to_owned(), node.data.clone())]);
    for (name, value) in &options {
        let option = Opt::find(name).map_err(|error| error.to_string())?;
        // One that is refused is missing, as in the other hosts.
        let _ = config.set(option, value.as_str());
    }
    let log = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&log);
    let outcome = run(&config, &Cancel::new(), move |event| {
        if let Event::Log { message, .. } = event {
            lines.lock().unwrap().extend([&message, "\n"]);
        }
    });
    let found = (outcome.code.name(), outcome.operation_state.name(), api.creates());
    let expected = (scenario.code.as_str(), scenario.state.as_str(), scenario.creates);
    let log = log.lock().unwrap();
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}\n{log}")) }
}

#[test]
fn every_scenario_ends_as_the_table_says() {
    let text = fs::read_to_string(source("tests/scenarios.json")).unwrap();
    let Table { common, scenarios } = serde_json::from_str(&text).unwrap();
    assert!(scenarios.len() >= 25);
    check_at_once(8, &scenarios, |scenario| scenario.name.clone(), |scenario| check(&common, scenario));
}

#[test]
fn every_scenario_ends_alike_in_a_python_host() {
    let scratch = tempdir();
    let Some(mut python) = tool("python3") else { return };
    python.env("BARMAN_RECOVER_LIBRARY", library()).env("STANDIN", standin_program());
    python.env("LD_LIBRARY_PATH", installed(&library(), &scratch));
    let ended = python.arg(source("tests/hosts/scenarios.py")).output().unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
}
