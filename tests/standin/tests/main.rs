//! What the tests of the program rely on blindly: that the model answers as the recorded API, that a fault is on the wire
//! what it says, that a restore is Barman's, and that the program serves a real Barman.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a panic is how a test fails")]

mod program;
mod recorded;
mod restore;
mod wire;

use std::net::SocketAddr;

use standin::client::{exchange, get};
use standin::wait_until;
use tempfile::TempDir;

const BACKUP: &str = "20261122T101942";

/// A path in a directory, which need not exist.
fn within(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).into_os_string().into_string().unwrap()
}

/// The reply to a request that has a whole one.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let (reply, end) = exchange(address, request);
    end.unwrap();
    String::from_utf8(reply).unwrap()
}

/// Until an operation of the server `pg` has this status.
fn wait_for(address: SocketAddr, id: &str, status: &str) {
    let request = get(&format!("/servers/pg/operations/{id}"));
    wait_until(&format!("{id} to be {status}"), || ask(address, &request).contains(&format!("\"{status}\"")));
}

fn created_id(reply: &str) -> String {
    reply.split("\"operation_id\":\"").nth(1).expect(reply)[..15].to_owned()
}
