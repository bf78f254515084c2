//! Restores a backup.

use crate::cancel::Cancel;
use crate::commands::not_begun;
use crate::config::Config;
use crate::config::options::Command;
use crate::event::{Event, Level};
use crate::outcome::{Code, Outcome};
use crate::recovery::recover;
use crate::world::here::{Here, from_here};
use crate::world::host::Host;

/// Runs one recovery to its end; blocks.
///
/// `on_event` is called on this thread. `cancel` ends the run, and the restore, from another thread. If options are
/// missing, wrong or incompatible, it ends with [`Code::InvalidArgument`] before anything is sent.
pub fn run(config: &Config, cancel: &Cancel, on_event: impl FnMut(Event) + Send + 'static) -> Outcome {
    let host = Host::new(on_event, cancel.clone());
    let opened = config.connection(Command::Recover).and_then(|connection| {
        let restore = from_here(config.restore()?)?;
        Ok((Here::open(&connection, Some(&restore), host.clone())?, connection, restore))
    });
    match opened {
        Ok((mut world, connection, restore)) => recover(&mut world, &connection, &restore),
        Err(why) => not_begun(&host, Level::Error, Code::InvalidArgument, &why.to_string()),
    }
}
