//! What has happened in one restore, as far as this node sees it: looks and lines of the lease's log go in, facts come
//! out. Pure.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use crate::world::{Content, FileId, LogLine, Look, Usage};

use crate::timing::SILENT_COMMAND;

/// No restore runs so many commands; a log with more of them was not written by Barman.
const MOST_COMMANDS: usize = 10_000;

/// The status of a command that SIGKILL ended: on this node only the end of the lease sends that signal.
pub(crate) const KILLED: i32 = 137;

/// After so many failed reads in a row, the log no longer shows what runs.
const MOST_MISSES: u32 = 5;

/// A command that Barman ran on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) words: String,
    /// None: it has not ended, or was killed together with its watcher.
    pub(crate) status: Option<i32>,
}

/// What a command can have done to the data directory. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Nothing,
    /// Before its first copy Barman makes the directory, and tries to write into it.
    Prepares,
    BringsFiles,
}

impl Command {
    fn effect(&self) -> Effect {
        match self.program() {
            "true" | "ls" | "test" | "cat" | "stat" | "uname" | "which" => Effect::Nothing,
            _ if self.words.ends_with(" --version") => Effect::Nothing,
            // For the links to tablespaces Barman 3.14 makes this before the first copy.
            "mkdir" if self.words.ends_with("/pg_tblspc") => Effect::BringsFiles,
            "mkdir" | "touch" | "rm" => Effect::Prepares,
            "rsync" if self.words.split(' ').any(|word| word == "--sender") => Effect::Nothing,
            _ => Effect::BringsFiles,
        }
    }

    /// Whether it can have changed something in the data directory.
    fn writes(&self) -> bool {
        self.effect() > Effect::Nothing
    }

    pub(crate) fn program(&self) -> &str {
        self.words.split(' ').next().unwrap_or_default()
    }

    /// As much of it as fits into a message.
    pub(crate) fn shortened(&self) -> String {
        self.words.chars().take(120).collect()
    }
}

/// How far Barman used the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It ran no command.
    Nothing,
    /// It ran commands, but none that writes.
    Reached,
    Wrote,
    /// The log could not be read.
    Unknown,
}

/// One restore, from its create on.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// When something last happened: bytes, files, data that moves, or a line in the log. The create is the first such thing.
    news: Duration,
    /// Whether anything has happened since the create.
    pub(crate) has_news: bool,
    /// `PG_VERSION` before the create.
    before: Option<FileId>,
    /// `PG_VERSION` of this restore.
    first_file: Option<FileId>,
    /// Looks in a row that did not find that file.
    missed_first_file: u32,
    content: Option<Content>,
    /// Whether there was nothing in the data directory before the create.
    began_empty: bool,
    usage: Option<Usage>,
    /// What the running commands had read and written when that was last asked.
    moved: Option<u64>,
    commands: Vec<Command>,
    /// The commands that run now: the process, and its place in `commands`.
    running: BTreeMap<u32, usize>,
    /// Since when no command has run.
    idle_since: Duration,
    /// Reads of the log in a row that failed.
    log_misses: u32,
}

impl History {
    /// For a create that is about to be sent, with what a look shows before it.
    pub(crate) fn new(now: Duration, before: &Look) -> History {
        History {
            news: now,
            has_news: false,
            before: before.first_file.clone().ok().flatten(),
            first_file: None,
            missed_first_file: 0,
            content: before.content.clone().ok(),
            began_empty: matches!(
                before.content,
                Ok(Content::Missing | Content::Empty | Content::LostAndFound)
            ),
            usage: before.usage,
            moved: None,
            commands: Vec::new(),
            running: BTreeMap::new(),
            idle_since: now,
            log_misses: 0,
        }
    }

    /// For an operation that does not write on this node.
    pub(crate) fn blind(now: Duration) -> History {
        let unseen = || Err(String::new());
        History::new(
            now,
            &Look {
                content: unseen().map(|()| Content::Missing),
                first_file: unseen().map(|()| None),
                postmaster: unseen().map(|()| None),
                usage: None,
            },
        )
    }

    /// Adds a look at the data directory. What it could not see stays as it was.
    pub(crate) fn look(&mut self, now: Duration, look: &Look) {
        if let Ok(content) = look.content
            && self.content.replace(content) != Some(content)
        {
            self.happened(now);
        }
        let counted = |usage: Usage| (usage.bytes, usage.files);
        if let Some(usage) = look.usage {
            let then = self.usage.replace(usage);
            if then.is_some_and(|then| counted(then) != counted(usage)) {
                self.happened(now);
            }
        }
        let Ok(found) = look.first_file else { return };
        match (self.first_file, found) {
            (None, Some(file)) if self.before != Some(file) => {
                self.first_file = Some(file);
                self.happened(now);
            }
            (Some(then), Some(file)) if is_same(then, file) => {
                (self.first_file, self.missed_first_file) = (Some(file), 0);
            }
            (Some(_), _) => self.missed_first_file += 1,
            (None, _) => {}
        }
    }

    /// Adds what was new in the log of the lease; an error means that it could not be read.
    pub(crate) fn log(&mut self, now: Duration, lines: Result<Vec<LogLine>, String>) {
        self.log_misses = if lines.is_ok() { 0 } else { self.log_misses.saturating_add(1) };
        for line in lines.unwrap_or_default() {
            self.happened(now);
            match line {
                LogLine::Began(process, words) if self.commands.len() < MOST_COMMANDS => {
                    self.running.insert(process, self.commands.len());
                    self.commands.push(Command { words, status: None });
                }
                LogLine::Began(..) => {}
                LogLine::Ended(process, status) => {
                    let command =
                        self.running.remove(&process).and_then(|place| self.commands.get_mut(place));
                    if let Some(command) = command {
                        command.status = Some(status);
                    }
                    if self.running.is_empty() {
                        self.idle_since = now;
                    }
                }
            }
        }
    }

    /// Adds what the running commands have read and written. Barman also copies to where nothing is counted: to tablespaces
    /// before it links them, and to a staging directory.
    pub(crate) fn moved(&mut self, now: Duration, moved: Option<u64>) {
        let then = std::mem::replace(&mut self.moved, moved);
        if then.is_some() && moved.is_some() && then != moved {
            self.happened(now);
        }
    }

    fn happened(&mut self, now: Duration) {
        (self.news, self.has_news) = (now, true);
    }

    /// The first file that Barman has brought, once it is here. Before Barman has run a command that brings files, what is
    /// there is another's.
    pub(crate) fn first_file(&self) -> Option<FileId> {
        self.first_file.filter(|_| self.has_brought_files())
    }

    fn has_brought_files(&self) -> bool {
        self.commands.iter().any(|command| command.effect() == Effect::BringsFiles)
    }

    pub(crate) fn content(&self) -> Option<Content> {
        self.content
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether the directory was removed or emptied: its first file was there, and two looks in a row found
    /// none or another. One look alone may fall between the removal and the creation of a file by rsync.
    pub(crate) fn was_emptied(&self) -> bool {
        self.missed_first_file >= 2
    }

    /// Something else has filled the directory, which was empty: there is content in it, and Barman has run no command
    /// that brings files. A command is logged before it runs, and the log is read after the look at the directory.
    pub(crate) fn was_filled_by_another(&self) -> bool {
        let brought_nothing = self.log_misses == 0 && !self.has_brought_files();
        self.began_empty && self.content == Some(Content::Something) && brought_nothing
    }

    /// For how long nothing has happened.
    pub(crate) fn still(&self, now: Duration) -> Duration {
        now.saturating_sub(self.news)
    }

    /// When something last happened; now, while a command runs that has not been silent for too long.
    pub(crate) fn news(&self, now: Duration) -> Duration {
        if self.runs_an_active_command(now) { now } else { self.news }
    }

    pub(crate) fn runs_a_command(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether a command runs that has not been silent for too long, and whose end would be seen.
    pub(crate) fn is_at_work(&self, now: Duration) -> bool {
        self.runs_an_active_command(now) && self.log_misses < MOST_MISSES
    }

    fn runs_an_active_command(&self, now: Duration) -> bool {
        self.runs_a_command() && self.still(now) < SILENT_COMMAND
    }

    /// For how long no command has run; None while one does.
    pub(crate) fn idle(&self, now: Duration) -> Option<Duration> {
        (!self.runs_a_command()).then(|| now.saturating_sub(self.idle_since))
    }

    pub(crate) fn last_command(&self) -> Option<&Command> {
        self.commands.last()
    }

    /// The last copy, if it did not succeed. Its first file, the last proof that the data directory is
    /// complete, may be here although its other files are not.
    pub(crate) fn cut_copy(&self) -> Option<&Command> {
        self.commands.iter().rfind(|command| command.writes()).filter(|last| last.status != Some(0))
    }

    /// Whether the operation may have failed, judged by what ran here: nothing, if Barman can't log in; a
    /// listing of the directory, which Barman refuses if it is not empty; or a copy that failed and was not repeated.
    pub(crate) fn may_have_failed(&self) -> bool {
        self.last_command().is_none_or(|last| last.words.starts_with("ls ")) || self.has_failed_copy()
    }

    /// Barman may begin another copy before it notices that one has failed, so it is not always the last one.
    fn has_failed_copy(&self) -> bool {
        let mut later = HashSet::new();
        let mut copies = self.commands.iter().rev().filter(|command| command.writes());
        copies.any(|copy| later.insert(&copy.words) && copy.status != Some(0))
    }

    pub(crate) fn commands(&self) -> &[Command] {
        &self.commands
    }

    pub(crate) fn lease_use(&self) -> Use {
        match (self.log_misses == 0, self.commands.is_empty()) {
            (_, false) if self.commands.iter().any(Command::writes) => Use::Wrote,
            (false, _) => Use::Unknown,
            (true, true) => Use::Nothing,
            (true, false) => Use::Reached,
        }
    }

    /// Whether two restores have begun on this lease. Barman lists the data directory once, before anything else, but for
    /// version 3.14 and for a delta restore; and each version looks once for the information of an earlier restore.
    pub(crate) fn began_twice(&self, data_directory: &str) -> bool {
        let directory = Path::new(data_directory);
        let has_come_twice = |first: &str, path: &Path| {
            let is_it = |command: &&Command| {
                let mut words = command.words.split(' ');
                words.next() == Some(first) && words.any(|word| Path::new(word) == path)
            };
            self.commands.iter().filter(is_it).nth(1).is_some()
        };
        has_come_twice("ls", directory) || has_come_twice("test", &directory.join(".barman-recover.info"))
    }
}

/// Whether a later look shows the same file. tar sets a file's time after its content, and so to an earlier
/// time. A new file often gets the inode of the removed one, but has its own time.
fn is_same(then: FileId, now: FileId) -> bool {
    now.inode == then.inode && now.modified <= then.modified
}

#[cfg(test)]
mod tests;
