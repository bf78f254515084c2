//! A backup, by the API's `GET /diagnose`: everything that Barman knows of every server, in one body. The API
//! has no call about one backup. Pure.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::text::{first_few, one_line};

/// A backup takes about 1.7 kB of the body and a server 15 kB: 16 MiB are 100 servers that keep 85 backups each,
/// and still fit into a small process for the moment that they are looked at.
pub(crate) const LIMIT: usize = 16 << 20;

/// A backup, as far as a restore is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backup {
    /// Its real ID, whatever alias was asked for.
    pub(crate) id: String,
    /// Barman's word for its state: DONE, FAILED, ...
    pub(crate) status: String,
    /// What a restore writes, without the WAL, if Barman knows it.
    pub(crate) bytes: Option<u64>,
}

impl Backup {
    /// Whether its files are whole, so that it can be restored.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.status.as_str(), "DONE" | "WAITING_FOR_WALS")
    }
}

/// Why nothing can be told of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The answer is not what Barman writes.
    Answer(String),
    Server(String),
    Backup(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Unknown::Answer(text) | Unknown::Server(text) | Unknown::Backup(text)) = self;
        f.write_str(text)
    }
}

/// A backup as Barman writes it. Other servers' and other backups' fields are never looked into.
#[derive(Deserialize)]
struct Fields {
    status: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    cluster_size: Option<u64>,
    #[serde(default)]
    compression: Option<IgnoredAny>,
    #[serde(default)]
    parent_backup_id: Option<IgnoredAny>,
}

impl Fields {
    /// `size` is what the backup takes on the Barman host: of a compressed or incremental one that is less
    /// than what is restored from it, which is then the size of the cluster at the time of the backup.
    fn bytes(&self) -> Option<u64> {
        let less = self.compression.is_some() || self.parent_backup_id.is_some();
        let (first, second) =
            if less { (self.cluster_size, self.size) } else { (self.size, self.cluster_size) };
        first.or(second)
    }
}

/// The backup of this ID or alias in the body of a `/diagnose`. Aliases mean what they mean to the API:
/// latest and oldest are of those that can be restored.
pub(crate) fn find_backup(body: &[u8], server: &str, backup: &str) -> Result<Backup, Unknown> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        servers: HashMap<String, &'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Server<'a> {
        #[serde(borrow)]
        backups: HashMap<String, &'a RawValue>,
    }
    let unreadable = |error: serde_json::Error| {
        Unknown::Answer(format!("an answer that is not understood ({})", one_line(&error.to_string())))
    };
    let body: Body = serde_json::from_slice(body).map_err(unreadable)?;
    let raw = body.servers.get(server).ok_or_else(|| {
        Unknown::Server(format!("there is no server '{server}', only: {}", names(body.servers.keys())))
    })?;
    let server: Server = serde_json::from_str(raw.get()).map_err(unreadable)?;
    let read = |id: &String| -> Result<Backup, Unknown> {
        let raw = server.backups.get(id).map_or("null", |raw| raw.get());
        let fields: Fields = serde_json::from_str(raw).map_err(unreadable)?;
        Ok(Backup { id: id.clone(), bytes: fields.bytes(), status: fields.status })
    };
    let mut ids: Vec<&String> = server.backups.keys().collect();
    ids.sort_unstable(); // an ID is the time of its backup
    let mut found = ids.iter().filter_map(|id| read(id).ok());
    let chosen = match backup {
        "latest" | "last" => found.rfind(Backup::is_complete),
        "oldest" | "first" => found.find(Backup::is_complete),
        "last-failed" => found.rfind(|backup| backup.status == "FAILED"),
        id => {
            return server
                .backups
                .get_key_value(id)
                .map_or_else(|| Err(no_backup(id, &ids)), |(id, _)| read(id));
        }
    };
    chosen.ok_or_else(|| no_backup(backup, &ids))
}

fn no_backup(backup: &str, ids: &[&String]) -> Unknown {
    Unknown::Backup(format!("there is no backup '{backup}', only: {}", names(ids.iter().rev().copied())))
}

fn names<'a>(all: impl Iterator<Item = &'a String>) -> String {
    one_line(&first_few(all.map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"global":{},"servers":{
        "main":{"config":{"x":[1]},"backups":{
            "20260101T000000":{"status":"FAILED","size":null,"cluster_size":null},
            "20260102T000000":{"status":"DONE","size":100,"cluster_size":200,"compression":null},
            "20260103T000000":{"status":"WAITING_FOR_WALS","size":10,"cluster_size":300,"compression":"gzip"},
            "20260104T000000":{"status":"DONE","size":5,"cluster_size":400,"parent_backup_id":"20260102T000000"},
            "20260105T000000":{"status":"FAILED","size":7},
            "20260106T000000":{"status":"STARTED"},
            "odd":{"status":7}}},
        "empty":{"backups":{}},
        "odd":{"backups":null},
        "null":null},"models":{}}"#;

    fn found(backup: &str) -> (String, Option<u64>) {
        let backup = find_backup(BODY.as_bytes(), "main", backup).unwrap();
        (backup.id, backup.bytes)
    }

    #[test]
    fn aliases_mean_what_they_mean_to_the_api() {
        for (alias, id) in [
            ("latest", "20260104T000000"),
            ("last", "20260104T000000"),
            ("oldest", "20260102T000000"),
            ("first", "20260102T000000"),
            ("last-failed", "20260105T000000"),
            ("20260106T000000", "20260106T000000"),
        ] {
            assert_eq!(found(alias).0, id, "{alias}");
        }
    }

    #[test]
    fn the_size_is_what_a_restore_writes() {
        assert_eq!(found("20260101T000000").1, None);
        assert_eq!(found("20260102T000000").1, Some(100));
        assert_eq!(found("20260103T000000").1, Some(300), "compressed");
        assert_eq!(found("20260104T000000").1, Some(400), "incremental");
        assert_eq!(found("20260105T000000").1, Some(7));
    }

    #[test]
    fn the_real_barmans_answer_is_understood() {
        let recording = include_bytes!("../../tests/recordings/diagnose.http");
        let at = recording.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let backup = find_backup(&recording[at + 4..], "pg", "latest").unwrap();
        assert!(backup.is_complete());
        assert_eq!((backup.id.as_str(), backup.bytes), ("20261122T133430", Some(54_678_649)));
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let unknown = |server, backup| find_backup(BODY.as_bytes(), server, backup).unwrap_err();
        assert!(matches!(unknown("nope", "latest"), Unknown::Server(text) if text.contains("main")));
        let all = "odd, 20260106T000000, 20260105T000000, 20260104T000000, 20260103T000000 and 2 more";
        assert_eq!(unknown("main", "x"), Unknown::Backup(format!("there is no backup 'x', only: {all}")));
        let none = Unknown::Backup("there is no backup 'latest', only: none".into());
        assert_eq!(unknown("empty", "latest"), none);
        for (server, backup) in [("main", "odd"), ("odd", "latest"), ("null", "latest")] {
            assert!(matches!(unknown(server, backup), Unknown::Answer(_)), "{server} {backup}");
        }
    }

    #[test]
    fn no_body_breaks_it() {
        let deep = "[".repeat(1_000_000);
        for body in ["", "null", "[]", "{}", r#"{"servers":7}"#, r#"{"servers":{"main":"#, &deep] {
            assert!(matches!(find_backup(body.as_bytes(), "main", "latest"), Err(Unknown::Answer(_))));
        }
        let inside = format!(r#"{{"servers":{{"main":{{"backups":{{"x":{deep}"#);
        assert!(find_backup(inside.as_bytes(), "main", "x").is_err());
    }
}
