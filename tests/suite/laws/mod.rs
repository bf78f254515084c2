//! What must hold with the real program, the real lease and real files, whatever the network, the API, Barman, the node
//! and whoever ends a run do: one writer, 0 only with the data, never given up while data arrives. The rules themselves
//! are tested in the simulated world of `src/recovery/sim`, row for row.

mod bytes;
mod explained;
mod kills;
mod replies;
mod restores;
pub mod row;
mod signals;
mod syscalls;
