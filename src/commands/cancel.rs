//! Ends a restore that nobody follows any more because its run was killed or gave up. It does the same to the restore
//! as a cancelled run does, and signals nothing but the rsync receivers in the data directory.

use std::time::Duration;

use crate::api::OperationKind;
use crate::cancel::Cancel;
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError, Connection, Restore};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome, Problem};
use crate::recovery::close_state_file;
use crate::recovery::follow::follow;
use crate::recovery::problems::unreadable;
use crate::recovery::run::{End, Run};
use crate::recovery::watch::Watch;
use crate::text::{self, seconds};
use crate::world::here::{Here, from_here};
use crate::world::host::Host;
use crate::world::journal::{Lock, Record};
use crate::world::snapshot::Snapshot;
use crate::world::{Interrupt, World};

/// Nobody writes any more when there has been no receiver for this long.
const QUIET: Duration = Duration::from_secs(2);
/// Time between two searches for receivers.
const LOOKS: Duration = Duration::from_millis(250);
/// How long receivers may live after SIGTERM, the API may be unreachable, and an operation without receivers may stay
/// in progress: Barman copies again after 30 s if it is configured to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a restore into the data directory whose own run is gone; blocks.
///
/// Needs only the option `data-directory`. It sends SIGTERM to the rsync receivers in the data directory until there
/// has been none for two seconds. If `api-url` and `barman-server` are given, and the state file names an operation
/// of theirs, it first does this until Barman says that the operation has ended. Then it removes the state file,
/// unless the data directory holds remains of the restore. It reports what it does as events, on this thread;
/// `cancel` ends it from another thread.
///
/// The code of the outcome is
/// - [`Code::RecoveryDone`]: nothing writes into the data directory (any more);
/// - [`Code::RecoveryFailed`]: the receivers don't end, or Barman does not report the operation's end for a minute;
/// - [`Code::HttpError`]: the API has not said for a minute what became of the operation;
/// - [`Code::Busy`]: the run that follows the restore is alive, so nothing was ended: cancel that run instead;
/// - [`Code::InvalidArgument`], [`Code::Cancelled`], [`Code::TimedOut`]: as for a recovery.
pub fn end_restore(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Outcome {
    let host = Host::new(on_event, cancel.clone());
    match opened(config, &host) {
        Ok((mut world, api, restore)) => finish(&mut world, api.as_ref(), &restore),
        Err(why) => {
            let message = why.to_string();
            host.report(Event::log(Level::Error, &message));
            Outcome::not_begun(Code::InvalidArgument, &message)
        }
    }
}

fn opened(config: &Config, host: &Host) -> Result<(Here, Option<Connection>, Restore), ConfigError> {
    let mut restore = from_here(config.restore_for(Command::EndRestore)?)?;
    (restore.diagnose, restore.stall_timeout) = (false, Some(PATIENCE));
    let api = config.is_set(Opt::ApiUrl).then(|| config.connection(Command::EndRestore)).transpose()?;
    let api = api.map(|api| Connection { max_outage: PATIENCE, min_misses: 1, ..api });
    let world = match &api {
        Some(connection) => Here::open(connection, Some(&restore), host.clone())?,
        None => Here::offline(&restore, host.clone()),
    };
    Ok((world, api, restore))
}

/// What is known at the end.
#[derive(Default)]
struct Known {
    operation_id: Option<String>,
    state: OperationState,
    http_status: Option<u16>,
}

fn finish(world: &mut dyn World, api: Option<&Connection>, restore: &Restore) -> Outcome {
    let mut known = Known::default();
    let left = |interrupt| match interrupt {
        Interrupt::DeadlinePassed => Problem::new("the deadline has passed: the restore may continue", ""),
        _ => Problem::new("cancelled: the restore may continue", ""),
    };
    let (code, problem) = match end(world, api, restore, &mut known) {
        Ok(()) => (Code::RecoveryDone, Problem::default()),
        Err(end) => end.report(left),
    };
    for text in [&problem.message, &problem.hint].into_iter().filter(|text| !text.is_empty()) {
        log(world, Level::Error, text);
    }
    Outcome {
        operation_id: known.operation_id,
        operation_state: known.state,
        http_status: known.http_status,
        elapsed: world.now(),
        hint: problem.hint,
        ..Outcome::not_begun(code, &problem.message)
    }
}

fn end(
    world: &mut dyn World,
    api: Option<&Connection>,
    restore: &Restore,
    known: &mut Known,
) -> Result<(), End> {
    let record = lock(world, restore)?;
    let id = record.as_ref().and_then(|record| record.operation_id.clone());
    known.operation_id.clone_from(&id);
    let mut has_ended = record.as_ref().is_none_or(|record| record.ended.is_some());
    if let (Some(record), Some(id), false) = (&record, &id, has_ended) {
        known.state = OperationState::InProgress;
        if let Some(api) = api.filter(|api| is_theirs(record, api)) {
            end_operation(world, api, restore, record, id, known)?;
            has_ended = true;
        } else {
            let why = if api.is_some() { "a different one is given" } else { "--api-url is not given" };
            let text = format!(
                "the state file names operation {id} of server {} at {}: not asking about it, as {why}",
                record.run.barman_server, record.run.api_url
            );
            log(world, Level::Info, &text);
        }
    }
    let ended = end_receivers(world, restore)?;
    let what = if ended || id.is_some() { "the restore has ended" } else { "nothing had to be ended" };
    let directory = &restore.data_directory;
    log(world, Level::Info, &format!("{what}: no rsync receiver is writing into {directory}"));
    if has_ended {
        let here = world.look().identity;
        let failed =
            record.is_some_and(|record| record.is_about(here)) && known.state != OperationState::Done;
        close_state_file(world, id.as_deref(), known.state, failed);
    } else if let Some(journal) = world.journal() {
        let path = journal.path();
        journal.leave();
        let text = format!(
            "{path} stays: the next run for this data directory finds out what became of the operation"
        );
        log(world, Level::Info, &text);
    }
    Ok(())
}

/// Keeps other runs out, and reads the state file. If another run holds it, that run is alive.
fn lock(world: &mut dyn World, restore: &Restore) -> Result<Option<Record>, End> {
    let Some(journal) = world.journal() else { return Ok(None) };
    let (path, lock) = (journal.path(), journal.lock());
    match lock {
        Lock::Ours { left_over, garbage } => {
            if let Some(why) = garbage {
                log(world, Level::Warning, &unreadable(&path, &why));
            }
            Ok(left_over)
        }
        Lock::Held(record) => {
            let pid = record.map_or("?".into(), |record| record.run.pid.to_string());
            let directory = &restore.data_directory;
            Err(End::with(
                Code::Busy,
                format!("a run (pid {pid}) is following the restore into {directory}: it has locked {path}"),
                format!("cancel that run, which ends the restore too: 'kill {pid}'"),
            ))
        }
        Lock::Unavailable(why) => {
            let text = format!(
                "the state file {path} can't be used ({why}): it is not known whether a run follows this restore"
            );
            log(world, Level::Warning, &text);
            Ok(None)
        }
    }
}

fn is_theirs(record: &Record, api: &Connection) -> bool {
    record.run.api_url == api.api_url.to_string() && record.run.barman_server == api.barman_server
}

/// Follows the operation with its data already written off: its receivers are ended until it has ended.
fn end_operation(
    world: &mut dyn World,
    api: &Connection,
    restore: &Restore,
    record: &Record,
    id: &String,
    known: &mut Known,
) -> Result<(), End> {
    let mut run = Run::new(world, api, OperationKind::Recovery, restore.loop_wait);
    run.set_operation(Some(id), OperationState::InProgress);
    let mut watch = Watch::of(restore, run.now(), Snapshot::default());
    watch.resume(run.world.look(), record.identity, Some("as asked".into()));
    let ended = follow(&mut run, &mut watch, std::slice::from_ref(id));
    known.http_status = run.http_status;
    let fate = ended?.first().map(|ended| ended.fate.state());
    known.state = fate.unwrap_or_default();
    log(world, Level::Info, &format!("operation {id} is {}", known.state.name()));
    Ok(())
}

/// Ends receivers until there has been none for a while. Returns whether there was one.
fn end_receivers(world: &mut dyn World, restore: &Restore) -> Result<bool, End> {
    let began = world.now();
    let (mut last, mut any) = (began, false);
    loop {
        let (receivers, now) = (world.end_receivers(), world.now());
        let directory = &restore.data_directory;
        if receivers > 0 {
            if !any {
                let text = format!("sent SIGTERM to {} in {directory}", text::receivers(receivers));
                log(world, Level::Info, &text);
            }
            (last, any) = (now, true);
        } else if now.saturating_sub(last) >= QUIET {
            return Ok(any);
        }
        if receivers > 0 && now.saturating_sub(began) >= PATIENCE {
            return Err(End::with(
                Code::RecoveryFailed,
                format!("rsync receivers in {directory} have not ended {} after SIGTERM", seconds(PATIENCE)),
                "are they stopped? 'ps -o pid,stat,args -C rsync' shows them; kill -9 ends them",
            ));
        }
        world.pause(LOOKS)?;
    }
}

fn log(world: &mut dyn World, level: Level, message: &str) {
    world.report(Event::log(level, message));
}
