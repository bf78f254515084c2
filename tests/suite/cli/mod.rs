//! What an operator, Patroni and the Python program's users meet: the commands, their output and their log.

mod answers;
mod check;
mod config_switch;
mod log_and_memory;
mod logging;
mod no_lease;
mod operations;
mod parity;
mod progress;
mod settle;

use crate::support::node::SERVER;
use standin::Model;

const BACKUP: &str = "20261122T101942";

/// A Barman whose operations end at once, and restore nothing.
fn model() -> Model {
    Model::new().server(SERVER).backup(BACKUP).unique_ids()
}

/// One that restores, in a tenth of a second.
fn restore() -> Model {
    model().duration_ms(100).fill()
}
