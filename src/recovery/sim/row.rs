//! A row of a table: a simulated world, what is done in it, and what is expected of the run. A table runs to its
//! end and reports all rows that failed.

use std::fmt::Debug;
use std::time::Duration;

use super::api::{Fault, reply};
use super::caller::Sim;
use super::run::Ran;
use super::state::secs;
use crate::api::Reply;
use crate::config::url::Url;
use crate::outcome::{Code, OperationState};

pub(super) const ALWAYS: std::ops::Range<usize> = 0..usize::MAX;
/// The ID of a create in the first second, as recorded.
pub(super) const FIRST: &str = "20261122T102257";

type Prepare = Box<dyn FnOnce(&mut Sim)>;
type Check = Box<dyn Fn(&Sim, &Ran) -> Result<(), String>>;

pub(super) struct Row {
    name: String,
    prepare: Vec<Prepare>,
    runs: usize,
    checks: Vec<Check>,
}

pub(super) fn row(name: impl Into<String>) -> Row {
    Row { name: name.into(), prepare: Vec::new(), runs: 1, checks: Vec::new() }
}

/// Runs every row.
pub(super) fn table(rows: impl IntoIterator<Item = Row>) {
    let failed: Vec<String> = rows.into_iter().filter_map(|row| row.run().err()).collect();
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}

impl Row {
    pub(super) fn with(mut self, prepare: impl FnOnce(&mut Sim) + 'static) -> Row {
        self.prepare.push(Box::new(prepare));
        self
    }

    /// How often the recovery is called, one after the other; the last one counts.
    pub(super) fn runs(self, runs: usize) -> Row {
        Row { runs, ..self }
    }

    fn check(mut self, check: impl Fn(&Sim, &Ran) -> Result<(), String> + 'static) -> Row {
        self.checks.push(Box::new(check));
        self
    }

    pub(super) fn holds(self, what: &'static str, holds: impl Fn(&Sim, &Ran) -> bool + 'static) -> Row {
        self.check(move |sim, ran| if holds(sim, ran) { Ok(()) } else { Err(format!("not so: {what}")) })
    }

    pub(super) fn code(self, code: Code) -> Row {
        self.check(move |_, ran| equal("code", ran.code(), Some(code)))
    }

    pub(super) fn state(self, state: OperationState) -> Row {
        self.check(move |_, ran| {
            equal("state", ran.outcome.as_ref().map(|o| o.found.operation_state), Some(state))
        })
    }

    /// The creates of the run that counts.
    pub(super) fn creates(self, count: usize) -> Row {
        self.check(move |_, ran| equal("creates", ran.creates(), count))
    }

    pub(super) fn says(self, text: &'static str) -> Row {
        self.check(move |_, ran| if ran.says(text) { Ok(()) } else { Err(format!("does not say {text:?}")) })
    }

    pub(super) fn silent(self, text: &'static str) -> Row {
        self.check(move |_, ran| if ran.says(text) { Err(format!("says {text:?}")) } else { Ok(()) })
    }

    /// How long the run took.
    pub(super) fn took(self, least: Duration, most: Duration) -> Row {
        self.check(move |_, ran| {
            let took = ran.ended.unwrap_or_default() - ran.started;
            let kept = (least..=most).contains(&took);
            if kept { Ok(()) } else { Err(format!("took {took:?}, not {least:?} to {most:?}")) }
        })
    }

    pub(super) fn requests(self, most: usize) -> Row {
        self.check(move |_, ran| {
            let sent = ran.requests.len();
            if sent <= most { Ok(()) } else { Err(format!("sent {sent} requests, more than {most}")) }
        })
    }

    pub(super) fn named(self, id: Option<&'static str>) -> Row {
        self.check(move |_, ran| {
            let named = ran.outcome.as_ref().and_then(|outcome| outcome.found.operation_id.clone());
            equal("operation", named.as_deref(), id)
        })
    }

    fn run(self) -> Result<(), String> {
        let mut sim = Sim::new();
        self.prepare.into_iter().for_each(|prepare| prepare(&mut sim));
        let ran = (0..self.runs).map(|_| sim.run()).last().unwrap_or_default();
        let mut failed: Vec<String> =
            self.checks.iter().filter_map(|check| check(&sim, &ran).err()).collect();
        failed.extend(sim.state.broken.iter().cloned());
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!("--- {}\n  * {}\n{}", self.name, failed.join("\n  * "), sim.story()))
    }
}

fn equal<T: PartialEq + Debug>(what: &str, is: T, wanted: T) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("{what} is {is:?}, not {wanted:?}")) }
}

pub(super) fn moved(status: u16) -> Fault {
    Fault::Answer(Reply { location: Some(Url::parse("https://other/").unwrap()), ..reply(status, "") })
}

pub(super) fn later(reply: Reply, wait: u64) -> Fault {
    Fault::Answer(Reply { retry_after: Some(secs(wait)), ..reply })
}
