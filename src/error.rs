//! The one error of a run, from the transport to the exit: what kind of trouble it is, which decides whether to ask
//! again and how the run ends, and the words for it. `recovery::explain` says what to do about each kind. Pure.

use std::fmt::Display;
use std::time::Duration;

use crate::cancel::Interrupt;
use crate::outcome::{Code, Problem};

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    /// What went wrong, in one line.
    pub(crate) message: String,
    /// What to do about it. None if the kind of the error is enough to choose a hint.
    pub(crate) hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The run has to end. With `sent`, a POST may have been processed.
    Interrupted { why: Interrupt, sent: bool },
    /// A request has no reply. With `sent`, it was a POST that may have been processed, as its body had begun to be sent.
    NoReply { why: NoReply, sent: bool },
    /// A reply is not a good answer. With `is_final`, asking again gives the same one.
    BadReply { why: BadReply, is_final: bool, retry_after: Option<Duration> },
    /// The run ends with this code.
    Ends(Code),
}

/// Why a request has no reply, as far as that decides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// It took too long, in this phase.
    TimedOut(Phase),
    /// The server's certificate is from an issuer that is not trusted.
    UnknownIssuer,
    /// The server's certificate is for another host.
    OtherHost,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is refused for another reason.
    Certificate,
    /// There are no certificates to trust.
    NoRoots,
    /// The server speaks plain HTTP, and was asked in TLS.
    PlainHttp,
    /// The server speaks TLS, and was asked in plain HTTP.
    NotPlainHttp,
    /// The server speaks no secure version of TLS.
    OldTls,
    /// The server refuses the TLS handshake and does not say why.
    HandshakeRefused,
    /// The server requires a client certificate, and there is none.
    ClientCertificateMissing,
    /// The server does not accept our client certificate.
    ClientCertificateRefused,
    /// The proxy refuses to connect to the API.
    ProxyRefused,
    /// This host, or this process, has too many open files.
    Files,
    /// This host is out of memory.
    Memory,
    /// This host starts no more threads.
    Threads,
    /// Anything else, which may be temporary: refused, cut off, an unknown host name, not HTTP.
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

/// What is wrong with a reply, as far as that decides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadReply {
    /// A proxy in front of the API asks who we are.
    Denied,
    /// The API is at another address.
    Moved,
    /// There is no such server, or no API.
    NoServer,
    NoBackup,
    /// This API is older than what this program needs.
    TooOld,
    /// The API does not work, as far as its status says.
    NotUp,
    /// The API itself failed, before it started anything.
    ApiFailed,
    Other,
}

impl Error {
    /// Ends the run with this code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Ends(code), message: message.into(), hint: None }
    }

    /// The same, and what to do about it.
    pub(crate) fn with(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error { hint: Some(hint.into()), ..Error::new(code, message) }
    }

    pub(crate) fn ends(code: Code, problem: Problem) -> Error {
        Error { hint: problem.hint, ..Error::new(code, problem.message) }
    }

    /// Nothing was sent that could have been processed.
    pub(crate) fn unsent(why: NoReply, message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::NoReply { why, sent: false }, message: message.into(), hint: None }
    }

    /// How a run ends with this error.
    pub(crate) fn code(&self) -> Code {
        match self.kind {
            ErrorKind::Interrupted { why: Interrupt::Cancelled, .. } => Code::Cancelled,
            ErrorKind::Interrupted { why: Interrupt::DeadlinePassed, .. } => Code::TimedOut,
            ErrorKind::NoReply { .. } | ErrorKind::BadReply { .. } => Code::HttpError,
            ErrorKind::Ends(code) => code,
        }
    }

    /// The same error, with its subject in front of the message.
    pub(crate) fn about(self, what: impl Display) -> Error {
        Error { message: format!("{what}: {}", self.message), ..self }
    }

    /// The error of the last try, with the number of tries.
    pub(crate) fn after(self, tries: u32) -> Error {
        if tries <= 1 {
            return self;
        }
        Error { message: format!("{} ({tries} tries)", self.message), ..self }
    }

    /// Whether the run has to end, whatever else could be tried.
    pub(crate) fn is_interrupt(&self) -> bool {
        matches!(self.kind, ErrorKind::Interrupted { .. })
    }

    /// Whether a POST may have been processed although its reply did not come.
    pub(crate) fn was_sent(&self) -> bool {
        matches!(self.kind, ErrorKind::NoReply { sent: true, .. } | ErrorKind::Interrupted { sent: true, .. })
    }

    /// Whether asking again gives the same answer: somebody has to change something first.
    pub(crate) fn is_final(&self) -> bool {
        match self.kind {
            ErrorKind::NoReply { why, .. } => why.is_final(),
            ErrorKind::BadReply { is_final, .. } => is_final,
            ErrorKind::Interrupted { .. } | ErrorKind::Ends(_) => true,
        }
    }

    /// Whether it was a time-out while the API may have been working on the request.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.kind, ErrorKind::NoReply { why: NoReply::TimedOut(Phase::Answer), .. })
    }

    /// What is wrong with the reply, if there was one.
    pub(crate) fn bad_reply(&self) -> Option<BadReply> {
        match self.kind {
            ErrorKind::BadReply { why, .. } => Some(why),
            _ => None,
        }
    }

    /// `Retry-After` of the reply.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::BadReply { retry_after, .. } => retry_after,
            _ => None,
        }
    }
}

impl From<Interrupt> for Error {
    fn from(why: Interrupt) -> Error {
        let message = match why {
            Interrupt::Cancelled => "cancelled",
            Interrupt::DeadlinePassed => "the deadline has passed",
        };
        Error { kind: ErrorKind::Interrupted { why, sent: false }, message: message.into(), hint: None }
    }
}

impl NoReply {
    pub(crate) fn is_final(self) -> bool {
        !matches!(
            self,
            NoReply::TimedOut(_) | NoReply::Files | NoReply::Memory | NoReply::Threads | NoReply::Other
        )
    }

    /// Whether the server's TLS layer refused us. In TLS 1.3 the refusal comes after the request was sent;
    /// even so, the request was not processed.
    pub(crate) fn proves_unprocessed(self) -> bool {
        matches!(
            self,
            NoReply::ClientCertificateMissing | NoReply::ClientCertificateRefused | NoReply::HandshakeRefused
        )
    }
}
