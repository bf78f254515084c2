//! HTTP/1.1 as far as the stand-in needs it: a request read from a stream, a reply turned into bytes.
//! What a reply says is `routes.rs`; how a script spoils it is `script.rs`.

use std::fmt::Write as _;
use std::io::Read;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use crate::clock;

const LONGEST_HEAD: usize = 64 << 10;

/// The head of a request, and its body as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// As it came: not decoded, with the query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads up to the empty line; what came behind it is the beginning of the body. `None`: the peer
    /// went away before, or did not speak HTTP.
    pub fn read_head(stream: &mut impl Read) -> Option<Self> {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let end = loop {
            if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            match stream.read(&mut buffer) {
                Ok(n) if n > 0 && seen.len() < LONGEST_HEAD => seen.extend_from_slice(&buffer[..n]),
                _ => return None,
            }
        };
        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        first.next().filter(|version| version.starts_with("HTTP/1."))?;
        let headers = lines.filter_map(header).collect();
        Some(Self { method, target, headers, body: seen.split_off(end + 4) })
    }

    /// Reads the rest of the body, as long as Content-Length says; false when the peer stopped before.
    pub fn read_body(&mut self, stream: &mut impl Read) -> bool {
        let wanted = self.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let missing = wanted - self.body.len().min(wanted);
        let read = stream.take(missing as u64).read_to_end(&mut self.body);
        read.is_ok_and(|n| n == missing)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path, each segment percent-decoded. A segment with an encoded slash matches no route: WSGI
    /// decodes before it splits.
    pub fn segments(&self) -> Vec<String> {
        let path = self.target.split('?').next().unwrap_or_default();
        path.strip_prefix('/').unwrap_or(path).split('/').map(decode).collect()
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// A reply without the headers that every reply has: those are added by `render`.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a reply is written, above all how it shows the end of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// With a length.
    #[default]
    Length,
    /// In chunks.
    Chunked,
    /// In HTTP/1.0, without a length: by the end of the connection.
    Http10,
    /// With a length. It says keep-alive, and the connection is closed all the same.
    KeepAlive,
    /// Header after header, without an end.
    EndlessHead,
    /// A body that goes on and on.
    EndlessBody,
}

impl Reply {
    pub fn json(status: u16, value: &Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: format!("{value}\n").into_bytes() }
    }

    /// The reply in a recording.
    pub fn parse(recording: &[u8]) -> Option<Self> {
        let end = recording.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&recording[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let own = ["Server", "Date", "Connection", "Content-Length"];
        let headers = lines.filter_map(header).filter(|(name, _)| !own.contains(&name.as_str())).collect();
        Some(Self { status, headers, body: recording[end + 4..].to_vec() })
    }

    /// The bytes, up to where an endless part begins.
    pub fn render(&self, form: Form) -> Vec<u8> {
        let version = if form == Form::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let connection = if form == Form::KeepAlive { "keep-alive" } else { "close" };
        let reason = title(self.status).to_ascii_uppercase();
        let date = clock::http_date(SystemTime::now());
        let mut head = format!(
            "{version} {} {reason}\r\nServer: gunicorn\r\nDate: {date}\r\nConnection: {connection}\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match form {
            Form::Length | Form::KeepAlive => {
                let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
            }
            Form::Chunked => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
            Form::Http10 => head.push_str("\r\n"),
            Form::EndlessHead => return head.into_bytes(),
            Form::EndlessBody => return (head + "\r\n").into_bytes(),
        }
        let body = if form == Form::Chunked { chunks(&self.body) } else { self.body.clone() };
        [head.into_bytes(), body].concat()
    }
}

/// In two chunks.
fn chunks(body: &[u8]) -> Vec<u8> {
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut bytes: Vec<u8> = body.chunks(body.len().div_ceil(2).max(1)).flat_map(chunk).collect();
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The name of a status, which werkzeug and the crate spell alike.
fn title(status: u16) -> &'static str {
    let known = http::StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
