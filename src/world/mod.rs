//! The outside of a run: the API over the network, the data directory and the state file, the host.

pub(crate) mod client;
pub(crate) mod fs;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod net;
pub(crate) mod sizer;
