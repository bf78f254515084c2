//! The sub-commands. What they share is in `run`: the log is opened, signals are watched, the library is asked, and
//! the end is logged. Each adds what it asks, and how the answer is printed.

use std::io::{self, Write};
use std::process::ExitCode;

use barman_recover::{
    Backup, Cancel, Code, Event, Finding, Level, Operation, OperationState, Operations, OperationsError,
    Outcome, SwitchCode, Verdict, Verified,
};
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::args::{self, Run, What};
use crate::log::{End, Log};
use crate::signals::Watched;
use crate::sys;

/// As argparse's and clap's.
const WRONG_USAGE: u8 = 2;
/// Of a check that finds warnings and no failure.
const WARNINGS: u8 = 3;

/// Runs a sub-command to its end.
pub fn run(run: &Run) -> ExitCode {
    let log = match Log::open(run) {
        Ok(log) => log,
        Err(error) => {
            let path = run.logging.file.as_deref().unwrap_or("".as_ref()).display();
            let why = format!("argument --log-file: {path}: {error}");
            return wrong(&args::wrong_usage(&args::command(), &why));
        }
    };
    let watched = Watched::start(&log, matches!(run.what, What::Recover | What::ConfigSwitch));
    if !run.ignored.is_empty() {
        let names = run.ignored.join(", ");
        log.write(Level::Warning, &format!("ignoring options that are not known (mistyped?): {names}"));
    }
    if sys::is_root() && matches!(run.what, What::Recover | What::Cancel) {
        log.write(Level::Warning, "running as root: run this as the user that Patroni and PostgreSQL run as, which can't write a state file of root's");
    }
    let mut end = ask(run, &watched.cancel, &log);
    let is_cancelled = end.code == Code::Cancelled.name();
    if is_cancelled {
        end.exit_status = watched.status();
    }
    log.end(&end);
    watched.end(is_cancelled);
    ExitCode::from(end.exit_status)
}

/// Prints what is wrong with the arguments.
pub fn wrong(text: &str) -> ExitCode {
    let _ = io::stderr().write_all(text.as_bytes()); // nobody reads it
    ExitCode::from(WRONG_USAGE)
}

pub fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()); // nobody reads it
}

fn ask(run: &Run, cancel: &Cancel, log: &Log) -> End {
    let (config, events) = (&run.config, log.clone());
    let on_event = move |event: Event| events.event(event);
    let open = |on_event| Operations::open(config, cancel, on_event);
    match run.what {
        What::Recover => barman_recover::run(config, cancel, on_event).into(),
        What::Cancel => barman_recover::end_restore(config, cancel, on_event).into(),
        What::ConfigSwitch => barman_recover::config_switch(config, &run.word, cancel, on_event).into(),
        What::Check => check(run, cancel, on_event),
        What::Verify => verify(run, log),
        What::Backups => {
            let listed = barman_recover::backups(config, cancel, on_event);
            answer(run, log, &BACKUP, listed.map(|listed| listed.iter().map(backup).collect()))
        }
        What::List => {
            let listed = open(on_event).and_then(|mut api| api.list(run.limit));
            if listed.as_ref().is_ok_and(|listed| listed.len() == run.limit) {
                log.write(Level::Info, &format!("the newest {}: --limit or --all shows more", run.limit));
            }
            answer(run, log, &OPERATION, listed.map(|listed| listed.iter().map(operation).collect()))
        }
        What::Show => {
            let shown = open(on_event).and_then(|mut api| api.show(&run.word));
            answer(run, log, &OPERATION, shown.map(|shown| operation(&shown)))
        }
        What::Wait => {
            let ended = open(on_event).and_then(|mut api| api.wait(&run.word));
            let failed = ended.as_ref().is_ok_and(|ended| ended.state == Some(OperationState::Failed));
            let end = answer(run, log, &OPERATION, ended.map(|ended| operation(&ended)));
            if failed { End::of(Code::RecoveryFailed) } else { end }
        }
    }
}

/// Columns of a table, and their widths.
type Columns = [(&'static str, usize)];

const OPERATION: [(&str, usize); 3] = [("id", 15), ("type", 13), ("status", 0)];

fn operation(Operation { id, kind, state, .. }: &Operation) -> Value {
    json!({ "id": id, "type": kind, "status": state.map(OperationState::name) })
}

const BACKUP: [(&str, usize); 6] =
    [("id", 15), ("end_time", 25), ("bytes", 9), ("version", 7), ("mode", 8), ("status", 0)];

fn backup(backup: &Backup) -> Value {
    let Backup { id, status, is_complete, begin_time, end_time, bytes, version, mode, .. } = backup;
    json!({ "id": id, "status": status, "is_complete": is_complete, "begin_time": begin_time, "end_time": end_time,
        "bytes": bytes, "version": version, "mode": mode })
}

fn finding(Finding { verdict, what, detail, hint, .. }: &Finding) -> Value {
    json!({ "verdict": verdict.name(), "what": what, "detail": detail, "hint": hint })
}

fn verified(verified: &Verified) -> Value {
    let Verified { data_directory, state, restore, receivers, detail, .. } = verified;
    let restore = restore.as_ref().map(|restore| {
        json!({ "backup_id": restore.backup_id, "server": restore.server, "taken": restore.taken,
            "restored": sys::rfc3339(restore.restored), "last_wal": restore.last_wal })
    });
    json!({ "data_directory": data_directory, "state": state.name(), "is_complete": verified.is_complete(),
        "restore": restore, "receivers": receivers, "detail": detail })
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
        print(&pretty(&findings.iter().map(finding).collect()));
    }
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    match () {
        () if cancel.is_cancelled() => End::of(Code::Cancelled),
        () if has(Verdict::Failed) => End::of(Code::RecoveryFailed),
        () if has(Verdict::Warning) => End { exit_status: WARNINGS, ..End::of(Code::RecoveryDone) },
        () => End::of(Code::RecoveryDone),
    }
}

fn verify(run: &Run, log: &Log) -> End {
    let looked = match barman_recover::verify(&run.config) {
        Ok(looked) => looked,
        Err(error) => return answer(run, log, &[], Err(error.into())),
    };
    print(&if run.json {
        pretty(&verified(&looked))
    } else {
        format!("{}: {}\n", looked.state.name(), looked.detail)
    });
    End::of(if looked.is_complete() { Code::RecoveryDone } else { Code::RecoveryFailed })
}

/// Prints an answer, as JSON or as a table with these columns; or logs why there is none.
fn answer(run: &Run, log: &Log, columns: &Columns, answer: Result<Value, OperationsError>) -> End {
    let error = match answer {
        Ok(value) => {
            print(&if run.json { pretty(&value) } else { table(columns, &value) });
            return End::of(Code::RecoveryDone);
        }
        Err(error) => error,
    };
    let (code, hint) = match &error {
        OperationsError::Cancelled => return End::of(Code::Cancelled),
        OperationsError::TimedOut => (Code::TimedOut, String::new()),
        OperationsError::Http(problem) => (Code::HttpError, problem.hint.clone()),
        _ => (Code::InvalidArgument, String::new()),
    };
    log.write(Level::Error, &error.to_string());
    if !hint.is_empty() {
        log.write(Level::Error, &format!("HINT: {hint}"));
    }
    End { message: error.to_string(), hint, ..End::of(code) }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A line for the names of the columns, and one for each row.
fn table(columns: &Columns, value: &Value) -> String {
    let cell = |row: &Value, column: &str| match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(bytes)) => DecimalBytes(bytes.as_u64().unwrap_or_default()).to_string(),
        _ => "UNKNOWN".into(),
    };
    let line = |cell: &dyn Fn(&str) -> String| {
        let cells = columns.iter().map(|(column, width)| format!("{:width$}  ", cell(column)));
        cells.collect::<String>().trim_end().to_string() + "\n"
    };
    let rows = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let names = line(&|column| column.to_uppercase());
    rows.iter().fold(names, |text, row| text + &line(&|column| cell(row, column)))
}

impl End {
    fn of(code: Code) -> End {
        let exit_status = if code == Code::InvalidArgument { WRONG_USAGE } else { code.exit_status() };
        End { code: code.name(), exit_status, message: String::new(), hint: String::new(), backup_id: None }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> End {
        let Outcome { code, message, hint, backup_id, .. } = outcome;
        End { hint, message, backup_id, ..End::of(code) }
    }
}

impl From<Outcome<SwitchCode>> for End {
    fn from(outcome: Outcome<SwitchCode>) -> End {
        let Outcome { code, message, hint, .. } = outcome;
        End { code: code.name(), exit_status: code.exit_status(), message, hint, backup_id: None }
    }
}
