//! What to say about trouble, and what to do about it: hints for the operator. Pure.

use crate::api::OperationKind;
use crate::error::{BadReply, Error, ErrorKind, NoReply, Phase};
use crate::outcome::Problem;
use crate::text::printable;

use super::history::History;

/// The hint when nothing better is known about an API that does not work.
pub(crate) const API_HINT: &str =
    "check --api-url, and on the Barman host whether pg-backup-api is running ('pg-backup-api status')";

/// A cause that leaves no trace on this node.
pub(crate) const ON_ITS_OWN_HOST: &str = "it failed on its own host before it logged in (for example because the API reads PG_BACKUP_API_BARMAN_CONF, but the 'barman recover' that it starts does not)";

/// An error in words, with what to do about it.
pub(crate) fn problem(error: Error) -> Problem {
    let hint = hint(&error).map(|hint| printable(&hint));
    Problem { hint, ..Problem::without_hint(error.message) }
}

/// What to do about an error, if that is known.
pub(crate) fn hint(error: &Error) -> Option<String> {
    let of_kind = || match error.kind {
        ErrorKind::NoReply { why, .. } => no_reply(why),
        ErrorKind::BadReply { why, .. } => Some(bad_reply(why)),
        ErrorKind::Interrupted { .. } | ErrorKind::Ends(_) => None,
    };
    error.hint.clone().or_else(|| of_kind().map(Into::into))
}

/// The same for trouble with the API, about which there is always something to do.
pub(crate) fn api_hint(error: &Error) -> String {
    hint(error).unwrap_or_else(|| API_HINT.into())
}

/// What to do about a create of which nothing came.
pub(crate) fn create_hint(kind: OperationKind, error: &Error) -> String {
    match (kind, error.bad_reply()) {
        (OperationKind::ConfigSwitch, Some(BadReply::ApiFailed)) => {
            "pg-backup-api before 2.1 has no config switch and answers with this error: upgrade it on the Barman host to 2.1 or later; if it is 2.1 or later already, see its log".into()
        }
        _ => api_hint(error),
    }
}

fn bad_reply(why: BadReply) -> &'static str {
    match why {
        BadReply::NoBackup => {
            "--backup-id must be a backup that 'barman list-backups' lists on the Barman host, or latest"
        }
        BadReply::NoServer => {
            "--barman-server must be a server that 'barman list-servers' lists on the Barman host; --api-url must point to pg-backup-api"
        }
        BadReply::Denied => {
            "a proxy in front of pg-backup-api asks for authentication: a client certificate (--cert-file), or user:password@ in --api-url"
        }
        BadReply::Moved => "redirects are not followed: set --api-url to the address of pg-backup-api itself",
        BadReply::TooOld => "upgrade pg-backup-api on the Barman host to 2.1 or later",
        BadReply::NotUp => API_HINT,
        BadReply::ApiFailed | BadReply::Other => "see the log of pg-backup-api on the Barman host",
    }
}

fn no_reply(why: NoReply) -> Option<&'static str> {
    Some(match why {
        NoReply::TimedOut(Phase::Handshake) => {
            "if it speaks plain HTTP, use http:// in --api-url; otherwise check the server, or the proxy in front of it"
        }
        NoReply::UnknownIssuer => {
            "give the issuer's certificate with --ca-file, or add it to the system's trust store"
        }
        NoReply::OtherHost => {
            "use in --api-url a name that the certificate has (a subjectAltName; a common name alone does not count)"
        }
        NoReply::Expired => "renew it; if it is valid, check this host's clock",
        NoReply::NotYetValid => "check this host's clock",
        NoReply::Certificate => "inspect it with 'openssl s_client -connect HOST:PORT'",
        NoReply::NoRoots => "install the package ca-certificates, set SSL_CERT_FILE, or give --ca-file",
        NoReply::PlainHttp => {
            "it seems to speak plain HTTP: use http:// in --api-url, or the port that speaks TLS"
        }
        NoReply::NotPlainHttp => "use https:// in --api-url",
        NoReply::OldTls => "TLS 1.2 or 1.3 is needed",
        NoReply::HandshakeRefused => {
            "it may require a client certificate (--cert-file), or support no TLS 1.2 or 1.3 with a common cipher"
        }
        NoReply::ClientCertificateMissing => "give one with --cert-file and --key-file",
        NoReply::ClientCertificateRefused => {
            "give one with --cert-file that the server's administrator has issued, and that is valid now"
        }
        NoReply::ProxyRefused => {
            "check --proxy ('http://user:password@host:port'), and whether the proxy may connect to the API"
        }
        NoReply::Files => "this process, or this host, has too many open files (ulimit -n)",
        NoReply::Memory => "this host is out of memory",
        NoReply::Threads => "allow more processes and memory (ulimit -u, TasksMax)",
        NoReply::TimedOut(_) | NoReply::Other => return None,
    })
}

/// Where Barman says more than the API does.
pub(crate) fn own_output(server: &str, operation: &str) -> String {
    format!("Barman's own output is in <barman_home>/{server}/output/{operation}.json on the Barman host")
}

/// What Barman did last on this node, in words.
pub(crate) fn last_command(history: &History) -> String {
    let Some(last) = history.last_command() else {
        return "Barman has not run a command on this node yet".into();
    };
    let words = last.shortened();
    match last.status {
        None if history.runs_a_command() => format!("'{words}' is running on this node"),
        None => format!("the last command on this node, '{words}', was cut off"),
        Some(status) => {
            format!("the last command on this node was '{words}', which ended with status {status}")
        }
    }
}

/// What to think of a restore in which nothing happens.
pub(crate) fn stall(history: &History, server: &str) -> String {
    let last = last_command(history);
    if history.runs_a_command() {
        return format!(
            "{last}; check the network to the Barman host, and whether Barman is still reading from its disk there"
        );
    }
    format!(
        "{last}; while Barman unpacks or combines backups or fetches WAL on its own host, nothing arrives here for a long time. Check that 'barman recover' of server {server} is still running there; --stall-timeout ends a restore that waits like this"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can't heal has a hint, as somebody has to do something; a run without an API has nobody to ask.
    #[test]
    fn what_is_final_has_a_hint_and_what_may_heal_is_asked_again() {
        for why in [
            NoReply::UnknownIssuer,
            NoReply::OtherHost,
            NoReply::Expired,
            NoReply::NotYetValid,
            NoReply::Certificate,
            NoReply::NoRoots,
            NoReply::PlainHttp,
            NoReply::NotPlainHttp,
            NoReply::OldTls,
            NoReply::HandshakeRefused,
            NoReply::ClientCertificateMissing,
            NoReply::ClientCertificateRefused,
            NoReply::ProxyRefused,
        ] {
            let error = Error::unsent(why, "");
            assert!(error.is_final() && hint(&error).is_some(), "{why:?}");
        }
        for why in [
            NoReply::TimedOut(Phase::Handshake),
            NoReply::TimedOut(Phase::Answer),
            NoReply::Files,
            NoReply::Memory,
            NoReply::Threads,
            NoReply::Other,
        ] {
            assert!(!Error::unsent(why, "").is_final(), "{why:?}");
        }
    }
}
