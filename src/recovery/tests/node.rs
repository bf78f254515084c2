//! A node of the simulated world: its data directory, which has an identity and may be removed under a restore,
//! and the receivers that write into it.

use std::ops::Range;
use std::time::Duration;

use super::state::{Deed, State};
use crate::world::snapshot::{Content, Identity, Inode, Mark, Snapshot, Stamp, Stamps, Usage};

/// What arrives in a second.
const RATE: u64 = 50_000_000;
/// How long a look at the processes is good for.
const RECEIVERS_SEEN: Duration = Duration::from_secs(5);

/// What a restored directory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Version,
    Label,
    Global,
    Base,
    Control,
    /// The rest of the base backup, once it has come without a gap.
    Rest,
    Info,
    Wal,
    AutoConf,
}

pub(super) const PARTS: usize = ALL.len();

const ALL: [Part; 9] = [
    Part::Version,
    Part::Label,
    Part::Global,
    Part::Base,
    Part::Control,
    Part::Rest,
    Part::Info,
    Part::Wal,
    Part::AutoConf,
];

/// One of them, as somebody wrote it.
#[derive(Debug, Clone)]
pub(super) struct Written {
    number: u64,
    at: Duration,
    /// Whether Barman has edited it.
    edited: bool,
    pub(super) backup: String,
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    inode: Inode,
    parts: [Option<Written>; PARTS],
    bytes: u64,
    writes: u64,
    /// Whether it is gone, but for those who stand in it.
    pub(super) deleted: bool,
    /// Files of another origin.
    pub(super) visible: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    id: u64,
    pub(super) tree: usize,
    /// None once the restore has ended before it.
    pub(super) restore: Option<usize>,
    pub(super) since: Duration,
}

#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Default)]
pub(super) struct Node {
    /// What is at the path of the data directory.
    pub(super) tree: Option<usize>,
    /// The data directory can only be emptied in place.
    pub(super) mount_point: bool,
    pub(super) hidden: bool,
    /// There is something else of that name.
    pub(super) a_file: bool,
    pub(super) postmaster: Option<i32>,
    /// Whether processes can't be seen.
    pub(super) no_proc: bool,
    pub(super) receivers: Vec<Receiver>,
    flowed: Duration,
    pub(super) state_file: Option<usize>,
    /// The state file can't be had.
    pub(super) unavailable: bool,
    /// Which lines can't be appended, counted over all runs.
    pub(super) failing_saves: Range<usize>,
    pub(super) saves: usize,
    pub(super) close_fails: bool,
    /// Whether the state file has lost what it should say, so that no run can know of those before it.
    pub(super) forgetful: bool,
}

impl Tree {
    fn has(&self, part: Part) -> bool {
        self.parts[part as usize].is_some()
    }

    fn stamp(&self, part: Part) -> Option<Stamp> {
        self.parts[part as usize].as_ref().map(|written| Stamp {
            inode: written.number,
            ctime: (i64::try_from(written.at.as_secs()).unwrap(), written.at.subsec_nanos().into()),
        })
    }

    fn is_filled(&self) -> bool {
        let visible =
            |(part, written): (usize, &Option<Written>)| part != Part::Info as usize && written.is_some();
        self.visible || self.parts.iter().enumerate().any(visible)
    }

    pub(super) fn identity(&self) -> Identity {
        let mark = |part: Part| {
            let written = self.parts[part as usize].as_ref()?;
            Some(Inode { device: 1, inode: 8, born: written.number })
        };
        let marks = [mark(Part::Global), mark(Part::Base), mark(Part::Version)];
        Identity { directory: self.inode, marks }
    }

    /// The backup of which all data is here.
    pub(super) fn complete(&self) -> Option<&str> {
        let label = self.parts[Part::Label as usize].as_ref()?;
        let info = |part: usize| part == Part::Info as usize;
        let same = |written: &Option<Written>| written.as_ref().is_some_and(|w| w.backup == label.backup);
        let all = self.parts.iter().enumerate().all(|(part, written)| info(part) || same(written));
        all.then_some(label.backup.as_str())
    }

    /// What it holds, for messages.
    pub(super) fn describe(&self) -> String {
        let parts = self.parts.iter().zip(ALL).map(|(written, part)| match written {
            Some(written) => format!("{part:?} of {} at {:.1} s", written.backup, written.at.as_secs_f64()),
            None => format!("no {part:?}"),
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    fn mark(&self, named: bool, other_server: bool) -> Option<Mark> {
        let [label, info, conf] =
            [Part::Label, Part::Info, Part::AutoConf].map(|p| self.parts[p as usize].as_ref());
        let (label, info, conf) = (label?, info?, conf?);
        (label.backup == info.backup && conf.at > info.at).then(|| Mark {
            server: if other_server { "main" } else { "pg" }.into(),
            backup_id: named.then(|| info.backup.clone()),
            begin_time: "2026-11-22 09:00:00.000000+00:00".into(),
            last_wal: self.has(Part::Wal).then(|| "000000010000000000000004".into()),
        })
    }
}

impl State {
    pub(super) fn make_tree(&mut self, node: usize) -> usize {
        // Numbers are reused, birth times are not.
        let inode = Inode { device: 1, inode: 7, born: self.number() };
        let tree = Tree {
            inode,
            parts: [const { None }; PARTS],
            bytes: 0,
            writes: 0,
            deleted: false,
            visible: false,
        };
        self.trees.push(tree);
        self.nodes[node].tree = Some(self.trees.len() - 1);
        self.trees.len() - 1
    }

    pub(super) fn tree(&self, node: usize) -> Option<&Tree> {
        self.nodes[node].tree.map(|tree| &self.trees[tree])
    }

    pub(super) fn is_filled(&self, node: usize) -> bool {
        self.tree(node).is_some_and(Tree::is_filled)
    }

    pub(super) fn write(&mut self, tree: usize, part: Part, backup: &str) {
        self.put(tree, part, backup, false);
    }

    pub(super) fn put(&mut self, tree: usize, part: Part, backup: &str, edited: bool) {
        let written = Written { number: self.number(), at: self.now, edited, backup: backup.into() };
        let tree = &mut self.trees[tree];
        tree.writes += 1;
        match &mut tree.parts[part as usize] {
            // What rsync finds in place it leaves alone; what Barman has edited has another time.
            Some(old) if old.backup == backup && !edited && !old.edited => {}
            // A directory stays, whatever comes into it.
            Some(old) if matches!(part, Part::Global | Part::Base) => old.backup = backup.into(),
            slot => *slot = Some(written),
        }
    }

    /// What came in since the last time.
    fn flow(&mut self, node: usize) {
        let from = std::mem::replace(&mut self.nodes[node].flowed, self.now);
        for receiver in &self.nodes[node].receivers {
            let begun = from.max(receiver.since);
            let stalled =
                receiver.restore.map_or(Duration::ZERO, |r| self.restores[r].stalled(begun, self.now));
            let time = (self.now - begun).saturating_sub(stalled);
            self.trees[receiver.tree].bytes += RATE * u64::try_from(time.as_millis()).unwrap() / 1000;
        }
    }

    pub(super) fn open_receiver(&mut self, node: usize, restore: usize, tree: usize) {
        self.flow(node);
        let (id, since) = (self.number(), self.now);
        self.nodes[node].receivers.push(Receiver { id, tree, restore: Some(restore), since });
    }

    /// The receivers of a restore end; those that outlive it for a moment go on.
    pub(super) fn close_receivers(&mut self, restore: usize, linger: Duration) {
        let node = self.restores[restore].node;
        self.flow(node);
        let mut lingering = Vec::new();
        for receiver in self.nodes[node].receivers.iter_mut().filter(|r| r.restore == Some(restore)) {
            receiver.restore = None;
            lingering.push(receiver.id);
        }
        for id in lingering {
            if linger.is_zero() {
                self.drop_receiver(node, id);
            } else {
                self.after(linger, super::state::Happening::Linger(node, id));
            }
        }
    }

    pub(super) fn drop_receiver(&mut self, node: usize, id: u64) {
        self.flow(node);
        self.nodes[node].receivers.retain(|receiver| receiver.id != id);
    }

    /// Those that a look at the processes of this node shows to everybody: they stand in its data directory, or in
    /// one that was removed at this path.
    pub(super) fn visible_receivers(&self, node: usize) -> impl Iterator<Item = &Receiver> {
        let here = &self.nodes[node];
        let seen = |r: &&Receiver| !here.no_proc && (here.tree == Some(r.tree) || self.trees[r.tree].deleted);
        here.receivers.iter().filter(seen)
    }

    /// Those that a run finds: also in a directory that it has seen, wherever that is now.
    fn receivers_of(&mut self, run: usize) -> Vec<(u64, Option<usize>)> {
        let node = self.runs[run].node;
        self.runs[run].trees.extend(self.nodes[node].tree);
        let trees = &self.runs[run].trees;
        let here = &self.nodes[node];
        let seen = |r: &&Receiver| self.trees[r.tree].deleted || trees.contains(&r.tree);
        let seen = here.receivers.iter().filter(seen).filter(|_| !here.no_proc);
        seen.map(|receiver| (receiver.id, receiver.restore)).collect()
    }

    pub(super) fn count_receivers(&mut self, run: usize) -> usize {
        let count = self.receivers_of(run).len() * 2; // two processes each
        self.runs[run].receivers_seen = Some((self.now, count));
        count
    }

    pub(super) fn end_receivers(&mut self, run: usize) -> usize {
        let (node, ended) = (self.runs[run].node, self.receivers_of(run));
        self.runs[run].receivers_seen = None;
        if !ended.is_empty() {
            self.tell(|| format!("node {node}: {} receivers are ended", ended.len() * 2));
        }
        for (id, restore) in &ended {
            self.drop_receiver(node, *id);
            if let Some(restore) = restore {
                self.receivers_gone(*restore);
            }
        }
        ended.len() * 2
    }

    pub(super) fn look(&mut self, run: usize) -> Snapshot {
        let node = self.runs[run].node;
        self.flow(node);
        let receivers = match self.runs[run].receivers_seen {
            Some((at, count)) if self.now - at < RECEIVERS_SEEN => count,
            _ => self.count_receivers(run),
        };
        let here = &self.nodes[node];
        let mut look = Snapshot { removable: !here.mount_point, receivers, ..Snapshot::default() };
        if here.hidden {
            return look;
        }
        let Some(number) = here.tree else {
            look.content = if here.a_file { Content::NotADirectory } else { Content::Missing };
            look.usage = Some(self.usage(run, (0, 0, None), false));
            return look;
        };
        let tree = &self.trees[number];
        look.content = if tree.is_filled() { Content::Something } else { Content::Empty };
        look.identity = Some(tree.identity());
        look.stamps = Stamps {
            pg_version: tree.stamp(Part::Version),
            pg_control: tree.stamp(Part::Control),
            info: tree.stamp(Part::Info),
            auto_conf: tree.stamp(Part::AutoConf),
        };
        look.mark = tree.mark(self.plan.named_label, self.other_server);
        look.postmaster = here.postmaster;
        let seen = (tree.bytes, tree.writes, Some(number));
        look.usage = Some(self.usage(run, seen, self.trees[number].has(Part::Wal)));
        look
    }

    fn usage(&mut self, run: usize, seen: (u64, u64, Option<usize>), has_wal: bool) -> Usage {
        let ran = &mut self.runs[run];
        ran.changes += u64::from(std::mem::replace(&mut ran.seen, seen) != seen);
        Usage {
            bytes: seen.0,
            wal_bytes: if has_wal { 16 << 20 } else { 0 },
            changes: ran.changes,
            passes: u32::try_from(self.now.as_millis()).unwrap_or(u32::MAX),
            total: None,
        }
    }

    pub(super) fn happen_to(&mut self, node: usize, deed: Deed) {
        self.flow(node);
        let mount_point = self.nodes[node].mount_point;
        match deed {
            Deed::Remove if !mount_point => self.lose_tree(node, true),
            Deed::MoveAway if !mount_point => self.lose_tree(node, false),
            Deed::Remove | Deed::MoveAway | Deed::Empty => {
                self.nodes[node].mount_point = true;
                self.clear(node, &[]);
            }
            Deed::HalfRemove => self.clear(node, &[Part::Label, Part::Wal, Part::AutoConf]),
            Deed::Replace => {
                self.lose_tree(node, true);
                let tree = self.make_tree(node);
                for part in [Part::Version, Part::Global, Part::Base, Part::Control] {
                    self.write(tree, part, "another method's");
                }
            }
            Deed::Make => {
                self.make_tree(node);
            }
            Deed::Hide => self.nodes[node].hidden = true,
            Deed::Postmaster(pid) => self.nodes[node].postmaster = pid,
            Deed::Unlink => {
                self.nodes[node].forgetful = true;
                self.nodes[node].state_file = None;
            }
        }
    }

    /// A name that `ls` does not show: whoever empties a directory may leave it.
    pub(super) fn write_hidden(&mut self, node: usize, backup: &str) {
        let tree = self.make_tree(node);
        self.write(tree, Part::Info, backup);
    }

    pub(super) fn leave_mark(&mut self, node: usize) {
        self.write_hidden(node, super::barman::BACKUP);
    }

    fn disturb(&mut self, tree: usize) {
        for restore in self.restores.iter_mut().filter(|restore| restore.tree == Some(tree)) {
            restore.disturbed = true;
            // Nobody can know a directory in which nothing lies.
            restore.disturbed_at = self.trees[tree].is_filled().then_some(self.now);
        }
    }

    fn lose_tree(&mut self, node: usize, deleted: bool) {
        if let Some(tree) = self.nodes[node].tree.take() {
            self.trees[tree].deleted = deleted;
            self.disturb(tree);
        }
    }

    fn clear(&mut self, node: usize, kept: &[Part]) {
        let Some(number) = self.nodes[node].tree else { return };
        // A restore of which nothing has arrived loses nothing; PG_VERSION is among the first files.
        if self.trees[number].is_filled() {
            self.disturb(number);
        }
        let tree = &mut self.trees[number];
        for (part, written) in tree.parts.iter_mut().enumerate() {
            if !kept.iter().any(|kept| *kept as usize == part) {
                *written = None;
            }
        }
        tree.visible = false;
        tree.bytes = 0;
        tree.writes += 1;
    }
}
