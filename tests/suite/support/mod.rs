//! What the tests share.

pub mod commands;
pub mod node;
pub mod table;
pub mod tools;

use tempfile::TempDir;

/// A directory of a test's own, removed at its end.
pub fn tempdir() -> TempDir {
    TempDir::with_prefix("barman-recover-").unwrap()
}

/// A log without the line that only root gets: the tests may be run by root, and by others.
pub fn without_root(log: &str) -> String {
    log.split_inclusive('\n').filter(|line| !line.contains("running as root")).collect()
}

/// Paths in a directory, which need not exist.
pub trait Within {
    fn within(&self, name: &str) -> String;
}

impl Within for TempDir {
    fn within(&self, name: &str) -> String {
        self.path().join(name).into_os_string().into_string().unwrap()
    }
}
