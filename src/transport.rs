//! HTTP: the one file that names ureq. One request, one connection; every phase has its limit; the socket is
//! ours, so that cancelling ends a read at once and the host hears a tick while one lasts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use ureq::config::Config as UreqConfig;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport as Wire, TransportAdapter,
};
use ureq::{Agent, Body, Error, Proxy, SendBody};

use crate::config::Settings;
use crate::ffi::sys;
use crate::host::Host;
use crate::protocol::{NoReply, Reply, Request};
use crate::tls::{self, Tls};
use crate::url::Url;

/// Large enough for any head that is sent (a URL, credentials); replies of any size pass through.
const BUFFER: usize = 16 << 10;
const MOST_REDIRECTS: usize = 5;

pub(crate) struct Transport {
    host: Host,
    tls: Arc<Tls>,
    proxy: Option<Proxy>,
    /// For messages: " (through the proxy HOST:PORT)".
    through: String,
    connect_timeout: Duration,
    lookup: Arc<Mutex<Option<Lookup>>>,
}

impl Transport {
    /// Reads certificates and keys. An error names the option.
    pub(crate) fn new(settings: &Settings, host: &Host) -> Result<Transport, String> {
        let proxy = match &settings.proxy {
            Some(url) => {
                let user = url.credentials.as_ref().map_or(String::new(), |user| {
                    let (name, password) = user.reveal().split_once(':').unwrap_or_default();
                    let encode = |text| {
                        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                    };
                    format!("{}:{}@", encode(name), encode(password))
                });
                let text = format!("http://{user}{}:{}", url.host, url.port);
                Some(Proxy::new(&text).map_err(|_| "--proxy: is not understood".to_string())?)
            }
            None => None,
        };
        let through = settings.proxy.as_ref();
        Ok(Transport {
            host: host.clone(),
            tls: Arc::new(Tls::new(&settings.tls)?),
            proxy,
            through: through.map_or(String::new(), |p| format!(" (through the proxy {}:{})", p.host, p.port)),
            connect_timeout: settings.connect_timeout,
            lookup: Arc::default(),
        })
    }

    /// Sends one request and reads its reply; follows redirects of a GET.
    pub(crate) fn send(
        &self,
        request: &Request,
        settings: &Settings,
        timeout: Duration,
    ) -> Result<Reply, NoReply> {
        let end = Instant::now() + timeout;
        let body = request.body(settings);
        let mut url = settings.api_url.join(&request.segments(settings));
        for _ in 0..MOST_REDIRECTS {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let reply = self.exchange(&url, body.as_deref(), request.body_limit(), left, timeout)?;
            match self.redirect(&url, &reply, body.is_some()) {
                Some(next) => url = next,
                None => return Ok(reply),
            }
        }
        Err(NoReply {
            reached: false,
            lasting: true,
            text: format!("{url}: more than {MOST_REDIRECTS} redirects"),
            hint: "set --api-url to where pg-backup-api is".into(),
        })
    }

    /// Where to go on. Never for a POST, never to where our credentials would leak.
    fn redirect(&self, from: &Url, reply: &Reply, is_post: bool) -> Option<Url> {
        let to = reply.location.clone()?;
        if is_post || !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let has_credentials = from.credentials.is_some() || self.tls.has_client_certificate();
        let leaks = (from.https && !to.https) || (has_credentials && !from.same_server(&to));
        (!leaks).then_some(to)
    }

    fn exchange(
        &self,
        url: &Url,
        body: Option<&[u8]>,
        limit: usize,
        timeout: Duration,
        whole: Duration,
    ) -> Result<Reply, NoReply> {
        let mut counted = Counted { data: body.unwrap_or_default(), touched: false };
        let sent = self.call(url, body.is_some(), &mut counted, timeout);
        let reached = counted.touched && counted.data.is_empty();
        match sent {
            Ok(response) => Ok(self.read(url, response, limit)),
            Err(error) => Err(self.no_reply(url, &error, reached, whole)),
        }
    }

    fn call(
        &self,
        url: &Url,
        is_post: bool,
        body: &mut Counted,
        timeout: Duration,
    ) -> Result<Response<Body>, Error> {
        let connect = self.connect_timeout.min(timeout);
        let config = UreqConfig::builder()
            .proxy(self.proxy.clone())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .user_agent(concat!("barman-recover/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_global(Some(timeout))
            .build();
        let now = Instant::now();
        let socket = SocketConnector { host: self.host.clone(), end: now + timeout };
        let tls = TlsConnector { tls: self.tls.clone(), end: now + connect };
        let connector = ().chain(ConnectProxyConnector::default()).chain(socket).chain(tls);
        let resolver = HostResolver { host: self.host.clone(), lookup: self.lookup.clone() };
        let agent = Agent::with_parts(config, connector, resolver);
        let address = url.to_string();
        let authorization =
            url.credentials.as_ref().map(|user| format!("Basic {}", BASE64_STANDARD.encode(user.reveal())));
        if is_post {
            let mut request = agent.post(&address).header("connection", "close");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let length = body.data.len().to_string();
            let request = request.header("content-type", "application/json").header("content-length", length);
            request.send(SendBody::from_reader(body))
        } else {
            let mut request = agent.get(&address).header("connection", "close");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            request.call()
        }
    }

    fn read(&self, url: &Url, mut response: Response<Body>, limit: usize) -> Reply {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
        let retry_after =
            header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let location = header("location").and_then(|to| url.follow(&to).ok());
        let status = response.status().as_u16();
        let (mut body, mut cut) = (Vec::new(), None);
        let mut reader = response.body_mut().as_reader();
        let mut chunk = [0; 4096];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => body.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    cut = Some(format!("its body is cut off: {}", self.io_text(&error)));
                    break;
                }
            }
            if body.len() > limit {
                (body, cut) = (Vec::new(), Some(format!("its body is longer than {limit} bytes")));
                break;
            }
        }
        Reply { status, body, cut, retry_after, location }
    }

    fn no_reply(&self, url: &Url, error: &Error, reached: bool, whole: Duration) -> NoReply {
        let (connect, whole) = (self.connect_timeout.as_secs_f32(), whole.as_secs_f32());
        let mut none = NoReply { reached, lasting: false, text: String::new(), hint: String::new() };
        let text = match error {
            Error::Io(error) => {
                if let Some(trouble) = tls::trouble(error) {
                    none.hint = trouble.hint.into();
                    none.lasting = trouble.lasting;
                    none.reached &= !trouble.refused;
                    trouble.text
                } else {
                    self.io_text(error)
                }
            }
            Error::Timeout(ureq::Timeout::Resolve) => {
                format!("the host name was not resolved within {connect} s")
            }
            Error::Timeout(ureq::Timeout::Connect) => format!("no connection within {connect} s"),
            Error::Timeout(_) if self.host.cancel.is_cancelled() => CANCELLED.into(),
            Error::Timeout(_) => format!("no answer within {whole} s"),
            Error::ConnectProxyFailed(why) => {
                // ureq's text: "proxy server responded 407/407", or another without a status.
                let status = why.rsplit_once('/').map_or("", |(_, status)| status);
                none.lasting = status.starts_with('4');
                if none.lasting {
                    none.hint = PROXY_HINT.into();
                }
                match status {
                    "" => format!("the proxy failed: {}", crate::event::one_line(why)),
                    status => format!("the proxy refused with HTTP {status}"),
                }
            }
            Error::HostNotFound => "the host name has no address".into(),
            other => format!("no HTTP that is understood ({})", crate::event::one_line(&other.to_string())),
        };
        none.text = format!("{url}{}: {text}", self.through);
        none
    }

    fn io_text(&self, error: &io::Error) -> String {
        if self.host.cancel.is_cancelled() {
            return CANCELLED.into();
        }
        match (error.kind(), error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())) {
            (_, Some(Error::Timeout(_))) => "it took too long".into(),
            (ErrorKind::ConnectionRefused, _) => "connection refused (nothing listens there)".into(),
            (ErrorKind::TimedOut, None) => {
                "the server is silent in the TLS handshake: does it speak TLS?".into()
            }
            (ErrorKind::UnexpectedEof, _) => "the server closed the connection early".into(),
            _ => crate::event::one_line(&error.to_string()),
        }
    }
}

const PROXY_HINT: &str =
    "check --proxy ('http://user:password@host:port'), and whether the proxy may connect to the API";
const CANCELLED: &str = "interrupted, as the run was cancelled";

/// A request body that tells whether ureq has taken it whole: it does so only after connecting and after
/// writing the head.
struct Counted<'a> {
    data: &'a [u8],
    touched: bool,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.touched = true;
        self.data.read(buffer)
    }
}

// Name lookup

/// A lookup under way. At most one thread: one that hangs is waited for again.
struct Lookup {
    name: String,
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
}

struct HostResolver {
    host: Host,
    lookup: Arc<Mutex<Option<Lookup>>>,
}

impl std::fmt::Debug for HostResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostResolver")
    }
}

impl Resolver for HostResolver {
    fn resolve(&self, uri: &Uri, _: &UreqConfig, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut found = self.empty();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            found.push(SocketAddr::new(address, port));
            return Ok(found);
        }
        let answer = self.lookup(&format!("{host}:{port}"), *timeout.after, timeout)?;
        for address in answer.into_iter().take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

impl HostResolver {
    fn lookup(&self, name: &str, limit: Duration, timeout: NextTimeout) -> Result<Vec<SocketAddr>, Error> {
        let end = Instant::now() + limit;
        let mut pending = self.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        let lookup = match pending.take().filter(|lookup| lookup.name == name) {
            Some(lookup) => lookup,
            None => start_lookup(name)?,
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lookup.answer.recv_timeout(left.min(self.host.tick())) {
                Ok(answer) => {
                    return answer.map_err(|error| {
                        io::Error::other(format!("the host name is not known ({error})")).into()
                    });
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !self.host.cancel.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout) => {
                    *pending = Some(lookup);
                    return Err(Error::Timeout(timeout.reason));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::HostNotFound),
            }
        }
    }
}

fn start_lookup(name: &str) -> io::Result<Lookup> {
    let (sender, answer) = mpsc::sync_channel(1);
    let asked = name.to_string();
    let work = move || {
        let _ = sender.send(asked.to_socket_addrs().map(Iterator::collect)); // nobody waits any more
    };
    let thread = std::thread::Builder::new().name("barman-lookup".into()).stack_size(256 << 10);
    sys::with_signals_blocked(|| thread.spawn(work))?;
    Ok(Lookup { name: name.into(), answer })
}

// The socket

#[derive(Debug)]
struct SocketConnector {
    host: Host,
    /// When all must be over: ureq gives a proxy that answers in drops the whole time for each drop.
    end: Instant,
}

impl<In: Wire> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let end = Instant::now() + *details.timeout.after;
        let mut last = Error::ConnectionFailed;
        for (at, address) in details.addrs.iter().enumerate() {
            // The first of several addresses may be dead: each gets its share of the time.
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(details.addrs.len() - at).unwrap_or(1);
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let stream = Arc::new(stream);
                    if self.host.cancel.watch(&stream) {
                        return Err(Error::Timeout(details.timeout.reason));
                    }
                    let buffers = LazyBuffers::new(BUFFER, BUFFER);
                    let (host, end, is_first) = (self.host.clone(), self.end, !details.needs_tls());
                    return Ok(Some(Either::B(Socket { stream, buffers, host, end, is_first })));
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    last = Error::Timeout(ureq::Timeout::Connect);
                }
                Err(error) => last = error.into(),
            }
            if self.host.cancel.is_cancelled() {
                break;
            }
        }
        Err(last)
    }
}

struct Socket {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    host: Host,
    end: Instant,
    /// Nothing was read yet, and it must be HTTP.
    is_first: bool,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

impl Socket {
    /// Repeats `io` in slices that end with a tick, until it succeeds, fails or takes too long.
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
                    if self.host.cancel.is_cancelled() {
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
                // Before it closed the peer has said why: an early reply, a TLS alert.
                Err(Error::Io(error))
                    if is_broken(&error) && self.stream.peek(&mut [0]).is_ok_and(|n| n > 0) =>
                {
                    break;
                }
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
        // A TLS record: an alert (21) or a handshake (22).
        if std::mem::take(&mut self.is_first) && matches!(self.buffers.input().first(), Some(21 | 22)) {
            return Err(io::Error::other(tls::speaks_tls()).into());
        }
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        false // never used twice
    }
}

// TLS

#[derive(Debug)]
struct TlsConnector {
    tls: Arc<Tls>,
    /// When connecting must be over, the handshake included.
    end: Instant,
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

struct TlsWire {
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
        false // never used twice
    }

    fn is_tls(&self) -> bool {
        true
    }
}
