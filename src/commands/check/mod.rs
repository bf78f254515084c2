//! Whether this node can restore: checks everything that a recovery needs and reports it, first what this node shows,
//! then what the API says. Only a probe starts something.

mod backup;
mod barman;
mod data_directory;
mod finding;
mod probe;
mod remote;
mod space;

use std::path::Path;
use std::time::Instant;

use crate::cancel::Cancel;
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError};
use crate::event::Event;
use crate::outcome::{Answer, Code, Problem};
use crate::sys;
use crate::world::caller::Caller;
use crate::world::node;
use crate::world::real::{RealWorld, absolute};

pub use finding::{Finding, Findings, Verdict};

use finding::Recorder;

/// Checks everything that a recovery with these options needs; blocks. It has Barman log in on this node, without
/// copying a byte, which leaves a failed operation in the API's list; the option `no-probe` leaves that out. Each
/// question to the API is asked once, and takes no longer than the option `request-timeout` allows.
///
/// Each finding goes to `on_finding` as soon as it is made, and all are returned, in the same order. Checks that
/// could not be made are among them, as [`Verdict::Skipped`]. With the option `strict`, a [`Verdict::Warning`]
/// becomes [`Verdict::Failed`]. Both callbacks are called on this thread. `cancel` ends the check from another
/// thread; it then returns the findings so far. If one is [`Verdict::Failed`], the check ends with
/// [`Code::RecoveryFailed`], and the message is that of the first one.
pub fn check(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
    mut on_finding: impl FnMut(&Finding),
) -> Answer<Findings> {
    let begun = Instant::now();
    let warning = if config.is_on(Opt::Strict) { Verdict::Failed } else { Verdict::Warning };
    let mut record = Recorder::new(&mut on_finding, warning);
    let caller = Caller::new(on_event, cancel.clone());
    if let Err(error) = look(config, &caller, &mut record) {
        record.add(Finding::failed("options", error.to_string(), "nothing else was checked"));
    }
    let findings = record.into_findings();
    let (code, problem) = match findings.iter().find(|finding| finding.verdict == Verdict::Failed) {
        _ if cancel.is_cancelled() => (Code::Cancelled, Problem::without_hint("cancelled")),
        Some(failed) => {
            let message = format!("{}: {}", failed.what, failed.detail);
            (Code::RecoveryFailed, Problem { message, hint: failed.hint.clone() })
        }
        None => (Code::RecoveryDone, Problem::default()),
    };
    Answer::new(code, problem, begun.elapsed(), Findings { findings })
}

fn look(config: &Config, caller: &Caller, record: &mut Recorder) -> Result<(), ConfigError> {
    let connection = config.connection(Command::Check)?;
    let restore = config.restore()?.with_paths(absolute)?;
    let mut world = RealWorld::open(&connection, Some(&restore), caller.clone())?;
    record.add(user());
    record.add(commands());
    let place = data_directory::look(&mut world, &restore, record);
    let claim = data_directory::claim(&mut world, &restore, record);
    let diagnosis = remote::look(&mut world, &connection, caller, record);
    if let Ok(Some(diagnosis)) = &diagnosis {
        barman::look(diagnosis, &connection.barman_server, &place, record);
        match backup::look(diagnosis, &restore.backup_id, record) {
            Some(backup) => {
                let directory = Path::new(&restore.data_directory);
                space::look(backup, directory, &place, &diagnosis.config, record);
            }
            None => record.skip(space::ALL, "there is no backup to restore"),
        }
    }
    let no_probe = if config.is_on(Opt::NoProbe) { Some("--no-probe") } else { diagnosis.err() };
    record.add(match (claim, no_probe) {
        (Err(why), _) => probe::skipped(why),
        (Ok(mut claim), no_probe) => {
            let finding = match no_probe {
                Some(why) => probe::skipped(why),
                None => probe::look(&mut world, &connection, &restore, claim.as_mut()),
            };
            if claim.left() == Ok(None) {
                let _ = claim.remove(); // the next run removes what is there
            }
            finding
        }
    });
    Ok(())
}

fn user() -> Finding {
    let user = node::user();
    if sys::effective_user() == 0 {
        let hint = "run it as the user that Patroni runs as: what root may do says nothing about that user";
        return Finding::warning("user", "this is root", hint);
    }
    Finding::ok("user", format!("this is {user}: Patroni and PostgreSQL should run as the same user"))
}

/// For each copy Barman starts an rsync here, through a script that needs flock and setsid.
fn commands() -> Finding {
    const WHAT: &str = "commands";
    let missing = node::missing_commands();
    if missing.is_empty() {
        return Finding::ok(WHAT, "rsync, flock and setsid are in the PATH");
    }
    Finding::failed(
        WHAT,
        format!("{} missing in this user's PATH", missing.join(", ")),
        "install rsync, and util-linux or busybox for flock and setsid: Barman's commands on this node need them",
    )
}
