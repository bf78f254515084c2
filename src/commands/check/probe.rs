//! Whether Barman can log in on this node: the probe asks for a restore with a lease that lets only `true` through.
//! Nothing is written, whatever the version of Barman and wherever the ssh command leads: on another host there is no
//! such lease.

use std::time::Duration;

use super::finding::Finding;
use crate::api::{Created, NewRecovery, Request, Status};
use crate::cancel::Interrupt;
use crate::config::{Connection, Restore};
use crate::recovery::explain::{ON_ITS_OWN_HOST, own_output, problem};
use crate::text::seconds;
use crate::timing::{PROBE_AGAIN, PROBE_DRAIN, PROBE_POLL, SHORTEST};
use crate::world::{ClaimHandle, Drain, LeaseHandle, LogLine, World, node};

const PROBE: &str = "probe";
/// The one command that runs: with it Barman tries whether it can log in.
const ONLY: &str = "true";
/// How often the probe creates its operation if other nodes' creates come between.
const CREATES: u32 = 5;

/// The probe was not made, for this reason.
pub(super) fn skipped(why: &str) -> Finding {
    Finding::skipped(PROBE, format!("not tried: {why}"))
}

/// How the probe ended.
struct Probed {
    operation: String,
    /// What Barman wanted to run.
    commands: Vec<String>,
    /// How long after the create the first of them came.
    reached: Option<Duration>,
    /// None while it is in progress.
    status: Option<Status>,
    took: Duration,
}

pub(super) fn look(
    world: &mut dyn World,
    connection: &Connection,
    restore: &Restore,
    claim: &mut dyn ClaimHandle,
) -> Finding {
    let mut lease = match claim.grant(ONLY) {
        Ok(lease) => lease,
        Err(problem) => return Finding::problem(PROBE, problem),
    };
    let new =
        NewRecovery { ssh_command: format!("{} sh {}", restore.ssh_command, lease.path()), ..restore.into() };
    let probed = run(world, connection, new, lease.as_mut());
    lease.revoke();
    let begun = world.now();
    while lease.drain() != Drain::Drained && world.now().saturating_sub(begun) < PROBE_DRAIN {
        world.rest(SHORTEST);
    }
    match probed {
        Ok(probed) => finding(&probed, connection),
        Err(finding) => finding,
    }
}

fn run(
    world: &mut dyn World,
    connection: &Connection,
    new: NewRecovery,
    lease: &mut dyn LeaseHandle,
) -> Result<Probed, Finding> {
    let operation = create(world, connection, new)?;
    let begun = world.now();
    let poll = Request::Poll(operation.clone());
    let mut probed =
        Probed { operation, commands: Vec::new(), reached: None, status: None, took: Duration::ZERO };
    let mut polled = begun;
    loop {
        probed.took = world.now().saturating_sub(begun);
        for line in lease.log().unwrap_or_default() {
            if let LogLine::Began(_, words) = line {
                probed.reached.get_or_insert(probed.took);
                probed.commands.push(words);
            }
        }
        if probed.status.is_some() || probed.took >= connection.create_timeout {
            return Ok(probed);
        }
        if world.now().saturating_sub(polled) >= PROBE_POLL {
            let reply = world.send(&poll, connection.request_timeout);
            let status = reply.ok().and_then(|reply| reply.operation().ok());
            probed.status = status.filter(|status| *status != Status::InProgress);
            polled = world.now();
        } else {
            match world.pause(SHORTEST) {
                Ok(()) => {}
                // As after the create time-out: what has not come by now counts as missing.
                Err(Interrupt::DeadlinePassed) => return Ok(probed),
                Err(Interrupt::Cancelled) => {
                    let operation = &probed.operation;
                    let why = format!("interrupted; operation {operation} fails by itself");
                    return Err(Finding::skipped(PROBE, why));
                }
            }
        }
    }
}

/// The operation that the API named.
fn create(world: &mut dyn World, connection: &Connection, new: NewRecovery) -> Result<String, Finding> {
    let failed = |why: String, hint: &str| Err(Finding::failed(PROBE, why, hint));
    let request = Request::Create(new);
    let mut last = String::new();
    for attempt in 0..CREATES {
        match if attempt > 0 { world.pause(PROBE_AGAIN) } else { Ok(()) } {
            Ok(()) => {}
            Err(Interrupt::DeadlinePassed) => break,
            Err(Interrupt::Cancelled) => return Err(skipped("interrupted")),
        }
        match world.send(&request, connection.create_timeout).map(|reply| reply.created()) {
            Ok(Created::Named(id)) => return Ok(id),
            Ok(Created::Refused(error)) => {
                return Err(Finding::problem(
                    PROBE,
                    problem(error.about("the API refused the restore request")),
                ));
            }
            Ok(Created::NotStarted(error)) => last = error.message,
            Ok(Created::InDoubt(why)) => {
                let hint = "try again; an operation that it may have started fails by itself";
                return failed(format!("the API's reply to the restore request is unclear: {why}"), hint);
            }
            Err(error) => return Err(Finding::problem(PROBE, problem(error))),
        }
    }
    failed(format!("the API did not start a restore: {last}"), "see the log of pg-backup-api")
}

fn finding(probed: &Probed, connection: &Connection) -> Finding {
    let Probed { operation, commands, reached, status, took } = probed;
    let output = own_output(&connection.barman_server, operation);
    let Some(after) = reached else {
        let ended = if status.is_some() { "has FAILED" } else { "is still in progress" };
        let took = seconds(*took);
        return Finding::failed(
            PROBE,
            format!("Barman has not reached this node: operation {operation} {ended} after {took}"),
            format!("{}; {output}", causes()),
        );
    };
    // Barman lists the directory first. If the login shell prints anything, Barman takes that for a file name
    // and goes no further.
    let first = |words: &String| words.split(' ').next().unwrap_or_default().to_string();
    if status.is_some() && commands.last().map(first).as_deref() == Some("ls") {
        return Finding::failed(
            PROBE,
            format!(
                "Barman logged in on this node, listed the data directory and gave up (operation {operation})"
            ),
            "this user's login shell prints something when it is not interactive (.bashrc, a banner): Barman takes that output for a file name and refuses the restore",
        );
    }
    if commands.iter().all(|words| words == ONLY) && status.is_some() {
        return Finding::warning(
            PROBE,
            format!("Barman logged in on this node, and then failed on its own host (operation {operation})"),
            output,
        );
    }
    let after = seconds(*after);
    Finding::ok(
        PROBE,
        format!(
            "Barman logged in on this node after {after} (operation {operation}, which fails, as expected)"
        ),
    )
}

/// Why Barman did not show up, likeliest cause first.
fn causes() -> String {
    let user = node::user();
    format!(
        "causes, the likeliest first: Barman can't log in because of the key, the port or the host key (to see why, run the ssh command followed by 'true' \
        on the Barman host, as Barman's user); it logs in as a user other than {user}, or with a forced command; it logs in on a different host, or in a \
        container that does not see the state directory (--state-dir); {ON_ITS_OWN_HOST}"
    )
}
