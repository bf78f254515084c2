//! An operation of the API: its kind, its status, and how the list shows it. Pure.

use serde::Deserialize;

use crate::outcome::OperationState;

/// Status of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    InProgress,
    Done,
    Failed,
}

impl From<Status> for OperationState {
    fn from(status: Status) -> OperationState {
        match status {
            Status::InProgress => OperationState::InProgress,
            Status::Done => OperationState::Done,
            Status::Failed => OperationState::Failed,
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Recovery,
    ConfigSwitch,
    /// Any kind.
    Any,
}

impl OperationKind {
    /// As in "a recovery operation".
    pub(crate) fn name(self) -> &'static str {
        match self {
            OperationKind::Recovery => "recovery",
            OperationKind::ConfigSwitch => "config switch",
            OperationKind::Any => "Barman",
        }
    }

    /// The same at the start of a sentence.
    pub(crate) fn capitalized(self) -> &'static str {
        match self {
            OperationKind::Recovery => "Recovery",
            OperationKind::ConfigSwitch => "Config switch",
            OperationKind::Any => "Barman",
        }
    }
}

/// An operation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    /// What the API calls its kind, if it says so.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
}

impl Listed {
    /// Whether it may be of this kind. An unknown word may mean a recovery, and no word any kind.
    pub(crate) fn may_be(&self, kind: OperationKind) -> bool {
        let word = self.kind.as_deref();
        match kind {
            OperationKind::Recovery => !matches!(word, Some("config_switch" | "config_update")),
            OperationKind::ConfigSwitch => matches!(word, Some("config_switch" | "") | None),
            OperationKind::Any => true,
        }
    }
}
