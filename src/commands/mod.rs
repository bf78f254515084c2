//! The commands: each opens what it needs, runs, and reports.

pub(crate) mod backups;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod config_switch;
pub(crate) mod operations;
pub(crate) mod recover;
pub(crate) mod verify;
