#![doc = include_str!("../README.md")]

mod backend;
mod backup;
mod barman;
pub mod client;
mod clock;
mod conn;
mod control;
mod http;
mod model;
pub mod options;
mod pause;
mod playing;
mod recordings;
mod recover;
mod routes;
mod script;
mod server;
mod tls;

use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use backend::{Kind, Operation, Status};
pub use barman::Installation;
pub use clock::operation_id;
pub use http::Form;
pub use model::{Model, Part};
pub use recordings::ALL as RECORDINGS;
pub use routes::Stage;
pub use script::{At, Script, Step};
pub use server::Received;
pub use tls::{Tls, TlsVersions};

use backend::Backend;
use barman::Barman;
use pause::Pause;
use playing::Playing;
use server::Shared;

/// A running stand-in.
pub struct Api {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    listening: Mutex<Option<Listening>>,
}

struct Listening {
    thread: JoinHandle<()>,
    closing: Arc<AtomicBool>,
}

impl Api {
    /// On a free port, plain HTTP.
    pub fn start(model: Model, script: Script) -> Self {
        Self::start_on("127.0.0.1:0", model, script, None).unwrap()
    }

    /// On a free port, over TLS.
    pub fn start_tls(model: Model, script: Script, tls: &Tls) -> Self {
        Self::start_on("127.0.0.1:0", model, script, Some(tls)).unwrap()
    }

    /// On an address of its own, for instance the one that another `Api` has just left.
    pub fn start_on(address: &str, model: Model, script: Script, tls: Option<&Tls>) -> Result<Self, String> {
        Self::serve(address, None, model, script, tls)
    }

    /// With the real Barman behind it.
    pub fn with_barman(
        address: &str,
        installation: Installation,
        script: Script,
        tls: Option<&Tls>,
    ) -> Result<Self, String> {
        Self::serve(address, Some(Box::new(Barman::new(installation))), Model::new(), script, tls)
    }

    fn serve(
        address: &str,
        backend: Option<Box<dyn Backend>>,
        model: Model,
        script: Script,
        tls: Option<&Tls>,
    ) -> Result<Self, String> {
        script.check()?;
        let config = tls.map(Tls::config).transpose()?;
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let pause = Arc::new(Pause::default());
        let playing = Playing::start(model, Arc::clone(&pause));
        let backend = backend.unwrap_or_else(|| Box::new(Arc::clone(&playing)));
        let shared = Arc::new(Shared::new(backend, playing, pause, config));
        shared.set_script(script);
        let listening = Mutex::new(Some(Listening::start(&shared, listener)));
        Ok(Self { shared, address, scheme: if tls.is_some() { "https" } else { "http" }, listening })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it listens, or did before `go_down`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request whose head was read, in the order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.journal.lock().unwrap().clone()
    }

    /// Requests of this stage whose head was read.
    pub fn count(&self, stage: Stage) -> usize {
        self.shared.journal.lock().unwrap().iter().filter(|received| received.stage == stage).count()
    }

    /// Creates that came completely.
    pub fn creates(&self) -> usize {
        self.requests().iter().filter(|received| received.stage == Stage::Create && received.complete).count()
    }

    /// Creates that took effect.
    pub fn applied(&self) -> usize {
        self.requests().iter().filter(|received| received.created.is_some()).count()
    }

    /// Every operation, those of other nodes included.
    pub fn operations(&self) -> Vec<Operation> {
        self.shared.playing.operations()
    }

    /// Accepted connections, those without a request included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// From here on another script; nothing is released any more.
    pub fn set_script(&self, script: Script) {
        script.check().unwrap();
        self.shared.set_script(script);
    }

    /// Lets go every step that holds, and those to come until another script is set.
    pub fn release(&self) {
        self.shared.pause.release();
    }

    /// Until `reached` is true.
    pub fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        wait_until(what, || reached(self));
    }

    /// The API goes down: connections end and new ones are refused. Operations go on.
    pub fn go_down(&self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.end(self.address);
        }
    }

    /// The API is there again, on the same port.
    pub fn come_up(&self) {
        // Meanwhile the port may have been lent to somebody's outgoing connection.
        let mut bound = None;
        wait_until("the port", || {
            bound = TcpListener::bind(self.address).ok();
            bound.is_some()
        });
        let listener = bound.unwrap();
        *self.listening.lock().unwrap() = Some(Listening::start(&self.shared, listener));
    }

    /// Serves until the process ends.
    pub fn join(self) {
        let listening = self.listening.lock().unwrap().take();
        if let Some(listening) = listening {
            let _ = listening.thread.join();
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.go_down();
        self.shared.stop();
    }
}

impl Listening {
    fn start(shared: &Arc<Shared>, listener: TcpListener) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (Arc::clone(shared), Arc::clone(&closing));
        Self { thread: thread::spawn(move || shared.accept(&listener, &ends)), closing }
    }

    fn end(self, address: SocketAddr) {
        self.closing.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(address);
        let _ = self.thread.join();
    }
}

/// A minute is only the guard against a hang.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
