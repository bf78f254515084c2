//! Why no reply came: what kind of failure it was decides whether to ask again and what to do about it. Pure.

/// No reply came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransportError {
    pub(crate) kind: NoReply,
    /// Where and why, in one line.
    pub(crate) message: String,
    /// Whether it was a POST that may have been processed, as its body had begun to be sent.
    pub(crate) sent: bool,
}

/// Why a request has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// Nothing listens at the port.
    Refused,
    /// The host name has no address.
    NameUnknown,
    /// It took too long, in this phase.
    TimedOut(Phase),
    Tls(TlsFault),
    /// The server requires a client certificate, and there is none.
    ClientCertificateMissing,
    /// The server does not accept our client certificate.
    ClientCertificateRefused,
    /// The proxy made no connection to the API; its HTTP status, if it answered with one.
    Proxy(Option<u16>),
    /// What came is not a valid HTTP reply.
    NotHttp,
    /// The connection was closed or reset before the reply was there.
    Cut,
    /// The redirects don't end.
    Redirects,
    /// This host, or this process, lacks something.
    Shortage(Shortage),
    /// The run has to end.
    Interrupted,
    /// The deadline of the run passed.
    DeadlinePassed,
    /// Another error of the operating system or of a library.
    Other,
}

/// How far a request has come. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The host name is being looked up.
    Lookup,
    /// A connection is being made: TCP, and through the proxy if there is one.
    Connect,
    Handshake,
    /// The connection stands: the request is being sent, and its reply read.
    Answer,
}

/// What is wrong with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsFault {
    UnknownIssuer,
    OtherHost,
    Expired,
    NotYetValid,
    /// The server's certificate is refused for another reason.
    Certificate,
    /// There are no certificates to trust.
    NoRoots,
    /// The server speaks plain HTTP.
    PlainHttp,
    /// The server speaks TLS, and was asked in plain HTTP.
    NotPlainHttp,
    OldVersion,
    /// The server refuses the handshake and does not say why.
    HandshakeRefused,
    Other,
}

/// What this host or process lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    Files,
    Memory,
    Threads,
}

impl TransportError {
    /// Nothing was sent that could have been processed.
    pub(crate) fn unsent(kind: NoReply, message: impl Into<String>) -> TransportError {
        TransportError { kind, message: message.into(), sent: false }
    }

    /// What to do about it, if that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.kind.hint()
    }

    /// Whether asking again gives the same answer.
    pub(crate) fn is_permanent(&self) -> bool {
        self.kind.is_permanent()
    }

    /// Whether it was a time-out while the API may have been working on the request.
    pub(crate) fn is_late(&self) -> bool {
        self.kind == NoReply::TimedOut(Phase::Answer)
    }
}

impl NoReply {
    /// Whether asking again gives the same answer: somebody has to change something first.
    fn is_permanent(self) -> bool {
        match self {
            NoReply::Tls(fault) => fault != TlsFault::Other,
            NoReply::ClientCertificateMissing | NoReply::ClientCertificateRefused | NoReply::Redirects => {
                true
            }
            NoReply::Proxy(status) => status.is_some_and(|status| matches!(status, 400..=499)),
            NoReply::Refused
            | NoReply::NameUnknown
            | NoReply::TimedOut(_)
            | NoReply::NotHttp
            | NoReply::Cut
            | NoReply::Shortage(_)
            | NoReply::Interrupted
            | NoReply::DeadlinePassed
            | NoReply::Other => false,
        }
    }

    /// Whether the server's TLS layer refused us. In TLS 1.3 that comes after the request was sent, which was not
    /// processed all the same.
    pub(crate) fn proves_unprocessed(self) -> bool {
        matches!(
            self,
            NoReply::ClientCertificateMissing
                | NoReply::ClientCertificateRefused
                | NoReply::Tls(TlsFault::HandshakeRefused)
        )
    }

    fn hint(self) -> Option<&'static str> {
        Some(match self {
            NoReply::Tls(fault) => return fault.hint(),
            NoReply::Shortage(shortage) => shortage.hint(),
            NoReply::TimedOut(Phase::Handshake) => {
                "if it speaks plain HTTP, use http:// in --api-url; otherwise check the server, or the proxy in front of it"
            }
            NoReply::ClientCertificateMissing => "give one with --cert-file and --key-file",
            NoReply::ClientCertificateRefused => {
                "give one with --cert-file that the server's administrator has issued, and that is valid now"
            }
            NoReply::Proxy(_) if self.is_permanent() => {
                "check --proxy ('http://user:password@host:port'), and whether the proxy may connect to the API"
            }
            NoReply::Redirects => "set --api-url to where pg-backup-api is",
            NoReply::Refused
            | NoReply::NameUnknown
            | NoReply::TimedOut(_)
            | NoReply::Proxy(_)
            | NoReply::NotHttp
            | NoReply::Cut
            | NoReply::Interrupted
            | NoReply::DeadlinePassed
            | NoReply::Other => return None,
        })
    }
}

impl TlsFault {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            TlsFault::UnknownIssuer => {
                "give the issuer's certificate with --ca-file, or add it to the system's trust store"
            }
            TlsFault::OtherHost => {
                "use in --api-url a name that the certificate has (a subjectAltName; a common name alone does not count)"
            }
            TlsFault::Expired => "renew it; if it is valid, check this host's clock",
            TlsFault::NotYetValid => "check this host's clock",
            TlsFault::Certificate => "inspect it with 'openssl s_client -connect HOST:PORT'",
            TlsFault::NoRoots => "install the package ca-certificates, set SSL_CERT_FILE, or give --ca-file",
            TlsFault::PlainHttp => {
                "it seems to speak plain HTTP: use http:// in --api-url, or the port that speaks TLS"
            }
            TlsFault::NotPlainHttp => "use https:// in --api-url",
            TlsFault::OldVersion => "TLS 1.2 or 1.3 is needed",
            TlsFault::HandshakeRefused => {
                "it may require a client certificate (--cert-file), or support no TLS 1.2 or 1.3 with a common cipher"
            }
            TlsFault::Other => return None,
        })
    }
}

impl Shortage {
    fn hint(self) -> &'static str {
        match self {
            Shortage::Files => "this process, or this host, has too many open files (ulimit -n)",
            Shortage::Memory => "this host is out of memory",
            Shortage::Threads => "allow more processes and memory (ulimit -u, TasksMax)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can't heal has a hint, as somebody has to do something; a run without an API has nobody to ask.
    #[test]
    fn what_is_permanent_has_a_hint() {
        use TlsFault::*;
        let faults = [
            UnknownIssuer,
            OtherHost,
            Expired,
            NotYetValid,
            Certificate,
            NoRoots,
            PlainHttp,
            NotPlainHttp,
            OldVersion,
            HandshakeRefused,
        ];
        let others = [
            NoReply::ClientCertificateMissing,
            NoReply::ClientCertificateRefused,
            NoReply::Redirects,
            NoReply::Proxy(Some(407)),
        ];
        for kind in faults.map(NoReply::Tls).into_iter().chain(others) {
            let error = TransportError::unsent(kind, "");
            assert!(error.is_permanent() && error.hint().is_some(), "{kind:?}");
        }
    }

    #[test]
    fn what_may_heal_is_asked_again() {
        let shortages = [Shortage::Files, Shortage::Memory, Shortage::Threads].map(NoReply::Shortage);
        let others = [
            NoReply::Refused,
            NoReply::NameUnknown,
            NoReply::TimedOut(Phase::Handshake),
            NoReply::Proxy(Some(502)),
            NoReply::Proxy(None),
            NoReply::NotHttp,
            NoReply::Cut,
            NoReply::Interrupted,
            NoReply::Tls(TlsFault::Other),
        ];
        for kind in shortages.into_iter().chain(others) {
            assert!(!TransportError::unsent(kind, "").is_permanent(), "{kind:?}");
        }
    }
}
