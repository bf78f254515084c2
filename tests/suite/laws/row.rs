//! The table of faults: what is done to a run of the program, and what has to come of it. A row's name is the rule that
//! it protects. `replies.rs` has the rows of what a network does to replies, `restores.rs` those of what becomes of a
//! restore. With the environment variable `FAULT` only the rows that have its words in their name are run.

use std::collections::BTreeMap;

use crate::laws::{replies, restores};
use crate::support::node::{Ended, Node, Run, SERVER};
use crate::support::table::{Expected, check_at_once};
use standin::{Api, Model, Script};

pub const BACKUP: &str = "20261122T101942";
const AT_ONCE: usize = 16;

/// A restore of a tenth of a second that works.
pub fn restore() -> Model {
    nothing().duration_ms(100).fill()
}

/// Operations that end at once and write nothing here.
pub fn nothing() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids()
}

pub struct Row {
    class: &'static str,
    rule: String,
    model: Model,
    script: Script,
    arguments: Vec<&'static str>,
    before: fn(&Node, &Api),
    during: fn(&Node, &Api, &Run),
    expected: Expected,
}

/// A restore that works in spite of the fault, with one create; the methods say what else.
pub fn row(class: &'static str, rule: impl Into<String>) -> Row {
    Row {
        class,
        rule: rule.into(),
        model: restore(),
        script: Script::new(),
        arguments: Vec::new(),
        before: |_, _| {},
        during: |_, _, _| {},
        expected: Expected { creates: 1, took: Some(1), ..Expected::default() },
    }
}

impl Row {
    pub fn model(mut self, model: Model) -> Self {
        self.model = model;
        self
    }

    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// `@` is the node's scratch directory.
    pub fn with(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend(arguments);
        self
    }

    pub fn before(mut self, before: fn(&Node, &Api)) -> Self {
        self.before = before;
        self
    }

    pub fn during(mut self, during: fn(&Node, &Api, &Run)) -> Self {
        self.during = during;
        self
    }

    pub fn code(mut self, code: i32) -> Self {
        self.expected.code = code;
        self
    }

    /// So many creates, of which one took effect, if there was any.
    pub fn creates(mut self, came: usize) -> Self {
        self.expected.creates = came;
        self.took(came.min(1))
    }

    pub fn took(mut self, effect: usize) -> Self {
        self.expected.took = Some(effect);
        self
    }

    pub fn says(mut self, words: impl Into<String>) -> Self {
        self.expected.says.push(words.into());
        self
    }

    fn check(&self) -> Result<(), String> {
        let node = Node::new();
        let api = Api::start(self.model.clone(), self.script.clone());
        (self.before)(&node, &api);
        let arguments = self.arguments.iter().map(|word| word.replace('@', &node.path("")));
        let arguments = arguments.collect::<Vec<_>>();
        let run = node.start(&api, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        (self.during)(&node, &api, &run);
        let ended = run.end();
        let mut wrong = self.expected.differences(Some(ended.code()), &ended.log, &api);
        wrong.extend(broken_laws(&node, &ended));
        if wrong.is_empty() {
            return Ok(());
        }
        let operations = api.operations();
        Err(format!("\n{}\n{}{operations:#?}", wrong.join("\n"), ended.log))
    }
}

/// What holds after every end of a run that was not killed, a line for each breach.
pub fn broken_laws(node: &Node, ended: &Ended) -> Vec<String> {
    let receivers = node.receivers();
    let leases: Vec<String> = node
        .state_files()
        .into_iter()
        .filter(|name| name.contains('-') && !name.starts_with("log-"))
        .collect();
    let laws = [
        (!receivers.is_empty(), format!("something writes on: {receivers:?}")),
        (!leases.is_empty(), format!("a lease is left: {leases:?}")),
        (ended.code() == 0 && !node.is_complete(), "0 without the data".into()),
        (ended.code() == 0 && node.has_state(), "a state directory after success".into()),
        (ended.log.contains("panicked"), "a panic".into()),
    ];
    laws.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, law)| format!("  {law}")).collect()
}

#[test]
fn every_fault_of_the_table_ends_as_its_row_says() {
    let rows: Vec<Row> = [replies::rows(), restores::rows()].into_iter().flatten().collect();
    let mut classes = BTreeMap::new();
    for row in &rows {
        *classes.entry(row.class).or_insert(0) += 1;
    }
    let only = std::env::var("FAULT").unwrap_or_default();
    let name = |row: &&Row| format!("{}: {}", row.class, row.rule);
    let chosen: Vec<&Row> = rows.iter().filter(|row| name(row).contains(&only)).collect();
    check_at_once(AT_ONCE, &chosen, name, |row| row.check());
    let counts: Vec<String> = classes.iter().map(|(class, count)| format!("{class} {count}")).collect();
    println!("{} cases: {}", rows.len(), counts.join(", "));
}
