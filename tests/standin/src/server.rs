//! The server: a thread per connection, which reads one request, takes its step of the script and
//! carries it out. What is journaled is journaled before the client can know of it.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustls::ServerConfig;
use serde::Serialize;

use crate::backend::{Backend, millis_since};
use crate::conn::Conn;
use crate::control;
use crate::http::{Form, Reply, Request};
use crate::pause::Pause;
use crate::playing::Playing;
use crate::routes::{self, Stage};
use crate::script::{At, Script, Step};

/// A request as the journal shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// Since the start of the stand-in.
    pub at_ms: u64,
    /// What it is about.
    pub stage: Stage,
    /// GET or POST.
    pub method: String,
    /// As it came: not decoded, with the query.
    pub path: String,
    /// As they came.
    pub headers: Vec<(String, String)>,
    /// As far as it came.
    pub body: String,
    /// The body came as long as was said.
    pub complete: bool,
    /// Of the reply that was sent, or begun.
    pub status: Option<u16>,
    /// The operation that it created.
    pub created: Option<String>,
}

/// What all connections share.
pub struct Shared {
    pub backend: Box<dyn Backend>,
    /// What is played, nothing when the real Barman is behind it.
    pub playing: Arc<Playing>,
    pub script: Mutex<Script>,
    pub journal: Mutex<Vec<Received>>,
    pub pause: Arc<Pause>,
    pub start: Instant,
    pub connections: AtomicU64,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    tls: Option<Arc<ServerConfig>>,
    /// Those that are open, to be shut down at the end.
    live: Mutex<HashMap<u64, TcpStream>>,
}

impl Shared {
    pub fn new(
        backend: Box<dyn Backend>,
        playing: Arc<Playing>,
        pause: Arc<Pause>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        Self {
            backend,
            playing,
            script: Mutex::default(),
            journal: Mutex::default(),
            pause,
            start: Instant::now(),
            connections: AtomicU64::new(0),
            threads: Mutex::default(),
            tls,
            live: Mutex::default(),
        }
    }

    pub fn set_script(&self, script: Script) {
        self.pause.rearm();
        *self.script.lock().unwrap() = script;
    }

    /// Until `closing`, and the connection that wakes it; then every open connection is shut down.
    pub fn accept(self: &Arc<Self>, listener: &TcpListener, closing: &AtomicBool) {
        for stream in listener.incoming().flatten() {
            if closing.load(Ordering::Relaxed) {
                break;
            }
            self.serve(stream);
        }
        for stream in self.live.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Starts the thread of a connection.
    fn serve(self: &Arc<Self>, stream: TcpStream) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(other) = stream.try_clone() else { return };
        self.live.lock().unwrap().insert(number, other);
        // Taken here, as threads do not begin in the order of their connections.
        let step = self.script.lock().unwrap().next_connection();
        let shared = Arc::clone(self);
        let serve = move || {
            let _ = stream.set_nodelay(true);
            shared.connection(step, stream);
            // Only with the last descriptor the connection ends.
            shared.live.lock().unwrap().remove(&number);
        };
        let mut threads = self.threads.lock().unwrap();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread::spawn(serve));
    }

    /// Ends what connections and operations wait for, and waits for their end.
    pub fn stop(&self) {
        self.pause.stop();
        for thread in self.threads.lock().unwrap().drain(..) {
            let _ = thread.join();
        }
        self.playing.join();
    }

    fn connection(&self, step: Option<Step>, stream: TcpStream) {
        let Some(stream) = self.welcome(&step.unwrap_or_default(), stream) else { return };
        let conn = match &self.tls {
            Some(config) => Conn::tls(stream, config),
            None => Some(Conn::plain(stream)),
        };
        if let Some(conn) = conn {
            self.request(conn);
        }
    }

    /// A step before anything is read, the handshake included; None: the connection has ended with it.
    fn welcome(&self, step: &Step, stream: TcpStream) -> Option<TcpStream> {
        if !self.wait(step) {
            return None;
        }
        let is_untouched = step.reset.is_none() && step.close.is_none() && step.raw.is_none();
        if is_untouched && step.hang_ms.is_none() {
            return Some(stream);
        }
        let mut conn = Conn::plain(stream);
        if let Some(ms) = step.hang_ms {
            self.pause.sleep_ms(ms);
        } else if step.reset.is_some() {
            conn.reset();
        } else {
            let _ = conn.write_all(step.raw.as_deref().unwrap_or_default());
            conn.close();
        }
        None
    }

    fn wait(&self, step: &Step) -> bool {
        self.pause.sleep_ms(step.delay_ms) && (!step.hold || self.pause.hold())
    }

    fn request(&self, mut conn: Conn) {
        let Some(mut request) = Request::read_head(&mut conn) else { return conn.finish() };
        if let Some(path) = request.target.strip_prefix(control::PREFIX) {
            let path = path.to_owned();
            if !request.read_body(&mut conn) {
                return;
            }
            let reply = control::answer(self, &path, &request);
            let _ = conn.write_all(&reply.render(Form::Length));
            return conn.finish();
        }
        let stage = routes::stage(&request);
        let step = self.script.lock().unwrap().next(stage).unwrap_or_default();
        let entry = self.enter(&request, stage);
        match (step.reset, step.close) {
            (Some(At::Head), _) => return conn.reset(),
            (_, Some(At::Head)) => return conn.close(),
            _ => {}
        }
        let complete = request.read_body(&mut conn);
        // One change: who sees that it is complete sees the body too.
        self.amend(entry, |received| {
            received.body = String::from_utf8_lossy(&request.body).into_owned();
            received.complete = complete;
        });
        if !complete {
            return;
        }
        let reply = self.act(&step, &request, entry);
        if !self.wait(&step) {
            return;
        }
        match (step.reset, step.close, step.hang_ms) {
            (Some(At::Request), _, _) => conn.reset(),
            (_, Some(At::Request), _) => conn.close(),
            (_, _, Some(ms)) => {
                self.pause.sleep_ms(ms);
                conn.close();
            }
            _ => self.reply(conn, &step, &reply, entry),
        }
    }

    fn enter(&self, request: &Request, stage: Stage) -> usize {
        let mut journal = self.journal.lock().unwrap();
        journal.push(Received {
            at_ms: millis_since(self.start),
            stage,
            method: request.method.clone(),
            path: request.target.clone(),
            headers: request.headers.clone(),
            body: String::new(),
            complete: false,
            status: None,
            created: None,
        });
        journal.len() - 1
    }

    fn amend(&self, entry: usize, change: impl FnOnce(&mut Received)) {
        change(&mut self.journal.lock().unwrap()[entry]);
    }

    /// What happens behind the reply, and the reply.
    fn act(&self, step: &Step, request: &Request, entry: usize) -> Reply {
        let own = step.own_reply();
        if let Some(own) = &own
            && !step.applies()
        {
            return own.clone();
        }
        let mut created = None;
        let answer = routes::answer(&*self.backend, request, |job| {
            if !step.applies() {
                return self.backend.free_id(&job.server);
            }
            created = self.backend.create(job);
            created.clone()
        });
        self.amend(entry, |received| received.created = created);
        own.unwrap_or(answer)
    }

    fn reply(&self, mut conn: Conn, step: &Step, reply: &Reply, entry: usize) {
        let mut bytes = step.raw.clone().unwrap_or_else(|| reply.render(step.form));
        if let Some(byte) = step.flip.and_then(|flip| bytes.get_mut(flip.at)) {
            *byte = step.flip.map_or(0, |flip| flip.to);
        }
        bytes.truncate(step.cut.unwrap_or(usize::MAX));
        let status = step.raw.is_none().then_some(reply.status);
        self.amend(entry, |received| received.status = status);
        let mut open = match step.drip_ms {
            Some(ms) => bytes.iter().all(|byte| conn.write_all(&[*byte]).is_ok() && self.pause.sleep_ms(ms)),
            None => conn.write_all(&bytes).is_ok(),
        };
        let more = match step.form {
            Form::EndlessHead => b"X-Endless: and so on\r\n".repeat(512),
            Form::EndlessBody => b"and so on\n".repeat(1024),
            _ => return end(conn, step),
        };
        while open && !self.pause.stopped() {
            open = conn.write_all(&more).is_ok();
        }
    }
}

fn end(conn: Conn, step: &Step) {
    if step.reset.is_some() {
        conn.reset();
    } else if step.cut.is_some() || step.close.is_some() {
        conn.close();
    } else {
        conn.finish();
    }
}
