//! Whether Barman can log in on this node. The probe requests a restore into a directory that is not empty: Barman
//! lists it over ssh on this node and then refuses it, and the probe notices the listing.
//!
//! The destination is that directory, as a file descriptor of this process: `/proc/PID/fd/NUMBER`. The directory's
//! own name could do harm: on another host, to which a wrong ssh command leads, no such directory exists, and Barman
//! would make one and restore the whole backup into it. Nobody can make anything below `/proc`. And once this process
//! has ended, the path leads nowhere on this node either.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::barman::removes_destination;
use super::finding::{Finding, Report};
use super::ssh;
use crate::api::diagnose::{Backup, Diagnosis};
use crate::api::{Created, NewRecovery, Request, Status};
use crate::config::{Connection, Restore};
use crate::recovery::problems::own_output;
use crate::sys::{self, OpenWatch};
use crate::text::{first_few, seconds};
use crate::world::fs::directory::parent;
use crate::world::{Interrupt, World, local};

const PROBE: &str = "probe";
/// Of two creates in the same second, the second fails.
const CREATE_AGAIN: Duration = Duration::from_millis(1300);
const CREATES: u32 = 5;
const LOOKS: Duration = Duration::from_millis(100);
const POLLS: Duration = Duration::from_millis(500);

/// No other process has a directory at a descriptor number this high.
const NUMBERS: [i32; 3] = [900, 400, 100];

pub(super) fn not_asked_for() -> Finding {
    Finding::skipped(PROBE, "not tried: --probe tests whether Barman can log in on this node")
}

pub(super) fn look(
    world: &mut dyn World,
    connection: &Connection,
    restore: &Restore,
    diagnosis: &Result<Diagnosis, &'static str>,
    report: &Report,
) -> Finding {
    let diagnosis = match diagnosis {
        Ok(diagnosis) => diagnosis,
        Err(why) => {
            return Finding::skipped(PROBE, format!("not tried, because it is not known to be safe: {why}"));
        }
    };
    // Ending without a warning would look like a success.
    let untried = |why: &str| Finding::warning(PROBE, format!("not tried: {why}"), "");
    let backup = match suitable(diagnosis, &restore.backup_id) {
        Ok(backup) => backup,
        Err(why) => return untried(&why),
    };
    let mut scratch = match Scratch::new(Path::new(&restore.data_directory)) {
        Ok(scratch) => scratch,
        Err(why) => return untried(&format!("no scratch directory can be watched ({why})")),
    };
    let new = NewRecovery {
        backup_id: backup.id.clone(),
        ssh_command: restore.ssh_command.clone(),
        data_directory: scratch.destination.clone(),
    };
    match run(world, connection, new, &mut scratch) {
        Ok(probed) => judge(&probed, connection, diagnosis, report),
        Err(finding) => finding,
    }
}

/// A backup for which Barman refuses a directory that is not empty before it does anything else.
fn suitable<'a>(diagnosis: &'a Diagnosis, asked: &str) -> Result<&'a Backup, String> {
    let version = diagnosis.barman.version.as_deref().unwrap_or("of unknown version");
    match diagnosis.barman.release() {
        Some(release) if removes_destination(release) => {
            return Err(format!("Barman {version} may remove its destination; upgrade to 3.17 or later"));
        }
        Some(release) if release >= (3, 17) => {}
        _ => return Err(format!("Barman {version} may not refuse a directory that is not empty; 3.17 does")),
    }
    if diagnosis.config.delta_restore {
        return Err("recovery_options has delta-restore, with which Barman does not refuse a directory that is not empty".into());
    }
    let suits = |backup: &&Backup| backup.is_complete() && backup.is_plain;
    let asked = diagnosis.backup(asked).ok().filter(suits);
    asked.or_else(|| diagnosis.backups.iter().rfind(suits)).ok_or_else(|| {
        "there is no complete backup that is neither compressed, encrypted nor incremental".into()
    })
}

/// How the probe ended.
struct Probed {
    operation: String,
    /// The directory was opened after this time.
    opened: Option<Duration>,
    /// `None` while it is in progress.
    status: Option<Status>,
    took: Duration,
}

fn run(
    world: &mut dyn World,
    connection: &Connection,
    new: NewRecovery,
    scratch: &mut Scratch,
) -> Result<Probed, Finding> {
    let operation = create(world, connection, new)?;
    let begun = world.now();
    let poll = Request::Poll(operation.clone());
    let mut probed = Probed { operation, opened: None, status: None, took: Duration::ZERO };
    let mut polled = None::<Duration>;
    loop {
        probed.took = world.now().saturating_sub(begun);
        if scratch.watch.was_opened() {
            probed.opened.get_or_insert(probed.took);
        }
        if probed.status.is_some() || probed.took >= connection.create_timeout {
            return Ok(probed);
        }
        if polled.is_none_or(|last| world.now().saturating_sub(last) >= POLLS) {
            let reply = world.send(&poll, connection.request_timeout);
            let status = reply.ok().and_then(|reply| reply.operation().ok());
            probed.status = status.filter(|status| *status != Status::InProgress);
            polled = Some(world.now());
        } else {
            world.pause(LOOKS).map_err(|why| interrupted(why, &probed.operation))?;
        }
    }
}

/// The operation that the API named.
fn create(world: &mut dyn World, connection: &Connection, new: NewRecovery) -> Result<String, Finding> {
    let failed = |why: String, hint: &str| Err(Finding::failed(PROBE, why, hint));
    let request = Request::Create(new);
    let mut last = String::new();
    for attempt in 0..CREATES {
        if attempt > 0 {
            world.pause(CREATE_AGAIN).map_err(|why| interrupted(why, "none"))?;
        }
        match world.send(&request, connection.create_timeout).map(|reply| reply.created()) {
            Ok(Created::Named(id)) => return Ok(id),
            Ok(Created::Refused(why)) => return failed(format!("the API refuses a restore: {why}"), ""),
            Ok(Created::NotStarted(why)) => last = why,
            Ok(Created::InDoubt(why)) => {
                let hint = "try again; an operation that it may have started fails by itself";
                return failed(format!("the API's answer to a restore: {why}"), hint);
            }
            Err(error) => return failed(error.message.clone(), error.hint().unwrap_or_default()),
        }
    }
    failed(format!("the API starts no restore: {last}"), "see the log of pg-backup-api")
}

fn interrupted(why: Interrupt, operation: &str) -> Finding {
    let what = if why == Interrupt::DeadlinePassed { "the deadline has passed" } else { "cancelled" };
    Finding::skipped(PROBE, format!("{what}; operation {operation} fails by itself"))
}

fn judge(probed: &Probed, connection: &Connection, diagnosis: &Diagnosis, report: &Report) -> Finding {
    let Probed { operation, opened, status, took } = probed;
    let output = own_output(diagnosis.barman.home.as_deref(), &connection.barman_server, operation);
    match (opened, status) {
        (_, Some(Status::Done)) => Finding::failed(
            PROBE,
            format!(
                "Barman says that it has restored into a directory that is not empty (operation {operation})"
            ),
            output,
        ),
        (Some(after), status) => {
            let ended = if status.is_some() { "is" } else { "will be" };
            let detail = format!(
                "Barman logged in on this node and looked into a scratch directory, after {} (operation {operation}, which {ended} FAILED, as expected)",
                seconds(*after)
            );
            Finding::ok(PROBE, detail)
        }
        (None, status) => {
            let ended = if status.is_some() { "has FAILED" } else { "is still in progress" };
            let took = seconds(*took);
            let detail =
                format!("Barman has not reached this node: operation {operation} {ended} after {took}");
            Finding::failed(PROBE, detail, format!("{}; {output}", causes(report)))
        }
    }
}

/// Why Barman did not show up, likeliest cause first.
fn causes(report: &Report) -> String {
    let seen = report.doubtful(&[ssh::COMMAND, ssh::HOST, ssh::USER]);
    let first = if seen.is_empty() { String::new() } else { format!("see {} above; ", first_few(seen)) };
    let user = local::user();
    format!(
        "{first}likely causes, in this order: Barman can't log in (on the Barman host, as Barman's user, run the ssh command with 'true' behind it: \
        key, port, host key); it logs in on a different host; it logs in as a different user than {user}; its sshd runs in a different container"
    )
}

/// A directory that is not empty, and a watch on it.
struct Scratch {
    _folder: Folder,
    watch: OpenWatch,
    /// Keeps the path that Barman is given valid.
    _descriptor: OwnedFd,
    destination: String,
}

impl Scratch {
    /// Next to the data directory, or among the temporary files if it can't be made there.
    fn new(data_directory: &Path) -> io::Result<Scratch> {
        let name = format!(".barman-recover-probe.{}", std::process::id());
        let folder = Folder::make(parent(data_directory).join(&name))
            .or_else(|_| Folder::make(std::env::temp_dir().join(&name)))?;
        let directory = File::open(&folder.0)?;
        let numbers = NUMBERS.iter().map(|least| sys::duplicate(&directory, *least));
        let descriptor = numbers.reduce(Result::or).unwrap_or_else(|| Err(io::Error::other("no number")))?;
        let watch = OpenWatch::new(&folder.0)?;
        let destination = format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd());
        Ok(Scratch { _folder: folder, watch, _descriptor: descriptor, destination })
    }
}

/// A directory that is removed at the end, whatever happens until then.
struct Folder(PathBuf);

impl Folder {
    /// It gets one file, because Barman refuses only directories that are not empty.
    fn make(path: PathBuf) -> io::Result<Folder> {
        fs::create_dir(&path)?;
        let folder = Folder(path);
        fs::write(folder.0.join("not-empty"), "patroni_barman check --probe\n")?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // at worst a file of a few bytes is left behind
    }
}
