//! The real world: this node, and the API over the network.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::api::{Reply, Request};
use crate::cancel::Interrupt;
use crate::config::ConfigError;
use crate::config::options::Opt;
use crate::config::settings::{Connection, Paths, Restore};
use crate::error::{Error, ErrorKind, NoReply};
use crate::event::{Event, Level};
use crate::world::backup_size::BackupSize;
use crate::world::caller::Caller;
use crate::world::data::DataDirectory;
use crate::world::net::Transport;
use crate::world::state;
use crate::world::{Claiming, Completeness, Inspection, Known, Look, Usage, World};

/// The world of one run.
pub(crate) struct RealWorld {
    caller: Caller,
    started: Instant,
    /// The log line of the last request, and how often it was suppressed since.
    last_request: (String, u32),
    api: Transport,
    /// None for a command without a data directory.
    node: Option<Node>,
}

/// The data directory of a run, and where its state is to be.
struct Node {
    path: PathBuf,
    state_dir: Option<PathBuf>,
    backup_id: String,
    directory: DataDirectory,
    backup_size: Option<BackupSize>,
}

impl RealWorld {
    /// Reads certificates and keys. An error names the option.
    pub(crate) fn open(
        connection: &Connection,
        restore: Option<&Restore>,
        caller: Caller,
    ) -> Result<RealWorld, ConfigError> {
        let api = Transport::new(connection, &caller)?;
        let node = restore.map(Node::new);
        Ok(RealWorld { caller, started: Instant::now(), last_request: Default::default(), api, node })
    }

    /// Logged at DEBUG. Not repeated if only the time differs.
    fn log_request(&mut self, sent: &str, answer: &Result<Reply, Error>, took: Duration) {
        let came = match answer {
            Ok(reply) => format!("HTTP {}, {} bytes", reply.status, reply.body.len()),
            Err(error) if error.was_sent() => "no reply (the request was sent)".into(),
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
        self.caller.report(Event::log(Level::Debug, &format!("{line}, {} ms{again}", took.as_millis())));
    }

    /// The time left until the deadline interrupts.
    fn left(&self) -> Duration {
        self.api.connection.deadline.map_or(Duration::MAX, |end| end.saturating_sub(self.now()))
    }
}

impl World for RealWorld {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, Error> {
        let (began, left) = (self.now(), self.left());
        if left.is_zero() {
            return Err(Interrupt::DeadlinePassed.into());
        }
        let mut answer = self.api.send(request, limit.min(left));
        let url = self.api.url(request);
        let sent = match request.body() {
            Some(body) => format!("POST {url} {}", String::from_utf8_lossy(&body)),
            None => format!("GET {url}"),
        };
        let took = self.now().saturating_sub(began);
        if let Err(error) = &mut answer
            && let ErrorKind::NoReply { why: NoReply::TimedOut(_), sent } = error.kind
            && self.left().is_zero()
        {
            let why = Interrupt::DeadlinePassed;
            *error = Error { kind: ErrorKind::Interrupted { why, sent }, ..why.into() };
        }
        self.log_request(&sent, &answer, took);
        answer
    }

    fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        self.caller.wait(time.min(self.left()))?;
        if self.left().is_zero() { Err(Interrupt::DeadlinePassed) } else { Ok(()) }
    }

    fn rest(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn report(&mut self, event: Event) {
        self.caller.report(event);
    }

    fn random(&mut self) -> u64 {
        RandomState::new().hash_one(std::process::id())
    }

    fn look(&mut self) -> Look {
        let Some(node) = &mut self.node else { return unseen() };
        let mut look = node.directory.look();
        if let (Some(usage), Some(backup_size)) = (&mut look.usage, &mut node.backup_size) {
            *usage = Usage { total: backup_size.bytes(), ..*usage };
        }
        look
    }

    fn remember(&mut self) -> Known<()> {
        self.node.as_mut().map_or(Ok(()), |node| node.directory.remember())
    }

    fn examine(&mut self) -> Completeness {
        let node = self.node.as_mut().map(|node| node.directory.examine());
        node.unwrap_or(Completeness::Unknown("there is no data directory".into()))
    }

    fn inspect(&mut self) -> Known<Inspection> {
        let node = self.node.as_mut().map(|node| node.directory.inspect());
        node.unwrap_or(Err("there is no data directory".into()))
    }

    fn strangers(&mut self) -> Known<usize> {
        self.node.as_mut().map_or(Ok(0), |node| node.directory.strangers())
    }

    fn ask_size(&mut self) {
        if let Some(node) = &mut self.node {
            node.backup_size =
                node.backup_size.take().or_else(|| BackupSize::ask(&self.api, &node.backup_id));
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Some(node) = self.node.take() else { return Ok(()) };
        let flushed = node.directory.flush(|time| self.pause(time));
        self.node = Some(node);
        flushed
    }

    fn claim(&mut self) -> Claiming {
        match &self.node {
            Some(node) => state::claim(&node.path, node.state_dir.as_deref()),
            None => Claiming::Held(None),
        }
    }
}

fn unseen() -> Look {
    let why = || "there is no data directory".to_string();
    Look { content: Err(why()), first_file: Err(why()), postmaster: Err(why()), usage: None }
}

impl Node {
    fn new(restore: &Restore) -> Node {
        let path = PathBuf::from(&restore.data_directory);
        Node {
            directory: DataDirectory::new(&path),
            path,
            state_dir: restore.state_dir.clone(),
            backup_id: restore.backup_id.clone(),
            backup_size: None,
        }
    }
}

/// Makes a relative data directory absolute, because Barman would resolve it from the home directory of its
/// ssh user. A path that ends with `.` or `..` is replaced by the real one, because the state directory goes
/// next to the directory, not into it.
pub(crate) fn absolute(paths: Paths) -> Result<Paths, ConfigError> {
    let refuse = |option: Opt, why: &str| {
        ConfigError::of(option, format!("is relative, and the current directory {why}"))
    };
    let whole = |option: Opt, path: &Path| {
        std::path::absolute(path).map_err(|error| refuse(option, &format!("is not known ({error})")))
    };
    let state_dir = paths.state_dir.as_deref().map(|path| whole(Opt::StateDir, path)).transpose()?;
    let given = Path::new(&paths.data_directory);
    if given.is_absolute() && (given.file_name().is_some() || given == Path::new("/")) {
        return Ok(Paths { state_dir, ..paths });
    }
    let mut directory = whole(Opt::DataDirectory, given)?;
    if directory.file_name().is_none() {
        directory = directory.canonicalize().unwrap_or(directory);
    }
    let text = directory.into_os_string().into_string();
    let data_directory = text.map_err(|_| refuse(Opt::DataDirectory, "is not UTF-8"))?;
    Ok(Paths { data_directory, state_dir })
}
