//! The machine against a simulated world in virtual time: `barman.rs` is what it talks about, `world.rs` what a
//! driver would do, with faults on the way, and what every run must keep to. `row.rs` makes rows of that, one per
//! decision: `before.rs`, `create.rs`, `lost.rs`, `poll.rs` and `end.rs` follow a run, `left_over.rs` has state
//! files. `cuts.rs` ends runs at every step, `random.rs` tries what nobody thought of, `cluster.rs` starts many
//! nodes at once.

mod barman;
mod before;
mod cluster;
mod create;
mod cuts;
mod end;
mod left_over;
mod lost;
mod poll;
mod random;
mod row;
mod world;

use row::{Row, row};
use world::{Fault, Interrupt, Kind, Other, Ran, SECRETS, World, no_reply};
