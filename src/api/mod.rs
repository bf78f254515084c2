//! The REST API of pg-backup-api: what each request looks like and what each reply means. Knows nothing of
//! sockets; replies are judged by status and body alone, whatever their content type. Pure.

pub(crate) mod diagnose;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::config::change::Change;
use crate::config::url::Url;
use crate::text::one_line;
use diagnose::{Backup, Unknown};

/// A question to the API, or the one request that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Status,
    List,
    Create,
    Poll(String),
    /// Changes the configuration of the server.
    Switch(Change),
    /// Everything that Barman knows; see `diagnose.rs`.
    Diagnose,
}

const SWITCH: &str = "config_switch";

/// A body of more than this is no status, operation or error.
const SMALL: usize = 1 << 20;
/// The list holds every operation ever, at about 44 bytes each: 8 MiB are 190,000 of them, one an hour for
/// 20 years, and still fit into a small process.
const LIST: usize = 8 << 20;

impl Request {
    pub(crate) fn segments<'a>(&'a self, settings: &'a Settings) -> Vec<&'a str> {
        match self {
            Request::Status => vec!["status"],
            Request::Diagnose => vec!["diagnose"],
            Request::List | Request::Create | Request::Switch(_) => {
                vec!["servers", &settings.barman_server, "operations"]
            }
            Request::Poll(id) => vec!["servers", &settings.barman_server, "operations", id],
        }
    }

    /// The body to send; a request with one is a POST.
    pub(crate) fn body(&self, settings: &Settings) -> Option<Vec<u8>> {
        #[derive(Serialize)]
        struct Create<'a> {
            r#type: &'a str,
            backup_id: &'a str,
            remote_ssh_command: &'a str,
            destination_directory: &'a str,
        }
        #[derive(Serialize)]
        struct Switch<'a> {
            r#type: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            model_name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reset: Option<bool>,
        }
        let body = match self {
            Request::Create => serde_json::to_vec(&Create {
                r#type: "recovery",
                backup_id: &settings.backup_id,
                remote_ssh_command: &settings.ssh_command,
                destination_directory: &settings.data_directory,
            }),
            Request::Switch(change) => {
                let (model_name, reset) = match change {
                    Change::Model(name) => (Some(name.as_str()), None),
                    Change::Reset => (None, Some(true)),
                };
                serde_json::to_vec(&Switch { r#type: SWITCH, model_name, reset })
            }
            _ => return None,
        };
        Some(body.unwrap_or_default()) // strings always serialize
    }

    pub(crate) fn timeout(&self, settings: &Settings) -> Duration {
        match self {
            // Barman connects to every PostgreSQL for it.
            Request::Create | Request::Switch(_) | Request::Diagnose => settings.create_timeout,
            _ => settings.request_timeout,
        }
    }

    /// Whether it starts something.
    pub(crate) fn changes(&self) -> bool {
        matches!(self, Request::Create | Request::Switch(_))
    }

    pub(crate) fn body_limit(&self) -> usize {
        match self {
            Request::List => LIST,
            Request::Diagnose => diagnose::LIMIT,
            _ => SMALL,
        }
    }
}

/// An answer of the API, or of something before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole, if it isn't.
    pub(crate) cut: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// When it was sent, by the sender's clock.
    pub(crate) sent: Option<Second>,
    /// Where a redirect leads.
    pub(crate) location: Option<Url>,
}

/// No reply came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransportError {
    /// Whether the request may have been processed: it was sent whole.
    pub(crate) sent: bool,
    /// Whether it was a timeout, while the API may have been at work.
    pub(crate) timed_out: bool,
    /// Whether asking again can't help (wrong certificate, ...).
    pub(crate) permanent: bool,
    pub(crate) text: String,
    pub(crate) hint: String,
}

/// A second of the quarter of an hour that it is in: the same in every time zone, so that a `Date` in GMT compares
/// with an operation's ID, which has Barman's local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Second(u16);

impl Second {
    const QUARTER: u16 = 900;

    /// Of a header `Date`: `Sun, 22 Nov 2026 10:22:57 GMT`.
    pub(crate) fn of_date(date: &str) -> Option<Second> {
        let mut time = date.trim().strip_suffix(" GMT")?.rsplit(' ').next()?.split(':').skip(1);
        let second = Second::new(time.next()?, time.next()?)?;
        time.next().is_none().then_some(second)
    }

    /// Of an operation's ID: `20261122T102257`.
    pub(crate) fn of_id(id: &str) -> Option<Second> {
        let time = id.split_once('T').filter(|(date, time)| (date.len(), time.len()) == (8, 6))?.1;
        Second::new(time.get(2..4)?, time.get(4..6)?)
    }

    fn new(minute: &str, second: &str) -> Option<Second> {
        let number = |text: &str| text.parse().ok().filter(|number: &u16| *number < 60);
        Some(Second((number(minute)? * 60 + number(second)?) % Self::QUARTER))
    }

    /// Whether this is the second of `other`, or the next one.
    pub(crate) fn ends(self, other: Second) -> bool {
        (self.0 + Self::QUARTER - other.0) % Self::QUARTER <= 1
    }
}

/// Status of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    InProgress,
    Done,
    Failed,
}

/// An operation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    /// The API's word for what it does; "" when it doesn't say.
    #[serde(default, rename = "type", deserialize_with = "or_empty")]
    pub(crate) kind: String,
}

/// A `null` is as good as nothing.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What the reply to a create means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    /// The operation runs under this ID.
    Operation(String),
    /// Nothing was started, and asking again gives the same answer.
    Refused(String),
    /// Nothing was started; the API failed before it (two creates in one second, for example).
    Failed(String),
    /// An operation may have been started.
    Unknown(String),
}

impl Reply {
    /// `/status`: `Ok` when the API is up; otherwise whether asking again may help, and why.
    pub(crate) fn api_ok(&self) -> Result<(), (bool, String)> {
        match (self.status, self.json::<String>()) {
            (200, Ok(word)) if word == "OK" => Ok(()),
            (200, Ok(word)) => Err((false, format!("it answers \"{}\" instead of \"OK\"", one_line(&word)))),
            (200, Err(why)) => Err((true, format!("its answer is not understood ({why})"))),
            (status, _) => Err((status >= 500 || status == 408 || status == 429, self.says())),
        }
    }

    pub(crate) fn created(&self) -> Created {
        #[derive(Deserialize)]
        struct Body {
            operation_id: String,
        }
        let named = self.json::<Body>().map(|body| body.operation_id);
        match (self.status, named) {
            (200..=299, Ok(id)) if is_id(&id) => Created::Operation(id),
            (200..=299, Ok(_)) => {
                Created::Unknown(format!("HTTP {} with an operation ID that is none", self.status))
            }
            (200..=299, Err(why)) => {
                Created::Unknown(format!("HTTP {} without an operation ID ({why})", self.status))
            }
            // A refusal names no operation: this reply contradicts itself.
            (_, Ok(_)) => Created::Unknown(format!("HTTP {} with an operation ID", self.status)),
            (300..=499, Err(_)) => Created::Refused(self.says()),
            (500, Err(_)) => Created::Failed(self.says()),
            _ => Created::Unknown(self.says()),
        }
    }

    /// The status of the operation that was asked about, or why this answer doesn't tell it.
    pub(crate) fn operation(&self) -> Result<Status, String> {
        #[derive(Deserialize)]
        struct Body {
            status: String,
        }
        if self.status != 200 {
            return Err(self.says());
        }
        let body: Body = self.json().map_err(|why| format!("an answer that is not understood ({why})"))?;
        match body.status.as_str() {
            "IN_PROGRESS" => Ok(Status::InProgress),
            "DONE" => Ok(Status::Done),
            "FAILED" => Ok(Status::Failed),
            other => Err(format!("an unknown operation status '{}'", one_line(other))),
        }
    }

    /// The IDs of everything that may be a recovery.
    pub(crate) fn recoveries(&self) -> Result<Vec<String>, String> {
        let other = |kind: &str| matches!(kind, SWITCH | "config_update");
        Ok(self.operations()?.into_iter().filter(|op| !other(&op.kind)).map(|op| op.id).collect())
    }

    /// The IDs of everything that may be a config switch.
    pub(crate) fn switches(&self) -> Result<Vec<String>, String> {
        let may_be = |kind: &str| matches!(kind, SWITCH | "");
        Ok(self.operations()?.into_iter().filter(|op| may_be(&op.kind)).map(|op| op.id).collect())
    }

    /// Every operation.
    pub(crate) fn operations(&self) -> Result<Vec<Listed>, String> {
        #[derive(Deserialize)]
        struct Body {
            operations: Vec<Listed>,
        }
        if self.status != 200 {
            return Err(self.says());
        }
        let body: Body = self.json().map_err(|why| format!("an answer that is not understood ({why})"))?;
        let sound = body.operations.iter().all(|operation| is_id(&operation.id));
        if sound { Ok(body.operations) } else { Err("an operation ID that is none".into()) }
    }

    /// The backup of this ID or alias, from the reply to `Diagnose`.
    pub(crate) fn backup(&self, server: &str, backup: &str) -> Result<Backup, Unknown> {
        match (self.status, &self.cut) {
            (200, None) => diagnose::find_backup(&self.body, server, backup),
            (200, Some(why)) => Err(Unknown::Answer(why.clone())),
            _ => Err(Unknown::Answer(self.says())),
        }
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| match &self.cut {
            Some(why) => why.clone(),
            None if self.body.is_empty() => "its body is empty".into(),
            None => one_line(&error.to_string()),
        })
    }

    /// Status and the server's own words: where it sends us, `error` of a JSON reply, or the text of an HTML
    /// page's `<p>`.
    pub(crate) fn says(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            error: String,
        }
        if let (300..=399, Some(to)) = (self.status, &self.location) {
            return format!("HTTP {}: the API has moved to {}", self.status, one_line(&to.to_string()));
        }
        let words = match self.json::<Body>() {
            Ok(body) => one_line(&body.error),
            Err(_) => one_line(&page_text(&String::from_utf8_lossy(&self.body))),
        };
        // The API repeats the status: "404 Not Found: Server 'x' does not exist".
        let status = self.status.to_string();
        let words = words
            .strip_prefix(&status)
            .and_then(|rest| rest.split_once(": "))
            .map_or(words.as_str(), |w| w.1);
        if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {words}") }
    }
}

/// Whether this can be asked about and logged.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 200 && !id.chars().any(char::is_control)
}

/// The text of the first `<p>` (or else `<title>`) of a page, tags removed and entities decoded.
fn page_text(page: &str) -> String {
    let lower = page.to_ascii_lowercase(); // same length: byte positions hold for both
    let inside = |tag: &str| {
        let open = lower.find(&format!("<{tag}>"))? + tag.len() + 2;
        let rest = page.get(open..)?;
        let end = lower.get(open..)?.find(&format!("</{tag}>")).unwrap_or(rest.len());
        rest.get(..end)
    };
    let Some(marked) = inside("p").or_else(|| inside("title")) else { return String::new() };
    let mut text = String::new();
    let mut in_tag = false;
    for c in marked.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if !in_tag => text.push(c),
            _ => {}
        }
    }
    for (entity, plain) in [
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.into(), cut: None, retry_after: None, sent: None, location: None }
    }

    #[test]
    fn the_servers_own_words_are_found() {
        for (status, body, words) in [
            (
                404,
                r#"{"error":"404 Not Found: Server 'nope' does not exist"}"#,
                "HTTP 404: Server 'nope' does not exist",
            ),
            (
                400,
                "<!doctype html>\n<title>400 Bad Request</title>\n<p>Minimum barman options not met for server &#39;pg&#39;</p>",
                "HTTP 400: Minimum barman options not met for server 'pg'",
            ),
            (502, "<html><head><TITLE>502 Bad Gateway</TITLE></head>", "HTTP 502: 502 Bad Gateway"),
            (401, "<p>a <b>&amp;lt;</b>", "HTTP 401: a &lt;"),
            (403, "", "HTTP 403"),
            (400, "plain text", "HTTP 400"),
        ] {
            assert_eq!(reply(status, body).says(), words);
        }
    }

    #[test]
    fn replies_to_a_create_are_classified() {
        let id = r#"{"operation_id":"20261122T102257"}"#;
        assert_eq!(reply(202, id).created(), Created::Operation("20261122T102257".into()));
        assert_eq!(reply(200, id).created(), Created::Operation("20261122T102257".into()));
        for status in [301, 307, 400, 401, 403, 404, 405, 415, 429] {
            assert!(matches!(reply(status, "{}").created(), Created::Refused(_)), "{status}");
            assert!(matches!(reply(status, id).created(), Created::Unknown(_)), "{status}");
        }
        assert!(matches!(reply(500, "<p>x</p>").created(), Created::Failed(_)));
        for (status, body) in [
            (502, ""),
            (503, ""),
            (504, ""),
            (202, ""),
            (202, "{"),
            (202, "[]"),
            (202, "{}"),
            (500, id),
            (202, r#"{"operation_id":""}"#),
            (202, r#"{"operation_id":7}"#),
            (101, ""),
            (999, ""),
            (202, r#"{"operation_id":"a\u0000b"}"#),
        ] {
            assert!(matches!(reply(status, body).created(), Created::Unknown(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_second_is_the_same_in_every_time_zone() {
        let id = Second::of_id("20261122T102257").unwrap();
        for date in ["Sun, 22 Nov 2026 10:22:57 GMT", "Sun, 22 Nov 2026 04:37:57 GMT"] {
            assert_eq!(Second::of_date(date), Some(id), "{date}");
        }
        assert!(Second::of_date("Sun, 22 Nov 2026 10:22:58 GMT").unwrap().ends(id));
        for other in ["10:22:56", "10:22:59", "10:21:57", "10:07:56"] {
            let date = format!("Sun, 22 Nov 2026 {other} GMT");
            assert!(!Second::of_date(&date).unwrap().ends(id), "{date}");
        }
        let midnight = Second::of_date("Mon, 23 Nov 2026 00:00:00 GMT").unwrap();
        assert!(midnight.ends(Second::of_id("20261122T235959").unwrap()));
        for date in
            ["", "GMT", "10:22 GMT", "10:22:57", "10:22:57:1 GMT", "10:-1:57 GMT", "10:22:60 GMT", "::: GMT"]
        {
            assert_eq!(Second::of_date(date), None, "{date}");
        }
        for id in
            ["", "T", "20261122T10225", "20261122T1022571", "20261122T10225é", "other-1", "20261122T102260"]
        {
            assert_eq!(Second::of_id(id), None, "{id}");
        }
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = "[".repeat(1_000_000);
        assert!(reply(200, &deep).operation().is_err());
        assert!(reply(200, &format!(r#"{{"operations":{deep}"#)).recoveries().is_err());
        assert!(reply(200, &format!(r#"{{"x":{deep}"#)).api_ok().is_err());
    }

    #[test]
    fn only_a_good_answer_counts() {
        assert_eq!(reply(200, r#"{"operation_id":"a","status":"DONE"}"#).operation(), Ok(Status::Done));
        assert_eq!(reply(200, r#"{"status":"IN_PROGRESS"}"#).operation(), Ok(Status::InProgress));
        for (status, body) in [
            (202, r#"{"status":"DONE"}"#),
            (200, r#"{"status":"done"}"#),
            (200, "{}"),
            (404, "{}"),
            (200, "\"DONE\""),
        ] {
            assert!(reply(status, body).operation().is_err(), "{status} {body}");
        }
    }

    #[test]
    fn an_operation_of_unknown_type_may_be_a_recovery() {
        let list = reply(
            200,
            r#"{"operations":[{"id":"a","type":"recovery"},{"id":"b","type":"config_switch"},{"id":"c","type":"recoverx"},{"id":"d"},{"id":"e","type":null}]}"#,
        );
        assert_eq!(list.recoveries().unwrap(), ["a", "c", "d", "e"]);
        assert_eq!(list.switches().unwrap(), ["b", "d", "e"]);
        for id in ["", "a\\nb", &"x".repeat(201)] {
            let list = reply(200, &format!("{{\"operations\":[{{\"id\":\"{id}\"}}]}}"));
            assert!(list.recoveries().is_err(), "{id}");
        }
    }

    #[test]
    fn status_tells_whether_to_ask_again() {
        assert_eq!(reply(200, "\"OK\"\n").api_ok(), Ok(()));
        for (status, body, again) in [
            (200, "\"down\"", false),
            (200, "\"O", true),
            (500, "", true),
            (503, "", true),
            (401, "", false),
            (404, "", false),
        ] {
            assert_eq!(reply(status, body).api_ok().unwrap_err().0, again, "{status} {body}");
        }
    }
}
