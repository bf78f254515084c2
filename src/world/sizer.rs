//! Asks the API for the size of the backup, once, in a thread beside the run: `/diagnose` has Barman look at all its
//! servers, which can take long. Without an answer the recovery goes on.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::api::{Reply, Request};
use crate::cancel::Cancel;
use crate::config::settings::Connection;
use crate::sys;
use crate::world::host::Host;
use crate::world::inspection::{Asked, Diagnosed};
use crate::world::net::Transport;

/// Barman opens connections to the servers that it knows.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long the end of a run waits for the thread, which is being cancelled.
const FAREWELL: Duration = Duration::from_millis(200);

/// A question under way, or its answer.
pub(crate) struct Sizer {
    answers: Receiver<Option<Diagnosed>>,
    answer: Asked,
    cancel: Cancel,
}

impl Sizer {
    pub(crate) fn start(transport: &Transport, connection: &Connection, backup_id: &str) -> Option<Sizer> {
        let cancel = Cancel::new();
        let transport = transport.with_host(Host::new(|_| {}, cancel.clone()));
        let (connection, backup_id) = (connection.clone(), backup_id.to_string());
        let (sender, answers) = mpsc::sync_channel(1);
        let work = move || {
            let reply = transport.send(&Request::Diagnose, &connection, TIMEOUT).ok();
            let found = reply.and_then(|reply| diagnosed(&reply, &connection.barman_server, &backup_id));
            let _ = sender.send(found); // nobody waits any more
        };
        let thread = thread::Builder::new().name("barman-diagnose".into()).stack_size(256 << 10);
        sys::with_signals_blocked(|| thread.spawn(work)).ok()?;
        Some(Sizer { answers, answer: Asked::Waiting, cancel })
    }

    pub(crate) fn answer(&mut self) -> Asked {
        if self.answer == Asked::Waiting {
            self.answer = match self.answers.try_recv() {
                Ok(Some(found)) => Asked::Answered(found),
                Err(TryRecvError::Empty) => Asked::Waiting,
                Ok(None) | Err(TryRecvError::Disconnected) => Asked::No,
            };
        }
        self.answer.clone()
    }
}

fn diagnosed(reply: &Reply, server: &str, backup_id: &str) -> Option<Diagnosed> {
    let diagnosis = reply.diagnosis(server).ok()?;
    let backup = diagnosis.backup(backup_id).ok()?;
    Some(Diagnosed {
        bytes: backup.bytes,
        is_one_place: backup.tablespaces.is_empty(),
        barman_home: diagnosis.barman.home.clone(),
    })
}

impl Drop for Sizer {
    fn drop(&mut self) {
        self.cancel.cancel();
        if self.answer == Asked::Waiting {
            let _ = self.answers.recv_timeout(FAREWELL);
        }
    }
}
