//! HTTP: the one folder that names ureq. One request, one connection; every phase has its limit. `resolver.rs` has
//! name lookup, `socket.rs` the socket and TLS on it.

mod resolver;
mod socket;
pub(crate) mod tls;
mod trust;

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config as UreqConfig;
use ureq::http::Response;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Body, Error, Proxy, SendBody};

use crate::api::date::Date;
use crate::api::{Reply, Request, TransportError};
use crate::config::settings::Connection;
use crate::config::url::Url;
use crate::text::{one_line, seconds};
use crate::world::host::Host;

use self::tls::Tls;
use resolver::{HostResolver, Names, NoThread};
use socket::{SocketConnector, TlsConnector};

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
    names: Arc<Mutex<Names>>,
}

impl Transport {
    /// Reads certificates and keys. An error names the option.
    pub(crate) fn new(settings: &Connection, host: &Host) -> Result<Transport, String> {
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
            names: Arc::default(),
        })
    }

    /// The same for another host, to be used beside this one.
    pub(crate) fn with_host(&self, host: Host) -> Transport {
        let (proxy, through) = (self.proxy.clone(), self.through.clone());
        Transport { host, tls: self.tls.clone(), proxy, through, names: Arc::default(), ..*self }
    }

    /// Sends one request and reads its reply; follows redirects of a GET.
    pub(crate) fn send(
        &self,
        request: &Request,
        settings: &Connection,
        timeout: Duration,
    ) -> Result<Reply, TransportError> {
        let end = Instant::now() + timeout;
        let body = request.body();
        let mut url = settings.api_url.join(&request.segments(&settings.barman_server));
        for _ in 0..MOST_REDIRECTS {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let reply = self.exchange(&url, body.as_deref(), request.body_limit(), left, timeout)?;
            match self.redirect(&url, &reply, body.is_some()) {
                Some(next) => url = next,
                None => return Ok(reply),
            }
        }
        Err(TransportError {
            sent: false,
            timed_out: false,
            permanent: true,
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
    ) -> Result<Reply, TransportError> {
        let mut counted = Counted { data: body.unwrap_or_default(), touched: false };
        let answer = self.call(url, body.is_some(), &mut counted, timeout);
        let sent = counted.touched && counted.data.is_empty();
        match answer {
            Ok(response) => Ok(self.read(url, response, limit)),
            Err(error) => {
                self.names.lock().unwrap_or_else(PoisonError::into_inner).forget();
                Err(self.no_reply(url, &error, sent, whole))
            }
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
        let resolver = HostResolver { host: self.host.clone(), names: self.names.clone() };
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
        let date = header("date").and_then(|text| Date::of_header(&text));
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
        Reply { status, body, cut, retry_after, date, location }
    }

    fn no_reply(&self, url: &Url, error: &Error, sent: bool, whole: Duration) -> TransportError {
        let (connect, whole) = (seconds(self.connect_timeout), seconds(whole));
        let mut none = TransportError {
            sent,
            timed_out: false,
            permanent: false,
            text: String::new(),
            hint: String::new(),
        };
        let text = match error {
            Error::Io(error) => {
                if let Some(trouble) = tls::trouble(error) {
                    none.hint = trouble.hint.into();
                    none.permanent = trouble.permanent;
                    none.sent &= !trouble.refused;
                    trouble.text
                } else {
                    none.hint = hint(error).into();
                    self.io_text(error)
                }
            }
            Error::Timeout(ureq::Timeout::Resolve) => {
                format!("the host name was not resolved within {connect}")
            }
            Error::Timeout(ureq::Timeout::Connect) => format!("no connection within {connect}"),
            Error::Timeout(_) if self.host.cancel.is_cancelled() => CANCELLED.into(),
            Error::Timeout(_) => {
                none.timed_out = sent;
                format!("no answer within {whole}")
            }
            Error::ConnectProxyFailed(why) => {
                // ureq's text: "proxy server responded 407/407", or another without a status.
                let status = why.rsplit_once('/').map_or("", |(_, status)| status);
                none.permanent = status.starts_with('4');
                if none.permanent {
                    none.hint = PROXY_HINT.into();
                }
                match status {
                    "" => format!("the proxy failed: {}", one_line(why)),
                    status => format!("the proxy refused with HTTP {status}"),
                }
            }
            Error::HostNotFound => "the host name has no address".into(),
            other => format!("no HTTP that is understood ({})", one_line(&other.to_string())),
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
            (ErrorKind::TimedOut, None) if error.raw_os_error().is_none() => {
                "the server is silent in the TLS handshake: does it speak TLS?".into()
            }
            (ErrorKind::UnexpectedEof, _) => "the server closed the connection early".into(),
            _ => one_line(&error.to_string()),
        }
    }
}

/// What to do when something else is wrong than the server.
fn hint(error: &io::Error) -> &'static str {
    let no_thread = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NoThread>);
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            "this process, or this host, has too many files open (ulimit -n)"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => "this host is out of memory",
        None if error.kind() == ErrorKind::TimedOut && error.get_ref().is_none() => {
            "if it speaks plain HTTP: use http:// in --api-url; else look at the server, or the proxy before it"
        }
        _ if no_thread => {
            "use an address in --api-url, or allow more processes and memory (ulimit -u, TasksMax)"
        }
        _ => "",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_lacks_is_not_blamed_on_the_api() {
        assert!(hint(&io::Error::from_raw_os_error(libc::EMFILE)).contains("ulimit -n"));
        let none = io::Error::other(NoThread::from(io::Error::from_raw_os_error(libc::EAGAIN)));
        assert!(hint(&none).contains("ulimit -u"));
        assert!(none.to_string().starts_with("no thread can be started to look up the host name (Resource"));
        for unknown in [libc::ECONNREFUSED, libc::ETIMEDOUT] {
            assert_eq!(hint(&io::Error::from_raw_os_error(unknown)), "");
        }
        assert!(hint(&ErrorKind::TimedOut.into()).contains("http://"));
    }
}
