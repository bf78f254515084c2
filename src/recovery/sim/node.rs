//! A node of the simulated world: its data directory, which may be removed under a restore, and what is done to it.

use std::time::Duration;

use super::barman::Restore;
use super::lease::{Process, StateDir};
use super::plan::Wal;
use super::state::{Deed, Happening, State, secs};
use crate::world::{Backup, Completeness, Content, FileId, Look, MissingWal, Usage};

/// What arrives in a second.
const RATE: u64 = 50_000_000;

/// What a restored directory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Version,
    Label,
    Control,
    /// The rest of the base backup, once it has come without a gap.
    Rest,
    Info,
    Wal,
    AutoConf,
}

const ALL: [Part; 7] =
    [Part::Version, Part::Label, Part::Control, Part::Rest, Part::Info, Part::Wal, Part::AutoConf];

/// How a part came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As it is in the backup, or as another method left it.
    Copied,
    /// Barman wrote it itself.
    Edited,
}

/// One of them, as somebody wrote it.
#[derive(Debug, Clone, Copy)]
struct Written {
    number: u64,
    at: Duration,
    /// By which restore; None: by another method.
    by: Option<usize>,
    how: How,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    parts: [Option<Written>; ALL.len()],
    bytes: u64,
    pub(super) writes: u64,
    /// Whether another method has written into it.
    pub(super) is_foreign: bool,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Node {
    /// What is at the path of the data directory.
    pub(super) tree: Option<usize>,
    /// The data directory can only be emptied in place.
    pub(super) mount_point: bool,
    pub(super) hidden: bool,
    /// There is something else of that name.
    pub(super) a_file: bool,
    pub(super) foreign_owner: Option<String>,
    pub(super) postmaster: Option<u32>,
    pub(super) postmaster_changed: Duration,
    pub(super) basebackup: bool,
    pub(super) strangers: usize,
    /// How long a flush takes, and whether it fails.
    pub(super) flush: Duration,
    pub(super) flush_fails: bool,
    pub(super) processes: Vec<Process>,
    flowed: Duration,
    pub(super) state: StateDir,
}

/// What arrives in this time.
pub(super) fn bytes(time: Duration) -> u64 {
    RATE * u64::try_from(time.as_millis()).unwrap() / 1000
}

impl Written {
    fn is_edited(&self) -> bool {
        self.how == How::Edited
    }
}

impl Tree {
    fn part(&self, part: Part) -> Option<Written> {
        self.parts[part as usize]
    }

    /// Whether Barman and Patroni see something in it: hidden names are nothing.
    fn is_filled(&self) -> bool {
        ALL.iter().any(|part| *part != Part::Info && self.part(*part).is_some())
    }

    fn first_file(&self) -> Option<FileId> {
        let file = |written: Written| FileId { inode: written.number, modified: 1_700_000_000, size: 3 };
        self.part(Part::Version).map(file)
    }

    /// Which files there are, as far as a restore can be recognized by them.
    pub(super) fn remembered(&self) -> [Option<u64>; 2] {
        [Part::Version, Part::AutoConf].map(|part| self.part(part).map(|written| written.number))
    }

    /// What it holds, for messages.
    fn describe(&self) -> String {
        let parts = ALL.iter().map(|part| match self.part(*part) {
            Some(written) => {
                let (by, at, edited) = (written.by, written.at.as_secs_f64(), written.is_edited());
                format!("{part:?} by {by:?} at {at:.1} s, edited: {edited}")
            }
            None => format!("no {part:?}"),
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl State {
    pub(super) fn make_tree(&mut self, node: usize) -> usize {
        self.trees.push(Tree::default());
        self.nodes[node].tree = Some(self.trees.len() - 1);
        self.trees.len() - 1
    }

    pub(super) fn tree(&self, node: usize) -> Option<&Tree> {
        self.nodes[node].tree.map(|tree| &self.trees[tree])
    }

    pub(super) fn is_filled(&self, node: usize) -> bool {
        self.tree(node).is_some_and(Tree::is_filled)
    }

    fn backup_of(&self, written: Written) -> &str {
        written.by.map_or("another method's", |by| &self.restores[by].plan.backup)
    }

    pub(super) fn write(&mut self, tree: usize, part: Part, by: usize, how: How) {
        let new = Written { number: self.number(), at: self.now, by: Some(by), how };
        let old = self.trees[tree].part(part);
        let same =
            |old: Written| !new.is_edited() && !old.is_edited() && self.backup_of(old) == self.backup_of(new);
        let kept = old.is_some_and(same); // rsync leaves it alone
        let tree = &mut self.trees[tree];
        tree.writes += 1;
        if !kept {
            tree.parts[part as usize] = Some(new);
        }
    }

    /// What came in since the last time.
    pub(super) fn flow(&mut self, node: usize) {
        let from = std::mem::replace(&mut self.nodes[node].flowed, self.now);
        for process in &self.nodes[node].processes {
            let restore = &self.restores[process.restore];
            let Some(tree) = restore.tree.filter(|_| !process.stuck) else { continue };
            let begun = from.max(process.since).min(self.now);
            let lost = restore.stalled(begun, self.now) + restore.uncounted(begun, self.now);
            self.trees[tree].bytes += bytes((self.now - begun).saturating_sub(lost));
        }
    }

    pub(super) fn look(&mut self, run: usize) -> Look {
        let node = self.runs[run].node;
        self.flow(node);
        let seen = |state: &mut State, what: &str| {
            if state.nodes[node].hidden {
                Err("/pg/data: Input/output error (os error 5)".to_string())
            } else {
                state.fallible(run, what)
            }
        };
        let [content, file, postmaster] =
            ["the content", "PG_VERSION", "postmaster.pid"].map(|what| seen(self, what));
        let here = &self.nodes[node];
        let tree = self.tree(node);
        let is = match tree {
            _ if here.a_file => Content::NotADirectory,
            None => Content::Missing,
            Some(tree) if tree.is_filled() => Content::Something,
            Some(_) => Content::Empty,
        };
        let usage = |tree: &Tree| Usage {
            bytes: tree.bytes,
            wal_bytes: if tree.part(Part::Wal).is_some() { 16 << 20 } else { 0 },
            files: tree.writes,
            total: None,
        };
        Look {
            content: content.map(|()| is),
            first_file: file.map(|()| tree.and_then(Tree::first_file)),
            postmaster: postmaster.map(|()| here.postmaster),
            usage: (!here.hidden).then(|| tree.map(usage).unwrap_or_default()),
        }
    }

    /// What the files prove, by what can be seen of them.
    pub(super) fn examine(&self, run: usize) -> Completeness {
        let node = self.runs[run].node;
        if self.nodes[node].hidden {
            return Completeness::Unknown("/pg/data: Input/output error (os error 5)".into());
        }
        let Some(tree) = self.tree(node) else { return Completeness::Incomplete("it does not exist".into()) };
        let [Some(_), Some(label), Some(_), Some(info)] =
            [Part::Version, Part::Label, Part::Control, Part::Info].map(|part| tree.part(part))
        else {
            return Completeness::Incomplete(tree.describe());
        };
        let by = info.by.map(|by| &self.restores[by]);
        let Some(Restore { plan, .. }) = by.filter(|_| info.is_edited()) else {
            return Completeness::Incomplete("the mark is of another backup".into());
        };
        if self.backup_of(label) != self.backup_of(info) {
            return Completeness::Incomplete("the mark is of another backup".into());
        }
        let warnings = Vec::new();
        let id = plan.named.then(|| plan.backup.clone());
        let last_wal = tree.part(Part::Wal).map(|_| "000000010000000000000004".to_string());
        let begin_time = "2026-11-22 09:00:00.000000+00:00".into();
        let backup = Backup { id, server: "pg".into(), begin_time, last_wal: last_wal.clone(), warnings };
        let conf = tree.part(Part::AutoConf);
        let proves = |conf: Written| conf.is_edited() && conf.at >= info.at;
        // Without that file nothing but WAL shows that Barman came past the base backup.
        if !conf.map_or(last_wal.is_some() || plan.wal == Wal::Get, proves) {
            return Completeness::Incomplete("postgresql.auto.conf has not been edited".into());
        }
        if tree.remembered() == self.runs[run].remembered {
            return Completeness::Unchanged("nothing in it is new".into());
        }
        match plan.wal {
            Wal::Copied if last_wal.is_none() => {
                let needed = Some("000000010000000000000004".into());
                Completeness::WalMissing(backup, MissingWal { needed, there: None })
            }
            Wal::Waiting => Completeness::WalMissing(backup, MissingWal { needed: None, there: last_wal }),
            _ if conf.is_none() => Completeness::NoProof(backup, "there is no postgresql.auto.conf".into()),
            _ => Completeness::Complete(backup),
        }
    }

    /// Whether all data of the backup that a run asked for is here: the truth.
    pub(super) fn is_complete(&self, run: usize) -> Result<(), String> {
        let ran = &self.runs[run];
        let tree = self.tree(ran.node).ok_or("there is no directory")?;
        let info = tree.part(Part::Info).ok_or("there is no mark")?;
        let plan = &self.restores[info.by.ok_or("the mark is not Barman's")?].plan;
        let is_needed = |part: &Part| match part {
            Part::Wal => plan.wal != Wal::Get && !ran.replica,
            Part::AutoConf => plan.auto_conf,
            _ => true,
        };
        let wanted = !ran.backup_id.contains('T') || ran.backup_id == plan.backup;
        let is_here = |part: &Part| {
            tree.part(*part).is_some_and(|it| {
                let edited = it.is_edited() || !matches!(part, Part::Info | Part::AutoConf);
                edited && self.backup_of(it) == plan.backup
            })
        };
        let complete = wanted && ALL.iter().filter(|part| is_needed(part)).all(is_here);
        if complete { Ok(()) } else { Err(tree.describe()) }
    }

    pub(super) fn happen_to(&mut self, node: usize, deed: Deed) {
        self.flow(node);
        let mount_point = self.nodes[node].mount_point;
        match deed {
            Deed::Remove | Deed::MoveAway if !mount_point => self.lose_tree(node),
            Deed::Remove | Deed::MoveAway | Deed::Empty => self.clear(node, &[]),
            Deed::HalfRemove => self.clear(node, &[Part::Label, Part::Wal, Part::AutoConf]),
            Deed::Replace => {
                self.lose_tree(node);
                let tree = self.make_tree(node);
                self.write_other(tree);
            }
            Deed::Hide(hidden) => self.nodes[node].hidden = hidden,
            Deed::Postmaster(pid) => {
                (self.nodes[node].postmaster, self.nodes[node].postmaster_changed) = (pid, self.now);
            }
            Deed::Basebackup(writes) => {
                self.nodes[node].basebackup = writes;
                if writes {
                    let tree = self.nodes[node].tree.unwrap_or_else(|| self.make_tree(node));
                    self.write_other(tree);
                }
            }
            Deed::Strangers(count) => self.nodes[node].strangers = count,
            Deed::Mend => {
                let here = &mut self.nodes[node];
                if here.postmaster.take().is_some() {
                    here.postmaster_changed = self.now;
                }
                (here.hidden, here.flush_fails) = (false, false);
                (here.state.impossible, here.state.room, here.strangers) = (false, None, 0);
                here.processes.retain(|process| !process.stuck);
                self.leases.iter_mut().for_each(|lease| lease.leftover = None);
            }
        }
    }

    /// What another method writes.
    fn write_other(&mut self, tree: usize) {
        for part in [Part::Version, Part::Label, Part::Control, Part::Rest] {
            let other = Written { number: self.number(), at: self.now, by: None, how: How::Copied };
            self.trees[tree].parts[part as usize] = Some(other);
            self.trees[tree].writes += 1;
        }
        self.trees[tree].is_foreign = true;
    }

    /// A name that `ls` does not show: whoever empties a directory may leave it.
    pub(super) fn leave_mark(&mut self, node: usize, by: usize) {
        let tree = self.nodes[node].tree.unwrap_or_else(|| self.make_tree(node));
        self.write(tree, Part::Info, by, How::Edited);
    }

    /// A restore of which nothing has arrived loses nothing; `PG_VERSION` is among the first files.
    fn disturb(&mut self, tree: usize) {
        let is_filled = self.trees[tree].is_filled();
        for restore in self.restores.iter_mut().filter(|restore| restore.tree == Some(tree)) {
            restore.disturbed |= is_filled;
        }
    }

    fn lose_tree(&mut self, node: usize) {
        if let Some(tree) = self.nodes[node].tree.take() {
            self.disturb(tree);
            // What stands in a directory that was removed writes to nowhere, even if it has written nothing yet.
            self.restores.iter_mut().filter(|it| it.tree == Some(tree)).for_each(|it| it.disturbed = true);
        }
    }

    fn clear(&mut self, node: usize, kept: &[Part]) {
        let Some(number) = self.nodes[node].tree else { return };
        self.disturb(number);
        let tree = &mut self.trees[number];
        for part in ALL.iter().filter(|part| !kept.contains(part)) {
            tree.parts[*part as usize] = None;
        }
        tree.is_foreign = false;
        (tree.bytes, tree.writes) = (tree.bytes / 8, tree.writes + 1);
    }

    /// Patroni's next method writes for a while.
    pub(super) fn basebackup(&mut self, node: usize, time: Duration) {
        self.happen(Happening::Node(node, Deed::Basebackup(true)));
        self.after(time.max(secs(1)), Happening::Node(node, Deed::Basebackup(false)));
    }
}
