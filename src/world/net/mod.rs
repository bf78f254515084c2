//! HTTP to the API: the only module that uses ureq and rustls.

mod call;
mod connector;
mod failure;
mod http;
mod tls;
mod trust;

use std::time::{Duration, Instant};

use self::http::{Http, Question};
use crate::api::{Reply, Request};
use crate::config::ConfigError;
use crate::config::settings::Connection;
use crate::config::url::Url;
use crate::error::{Error, NoReply};
use crate::world::caller::Caller;

const MOST_REDIRECTS: usize = 5;

/// Sends requests to one API, each on its own connection.
#[derive(Clone)]
pub(crate) struct Transport {
    http: Http,
    pub(crate) connection: Connection,
}

impl Transport {
    /// Reads the certificate and key files.
    pub(crate) fn new(connection: &Connection, caller: &Caller) -> Result<Transport, ConfigError> {
        Ok(Transport { http: Http::new(connection, caller)?, connection: connection.clone() })
    }

    /// The same for another caller, to be used in parallel.
    pub(crate) fn with_caller(&self, caller: Caller) -> Transport {
        let mut other = self.clone();
        other.http.caller = caller;
        other
    }

    /// The URL that a request is sent to.
    pub(crate) fn url(&self, request: &Request) -> Url {
        self.connection.api_url.join(&request.segments(&self.connection.barman_server))
    }

    /// Sends one request and reads its reply, within this time; follows redirects of a GET. An interrupt ends it at
    /// once.
    pub(crate) fn send(&self, request: &Request, limit: Duration) -> Result<Reply, Error> {
        let most = request.body_limit();
        let question = Question { body: request.body(), most, begun: Instant::now(), limit };
        let mut url = self.url(request);
        for _ in 0..MOST_REDIRECTS {
            let reply = self.http.exchange(&url, &question)?;
            match self.redirect(&url, &reply).filter(|_| question.body.is_none()) {
                Some(next) => url = next,
                None => return Ok(reply),
            }
        }
        let message = format!("{url}: more than {MOST_REDIRECTS} redirects");
        Err(Error::unsent(NoReply::Redirects, message))
    }

    /// Where a GET continues. Never where it would leak our credentials.
    fn redirect(&self, from: &Url, reply: &Reply) -> Option<Url> {
        let to = reply.location.clone()?;
        if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let has_credentials = from.credentials.is_some() || self.http.tls.has_client_certificate();
        let leaks = (from.https && !to.https) || (has_credentials && !from.same_server(&to));
        (!leaks).then_some(to)
    }
}
