//! One accepted connection, plain or TLS, that can end with a RST without `SO_LINGER`: Linux sends one
//! when a socket is closed with unread data, so the newest byte is always left in the receive buffer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http;

/// Reads with the last byte only looked at; it is taken with the next read, or by `settle`.
pub struct Lagging {
    stream: Arc<TcpStream>,
    owed: bool,
}

impl Lagging {
    fn settle(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.owed) {
            (&*self.stream).read_exact(&mut [0])?;
        }
        Ok(())
    }
}

impl Read for Lagging {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.settle()?;
        let n = self.stream.peek(buffer)?;
        if n > 0 {
            (&*self.stream).read_exact(&mut buffer[..n - 1])?;
            self.owed = true;
        }
        Ok(n)
    }
}

impl Write for Lagging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub enum Conn {
    Plain(Lagging),
    Tls(Box<StreamOwned<ServerConnection, Lagging>>),
}

impl Conn {
    pub fn plain(stream: Arc<TcpStream>) -> Self {
        Self::Plain(Lagging { stream, owed: false })
    }

    /// Shakes hands; the error is what a handshake failed of.
    pub fn tls(stream: Arc<TcpStream>, config: Arc<ServerConfig>) -> Result<Self, String> {
        let session = ServerConnection::new(config).map_err(|error| error.to_string())?;
        let mut tls = StreamOwned::new(session, Lagging { stream, owed: false });
        while tls.conn.is_handshaking() {
            if let Err(error) = tls.conn.complete_io(&mut tls.sock) {
                // The alert is out; a RST on top of it could make the client lose it.
                Self::Plain(tls.sock).close();
                return Err(error.to_string());
            }
        }
        Ok(Self::Tls(Box::new(tls)))
    }

    fn raw(&mut self) -> &mut Lagging {
        match self {
            Self::Plain(raw) => raw,
            Self::Tls(tls) => &mut tls.sock,
        }
    }

    /// Waits for a first byte, leaves it unread and closes: RST.
    pub fn reset_unread(stream: &TcpStream) {
        let _ = stream.peek(&mut [0]);
    }

    /// RST, whatever of the reply was sent before.
    pub fn reset(mut self) {
        if !self.raw().owed {
            let _ = self.raw().stream.peek(&mut [0]);
        }
    }

    /// FIN in the middle of things: no `close_notify`, and what the peer still sends is swallowed.
    pub fn close(mut self) {
        let raw = self.raw();
        let _ = raw.settle();
        let _ = raw.stream.shutdown(Shutdown::Write);
        http::drain(&mut &*raw.stream);
    }

    /// The regular end.
    pub fn finish(mut self) {
        if let Self::Tls(tls) = &mut self {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.raw().settle();
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(raw) => raw.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
