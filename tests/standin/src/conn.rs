//! One accepted connection, plain or TLS, that ends as a script wants it to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, Stream};

pub struct Conn {
    stream: TcpStream,
    tls: Option<ServerConnection>,
}

impl Conn {
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }

    /// Shakes hands; None when that failed.
    pub fn tls(mut stream: TcpStream, config: &Arc<ServerConfig>) -> Option<Self> {
        let mut tls = ServerConnection::new(Arc::clone(config)).ok()?;
        while tls.is_handshaking() {
            if tls.complete_io(&mut stream).is_err() {
                // The alert is out; a RST on top of it could make the client lose it.
                Self::plain(stream).close();
                return None;
            }
        }
        Some(Self { stream, tls: Some(tls) })
    }

    /// RST, whatever of the reply was sent before.
    pub fn reset(self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// FIN in the middle of things: no `close_notify`, and what the peer still sends is swallowed.
    pub fn close(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }

    /// The regular end.
    pub fn finish(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.flush();
        }
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(buffer),
            Some(tls) => Stream::new(tls, &mut self.stream).read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => Stream::new(tls, &mut self.stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => Stream::new(tls, &mut self.stream).flush(),
        }
    }
}
