//! Events on their way to the host: as C sees them, the host's function, and the queue used without one.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_void};

use super::numbers::barman_recover_event as Kind;
use crate::event::Event;
use crate::text::printable;

/// Receives an event. kind: a BARMAN_RECOVER_EVENT_..., which says what level and message are. message: valid
/// until the callback returns. user_data: from barman_recover_set_event_callback.
///
/// Returns 0 to go on; anything else cancels the command, as barman_recover_cancel does.
///
/// The command waits for the callback, so it should be quick. It may call all functions except
/// barman_recover_free. It must return: no C++ exception and no longjmp may leave it.
#[allow(non_camel_case_types, reason = "named as in the header")]
pub type barman_recover_event_fn = Option<
    unsafe extern "C" fn(kind: i32, level: i32, message: *const c_char, user_data: *mut c_void) -> i32,
>;

/// An event as the header describes it.
pub(super) struct CEvent {
    pub(super) kind: Kind,
    pub(super) level: i32,
    pub(super) message: CString,
}

impl CEvent {
    pub(super) fn new(event: &Event) -> CEvent {
        let (kind, level, message) = match event {
            Event::Log { level, message } => (Kind::BARMAN_RECOVER_EVENT_LOG, *level as i32, c_text(message)),
            Event::State { state, operation_id } => {
                let id = operation_id.as_deref().unwrap_or_default();
                (Kind::BARMAN_RECOVER_EVENT_STATE, *state as i32, c_text(id))
            }
            Event::Progress(progress) => {
                let percent = progress.percent().and_then(|percent| i32::try_from(percent).ok());
                let message = c_text(&progress.to_string());
                (Kind::BARMAN_RECOVER_EVENT_PROGRESS, percent.unwrap_or(-1), message)
            }
            Event::Tick => (Kind::BARMAN_RECOVER_EVENT_TICK, 0, CString::default()),
        };
        CEvent { kind, level, message }
    }

    /// Whether a newer event of the same kind makes it obsolete.
    fn goes_stale(&self) -> bool {
        matches!(self.kind, Kind::BARMAN_RECOVER_EVENT_TICK | Kind::BARMAN_RECOVER_EVENT_PROGRESS)
    }
}

/// The events that have not been taken yet. Of each kind that becomes obsolete there is at most one. All
/// others are kept: a host that does not read must neither lose a line nor hold up the restore.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<CEvent>,
    /// The event taken last; `None` if the last call took none.
    current: Option<CEvent>,
}

impl Queue {
    pub(super) fn push(&mut self, event: CEvent) {
        if event.goes_stale() {
            self.waiting.retain(|waiting| waiting.kind != event.kind);
        }
        self.waiting.push_back(event);
    }

    pub(super) fn take(&mut self) -> Option<Kind> {
        self.current = self.waiting.pop_front();
        self.current.as_ref().map(|event| event.kind)
    }

    pub(super) fn current(&self) -> Option<&CEvent> {
        self.current.as_ref()
    }
}

/// The host's function.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) function: unsafe extern "C" fn(i32, i32, *const c_char, *mut c_void) -> i32,
    pub(super) user_data: *mut c_void,
}

// SAFETY: the pointer is only passed back to the host's function; the header says on which thread that is
// called.
unsafe impl Send for Callback {}

impl Callback {
    /// Whether the host wants to go on.
    pub(super) fn call(self, event: &CEvent) -> bool {
        let message: &CStr = &event.message;
        // SAFETY: the host provided the function for these arguments, with its own data, and the text
        // outlives the call.
        let answer =
            unsafe { (self.function)(event.kind as i32, event.level, message.as_ptr(), self.user_data) };
        answer == 0
    }
}

/// On one line, and thus without NUL: a server's words, an option or a file name may contain anything.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(printable(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;

    #[test]
    fn only_the_newest_tick_and_progress_wait_and_every_line() {
        let mut queue = Queue::default();
        for number in 0..1000 {
            queue.push(CEvent::new(&Event::log(Level::Info, &number.to_string())));
            queue.push(CEvent::new(&Event::Tick));
        }
        assert_eq!(queue.waiting.len(), 1001);
        for number in 0..1000 {
            assert_eq!(queue.take(), Some(Kind::BARMAN_RECOVER_EVENT_LOG));
            let message = queue.current().map(|event| event.message.clone());
            assert_eq!(message, CString::new(number.to_string()).ok());
        }
        assert_eq!(queue.take(), Some(Kind::BARMAN_RECOVER_EVENT_TICK));
        assert!(queue.take().is_none() && queue.current().is_none());
    }
}
