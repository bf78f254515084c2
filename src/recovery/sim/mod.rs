//! The recovery in a simulated world and in virtual time. `state.rs` is that world, with the API (`api.rs`), Barman
//! (`barman.rs`, and what each of its restores does in `plan.rs`), nodes (`node.rs`) and their leases (`lease.rs`);
//! `clock.rs` gives it its time, `run.rs` shows it to a run, `caller.rs` calls the recovery in it, `laws.rs` says what
//! every run keeps to. The other files are tests: rows (`row.rs`) by subject, runs that end or fail at every step
//! (`everywhere.rs`), random schedules (`random.rs`), and many nodes at once (`cluster.rs`).

mod api;
mod barman;
mod caller;
mod clock;
mod cluster;
mod create;
mod dice;
mod everywhere;
mod follow;
mod laws;
mod lease;
mod node;
mod plan;
mod random;
mod row;
mod run;
mod state;
mod writers;
