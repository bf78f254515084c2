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

/// A create for a server.
pub fn create(server: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /servers/{server}/operations HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The create of a recovery of the latest backup of the server `pg`, through this ssh command.
pub fn recovery(ssh_command: &str, destination: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "type": "recovery", "backup_id": "latest", "remote_ssh_command": ssh_command,
        "destination_directory": destination,
    });
    create("pg", &body.to_string())
}
