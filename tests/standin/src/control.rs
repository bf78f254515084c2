//! The reserved paths by which a test in another language looks at the stand-in and steers it. They are neither scripted
//! nor journaled.

use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::routes::Stage;
use crate::script::Script;
use crate::server::Shared;

pub const PREFIX: &str = "/_standin/";

pub fn answer(shared: &Shared, path: &str, request: &Request) -> Reply {
    match (request.method.as_str(), path) {
        ("GET", "journal") => Reply::json(200, &journal(shared)),
        ("POST", "script") => match Script::from_json(&String::from_utf8_lossy(&request.body)) {
            Ok(script) => {
                shared.set_script(script);
                Reply::json(200, &json!({}))
            }
            Err(error) => Reply::json(400, &json!({"error": error})),
        },
        _ => Reply::json(404, &json!({"error": "GET journal or POST script"})),
    }
}

fn journal(shared: &Shared) -> Value {
    let requests = shared.journal.lock().unwrap().clone();
    json!({
        "creates": requests.iter().filter(|r| r.stage == Stage::Create && r.complete).count(),
        "applied": requests.iter().filter(|r| r.created.is_some()).count(),
        "operations": shared.playing.operations(),
        "requests": requests,
    })
}
