//! Why a restore has failed: the API gives no reason, but the commands that Barman ran on this node have ended in one way
//! or another. Pure.

use std::path::Path;

use super::explain::{ON_ITS_OWN_HOST, last_command, own_output};
use super::history::{Command, History, KILLED};
use crate::text::{first_few, size};
use crate::world::{Content, Inspection};

/// With less than this, the next file does not fit.
const FULL: u64 = 64 << 20;
/// What this node shows about a restore that has failed.
pub(crate) struct Failed<'a> {
    pub(crate) history: &'a History,
    pub(crate) inspection: Option<&'a Inspection>,
    pub(crate) is_complete: bool,
    pub(crate) directory: &'a str,
}

impl Failed<'_> {
    /// The likeliest cause, one; `log` is where the commands of Barman on this node can be read.
    pub(crate) fn hint(&self, log: &str, server: &str, operation: &str) -> String {
        let more = own_output(server, operation);
        let log = if self.history.commands().is_empty() {
            String::new()
        } else {
            format!("; Barman's commands on this node are in {log}")
        };
        format!("{}. The API gives no reason; {more}{log}", self.cause())
    }

    fn cause(&self) -> String {
        let Some(last) = self.history.last_command() else { return self.never_reached() };
        if self.is_full() {
            let free = self.inspection.and_then(|found| found.free).unwrap_or_default();
            return format!("the disk is full: {} are free at {}", size(free), self.directory);
        }
        if let Some(command) = self.failed_command() {
            return cause_of(command);
        }
        let what = last_command(self.history);
        match last.program() {
            "true" => {
                format!(
                    "Barman logged in on this node and failed on its own host before it copied anything; {what}"
                )
            }
            "ls" => self.refused_after_list(last, &what),
            _ if self.is_complete => {
                format!("Barman failed after everything was here, perhaps in a hook script; {what}")
            }
            _ => format!("Barman failed on its own host between two commands; {what}"),
        }
    }

    /// The command whose failure made Barman give up. Barman first finishes the copy that it has begun, so
    /// successful transfers may follow the failed one.
    fn failed_command(&self) -> Option<&Command> {
        let is_copy = |command: &Command| matches!(command.program(), "rsync" | "tar");
        let last = self.history.commands().iter().rev();
        last.take_while(|command| is_copy(command) || has_failed(command)).find(|command| has_failed(command))
    }

    fn never_reached(&self) -> String {
        let missing = self.inspection.map(|found| found.missing_commands.join(", ")).unwrap_or_default();
        if !missing.is_empty() {
            return format!(
                "Barman never ran a command on this node through the lease: {missing} is missing here"
            );
        }
        format!(
            "Barman never ran a command on this node through the lease: it could not log in with --ssh-command (try that command on the Barman host); or its login can't read or lock the lease (it is a different user, sees a different mount, or has a forced command); or it reached a different host; or {ON_ITS_OWN_HOST}"
        )
    }

    /// Barman lists the directories first, and refuses whatever is printed.
    fn refused_after_list(&self, last: &Command, what: &str) -> String {
        let directory = self.directory;
        let names = self.inspection.map(|found| found.names.as_slice()).unwrap_or_default();
        if !names.is_empty() {
            let names = first_few(names.iter().map(String::as_str));
            return format!("{directory} was not empty ({names}), which Barman 3.15 and later refuse");
        }
        if matches!(self.history.content(), Some(Content::NotADirectory)) {
            return format!("{directory} is not a directory");
        }
        // If the login printed something, Barman would have stopped at the data directory.
        match last.words.strip_prefix("ls ") {
            Some(location) if location != directory && last.status == Some(0) => format!(
                "{location}, the location of a tablespace, was not empty, which Barman 3.15 and later refuse"
            ),
            _ => format!(
                "Barman listed {directory} and gave up, although the directory is empty: the login shell prints something (.bashrc, a banner), or Barman failed on its own host (for example in a hook script before the restore); {what}"
            ),
        }
    }

    fn is_full(&self) -> bool {
        let came =
            self.history.first_file().is_some() || self.history.usage().is_some_and(|usage| usage.bytes > 0);
        came && self.inspection.and_then(|found| found.free).is_some_and(|free| free < FULL)
    }
}

/// With `test` and `ls` Barman asks whether something is there; their status is the answer.
fn has_failed(command: &Command) -> bool {
    match (command.program(), command.status) {
        (_, Some(126 | 127) | None) => true,
        ("test" | "ls", _) => false,
        (_, Some(status)) => status != 0,
    }
}

/// What the failure of one command means.
fn cause_of(command: &Command) -> String {
    let (name, words) = (command.program(), command.shortened());
    let Some(status) = command.status.filter(|status| *status != KILLED) else {
        let what = if matches!(name, "rsync" | "tar") { "the copy" } else { "a command of Barman" };
        return format!(
            "{what} was cut off: '{words}' was still running here when the operation failed, so Barman ended on its own host (killed, out of memory, a restart), or the network between the hosts failed"
        );
    };
    let ended = format!("'{words}' ended with status {status}");
    match (name, status) {
        // The lease runs each command with setsid. Barman's first is `true`, which every node has.
        ("true", 127) => format!("setsid or sh is missing on this node: {ended}"),
        (_, 127) => {
            format!("{name} is not in the PATH of Barman's login on this node: {ended}")
        }
        (_, 126) => format!("{name} can't be executed on this node: {ended}"),
        ("mkdir" | "touch", _) => {
            let path = command.words.split(' ').rfind(|word| word.starts_with('/')).unwrap_or("a directory");
            let parent = Path::new(path).parent().unwrap_or(Path::new("/")).display();
            format!(
                "Barman could not create {path} or write to it: check that its login may write into {parent}; {ended}"
            )
        }
        ("rsync", 11) => {
            format!(
                "the copy to this node could not write here (the disk, a quota, or file permissions): {ended}"
            )
        }
        ("rsync", 12 | 13 | 20 | 30) => {
            format!(
                "the copy to this node was cut off (the network, or Barman ended on its own host): {ended}"
            )
        }
        ("rsync" | "tar", _) => {
            format!(
                "the copy to this node failed (file permissions, the network, or a file that vanished on the Barman host): {ended}"
            )
        }
        _ => format!("a command of Barman failed on this node: {ended}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::world::LogLine;

    /// What a restore into /data is explained by that ran these commands, each with its status.
    fn cause(commands: &[(&str, Option<i32>)]) -> String {
        let mut history = History::blind(Duration::ZERO);
        for (process, (words, status)) in (1..).zip(commands) {
            let began = LogLine::Began(process, (*words).to_string());
            let ended = status.map(|status| LogLine::Ended(process, status));
            history.log(Duration::ZERO, Ok([Some(began), ended].into_iter().flatten().collect()));
        }
        Failed { history: &history, inspection: None, is_complete: false, directory: "/data" }.cause()
    }

    /// As real Barman did it.
    #[test]
    fn the_first_cause_named_is_the_one_that_the_commands_show() {
        let listed = ("ls /data", Some(2));
        let transfer = "rsync --server -sKtprRe.iLsfxCIvu";
        for (commands, expected) in [
            (&[][..], "Barman never ran a command"),
            (&[listed][..], "Barman listed /data and gave up"),
            (&[listed, ("ls /space", Some(0))], "/space, the location of a tablespace, was not empty"),
            (&[listed, ("ls /space", Some(2))], "Barman listed /data and gave up"),
            (
                &[("mkdir -p /data -m 700", Some(1))],
                "Barman could not create /data or write to it: check that its login may write into /;",
            ),
            (
                &[("mkdir -p /disk/space -m 700", Some(1))],
                "Barman could not create /disk/space or write to it: check that its login",
            ),
            (&[(transfer, Some(13)), ("rsync --server -c", Some(0))], "the copy to this node was cut off"),
            (&[(transfer, Some(KILLED))], "the copy was cut off"),
            (&[(transfer, None)], "the copy was cut off"),
            (&[(transfer, Some(11))], "the copy to this node could not write here"),
            (
                &[(transfer, Some(23)), ("test -e /data/pg_wal", Some(0))],
                "Barman failed on its own host between",
            ),
            (&[(transfer, Some(127))], "rsync is not in the PATH of Barman's login on this node"),
            (&[("true", Some(127))], "setsid or sh is missing on this node"),
            (
                &[(transfer, Some(0)), ("test -e /data/pg_wal", Some(1))],
                "Barman failed on its own host between",
            ),
        ] {
            let said = cause(commands);
            assert!(said.starts_with(expected), "{commands:?}: {said}");
        }
    }
}
