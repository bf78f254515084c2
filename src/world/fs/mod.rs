//! The file system: the data directory, what arrives in it, and the state file.

pub(crate) mod directory;
pub(crate) mod inspect;
mod mark;
pub(crate) mod state_file;
pub(crate) mod usage;
