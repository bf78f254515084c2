//! Asks the API for the size of the backup, once, in a thread of its own: for `/diagnose` Barman examines all its
//! servers, which can take long. Without an answer the recovery goes on.

use crate::api::Request;
use crate::cancel::Cancel;
use crate::timing::BACKUP_SIZE;
use crate::world::caller::Caller;
use crate::world::net::Transport;
use crate::world::worker::Worker;

/// The question, until it is answered. Dropped, it is cancelled.
pub(crate) struct BackupSize {
    worker: Option<Worker<Option<u64>>>,
    answer: Option<u64>,
    cancel: Cancel,
}

impl BackupSize {
    /// None if no thread can be started.
    pub(crate) fn ask(transport: &Transport, backup_id: &str) -> Option<BackupSize> {
        let cancel = Cancel::new();
        let transport = transport.with_caller(Caller::new(|_| {}, cancel.clone()));
        let backup_id = backup_id.to_string();
        let work = move || {
            let reply = transport.send(&Request::Diagnose, BACKUP_SIZE).ok()?;
            let diagnosis = reply.diagnosis(&transport.connection.barman_server).ok()?;
            diagnosis.backup(&backup_id).ok()?.bytes
        };
        let worker = Some(Worker::start("barman-diagnose", &cancel, work).ok()?);
        Some(BackupSize { worker, answer: None, cancel })
    }

    /// Bytes that a restore writes, without WAL, once known.
    pub(crate) fn bytes(&mut self) -> Option<u64> {
        if let Some(Ok(answer)) = self.worker.as_ref().and_then(Worker::answer) {
            self.answer = answer;
        }
        self.answer
    }
}

impl Drop for BackupSize {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(worker) = self.worker.take() {
            worker.part();
        }
    }
}
