//! Why no reply came, in words for an operator, and what to do about it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use ureq::{Error, Timeout};

use crate::text::{first_few, one_line, seconds};
use crate::world::net::resolver::NoThread;
use crate::world::net::tls::SPEAKS_TLS;
use crate::world::net::trust::NO_ROOTS;

/// Why no reply came, for an operator.
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) hint: &'static str,
    /// Whether a retry can't help.
    pub(super) permanent: bool,
    /// Whether the server's TLS layer refused us, so that what was sent was not processed.
    pub(super) refused: bool,
}

impl<T: Into<String>> From<T> for Failure {
    /// Without a hint; a retry may help.
    fn from(text: T) -> Failure {
        Failure { text: text.into(), hint: "", permanent: false, refused: false }
    }
}

impl Failure {
    fn permanent(text: impl Into<String>, hint: &'static str) -> Failure {
        Failure { text: text.into(), hint, permanent: true, refused: false }
    }

    /// Translates an error of ureq. `connect` and `whole` are the limits of connecting and of the request.
    pub(super) fn new(error: &Error, connect: Duration, whole: Duration) -> Failure {
        match error {
            Error::Io(error) => Failure::of_tls(error)
                .unwrap_or_else(|| Failure { hint: io_hint(error), ..io_text(error).into() }),
            Error::Timeout(Timeout::Resolve) => {
                format!("the host name was not resolved within {}", seconds(connect)).into()
            }
            Error::Timeout(Timeout::Connect) => format!("no connection within {}", seconds(connect)).into(),
            Error::Timeout(_) => format!("no answer within {}", seconds(whole)).into(),
            Error::ConnectProxyFailed(why) => Failure::of_proxy(why),
            Error::HostNotFound => "the host name has no address".into(),
            other => format!("not a valid HTTP reply ({})", one_line(&other.to_string())).into(),
        }
    }

    /// ureq's text is "proxy server responded 407/407", or another one without a status.
    fn of_proxy(why: &str) -> Failure {
        let Some((_, status)) = why.rsplit_once('/') else {
            return format!("the proxy does not work: {}", one_line(why)).into();
        };
        let text = format!("the proxy refused with HTTP {status}");
        if !status.starts_with('4') {
            return text.into();
        }
        Failure::permanent(
            text,
            "check --proxy ('http://user:password@host:port'), and whether the proxy may connect to the API",
        )
    }

    /// Finds the TLS error behind an I/O error, if there is one.
    fn of_tls(error: &io::Error) -> Option<Failure> {
        use rustls::Error;
        Some(match error.get_ref()?.downcast_ref::<Error>()? {
            Error::InvalidCertificate(why) => certificate_failure(why),
            Error::AlertReceived(alert) => alert_failure(*alert),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Failure::permanent(
                "the server does not speak TLS",
                "it seems to speak plain HTTP: use http:// in --api-url, or the port that speaks TLS",
            ),
            Error::General(text) if text == SPEAKS_TLS => {
                Failure::permanent(SPEAKS_TLS, "use https:// in --api-url")
            }
            Error::General(text) if text.starts_with(NO_ROOTS) => Failure::permanent(
                text,
                "install the package ca-certificates, set SSL_CERT_FILE, or give --ca-file",
            ),
            Error::PeerIncompatible(why) => {
                let text = format!("the server supports no secure version of TLS ({why:?})");
                Failure::permanent(text, "TLS 1.2 or 1.3 is needed")
            }
            other => format!("TLS: {other}").into(),
        })
    }
}

pub(super) const INTERRUPTED: &str = "interrupted because the run is ending";

pub(super) fn io_text(error: &io::Error) -> String {
    match (error.kind(), error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())) {
        (_, Some(Error::Timeout(_))) => "it took too long".into(),
        (ErrorKind::ConnectionRefused, _) => "connection refused (nothing listens there)".into(),
        (ErrorKind::TimedOut, None) if error.raw_os_error().is_none() => {
            "the server did not answer the TLS handshake: does it speak TLS?".into()
        }
        (ErrorKind::UnexpectedEof, _) => "the server closed the connection early".into(),
        _ => one_line(&error.to_string()),
    }
}

/// What to do if the cause is on this host, or probably the URL.
fn io_hint(error: &io::Error) -> &'static str {
    let no_thread = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoThread>);
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            "this process, or this host, has too many open files (ulimit -n)"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => "this host is out of memory",
        None if error.kind() == ErrorKind::TimedOut && error.get_ref().is_none() => {
            "if it speaks plain HTTP, use http:// in --api-url; otherwise check the server, or the proxy in front of it"
        }
        _ if no_thread => {
            "use an address in --api-url, or allow more processes and memory (ulimit -u, TasksMax)"
        }
        _ => "",
    }
}

fn certificate_failure(why: &CertificateError) -> Failure {
    let (what, details, hint) = match why {
        CertificateError::UnknownIssuer => (
            "is from an issuer that is not trusted",
            String::new(),
            "give the issuer's certificate with --ca-file, or add it to the system's trust store",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another host",
            names(why),
            "use in --api-url a name that the certificate has (a subjectAltName; a common name alone does not count)",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired", distance(why), "renew it; if it is valid, check this host's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", distance(why), "check this host's clock")
        }
        other => (
            "is not accepted",
            format!(" ({other})"),
            "inspect it with 'openssl s_client -connect HOST:PORT'",
        ),
    };
    Failure::permanent(format!("the server's certificate {what}{details}"), hint)
}

/// The names that the certificate is for.
fn names(why: &CertificateError) -> String {
    let CertificateError::NotValidForNameContext { expected, presented } = why else { return String::new() };
    // In rustls' format: `DnsName("barman.example.com")`.
    let theirs = match presented.as_slice() {
        [] => "no name".into(),
        names => first_few(names.iter().map(|name| name.split('"').nth(1).unwrap_or(name))),
    };
    format!(" ({})", one_line(&format!("it is for {theirs}, not for {}", expected.to_str())))
}

/// How far this host's clock is from the period in which a certificate is valid.
fn distance(why: &CertificateError) -> String {
    let (seconds, word) = match why {
        CertificateError::ExpiredContext { time, not_after } => {
            (time.as_secs().saturating_sub(not_after.as_secs()), "ago")
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            (not_before.as_secs().saturating_sub(time.as_secs()), "from now")
        }
        _ => return String::new(),
    };
    match seconds {
        0..=7_199 => format!(" ({} min {word})", seconds / 60),
        7_200..=172_799 => format!(" ({} h {word})", seconds / 3_600),
        _ => format!(" ({} days {word})", seconds / 86_400),
    }
}

fn alert_failure(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    let (text, hint, refused) = match alert {
        A::CertificateRequired | A::NoCertificate => (
            "the server requires a client certificate".to_string(),
            "give one with --cert-file and --key-file",
            true,
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => (
            format!("the server refused our client certificate ({alert:?})"),
            "give one with --cert-file that the server's administrator has issued, and that is valid now",
            true,
        ),
        A::HandshakeFailure => (
            "the server refused the TLS handshake (HandshakeFailure)".into(),
            "it may require a client certificate (--cert-file), or support no TLS 1.2 or 1.3 with a common cipher",
            true,
        ),
        A::ProtocolVersion => {
            ("the server supports only an old version of TLS".into(), "TLS 1.2 or 1.3 is needed", false)
        }
        other => (format!("the server ended TLS ({other:?})"), "", false),
    };
    Failure { text, permanent: !hint.is_empty(), hint, refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_on_this_host_is_not_blamed_on_the_api() {
        assert!(io_hint(&io::Error::from_raw_os_error(libc::EMFILE)).contains("ulimit -n"));
        let none = io::Error::other(NoThread::from(io::Error::from_raw_os_error(libc::EAGAIN)));
        assert!(io_hint(&none).contains("ulimit -u"));
        assert!(none.to_string().starts_with("no thread can be started to look up the host name (Resource"));
        for unknown in [libc::ECONNREFUSED, libc::ETIMEDOUT] {
            assert_eq!(io_hint(&io::Error::from_raw_os_error(unknown)), "");
        }
        assert!(io_hint(&ErrorKind::TimedOut.into()).contains("http://"));
    }
}
