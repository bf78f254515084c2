//! `tests/scenarios.json`, the table that hosts of every language run: here in Rust and in C; Go and Python run it in the
//! tests of their packages.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use barman_recover::{Cancel, Config, Event, Opt, run};
use serde::Deserialize;
use standin::options::Options;
use standin::{Api, Script};

use crate::support::node::Node;
use crate::support::table::check_at_once;
use crate::support::tempdir;
use crate::support::tools::{c_program, output, source};

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

impl Scenario {
    fn api(&self, common: &Common) -> Result<Api, String> {
        let words = [common.standin.clone(), self.standin.clone()].concat();
        let script =
            if self.script.is_null() { Script::new() } else { Script::from_json(&self.script.to_string())? };
        Ok(Api::start(Options::parse(words)?.model, script))
    }

    fn options(&self, common: &Common, api: &Api, node: &Node) -> BTreeMap<String, String> {
        let mut options = common.options.clone();
        options.extend(self.options.clone());
        options.extend([("api-url".to_owned(), api.url()), ("data-directory".to_owned(), node.data.clone())]);
        options
    }
}

fn table() -> Table {
    serde_json::from_str(&fs::read_to_string(source("tests/scenarios.json")).unwrap()).unwrap()
}

fn check(common: &Common, scenario: &Scenario) -> Result<(), String> {
    let node = Node::new();
    let api = scenario.api(common)?;
    let mut config = Config::new();
    for (name, value) in &scenario.options(common, &api, &node) {
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
    let found = (outcome.code.name(), outcome.found.operation_state.name(), api.creates());
    let expected = (scenario.code.as_str(), scenario.state.as_str(), scenario.creates);
    let log = log.lock().unwrap();
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}\n{log}")) }
}

#[test]
fn every_scenario_ends_as_the_table_says() {
    let Table { common, scenarios } = table();
    assert!(scenarios.len() >= 15);
    check_at_once(8, &scenarios, |scenario| scenario.name.clone(), |scenario| check(&common, scenario));
}

/// The same through a program in C.
#[test]
fn every_scenario_ends_alike_in_a_c_host() {
    let scratch = tempdir();
    let Some(program) = c_program("tests/c/promises.c", &scratch) else { return };
    let Table { common, scenarios } = table();
    check_at_once(
        8,
        &scenarios,
        |scenario| scenario.name.clone(),
        |scenario| {
            let (node, api) = (Node::new(), scenario.api(&common)?);
            let options = scenario.options(&common, &api, &node);
            let words = options.iter().map(|(name, value)| format!("{name}={value}"));
            let said = output(Command::new(&program).arg("scenario").args(words));
            let found = (said.trim(), api.creates());
            let expected = (format!("{} {}", scenario.code, scenario.state), scenario.creates);
            if found == (expected.0.as_str(), expected.1) { Ok(()) } else { Err(format!("{found:?}")) }
        },
    );
}
