//! Why no reply came: the errors of ureq and of rustls as a kind, and in words for an operator.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::error::{Error, NoReply, Phase};
use crate::text::{first_few, one_line};
use crate::world::net::call::Call;
use crate::world::net::trust::NoRoots;

/// Translates an error of ureq that is not a time-out.
pub(super) fn translated(error: &ureq::Error, call: &Call) -> Error {
    match error {
        ureq::Error::Io(error) if call.phase() == Phase::Lookup => failed_lookup(error),
        ureq::Error::Io(error) => failed_io(error),
        ureq::Error::HostNotFound => Error::unsent(NoReply::Other, "the host name has no address"),
        ureq::Error::ConnectProxyFailed(why) => failed_proxy(status(&call.first_bytes()), why),
        // A TLS alert (21) or handshake (22) record.
        ureq::Error::Protocol(_) if matches!(call.first_bytes().first(), Some(21 | 22)) => {
            Error::unsent(NoReply::NotPlainHttp, "the server speaks TLS, not plain HTTP")
        }
        other => {
            let text = format!("not a valid HTTP reply ({})", one_line(&other.to_string()));
            Error::unsent(NoReply::Other, text)
        }
    }
}

fn failed_proxy(status: Option<u16>, why: &str) -> Error {
    match status {
        Some(status @ 400..=499) => {
            Error::unsent(NoReply::ProxyRefused, format!("the proxy refused with HTTP {status}"))
        }
        Some(status) => Error::unsent(NoReply::Other, format!("the proxy refused with HTTP {status}")),
        None => Error::unsent(NoReply::Other, format!("the proxy does not work: {}", one_line(why))),
    }
}

/// The status in `HTTP/1.1 407 Proxy Authentication Required`: ureq's error does not have the number.
fn status(reply: &[u8]) -> Option<u16> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', digits @ ..] = reply else { return None };
    std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok()
}

fn failed_lookup(error: &io::Error) -> Error {
    match shortage(error) {
        Some(_) => failed_io(error),
        None => Error::unsent(NoReply::Other, format!("the host name is not known ({error})")),
    }
}

fn failed_io(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => failed_tls(error),
        None => Error::unsent(shortage(error).unwrap_or(NoReply::Other), io_text(error)),
    }
}

pub(super) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused (nothing listens there)".into(),
        ErrorKind::UnexpectedEof => "the server closed the connection early".into(),
        _ => one_line(&error.to_string()),
    }
}

/// What this host lacks, if that is the cause.
fn shortage(error: &io::Error) -> Option<NoReply> {
    match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => Some(NoReply::Files),
        libc::ENOBUFS | libc::ENOMEM => Some(NoReply::Memory),
        _ => None,
    }
}

fn failed_tls(error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let (why, text) = match error {
        Tls::InvalidCertificate(why) => refused_certificate(why),
        Tls::AlertReceived(alert) => refused_by_server(*alert),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (NoReply::PlainHttp, "the server does not speak TLS".into())
        }
        Tls::Other(why) if why.0.is::<NoRoots>() => (NoReply::NoRoots, why.0.to_string()),
        Tls::PeerIncompatible(why) => {
            (NoReply::OldTls, format!("the server supports no secure version of TLS ({why:?})"))
        }
        other => (NoReply::Other, format!("TLS: {other}")),
    };
    Error::unsent(why, text)
}

fn refused_certificate(why: &CertificateError) -> (NoReply, String) {
    let (kind, what, details) = match why {
        CertificateError::UnknownIssuer => {
            (NoReply::UnknownIssuer, "is from an issuer that is not trusted", String::new())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (NoReply::OtherHost, "is for another host", names(why))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (NoReply::Expired, "has expired", distance(why))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (NoReply::NotYetValid, "is not valid yet", distance(why))
        }
        other => (NoReply::Certificate, "is not accepted", format!(" ({other})")),
    };
    (kind, format!("the server's certificate {what}{details}"))
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

fn refused_by_server(alert: AlertDescription) -> (NoReply, String) {
    use AlertDescription as A;
    match alert {
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
        | A::DecryptError => {
            let text = format!("the server refused our client certificate ({alert:?})");
            (NoReply::ClientCertificateRefused, text)
        }
        A::HandshakeFailure => {
            (NoReply::HandshakeRefused, "the server refused the TLS handshake (HandshakeFailure)".into())
        }
        A::ProtocolVersion => (NoReply::OldTls, "the server supports only an old version of TLS".into()),
        other => (NoReply::Other, format!("the server ended TLS ({other:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_shortage_on_this_host_is_not_blamed_on_the_api() {
        let kind = |number| failed_io(&io::Error::from_raw_os_error(number)).kind;
        let no_reply = |why| ErrorKind::NoReply { why, sent: false };
        for number in [libc::EMFILE, libc::ENFILE] {
            assert_eq!(kind(number), no_reply(NoReply::Files));
            let lookup = failed_lookup(&io::Error::from_raw_os_error(number));
            assert_eq!(lookup.kind, no_reply(NoReply::Files), "a lookup opens files too");
        }
        assert_eq!(kind(libc::ENOBUFS), no_reply(NoReply::Memory));
        for number in [libc::ECONNREFUSED, libc::ECONNRESET, libc::EHOSTUNREACH] {
            assert_eq!(kind(number), no_reply(NoReply::Other));
        }
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
