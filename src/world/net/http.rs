//! One request and its reply, on one connection. Every phase has a time limit.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config as UreqConfig;
use ureq::http::{Request, Response};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Body, Error, Proxy, ProxyProtocol, SendBody};

use crate::api::date::Date;
use crate::api::{Reply, TransportError};
use crate::config::ConfigError;
use crate::config::options::Opt;
use crate::config::settings::Connection;
use crate::config::url::Url;
use crate::world::host::Host;
use crate::world::net::failure::{Failure, INTERRUPTED, io_text};
use crate::world::net::resolver::{HostResolver, ResolverCache};
use crate::world::net::socket::{SocketConnector, TlsConnector};
use crate::world::net::tls::Tls;

/// How to reach servers: everything that all requests share.
pub(super) struct Http {
    host: Host,
    tls: Arc<Tls>,
    proxy: Option<Proxy>,
    /// For messages: " (through the proxy HOST:PORT)".
    through: String,
    connect_timeout: Duration,
    resolver_cache: Arc<Mutex<ResolverCache>>,
}

impl Http {
    /// Reads the certificate and key files.
    pub(super) fn new(connection: &Connection, host: &Host) -> Result<Http, ConfigError> {
        let through = connection.proxy.as_ref();
        let proxy =
            through.map(proxy).transpose().map_err(|_| ConfigError::of(Opt::Proxy, "is not understood"))?;
        Ok(Http {
            host: host.clone(),
            tls: Arc::new(Tls::new(&connection.tls)?),
            proxy,
            through: through.map_or(String::new(), |p| format!(" (through the proxy {}:{})", p.host, p.port)),
            connect_timeout: Duration::from_secs(10),
            resolver_cache: Arc::default(),
        })
    }

    pub(super) fn with_host(&self, host: Host) -> Http {
        let (proxy, through) = (self.proxy.clone(), self.through.clone());
        Http { host, tls: self.tls.clone(), proxy, through, resolver_cache: Arc::default(), ..*self }
    }

    pub(super) fn has_client_certificate(&self) -> bool {
        self.tls.has_client_certificate()
    }

    /// Sends one request, a POST if it has a body, and reads the reply. `timeout` is what is left of `whole`.
    pub(super) fn exchange(
        &self,
        url: &Url,
        body: Option<&[u8]>,
        limit: usize,
        timeout: Duration,
        whole: Duration,
    ) -> Result<Reply, TransportError> {
        let host = self.host.for_request();
        let mut upload = body.map(|data| Upload { data, host: &host, begun: false });
        let answer = self.call(&host, url, upload.as_mut(), timeout);
        let sent = upload.is_some_and(|upload| upload.begun && upload.data.is_empty());
        match answer {
            Ok(response) => Ok(read(&host, url, response, limit)),
            Err(error) => {
                self.resolver_cache.lock().unwrap_or_else(PoisonError::into_inner).forget();
                let interrupted = host.interrupt().is_some();
                let failure = if interrupted {
                    INTERRUPTED.into()
                } else {
                    Failure::new(&error, self.connect_timeout, whole)
                };
                Err(TransportError {
                    sent: sent && !failure.refused,
                    timed_out: sent && !interrupted && matches!(error, Error::Timeout(_)),
                    permanent: failure.permanent,
                    text: format!("{url}{}: {}", self.through, failure.text),
                    hint: failure.hint.into(),
                })
            }
        }
    }

    fn call(
        &self,
        host: &Host,
        url: &Url,
        upload: Option<&mut Upload>,
        timeout: Duration,
    ) -> Result<Response<Body>, Error> {
        let agent = self.agent(host, timeout);
        let mut request = Request::builder().uri(url.to_string()).header("connection", "close");
        if let Some(user) = &url.credentials {
            let basic = format!("Basic {}", BASE64_STANDARD.encode(user.reveal()));
            request = request.header("authorization", basic);
        }
        let Some(upload) = upload else { return agent.run(request.body(())?) };
        let request = request.method("POST").header("content-type", "application/json");
        let request = request.header("content-length", upload.data.len());
        agent.run(request.body(SendBody::from_reader(upload))?)
    }

    fn agent(&self, host: &Host, timeout: Duration) -> Agent {
        let connect = self.connect_timeout.min(timeout);
        let config = UreqConfig::builder()
            .proxy(self.proxy.clone())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .user_agent(concat!("barman-recover/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_global(Some(timeout))
            .build();
        let now = Instant::now();
        let socket = SocketConnector { host: host.clone(), end: now + timeout };
        let tls = TlsConnector { tls: self.tls.clone(), end: now + connect };
        let connector = ().chain(ConnectProxyConnector::default()).chain(socket).chain(tls);
        let resolver = HostResolver { host: host.clone(), cache: self.resolver_cache.clone() };
        Agent::with_parts(config, connector, resolver)
    }
}

fn proxy(url: &Url) -> Result<Proxy, Error> {
    let mut proxy = Proxy::builder(ProxyProtocol::Http).host(&url.host).port(url.port);
    if let Some(user) = &url.credentials {
        let (name, password) = user.reveal().split_once(':').unwrap_or_default();
        proxy = proxy.username(name).password(password);
    }
    proxy.build()
}

fn read(host: &Host, url: &Url, mut response: Response<Body>, limit: usize) -> Reply {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
    let retry_after =
        header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let date = header("date").and_then(|text| Date::of_header(&text));
    let location = header("location").and_then(|to| url.follow(&to).ok());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let reader = response.body_mut().as_reader();
    let cut = match reader.take(limit as u64 + 1).read_to_end(&mut body) {
        Ok(_) if body.len() <= limit => None,
        Ok(_) => {
            body = Vec::new();
            Some(format!("its body is longer than {limit} bytes"))
        }
        Err(error) => {
            let why = host.interrupt().map_or_else(|| io_text(&error), |_| INTERRUPTED.into());
            Some(format!("its body is cut off: {why}"))
        }
    };
    Reply { status, body, cut, retry_after, date, location }
}

/// The body of a POST. ureq starts reading it only after it has connected and written the head: before that, nothing
/// can have been started.
struct Upload<'a> {
    data: &'a [u8],
    host: &'a Host,
    begun: bool,
}

impl Read for Upload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.host.commit().map_err(|_| io::Error::other(INTERRUPTED))?;
            self.begun = true;
        }
        self.data.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::cancel::Cancel;
    use crate::config::TlsFiles;
    use crate::world::GRACE;

    const LONG: Duration = Duration::from_secs(600);
    /// Enough to send a request.
    const LIMIT: Duration = Duration::from_secs(2);
    const BODY: &[u8] = b"{}";
    const REPLY: &[u8] = b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

    fn http(host: &Host) -> Http {
        let ca_file = Some("tests/tls/ca.pem".into());
        let tls = Tls::new(&TlsFiles { ca_file, ..TlsFiles::default() }).unwrap();
        Http {
            host: host.clone(),
            tls: Arc::new(tls),
            proxy: None,
            through: String::new(),
            connect_timeout: LONG,
            resolver_cache: Arc::default(),
        }
    }

    fn get(host: &Host, url: &str, timeout: Duration) -> Result<Reply, TransportError> {
        http(host).exchange(&Url::parse(url).unwrap(), None, 100, timeout, timeout)
    }

    fn post(host: &Host, url: &str, timeout: Duration) -> Result<Reply, TransportError> {
        http(host).exchange(&Url::parse(url).unwrap(), Some(BODY), 100, timeout, timeout)
    }

    /// A server for one request; its URL. `work` gets the connection once the whole request has been read.
    fn serve(work: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = move || {
            let mut stream = listener.accept().unwrap().0;
            read_request(&mut stream);
            work(&mut stream);
        };
        (url, thread::spawn(server))
    }

    fn read_request(stream: &mut impl Read) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(0);
            let last = head.len() - 1;
            stream.read_exact(&mut head[last..]).unwrap();
        }
        if head.starts_with(b"POST") {
            stream.read_exact(&mut [0; BODY.len()]).unwrap();
        }
    }

    /// Reads until the client has closed.
    fn await_end(stream: &mut TcpStream) {
        while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    }

    #[track_caller]
    fn interrupted(answer: Result<Reply, TransportError>, sent: bool) {
        let error = answer.unwrap_err();
        assert_eq!((error.sent, error.timed_out, error.permanent), (sent, false, false));
        assert!(error.text.ends_with(INTERRUPTED), "{}", error.text);
    }

    #[test]
    fn an_interrupt_ends_a_get_at_once() {
        for end in [Cancel::cancel, Cancel::detach] {
            let host = Host::new(|_| (), Cancel::new());
            let cancel = host.cancel.clone();
            let (url, server) = serve(move |stream| {
                end(&cancel);
                await_end(stream);
            });
            interrupted(get(&host, &url, LONG), false);
            server.join().unwrap();
        }
    }

    #[test]
    fn an_interrupted_post_waits_for_its_reply() {
        for end in [Cancel::cancel, Cancel::detach] {
            let host = Host::new(|_| (), Cancel::new());
            let cancel = host.cancel.clone();
            let (url, server) = serve(move |stream| {
                end(&cancel);
                thread::sleep(Duration::from_millis(100));
                stream.write_all(REPLY).unwrap();
            });
            let reply = post(&host, &url, LONG).unwrap();
            assert_eq!((reply.status, &*reply.body, reply.cut), (202, BODY, None));
            assert!(host.interrupt().is_some(), "the run itself has no grace");
            server.join().unwrap();
        }
    }

    #[test]
    fn an_interrupted_post_without_a_reply_ends_with_the_grace() {
        let host = Host::new(|_| (), Cancel::new());
        let cancel = host.cancel.clone();
        let (url, server) = serve(move |stream| {
            cancel.cancel();
            cancel.backdate(GRACE);
            await_end(stream);
        });
        interrupted(post(&host, &url, LONG), true);
        server.join().unwrap();
    }

    #[test]
    fn after_an_interrupt_nothing_is_sent() {
        let host = Host::new(|_| (), Cancel::new());
        host.cancel.cancel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        interrupted(get(&host, &url, LONG), false);
        interrupted(post(&host, &url, LONG), false);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn with_grace_a_get_is_answered_in_spite_of_an_interrupt() {
        let host = Host::new(|_| (), Cancel::new());
        host.cancel.cancel();
        host.grant_grace();
        let (url, server) = serve(|stream| stream.write_all(REPLY).unwrap());
        assert_eq!(get(&host, &url.replace("127.0.0.1", "localhost"), LONG).unwrap().status, 202);
        server.join().unwrap();
        host.cancel.backdate(GRACE);
        interrupted(get(&host, &url, LONG), false);
    }

    #[test]
    fn a_timeout_counts_as_one_once_the_post_was_sent() {
        let host = Host::new(|_| (), Cancel::new());
        let (url, server) = serve(await_end);
        let error = post(&host, &url, LIMIT).unwrap_err();
        assert_eq!((error.sent, error.timed_out), (true, true), "{}", error.text);
        server.join().unwrap();
        let (url, server) = serve(await_end);
        let error = get(&host, &url, LIMIT).unwrap_err();
        assert_eq!((error.sent, error.timed_out), (false, false), "{}", error.text);
        server.join().unwrap();
    }

    #[test]
    fn a_timeout_within_tls_is_one() {
        let certificate = CertificateDer::from_pem_file("tests/tls/server.pem").unwrap();
        let key = PrivateKeyDer::from_pem_file("tests/tls/server.key").unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
            read_request(&mut stream);
            await_end(&mut stream.sock);
        });
        let error = post(&Host::new(|_| (), Cancel::new()), &url, LIMIT).unwrap_err();
        assert_eq!((error.sent, error.timed_out), (true, true), "{}", error.text);
        server.join().unwrap();
    }
}
