//! Restores a backup.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cancel::Cancel;
use crate::config::Config;
use crate::config::options::Command;
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, Problem, Recovery};
use crate::recovery::recover;
use crate::world::caller::Caller;
use crate::world::real::{RealWorld, absolute};

/// Runs one recovery to its end; blocks.
///
/// `on_event` is called on this thread. `cancel` ends the run, and the restore, from another thread. If options are
/// missing, wrong or incompatible, it ends with [`Code::InvalidArgument`] before anything is sent.
pub fn run(
    config: &Config,
    cancel: &Cancel,
    on_event: impl FnMut(Event) + Send + 'static,
) -> Answer<Recovery> {
    let (caller, warnings) = Warnings::caller(on_event, cancel);
    let opened = config.connection(Command::Recover).and_then(|connection| {
        let restore = config.restore()?.with_paths(absolute)?;
        Ok((RealWorld::open(&connection, Some(&restore), caller.clone())?, connection, restore))
    });
    let mut answer = match opened {
        Ok((mut world, connection, restore)) => recover(&mut world, &connection, &restore),
        Err(why) => {
            let message = why.to_string();
            caller.report(Event::log(Level::Error, &message));
            Answer::not_begun(Code::InvalidArgument, Problem::without_hint(message))
        }
    };
    answer.found.warnings = warnings.taken();
    answer
}

/// The warnings that a run logs.
#[derive(Debug, Clone, Default)]
pub(super) struct Warnings(Arc<Mutex<VecDeque<String>>>);

impl Warnings {
    /// A run may take days and repeat itself.
    const MOST: usize = 100;

    /// The caller of a run whose warnings are kept.
    pub(super) fn caller(
        mut on_event: impl FnMut(Event) + Send + 'static,
        cancel: &Cancel,
    ) -> (Caller, Warnings) {
        let warnings = Warnings::default();
        let noted = warnings.clone();
        let on_event = move |event| {
            noted.note(&event);
            on_event(event);
        };
        (Caller::new(on_event, cancel.clone()), warnings)
    }

    fn note(&self, event: &Event) {
        let Event::Log { level: Level::Warning, message } = event else { return };
        let mut warnings = self.lock();
        if warnings.contains(message) {
            return;
        }
        if warnings.len() == Warnings::MOST {
            warnings.pop_front();
        }
        warnings.push_back(message.clone());
    }

    pub(super) fn taken(&self) -> Vec<String> {
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_has_each_warning_once_and_of_very_many_the_newest() {
        let warnings = Warnings::default();
        for event in [
            Event::log(Level::Warning, "first"),
            Event::log(Level::Error, "no warning"),
            Event::log(Level::Warning, "second"),
            Event::log(Level::Warning, "first"),
        ] {
            warnings.note(&event);
        }
        assert_eq!(warnings.taken(), ["first", "second"]);
        for number in 0..=Warnings::MOST {
            warnings.note(&Event::log(Level::Warning, &number.to_string()));
        }
        let newest = warnings.taken();
        assert_eq!((newest.len(), newest[0].as_str()), (Warnings::MOST, "1"));
    }
}
