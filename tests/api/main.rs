//! The scripted pg-backup-api.
fn main() {}
