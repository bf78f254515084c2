//! The recovery in a simulated world and in virtual time. `state.rs` is that world, with the API (`api.rs`), Barman
//! (`barman.rs`), nodes (`node.rs`) and state files (`file.rs`); `clock.rs` gives it its time, `run.rs` shows it to
//! a run, `sim.rs` calls the recovery in it, `laws.rs` says what every run keeps to. The other files are tests: rows
//! (`row.rs`) by subject, runs that end at every step (`cuts.rs`), random schedules (`random.rs`), many nodes at once
//! (`cluster.rs`), and a world without sense (`anything.rs`).

mod anything;
mod api;
mod api_down;
mod barman;
mod cancel;
mod clock;
mod cluster;
mod create;
mod cuts;
mod dice;
mod earlier;
mod file;
mod follow;
mod in_doubt;
mod judge;
mod laws;
mod lock;
mod node;
mod random;
mod row;
mod run;
mod sim;
mod state;
