//! Why no reply came: the errors of ureq and of rustls as a kind, and in words for an operator.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use ureq::Error;

use crate::api::{NoReply, Phase, Shortage, TlsFault};
use crate::text::{first_few, one_line};
use crate::world::net::call::Call;
use crate::world::net::trust::NoRoots;

/// Why no reply came.
pub(super) struct Failure {
    pub(super) kind: NoReply,
    /// For an operator, in one line.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(kind: NoReply, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into() }
    }

    /// Translates an error of ureq that is not a time-out.
    pub(super) fn of(error: &Error, call: &Call) -> Failure {
        match error {
            Error::Io(error) if call.phase() == Phase::Lookup => of_lookup(error),
            Error::Io(error) => of_io(error),
            Error::HostNotFound => Failure::new(NoReply::NameUnknown, "the host name has no address"),
            Error::ConnectProxyFailed(why) => of_proxy(status(&call.first_bytes()), why),
            // A TLS alert (21) or handshake (22) record.
            Error::Protocol(_) if matches!(call.first_bytes().first(), Some(21 | 22)) => {
                let text = "the server speaks TLS, not plain HTTP";
                Failure::new(NoReply::Tls(TlsFault::NotPlainHttp), text)
            }
            other => {
                let text = format!("not a valid HTTP reply ({})", one_line(&other.to_string()));
                Failure::new(NoReply::NotHttp, text)
            }
        }
    }
}

fn of_proxy(status: Option<u16>, why: &str) -> Failure {
    let text = match status {
        Some(status) => format!("the proxy refused with HTTP {status}"),
        None => format!("the proxy does not work: {}", one_line(why)),
    };
    Failure::new(NoReply::Proxy(status), text)
}

/// That of `HTTP/1.1 407 Proxy Authentication Required`, whose number ureq's error does not have.
fn status(reply: &[u8]) -> Option<u16> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', digits @ ..] = reply else { return None };
    std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok()
}

fn of_lookup(error: &io::Error) -> Failure {
    match shortage(error) {
        Some(_) => of_io(error),
        None => Failure::new(NoReply::NameUnknown, format!("the host name is not known ({error})")),
    }
}

fn of_io(error: &io::Error) -> Failure {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return of_tls(error);
    }
    let kind = match error.kind() {
        _ if let Some(shortage) = shortage(error) => NoReply::Shortage(shortage),
        ErrorKind::ConnectionRefused => NoReply::Refused,
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => NoReply::Cut,
        _ => NoReply::Other,
    };
    Failure::new(kind, io_text(error))
}

pub(super) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused (nothing listens there)".into(),
        ErrorKind::UnexpectedEof => "the server closed the connection early".into(),
        _ => one_line(&error.to_string()),
    }
}

/// What this host lacks, if that is the cause.
fn shortage(error: &io::Error) -> Option<Shortage> {
    match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => Some(Shortage::Files),
        libc::ENOBUFS | libc::ENOMEM => Some(Shortage::Memory),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Failure {
    use rustls::Error;
    let (fault, text) = match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => return of_alert(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (TlsFault::PlainHttp, "the server does not speak TLS".into())
        }
        Error::Other(why) if why.0.is::<NoRoots>() => (TlsFault::NoRoots, why.0.to_string()),
        Error::PeerIncompatible(why) => {
            (TlsFault::OldVersion, format!("the server supports no secure version of TLS ({why:?})"))
        }
        other => (TlsFault::Other, format!("TLS: {other}")),
    };
    Failure::new(NoReply::Tls(fault), text)
}

fn of_certificate(why: &CertificateError) -> (TlsFault, String) {
    let (fault, what, details) = match why {
        CertificateError::UnknownIssuer => {
            (TlsFault::UnknownIssuer, "is from an issuer that is not trusted", String::new())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (TlsFault::OtherHost, "is for another host", names(why))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (TlsFault::Expired, "has expired", distance(why))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (TlsFault::NotYetValid, "is not valid yet", distance(why))
        }
        other => (TlsFault::Certificate, "is not accepted", format!(" ({other})")),
    };
    (fault, format!("the server's certificate {what}{details}"))
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

fn of_alert(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    let (kind, text) = match alert {
        A::CertificateRequired | A::NoCertificate => {
            (NoReply::ClientCertificateMissing, "the server requires a client certificate".into())
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => (
            NoReply::ClientCertificateRefused,
            format!("the server refused our client certificate ({alert:?})"),
        ),
        A::HandshakeFailure => (
            NoReply::Tls(TlsFault::HandshakeRefused),
            "the server refused the TLS handshake (HandshakeFailure)".into(),
        ),
        A::ProtocolVersion => {
            (NoReply::Tls(TlsFault::OldVersion), "the server supports only an old version of TLS".into())
        }
        other => (NoReply::Tls(TlsFault::Other), format!("the server ended TLS ({other:?})")),
    };
    Failure::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_on_this_host_is_not_blamed_on_the_api() {
        let kind = |number| of_io(&io::Error::from_raw_os_error(number)).kind;
        for number in [libc::EMFILE, libc::ENFILE] {
            assert_eq!(kind(number), NoReply::Shortage(Shortage::Files));
            let lookup = of_lookup(&io::Error::from_raw_os_error(number));
            assert_eq!(lookup.kind, NoReply::Shortage(Shortage::Files), "a lookup opens files too");
        }
        assert_eq!(kind(libc::ENOBUFS), NoReply::Shortage(Shortage::Memory));
        assert_eq!(kind(libc::ECONNREFUSED), NoReply::Refused);
        assert_eq!(kind(libc::ECONNRESET), NoReply::Cut);
        assert_eq!(kind(libc::EHOSTUNREACH), NoReply::Other);
    }

    #[test]
    fn only_an_http_reply_has_a_status() {
        for (reply, found) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some(407)),
            ("HTTP/1.0 200", Some(200)),
            ("HTTP/1.1 40", None),
            ("HTTP/1.1 no HTTP", None),
            ("SSH-2.0-x 407", None),
            ("", None),
        ] {
            assert_eq!(status(reply.as_bytes()), found, "{reply}");
        }
    }
}
