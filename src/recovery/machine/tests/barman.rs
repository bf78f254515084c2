//! Barman, its API and a node's data directory in virtual time: what the machine is tested against. It knows
//! what really runs and what the directory really holds, so it can tell when a law is broken.

use std::collections::HashSet;
use std::time::Duration;

use crate::api::{Reply, Request, Status};
use crate::config::Settings;
use crate::world::fs::directory::{Arrived, Content, Identity, Inode, Look, Stamp};

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, body: body.into(), cut: None, retry_after: None, date: None, location: None }
}

/// What the API really answered once: `tests/recordings`, without the head.
pub(super) fn recorded(text: &str) -> Reply {
    let (head, body) = text.replace("\r\n", "\n").split_once("\n\n").map(owned).unwrap();
    reply(head[9..12].parse().unwrap(), body)
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.into(), b.into())
}

macro_rules! recording {
    ($name:literal) => {
        $crate::recovery::machine::tests::barman::recorded(include_str!(concat!(
            "../../../../tests/recordings/",
            $name,
            ".http"
        )))
    };
}
pub(super) use recording;

/// What a restore that is created from now on does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Whole,
    /// Writes a little, and fails.
    Pieces,
    /// Writes everything, and fails.
    Unfinished,
    /// Fails without writing.
    Nothing,
    /// Writes to another host, or where the directory of another node is.
    Elsewhere,
}

#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// A restore of ours reaches a stage of its work.
    Stage(String, Stage),
    /// The API gets to a create of ours whose sender does not wait any more.
    Create,
    Ends(String, Status),
    /// Another node's operation: ID, how long it runs, how it ends.
    Other(String, Duration, Status),
    /// The data directory goes, as when Patroni wipes it.
    Remove,
    /// What is in it goes, as on a mount point.
    Empty,
    /// It goes, and another method writes a new one.
    Replace,
    /// Its parent can't be seen any more.
    Hide,
    Postmaster(Option<i32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Start,
    Version,
    Global,
    Control,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) kind: &'static str,
    /// Whether it writes into our data directory.
    pub(super) ours: bool,
    pub(super) status: Status,
    plan: Plan,
}

#[derive(Debug, Clone)]
struct Tree {
    inode: Inode,
    global: Option<Inode>,
    version: Option<Stamp>,
    control: Option<Stamp>,
    filled: bool,
    stages: HashSet<(String, Stage)>,
}

#[derive(Debug, Clone)]
pub(super) struct Barman {
    pub(super) now: Duration,
    pub(super) operations: Vec<Operation>,
    agenda: Vec<(Duration, u64, Happening)>,
    counter: u64,
    pub(super) plan: Plan,
    pub(super) length: Duration,
    tree: Option<Tree>,
    hidden: bool,
    /// The data directory can only be emptied in place.
    pub(super) mount_point: bool,
    postmaster: Option<i32>,
    /// The bytes in the data directory at a time.
    pub(super) bytes: Option<fn(Duration) -> u64>,
    /// Laws that were broken.
    pub(super) broken: Vec<String>,
}

impl Barman {
    pub(super) fn new() -> Barman {
        let mut barman = Barman {
            now: Duration::ZERO,
            operations: Vec::new(),
            agenda: Vec::new(),
            counter: 0,
            plan: Plan::Whole,
            length: secs(60),
            tree: None,
            hidden: false,
            mount_point: false,
            postmaster: None,
            bytes: None,
            broken: Vec::new(),
        };
        barman.add("20261122T101942".into(), "recovery", Status::Done);
        barman.add("20261122T090000".into(), "config_switch", Status::Done);
        barman
    }

    pub(super) fn add(&mut self, id: String, kind: &'static str, status: Status) {
        self.operations.push(Operation { id, kind, ours: false, status, plan: Plan::Elsewhere });
    }

    pub(super) fn at(&mut self, time: Duration, what: Happening) {
        self.counter += 1;
        self.agenda.push((time, self.counter, what));
    }

    /// Lets everything happen up to `time`.
    pub(super) fn until(&mut self, time: Duration) {
        loop {
            let next = self.agenda.iter().enumerate().min_by_key(|(_, (at, order, _))| (*at, *order));
            match next {
                Some((index, (at, ..))) if *at <= time => {
                    self.now = self.now.max(*at);
                    let (_, _, what) = self.agenda.remove(index);
                    self.happen(what);
                }
                _ => break,
            }
        }
        self.now = self.now.max(time);
    }

    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::Stage(id, stage) => self.stage(&id, stage),
            Happening::Create => {
                self.create();
            }
            Happening::Ends(id, status) => self.end(&id, status),
            Happening::Other(id, ..) if self.operations.iter().any(|operation| operation.id == id) => {}
            Happening::Other(id, length, status) => {
                self.add(id.clone(), "recovery", Status::InProgress);
                self.at(self.now + length, Happening::Ends(id, status));
            }
            Happening::Remove => self.tree = None,
            Happening::Empty => {
                self.mount_point = true;
                if let Some(tree) = &mut self.tree {
                    *tree = Tree { inode: tree.inode, ..empty_tree(tree.inode) };
                }
            }
            Happening::Replace => {
                self.tree = None;
                let (inode, global) = (self.inode(), self.inode());
                let (version, control) = (self.stamp(), self.stamp());
                let tree = Tree {
                    global: Some(global),
                    version: Some(version),
                    control: Some(control),
                    filled: true,
                    ..empty_tree(inode)
                };
                self.tree = Some(tree);
            }
            Happening::Hide => self.hidden = true,
            Happening::Postmaster(pid) => self.postmaster = pid,
        }
    }

    // The data directory

    fn inode(&mut self) -> Inode {
        self.counter += 1;
        Inode { device: 1, inode: 7, born: self.counter } // numbers are reused, birth times are not
    }

    fn stamp(&mut self) -> Stamp {
        self.counter += 1;
        Stamp { inode: self.counter, ctime: (1, 0) }
    }

    pub(super) fn make_empty(&mut self) {
        let inode = self.inode();
        self.tree = Some(empty_tree(inode));
    }

    /// As an earlier restore, followed by nobody, left it.
    pub(super) fn fill(&mut self, id: &str, stages: &[Stage]) {
        for stage in stages {
            self.write(id, *stage);
        }
    }

    pub(super) fn look(&self) -> Look {
        let mut look = Look { removable: !self.mount_point, ..Look::NOTHING };
        if self.hidden {
            return look;
        }
        look.arrived = self.bytes.map(|at| Arrived { bytes: at(self.now), passes: 0, total: None });
        look.content = match &self.tree {
            None => Content::Missing,
            Some(tree) if !tree.filled => Content::Empty,
            Some(tree) => {
                look.identity = Some(Identity { directory: tree.inode, marks: [tree.global, None, None] });
                (look.pg_version, look.pg_control) = (tree.version, tree.control);
                look.postmaster = self.postmaster;
                Content::Something
            }
        };
        look
    }

    pub(super) fn hidden(&self) -> bool {
        self.hidden
    }

    /// Whether one restore has written all of what is in the directory.
    pub(super) fn is_whole(&self) -> bool {
        self.tree.as_ref().is_some_and(|tree| {
            let all = [Stage::Version, Stage::Global, Stage::Control];
            let by_one = |id: &String| all.iter().all(|stage| tree.stages.contains(&(id.clone(), *stage)));
            tree.stages.iter().any(|(id, _)| by_one(id))
        })
    }

    fn stage(&mut self, id: &str, stage: Stage) {
        let Some(operation) = self.operations.iter().find(|operation| operation.id == id) else { return };
        if operation.status != Status::InProgress {
            return;
        }
        let refused = stage == Stage::Start && self.tree.as_ref().is_some_and(|tree| tree.filled);
        let stops = match operation.plan {
            Plan::Nothing => true,
            Plan::Pieces => stage == Stage::Global,
            _ => false,
        };
        if refused || stops {
            self.end(id, Status::Failed);
        } else if operation.plan != Plan::Elsewhere {
            self.write(id, stage);
        }
    }

    fn write(&mut self, id: &str, stage: Stage) {
        let (inode, stamp) = (self.inode(), self.stamp());
        let tree = self.tree.get_or_insert_with(|| empty_tree(inode));
        match stage {
            Stage::Start => {}
            Stage::Version => tree.version = Some(stamp),
            Stage::Global => tree.global = tree.global.or(Some(inode)),
            Stage::Control => {
                tree.global = tree.global.or(Some(inode));
                tree.control = Some(stamp);
            }
        }
        tree.filled |= stage != Stage::Start;
        tree.stages.insert((id.into(), stage));
    }

    // The API

    fn end(&mut self, id: &str, status: Status) {
        for operation in &mut self.operations {
            if operation.id == id && operation.status == Status::InProgress {
                operation.status = status;
            }
        }
    }

    pub(super) fn ours_in_progress(&self) -> Vec<&str> {
        let running = |operation: &&Operation| operation.ours && operation.status == Status::InProgress;
        self.operations.iter().filter(running).map(|operation| operation.id.as_str()).collect()
    }

    /// Whether one of ours runs, or will without our doing.
    pub(super) fn may_run(&self) -> bool {
        let pending = self.agenda.iter().any(|(_, _, what)| matches!(what, Happening::Create));
        pending || !self.ours_in_progress().is_empty()
    }

    /// Starts an operation that restores into our directory, whoever asked for it.
    pub(super) fn start(&mut self, id: &str) {
        self.add(id.into(), "recovery", Status::InProgress);
        let plan = self.plan;
        if let Some(operation) = self.operations.last_mut() {
            (operation.ours, operation.plan) = (true, plan);
        }
        for (stage, tenths) in
            [(Stage::Start, 0), (Stage::Version, 1), (Stage::Global, 3), (Stage::Control, 9)]
        {
            self.at(self.now + self.length * tenths / 10, Happening::Stage(id.into(), stage));
        }
        let status =
            if matches!(plan, Plan::Whole | Plan::Elsewhere) { Status::Done } else { Status::Failed };
        self.at(self.now + self.length, Happening::Ends(id.into(), status));
    }

    fn create(&mut self) -> Reply {
        let id = id_at(self.now);
        if self.operations.iter().any(|operation| operation.id == id) {
            return recording!("create-recovery-same-second");
        }
        let running = self.ours_in_progress().join(", ");
        if !running.is_empty() {
            self.broken.push(format!("law 1: {id} created while {running} is in progress"));
        }
        self.start(&id);
        reply(202, format!("{{\"operation_id\":\"{id}\"}}\n"))
    }

    pub(super) fn answer(&mut self, request: &Request, settings: &Settings) -> Reply {
        match request {
            Request::Diagnose | Request::Switch(_) => unreachable!("not the machine's"),
            Request::Status => recording!("status"),
            Request::List => {
                let entry = |op: &Operation| format!("{{\"id\":\"{}\",\"type\":\"{}\"}}", op.id, op.kind);
                let entries: Vec<String> = self.operations.iter().map(entry).collect();
                reply(200, format!("{{\"operations\":[{}]}}\n", entries.join(",")))
            }
            Request::Create(_) => {
                let body: serde_json::Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
                assert_eq!(body["destination_directory"], settings.data_directory.as_str());
                self.create()
            }
            Request::Poll(id) => match self.operations.iter().find(|operation| operation.id == *id) {
                None => recording!("operation-unknown-id"),
                Some(operation) => {
                    let word = match operation.status {
                        Status::InProgress => "IN_PROGRESS",
                        Status::Done => "DONE",
                        Status::Failed => "FAILED",
                    };
                    reply(200, format!("{{\"operation_id\":\"{id}\",\"status\":\"{word}\"}}\n"))
                }
            },
        }
    }
}

fn empty_tree(inode: Inode) -> Tree {
    Tree { inode, global: None, version: None, control: None, filled: false, stages: HashSet::new() }
}

/// IDs have a resolution of one second. Time 0 is 10:22:57, as in the recordings.
pub(super) fn id_at(now: Duration) -> String {
    let seconds = 10 * 3600 + 22 * 60 + 57 + now.as_secs();
    let (day, rest) = (22 + seconds / 86_400, seconds % 86_400);
    format!("202611{day:02}T{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}
