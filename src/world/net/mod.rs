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
use crate::error::Error;
use crate::world::caller::Caller;

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

    /// Sends one request and reads its reply, within this time. An interrupt ends it at once.
    pub(crate) fn send(&self, request: &Request, limit: Duration) -> Result<Reply, Error> {
        let most = request.body_limit();
        let question = Question { body: request.body(), most, begun: Instant::now(), limit };
        self.http.exchange(&self.url(request), &question)
    }
}
