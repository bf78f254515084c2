//! Name lookup that has a limit: by at most one helper thread, and none for an address, nor for a name that has
//! just been looked up.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config as UreqConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sys;
use crate::world::host::Host;

/// How long an answer is good: a run polls often at first, and a host that moves is found soon.
const KEEP: Duration = Duration::from_secs(30);

/// What is known of names.
#[derive(Default)]
pub(super) struct Names {
    /// At most one thread: one that hangs is waited for again.
    under_way: Option<Lookup>,
    known: Option<Known>,
}

impl Names {
    /// The server that was found does not answer: perhaps it has moved.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }
}

struct Known {
    name: String,
    addresses: Vec<SocketAddr>,
    since: Instant,
}

struct Lookup {
    name: String,
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
}

/// There is no thread to be had for a lookup.
#[derive(Debug)]
pub(super) struct NoThread(io::Error);

impl From<io::Error> for NoThread {
    fn from(error: io::Error) -> Self {
        NoThread(error)
    }
}

impl std::fmt::Display for NoThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no thread can be started to look up the host name ({})", self.0)
    }
}

impl std::error::Error for NoThread {}

pub(super) struct HostResolver {
    pub(super) host: Host,
    pub(super) names: Arc<Mutex<Names>>,
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
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &names.known
            && known.name == name
            && known.since.elapsed() < KEEP
        {
            return Ok(known.addresses.clone());
        }
        let lookup = match names.under_way.take().filter(|lookup| lookup.name == name) {
            Some(lookup) => lookup,
            None => start_lookup(name)?,
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lookup.answer.recv_timeout(left.min(self.host.tick())) {
                Ok(Ok(addresses)) => {
                    let (name, since) = (name.to_string(), Instant::now());
                    names.known = Some(Known { name, addresses: addresses.clone(), since });
                    return Ok(addresses);
                }
                Ok(Err(error)) => {
                    return Err(io::Error::other(format!("the host name is not known ({error})")).into());
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !self.host.cancel.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout) => {
                    names.under_way = Some(lookup);
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
    sys::with_signals_blocked(|| thread.spawn(work))
        .map_err(|error| io::Error::other(NoThread::from(error)))?;
    Ok(Lookup { name: name.into(), answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;

    #[test]
    fn a_name_is_looked_up_once_until_its_server_fails() {
        let resolver =
            HostResolver { host: Host::new(|_| (), Cancel::new()), names: Arc::new(Mutex::default()) };
        let limit = Duration::from_secs(60);
        let timeout = || NextTimeout { after: limit.into(), ..NextTimeout::default() };
        let found = resolver.lookup("localhost:1", limit, timeout()).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 1));
        let first = resolver.names.lock().unwrap().known.as_ref().unwrap().since;
        assert_eq!(resolver.lookup("localhost:1", limit, timeout()).unwrap(), found);
        assert_eq!(resolver.names.lock().unwrap().known.as_ref().unwrap().since, first);
        resolver.lookup("localhost:2", limit, timeout()).unwrap();
        assert_ne!(resolver.names.lock().unwrap().known.as_ref().unwrap().since, first);
        resolver.names.lock().unwrap().forget();
        assert!(resolver.names.lock().unwrap().known.is_none());
    }
}
