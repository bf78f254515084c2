//! What each request to the API looks like. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::api::diagnose;
use crate::config::Change;
use crate::config::settings::{Connection, Restore};

/// A question to the API, or the one request that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Status,
    List,
    Create(NewRecovery),
    Poll(String),
    /// Changes the configuration of the server.
    Switch(Change),
    /// Everything that Barman knows; see `diagnose.rs`.
    Diagnose,
}

/// What a create asks of Barman, in the words of its command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NewRecovery {
    /// An ID, or an alias that the API knows.
    pub(crate) backup_id: String,
    /// The command with which Barman reaches this node.
    #[serde(rename = "remote_ssh_command")]
    pub(crate) ssh_command: String,
    /// An absolute path.
    #[serde(rename = "destination_directory")]
    pub(crate) data_directory: String,
}

impl From<&Restore> for NewRecovery {
    fn from(restore: &Restore) -> NewRecovery {
        let Restore { backup_id, ssh_command, data_directory, .. } = restore.clone();
        NewRecovery { backup_id, ssh_command, data_directory }
    }
}

/// The body of a POST.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    Recovery(&'a NewRecovery),
    ConfigSwitch {
        #[serde(skip_serializing_if = "Option::is_none")]
        model_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reset: Option<bool>,
    },
}

/// A status, operation or error is never larger than this.
const SMALL: usize = 1 << 20;
/// The list holds every operation ever started, at about 44 bytes each: 8 MiB are 190,000 of them, one an hour for 20
/// years, and still fit into a small process.
const LIST: usize = 8 << 20;

impl Request {
    pub(crate) fn segments<'a>(&'a self, server: &'a str) -> Vec<&'a str> {
        match self {
            Request::Status => vec!["status"],
            Request::Diagnose => vec!["diagnose"],
            Request::List | Request::Create(_) | Request::Switch(_) => {
                vec!["servers", server, "operations"]
            }
            Request::Poll(id) => vec!["servers", server, "operations", id],
        }
    }

    /// The body to send; a request with one is a POST.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let body = match self {
            Request::Create(new) => Body::Recovery(new),
            Request::Switch(Change::Model(name)) => {
                Body::ConfigSwitch { model_name: Some(name), reset: None }
            }
            Request::Switch(Change::Reset) => Body::ConfigSwitch { model_name: None, reset: Some(true) },
            Request::Status | Request::List | Request::Poll(_) | Request::Diagnose => return None,
        };
        Some(serde_json::to_vec(&body).unwrap_or_default()) // serializing strings never fails
    }

    pub(crate) fn timeout(&self, connection: &Connection) -> Duration {
        match self {
            // For `/diagnose`, Barman connects to the PostgreSQL of every server.
            Request::Create(_) | Request::Switch(_) | Request::Diagnose => connection.create_timeout,
            _ => connection.request_timeout,
        }
    }

    pub(crate) fn body_limit(&self) -> usize {
        match self {
            Request::List => LIST,
            Request::Diagnose => diagnose::LIMIT,
            _ => SMALL,
        }
    }
}
