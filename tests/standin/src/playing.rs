//! Barman played in memory, as `model.rs` has it configured.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::backend::{Backend, Foreign, Job, Kind, Operation, Status, millis_since};
use crate::backup::Backup;
use crate::clock;
use crate::fill::{self, Fill, Part, Restore};
use crate::model::{Model, Plan, Server};
use crate::pause::Pause;

/// A row of the operations, in milliseconds since the start. It is in progress until `ended`, which may
/// be known beforehand.
#[derive(Clone)]
struct Entry {
    id: String,
    server: String,
    kind: Kind,
    destination: Option<String>,
    /// The ID of the backup that a recovery restores.
    backup: Option<String>,
    started_ms: u64,
    ended: Option<(u64, Status)>,
    foreign: bool,
}

impl Entry {
    fn ended_at(&self, now: u64) -> Option<(u64, Status)> {
        self.ended.filter(|(at, _)| *at <= now)
    }
}

pub struct Playing(Arc<Inner>);

impl Playing {
    pub fn start(model: Model, pause: Arc<Pause>) -> Self {
        let existing = model.existing.clone();
        let playing = Self(Arc::new(Inner {
            model,
            start: Instant::now(),
            entries: Mutex::default(),
            runners: Mutex::default(),
            pause,
        }));
        for foreign in &existing {
            playing.appear(foreign);
        }
        playing
    }
}

struct Inner {
    model: Model,
    start: Instant,
    entries: Mutex<Vec<Entry>>,
    /// Operations with an action; joined at the end, so that nobody writes into a directory any more.
    runners: Mutex<Vec<thread::JoinHandle<()>>>,
    pause: Arc<Pause>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.pause.stop();
        for runner in self.0.runners.lock().unwrap().drain(..) {
            let _ = runner.join();
        }
    }
}

impl Inner {
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

    fn now(&self) -> u64 {
        millis_since(self.start)
    }

    /// The id of this second, or with `unique_ids` the next free one.
    fn next_id(&self, server: &str) -> String {
        let entries = self.entries.lock().unwrap();
        let ids = (0..).map(|second| clock::operation_id(SystemTime::now() + Duration::from_secs(second)));
        let mut free = ids.skip_while(|id| self.model.unique_ids && is_taken(&entries, server, id));
        free.next().unwrap_or_default()
    }

    fn end(&self, server: &str, id: &str, status: Status) -> bool {
        let now = self.now();
        let mut entries = self.entries.lock().unwrap();
        let running =
            entries.iter_mut().find(|e| e.server == server && e.id == id && e.ended_at(now).is_none());
        running.map(|entry| entry.ended = Some((now, status))).is_some()
    }

    /// Runs an operation that writes, to its end.
    fn run(&self, server: &str, id: &str, plan: &Plan, fill: &Fill) {
        // The real API's child reads the job file when it has started, after the race.
        self.pause.sleep_ms(2 * self.model.race_ms);
        let find = |e: &&Entry| e.server == server && e.id == id;
        let Some(entry) = self.entries.lock().unwrap().iter().find(find).cloned() else { return };
        let destination = entry.destination.unwrap_or_default();
        let backup = fill.restores.clone().or(entry.backup).unwrap_or_default();
        let destination = Path::new(&destination);
        let mut fill = fill.clone();
        if plan.result == Status::Failed {
            fill.stop.get_or_insert(Part::Half);
        }
        let restore = Restore {
            fill: &fill,
            backup: Backup { server, id: &backup },
            destination,
            duration: Duration::from_millis(plan.duration_ms),
            stuck: plan.stuck,
            pause: &self.pause,
            ended: &|| self.has_ended(server, id),
        };
        let status = if restore.run() { plan.result } else { Status::Failed };
        if self.pause.stopped() {
            return;
        }
        self.end(server, id, status);
        if plan.writes_on_ms > 0 {
            fill::write_on(
                destination,
                Duration::from_millis(plan.writes_on_ms),
                fill.receivers,
                &self.pause,
            );
        }
    }

    fn has_ended(&self, server: &str, id: &str) -> bool {
        let entries = self.entries.lock().unwrap();
        entries.iter().any(|e| e.server == server && e.id == id && e.ended_at(self.now()).is_some())
    }
}

fn is_taken(entries: &[Entry], server: &str, id: &str) -> bool {
    entries.iter().any(|entry| entry.server == server && entry.id == id)
}

impl Backend for Playing {
    fn has_server(&self, server: &str) -> bool {
        self.0.server(server).is_some()
    }

    fn has_backup(&self, server: &str, backup: &str) -> bool {
        self.0.backup(server, backup).is_some()
    }

    fn create(&self, job: &Job, apply: bool) -> Option<String> {
        let inner = &self.0;
        let id = inner.next_id(&job.server);
        let mut entries = inner.entries.lock().unwrap();
        if is_taken(&entries, &job.server, &id) {
            return None;
        }
        if !apply {
            return Some(id);
        }
        if inner.model.race_ms > 0 {
            drop(entries);
            inner.pause.sleep_ms(inner.model.race_ms);
            entries = inner.entries.lock().unwrap();
        }
        let text = |key: &str| job.content.get(key).and_then(Value::as_str).map(str::to_owned);
        let destination = text("destination_directory");
        let backup = text("backup_id").and_then(|wanted| inner.backup(&job.server, &wanted));
        if let Some(raced) = entries.iter_mut().find(|e| e.server == job.server && e.id == id) {
            (raced.destination, raced.backup) = (destination, backup);
            return Some(id);
        }
        let server = inner.server(&job.server)?;
        let earlier = entries.iter().filter(|e| e.server == job.server && !e.foreign).count();
        let plan = server.plans.get(earlier).or(server.plans.last())?.clone();
        let fill = plan.fill.clone().filter(|_| job.kind == Kind::Recovery);
        let started_ms = inner.now();
        let ends_by_clock = fill.is_none() && !plan.stuck;
        entries.push(Entry {
            id: id.clone(),
            server: job.server.clone(),
            kind: job.kind,
            destination,
            backup,
            started_ms,
            ended: ends_by_clock.then_some((started_ms + plan.duration_ms, plan.result)),
            foreign: false,
        });
        drop(entries);
        if let Some(fill) = fill {
            let (running, server, id) = (Arc::clone(inner), job.server.clone(), id.clone());
            let runner = thread::spawn(move || running.run(&server, &id, &plan, &fill));
            inner.runners.lock().unwrap().push(runner);
        }
        Some(id)
    }

    fn list(&self, server: &str) -> Vec<(String, String)> {
        let now = self.0.now();
        let entries = self.0.entries.lock().unwrap();
        let visible = entries.iter().filter(|e| e.server == server && e.started_ms <= now);
        visible.map(|e| (e.id.clone(), e.kind.word().to_owned())).collect()
    }

    fn status(&self, server: &str, id: &str) -> Option<Status> {
        let now = self.0.now();
        let entries = self.0.entries.lock().unwrap();
        let entry = entries.iter().find(|e| e.server == server && e.id == id && e.started_ms <= now)?;
        Some(entry.ended_at(now).map_or(Status::InProgress, |(_, status)| status))
    }

    fn diagnose(&self) -> Option<Value> {
        let now = SystemTime::now();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let backup = |id: &String, bytes: u64| {
            json!({
                "backup_id": id, "backup_name": null, "status": "DONE", "mode": "rsync", "pgdata": "/var/lib/postgresql/data",
                "size": bytes, "cluster_size": bytes, "tablespaces": null, "version": 150_000, "systemid": "7575757575757575757",
            })
        };
        let server = |server: &Server| {
            let fill = server.plans.first().and_then(|plan| plan.fill.clone()).unwrap_or_default();
            let backups: serde_json::Map<_, _> =
                server.backups.iter().map(|id| (id.clone(), backup(id, fill.bytes))).collect();
            let wal = json!({"name": "000000010000000000000004", "time": since_epoch.as_secs_f64()});
            json!({
                "backups": backups, "config": {"name": server.name}, "status": {},
                "wals": {"last_archived_wal_per_timeline": {"00000001": wal}},
            })
        };
        let servers: serde_json::Map<_, _> =
            self.0.model.servers.iter().map(|s| (s.name.clone(), server(s))).collect();
        Some(json!({
            "global": {
                "config": {"barman_home": "/var/lib/barman"},
                "system_info": {"barman_ver": "3.19.1", "timestamp": clock::event_time(now) + "+00:00"},
            },
            "models": {}, "servers": servers,
        }))
    }

    fn appear(&self, foreign: &Foreign) {
        let inner = &self.0;
        let first = inner.model.servers.first().map(|server| server.name.clone());
        let server = foreign.server.clone().or(first).unwrap_or_default();
        let started_ms = inner.now() + foreign.after_ms;
        let mut entries = inner.entries.lock().unwrap();
        let mut past =
            (1..).map(|second| clock::operation_id(SystemTime::now() - Duration::from_secs(second)));
        let free = past.find(|id| !is_taken(&entries, &server, id)).unwrap_or_default();
        let id = foreign.id.clone().unwrap_or(free);
        let status = foreign.status.unwrap_or(Status::Done);
        let ended = foreign.duration_ms.map(|ms| (started_ms + ms, status));
        entries.push(Entry {
            id,
            server,
            kind: foreign.kind,
            destination: None,
            backup: None,
            started_ms,
            ended,
            foreign: true,
        });
    }

    fn finish(&self, id: &str, status: Status) -> bool {
        let server = self.0.entries.lock().unwrap().iter().find(|e| e.id == id).map(|e| e.server.clone());
        server.is_some_and(|server| self.0.end(&server, id, status))
    }

    fn operations(&self) -> Vec<Operation> {
        let now = self.0.now();
        let shown = |e: &Entry| Operation {
            id: e.id.clone(),
            server: e.server.clone(),
            kind: e.kind,
            destination_directory: e.destination.clone(),
            status: e.ended_at(now).map_or(Status::InProgress, |(_, status)| status),
            started_ms: e.started_ms,
            ended_ms: e.ended_at(now).map(|(at, _)| at),
        };
        let entries = self.0.entries.lock().unwrap();
        entries.iter().filter(|e| e.started_ms <= now).map(shown).collect()
    }
}
