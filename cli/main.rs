//! `patroni_barman`: Patroni's hook that restores a Barman backup. It only reads arguments, writes the log and
//! prints; what it does is the library's.

mod args;
mod bar;
mod check;
#[cfg(test)]
mod docs;
mod log;
mod operations;
mod signals;
mod switch;
mod sys;

use std::io::{self, Write};
use std::panic::{self, UnwindSafe};
use std::process::ExitCode;

use barman_recover::{Code, Level};

use args::{Ask, Run, What};
use log::Log;
use signals::Watched;

/// As argparse's and clap's.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    guarded(program)
}

/// A panic, which has said by then what it is, ends the program as the library's own number for it says.
fn guarded(program: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    panic::catch_unwind(program).unwrap_or(ExitCode::from(Code::Panic.exit_status()))
}

fn program() -> ExitCode {
    match args::parse(std::env::args_os(), |name| std::env::var_os(name)) {
        Ask::Print(text) => print(&text, ExitCode::SUCCESS),
        Ask::NoCommand(help) => print(&help, ExitCode::from(Code::NoCommand.exit_status())),
        Ask::Wrong(text) => wrong(&text),
        Ask::Run(run) => start(*run),
    }
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes()); // nobody reads it
    code
}

fn wrong(text: &str) -> ExitCode {
    let _ = io::stderr().write_all(text.as_bytes()); // nobody reads it
    ExitCode::from(WRONG_USAGE)
}

fn start(run: Run) -> ExitCode {
    let log = match Log::open(&run.logging) {
        Ok(log) => log,
        Err(error) => {
            let path = run.logging.file.unwrap_or_default();
            return wrong(&format!(
                "{}: error: argument --log-file: {}: {error}\n",
                args::NAME,
                path.display()
            ));
        }
    };
    if !run.ignored.is_empty() {
        let names = run.ignored.join(", ");
        log.write(Level::Warning, &format!("ignoring options that are not known (mistyped?): {names}"));
    }
    match &run.what {
        What::Recover => recover(&run, &log),
        What::Check => check::check(&run, &log),
        What::ConfigSwitch { role } => switch::switch(&run, role, &log),
        What::Operations { question, json } => operations::operations(&run, question, *json, &log),
    }
}

fn recover(run: &Run, log: &Log) -> ExitCode {
    let watched = Watched::start(log, "recovery");
    let events = log.clone();
    let outcome = barman_recover::run(&run.config, &watched.cancel, move |event| events.event(event));
    log.end_progress();
    match outcome.code {
        Code::Cancelled => watched.die(),
        _ => watched.over(),
    }
    match outcome.code {
        Code::InvalidArgument => ExitCode::from(WRONG_USAGE),
        code => ExitCode::from(code.exit_status()),
    }
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
