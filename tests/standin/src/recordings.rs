//! The real API's replies in `tests/recordings`, compiled in, so that the program needs no files.

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        /// Every recording: its name and its bytes.
        pub const ALL: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../recordings/", $name, ".http")))),*];
    };
}

recordings! {
    "create-config-switch-both",
    "create-config-switch-reset",
    "create-config-switch",
    "create-empty-object",
    "create-gunicorn-500",
    "create-malformed-json",
    "create-missing-argument",
    "create-missing-backup-id",
    "create-no-content-type",
    "create-recovery-bad-ssh",
    "create-recovery-same-second",
    "create-recovery",
    "create-unknown-backup",
    "create-unknown-server",
    "create-unknown-type",
    "diagnose",
    "method-not-allowed",
    "operation-done",
    "operation-failed",
    "operation-in-progress",
    "operation-unknown-id",
    "operation-unknown-server",
    "operations-list-unknown-server",
    "operations-list",
    "status",
    "unknown-path",
}

/// The bytes of a recording; a name that does not exist is an error in the test or the script.
pub fn find(name: &str) -> Option<&'static [u8]> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
