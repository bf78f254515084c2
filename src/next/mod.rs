//! The recovery by lease, built beside the one that it replaces.

pub(crate) mod recovery;
pub(crate) mod world;
#[cfg(test)]
mod sim;
