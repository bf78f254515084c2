//! What the thread of a request and the one that waits for it tell each other.

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Phase;

/// As much of a reply as has its status: `HTTP/1.1 407`.
const STATUS_LINE: usize = 12;

/// One request, as shared by its thread and by the one that waits for it.
#[derive(Debug, Clone)]
pub(super) struct Call(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Whether the body of a POST has begun to be sent: from then on the request may be processed.
    has_posted: bool,
    /// Whether nobody waits any more. The thread may still hang in a lookup or in a TCP connect, which nothing can
    /// end; whenever it returns from there, it must do nothing more.
    is_abandoned: bool,
    first_bytes: Vec<u8>,
}

impl Call {
    pub(super) fn new() -> Call {
        let state =
            State { phase: Phase::Lookup, has_posted: false, is_abandoned: false, first_bytes: Vec::new() };
        Call(Arc::new(Mutex::new(state)))
    }

    /// The thread goes on to this phase, unless nobody waits any more.
    pub(super) fn enter(&self, phase: Phase) -> io::Result<()> {
        self.proceed(|state| state.phase = phase)
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Nobody waits any more. A POST that has not begun never will.
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
    }

    pub(super) fn has_posted(&self) -> bool {
        self.lock().has_posted
    }

    /// Keeps the first bytes where HTTP was expected: if they are not HTTP, they show what the server speaks.
    pub(super) fn note_first_bytes(&self, bytes: &[u8]) {
        self.lock().first_bytes = bytes.iter().copied().take(STATUS_LINE).collect();
    }

    pub(super) fn first_bytes(&self) -> Vec<u8> {
        self.lock().first_bytes.clone()
    }

    fn proceed(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.lock();
        if state.is_abandoned {
            return Err(ErrorKind::NotConnected.into()); // as ureq after a shutdown
        }
        change(&mut state);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a POST. ureq starts to read it only when the connection stands and the head has been written.
pub(super) struct Upload<'a> {
    rest: &'a [u8],
    call: &'a Call,
}

impl<'a> Upload<'a> {
    pub(super) fn new(body: &'a [u8], call: &'a Call) -> Upload<'a> {
        Upload { rest: body, call }
    }
}

impl Read for Upload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call.proceed(|state| state.has_posted = true)?;
        self.rest.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_does_not_begin_once_nobody_waits() {
        let call = Call::new();
        call.enter(Phase::Answer).unwrap();
        call.abandon();
        assert!(Upload::new(b"{}", &call).read(&mut [0; 8]).is_err());
        assert!(call.enter(Phase::Connect).is_err());
        assert!(!call.has_posted());
    }

    #[test]
    fn a_post_that_has_begun_may_be_processed_whatever_comes() {
        let call = Call::new();
        let mut buffer = [0; 8];
        assert_eq!(Upload::new(b"{}", &call).read(&mut buffer).unwrap(), 2);
        call.abandon();
        assert!(call.has_posted() && buffer.starts_with(b"{}"));
    }
}
