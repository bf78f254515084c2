//! The recovery by lease, built beside the one that it replaces.

mod folder;
mod holders;
mod lease;
mod place;
pub(crate) mod recovery;
pub(crate) mod state;
pub(crate) mod world;
