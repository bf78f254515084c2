//! The events that the host has not taken yet.

use std::collections::VecDeque;

use crate::event::Event;

/// There is at most one progress, the newest. All others are kept: a host that does not read must neither lose a line
/// nor hold up the restore.
#[derive(Default)]
pub(super) struct Events(VecDeque<Event>);

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        match event {
            Event::Progress(_) => self.0.retain(|waiting| !matches!(waiting, Event::Progress(_))),
            Event::Log { .. } | Event::State { .. } => {}
        }
        self.0.push_back(event);
    }

    pub(super) fn take(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Level, Progress};

    #[test]
    fn every_line_waits_and_the_newest_progress() {
        let progress = |bytes| {
            let (bytes_per_second, elapsed) = (0, Duration::ZERO);
            let (total, wal_bytes, left) = (None, None, None);
            Event::Progress(Progress {
                bytes,
                total,
                wal_bytes,
                bytes_per_second,
                elapsed,
                left,
                is_done: false,
            })
        };
        let mut events = Events::default();
        for number in 0..1000 {
            events.push(Event::log(Level::Info, &number.to_string()));
            events.push(progress(number));
        }
        for number in 0..1000 {
            assert_eq!(events.take(), Some(Event::log(Level::Info, &number.to_string())));
        }
        assert_eq!((events.take(), events.take()), (Some(progress(999)), None));
    }
}
