//! URLs of the API: strict parsing (an HTTP client's own is lenient: a port that is too large silently
//! becomes 80), percent-encoded paths, and credentials that can't be printed. Pure.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that are not encoded in a path segment: the unreserved ones of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// User name and password of a URL. Neither `Debug` nor `Display` shows them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials(String);

impl Credentials {
    /// `user:password`, decoded: the text that basic authentication encodes.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a URL's host is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A parsed `http://` or `https://` URL. `Display` leaves the credentials out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    pub(crate) credentials: Option<Credentials>,
    /// As in the URL: IPv6 addresses with their brackets. Lower case.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// "" or "/path", as written, percent-encoding included, without a slash at its end.
    pub(crate) path: String,
    /// "" or "?query".
    pub(crate) query: String,
}

impl Url {
    /// Reads a URL as an option has it. A slash at the end of a server or an API means nothing and is left out.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let (scheme, rest) = if lower.starts_with("https://") {
            (Scheme::Https, &text[8..])
        } else if lower.starts_with("http://") {
            (Scheme::Http, &text[7..])
        } else {
            return Err("must begin with 'http://' or 'https://'".into());
        };
        if rest.chars().any(|c| c.is_control() || matches!(c, ' ' | '"' | '<' | '>' | '\\')) {
            return Err("holds a character that is not allowed in a URL (a blank, a quote, ...)".into());
        }
        if rest.split_once(['/', '?', '#']).is_some_and(|(_, tail)| tail.contains('@')) {
            // Half a password could be mistaken for a path, and shown.
            return Err("has an '@' in its path (a password's '/', '?' and '#' are %2F, %3F and %23)".into());
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (path, query) = tail.split_at(tail.find('?').unwrap_or(tail.len()));
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(credentials(user)?), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address)?;
        let port = port.unwrap_or(scheme.default_port());
        Ok(Url {
            scheme,
            credentials,
            host,
            port,
            path: path.trim_end_matches('/').into(),
            query: query.into(),
        })
    }

    /// This URL with further path segments, each percent-encoded as one segment.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.clone();
        for segment in segments {
            url.path.push('/');
            match *segment {
                // A client or proxy would resolve these, encoded or not; fewer of them do if they are encoded.
                "." => url.path.push_str("%2E"),
                ".." => url.path.push_str("%2E%2E"),
                other => url.path.extend(utf8_percent_encode(other, SEGMENT)),
            }
        }
        url
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}{}", self.path, self.query)
    }
}

fn credentials(user: &str) -> Result<Credentials, String> {
    let decoded = percent_decode_str(user).decode_utf8();
    let text = decoded.map_err(|_| "has credentials that are not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("has credentials with control characters".into());
    }
    Ok(Credentials(if text.contains(':') { text.into_owned() } else { format!("{text}:") }))
}

/// A host and, if it is there, a port.
fn host_and_port(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(end) = address.find(']') {
        let (host, rest) = address.split_at(end + 1);
        let inner = host.trim_start_matches('[').trim_end_matches(']');
        if !host.starts_with('[') || inner.parse::<core::net::Ipv6Addr>().is_err() {
            return Err("has an invalid IPv6 address".into());
        }
        (
            host,
            if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("has an invalid port")?) },
        )
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    if host.is_empty() {
        return Err("has no host name".into());
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !host.starts_with('[') && !host.bytes().all(name) {
        return Err("has a host name with an invalid character".into());
    }
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err("has an invalid port (1 to 65535)".into()),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Url::parse(text).map_or_else(|e| format!("! {e}"), |url| url.to_string())
    }

    #[test]
    fn urls_are_parsed_strictly() {
        for (text, expected) in [
            ("http://h:7480", "http://h:7480"),
            ("HTTP://Host", "http://host"),
            ("http://h:80/", "http://h"),
            ("https://h:443/pre/fix/", "https://h/pre/fix"),
            ("https://user:pa%40ss@h:8443/x#frag", "https://h:8443/x"),
            ("http://[::1]:7480/a", "http://[::1]:7480/a"),
            ("http://[::1]", "http://[::1]"),
            ("h:7480", "! must begin with 'http://' or 'https://'"),
            ("", "! must begin with 'http://' or 'https://'"),
            ("ftp://h", "! must begin with 'http://' or 'https://'"),
            ("http://", "! has no host name"),
            ("http://:80", "! has no host name"),
            ("http://h:99999", "! has an invalid port (1 to 65535)"),
            ("http://h:", "! has an invalid port (1 to 65535)"),
            ("http://h:0", "! has an invalid port (1 to 65535)"),
            ("http://h:+5", "! has an invalid port (1 to 65535)"),
            ("http://[::1", "! has an invalid port (1 to 65535)"),
            ("http://[zz]", "! has an invalid IPv6 address"),
            ("http://a b", "! holds a character that is not allowed in a URL (a blank, a quote, ...)"),
            ("http://h\r\nX: y", "! holds a character that is not allowed in a URL (a blank, a quote, ...)"),
            (
                "http://u:1/p@h",
                "! has an '@' in its path (a password's '/', '?' and '#' are %2F, %3F and %23)",
            ),
            (
                "http://u:1#p@h",
                "! has an '@' in its path (a password's '/', '?' and '#' are %2F, %3F and %23)",
            ),
            (
                "http://é:secret@h/p@h",
                "! has an '@' in its path (a password's '/', '?' and '#' are %2F, %3F and %23)",
            ),
            ("http://h/\u{84}", "! holds a character that is not allowed in a URL (a blank, a quote, ...)"),
            ("http://hé", "! has a host name with an invalid character"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = Url::parse("https://user:p%40ss@h").unwrap();
        assert_eq!(url.credentials.as_ref().unwrap().reveal(), "user:p@ss");
        assert!(!format!("{url} {url:?}").contains("p@ss"));
        assert!(!format!("{url} {url:?}").contains("user"));
    }

    #[test]
    fn a_segment_stays_one_segment() {
        let base = Url::parse("http://h/api/").unwrap();
        for (segment, path) in [
            ("main", "/api/servers/main"),
            ("a/b?c#d", "/api/servers/a%2Fb%3Fc%23d"),
            ("..", "/api/servers/%2E%2E"),
            ("ä b", "/api/servers/%C3%A4%20b"),
            ("20261122T101942", "/api/servers/20261122T101942"),
        ] {
            assert_eq!(base.join(&["servers", segment]).path, path);
        }
    }
}
