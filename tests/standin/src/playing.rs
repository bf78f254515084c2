//! Barman played: operations in memory, as `model.rs` has them configured.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use crate::backend::{Backend, Foreign, Job, Kind, Operation, Status, millis_since};
use crate::backup::Backup;
use crate::clock::{event_time, operation_id};
use crate::model::{Model, Plan, Server};
use crate::pause::Pause;
use crate::recover::{Host, Recover};

/// An operation, in milliseconds since the start. It is in progress until `ended`, which may be known
/// beforehand.
#[derive(Clone, Default)]
struct Entry {
    id: String,
    server: String,
    kind: Kind,
    destination: Option<String>,
    ssh_command: String,
    /// The ID of the backup that a recovery restores.
    backup: String,
    started_ms: u64,
    ended: Option<(u64, Status)>,
    is_foreign: bool,
    /// How many creates have made this one.
    creates: usize,
    output: String,
}

impl Entry {
    fn ended_at(&self, now: u64) -> Option<(u64, Status)> {
        self.ended.filter(|(at, _)| *at <= now)
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
        let playing = Arc::new(Self {
            model,
            start: Instant::now(),
            entries: Mutex::default(),
            restores: Mutex::default(),
            pause,
            host: OnceLock::new(),
        });
        for foreign in &playing.model.existing {
            playing.appear(foreign);
        }
        playing
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

    fn now(&self) -> u64 {
        millis_since(self.start)
    }

    /// The id of this second, or with `unique_ids` the next free one.
    fn next_id(&self, entries: &[Entry], server: &str) -> String {
        let ids = (0..).map(|second| operation_id(SystemTime::now() + Duration::from_secs(second)));
        let mut free = ids.skip_while(|id| self.model.unique_ids && is_taken(entries, server, id));
        free.next().unwrap_or_default()
    }

    /// Makes an operation of another node appear.
    pub fn appear(&self, foreign: &Foreign) {
        let first = self.model.servers.first().map(|server| server.name.clone());
        let server = foreign.server.clone().or(first).unwrap_or_default();
        let started_ms = self.now() + foreign.after_ms;
        let mut entries = self.entries.lock().unwrap();
        let mut past = (1..).map(|second| operation_id(SystemTime::now() - Duration::from_secs(second)));
        let free = past.find(|id| !is_taken(&entries, &server, id)).unwrap_or_default();
        entries.push(Entry {
            id: foreign.id.clone().unwrap_or(free),
            server,
            kind: foreign.kind,
            started_ms,
            ended: foreign.duration_ms.map(|ms| (started_ms + ms, foreign.status.unwrap_or_default())),
            is_foreign: true,
            ..Entry::default()
        });
    }

    /// Ends an operation by hand; false: no such operation, or it has ended.
    pub fn finish(&self, id: &str, status: Status) -> bool {
        self.end(|entry| entry.id == id, status, "")
    }

    fn end(&self, is_it: impl Fn(&Entry) -> bool, status: Status, output: &str) -> bool {
        let now = self.now();
        let mut entries = self.entries.lock().unwrap();
        let Some(entry) = entries.iter_mut().find(|entry| is_it(entry) && entry.ended_at(now).is_none())
        else {
            return false;
        };
        entry.ended = Some((now, status));
        output.clone_into(&mut entry.output);
        true
    }

    pub fn operations(&self) -> Vec<Operation> {
        let now = self.now();
        let shown = |e: &Entry| Operation {
            id: e.id.clone(),
            server: e.server.clone(),
            kind: e.kind,
            destination_directory: e.destination.clone(),
            status: e.ended_at(now).map_or(Status::InProgress, |(_, status)| status),
            started_ms: e.started_ms,
            ended_ms: e.ended_at(now).map(|(at, _)| at),
            output: e.output.clone(),
        };
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|e| e.started_ms <= now).map(shown).collect()
    }

    /// Restores, in a process for each create or in one more, and ends the operation.
    fn restore(&self, server: &str, id: &str, plan: &Plan) {
        // The real API's child reads the job file when it has started, after the race.
        self.pause.sleep_ms(2 * self.model.race_ms);
        let is_it = |entry: &Entry| entry.server == server && entry.id == id;
        let Some(entry) = self.entries.lock().unwrap().iter().find(|entry| is_it(entry)).cloned() else {
            return;
        };
        let output = Mutex::new(String::new());
        let recover = Recover {
            plan,
            backup: Backup { server, id: plan.restores.as_ref().unwrap_or(&entry.backup) },
            ssh_command: &entry.ssh_command,
            destination: plan.destination.as_deref().or(entry.destination.as_deref()).unwrap_or_default(),
            host: self.host.get_or_init(|| Host::new().unwrap()),
            pause: &self.pause,
            ended: &|| {
                self.operations().iter().any(|o| o.server == server && o.id == id && o.ended_ms.is_some())
            },
            output: &output,
        };
        let ends = thread::scope(|scope| {
            let processes = entry.creates + usize::from(plan.twice);
            let processes = (0..processes).map(|_| scope.spawn(|| recover.run())).collect::<Vec<_>>();
            processes.into_iter().map(|process| process.join().unwrap()).collect::<Vec<_>>()
        });
        let status = if ends.contains(&Some(true)) { plan.result } else { Status::Failed };
        if ends.iter().any(Option::is_some) {
            self.end(is_it, status, &output.into_inner().unwrap());
        }
    }

    /// Starts a restore on a thread.
    fn begin(self: &Arc<Self>, server: &str, id: &str, plan: Plan) {
        let (playing, server, id) = (Arc::clone(self), server.to_owned(), id.to_owned());
        let restore = thread::spawn(move || playing.restore(&server, &id, &plan));
        self.restores.lock().unwrap().push(restore);
    }
}

fn is_taken(entries: &[Entry], server: &str, id: &str) -> bool {
    entries.iter().any(|entry| entry.server == server && entry.id == id)
}

impl Backend for Arc<Playing> {
    fn has_server(&self, server: &str) -> bool {
        self.server(server).is_some()
    }

    fn has_backup(&self, server: &str, backup: &str) -> bool {
        self.backup(server, backup).is_some()
    }

    fn create(&self, job: &Job, apply: bool) -> Option<String> {
        let server = &job.server;
        let mut entries = self.entries.lock().unwrap();
        let id = self.next_id(&entries, server);
        if is_taken(&entries, server, &id) {
            return None;
        }
        if !apply {
            return Some(id);
        }
        if self.model.race_ms > 0 {
            drop(entries);
            self.pause.sleep_ms(self.model.race_ms);
            entries = self.entries.lock().unwrap();
        }
        let text = |key: &str| job.content.get(key).and_then(Value::as_str).map(str::to_owned);
        let earlier = entries.iter().filter(|e| e.server == *server && !e.is_foreign && e.id != id).count();
        let plans = &self.server(server)?.plans;
        let plan = plans.get(earlier).or(plans.last())?.clone();
        let restores = plan.fill && job.kind == Kind::Recovery;
        let started_ms = self.now();
        // Of those that race, the last writes the job file.
        let raced = entries.iter().position(|entry| entry.server == *server && entry.id == id);
        let creates = raced.map_or(0, |at| entries.remove(at).creates) + 1;
        entries.push(Entry {
            id: id.clone(),
            server: server.clone(),
            kind: job.kind,
            destination: text("destination_directory"),
            ssh_command: text("remote_ssh_command").unwrap_or_default(),
            backup: text("backup_id").and_then(|wanted| self.backup(server, &wanted)).unwrap_or_default(),
            started_ms,
            ended: (!restores && !plan.stuck).then_some((started_ms + plan.duration_ms, plan.result)),
            creates,
            ..Entry::default()
        });
        drop(entries);
        if restores && creates == 1 {
            self.begin(server, &id, plan);
        }
        Some(id)
    }

    fn list(&self, server: &str) -> Vec<(String, String)> {
        let of_server = self.operations().into_iter().filter(|operation| operation.server == server);
        of_server.map(|operation| (operation.id, operation.kind.word().to_owned())).collect()
    }

    fn status(&self, server: &str, id: &str) -> Option<Status> {
        let mut operations = self.operations().into_iter();
        operations
            .find(|operation| operation.server == server && operation.id == id)
            .map(|found| found.status)
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
