//! The recovery by lease, built beside the one that it replaces.

pub(crate) mod data;
mod folder;
pub(crate) mod here;
mod holders;
mod lease;
mod place;
pub(crate) mod recovery;
mod sizer;
pub(crate) mod state;
pub(crate) mod world;
#[cfg(test)]
mod sim;
