//! The sub-commands. `run` has what they share: it opens the log, watches signals, calls the library, and logs the
//! end. Each command adds its call, and how the answer is printed.

use std::io::{self, Write};
use std::process::ExitCode;

use barman_recover::{
    Answer, Backup, Cancel, Code, Command, Config, Event, Finding, Level, Operation, OperationState, Opt,
    Verdict,
};
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::args::{self, Run, Said};
use crate::bar::is_watched;
use crate::log::{End, Log};
use crate::signals::Watched;
use crate::sys;

/// Exit status of a check that finds warnings and no failure.
const WARNINGS: u8 = 3;

/// Runs a sub-command to its end.
pub fn run(run: &Run) -> Result<ExitCode, Said> {
    let log = Log::open(run).map_err(|error| {
        let path = run.logging.file.as_deref().unwrap_or("".as_ref()).display();
        args::wrong_usage(&args::command(), &format!("argument --log-file: {path}: {error}"))
    })?;
    let watched = Watched::start(&log);
    let warn = |message: &str| log.write(Level::Warning, message);
    if !run.ignored.is_empty() {
        warn(&format!("ignoring unknown options (mistyped?): {}", run.ignored.join(", ")));
    }
    if sys::is_root() && matches!(run.command, Command::Recover | Command::Settle) {
        warn("running as root: run this as the user that Patroni and PostgreSQL run as");
    }
    let mut end = ask(run, &watched.cancel, &log);
    if end.code == Code::Cancelled.name() {
        end.exit_status = watched.status();
        log.end(&end);
        watched.die();
    } else {
        log.end(&end);
        watched.end();
    }
    Ok(ExitCode::from(end.exit_status))
}

fn ask(run: &Run, cancel: &Cancel, log: &Log) -> End {
    let (config, events) = (&run.config, log.clone());
    let on_event = move |event: Event| events.event(event);
    match run.command {
        Command::Recover => {
            let answer = barman_recover::run(&with_size(run), cancel, on_event);
            End { backup_id: answer.found.backup_id.clone(), ..answer.into() }
        }
        Command::Settle => {
            let answer = barman_recover::settle(config, cancel, on_event);
            if run.json {
                print(&json(&answer));
            }
            answer.into()
        }
        Command::ConfigSwitch => {
            let answer = barman_recover::config_switch(config, cancel, on_event);
            let (code, exit_status) = answer.exit();
            End { code, exit_status, ..answer.into() }
        }
        Command::Check => check(run, cancel, on_event),
        Command::Verify => print_answer(run, log, &barman_recover::verify(config), |looked| {
            looked.as_ref().map(|looked| format!("{}: {}\n", looked.state.name(), looked.detail))
        }),
        Command::Backups => {
            let answer = barman_recover::backups(config, cancel, on_event);
            print_answer(run, log, &answer, |found| Some(backups(&found.backups)))
        }
        Command::Operations => {
            let answer = barman_recover::operations(config, cancel, on_event);
            let listed = answer.found.operations.len();
            if listed > 0 && config.number(Opt::Limit).is_some_and(|limit| limit as usize == listed) {
                log.write(Level::Info, &format!("the newest {listed}; see --limit and --all"));
            }
            print_answer(run, log, &answer, |found| Some(operations(&found.operations)))
        }
    }
}

/// The options of a recovery. If somebody watches, the recovery also asks for the size of the backup, because
/// progress has no percentage without it. A value that the user has given is kept.
fn with_size(run: &Run) -> Config {
    let mut config = run.config.clone();
    if !config.is_set(Opt::WatchSize) && is_watched(&run.logging) {
        let _ = config.set(Opt::WatchSize, "true"); // a flag takes it
    }
    config
}

/// Prints the findings as they are found.
fn check(run: &Run, cancel: &Cancel, on_event: impl FnMut(Event) + Send + 'static) -> End {
    let answer = barman_recover::check(&run.config, cancel, on_event, |finding| {
        let Finding { verdict, what, detail, hint, .. } = finding;
        let hint = hint.as_ref().map(|hint| format!("         HINT: {hint}\n")).unwrap_or_default();
        if !run.json {
            print(&format!("{:<8} {what}: {detail}\n{hint}", verdict.name()));
        }
    });
    if run.json {
        print(&json(&answer));
    }
    let has_warning = answer.found.findings.iter().any(|finding| finding.verdict == Verdict::Warning);
    let end = End::new(answer.code, "", None);
    let is_warned = answer.code == Code::RecoveryDone && has_warning;
    End { exit_status: if is_warned { WARNINGS } else { end.exit_status }, ..end }
}

/// Prints an answer, as JSON or as this text; or logs why there is none.
fn print_answer<T: Serialize>(
    run: &Run,
    log: &Log,
    answer: &Answer<T>,
    text: fn(&T) -> Option<String>,
) -> End {
    let (code, message, hint) = (answer.code, &answer.message, &answer.hint);
    // A directory without a complete restore is an answer of `verify` too.
    let text = text(&answer.found).filter(|_| matches!(code, Code::RecoveryDone | Code::RecoveryFailed));
    let is_answered = text.is_some();
    if run.json {
        print(&json(answer));
    } else if let Some(text) = text {
        print(&text);
    }
    if is_answered {
        return End::new(code, "", None);
    }
    if code != Code::Cancelled {
        let hint = hint.as_ref().map(|hint| format!("HINT: {hint}"));
        [Some(message), hint.as_ref()].into_iter().flatten().for_each(|text| log.write(Level::Error, text));
    }
    End::new(code, message, hint.clone())
}

/// Prints to standard output.
pub fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()); // ignored: maybe nobody reads it
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n" // strings and numbers always serialize
}

fn operations(rows: &[Operation]) -> String {
    let line = |id: &str, kind: &str, state: &str| format!("{id:15}  {kind:13}  {state}\n");
    let row = |row: &Operation| {
        let state = row.state.map_or("UNKNOWN", OperationState::name);
        line(&row.id, row.kind.as_deref().unwrap_or_default(), state)
    };
    line("ID", "TYPE", "STATUS") + &rows.iter().map(row).collect::<String>()
}

fn backups(rows: &[Backup]) -> String {
    let line = |[id, end, size, version, mode, status]: [&str; 6]| {
        format!("{id:15}  {end:32}  {size:9}  {version:7}  {mode:8}  {status}\n")
    };
    let row = |row: &Backup| {
        let size = row.bytes.map(|bytes| DecimalBytes(bytes).to_string());
        let [end, size, version, mode] =
            [&row.end_time, &size, &row.version, &row.mode].map(|text| text.as_deref().unwrap_or("UNKNOWN"));
        let note = row.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let status = format!("{}{note}", row.status);
        line([&row.id, end, size, version, mode, &status])
    };
    line(["ID", "END", "SIZE", "VERSION", "MODE", "STATUS"]) + &rows.iter().map(row).collect::<String>()
}

impl End {
    fn new(code: Code, message: &str, hint: Option<String>) -> End {
        End {
            code: code.name(),
            exit_status: code.exit_status(),
            message: message.into(),
            hint: hint.unwrap_or_default(),
            backup_id: None,
        }
    }
}

impl<T> From<Answer<T>> for End {
    fn from(answer: Answer<T>) -> End {
        End::new(answer.code, &answer.message, answer.hint)
    }
}
