//! What a played `barman recover` does: it runs Barman's commands on the node, in Barman's order and through the ssh
//! command that came with the create, and copies with the real rsync.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::backup::{Backup, Item};
use crate::model::{Part, Plan};
use crate::pause::Pause;

/// The Barman host: a directory for what is sent, and the ssh. At the end of the stand-in, however that comes, it is
/// removed, and what still runs is ended: by a process whose standard input ends then, and in whose group all run.
pub struct Host {
    directory: PathBuf,
    keeper: Child,
}

const KEEPER: &str = "trap '' TERM; read -r _; kill -s TERM 0; rm -rf -- \"$0\"";

impl Host {
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("standin-").tempdir()?.keep();
        fs::write(directory.join("ssh"), include_str!("../ssh"))?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]).arg(&directory).process_group(0);
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { keeper: keeper.spawn()?, directory })
    }

    /// The process group of all that it runs.
    fn group(&self) -> i32 {
        self.keeper.id().cast_signed()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Why a restore does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A command failed, or the destination is not empty.
    Failed,
    /// The plan wants it so.
    Planned,
    /// The stand-in stops.
    Stopped,
}

/// One restore that is under way.
pub struct Recover<'a> {
    pub plan: &'a Plan,
    pub backup: Backup<'a>,
    pub ssh_command: &'a str,
    pub destination: &'a str,
    pub host: &'a Host,
    pub pause: &'a Pause,
}

impl Recover<'_> {
    /// Restores: whether it worked, and what the commands that failed have said, as in the output file of the real API.
    /// None: it has no end, or nobody looks any more.
    pub fn run(&self) -> Option<(bool, String)> {
        let scratch = tempfile::tempdir_in(&self.host.directory).ok()?;
        let barman =
            Barman { recover: self, ssh: self.ssh(), scratch: scratch.path(), output: RefCell::default() };
        let end = barman.restore();
        if end == Err(Cut::Stopped) || (self.plan.stuck && end != Err(Cut::Failed)) {
            return None;
        }
        Some((end != Err(Cut::Failed), barman.output.into_inner()))
    }

    /// The command `ssh` is the stand-in's own, any other is run as it is.
    fn ssh(&self) -> String {
        let own = self.ssh_command.strip_prefix("ssh ");
        own.map_or(self.ssh_command.to_owned(), |rest| {
            format!("sh {} {rest}", self.host.directory.join("ssh").display())
        })
    }
}

struct Barman<'a> {
    recover: &'a Recover<'a>,
    ssh: String,
    scratch: &'a Path,
    output: RefCell<String>,
}

impl Barman<'_> {
    fn restore(&self) -> Result<(), Cut> {
        let items = self.recover.backup.items(self.recover.plan);
        self.write(&items).map_err(|error| self.fails(&error.to_string()))?;
        let of = |part: Part| {
            items
                .iter()
                .filter(move |item| item.part == part)
                .map(|item| item.path.as_str())
                .collect::<Vec<_>>()
        };
        self.part(Part::Look, || self.look())?;
        let mut left = self.recover.plan.retries;
        while let Err(cut) = self.base(&of) {
            if cut != Cut::Failed || left == 0 {
                return Err(cut);
            }
            left -= 1;
            self.sleep(RETRY_MS)?;
        }
        self.part(Part::Info, || {
            self.is_there("pg_tblspc")?;
            self.send(Part::Info, &of(Part::Info), &[])?;
            self.is_there("backup_manifest").map(drop)
        })?;
        self.part(Part::Wal, || self.send(Part::Wal, &of(Part::Wal), &[]))?;
        self.part(Part::Mark, || self.mark(&of(Part::Mark)))
    }

    /// One part, and what the plan wants behind it.
    fn part(&self, part: Part, work: impl FnOnce() -> Result<(), Cut>) -> Result<(), Cut> {
        let Recover { plan, pause, .. } = self.recover;
        work()?;
        if plan.hold == Some(part) && !pause.hold() {
            return Err(Cut::Stopped);
        }
        if plan.stop() == Some(part) { Err(Cut::Planned) } else { Ok(()) }
    }

    fn look(&self) -> Result<(), Cut> {
        let destination = self.recover.destination;
        self.succeed(&["true"])?;
        // What is not there has no content; whatever is printed counts as a name, also by a login. The status does not
        // count.
        if !self.on_node(&["ls", destination])?.1.is_empty() {
            return Err(self.fails("the destination directory is not empty"));
        }
        self.is_there(".barman-recover.info")?;
        self.is_there("")?;
        self.succeed(&["mkdir", "-p", destination, "-m", "700"])?;
        let check = format!("{destination}/.barman_write_check");
        self.succeed(&["touch", &check])?;
        // Another restore may have removed it.
        self.on_node(&["rm", &check])?;
        if self.recover.plan.tablespaces_first {
            self.succeed(&["mkdir", "-p", &format!("{destination}/pg_tblspc")])?;
            self.sleep(1000)?;
        }
        Ok(())
    }

    /// The base backup: in one transfer, unless the plan is about a part of it, and `global/pg_control` for itself.
    fn base<'b>(&self, of: &impl Fn(Part) -> Vec<&'b str>) -> Result<(), Cut> {
        let Recover { plan, .. } = self.recover;
        let begun = Instant::now();
        let parts = [Part::First, Part::Half, Part::Base];
        match self.rsync_status(&["--list-only".to_owned(), "-rs".to_owned(), self.remote()])? {
            // 23: it has been removed.
            0 | 23 => {}
            code => return Err(self.fails(&format!("rsync error: {code}"))),
        }
        let mut waiting = Vec::new();
        for part in parts {
            waiting.extend(of(part).into_iter().filter(|path| *path != CONTROL));
            let is_cut = |named: Option<Part>| named.is_some_and(|named| named <= Part::Base);
            if part < Part::Base && ![plan.hold, plan.stop()].into_iter().any(is_cut) {
                continue;
            }
            self.part(part, || {
                self.send(Part::Base, &waiting, &self.throttle())?;
                if part == Part::Base {
                    self.send(Part::Base, &[CONTROL], &["-c".to_owned()])
                } else {
                    Ok(())
                }
            })?;
            waiting.clear();
        }
        let rest = Duration::from_millis(plan.duration_ms).saturating_sub(begun.elapsed());
        self.sleep(u64::try_from(rest.as_millis()).unwrap_or(0))
    }

    /// Such a bandwidth that the base backup takes its time.
    fn throttle(&self) -> Vec<String> {
        let Recover { plan, .. } = self.recover;
        let rate = (plan.copied() * 1000 / 1024).checked_div(plan.duration_ms);
        rate.map(|rate| format!("--bwlimit={}", rate.max(1))).into_iter().collect()
    }

    /// Barman fetches the configuration files and sends them back, edited.
    fn mark(&self, edited: &[&str]) -> Result<(), Cut> {
        let mut there = Vec::new();
        for file in ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"] {
            if self.is_there(file)? {
                there.push(file);
            }
        }
        let into = self.scratch.join("fetched").display().to_string();
        self.rsync(&["-rKpts".to_owned(), self.list(&there)?, self.remote(), into])?;
        self.send(Part::Mark, edited, &[])
    }

    /// Whether this is in the destination directory.
    fn is_there(&self, name: &str) -> Result<bool, Cut> {
        let path = format!("{}/{name}", self.recover.destination);
        match self.on_node(&["test", "-e", path.trim_end_matches('/')])?.0 {
            code @ (0 | 1) => Ok(code == 0),
            code => Err(self.fails(&format!("test -e {path}: {code}"))),
        }
    }

    fn succeed(&self, words: &[&str]) -> Result<(), Cut> {
        match self.on_node(words)?.0 {
            0 => Ok(()),
            code => Err(self.fails(&format!("{}: {code}", words.join(" ")))),
        }
    }

    /// Exit status and standard output of a command on the node.
    fn on_node(&self, words: &[&str]) -> Result<(i32, Vec<u8>), Cut> {
        let remote = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{} {}", self.ssh, quoted(&remote))]);
        self.end_of(command)
    }

    /// Sends files of a part, with the options of Barman.
    fn send(&self, part: Part, files: &[&str], more: &[String]) -> Result<(), Cut> {
        let from = format!("{}/", self.folder(part).display());
        let words = ["-rKpts".to_owned(), self.list(files)?, from, self.remote()];
        self.rsync(&[more, &words].concat())
    }

    fn rsync(&self, words: &[String]) -> Result<(), Cut> {
        match self.rsync_status(words)? {
            0 => Ok(()),
            code => Err(self.fails(&format!("rsync error: {code}"))),
        }
    }

    fn rsync_status(&self, words: &[String]) -> Result<i32, Cut> {
        let mut command = Command::new("rsync");
        command.args(["-e", &self.ssh]).args(words);
        self.end_of(command).map(|(code, _)| code)
    }

    /// The option that names the files of a transfer.
    fn list(&self, files: &[&str]) -> Result<String, Cut> {
        let list = self.scratch.join("files");
        fs::write(&list, files.join("\n")).map_err(|error| self.fails(&error.to_string()))?;
        Ok(format!("--files-from={}", list.display()))
    }

    fn remote(&self) -> String {
        format!(":{}/", self.recover.destination)
    }

    fn folder(&self, part: Part) -> PathBuf {
        self.scratch.join(format!("{part:?}"))
    }

    /// What is to be sent, each part in a folder of its own; those of the base backup together.
    fn write(&self, items: &[Item]) -> io::Result<()> {
        for item in items {
            let path = self.folder(item.part.max(Part::Base)).join(&item.path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, &item.content)?;
            if let Some(modified) = item.modified.map(Duration::from_secs) {
                File::options().write(true).open(&path)?.set_modified(SystemTime::UNIX_EPOCH + modified)?;
            }
        }
        Ok(())
    }

    /// Runs a command to its end, or to that of the operation.
    fn end_of(&self, mut command: Command) -> Result<(i32, Vec<u8>), Cut> {
        let said = self.scratch.join("said");
        let begun = File::create(&said).and_then(|said| {
            let log = File::options().create(true).append(true).open(self.scratch.join("log"))?;
            command.stdin(Stdio::null()).stdout(said).stderr(log);
            command.process_group(self.recover.host.group()).spawn()
        });
        let mut child = begun.map_err(|error| self.fails(&format!("{command:?}: {error}")))?;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Ok((status.code().unwrap_or(-1), fs::read(&said).unwrap_or_default()));
            }
            if self.sleep(2).is_err() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Cut::Stopped);
            }
        }
    }

    /// Keeps what was said on the way to a failure.
    fn fails(&self, why: &str) -> Cut {
        let log = self.scratch.join("log");
        self.output.borrow_mut().extend([&fs::read_to_string(&log).unwrap_or_default(), why, "\n"]);
        let _ = fs::write(log, "");
        Cut::Failed
    }

    fn sleep(&self, ms: u64) -> Result<(), Cut> {
        if self.recover.pause.sleep_ms(ms) { Ok(()) } else { Err(Cut::Stopped) }
    }
}

const CONTROL: &str = "global/pg_control";
/// How long it waits before it copies again; Barman does for half a minute.
const RETRY_MS: u64 = 100;

/// One word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
