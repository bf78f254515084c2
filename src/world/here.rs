//! The real world: this node, and the API over the network.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::api::{NoReply, Reply, Request, TransportError};
use crate::config::ConfigError;
use crate::config::options::Opt;
use crate::config::settings::{Connection, Restore, beside};
use crate::event::{Event, Level};
use crate::world::fs::directory::{Directory, parent};
use crate::world::fs::inspect::inspect;
use crate::world::fs::state_file::StateFile;
use crate::world::fs::usage::DiskUsage;
use crate::world::host::Host;
use crate::world::inspection::{Asked, Inspection};
use crate::world::journal::Journal;
use crate::world::net::Transport;
use crate::world::receivers::Receivers;
use crate::world::sizer::Sizer;
use crate::world::snapshot::{Content, Snapshot};
use crate::world::{Interrupt, World};

/// Time between two routine searches for receivers: a host may have thousands of processes.
const SEARCH_EVERY: Duration = Duration::from_secs(5);

const DEADLINE_PASSED: &str = "the deadline has passed";

/// The world of one run.
pub(crate) struct Here {
    host: Host,
    started: Instant,
    /// The log line of the last request, and how often it was suppressed since.
    last_request: (String, u32),
    /// `None` for a command that does not use the API.
    api: Option<Transport>,
    /// `None` for a command without a data directory.
    node: Option<Node>,
}

/// The data directory of a run, with its state file and its receivers.
struct Node {
    path: PathBuf,
    directory: Directory,
    usage: DiskUsage,
    /// Whether the mark has been seen.
    is_marked: bool,
    receivers: Receivers,
    /// When receivers were last searched for, and how many there were.
    searched: Option<(Instant, usize)>,
    state_file: Option<StateFile>,
    sizer: Sizer,
}

impl Here {
    /// Reads certificates and keys. An error names the option.
    pub(crate) fn open(
        connection: &Connection,
        restore: Option<&Restore>,
        host: Host,
    ) -> Result<Here, ConfigError> {
        let api = Some(Transport::new(connection, &host)?);
        Ok(Here { api, ..Here::new(restore, host) })
    }

    /// Without the API: every request fails.
    pub(crate) fn offline(restore: &Restore, host: Host) -> Here {
        Here::new(Some(restore), host)
    }

    fn new(restore: Option<&Restore>, host: Host) -> Here {
        let node = restore.map(Node::new);
        Here { host, started: Instant::now(), last_request: Default::default(), api: None, node }
    }

    /// Logged at DEBUG. Not repeated if only the time differs.
    fn log_request(&mut self, sent: &str, answer: &Result<Reply, TransportError>, took: Duration) {
        let came = match answer {
            Ok(reply) => format!("HTTP {}, {} bytes", reply.status, reply.body.len()),
            Err(error) if error.sent => "no reply (the request was sent)".into(),
            Err(_) => "no reply (the request was not sent)".into(),
        };
        let line = format!("{sent}: {came}");
        if line == self.last_request.0 {
            self.last_request.1 += 1;
            return;
        }
        let (_, again) = std::mem::replace(&mut self.last_request, (line.clone(), 0));
        let again = if again > 0 {
            format!(" (the request before this one was sent {again} more times)")
        } else {
            String::new()
        };
        self.host.report(Event::log(Level::Debug, &format!("{line}, {} ms{again}", took.as_millis())));
    }

    /// The time left until the deadline interrupts.
    fn left(&self) -> Duration {
        let deadline = self.api.as_ref().and_then(|api| api.connection.deadline);
        let end = deadline.map(|limit| limit.saturating_add(self.host.grace()));
        end.map_or(Duration::MAX, |end| end.saturating_sub(self.now()))
    }
}

impl World for Here {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, TransportError> {
        let (began, left) = (self.now(), self.left());
        let Some(api) = &self.api else {
            return Err(TransportError::unsent(NoReply::NoApi, "no API is given"));
        };
        if left.is_zero() {
            return Err(TransportError::unsent(NoReply::DeadlinePassed, DEADLINE_PASSED));
        }
        let mut answer = api.send(request, limit.min(left));
        let url = api.url(request);
        let sent = match request.body() {
            Some(body) => format!("POST {url} {}", String::from_utf8_lossy(&body)),
            None => format!("GET {url}"),
        };
        let took = self.now().saturating_sub(began);
        if let Err(error) = &mut answer
            && matches!(error.kind, NoReply::TimedOut(_))
            && self.left().is_zero()
        {
            (error.kind, error.message) = (NoReply::DeadlinePassed, format!("{url}: {DEADLINE_PASSED}"));
        }
        self.log_request(&sent, &answer, took);
        answer
    }

    fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        self.host.wait(time.min(self.left()))?;
        if self.left().is_zero() { Err(Interrupt::DeadlinePassed) } else { Ok(()) }
    }

    fn grant_grace(&mut self) {
        self.host.grant_grace();
    }

    fn look(&mut self) -> Snapshot {
        let Some(node) = &mut self.node else { return Snapshot::default() };
        let mut look = node.directory.look();
        look.receivers = node.recent_receivers();
        if look.mark.is_some() != std::mem::replace(&mut node.is_marked, look.mark.is_some()) {
            node.usage.hurry();
        }
        if look.content != Content::Unseen {
            let mut usage = node.usage.look();
            if usage.changes > 0
                && let Some(api) = &self.api
            {
                node.sizer.ask_later(api);
            }
            if let Asked::Answered(backup) = node.sizer.answer() {
                usage.total = backup.bytes;
            }
            look.usage = Some(usage);
        }
        look
    }

    fn receivers(&mut self) -> usize {
        self.node.as_mut().map_or(0, Node::find_receivers)
    }

    fn end_receivers(&mut self) -> usize {
        let Some(node) = &mut self.node else { return 0 };
        node.searched = None; // they end soon
        node.receivers().end()
    }

    fn ask_size(&mut self) {
        if let (Some(node), Some(api)) = (&mut self.node, &self.api)
            && parent(&node.path).is_dir()
        {
            node.sizer.ask(api);
        }
    }

    fn inspect(&mut self) -> Inspection {
        let Some(node) = &mut self.node else { return Inspection::NOTHING };
        Inspection { backup: node.sizer.answer(), ..inspect(&node.path) }
    }

    fn journal(&mut self) -> Option<&mut dyn Journal> {
        self.node.as_mut()?.state_file.as_mut().map(|file| file as &mut dyn Journal)
    }

    fn report(&mut self, event: Event) {
        self.host.report(event);
    }

    fn random(&mut self) -> u64 {
        RandomState::new().hash_one(std::process::id())
    }
}

impl Node {
    fn new(restore: &Restore) -> Node {
        let path = Path::new(&restore.data_directory);
        Node {
            path: path.into(),
            directory: Directory::new(path),
            usage: DiskUsage::new(path),
            is_marked: false,
            receivers: Receivers::new(path),
            // Nothing depends on receivers yet, and a search takes as long as everything else before the first
            // request.
            searched: Some((Instant::now(), 0)),
            state_file: restore.state_file.as_deref().map(StateFile::new),
            sizer: Sizer::new(restore),
        }
    }

    /// The receivers include those of the directory that the state file names.
    fn receivers(&mut self) -> &mut Receivers {
        if let Some(earlier) = self.state_file.as_ref().and_then(StateFile::directory) {
            self.receivers.remember(earlier);
        }
        &mut self.receivers
    }

    fn find_receivers(&mut self) -> usize {
        let found = self.receivers().find().len();
        self.searched = Some((Instant::now(), found));
        found
    }

    fn recent_receivers(&mut self) -> usize {
        match self.searched {
            Some((when, found)) if when.elapsed() < SEARCH_EVERY => found,
            _ => self.find_receivers(),
        }
    }
}

/// Makes a relative data directory absolute, as Barman would resolve it from the home directory of its ssh user. A
/// path that ends with `.` or `..` is replaced by the real one, because the state file goes next to the directory,
/// not into it.
pub(crate) fn from_here(mut restore: Restore) -> Result<Restore, ConfigError> {
    let given = Path::new(&restore.data_directory);
    if given.is_absolute() && (given.file_name().is_some() || given == Path::new("/")) {
        return Ok(restore);
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
    if let Some(path) = &mut restore.state_file {
        let is_default = *path == beside(&restore.data_directory);
        *path = if is_default { beside(&whole) } else { absolute(path)? };
    }
    restore.data_directory = whole;
    Ok(restore)
}

#[cfg(test)]
mod tests;
