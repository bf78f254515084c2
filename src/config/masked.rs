//! A refused URL for an error text: whoever mistyped it should see it, and nobody a password in it. Pure.

use crate::text::one_line;

const MASK: &str = "***";

/// The text with everything before its last `@` masked. It is no URL, so that nothing is certain of its parts: what
/// may be the second half of a password is masked too.
pub(crate) fn masked(text: &str) -> String {
    let (mask, rest) = match behind_at(text) {
        Some(rest) => ("***@", rest),
        None => ("", text),
    };
    // A query or fragment may hold a token, or the end of a password.
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (shown, cut) = rest.split_at(end);
    let shown = if mask.is_empty() { without_password(shown) } else { shown.into() };
    let cut = match cut.chars().next() {
        Some(first) => format!("{first}{MASK}"),
        None => String::new(),
    };
    one_line(&format!("{mask}{shown}{cut}"))
}

/// What follows the last `@`, which may be percent-encoded by mistake.
fn behind_at(text: &str) -> Option<&str> {
    ["@", "%40"].into_iter().filter_map(|at| Some(text.rsplit_once(at)?.1)).min_by_key(|rest| rest.len())
}

/// Without an `@` a port that is none may be a password, whose host was forgotten.
fn without_password(text: &str) -> String {
    let plain = |scheme: &str| scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    let start = text.find("://").filter(|at| text.get(..*at).is_some_and(plain)).map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    let is_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '[' | ']' | ':' | '.');
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.starts_with('[') && authority.chars().all(is_address) {
        return text.into();
    }
    let is_no_port = |at: &usize| {
        let behind = rest.get(at + 1..).unwrap_or_default();
        let port = behind.split('/').next().unwrap_or_default();
        let plain = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        !behind.is_empty() && (port.is_empty() || !plain)
    };
    match rest.match_indices(':').map(|(at, _)| at).find(is_no_port) {
        Some(at) => format!("{scheme}{}:{MASK}", rest.get(..at).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::Opt;
    use crate::config::{Config, Value};

    #[test]
    fn a_mistyped_url_is_recognized_without_its_credentials() {
        for (text, shown) in [
            ("barman:7480", "barman:7480"),
            ("http://barman:74800/x", "http://barman:74800/x"),
            ("http//barman", "http//barman"),
            ("http://[::1:80", "http://[::1:80"),
            ("http://bar man\n", "http://bar man"),
            ("http://u:p@barman:x/api", "***@barman:x/api"),
            ("u:p@barman", "***@barman"),
            ("http://u:p@ss@barman", "***@barman"),
            ("http://u:p/a@barman", "***@barman"),
            ("http://u:p%40barman", "***@barman"),
            ("http://u:p%2540barman", "http://u:***"),
            ("http://u:p%40ss@barman x", "***@barman x"),
            ("http://u:p@barman?token=x", "***@barman?***"),
            ("http://barman?token=x", "http://barman?***"),
            ("http://u:secret", "http://u:***"),
            ("http://u:sec/ret", "http://u:***"),
            ("http:/u:secret", "http:***"),
            ("http://u:123456", "http://u:***"),
            ("u:1#p", "u:1#***"),
            ("@", "***@"),
            ("", ""),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    const ODD: [&str; 20] = [
        "", "", "/", "//", ":", "?", "#", "@", "%40", "%", "%2", "%25", " ", "\\", "é", "\n", "[", "]", "1",
        "h",
    ];
    const SCHEMES: [&str; 9] =
        ["http://", "https://", "http:/", "http:", "http//", "", "HTTP://", "ftp://", "socks5://"];
    const TAILS: [&str; 8] = ["barman", "barman:74800", "barman/x", "[::1", "", ":", "barman?x", "é"];

    /// Whatever surrounds them: what stands before an `@`, and a password whose `@` was forgotten.
    #[test]
    fn no_error_ever_shows_credentials() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut pick = |count: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % count as u64).unwrap()
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut odd = || format!("{}{}", ODD[pick(ODD.len())], ODD[pick(ODD.len())]);
            let parts = [odd(), odd(), odd(), odd()];
            let [a, b, c, d] = parts;
            let (scheme, tail) = (SCHEMES[pick(SCHEMES.len())], TAILS[pick(TAILS.len())]);
            let at = ["@", "%40", "@"][pick(3)];
            let with_at = format!("{scheme}{a}U5ER{b}:{c}S3CRET{d}{at}{tail}");
            let without = format!("{scheme}name:S3CRET{d}{tail}");
            for (text, hidden) in [(with_at, &["U5ER", "S3CRET"][..]), (without, &["S3CRET"])] {
                for option in [Opt::ApiUrl, Opt::Proxy] {
                    let Err(error) = Config::new().set(option, Value::Text(&text)) else { continue };
                    refused += 1;
                    let shown = error.to_string();
                    assert!(!hidden.iter().any(|part| shown.contains(part)), "{text:?}: {shown}");
                    assert!(!shown.contains(char::is_control), "{shown:?}");
                }
            }
        }
        assert!(refused > 10_000, "{refused}");
    }
}
