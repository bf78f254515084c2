//! The socket, and TLS on top of it. We have our own so that an interrupt ends a read at once and the host gets its
//! ticks during one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport as Wire,
    TransportAdapter,
};

use crate::world::host::Host;
use crate::world::net::tls::{SPEAKS_TLS, Tls};

/// Large enough for any request head (URL, credentials); replies of any size pass through.
const BUFFER: usize = 16 << 10;
/// Enough for the socket of a TLS connection: rustls reads no more than this at once.
const BELOW_TLS: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct SocketConnector {
    pub(super) host: Host,
    /// When the whole request has to be over: for a proxy that answers byte by byte, ureq applies the limit to each
    /// byte.
    pub(super) end: Instant,
}

impl<In: Wire> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = Arc::new(dial(&details.addrs, *details.timeout.after, &self.host)?);
        stream.set_nodelay(true)?;
        self.host.watch(&stream).map_err(|_| Error::Timeout(details.timeout.reason))?;
        let size = if details.needs_tls() { BELOW_TLS } else { BUFFER };
        let buffers = LazyBuffers::new(size, size);
        let (host, end, is_first) = (self.host.clone(), self.end, !details.needs_tls());
        Ok(Some(Either::B(Socket { stream, buffers, host, end, is_first })))
    }
}

/// Connects to the first address that answers; each gets its share of the time.
fn dial(addresses: &[SocketAddr], limit: Duration, host: &Host) -> Result<TcpStream, Error> {
    let end = Instant::now() + limit;
    let mut last = Error::ConnectionFailed;
    for (at, address) in addresses.iter().enumerate() {
        if host.interrupt().is_some() {
            return Err(Error::Timeout(ureq::Timeout::Connect));
        }
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(1);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                last = Error::Timeout(ureq::Timeout::Connect);
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

pub(super) struct Socket {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    host: Host,
    end: Instant,
    /// Whether nothing has been read yet; the first bytes must be HTTP.
    is_first: bool,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

impl Socket {
    /// Whether there is something to read right now.
    fn has_input(&self) -> bool {
        let at_once = Some(Duration::from_millis(1));
        self.stream.set_read_timeout(at_once).is_ok() && self.stream.peek(&mut [0]).is_ok_and(|n| n > 0)
    }

    /// Repeats `io` in slices that end with a tick, until it succeeds, fails, takes too long or is interrupted.
    fn sliced<T>(
        &mut self,
        timeout: NextTimeout,
        set: impl Fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut io: impl FnMut(&TcpStream, &mut LazyBuffers) -> io::Result<T>,
    ) -> Result<T, Error> {
        let end = self.end.min(Instant::now() + *timeout.after);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            let slice = left.min(self.host.tick()).max(Duration::from_millis(1));
            set(&self.stream, Some(slice))?;
            match io(&self.stream, &mut self.buffers) {
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    if self.host.interrupt().is_some() {
                        return Err(Error::Timeout(timeout.reason));
                    }
                }
                result => return Ok(result?),
            }
        }
    }
}

fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl Wire for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut sent = 0;
        while sent < amount {
            let written = self.sliced(timeout, TcpStream::set_write_timeout, |mut stream, buffers| {
                let rest = buffers.output().get(sent..amount).unwrap_or_default();
                match stream.write(rest)? {
                    0 => Err(ErrorKind::WriteZero.into()),
                    count => Ok(count),
                }
            });
            match written {
                Ok(count) => sent += count,
                // The peer said why before it closed the connection: an early reply, or a TLS alert.
                Err(Error::Io(error)) if is_broken(&error) && self.has_input() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let count = self.sliced(timeout, TcpStream::set_read_timeout, |mut stream, buffers| {
            let count = stream.read(buffers.input_append_buf())?;
            buffers.input_appended(count);
            Ok(count)
        })?;
        // A TLS alert (21) or handshake (22) record where HTTP was expected.
        if std::mem::take(&mut self.is_first) && matches!(self.buffers.input().first(), Some(21 | 22)) {
            return Err(io::Error::other(rustls::Error::General(SPEAKS_TLS.into())).into());
        }
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        false // never reused
    }
}

#[derive(Debug)]
pub(super) struct TlsConnector {
    pub(super) tls: Arc<Tls>,
    /// When connecting has to be over, including the handshake.
    pub(super) end: Instant,
}

impl<In: Wire> Connector<In> for TlsConnector {
    type Out = Either<In, TlsWire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(plain) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(plain)));
        }
        let config = self.tls.config().map_err(io::Error::other)?;
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(plain.boxed(), details.current_time.clone());
        let left = self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut timeout = details.timeout;
        timeout.after = left.min(*timeout.after).into();
        socket.set_timeout(timeout);
        session.complete_io(&mut socket).map_err(|error| match error.into() {
            Error::Timeout(_) => io::Error::from(ErrorKind::TimedOut).into(),
            other => other,
        })?;
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        Ok(Some(Either::B(TlsWire { stream: StreamOwned { conn: session, sock: socket }, buffers })))
    }
}

pub(super) struct TlsWire {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for TlsWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsWire")
    }
}

impl Wire for TlsWire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
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
    use std::net::TcpListener;

    use super::*;
    use crate::cancel::Cancel;

    #[test]
    fn the_next_address_is_tried_when_one_is_dead() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let live = listener.local_addr().unwrap();
        let dead = SocketAddr::from(([127, 0, 0, 77], live.port()));
        let host = Host::new(|_| (), Cancel::new());
        let stream = dial(&[dead, live], Duration::from_secs(60), &host).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        assert!(dial(&[dead, dead], Duration::from_secs(60), &host).is_err());
    }

    /// A server that answers before it has read everything resets the connection: its answer is not lost.
    #[test]
    fn what_a_server_sent_before_it_closed_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut socket = Socket {
            stream,
            buffers: LazyBuffers::new(BUFFER, BUFFER),
            host: Host::new(|_| (), Cancel::new()),
            end: Instant::now() + Duration::from_secs(60),
            is_first: true,
        };
        let timeout = NextTimeout { after: Duration::from_secs(60).into(), ..NextTimeout::default() };
        socket.transmit_output(1, timeout).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.peek(&mut [0]).unwrap();
        peer.write_all(b"HTTP/1.1 401 No\r\n\r\n").unwrap();
        drop(peer); // with an unread byte: RST
        for _ in 0..3 {
            socket.transmit_output(1, timeout).unwrap();
        }
        assert!(socket.await_input(timeout).unwrap());
        assert!(socket.buffers.input().starts_with(b"HTTP/1.1 401"));
    }
}
