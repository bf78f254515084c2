//! Hints that several files share. Pure.

/// What to do about a create that was refused.
pub(crate) fn refusal_hint(why: &str) -> String {
    let hint = if why.contains("HTTP 404") && why.contains("Backup '") {
        "--backup-id must be a backup that 'barman list-backups' lists on the Barman host, or latest"
    } else if why.contains("HTTP 404") {
        "--barman-server must be a server that 'barman list-servers' lists on the Barman host; --api-url must point to pg-backup-api"
    } else if why.contains("HTTP 401") || why.contains("HTTP 403") {
        "a proxy in front of pg-backup-api asks for authentication: a client certificate (--cert-file), or user:password@ in --api-url"
    } else if why.contains("HTTP 3") {
        "a create request is never redirected: set --api-url to that address"
    } else if !why.contains("HTTP ") {
        API_HINT
    } else {
        "see the log of pg-backup-api on the Barman host"
    };
    hint.into()
}

/// What to do about a status of the API that is not OK; empty if nothing better than [`API_HINT`] is known.
pub(crate) fn status_hint(status: u16) -> String {
    if matches!(status, 401 | 403) { refusal_hint(&format!("HTTP {status}")) } else { String::new() }
}

/// The warning about a state file that can't be read.
pub(crate) fn unreadable(path: &str, why: &str) -> String {
    format!("the state file {path} is unreadable ({why}): ignoring it")
}

/// Where Barman says more than the API does. If its home directory is unknown, it is named as in the documentation.
pub(crate) fn own_output(home: Option<&str>, server: &str, operations: &str) -> String {
    let home = home.unwrap_or("<barman_home>");
    format!("Barman's own output is in {home}/{server}/output/{operations}.json on the Barman host")
}

/// The hint when nothing better is known.
pub(crate) const API_HINT: &str =
    "check --api-url, and on the Barman host whether pg-backup-api is running ('pg-backup-api status')";
