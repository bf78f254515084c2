//! The table of faults: what the API does to the program, and what has to come of it. A row's name is the
//! rule that it protects. `faults_replies.rs` has the rows of single replies, stage by stage,
//! `faults_restores.rs` those of what becomes of a restore. With the environment variable `FAULT` only the
//! rows that have its words in their name are run.

use std::collections::BTreeMap;

use crate::laws::{directories, lost, replies, restores};
use crate::support::node::{Node, Run, SERVER};
use crate::support::table::{Expected, check_at_once};
use standin::{Api, Model, Script};

pub const BACKUP: &str = "20261122T101942";
const AT_ONCE: usize = 16;

/// A restore of a tenth of a second that works.
pub fn restore() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids().duration_ms(100).fill()
}

/// An operation that never ends, and brings nothing: while data arrives, an outage costs nothing.
pub fn nothing() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids().stuck()
}

/// What has to be true of the node when the run has ended.
type After = (&'static str, fn(&Node, &Api) -> bool);

pub struct Row {
    class: &'static str,
    rule: String,
    model: Model,
    script: Script,
    arguments: Vec<&'static str>,
    before: fn(&Node, &Api),
    during: fn(&Node, &Api, &Run),
    after: Option<After>,
    expected: Expected,
    state_file: bool,
    /// Whether code 0 needs the data: not where Barman's word is all there is.
    data: bool,
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
        after: None,
        expected: Expected { creates: 1, took: Some(1), ..Expected::default() },
        state_file: false,
        data: true,
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

    /// `@` is the node's scratch directory, `#` the ID of the first operation.
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

    /// What has to be true of the node when the run has ended.
    pub fn after(mut self, what: &'static str, after: fn(&Node, &Api) -> bool) -> Self {
        self.after = Some((what, after));
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

    pub fn keeps_state_file(mut self) -> Self {
        self.state_file = true;
        self
    }

    pub fn without_data(mut self) -> Self {
        self.data = false;
        self
    }

    fn check(&self) -> Result<(), String> {
        let node = Node::new();
        let api = Api::start(self.model.clone(), self.script.clone());
        (self.before)(&node, &api);
        let first = api.operations().first().map(|operation| operation.id.clone()).unwrap_or_default();
        let arguments =
            self.arguments.iter().map(|word| word.replace('@', &node.path("")).replace('#', &first));
        let arguments = arguments.collect::<Vec<_>>();
        let run = node.start(&api, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        (self.during)(&node, &api, &run);
        let ended = run.end();
        let mut wrong = self.expected.differences(Some(ended.code()), &ended.log, &api);
        let mut expect = |what: &str, found: bool, expected: bool| {
            if found != expected {
                wrong.push(format!("  {what}: {found} instead of {expected}"));
            }
        };
        expect("at once in the directory", api.max_parallel(&node.data) > 1, false);
        let has_file = if ended.code() == 0 { node.has_state_file() } else { node.remembers() };
        expect("state file", has_file, self.state_file);
        if let Some((what, after)) = self.after {
            expect(what, after(&node, &api), true);
        }
        expect("a panic", ended.log.contains("panicked"), false);
        if ended.code() == 0 && self.data {
            expect("the data", node.is_complete(), true);
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let operations = api.operations();
        Err(format!("\n{}\n{}{operations:#?}", wrong.join("\n"), ended.log))
    }
}

#[test]
fn every_fault_of_the_table_ends_as_its_row_says() {
    let rows: Vec<Row> = [replies::rows(), restores::rows(), lost::rows(), directories::rows()]
        .into_iter()
        .flatten()
        .collect();
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
