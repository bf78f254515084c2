//! A scripted pg-backup-api: the test double of the suite and, as the program `standin_api`, the
//! stand-in of the demo and of the tests in other languages.
//!
//! ```ignore
//! let api = Api::start(
//!     Model::new().server("main").backup("20261122T101942").duration_ms(300).fill(),
//!     Script::new().create([Step::recording("create-recovery-same-second"), Step::model().reset(At::Request)]),
//! );
//! // … let the client work against api.url() …
//! assert_eq!(api.max_parallel(data_directory), 1);
//! ```
//!
//! The **model** answers as pg-backup-api 2.2.0 with Barman 3.19 does: status lines, headers and bodies
//! of `tests/recordings`, ids of one-second resolution (a second create in one second is a 500 that
//! creates nothing; `unique_ids` for tests that are not about that), operations that write into their
//! destination (`fill`), wait in the middle of it (`hold`), never end (`stuck`), fail (`result`).
//!
//! The **script** replaces or spoils replies. A request takes the next step of its stage (`status`,
//! `list`, `create`, `poll`, `diagnose`), or when that has none left the next one of `any`, or else
//! the model's answer. A step serves one request, `times(n)` several, `forever` all that follow. Each
//! connection takes a step of `connect` before that: of it only `delay_ms`, `hold`, `hang_ms`, `reset`,
//! `close` and `raw` mean something, and come before anything is read, TLS handshake included (on a TLS
//! server `raw` is TLS garbage).
//!
//! A step is, in this order:
//! 1. The request is read, unless `reset(At::Head)` or `close(At::Head)` ends it before its body.
//! 2. `remove_dir` removes a directory; `foreign` makes operations of other nodes appear in the list.
//! 3. The model does what was asked. `apply(false)`: not the create. The default is true when the reply
//!    is the model's (even if it is then lost) and false when it is `recording`, `reply` or `raw`:
//!    `Step::proxy_error(502).apply(true)` is a 502 behind which the operation was created,
//!    `Step::model().reset(At::Request).apply(false)` a lost request.
//! 4. `delay_ms` waits, `hold` waits for `api.release()`.
//! 5. `reset(At::Request)`, `close(At::Request)` or `hang_ms` (silence, then a close): no reply.
//! 6. The reply: the model's, `recording(name)`, `reply(status, type, body)` or `raw(bytes)`; shaped by
//!    `chunked`, `http10` (no length), `keep_alive` (says so, and closes), `endless`; with one byte changed
//!    by `flip`; only the first bytes of head and body with `cut`; byte by byte with `drip_ms`.
//! 7. The end: FIN, or RST with `reset(At::Reply)`. After `cut`, TLS ends without `close_notify`.
//!
//! In JSON a script is `{"create": [STEP, …], …, "foreign": [FOREIGN, …]}`, a step an object of the same
//! words: `{}` is the model's answer, `{"status": 502, "headers": {"Retry-After": "1"}, "body": "…",
//! "apply": true}` a reply, `{"reset": "request"}` a lost one, `{"flip": {"at": 9, "to": 57}}`,
//! `{"recording": "operation-failed", "times": 3, "delay_ms": 100}`. In `raw` each character up to
//! U+00FF is one byte. `foreign`: `{"id": …, "after_ms": …, "duration_ms": …, "status": …}`.
//!
//! What happened: `requests`, `creates` and `applied` (creates that came, and that took effect),
//! `operations`, `max_parallel`, `connections`, `tls_failures`; `wait` for a moment. Dropping the
//! `Api` closes the listener and every connection and ends its threads.
//!
//! Not modelled: operations of the whole instance (`/operations`), request bodies without a length.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test double: a broken assumption has to end the test"
)]

mod backend;
mod clock;
mod conn;
mod control;
mod fill;
mod http;
mod model;
mod pause;
mod recordings;
mod routes;
mod script;
mod server;
mod tls;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use backend::{Backend, Foreign, Job, Kind, Operation, Status};
pub use clock::{event_time, operation_id};
pub use fill::OnRemoval;
pub use model::Model;
pub use pause::Pause;
pub use recordings::ALL as RECORDINGS;
pub use routes::Stage;
pub use script::{At, Endless, Script, Step};
pub use server::Received;
pub use tls::{Tls, TlsVersions};

use server::Shared;

/// A running stand-in.
pub struct Api {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    accept: Option<JoinHandle<()>>,
}

impl Api {
    /// On a free port, plain HTTP.
    pub fn start(model: Model, script: Script) -> Self {
        Self::start_on("127.0.0.1:0", model, script, None).unwrap()
    }

    pub fn start_tls(model: Model, script: Script, tls: &Tls) -> Self {
        Self::start_on("127.0.0.1:0", model, script, Some(tls)).unwrap()
    }

    /// On an address of its own, for instance the one that another `Api` has just left.
    pub fn start_on(address: &str, model: Model, script: Script, tls: Option<&Tls>) -> Result<Self, String> {
        let pause = Arc::new(Pause::default());
        let backend = model.play(Arc::clone(&pause));
        Self::serve(address, backend, pause, script, tls)
    }

    /// With any backend.
    pub fn serve(
        address: &str,
        backend: Arc<dyn Backend>,
        pause: Arc<Pause>,
        script: Script,
        tls: Option<&Tls>,
    ) -> Result<Self, String> {
        script.check()?;
        let config = tls.map(Tls::config).transpose()?;
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared::new(backend, pause, config));
        shared.set_script(script);
        let accepting = Arc::clone(&shared);
        let accept = Some(thread::spawn(move || accepting.accept(&listener)));
        Ok(Self { shared, address, scheme: if tls.is_some() { "https" } else { "http" }, accept })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request whose head was read, in the order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.journal.lock().unwrap().clone()
    }

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
        self.shared.backend.operations()
    }

    /// The most operations that were in progress at once in this directory.
    pub fn max_parallel(&self, destination: &str) -> usize {
        backend::max_parallel(&self.operations(), destination)
    }

    /// Accepted connections, those without a request included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// What TLS handshakes failed of.
    pub fn tls_failures(&self) -> Vec<String> {
        self.shared.tls_failures.lock().unwrap().clone()
    }

    /// Ends an operation by hand; false: there is none in progress with this id.
    pub fn finish(&self, id: &str, status: Status) -> bool {
        self.shared.backend.finish(id, status)
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

    /// Until `reached` is true; a minute is only the guard against a hang.
    pub fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "waited in vain for {what}: {:#?}",
                self.requests()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Serves until the process ends.
    pub fn join(mut self) {
        if let Some(accept) = self.accept.take() {
            let _ = accept.join();
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(accept) = self.accept.take() {
            self.shared.pause.stop();
            let _ = TcpStream::connect(self.address);
            let _ = accept.join();
        }
    }
}
