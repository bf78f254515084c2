//! One request and its reply, on one connection and in one thread: the caller waits for it, and leaves it behind when
//! the time is over or the run has to end.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
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
use crate::timing::{CONNECT, LEAST_CONNECT};
use crate::world::caller::Caller;
use crate::world::net::call::{Call, Upload};
use crate::world::net::connector::{BUFFER, Finish, Lookup};
use crate::world::net::failure::{io_text, translated};
use crate::world::net::tls::client_config;
use crate::world::worker::{Panicked, Worker};

/// How to reach servers: everything that all requests share.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) caller: Caller,
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    /// For messages: " (through the proxy HOST:PORT)".
    through: String,
}

/// What to ask.
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
            tls: client_config(&connection.tls)?,
            proxy,
            through: through.map_or(String::new(), |p| format!(" (through the proxy {}:{})", p.host, p.port)),
        })
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
            .max_redirects(0) // a create would change its method or be sent twice
            .max_idle_connections(0)
            .user_agent(concat!("barman-recover/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .timeout_connect(Some(connect.max(LEAST_CONNECT))) // shared by the addresses of a name
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
        Ok(response) => Ok(read(response, most)),
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

fn read(mut response: Response<Body>, most: usize) -> Reply {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
    let retry_after =
        header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let date = header("date").and_then(|text| Date::from_header(&text));
    let location = header("location").and_then(|to| Url::parse(&to).ok());
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
mod tests;
