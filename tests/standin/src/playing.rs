//! Barman played: operations in memory, as `model.rs` has them configured.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use crate::backend::{Backend, Job, Kind, Operation, Status, millis_since};
use crate::backup::Backup;
use crate::clock::{event_time, operation_id};
use crate::model::{Model, Plan, Server};
use crate::pause::Pause;
use crate::recover::{Host, Recover};

/// An operation as it began. It is in progress until `ended`, which may be known beforehand.
struct Entry {
    begun: Operation,
    /// In milliseconds since the start.
    ended: Option<(u64, Status)>,
}

impl Entry {
    /// As it is now.
    fn operation(&self, now: u64) -> Operation {
        let ended = self.ended.filter(|(at, _)| *at <= now);
        let status = ended.map_or(Status::InProgress, |(_, status)| status);
        Operation { status, ended_ms: ended.map(|(at, _)| at), ..self.begun.clone() }
    }
}

pub struct Playing {
    model: Model,
    start: Instant,
    entries: Mutex<Vec<Entry>>,
    /// Of restores; joined at the end, so that nobody writes into a directory any more.
    restores: Mutex<Vec<thread::JoinHandle<()>>>,
    pause: Arc<Pause>,
    /// Made for the first restore.
    host: OnceLock<Host>,
}

impl Playing {
    pub fn start(model: Model, pause: Arc<Pause>) -> Arc<Self> {
        let existing = |server: &Server| {
            let entry = |(id, kind, status): &(String, Kind, Status)| Entry {
                begun: Operation {
                    id: id.clone(),
                    server: server.name.clone(),
                    kind: *kind,
                    ..Operation::default()
                },
                ended: (*status != Status::InProgress).then_some((0, *status)),
            };
            server.existing.iter().map(entry).collect::<Vec<_>>()
        };
        let entries = Mutex::new(model.servers.iter().flat_map(existing).collect());
        let (restores, host) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { model, start: Instant::now(), entries, restores, pause, host })
    }

    /// Waits until no restore is under way any more; they end as the stand-in stops.
    pub fn join(&self) {
        for restore in self.restores.lock().unwrap().drain(..) {
            let _ = restore.join();
        }
    }

    fn server(&self, name: &str) -> Option<&Server> {
        self.model.servers.iter().find(|server| server.name == name)
    }

    /// The ID of a backup that is asked for by its ID or by a word.
    fn backup(&self, server: &str, wanted: &str) -> Option<String> {
        let backups = &self.server(server)?.backups;
        match wanted {
            "latest" | "last" => backups.last(),
            "oldest" | "first" => backups.first(),
            id => backups.iter().find(|known| *known == id),
        }
        .cloned()
    }

    /// The id of this second, or with `unique_ids` the next free one; None when it is taken.
    fn unused_id(&self, entries: &[Entry], server: &str) -> Option<String> {
        let seconds = if self.model.unique_ids { u64::MAX } else { 1 };
        let mut ids =
            (0..seconds).map(|second| operation_id(SystemTime::now() + Duration::from_secs(second)));
        ids.find(|id| !entries.iter().any(|entry| entry.begun.is(server, id)))
    }

    pub fn operations(&self) -> Vec<Operation> {
        let now = millis_since(self.start);
        self.entries.lock().unwrap().iter().map(|entry| entry.operation(now)).collect()
    }

    /// Restores, and ends the operation.
    fn restore(&self, id: &str, job: &Job, plan: &Plan) {
        let backup = self.backup(&job.server, job.text("backup_id")).unwrap_or_default();
        let recover = Recover {
            plan,
            backup: Backup { server: &job.server, id: &backup },
            ssh_command: job.text("remote_ssh_command"),
            destination: job.text("destination_directory"),
            host: self.host.get_or_init(|| Host::new().unwrap()),
            pause: &self.pause,
        };
        let Some((is_done, output)) = recover.run() else { return };
        let now = millis_since(self.start);
        let mut entries = self.entries.lock().unwrap();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.begun.is(&job.server, id)) {
            entry.ended = Some((now, if is_done { plan.result } else { Status::Failed }));
            entry.begun.output = output;
        }
    }
}

impl Backend for Arc<Playing> {
    fn has_server(&self, server: &str) -> bool {
        self.server(server).is_some()
    }

    fn has_backup(&self, server: &str, backup: &str) -> bool {
        self.backup(server, backup).is_some()
    }

    fn free_id(&self, server: &str) -> Option<String> {
        self.unused_id(&self.entries.lock().unwrap(), server)
    }

    fn create(&self, job: &Job) -> Option<String> {
        let server = self.server(&job.server)?;
        let mut entries = self.entries.lock().unwrap();
        let id = self.unused_id(&entries, &server.name)?;
        let of_server = entries.iter().filter(|entry| entry.begun.server == server.name).count();
        let earlier = of_server - server.existing.len();
        let plan = server.plans.get(earlier).or(server.plans.last())?.clone();
        let restores = plan.fill && job.kind == Kind::Recovery;
        let started_ms = millis_since(self.start);
        entries.push(Entry {
            begun: Operation {
                id: id.clone(),
                server: server.name.clone(),
                kind: job.kind,
                destination_directory: (job.kind == Kind::Recovery)
                    .then(|| job.text("destination_directory").to_owned()),
                started_ms,
                ..Operation::default()
            },
            ended: (!restores && !plan.stuck).then_some((started_ms + plan.duration_ms, plan.result)),
        });
        drop(entries);
        if restores {
            let (playing, id, job) = (Arc::clone(self), id.clone(), job.clone());
            let restore = thread::spawn(move || playing.restore(&id, &job, &plan));
            self.restores.lock().unwrap().push(restore);
        }
        Some(id)
    }

    fn list(&self, server: &str) -> Vec<(String, String)> {
        let of_server = self.operations().into_iter().filter(|operation| operation.server == server);
        of_server.map(|operation| (operation.id, operation.kind.word().to_owned())).collect()
    }

    fn status(&self, server: &str, id: &str) -> Option<Status> {
        self.operations().into_iter().find(|operation| operation.is(server, id)).map(|found| found.status)
    }

    fn diagnose(&self) -> Option<Value> {
        let now = SystemTime::now();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let backup = |id: &String, bytes: u64| {
            json!({
                "backup_id": id, "backup_name": null, "status": "DONE", "mode": "rsync", "pgdata": "/var/lib/postgresql/data",
                "size": bytes, "cluster_size": bytes, "tablespaces": null, "timeline": 1, "version": 150_000, "systemid": "7575757575757575757",
            })
        };
        let server = |server: &Server| {
            let bytes = server.plans.first().map_or(0, Plan::copied);
            let backups =
                server.backups.iter().map(|id| (id.clone(), backup(id, bytes))).collect::<Map<_, _>>();
            let wal = json!({"name": "000000010000000000000004", "time": since_epoch.as_secs_f64()});
            json!({
                "backups": backups, "config": {"name": server.name}, "status": {},
                "wals": {"last_archived_wal_per_timeline": {"00000001": wal}},
            })
        };
        let servers = self.model.servers.iter().map(|s| (s.name.clone(), server(s))).collect::<Map<_, _>>();
        Some(json!({
            "global": {
                "config": {"barman_home": "/var/lib/barman"},
                "system_info": {"barman_ver": "3.19.1", "timestamp": event_time(now) + "+00:00"},
            },
            "models": {}, "servers": servers,
        }))
    }
}
