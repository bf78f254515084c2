//! What every command needs to talk to the API: settings, transport and host, opened together. Tells the host
//! of each request.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::api::{Reply, Request, TransportError};
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError, Settings, beside};
use crate::event::{Event, Level};
use crate::recovery::backoff::SHORTEST;
use crate::world::host::Host;
use crate::world::net::Transport;

pub(crate) struct Client {
    pub(crate) settings: Settings,
    pub(crate) host: Host,
    pub(crate) started: Instant,
    pub(crate) transport: Transport,
}

impl Client {
    /// Checks the options, and reads certificates and keys.
    pub(crate) fn open(config: &Config, command: Command, host: Host) -> Result<Client, ConfigError> {
        let mut settings = config.settings(command)?;
        from_here(&mut settings)?;
        let transport = Transport::new(&settings, &host)?;
        Ok(Client { settings, host, started: Instant::now(), transport })
    }

    /// Sends one request, once.
    pub(crate) fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, TransportError> {
        let began = Instant::now();
        let answer = self.transport.send(request, &self.settings, timeout);
        let method = if request.body().is_some() { "POST" } else { "GET" };
        let url = self.settings.api_url.join(&request.segments(&self.settings.barman_server));
        let came = match &answer {
            Ok(reply) => format!("HTTP {}, {} bytes", reply.status, reply.body.len()),
            Err(none) => {
                format!("no reply ({})", if none.sent { "it was sent" } else { "it was not sent" })
            }
        };
        let message = format!("{method} {url}: {came}, {} ms", began.elapsed().as_millis());
        self.host.report(Event::log(Level::Debug, &message));
        answer
    }

    /// Asks a question, which changes nothing, again while that may help. The last answer, whatever it is.
    pub(crate) fn ask(&self, request: &Request) -> Result<Reply, TransportError> {
        let most = self.settings.max_retries.max(1);
        let mut tries = 1;
        loop {
            let left = self.left();
            let answer = self.send(request, request.timeout(&self.settings).min(left));
            let again = match &answer {
                Ok(reply) => reply.status >= 500,
                Err(none) => !none.permanent,
            };
            if !again || tries >= most || self.pause(self.settings.retry_wait.max(SHORTEST)) {
                return answer;
            }
            tries += 1;
        }
    }

    /// Waits; tells whether the host wants an end or the deadline has passed.
    pub(crate) fn pause(&self, wait: Duration) -> bool {
        self.host.wait(wait.min(self.left())).is_err() || self.left().is_zero()
    }

    /// The time until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.settings.deadline.map_or(Duration::MAX, |limit| limit.saturating_sub(self.started.elapsed()))
    }
}

/// Makes a relative data directory absolute: Barman would take it from the home directory of its ssh user. One
/// that ends with `.` or `..` gets its name, as the state file lies beside it, not in it.
fn from_here(settings: &mut Settings) -> Result<(), ConfigError> {
    let given = Path::new(&settings.data_directory);
    let named = given.file_name().is_some() || given == Path::new("/");
    if settings.data_directory.is_empty() || (given.is_absolute() && named) {
        return Ok(());
    }
    let refuse = |why: &str| {
        ConfigError::of(Opt::DataDirectory, format!("is relative, and the current directory {why}"))
    };
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| refuse(&format!("is not known ({error})")));
    let mut whole = absolute(given)?;
    if whole.file_name().is_none() {
        whole = whole.canonicalize().unwrap_or(whole);
    }
    let whole = whole.into_os_string().into_string().map_err(|_| refuse("is not UTF-8"))?;
    if let Some(path) = &mut settings.state_file {
        let is_default = *path == beside(&settings.data_directory);
        *path = if is_default { beside(&whole) } else { absolute(path)? };
    }
    settings.data_directory = whole;
    Ok(())
}
