//! How ureq connects: its own lookup and sockets, and on top of them what it lacks: TLS with our verifier, errors that
//! say what is wrong, and the phase that a request is in.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use ureq::Error;
use ureq::config::Config as UreqConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport as Wire, TransportAdapter,
};

use crate::api::Phase;
use crate::world::net::call::Call;
use crate::world::net::tls::Tls;

/// Large enough for any request head (URL, credentials); replies of any size pass through.
pub(super) const BUFFER: usize = 16 << 10;

/// The system's lookup, on the thread of the request. With a time limit ureq would start another thread for it, and
/// panic where none can be started; the one who waits for the request limits the time.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) call: Call,
    pub(super) system: DefaultResolver,
}

/// The host name could not be looked up.
#[derive(Debug)]
pub(super) struct NameUnknown(pub(super) Error);

impl fmt::Display for NameUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NameUnknown {}

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, config: &UreqConfig, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.call.enter(Phase::Lookup).map_err(other)?;
        let found = self.system.resolve(uri, config, NextTimeout::default());
        self.call.enter(Phase::Connect).map_err(other)?;
        found.map_err(|error| other(NameUnknown(error)))
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// The last connector of the chain: gets a connection to the proxy, or to the server (through the proxy if there is
/// one).
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) call: Call,
    pub(super) tls: Arc<Tls>,
    pub(super) has_proxy: bool,
}

impl<In: Wire> Connector<In> for Finish {
    type Out = Box<dyn Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(socket) = chained else { return Ok(None) };
        let is_to_proxy = self.has_proxy && details.config.proxy().is_none();
        let expected = match details.needs_tls() {
            _ if is_to_proxy => Expected::ReplyOfProxy,
            true => Expected::Anything,
            false => Expected::Http,
        };
        let wire = Plain { socket: socket.boxed(), call: self.call.clone(), expected }.boxed();
        if is_to_proxy {
            return Ok(Some(wire));
        }
        let wire = if details.needs_tls() { self.handshake(details, wire)?.boxed() } else { wire };
        self.call.enter(Phase::Answer).map_err(other)?;
        Ok(Some(wire))
    }
}

impl Finish {
    fn handshake(&self, details: &ConnectionDetails, wire: Box<dyn Wire>) -> Result<Secure, Error> {
        self.call.enter(Phase::Handshake).map_err(other)?;
        let config = self.tls.config().map_err(io::Error::other)?;
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(wire, details.current_time.clone());
        session.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Secure { stream: StreamOwned { conn: session, sock: socket }, buffers })
    }
}

/// What the first bytes from a server should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Http,
    /// The status of it is noted, as ureq's error does not have it.
    ReplyOfProxy,
    Anything,
}

/// A server that was asked in plain HTTP answered in TLS.
#[derive(Debug)]
pub(super) struct SpeaksTls;

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server speaks TLS, not plain HTTP")
    }
}

impl std::error::Error for SpeaksTls {}

/// ureq's socket.
#[derive(Debug)]
struct Plain {
    socket: Box<dyn Wire>,
    call: Call,
    expected: Expected,
}

impl Plain {
    fn check_first(&mut self) -> Result<(), Error> {
        let expected = std::mem::replace(&mut self.expected, Expected::Anything);
        match (expected, self.socket.buffers().input()) {
            // A TLS alert (21) or handshake (22) record.
            (Expected::Http, [21 | 22, ..]) => Err(other(SpeaksTls)),
            (Expected::ReplyOfProxy, reply) => {
                self.call.note_proxy_status(status(reply));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// That of `HTTP/1.1 407 Proxy Authentication Required`.
fn status(reply: &[u8]) -> Option<u16> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', digits @ ..] = reply else { return None };
    std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok()
}

fn is_broken(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl Wire for Plain {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.socket.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        match self.socket.transmit_output(amount, timeout) {
            // Maybe the server said why before it closed the connection: an early reply, or a TLS alert.
            Err(error) if is_broken(&error) && self.await_input(timeout).is_ok_and(|came| came) => Ok(()),
            result => result,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = self.socket.await_input(timeout)?;
        self.check_first()?;
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        false // never reused
    }
}

/// TLS.
struct Secure {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl Wire for Secure {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        false // never reused
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
