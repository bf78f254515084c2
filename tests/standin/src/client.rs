//! The plainest client of the API: requests as bytes, over a connection each.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Sends bytes over a fresh connection and reads to its end: what came, and how it ended.
pub fn exchange(address: SocketAddr, request: &[u8]) -> (Vec<u8>, io::Result<()>) {
    let mut reply = Vec::new();
    let end = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(request)?;
        stream.read_to_end(&mut reply).map(drop)
    });
    (reply, end)
}

/// A GET of this path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: api\r\n\r\n").into_bytes()
}

/// Any request with a body; each header ends with CR and LF.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: api\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A create for the server `pg`.
pub fn post(body: &str) -> Vec<u8> {
    create("pg", body)
}

/// The create of a recovery of the latest backup of the server `pg`.
pub fn recovery(destination: &str) -> Vec<u8> {
    recovery_through("ssh node", "pg", destination)
}

/// The create of a recovery of the latest backup of a server.
pub fn recovery_of(server: &str, destination: &str) -> Vec<u8> {
    recovery_through("ssh node", server, destination)
}

/// The create of a recovery of the latest backup of a server, through this ssh command.
pub fn recovery_through(ssh_command: &str, server: &str, destination: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "type": "recovery", "backup_id": "latest", "remote_ssh_command": ssh_command,
        "destination_directory": destination,
    });
    create(server, &body.to_string())
}

fn create(server: &str, body: &str) -> Vec<u8> {
    let path = format!("/servers/{server}/operations");
    request("POST", &path, "Content-Type: application/json\r\n", body)
}
