//! Facts about this node other than the data directory: its user and programs.

use std::env;
use std::path::PathBuf;

use crate::sys;

/// The user of this process, by name if it has one.
pub(crate) fn user() -> String {
    let user = sys::effective_user();
    sys::user_name(user).unwrap_or_else(|| user.to_string())
}

/// Where this program is found in this process's PATH.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| sys::may_execute(file))
}

/// Which of the commands that a restore runs on this node are not in this process's PATH.
pub(crate) fn missing_commands() -> Vec<&'static str> {
    ["rsync", "flock", "setsid"].into_iter().filter(|name| in_path(name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_can_be_executed() {
        assert!(in_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(in_path("no-such-program"), None);
        assert!(!user().is_empty());
    }
}
