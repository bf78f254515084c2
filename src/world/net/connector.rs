//! How ureq connects: its own lookup and sockets, and on top of them what it lacks: TLS with our verifier, errors that
//! say what is wrong, and the phase that a request is in.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::config::Config as UreqConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport as Wire, TransportAdapter,
};
use ureq::{Error, Timeout};

use crate::error::Phase;
use crate::timing::LAST_WORDS;
use crate::world::net::call::Call;

/// Large enough for any request head (URL, credentials); replies of any size pass through.
pub(super) const BUFFER: usize = 16 << 10;

const FOR_LAST_WORDS: NextTimeout = NextTimeout {
    after: UreqDuration::Exact(LAST_WORDS),
    reason: Timeout::RecvResponse,
    per_read: None,
    per_write: None,
};

/// The system's lookup, on the thread of the request. With a time limit ureq would start another thread for it, and
/// panic where none can be started; the one who waits for the request limits the time.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) call: Call,
    pub(super) system: DefaultResolver,
}

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, config: &UreqConfig, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.call.enter(Phase::Lookup)?;
        let found = self.system.resolve(uri, config, NextTimeout::default())?;
        self.call.enter(Phase::Connect)?;
        Ok(found)
    }
}

/// The last connector of the chain: gets a connection to the proxy, or to the server (through the proxy if there is
/// one).
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) call: Call,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) has_proxy: bool,
}

impl<In: Wire> Connector<In> for Finish {
    type Out = Box<dyn Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(socket) = chained else { return Ok(None) };
        let is_to_proxy = self.has_proxy && details.config.proxy().is_none();
        let expects_http = is_to_proxy || !details.needs_tls();
        let wire = Plain { socket: socket.boxed(), call: self.call.clone(), expects_http }.boxed();
        if is_to_proxy {
            return Ok(Some(wire));
        }
        let wire = if details.needs_tls() { self.handshake(details, wire)?.boxed() } else { wire };
        self.call.enter(Phase::Answer)?;
        Ok(Some(wire))
    }
}

impl Finish {
    fn handshake(&self, details: &ConnectionDetails, wire: Box<dyn Wire>) -> Result<Secure, Error> {
        self.call.enter(Phase::Handshake)?;
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(wire, details.current_time.clone());
        session.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Secure { stream: StreamOwned { conn: session, sock: socket }, buffers })
    }
}

/// ureq's socket.
#[derive(Debug)]
struct Plain {
    socket: Box<dyn Wire>,
    call: Call,
    /// Whether nothing has come yet, and the first bytes should be HTTP.
    expects_http: bool,
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
            Err(error) if is_broken(&error) && self.await_input(FOR_LAST_WORDS).is_ok_and(|came| came) => {
                Ok(())
            }
            result => result,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = self.socket.await_input(timeout)?;
        if std::mem::take(&mut self.expects_http) {
            self.call.note_first_bytes(self.socket.buffers().input());
        }
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
