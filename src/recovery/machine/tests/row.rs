//! A row of a table: a world, one run in it, and what is expected of it.

use std::time::Duration;

use super::barman::{reply, secs};
use super::{Ran, World};
use crate::api::{Reply, Request};
use crate::outcome::{Code, OperationState};

pub(super) const ALWAYS: std::ops::Range<usize> = 0..usize::MAX;
/// The ID of the first create, as recorded.
pub(super) const FIRST: &str = "20261122T102257";

pub(super) struct Row {
    name: &'static str,
    pub(super) world: World,
    pub(super) ran: Ran,
    /// Whether the state file is to be as the outcome says.
    pub(super) check_file: bool,
}

pub(super) fn row(name: &'static str, prepare: impl FnOnce(&mut World)) -> Row {
    let mut world = World::new();
    prepare(&mut world);
    let ran = world.run();
    Row { name, world, ran, check_file: true }
}

impl Row {
    pub(super) fn ensure(&self, kept: bool, what: &str) {
        assert!(kept, "{}: {what}\n{}", self.name, self.ran.story());
    }

    /// The state file is none of the run's.
    pub(super) fn foreign_file(mut self) -> Row {
        self.check_file = false;
        self
    }

    pub(super) fn ends(self, code: Code, state: OperationState) -> Row {
        let outcome = self.ran.outcome.clone().unwrap();
        self.ensure(
            (outcome.code, outcome.operation_state) == (code, state),
            &format!("not {code:?}, {state:?}"),
        );
        let mut checked = self.world.check(&self.ran);
        if self.check_file {
            checked = checked.and_then(|()| self.world.check_file(&self.ran));
        }
        self.ensure(checked.is_ok(), &format!("{checked:?}"));
        self
    }

    pub(super) fn creates(self, count: usize) -> Row {
        self.ensure(self.ran.creates() == count, &format!("not {count} creates"));
        self
    }

    pub(super) fn says(self, text: &str) -> Row {
        self.ensure(self.ran.says(text), &format!("does not say {text:?}"));
        self
    }

    pub(super) fn silent(self, text: &str) -> Row {
        self.ensure(!self.ran.says(text), &format!("says {text:?}"));
        self
    }

    /// How long the run took.
    pub(super) fn took(self, least: Duration, most: Duration) -> Row {
        let elapsed = self.ran.outcome.as_ref().unwrap().elapsed;
        self.ensure(
            (least..=most).contains(&elapsed),
            &format!("took {elapsed:?}, not {least:?} to {most:?}"),
        );
        self
    }

    pub(super) fn named(self, id: Option<&str>) -> Row {
        let named = self.ran.outcome.as_ref().unwrap().operation_id.as_deref() == id;
        self.ensure(named, &format!("operation is not {id:?}"));
        self
    }

    pub(super) fn holds(self, test: impl FnOnce(&Row) -> bool, what: &str) -> Row {
        let kept = test(&self);
        self.ensure(kept, what);
        self
    }
}

/// The time between one request and the next, for those of a kind.
pub(super) fn gaps(ran: &Ran, of: impl Fn(&Request) -> bool) -> Vec<Duration> {
    let times: Vec<Duration> = ran.requests.iter().filter(|(_, r)| of(r)).map(|(at, _)| *at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

pub(super) fn moved(status: u16) -> Reply {
    Reply { location: Some(crate::config::url::Url::parse("https://other/").unwrap()), ..reply(status, "") }
}

pub(super) fn later(reply: Reply, wait: u64) -> Reply {
    Reply { retry_after: Some(secs(wait)), ..reply }
}
