//! What stands behind the API: Barman's servers, backups and operations. `playing.rs` plays them,
//! `barman.rs` (the program's alone) runs the real Barman.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The status of an operation, in the API's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Barman is at work.
    InProgress,
    /// It ended well.
    #[default]
    Done,
    /// It ended with an error; the API gives no reason.
    Failed,
}

/// The type of an operation, in the API's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `barman recover`.
    #[default]
    Recovery,
    /// `barman config-switch`.
    ConfigSwitch,
}

impl Kind {
    /// As the list of operations writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::ConfigSwitch => "config_switch",
        }
    }
}

/// A create that passed every check: what the API would write into the job file.
#[derive(Clone, Debug)]
pub struct Job {
    /// The server of Barman.
    pub server: String,
    /// Its type.
    pub kind: Kind,
    pub content: Map<String, Value>,
}

impl Job {
    /// A text in it; "" when it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.content.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An operation as the journal shows it. Times are milliseconds since the start of the stand-in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Operation {
    /// As the API names it.
    pub id: String,
    /// The server of Barman.
    pub server: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Of a recovery.
    pub destination_directory: Option<String>,
    /// At this moment.
    pub status: Status,
    /// When it was created.
    pub started_ms: u64,
    /// None while it is in progress.
    pub ended_ms: Option<u64>,
    /// What failed, as the output file of the real API has it.
    pub output: String,
}

impl Operation {
    /// Whether it is the one of this server with this id.
    pub(crate) fn is(&self, server: &str, id: &str) -> bool {
        self.server == server && self.id == id
    }
}

pub trait Backend: Send + Sync {
    fn has_server(&self, server: &str) -> bool;
    fn has_backup(&self, server: &str, backup: &str) -> bool;
    /// The id that an operation of this server would get now; None when that of this second is taken.
    fn free_id(&self, server: &str) -> Option<String>;
    /// Registers the operation, starts it and gives its id; None when there is no free one.
    fn create(&self, job: &Job) -> Option<String>;
    /// Ids and types of every operation of the server.
    fn list(&self, server: &str) -> Vec<(String, String)>;
    /// None: no such operation.
    fn status(&self, server: &str, id: &str) -> Option<Status>;
    /// None: Barman failed.
    fn diagnose(&self) -> Option<Value>;
}

pub fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
