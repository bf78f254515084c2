//! The state file of the simulated world: inodes that can be locked, removed and made anew, as one run sees them.

use std::sync::Arc;

use super::clock::Shared;
use super::run::Effect;
use super::state::State;
use crate::world::journal::{Journal, Line, Lock, Record};

/// An inode. It stays for those who have it open.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    /// The run that has it.
    pub(super) locked_by: Option<usize>,
}

impl State {
    /// A state file that nobody has.
    pub(super) fn leave_file(&mut self, node: usize, bytes: Vec<u8>) {
        self.files.push(File { bytes, locked_by: None });
        self.nodes[node].state_file = Some(self.files.len() - 1);
    }

    pub(super) fn record(&self, node: usize) -> Option<Record> {
        Record::parse(&self.files[self.nodes[node].state_file?].bytes).ok()?
    }

    /// The kernel gives the locks of a dead run back.
    pub(super) fn unlock_all(&mut self, run: usize) {
        for file in self.files.iter_mut().filter(|file| file.locked_by == Some(run)) {
            file.locked_by = None;
        }
    }
}

pub(super) fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(Line::to_bytes).collect()
}

/// One run's view of it.
pub(super) struct StateFile {
    pub(super) shared: Arc<Shared>,
    pub(super) run: usize,
    pub(super) node: usize,
    /// Open, as an inode.
    pub(super) open: Option<usize>,
    /// What the run that this one has waited for wrote last.
    pub(super) waited: Option<Record>,
}

impl Journal for StateFile {
    fn path(&self) -> String {
        "/pg/data.barman-recover.json".into()
    }

    fn lock(&mut self) -> Lock {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.effect(self.run, &Effect::Lock);
        if state.nodes[self.node].unavailable {
            return Lock::Unavailable("Permission denied".into());
        }
        loop {
            let number = match (self.open.take(), state.nodes[self.node].state_file) {
                (Some(open), _) => open,
                (None, Some(there)) => there,
                (None, None) => {
                    state.leave_file(self.node, Vec::new());
                    state.files.len() - 1
                }
            };
            let linked = state.nodes[self.node].state_file == Some(number);
            let file = &mut state.files[number];
            let parsed = Record::parse(&file.bytes);
            if file.locked_by.is_some_and(|run| run != self.run) {
                self.open = Some(number);
                return Lock::Held(parsed.ok().flatten());
            }
            if !linked {
                self.waited = parsed.ok().flatten().or(self.waited.take());
                continue;
            }
            file.locked_by = Some(self.run);
            self.open = Some(number);
            let whole = file.bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let (record, garbage) = match parsed {
                Ok(record) => (record, None),
                Err(why) => (None, Some(why)),
            };
            file.bytes.truncate(if garbage.is_some() { 0 } else { whole });
            let left_over = record.or(self.waited.take());
            if let Some(then) = left_over.as_ref().and_then(|record| record.identity) {
                let tree = state.trees.iter().position(|tree| tree.identity().directory == then.directory);
                state.runs[self.run].trees.extend(tree);
            }
            state.runs[self.run].locked = true;
            return Lock::Ours { left_over, garbage };
        }
    }

    fn append(&mut self, lines: &[Line]) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let bytes = bytes(lines);
        let Some(open) = self.open else { return Err("it is not open".into()) };
        state.effect(self.run, &Effect::Append(open, &bytes));
        let here = &mut state.nodes[self.node];
        here.saves += 1;
        if here.failing_saves.contains(&(here.saves - 1)) {
            here.forgetful = true;
            return Err("No space left on device".into());
        }
        state.files[open].bytes.extend(bytes);
        Ok(())
    }

    fn close(&mut self, last: &[Line]) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let bytes = bytes(last);
        let Some(open) = self.open.take() else { return Ok(()) };
        state.effect(self.run, &Effect::Append(open, &bytes));
        state.files[open].bytes.extend(bytes);
        state.files[open].locked_by = None;
        state.runs[self.run].locked = false;
        state.runs[self.run].closed = true;
        if state.nodes[self.node].close_fails {
            return Err("read-only".into());
        }
        // Only one's own is removed.
        if state.nodes[self.node].state_file == Some(open) {
            state.nodes[self.node].state_file = None;
        }
        Ok(())
    }

    fn leave(&mut self) {
        let mut state = self.shared.lock();
        state.effect(self.run, &Effect::Leave);
        // One that another run has is only open here.
        let own = |open: &usize| state.files[*open].locked_by == Some(self.run);
        if let Some(open) = self.open.take().filter(own) {
            state.files[open].locked_by = None;
            state.runs[self.run].locked = false;
            state.runs[self.run].left = true;
        }
    }
}
