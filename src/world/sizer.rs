//! Asks the API for the size of the backup, once, in a thread beside the polling: `/diagnose` has Barman look
//! at all its servers, which can take long. Whatever becomes of it, the recovery goes on.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::api::Request;
use crate::cancel::Cancel;
use crate::config::settings::Connection;
use crate::sys;
use crate::world::host::Host;
use crate::world::net::Transport;

/// Barman opens connections to the servers that it knows.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long the end of a run waits for the thread, which is being cancelled.
const FAREWELL: Duration = Duration::from_millis(200);

/// A question under way, or its answer.
pub(crate) struct Sizer {
    answer: Receiver<Option<u64>>,
    size: Option<u64>,
    ended: bool,
    cancel: Cancel,
}

impl Sizer {
    pub(crate) fn start(transport: &Transport, connection: &Connection, backup_id: &str) -> Option<Sizer> {
        let cancel = Cancel::new();
        let transport = transport.with_host(Host::new(|_| {}, cancel.clone()));
        let (connection, backup_id) = (connection.clone(), backup_id.to_string());
        let (sender, answer) = mpsc::sync_channel(1);
        let work = move || {
            let reply = transport.send(&Request::Diagnose, &connection, TIMEOUT).ok();
            let backup = reply.and_then(|reply| reply.backup(&connection.barman_server, &backup_id).ok());
            let _ = sender.send(backup.and_then(|backup| backup.bytes)); // nobody waits any more
        };
        let thread = thread::Builder::new().name("barman-diagnose".into()).stack_size(256 << 10);
        sys::with_signals_blocked(|| thread.spawn(work)).ok()?;
        Some(Sizer { answer, size: None, ended: false, cancel })
    }

    /// The size, once it is known.
    pub(crate) fn size(&mut self) -> Option<u64> {
        if let Ok(size) = self.answer.try_recv() {
            (self.size, self.ended) = (size, true);
        }
        self.size
    }
}

impl Drop for Sizer {
    fn drop(&mut self) {
        self.cancel.cancel();
        if !self.ended {
            let _ = self.answer.recv_timeout(FAREWELL);
        }
    }
}
