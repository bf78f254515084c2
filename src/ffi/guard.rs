//! Catches panics before they reach the host.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::thread;

use crate::text::one_line;

thread_local! {
    /// Whether this thread is inside a guard.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// The message of the last panic inside a guard.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The result of `body`, or `on_panic`.
pub(super) fn guard<T>(on_panic: T, body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or(on_panic)
}

/// The result of `body`, or the message of its panic.
pub(super) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    let was_guarded = IS_GUARDED.replace(true); // a command runs inside the guard of the function that calls it
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        install_hook();
        body()
    }));
    IS_GUARDED.set(was_guarded);
    result.map_err(|payload| {
        // `None` if it was resumed, which does not call the hook.
        let said = PANIC.try_with(RefCell::take).ok().flatten();
        said.unwrap_or_else(|| message(payload.as_ref()))
    })
}

/// Keeps the message of a panic instead of printing it: stderr belongs to the host. The hook is private to
/// the shared library, which has its own std; Rust programs, which would share the hook, do not use this
/// code.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The library's own threads, which have their names, end with an error of the command.
            let is_own = thread::current().name().is_some_and(|name| name.starts_with("barman-"));
            if !IS_GUARDED.get() && !is_own {
                return previous(info);
            }
            let said = said(info);
            let _ = PANIC.try_with(|last| last.replace(Some(said))); // an error means that the thread is ending
        }));
    });
}

fn said(info: &PanicHookInfo) -> String {
    let message = message(info.payload());
    info.location().map_or(message.clone(), |location| format!("{message} ({location})"))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    one_line(text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_default_and_says_where() {
        assert_eq!(guard(7, || panic!("lost")), 7);
        let why = catch(|| panic!("lost {}", 1)).unwrap_err();
        assert!(why.starts_with("lost 1 (src/ffi/guard.rs:"), "{why}");
    }

    #[test]
    fn a_resumed_panic_is_caught_too() {
        let why = catch(|| panic::resume_unwind(Box::new("resumed"))).unwrap_err();
        assert_eq!(why, "resumed");
        let why = catch(|| panic::resume_unwind(Box::new(1))).unwrap_err();
        assert_eq!(why, "panic");
    }

    #[test]
    fn a_panic_in_an_inner_guard_is_not_the_outer_ones() {
        let outer = catch(|| {
            assert_eq!(guard(1, || panic!("inner")), 1);
            assert_eq!(catch(|| panic!("inner")).map_err(|why| why.starts_with("inner")), Err::<(), _>(true));
            2
        });
        assert_eq!(outer, Ok(2));
        assert!(!IS_GUARDED.get());
    }
}
