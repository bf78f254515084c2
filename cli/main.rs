//! `patroni_barman`: Patroni's hook that restores a Barman backup. It only parses arguments, writes the log and
//! prints; the library does the rest.

mod args;
mod bar;
mod commands;
#[cfg(test)]
mod docs;
mod log;
mod signals;
mod sys;

use std::io::{self, Write};
use std::panic::{self, UnwindSafe};
use std::process::ExitCode;

use barman_recover::Code;

fn main() -> ExitCode {
    guarded(program)
}

/// Ends with the library's exit status for a panic, whose message has been printed by then.
fn guarded(program: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    panic::catch_unwind(program).unwrap_or(ExitCode::from(Code::Panic.exit_status()))
}

fn program() -> ExitCode {
    let run = args::parse(std::env::args_os().collect(), &|name| std::env::var_os(name));
    run.and_then(|run| commands::run(&run)).unwrap_or_else(|(text, status)| {
        if status == args::WRONG_USAGE {
            let _ = io::stderr().write_all(text.as_bytes()); // ignored: maybe nobody reads it
        } else {
            commands::print(&text);
        }
        ExitCode::from(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_the_exit_status_of_the_manual() {
        assert_eq!(guarded(|| panic!("a bug")), ExitCode::from(249));
        assert_eq!(guarded(|| ExitCode::from(3)), ExitCode::from(3));
    }
}
