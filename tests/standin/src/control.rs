//! The reserved paths by which a test in another language, or the demo, looks at the stand-in and
//! steers it. They are neither scripted nor journaled.

use serde_json::{Value, json};

use crate::backend::{Status, max_parallel};
use crate::http::{Reply, Request};
use crate::routes::Stage;
use crate::script::Script;
use crate::server::Shared;

pub const PREFIX: &str = "/_standin/";

pub fn answer(shared: &Shared, path: &str, request: &Request) -> Reply {
    let text = String::from_utf8_lossy(&request.body);
    match (request.method.as_str(), path.split_once('/').unwrap_or((path, ""))) {
        ("GET", ("journal", "")) => Reply::json(200, &journal(shared)),
        ("POST", ("script", "")) => match Script::from_json(&text) {
            Ok(script) => {
                shared.set_script(script);
                Reply::json(200, &json!({}))
            }
            Err(error) => Reply::json(400, &json!({"error": error})),
        },
        ("POST", ("release", "")) => {
            shared.pause.release();
            Reply::json(200, &json!({}))
        }
        ("POST", ("operation", id)) => {
            let wanted = serde_json::from_str::<Value>(&text).unwrap_or_default();
            let failed = wanted.get("status").and_then(Value::as_str) == Some("FAILED");
            let status = if failed { Status::Failed } else { Status::Done };
            let found = shared.playing.finish(id, status);
            Reply::json(if found { 200 } else { 404 }, &json!({"ended": found}))
        }
        _ => Reply::json(404, &json!({"error": "journal, script, release or operation/ID"})),
    }
}

pub fn incomplete() -> Reply {
    Reply::json(400, &json!({"error": "the body is not complete"}))
}

fn journal(shared: &Shared) -> Value {
    let requests = shared.journal.lock().unwrap().clone();
    let operations = shared.playing.operations();
    let mut parallel = serde_json::Map::new();
    for destination in operations.iter().filter_map(|operation| operation.destination_directory.as_deref()) {
        parallel.insert(destination.to_owned(), max_parallel(&operations, destination).into());
    }
    json!({
        "creates": requests.iter().filter(|r| r.stage == Stage::Create && r.complete).count(),
        "applied": requests.iter().filter(|r| r.created.is_some()).count(),
        "max_parallel": parallel,
        "operations": operations,
        "tls_failures": *shared.tls_failures.lock().unwrap(),
        "requests": requests,
    })
}
