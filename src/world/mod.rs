//! Everything that a run needs from outside, as one trait, with the real implementation: the API over the network,
//! the data directory, the state file, the processes of this node, and the host.

pub(crate) mod fs;
pub(crate) mod helper;
pub(crate) mod here;
pub(crate) mod host;
pub(crate) mod inspection;
pub(crate) mod journal;
pub(crate) mod local;
pub(crate) mod net;
pub(crate) mod receivers;
pub(crate) mod sizer;
pub(crate) mod snapshot;

use std::time::Duration;

use crate::api::{Reply, Request, TransportError};
use crate::event::Event;
use inspection::Inspection;
use journal::Journal;
use snapshot::Snapshot;

/// Everything outside a run.
pub(crate) trait World {
    /// Time since the start of the run.
    fn now(&self) -> Duration;

    /// Sends one request, once, and waits for its reply: at most this long, and not beyond the deadline. An interrupt
    /// ends it at once, but a request that starts something still has until the end of the grace for its reply.
    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, TransportError>;

    /// Waits; with a time of zero it only checks whether the run has to end. The host gets ticks meanwhile.
    fn pause(&mut self, time: Duration) -> Result<(), Interrupt>;

    /// After an interrupt: neither it nor the deadline takes effect until [`GRACE`] after it came.
    fn grant_grace(&mut self);

    /// Looks at the data directory. Cheap enough to do four times a second, whatever its size.
    fn look(&mut self) -> Snapshot;

    /// Searches now for rsync receivers that write into the data directory, and counts them.
    fn receivers(&mut self) -> usize;

    /// Sends SIGTERM to them; returns how many there were.
    fn end_receivers(&mut self) -> usize;

    /// Asks the API for the size of the backup in the background, unless that is not wanted. `inspect` returns the
    /// answer later.
    fn ask_size(&mut self);

    /// Inspects where the data directory is or will be. Too expensive to do at every look.
    fn inspect(&mut self) -> Inspection;

    /// The state file, if one is kept.
    fn journal(&mut self) -> Option<&mut dyn Journal>;

    /// Hands an event to the host.
    fn report(&mut self, event: Event);

    fn random(&mut self) -> u64;
}

/// How long an interrupted run may take to end: Patroni sends SIGKILL ten seconds after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(8);

pub(crate) use crate::cancel::Interrupt;
