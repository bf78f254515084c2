//! The API's own logic: which reply a request gets, in the order of checks of pg-backup-api 2.2.0.

use serde_json::{Map, Value, json};

use crate::backend::{Backend, Job, Kind};
use crate::http::{Reply, Request};
use crate::recordings;

/// What a script can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A connection, before anything is read.
    Connect,
    /// `GET /status`
    Status,
    /// `GET /servers/NAME/operations`
    List,
    /// `POST /servers/NAME/operations`
    Create,
    /// `GET /servers/NAME/operations/ID`
    Poll,
    /// `GET /diagnose`
    Diagnose,
    /// No route of the API; in a script, any request.
    Any,
}

enum Route {
    /// `GET /status`
    Status,
    /// `GET /diagnose`
    Diagnose,
    Operations(String),
    Operation(String, String),
}

fn route(request: &Request) -> Option<Route> {
    let segments = request.segments();
    if segments.iter().any(|segment| segment.is_empty() || segment.contains('/')) {
        return None;
    }
    match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["status"] => Some(Route::Status),
        ["diagnose"] => Some(Route::Diagnose),
        ["servers", server, "operations"] => Some(Route::Operations((*server).to_owned())),
        ["servers", server, "operations", id] => {
            Some(Route::Operation((*server).to_owned(), (*id).to_owned()))
        }
        _ => None,
    }
}

pub fn stage(request: &Request) -> Stage {
    match (route(request), request.method.as_str()) {
        (Some(Route::Status), "GET") => Stage::Status,
        (Some(Route::Diagnose), "GET") => Stage::Diagnose,
        (Some(Route::Operations(_)), "GET") => Stage::List,
        (Some(Route::Operations(_)), "POST") => Stage::Create,
        (Some(Route::Operation(..)), "GET") => Stage::Poll,
        _ => Stage::Any,
    }
}

/// The reply. A create that passes every check is made by `create`, which gives the id of the operation, if one is free.
pub fn answer(
    backend: &dyn Backend,
    request: &Request,
    create: impl FnOnce(&Job) -> Option<String>,
) -> Reply {
    let Some(route) = route(request) else { return recorded("unknown-path") };
    match (request.method.as_str(), &route) {
        ("POST", Route::Operations(server)) => match job(backend, server, request) {
            Ok(job) => create(&job)
                .map_or_else(|| recorded(ERROR), |id| Reply::json(202, &json!({"operation_id": id}))),
            Err(refusal) => refusal,
        },
        ("GET", route) => get(backend, route),
        _ => recorded("method-not-allowed"),
    }
}

fn recorded(name: &str) -> Reply {
    recordings::find(name).and_then(Reply::parse).expect("a recording of the real API")
}

/// A recording in which another name was asked for.
fn recorded_of(name: &str, recorded_name: &str, asked: &str) -> Reply {
    let mut reply = recorded(name);
    reply.body = String::from_utf8_lossy(&reply.body).replace(recorded_name, asked).into_bytes();
    reply
}

fn get(backend: &dyn Backend, route: &Route) -> Reply {
    match route {
        Route::Status => recorded("status"),
        Route::Diagnose => {
            backend.diagnose().map_or_else(|| recorded(ERROR), |found| Reply::json(200, &found))
        }
        Route::Operations(server) | Route::Operation(server, _) if !backend.has_server(server) => {
            recorded_of("operations-list-unknown-server", "nope", server)
        }
        Route::Operations(server) => {
            let operations =
                backend.list(server).into_iter().map(|(id, kind)| json!({"id": id, "type": kind}));
            Reply::json(200, &json!({"operations": operations.collect::<Vec<_>>()}))
        }
        Route::Operation(server, id) => backend.status(server, id).map_or_else(
            || recorded("operation-unknown-id"),
            |status| Reply::json(200, &json!({"operation_id": id, "status": status})),
        ),
    }
}

/// The framework's own page.
const ERROR: &str = "create-recovery-same-second";

/// What a create asks for, or why not.
fn job(backend: &dyn Backend, server: &str, request: &Request) -> Result<Job, Reply> {
    if request.header("content-type") != Some("application/json") {
        return Err(recorded("create-no-content-type"));
    }
    let Ok(Value::Object(content)) = serde_json::from_slice(&request.body) else {
        return Err(recorded("create-malformed-json"));
    };
    if !backend.has_server(server) {
        return Err(recorded_of("create-unknown-server", "nope", server));
    }
    let kind = match content.get("type").map(Value::as_str) {
        None | Some(Some("recovery")) => Kind::Recovery,
        Some(Some("config_switch")) => Kind::ConfigSwitch,
        _ => return Err(recorded("create-unknown-type")),
    };
    let backup = content.get("backup_id").and_then(Value::as_str);
    if let Some(backup) = backup
        && !backend.has_backup(server, backup)
    {
        return Err(recorded_of("create-unknown-backup", "20200101T000000", backup));
    }
    if !is_well_formed(kind, &content) {
        return Err(recorded("create-missing-argument"));
    }
    Ok(Job { server: server.to_owned(), kind, content })
}

fn is_well_formed(kind: Kind, content: &Map<String, Value>) -> bool {
    let is_text = |key: &str| content.get(key).is_some_and(Value::is_string);
    match kind {
        Kind::Recovery => {
            ["backup_id", "destination_directory", "remote_ssh_command"].into_iter().all(is_text)
        }
        Kind::ConfigSwitch => is_text("model_name") != (content.get("reset") == Some(&Value::Bool(true))),
    }
}
