//! The sub-commands. `run` has what they share: it opens the log, watches signals, calls the library, and logs the
//! end. Each command adds its call, and how the answer is printed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::slice;

use barman_recover::{
    Backup, Cancel, Code, Event, Finding, Level, Operation, OperationState, Operations, OperationsError,
    Outcome, Verdict,
};
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::args::{self, Run, Said, WRONG_USAGE, What};
use crate::log::{End, Log};
use crate::signals::Watched;
use crate::sys;

/// Exit status of a check that finds warnings and no failure.
const WARNINGS: u8 = 3;

type Answer<T> = Result<T, OperationsError>;

/// Runs a sub-command to its end.
pub fn run(run: &Run) -> Result<ExitCode, Said> {
    let log = Log::open(run).map_err(|error| {
        let path = run.logging.file.as_deref().unwrap_or("".as_ref()).display();
        args::wrong_usage(&args::command(), &format!("argument --log-file: {path}: {error}"))
    })?;
    let watched = Watched::start(&log, matches!(run.what, What::Recover | What::ConfigSwitch));
    let warn = |message: &str| log.write(Level::Warning, message);
    if !run.ignored.is_empty() {
        warn(&format!("ignoring unknown options (mistyped?): {}", run.ignored.join(", ")));
    }
    if sys::is_root() && matches!(run.what, What::Recover | What::Cancel) {
        warn(
            "running as root: run this as the user that Patroni and PostgreSQL run as, because that user can't write a state file left by root",
        );
    }
    let mut end = ask(run, &watched.cancel, &log);
    let is_cancelled = end.code == Code::Cancelled.name();
    end.exit_status = if is_cancelled { watched.status() } else { end.exit_status };
    log.end(&end);
    watched.end(is_cancelled);
    Ok(ExitCode::from(end.exit_status))
}

fn ask(run: &Run, cancel: &Cancel, log: &Log) -> End {
    let (config, events) = (&run.config, log.clone());
    let on_event = move |event: Event| events.event(event);
    let open = |on_event| Operations::open(config, cancel, on_event);
    match run.what {
        What::Recover => barman_recover::run(config, cancel, on_event).into(),
        What::Cancel => barman_recover::end_restore(config, cancel, on_event).into(),
        What::ConfigSwitch => {
            let Outcome { code, message, hint, .. } =
                barman_recover::config_switch(config, &run.word, cancel, on_event);
            End { code: code.name(), exit_status: code.exit_status(), message, hint, backup_id: None }
        }
        What::Check => check(run, cancel, on_event),
        What::Verify => answer(run, log, barman_recover::verify(config).map_err(Into::into), |looked| {
            (format!("{}: {}\n", looked.state.name(), looked.detail), looked.is_complete())
        }),
        What::Backups => {
            let listed = barman_recover::backups(config, cancel, on_event);
            answer(run, log, listed, |listed| (backups(listed), true))
        }
        What::List => {
            let listed = open(on_event).and_then(|mut api| api.list(run.limit));
            if listed.as_ref().is_ok_and(|listed| listed.len() == run.limit) {
                log.write(Level::Info, &format!("the newest {}; see --limit and --all", run.limit));
            }
            answer(run, log, listed, |listed| (operations(listed), true))
        }
        What::Show => {
            let shown = open(on_event).and_then(|mut api| api.show(&run.word));
            answer(run, log, shown, |shown| (operations(slice::from_ref(shown)), true))
        }
        What::Wait => {
            let ended = open(on_event).and_then(|mut api| api.wait(&run.word));
            answer(run, log, ended, |ended| {
                (operations(slice::from_ref(ended)), ended.state != Some(OperationState::Failed))
            })
        }
    }
}

/// Prints the findings as they are found.
fn check(run: &Run, cancel: &Cancel, on_event: impl FnMut(Event) + Send + 'static) -> End {
    let findings = barman_recover::check(&run.config, cancel, on_event, |finding| {
        let Finding { verdict, what, detail, hint, .. } = finding;
        let hint = if hint.is_empty() { String::new() } else { format!("         HINT: {hint}\n") };
        if !run.json {
            print(&format!("{:<8} {what}: {detail}\n{hint}", verdict.name()));
        }
    });
    if run.json {
        print(&json(&findings));
    }
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    match () {
        () if cancel.is_cancelled() => End::new(Code::Cancelled, "", ""),
        () if has(Verdict::Failed) => End::new(Code::RecoveryFailed, "", ""),
        () if has(Verdict::Warning) => End { exit_status: WARNINGS, ..End::new(Code::RecoveryDone, "", "") },
        () => End::new(Code::RecoveryDone, "", ""),
    }
}

/// Prints an answer, as JSON or as this text, which comes with whether all is well; or logs why there is no answer.
fn answer<T: Serialize>(run: &Run, log: &Log, answer: Answer<T>, text: fn(&T) -> (String, bool)) -> End {
    let error = match answer {
        Ok(answer) => {
            let (text, is_well) = text(&answer);
            print(&if run.json { json(&answer) } else { text });
            return End::new(if is_well { Code::RecoveryDone } else { Code::RecoveryFailed }, "", "");
        }
        Err(error) => error,
    };
    let (code, message, hint) = (error.code(), error.to_string(), error.hint());
    for (begin, text) in [("", &message[..]), ("HINT: ", hint)] {
        if code != Code::Cancelled && !text.is_empty() {
            log.write(Level::Error, &format!("{begin}{text}"));
        }
    }
    End::new(code, &message, hint)
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
    let row = |row: &Operation| line(&row.id, &row.kind, row.state.map_or("UNKNOWN", OperationState::name));
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
        line([&row.id, end, size, version, mode, &row.status])
    };
    line(["ID", "END", "SIZE", "VERSION", "MODE", "STATUS"]) + &rows.iter().map(row).collect::<String>()
}

impl End {
    fn new(code: Code, message: &str, hint: &str) -> End {
        let exit_status = if code == Code::InvalidArgument { WRONG_USAGE } else { code.exit_status() };
        End { code: code.name(), exit_status, message: message.into(), hint: hint.into(), backup_id: None }
    }
}

impl From<Outcome> for End {
    fn from(Outcome { code, message, hint, backup_id, .. }: Outcome) -> End {
        End { backup_id, ..End::new(code, &message, &hint) }
    }
}
