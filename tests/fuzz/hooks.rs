//! What the fuzz targets (`tests/fuzz`) feed with bytes: everything that parses data written by others, each with the
//! promises that must hold for any input. A unit test feeds them the committed corpus.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a target reports what it found")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use crate::api::{Created, OperationKind, Reply};
use crate::config::Config;
use crate::config::options::{Command, Kind, OPTIONS, Opt};
use crate::config::url::Url;
use crate::ffi::functions::*;
use crate::outcome::Code;
use crate::recovery::history::History;
use crate::world::LogLine;
use crate::world::lease::parse_line;
use crate::world::state::parse_note;

/// A reply of the API: three digits of status, a byte that says whether the body is cut off (`!`), the body.
pub fn replies(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(4));
    let digits = head.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    let status = digits.and_then(|digits| digits.parse().ok()).unwrap_or(200);
    let cut = (head.last() == Some(&b'!')).then(|| "cut off".to_string());
    let reply = Reply { status, body: body.into(), cut, retry_after: None, date: None, location: None };

    assert_one_line(&reply.says());
    match reply.api_ok() {
        Ok(()) => assert_eq!(status, 200),
        Err(error) => assert_one_line(&error.message),
    }
    match reply.created() {
        Created::Named(id) => assert!((200..300).contains(&status) && is_loggable(&id)),
        Created::Refused(error) => {
            assert!((300..500).contains(&status));
            assert_one_line(&error.message);
        }
        Created::NotStarted(error) => {
            assert!(matches!(status, 429 | 500));
            assert_one_line(&error.message);
        }
        Created::InDoubt(why) => assert_one_line(&why),
    }
    match reply.operation() {
        Ok(_) => assert_eq!(status, 200),
        Err(error) => assert_one_line(&error.message),
    }
    match reply.ids(OperationKind::Recovery) {
        Ok(ids) => assert!(status == 200 && ids.iter().all(|id| is_loggable(id))),
        Err(error) => assert_one_line(&error.message),
    }
    for backup in ["latest", "oldest", "last-failed", "20261122T133430"] {
        let found = reply
            .diagnosis("pg")
            .map_err(|error| error.message)
            .and_then(|diagnosis| diagnosis.backup(backup).cloned());
        match found {
            Ok(_) => assert!(status == 200 && reply.cut.is_none()),
            Err(why) => assert_one_line(&why),
        }
    }
}

/// What is in a state directory: a note, or the log of a lease. Whoever is this user can have written it.
pub fn state(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(note) = parse_note(&text) {
        assert!(
            [note.api_url, note.backup_id, note.data_directory]
                .iter()
                .all(|text| is_loggable(text) || text.is_empty())
        );
    }
    let mut history = History::blind(Duration::ZERO);
    for (second, line) in text.split('\n').enumerate() {
        let now = Duration::from_secs(second as u64);
        let lines: Vec<_> = parse_line(line).into_iter().collect();
        for line in &lines {
            if let LogLine::Began(_, words) = line {
                assert_one_line(words);
            }
        }
        history.log(now, Ok(lines));
        history.began_twice("/pg/data");
        assert!(history.idle(now).is_none() == history.runs_a_command());
    }
}

/// Lines: a URL, then path segments to add to it.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    for option in [Opt::ApiUrl, Opt::Proxy] {
        if let Err(error) = Config::new().set(option, first) {
            assert_one_line(&error.to_string());
        }
    }
    let Ok(url) = Url::parse(first) else { return };
    let shown = printed(&url);
    assert!(
        Url::parse(&shown).is_ok_and(|again| Url { credentials: url.credentials.clone(), ..again } == url)
    );
    for line in lines {
        let joined = url.join(&["servers", line]);
        assert_eq!(joined.path.matches('/').count(), url.path.matches('/').count() + 2);
        printed(&joined);
    }
}

/// Calls of the C functions: for each a byte for the option, and its value up to the next newline. The commands at the
/// end are cancelled before they begin.
pub fn setters(data: &[u8]) {
    let handle = barman_recover_new();
    assert!(!handle.is_null());
    let at = |pointer: &CStr| text(barman_recover_get(handle, pointer.as_ptr()));
    for call in data.split(|byte| *byte == b'\n') {
        let Some((which, value)) = call.split_first() else { continue };
        let spec = OPTIONS.get(usize::from(*which) % (OPTIONS.len() + 2));
        let is_path = spec.is_none_or(|spec| spec.kind == Kind::Path) && !value.is_empty();
        // Nothing on this machine may be read.
        let value = if is_path { [b"/nonexistent/", value].concat() } else { value.into() };
        let name = spec.map_or(value.clone(), |spec| spec.name.into());
        let code = given(&name, |name| given(&value, |value| barman_recover_set(handle, name, value)));
        assert!(code == 0 || code == Code::InvalidArgument as i32, "{code}");
        assert!(code == 0 || (barman_recover_code(handle) == code && !at(c"/message").is_empty()));
        given(&value, |pointer| {
            text(barman_recover_get(handle, pointer));
            0
        });
    }
    for command in Command::ALL {
        barman_recover_cancel(handle);
        assert_eq!(given(command.name().as_bytes(), |name| barman_recover_start(handle, name)), 0);
        while barman_recover_next_event(handle, 60_000) > 0 {}
        assert_eq!((barman_recover_code(handle), at(c"/code").as_str()), (Code::Cancelled as i32, "-4"));
        assert_eq!((at(c"/code_name").as_str(), at(c"/nothing").as_str()), ("CANCELLED", ""));
        assert!(text(barman_recover_event(handle, c"".as_ptr())).is_empty());
    }
    barman_recover_free(handle);
}

/// Passes a C string, or NULL if the text can't be one.
fn given(value: &[u8], call: impl FnOnce(*const c_char) -> i32) -> i32 {
    let text = CString::new(value).ok();
    call(text.as_ref().map_or(ptr::null(), |text| text.as_ptr()))
}

fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: the header promises a text that lives until the next call with the handle.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    assert!(text.is_ok_and(|text| !text.contains(char::is_control)), "{text:?}");
    text.unwrap_or_default().into()
}

fn is_loggable(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn assert_one_line(text: &str) {
    assert!(is_loggable(text), "{text:?}");
}

fn printed(url: &Url) -> String {
    let shown = url.to_string();
    assert!(is_loggable(&shown) && !shown.contains(' ') && !shown.contains('#'), "{shown:?}");
    shown
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_corpus_finds_nothing() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let targets =
            [("replies", replies as fn(&[u8])), ("setters", setters), ("state", state), ("url", url)];
        for (target, feed) in targets {
            let inputs = fs::read_dir(corpus.join(target)).unwrap();
            let count = inputs.map(|input| feed(&fs::read(input.unwrap().path()).unwrap())).count();
            assert!(count > 10, "{target}: {count}");
        }
    }
}
