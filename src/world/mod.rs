//! What a run asks of the outside, as one trait, and the real one behind it: the API over the network, the data
//! directory, the state file, the processes of this node, and the host that wants to know.

pub(crate) mod fs;
mod helper;
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

/// Everything outside of a run.
pub(crate) trait World {
    /// Time since the start of the run.
    fn now(&self) -> Duration;

    /// Sends one request, once, and waits for its reply: at most this long, and not beyond the deadline. An
    /// interrupt ends it at once; one that starts something still has until the end of the grace for its reply.
    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, TransportError>;

    /// Waits; with no time at all it only asks whether the run is to end. Progress of the wait is the host's tick.
    fn pause(&mut self, time: Duration) -> Result<(), Interrupt>;

    /// From an interrupt on: neither it nor the deadline interrupts until [`GRACE`] after it came.
    fn grant_grace(&mut self);

    /// Looks at the data directory. Cheap enough for four times a second, whatever its size.
    fn look(&mut self) -> Snapshot;

    /// Looks for rsync receivers that write into the data directory, now.
    fn receivers(&mut self) -> usize;

    /// Sends SIGTERM to those; how many there were.
    fn end_receivers(&mut self) -> usize;

    /// Has the API asked for the size of the backup, unless that is not wanted. An inspection has the answer, later.
    fn ask_size(&mut self);

    /// Inspects the place of the data directory. Not for every look.
    fn inspect(&mut self) -> Inspection;

    /// The state file, where one is kept.
    fn journal(&mut self) -> Option<&mut dyn Journal>;

    /// Hands an event to the host.
    fn report(&mut self, event: Event);

    fn random(&mut self) -> u64;
}

/// How long a run that is to end may take over that: Patroni kills ten seconds after its SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(8);

pub(crate) use crate::cancel::Interrupt;
