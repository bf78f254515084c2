//! The stand-in itself: that its model answers as the recorded API, that each fault is what it says on the wire,
//! and its program.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a panic is how a test fails")]

mod faults;
mod program;
mod recorded;
mod restore;
mod tls;

use std::thread;
use std::time::Duration;

use standin::Api;
use standin::client::{exchange, get};
use tempfile::TempDir;

/// A path in a directory, which need not exist.
fn within(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).into_os_string().into_string().unwrap()
}

/// The reply to a request that has a whole one.
fn ask(api: &Api, request: &[u8]) -> String {
    let (reply, end) = exchange(api.address(), request);
    end.unwrap();
    String::from_utf8(reply).unwrap()
}

/// The status of an operation of the server `pg`.
fn poll(api: &Api, id: &str) -> String {
    let reply = ask(api, &get(&format!("/servers/pg/operations/{id}")));
    let body = reply.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["status"].as_str().unwrap_or_default().to_owned()
}

/// Polls to the end of an operation.
fn outcome(api: &Api, id: &str) -> String {
    loop {
        match poll(api, id) {
            status if status == "IN_PROGRESS" => thread::sleep(Duration::from_millis(2)),
            status => return status,
        }
    }
}

fn created_id(reply: &str) -> String {
    reply.split("\"operation_id\":\"").nth(1).expect(reply)[..15].to_owned()
}
