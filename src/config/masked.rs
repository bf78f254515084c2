//! A refused URL as shown in an error text: the user should see the typo, but nobody a password in it. Pure.

use crate::text::one_line;

const MASK: &str = "***";

/// The text with everything before its last `@` masked. It is not a valid URL, so nothing about its parts is certain:
/// anything that may be the second half of a password is masked too.
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

/// The part after the last `@`, which may be percent-encoded by mistake.
fn behind_at(text: &str) -> Option<&str> {
    ["@", "%40"].into_iter().filter_map(|at| Some(text.rsplit_once(at)?.1)).min_by_key(|rest| rest.len())
}

/// If there is no `@`, an invalid port may be a password whose host was forgotten.
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
}
