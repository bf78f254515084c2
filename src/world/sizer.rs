//! Asks the API for the size of the backup, once, in a background thread: for `/diagnose` Barman examines all its
//! servers, which can take long. Without an answer the recovery goes on.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::api::{Reply, Request};
use crate::cancel::Cancel;
use crate::config::Restore;
use crate::world::helper;
use crate::world::host::Host;
use crate::world::inspection::{Asked, Diagnosed};
use crate::world::net::Transport;

/// Barman opens connections to all servers that it knows.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Delay when nothing depends on the size: a shorter restore is not worth the work that the question causes Barman.
const ASK_AFTER: Duration = Duration::from_secs(2);
/// How long the end of a run waits for the thread to react to its cancel.
const FAREWELL: Duration = Duration::from_millis(200);

pub(crate) struct Sizer {
    /// The backup to ask about; `None` if the size is not wanted or has been asked for.
    wanted: Option<String>,
    arriving_since: Option<Instant>,
    question: Option<Question>,
    answer: Asked,
}

struct Question {
    answers: Receiver<Option<Diagnosed>>,
    cancel: Cancel,
}

impl Sizer {
    pub(crate) fn new(restore: &Restore) -> Sizer {
        let wanted = restore.diagnose.then(|| restore.backup_id.clone());
        Sizer { wanted, arriving_since: None, question: None, answer: Asked::No }
    }

    /// Asks now, unless the size is not wanted or has been asked for.
    pub(crate) fn ask(&mut self, transport: &Transport) {
        let Some(backup_id) = self.wanted.take() else { return };
        self.question = Question::start(transport, backup_id);
        if self.question.is_some() {
            self.answer = Asked::Waiting;
        }
    }

    /// Asks once data has been arriving for a while.
    pub(crate) fn ask_later(&mut self, transport: &Transport) {
        if self.arriving_since.get_or_insert_with(Instant::now).elapsed() >= ASK_AFTER {
            self.ask(transport);
        }
    }

    pub(crate) fn answer(&mut self) -> Asked {
        if self.answer == Asked::Waiting
            && let Some(question) = &self.question
        {
            self.answer = match question.answers.try_recv() {
                Ok(Some(found)) => Asked::Answered(found),
                Err(TryRecvError::Empty) => Asked::Waiting,
                Ok(None) | Err(TryRecvError::Disconnected) => Asked::No,
            };
        }
        self.answer.clone()
    }
}

impl Question {
    fn start(transport: &Transport, backup_id: String) -> Option<Question> {
        let cancel = Cancel::new();
        let transport = transport.with_host(Host::new(|_| {}, cancel.clone()));
        let work = move || {
            let reply = transport.send(&Request::Diagnose, TIMEOUT).ok()?;
            diagnosed(&reply, &transport.connection.barman_server, &backup_id)
        };
        let answers = helper::start("barman-diagnose", work).ok()?;
        Some(Question { answers, cancel })
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
        let Some(question) = &self.question else { return };
        question.cancel.cancel();
        if self.answer == Asked::Waiting {
            let _ = question.answers.recv_timeout(FAREWELL);
        }
    }
}
