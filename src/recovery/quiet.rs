//! Waiting until nothing writes into the data directory, and ending a restore that is not wanted any more.

use std::time::Duration;

use crate::api::Request;
use crate::config::Restore;
use crate::outcome::OperationState;

use super::run::{End, Run};
use super::watch::Watch;

/// Nobody writes any more if nothing has changed for this long and there is no receiver.
pub(super) const QUIET: Duration = Duration::from_secs(3);
/// The same if receivers have been seen, because then their end is seen too.
const QUIET_BEHIND_RECEIVERS: Duration = Duration::from_secs(1);
/// Time between two looks.
const LOOKS: Duration = Duration::from_millis(50);
/// Time between two questions to Barman while a restore is being ended.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Waits until nothing writes into the data directory: the caller then starts PostgreSQL, or empties the directory
/// for something else to write into it. If the API gave the creates of two nodes the same ID, there are two restores,
/// and one may end long before the other.
pub(super) fn quiet(run: &mut Run, watch: &mut Watch, restore: &Restore) -> Result<(), End> {
    let since = run.now();
    let took = since.saturating_sub(watch.began);
    let mut warned = false;
    loop {
        watch.look(run)?;
        let longest = if run.receivers_seen { QUIET_BEHIND_RECEIVERS } else { QUIET };
        let still = run.now().saturating_sub(watch.changed);
        let left = longest.min(took / 10).saturating_sub(still);
        let wait = if !left.is_zero() {
            left.clamp(LOOKS / 50, LOOKS)
        } else if run.world.receivers() == 0 {
            run.settled = true;
            return Ok(());
        } else {
            run.receivers_seen = true;
            LOOKS * 5
        };
        if !warned && run.now().saturating_sub(since) > QUIET {
            warned = true;
            run.warn(format!(
                "the operation has ended, but something still writes into {} (two nodes may have been given the same operation): waiting until it stops",
                restore.data_directory
            ));
        }
        run.pause(wait)?;
    }
}

/// Ends the receivers of this run's restore and waits until Barman says that it has ended, at most for the grace of
/// an interrupt. Does nothing if no receiver has been seen.
pub(super) fn end_restore(run: &mut Run) -> Result<(), End> {
    if run.world.end_receivers() == 0 && !run.receivers_seen {
        return Ok(());
    }
    run.arrived = true;
    run.info("ending the restore: sent SIGTERM to its rsync receivers");
    loop {
        if let Some(id) = run.operation_id.clone()
            && let Ok(Ok(status)) = run.ask(&Request::Poll(id.clone()))?.map(|reply| reply.operation())
        {
            let state = OperationState::from(status);
            run.set_operation(Some(&id), state);
            if !state.may_be_running() && run.world.receivers() == 0 {
                run.settled = true;
                return Ok(());
            }
        }
        run.pause(ASK_AGAIN)?;
        run.world.end_receivers();
    }
}
