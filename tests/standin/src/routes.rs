//! The API's own logic: which reply a request gets, in the order of checks of pg-backup-api 2.2.0.

use serde_json::{Map, Value, json};

use crate::backend::{Backend, Job, Kind};
use crate::http::{Reply, Request};

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

/// The reply, and the id of the operation that the request created.
pub fn answer(backend: &dyn Backend, request: &Request, apply: bool) -> (Reply, Option<String>) {
    let Some(route) = route(request) else {
        let text = "The requested URL was not found on the server. If you entered the URL manually please check \
                    your spelling and try again.";
        return (not_found(text), None);
    };
    match (request.method.as_str(), &route) {
        ("POST", Route::Operations(server)) => match create(backend, server, request, apply) {
            Ok(id) => (Reply::json(202, &json!({"operation_id": id})), apply.then_some(id)),
            Err(refusal) => (refusal, None),
        },
        ("GET", route) => (get(backend, route), None),
        _ => (not_allowed(&route), None),
    }
}

fn not_allowed(route: &Route) -> Reply {
    let creates = matches!(route, Route::Operations(_));
    let methods = if creates { "OPTIONS, GET, HEAD, POST" } else { "OPTIONS, GET, HEAD" };
    let mut reply = Reply::page(405, "The method is not allowed for the requested URL.");
    reply.headers.push(("Allow".to_owned(), methods.to_owned()));
    reply
}

fn get(backend: &dyn Backend, route: &Route) -> Reply {
    match route {
        Route::Status => Reply::new(200, "text/html; charset=utf-8", "\"OK\""),
        Route::Diagnose => backend.diagnose().map_or_else(internal_error, |found| Reply::json(200, &found)),
        Route::Operations(server) | Route::Operation(server, _) if !backend.has_server(server) => {
            not_found(&format!("No barman config found for '{server}'."))
        }
        Route::Operations(server) => {
            let operations =
                backend.list(server).into_iter().map(|(id, kind)| json!({"id": id, "type": kind}));
            Reply::json(200, &json!({"operations": operations.collect::<Vec<_>>()}))
        }
        Route::Operation(server, id) => backend.status(server, id).map_or_else(
            || not_found("Resource not found"),
            |status| Reply::json(200, &json!({"operation_id": id, "status": status})),
        ),
    }
}

fn create(backend: &dyn Backend, server: &str, request: &Request, apply: bool) -> Result<String, Reply> {
    let content_type = request.header("content-type").unwrap_or_default();
    let mimetype = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if mimetype != "application/json"
        && !(mimetype.starts_with("application/") && mimetype.ends_with("+json"))
    {
        let text =
            "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.";
        return Err(Reply::page(415, text));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| {
        Reply::page(400, "The browser (or proxy) sent a request that this server could not understand.")
    })?;
    if body.is_null() || body.as_object().is_some_and(Map::is_empty) {
        return Err(Reply::page(400, &format!("Minimum barman options not met for server '{server}'")));
    }
    if !backend.has_server(server) {
        return Err(not_found(&format!("Server '{server}' does not exist")));
    }
    let Value::Object(content) = body else { return Err(internal_error()) };
    let kind = match content.get("type").map(Value::as_str) {
        None | Some(Some("recovery")) => Kind::Recovery,
        Some(Some("config_switch")) => Kind::ConfigSwitch,
        _ => return Err(internal_error()),
    };
    if kind == Kind::Recovery {
        let backup = content
            .get("backup_id")
            .ok_or_else(|| Reply::page(400, "Request body is missing ``backup_id``"))?;
        let backup = backup.as_str().ok_or_else(internal_error)?;
        if !backend.has_backup(server, backup) {
            return Err(not_found(&format!("Backup '{backup}' does not exist")));
        }
    }
    if !is_well_formed(kind, &content) {
        return Err(Reply::page(400, "Make sure all options/arguments are met and try again"));
    }
    let job = Job { server: server.to_owned(), kind, content };
    backend.create(&job, apply).ok_or_else(internal_error)
}

fn is_well_formed(kind: Kind, content: &Map<String, Value>) -> bool {
    match kind {
        Kind::Recovery => {
            ["destination_directory", "remote_ssh_command"].iter().all(|key| content.contains_key(*key))
        }
        Kind::ConfigSwitch => match (content.get("model_name"), content.get("reset")) {
            (Some(name), None) => name.is_string(),
            (None, Some(reset)) => *reset == Value::Bool(true),
            _ => false,
        },
    }
}

fn not_found(text: &str) -> Reply {
    Reply::json(404, &json!({"error": format!("404 Not Found: {text}")}))
}

fn internal_error() -> Reply {
    let text = "The server encountered an internal error and was unable to complete your request. Either the server \
                is overloaded or there is an error in the application.";
    Reply::page(500, text)
}
