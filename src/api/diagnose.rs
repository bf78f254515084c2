//! What the API's `GET /diagnose` says about one Barman server: its backups, configuration and state. One body holds
//! everything that Barman knows about every server, as the API has no call for a single backup. Only the part about
//! this server is parsed. Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::fields::Fields;
use crate::error::BadReply;
use crate::text::{first_few, one_line};

/// A backup takes about 1.7 kB of the body and a server 15 kB. 16 MiB hold 100 servers with 85 backups each, and a
/// small process can afford that for the moment it takes to parse them.
pub(crate) const LIMIT: usize = 16 << 20;

/// What is known about one server. Anything missing or unexpected in the body is `None` here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Diagnosis {
    /// `3.19.1`
    pub(crate) barman_version: Option<String>,
    pub(crate) config: ServerConfig,
    pub(crate) status: ServerStatus,
    /// The WAL file that was archived last, on any timeline.
    pub(crate) last_wal: Option<String>,
    /// The newest timeline of which Barman has WAL.
    pub(crate) newest_timeline: Option<u32>,
    /// Oldest first, whatever their status.
    pub(crate) backups: Vec<Backup>,
}

/// The parts of the server's configuration that matter to a restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerConfig {
    /// Whether a restore proceeds in a directory that is not empty.
    pub(crate) delta_restore: bool,
    /// Whether a restore brings no WAL, because `PostgreSQL` is to fetch it.
    pub(crate) get_wal: bool,
}

/// The server's `PostgreSQL`, as Barman saw it when it answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerStatus {
    pub(crate) connection_error: Option<String>,
    pub(crate) system_id: Option<u64>,
}

/// The parts of a backup that matter to a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backup {
    /// Its real ID, even if an alias was asked for.
    pub(crate) id: String,
    /// The state that Barman gives: DONE, FAILED, ...
    pub(crate) status: String,
    /// Bytes that a restore writes, without WAL, if Barman knows.
    pub(crate) bytes: Option<u64>,
    pub(crate) begin_time: Option<String>,
    pub(crate) end_time: Option<String>,
    /// Of PostgreSQL: `15.18`.
    pub(crate) version: Option<String>,
    pub(crate) system_id: Option<u64>,
    /// `rsync`, `postgres`, ...
    pub(crate) mode: Option<String>,
    /// Whether it consists of snapshots of disks: Barman restores those only with options that the API does not have.
    pub(crate) is_snapshot: bool,
    /// The timeline on which it ended: a restore brings WAL of this one only.
    pub(crate) timeline: Option<u32>,
    /// The last WAL file that it needs.
    pub(crate) end_wal: Option<String>,
    pub(crate) tablespaces: Vec<Tablespace>,
}

/// A tablespace outside the data directory. A restore writes it to the same location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tablespace {
    pub(crate) name: String,
    pub(crate) location: String,
}

impl Backup {
    /// Whether all its files have been copied, so that an alias may choose it.
    pub(crate) fn is_copied(&self) -> bool {
        self.status == "DONE" || self.waits_for_wal()
    }

    /// Whether Barman has not archived all the WAL that it needs.
    pub(crate) fn waits_for_wal(&self) -> bool {
        self.status == "WAITING_FOR_WALS"
    }

    fn read(id: String, raw: &RawValue) -> Backup {
        let fields = Fields::of(Some(raw));
        let (size, cluster_size) = (fields.number("size"), fields.number("cluster_size"));
        // For a compressed or incremental backup the size is smaller than what a restore writes.
        let less = fields.get("compression").is_some() || fields.get("parent_backup_id").is_some();
        let mode = fields.line("mode");
        let end_wal = fields.line("end_wal");
        let is_snapshot = |kind: &str| kind == "snapshot";
        Backup {
            id,
            status: fields.line("status").unwrap_or_else(|| "UNKNOWN".into()),
            bytes: if less { cluster_size.or(size) } else { size.or(cluster_size) },
            begin_time: fields.line("begin_time"),
            end_time: fields.line("end_time"),
            version: fields.number("version").map(postgresql_version),
            system_id: fields.number("systemid"),
            is_snapshot: fields.get("snapshots_info").is_some()
                || mode.as_deref().is_some_and(is_snapshot)
                || fields.line("backup_type").as_deref().is_some_and(is_snapshot),
            mode,
            timeline: end_wal.as_deref().and_then(timeline_of).or_else(|| fields.number("timeline")),
            end_wal,
            tablespaces: tablespaces(fields.get("tablespaces")),
        }
    }
}

impl Diagnosis {
    /// Parses what the body says about this server. An error says what is wrong with the body.
    pub(crate) fn read(body: &[u8], server: &str) -> Result<Diagnosis, (BadReply, String)> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            global: Option<&'a RawValue>,
            #[serde(borrow)]
            servers: HashMap<String, &'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Server<'a> {
            #[serde(borrow)]
            backups: HashMap<String, &'a RawValue>,
            #[serde(borrow, default)]
            config: Option<&'a RawValue>,
            #[serde(borrow, default)]
            status: Option<&'a RawValue>,
            #[serde(borrow, default)]
            wals: Option<&'a RawValue>,
        }
        let unreadable = |error: serde_json::Error| {
            (BadReply::Other, format!("an unexpected answer ({})", one_line(&error.to_string())))
        };
        let body: Body = serde_json::from_slice(body).map_err(unreadable)?;
        let Some(raw) = body.servers.get(server) else {
            let known = names(body.servers.keys());
            return Err((BadReply::NoServer, format!("there is no server '{server}', only: {known}")));
        };
        let server: Server = serde_json::from_str(raw.get()).map_err(unreadable)?;
        let mut backups: Vec<Backup> =
            server.backups.into_iter().map(|(id, raw)| Backup::read(id, raw)).collect();
        backups.sort_unstable_by(|one, other| one.id.cmp(&other.id)); // the ID is the time of the backup
        let wals = last_wals(&Fields::of(server.wals));
        Ok(Diagnosis {
            barman_version: Fields::of(body.global).object("system_info").line("barman_ver"),
            config: config(&Fields::of(server.config)),
            status: status(&Fields::of(server.status)),
            newest_timeline: wals.iter().filter_map(|wal| timeline_of(&wal.name)).max(),
            last_wal: wals.into_iter().max_by_key(|wal| wal.time).map(|wal| wal.name),
            backups,
        })
    }

    /// Major and minor number of Barman.
    pub(crate) fn barman_release(&self) -> Option<(u32, u32)> {
        let mut parts = self.barman_version.as_deref()?.split('.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()); // 3.20.0b1
            part.get(..end)?.parse().ok()
        });
        Some((parts.next()??, parts.next()??))
    }

    /// The newest backup that has been copied.
    pub(crate) fn newest(&self) -> Option<&Backup> {
        self.backups.iter().rfind(|backup| backup.is_copied())
    }

    /// The backup with this ID or alias. Aliases mean the same as in the API: latest and oldest choose among the
    /// backups that have been copied.
    pub(crate) fn backup(&self, name: &str) -> Result<&Backup, String> {
        let mut all = self.backups.iter();
        let found = match name {
            "latest" | "last" => self.newest(),
            "oldest" | "first" => all.find(|backup| backup.is_copied()),
            "last-failed" => all.rfind(|backup| backup.status == "FAILED"),
            id => all.find(|backup| backup.id == id),
        };
        found.ok_or_else(|| {
            let known = names(self.backups.iter().rev().map(|backup| &backup.id));
            format!("there is no backup '{name}', only: {known}")
        })
    }
}

fn config(fields: &Fields) -> ServerConfig {
    ServerConfig {
        delta_restore: fields.has_word("recovery_options", "delta-restore"),
        // Barman never copies WAL that it keeps in cloud storage.
        get_wal: fields.has_word("recovery_options", "get-wal")
            || fields.exact("wals_directory").is_some_and(|place| place.contains("://")),
    }
}

fn status(fields: &Fields) -> ServerStatus {
    ServerStatus {
        connection_error: fields.line("connection_error"),
        system_id: fields.number("postgres_systemid").or_else(|| fields.number("streaming_systemid")),
    }
}

/// PostgreSQL's number 150018 as people write it: 15.18.
fn postgresql_version(number: u32) -> String {
    match (number / 10_000, number / 100 % 100, number % 100) {
        (first @ 10.., ..) => format!("{first}.{}", number % 10_000),
        (first, second, minor) => format!("{first}.{second}.{minor}"),
    }
}

/// A WAL file, and when it reached the Barman host.
struct Archived {
    name: String,
    time: i64,
}

/// The last WAL file of each timeline.
fn last_wals(wals: &Fields) -> Vec<Archived> {
    let timelines = wals.object("last_archived_wal_per_timeline").objects();
    timelines
        .filter_map(|wal| Some(Archived { name: wal.line("name")?, time: wal.number("time")? }))
        .collect()
}

/// The name of a WAL file begins with its timeline.
fn timeline_of(wal: &str) -> Option<u32> {
    u32::from_str_radix(wal.get(..8).filter(|_| wal.len() == 24)?, 16).ok()
}

/// `[["name", 16387, "/location"], ...]`
fn tablespaces(value: Option<&Value>) -> Vec<Tablespace> {
    let read = |one: &Value| {
        let text = |place: usize, key: &str| {
            one.get(place).or_else(|| one.get(key)).and_then(Value::as_str).map(String::from)
        };
        Some(Tablespace { name: text(0, "name")?, location: text(2, "location")? })
    };
    value.and_then(Value::as_array).into_iter().flatten().filter_map(read).collect()
}

fn names<'a>(all: impl Iterator<Item = &'a String>) -> String {
    one_line(&first_few(all.map(String::as_str)))
}

#[cfg(test)]
mod tests;
