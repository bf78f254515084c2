//! The commands: each opens what it needs, runs, and reports.

pub(crate) mod backups;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod config_switch;
pub(crate) mod operations;
pub(crate) mod recover;
pub(crate) mod verify;

use crate::event::{Event, Level};
use crate::outcome::Outcome;
use crate::world::host::Host;

/// Reports why a run could not begin.
fn not_begun<C>(host: &Host, level: Level, code: C, why: &str) -> Outcome<C> {
    host.report(Event::log(level, why));
    Outcome::not_begun(code, why)
}
