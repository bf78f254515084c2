//! One request and its reply, on one connection and in one thread: the caller waits for it, and leaves it behind when
//! the time is over or the run has to end.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Body, Proxy, ProxyProtocol, SendBody};

use crate::api::Reply;
use crate::api::date::Date;
use crate::config::ConfigError;
use crate::config::options::Opt;
use crate::config::settings::Connection;
use crate::config::url::Url;
use crate::error::{Error, ErrorKind, NoReply, Phase};
use crate::text::seconds;
use crate::world::caller::Caller;
use crate::world::net::call::{Call, Upload};
use crate::world::net::connector::{BUFFER, Finish, Lookup};
use crate::world::net::failure::{io_text, translated};
use crate::world::net::tls::Tls;
use crate::world::worker::{Panicked, Worker};

/// How long a connection may take, from the lookup of the name to the end of the handshake.
const CONNECT: Duration = Duration::from_secs(10);

/// How to reach servers: everything that all requests share.
pub(super) struct Http {
    caller: Caller,
    tls: Arc<Tls>,
    proxy: Option<Proxy>,
    /// For messages: " (through the proxy HOST:PORT)".
    through: String,
}

/// What to ask, whatever URL a redirect leads to.
pub(super) struct Question {
    /// A request with one is a POST.
    pub(super) body: Option<Vec<u8>>,
    /// How many bytes a reply may have.
    pub(super) most: usize,
    pub(super) begun: Instant,
    pub(super) limit: Duration,
}

impl Http {
    /// Reads the certificate and key files.
    pub(super) fn new(connection: &Connection, caller: &Caller) -> Result<Http, ConfigError> {
        let through = connection.proxy.as_ref();
        let proxy =
            through.map(proxy).transpose().map_err(|_| ConfigError::of(Opt::Proxy, "is not understood"))?;
        Ok(Http {
            caller: caller.clone(),
            tls: Arc::new(Tls::new(&connection.tls)?),
            proxy,
            through: through.map_or(String::new(), |p| format!(" (through the proxy {}:{})", p.host, p.port)),
        })
    }

    pub(super) fn with_caller(&self, caller: Caller) -> Http {
        Http { caller, tls: self.tls.clone(), proxy: self.proxy.clone(), through: self.through.clone() }
    }

    pub(super) fn has_client_certificate(&self) -> bool {
        self.tls.has_client_certificate()
    }

    /// Sends one request, a POST if it has a body, and reads the reply.
    pub(super) fn exchange(&self, url: &Url, question: &Question) -> Result<Reply, Error> {
        let call = Call::new();
        self.answer(url, question, &call).map_err(|error| Error {
            kind: match error.kind {
                ErrorKind::Interrupted { why, .. } => ErrorKind::Interrupted { why, sent: call.has_posted() },
                ErrorKind::NoReply { why, .. } => {
                    ErrorKind::NoReply { why, sent: call.has_posted() && !why.proves_unprocessed() }
                }
                other => other,
            },
            message: format!("{url}{}: {}", self.through, error.message),
            ..error
        })
    }

    fn answer(&self, url: &Url, question: &Question, call: &Call) -> Result<Reply, Error> {
        if let Some(interrupt) = self.caller.interrupt() {
            return Err(interrupt.into());
        }
        let begun = Instant::now();
        let connect = CONNECT.min(question.left());
        let agent = self.agent(call, connect);
        let worker = start(&self.caller, agent.clone(), call.clone(), url.clone(), question)?;
        let left = || match call.phase() {
            Phase::Answer => question.left(),
            _ => connect.saturating_sub(begun.elapsed()),
        };
        let error = match self.caller.wait_for(&worker, left) {
            Ok(Some(Ok(answer))) => {
                worker.join();
                return answer;
            }
            Ok(Some(Err(Panicked))) => Error::unsent(NoReply::Other, "its thread has panicked"),
            Ok(None) => late(call.phase(), question.limit),
            Err(interrupt) => interrupt.into(),
        };
        call.abandon();
        agent.shutdown();
        Err(error)
    }

    fn agent(&self, call: &Call, connect: Duration) -> Agent {
        let config = Agent::config_builder()
            .proxy(self.proxy.clone()) // never from the environment
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .user_agent(concat!("barman-recover/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .timeout_connect(Some(connect.max(Duration::from_millis(1)))) // shared by the addresses of a name
            .build();
        let (tls, has_proxy) = (self.tls.clone(), self.proxy.is_some());
        let finish = Finish { call: call.clone(), tls, has_proxy };
        let connector =
            ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(finish);
        Agent::with_parts(
            config,
            connector,
            Lookup { call: call.clone(), system: DefaultResolver::default() },
        )
    }
}

impl Question {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }
}

/// A request that took too long.
fn late(phase: Phase, limit: Duration) -> Error {
    let connect = seconds(CONNECT.min(limit));
    let text = match phase {
        Phase::Lookup => format!("the host name was not resolved within {connect}"),
        Phase::Connect => format!("no connection within {connect}"),
        Phase::Handshake => "the server did not answer the TLS handshake: does it speak TLS?".into(),
        Phase::Answer => format!("no answer within {}", seconds(limit)),
    };
    Error::unsent(NoReply::TimedOut(phase), text)
}

/// Sends the request in a thread of its own.
fn start(
    caller: &Caller,
    agent: Agent,
    call: Call,
    url: Url,
    question: &Question,
) -> Result<Worker<Result<Reply, Error>>, Error> {
    let (body, most, limit) = (question.body.clone(), question.most, question.limit);
    let work = move || match run(&agent, &call, &url, body.as_deref()) {
        Ok(response) => Ok(read(&url, response, most)),
        Err(ureq::Error::Timeout(_)) => Err(late(call.phase(), limit)),
        Err(error) => Err(translated(&error, &call)),
    };
    Worker::start("barman-request", &caller.cancel, work).map_err(|error| {
        let text = format!("no thread can be started for the request ({error})");
        Error::unsent(NoReply::Threads, text)
    })
}

fn run(agent: &Agent, call: &Call, url: &Url, body: Option<&[u8]>) -> Result<Response<Body>, ureq::Error> {
    let mut request = Request::builder().uri(url.to_string()).header("connection", "close");
    if let Some(user) = &url.credentials {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(user.reveal()));
        request = request.header("authorization", basic);
    }
    let Some(body) = body else { return agent.run(request.body(())?) };
    let request = request.method("POST").header("content-type", "application/json");
    let request = request.header("content-length", body.len());
    agent.run(request.body(SendBody::from_reader(&mut Upload::new(body, call)))?)
}

fn proxy(url: &Url) -> Result<Proxy, ureq::Error> {
    let mut proxy = Proxy::builder(ProxyProtocol::Http).host(&url.host).port(url.port);
    if let Some(user) = &url.credentials {
        let (name, password) = user.reveal().split_once(':').unwrap_or_default();
        proxy = proxy.username(name).password(password);
    }
    proxy.build()
}

fn read(url: &Url, mut response: Response<Body>, most: usize) -> Reply {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
    let retry_after =
        header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let date = header("date").and_then(|text| Date::from_header(&text));
    let location = header("location").and_then(|to| url.follow(&to).ok());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let reader = response.body_mut().as_reader();
    let cut = match reader.take(most as u64 + 1).read_to_end(&mut body) {
        Ok(_) if body.len() <= most => None,
        Ok(_) => {
            body = Vec::new();
            Some(format!("its body is longer than {most} bytes"))
        }
        Err(error) => Some(format!("its body is cut off: {}", io_text(&error))),
    };
    Reply { status, body, cut, retry_after, date, location }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::cancel::{Cancel, Interrupt};
    use crate::config::TlsFiles;

    const LONG: Duration = Duration::from_secs(600);
    /// Enough to send a request.
    const LIMIT: Duration = Duration::from_secs(2);
    const BODY: &[u8] = b"{}";

    fn http(caller: &Caller) -> Http {
        let ca_file = Some("tests/tls/ca.pem".into());
        let tls = Tls::new(&TlsFiles { ca_file, ..TlsFiles::default() }).unwrap();
        Http { caller: caller.clone(), tls: Arc::new(tls), proxy: None, through: String::new() }
    }

    fn ask(caller: &Caller, url: &str, body: Option<&[u8]>, limit: Duration) -> Result<Reply, Error> {
        let question = Question { body: body.map(Into::into), most: 100, begun: Instant::now(), limit };
        http(caller).exchange(&Url::parse(url).unwrap(), &question)
    }

    fn get(caller: &Caller, url: &str, limit: Duration) -> Result<Reply, Error> {
        ask(caller, url, None, limit)
    }

    fn post(caller: &Caller, url: &str, limit: Duration) -> Result<Reply, Error> {
        ask(caller, url, Some(BODY), limit)
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
    fn interrupted(answer: Result<Reply, Error>, sent: bool) {
        let error = answer.unwrap_err();
        let why = Interrupt::Cancelled;
        assert_eq!(error.kind, ErrorKind::Interrupted { why, sent }, "{}", error.message);
    }

    #[test]
    fn an_interrupt_ends_a_request_at_once_and_says_whether_it_was_sent() {
        for (ask, sent) in [(get as fn(&Caller, &str, Duration) -> _, false), (post, true)] {
            let caller = Caller::new(|_| (), Cancel::new());
            let cancel = caller.cancel.clone();
            let (url, server) = serve(move |stream| {
                cancel.cancel();
                await_end(stream);
            });
            interrupted(ask(&caller, &url, LONG), sent);
            server.join().unwrap();
        }
    }

    #[test]
    fn an_interrupt_ends_a_request_in_the_middle_of_its_reply() {
        let caller = Caller::new(|_| (), Cancel::new());
        let cancel = caller.cancel.clone();
        let (url, server) = serve(move |stream| {
            stream.write_all(b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 2\r\n\r\n{").unwrap();
            cancel.cancel();
            await_end(stream);
        });
        interrupted(post(&caller, &url, LONG), true);
        server.join().unwrap();
    }

    #[test]
    fn after_an_interrupt_nothing_is_sent() {
        let caller = Caller::new(|_| (), Cancel::new());
        caller.cancel.cancel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        interrupted(get(&caller, &url, LONG), false);
        interrupted(post(&caller, &url, LONG), false);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_time_out_says_whether_the_post_was_sent() {
        let caller = Caller::new(|_| (), Cancel::new());
        for (ask, sent) in [(get as fn(&Caller, &str, Duration) -> _, false), (post, true)] {
            let (url, server) = serve(await_end);
            let error = ask(&caller, &url, LIMIT).unwrap_err();
            assert_eq!((error.is_late(), error.was_sent()), (true, sent), "{}", error.message);
            server.join().unwrap();
        }
    }

    /// A listener whose queue is full: the kernel answers no SYN.
    #[test]
    fn a_connect_that_hangs_is_left_behind_and_sends_nothing_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(stream);
        }
        let caller = Caller::new(|_| (), Cancel::new());
        let url = format!("http://{address}");
        let error = post(&caller, &url, Duration::from_millis(300)).unwrap_err();
        let why = NoReply::TimedOut(Phase::Connect);
        assert_eq!(error.kind, ErrorKind::NoReply { why, sent: false }, "{}", error.message);

        let (call, url) = (Call::new(), Url::parse(&url).unwrap());
        let agent = http(&caller).agent(&call, LONG);
        let question = Question { body: Some(BODY.into()), most: 100, begun: Instant::now(), limit: LONG };
        let worker = start(&caller, agent.clone(), call.clone(), url, &question).ok().unwrap();
        while call.phase() < Phase::Connect {
            thread::yield_now();
        }
        call.abandon();
        agent.shutdown();
        // There is room again, and the kernel tries once more for the request that was left behind.
        let accepted: Vec<TcpStream> = waiting.iter().map(|_| listener.accept().unwrap().0).collect();
        worker.join();
        assert!(!call.has_posted());
        // It may also have seen that it was left behind before it connected: then no connection comes.
        listener.set_nonblocking(true).unwrap();
        while let Ok((mut late, _)) = listener.accept() {
            late.set_read_timeout(Some(LIMIT)).unwrap();
            assert_eq!(late.read(&mut [0; 64]).unwrap_or(0), 0, "nothing may be sent any more");
        }
        drop(accepted);
    }

    #[test]
    fn a_time_out_within_tls_is_one() {
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
        let error = post(&Caller::new(|_| (), Cancel::new()), &url, LIMIT).unwrap_err();
        assert_eq!((error.is_late(), error.was_sent()), (true, true), "{}", error.message);
        server.join().unwrap();
    }
}
