//! One writer, 0 only with the data, never given up while data arrives: whatever the network, the API, Barman, the
//! node and whoever ends a run do.

mod bytes;
mod directories;
mod fitness;
mod kills;
mod lost;
mod replies;
mod restores;
pub mod row;
mod signals;
mod syscalls;
