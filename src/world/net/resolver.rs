//! Name lookup with a time limit: by one helper thread at most, and without a thread for an address or a name that
//! was looked up recently.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config as UreqConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::world::helper;
use crate::world::host::Host;

/// How long an answer is cached: a run polls often at first, and a server that moves is found soon.
const KEEP: Duration = Duration::from_secs(30);
/// How late an interrupt may be noticed, as nothing wakes up a wait for a lookup.
const SLICE: Duration = Duration::from_millis(100);
/// As many addresses as ureq accepts.
const MOST_ADDRESSES: usize = 16;

/// The last lookup, and its answer.
#[derive(Debug, Default)]
pub(super) struct ResolverCache {
    /// One thread at most: if a lookup hangs, the next request waits for the same one.
    under_way: Option<Lookup>,
    answer: Option<Answer>,
}

impl ResolverCache {
    /// The server at the cached address does not answer: it may have moved.
    pub(super) fn forget(&mut self) {
        self.answer = None;
    }
}

#[derive(Debug)]
struct Answer {
    name: String,
    addresses: Vec<SocketAddr>,
    since: Instant,
}

#[derive(Debug)]
struct Lookup {
    name: String,
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
}

/// No thread can be started for a lookup.
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

#[derive(Debug)]
pub(super) struct HostResolver {
    pub(super) host: Host,
    pub(super) cache: Arc<Mutex<ResolverCache>>,
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
        for address in self.lookup(&format!("{host}:{port}"), timeout)?.into_iter().take(MOST_ADDRESSES) {
            found.push(address);
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

impl HostResolver {
    fn lookup(&self, name: &str, timeout: NextTimeout) -> Result<Vec<SocketAddr>, Error> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &cache.answer
            && answer.name == name
            && answer.since.elapsed() < KEEP
        {
            return Ok(answer.addresses.clone());
        }
        let lookup = match cache.under_way.take().filter(|lookup| lookup.name == name) {
            Some(lookup) => lookup,
            None if self.host.interrupt().is_some() => return Err(Error::Timeout(timeout.reason)),
            None => Lookup::start(name)?,
        };
        match self.wait(&lookup, *timeout.after) {
            Ok(Ok(addresses)) => {
                let (name, since) = (name.to_string(), Instant::now());
                cache.answer = Some(Answer { name, addresses: addresses.clone(), since });
                Ok(addresses)
            }
            Ok(Err(error)) => Err(io::Error::other(format!("the host name is not known ({error})")).into()),
            Err(RecvTimeoutError::Timeout) => {
                cache.under_way = Some(lookup);
                Err(Error::Timeout(timeout.reason))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::HostNotFound),
        }
    }

    /// An interrupt counts as a timeout.
    fn wait(
        &self,
        lookup: &Lookup,
        limit: Duration,
    ) -> Result<io::Result<Vec<SocketAddr>>, RecvTimeoutError> {
        let begun = Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            match lookup.answer.recv_timeout(left.min(self.host.tick()).min(SLICE)) {
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && self.host.interrupt().is_none() => {}
                answer => return answer,
            }
        }
    }
}

impl Lookup {
    fn start(name: &str) -> io::Result<Lookup> {
        let asked = name.to_string();
        let answer = helper::start("barman-lookup", move || asked.to_socket_addrs().map(Iterator::collect))
            .map_err(|error| io::Error::other(NoThread::from(error)))?;
        Ok(Lookup { name: name.into(), answer })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::cancel::Cancel;

    fn resolver() -> HostResolver {
        HostResolver { host: Host::new(|_| (), Cancel::new()), cache: Arc::default() }
    }

    fn limit(time: Duration) -> NextTimeout {
        NextTimeout { after: time.into(), ..NextTimeout::default() }
    }

    #[test]
    fn a_name_is_looked_up_once_until_its_server_fails() {
        let resolver = resolver();
        let lookup = |name| resolver.lookup(name, limit(Duration::from_secs(60))).unwrap();
        let since = || resolver.cache.lock().unwrap().answer.as_ref().map(|answer| answer.since);
        let found = lookup("localhost:1");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 1));
        let first = since();
        assert_eq!((lookup("localhost:1"), since()), (found, first));
        lookup("localhost:2");
        assert_ne!(since(), first);
        resolver.cache.lock().unwrap().forget();
        assert_eq!(since(), None);
    }

    #[test]
    fn after_an_interrupt_no_lookup_is_started() {
        let resolver = resolver();
        resolver.host.cancel.cancel();
        let found = resolver.lookup("localhost:1", limit(Duration::from_secs(600)));
        assert!(matches!(found, Err(Error::Timeout(_))));
        assert!(resolver.cache.lock().unwrap().under_way.is_none());
    }

    /// A lookup that hangs, as with a name server that does not answer: no second thread is started for it.
    #[test]
    fn an_interrupt_ends_the_wait_for_a_lookup_and_the_next_request_waits_for_the_same_one() {
        let resolver = resolver();
        let (sender, answer) = mpsc::sync_channel(1);
        resolver.cache.lock().unwrap().under_way = Some(Lookup { name: "slow:1".into(), answer });
        let lookup = |time| resolver.lookup("slow:1", limit(time));
        assert!(matches!(lookup(Duration::from_millis(10)), Err(Error::Timeout(_))));
        resolver.host.cancel.cancel();
        let begun = Instant::now();
        assert!(matches!(lookup(Duration::from_secs(600)), Err(Error::Timeout(_))));
        assert!(begun.elapsed() < Duration::from_secs(60));
        let found = SocketAddr::from(([127, 0, 0, 1], 1));
        resolver.host.grant_grace();
        sender.send(Ok(vec![found])).unwrap();
        assert_eq!(lookup(Duration::from_secs(600)).unwrap(), [found]);
    }
}
