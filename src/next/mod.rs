//! The recovery by lease, built beside the one that it replaces.

pub(crate) mod data;
pub(crate) mod world;
