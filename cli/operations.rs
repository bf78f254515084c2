//! `patroni_barman operations`: prints what the API knows, as a table or as JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use barman_recover::{Code, Level, Operation, OperationState, Operations, OperationsError};
use serde::Serialize;

use crate::args::{Question, Run};
use crate::log::Log;
use crate::signals::Watched;

/// So many are asked about, unless all are wanted: each costs a request.
const NEWEST: usize = 20;

pub fn operations(run: &Run, question: &Question, json: bool, log: &Log) -> ExitCode {
    let watched = Watched::start(log, "new");
    let events = log.clone();
    let answer = Operations::open(&run.config, &watched.cancel, move |event| events.event(event)).and_then(
        |mut operations| match question {
            Question::List { all } => operations.list(if *all { usize::MAX } else { NEWEST }),
            Question::Show(id) => operations.show(id).map(|operation| vec![operation]),
            Question::Wait(id) => operations.wait(id).map(|operation| vec![operation]),
        },
    );
    let (operations, code) = match answer {
        Ok(operations) => (operations, Code::RecoveryDone),
        Err(OperationsError::Cancelled) => {
            watched.die();
            return ExitCode::from(Code::Cancelled.exit_status());
        }
        Err(error) => {
            log.write(Level::Error, &error.to_string());
            if let OperationsError::Http(problem) = &error
                && !problem.hint.is_empty()
            {
                log.write(Level::Error, &format!("HINT: {}", problem.hint));
            }
            let code = if error == OperationsError::TimedOut { Code::TimedOut } else { Code::HttpError };
            (Vec::new(), code)
        }
    };
    watched.over();
    if code != Code::RecoveryDone {
        return ExitCode::from(code.exit_status());
    }
    let text = match (question, json) {
        (Question::List { .. }, true) => to_json(&operations.iter().map(Row::new).collect::<Vec<_>>()),
        (_, true) => operations.first().map_or(String::new(), |operation| to_json(&Row::new(operation))),
        (_, false) => table(&operations),
    };
    let _ = io::stdout().write_all(text.as_bytes()); // nobody reads it
    if matches!(question, Question::List { all: false }) && operations.len() == NEWEST {
        log.write(Level::Info, &format!("the {NEWEST} newest; --all shows those before them too"));
    }
    let failed = operations.iter().any(|operation| operation.state == Some(OperationState::Failed));
    let waited = matches!(question, Question::Wait(_));
    ExitCode::from(if waited && failed { Code::RecoveryFailed } else { Code::RecoveryDone }.exit_status())
}

/// An operation in the words of the API.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    r#type: &'a str,
    status: Option<&'a str>,
}

impl Row<'_> {
    fn new(operation: &Operation) -> Row<'_> {
        Row { id: &operation.id, r#type: &operation.kind, status: operation.state.map(OperationState::name) }
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n" // strings always serialize
}

fn table(operations: &[Operation]) -> String {
    let rows = operations.iter().map(|operation| {
        let row = Row::new(operation);
        [row.id, row.r#type, row.status.unwrap_or("UNKNOWN")]
    });
    let rows: Vec<_> = std::iter::once(["ID", "TYPE", "STATUS"]).chain(rows).collect();
    let width = |pick: fn(&[&str; 3]) -> usize| rows.iter().map(pick).max().unwrap_or(0);
    let id = width(|[id, ..]| id.chars().count());
    let kind = width(|[_, kind, _]| kind.chars().count());
    rows.iter().fold(String::new(), |text, [first, second, third]| {
        text + &format!("{first:id$}  {second:kind$}  {third}\n")
    })
}
