//! What each reply of the API means, from its status and body alone; the content type is ignored. Pure.

use std::time::Duration;

use serde::Deserialize;

use crate::api::date::Date;
use crate::api::diagnose::Diagnosis;
use crate::api::operation::{Listed, OperationKind, Status};
use crate::api::page::page_text;
use crate::config::url::Url;
use crate::error::{BadReply, Error, ErrorKind};
use crate::text::one_line;

/// An answer from the API, or from a proxy in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Why the body is incomplete, if it is.
    pub(crate) cut: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// The day on which it was sent, by the sender's clock.
    pub(crate) date: Option<Date>,
    /// Where a redirect leads, if that is a whole URL.
    pub(crate) location: Option<Url>,
}

/// The text of the page for an error inside the API. Such an error happens before anything is started, unlike a 500
/// from gunicorn when its worker was killed.
const OWN_ERROR: &str = "The server encountered an internal error and was unable to complete your request";

/// What the reply to a create means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    /// The operation is running under this ID.
    Named(String),
    /// Nothing was started, and a retry gives the same answer.
    Refused(Error),
    /// Nothing was started; a retry may help (two creates in the same second, for example).
    NotStarted(Error),
    /// An operation may have been started.
    InDoubt(String),
}

impl Reply {
    /// `/status`: `Ok` when the API is up.
    pub(crate) fn api_ok(&self) -> Result<(), Error> {
        let (is_final, message) = match (self.status, self.json::<String>()) {
            (200, Ok(word)) if word == "OK" => return Ok(()),
            (200, Ok(word)) => (true, format!("it answers \"{}\" instead of \"OK\"", one_line(&word))),
            (200, Err(why)) => (false, format!("its answer is not understood ({why})")),
            (status, _) => (status < 500 && status != 408 && status != 429, self.says()),
        };
        let why = match self.status {
            300..=399 => BadReply::Moved,
            401 | 403 => BadReply::Denied,
            _ => BadReply::NotUp,
        };
        let kind = ErrorKind::BadReply { why, is_final, retry_after: self.retry_after };
        Err(Error { kind, message, hint: None })
    }

    /// Why this is not a good answer to a request about a server.
    fn bad(&self, why: BadReply, message: String) -> Error {
        let is_final = matches!(self.status, 400..=499) && !matches!(self.status, 408 | 429);
        let kind = ErrorKind::BadReply { why, is_final, retry_after: self.retry_after };
        Error { kind, message, hint: None }
    }

    /// The same error, with the reason that the status gives, in the server's own words.
    pub(crate) fn refusal(&self) -> Error {
        let message = self.says();
        let why = match self.status {
            300..=399 => BadReply::Moved,
            401 | 403 => BadReply::Denied,
            404 if message.contains("Backup '") => BadReply::NoBackup,
            404 => BadReply::NoServer,
            502..=504 => BadReply::NotUp,
            _ => BadReply::Other,
        };
        self.bad(why, message)
    }

    pub(crate) fn created(&self) -> Created {
        #[derive(Deserialize)]
        struct Body {
            operation_id: String,
        }
        let named = self.json::<Body>().map(|body| body.operation_id);
        match (self.status, named) {
            (200..=299, Ok(id)) if is_id(&id) => Created::Named(id),
            (200..=299, Ok(_)) => {
                Created::InDoubt(format!("HTTP {} with an invalid operation ID", self.status))
            }
            (200..=299, Err(why)) => {
                Created::InDoubt(format!("HTTP {} without an operation ID ({why})", self.status))
            }
            // A refusal that names an operation contradicts itself.
            (_, Ok(_)) => Created::InDoubt(format!("HTTP {} with an operation ID", self.status)),
            (429, Err(_)) => Created::NotStarted(self.refusal()),
            // 408 comes from a proxy that gave up on the API, and says nothing about what the API did.
            (300..=407 | 409..=499, Err(_)) => Created::Refused(self.refusal()),
            (500, Err(_)) if self.says().contains(OWN_ERROR) => {
                Created::NotStarted(self.bad(BadReply::ApiFailed, self.says()))
            }
            _ => Created::InDoubt(self.says()),
        }
    }

    /// The status of the operation that was asked about, or why this answer doesn't give it.
    pub(crate) fn operation(&self) -> Result<Status, Error> {
        #[derive(Deserialize)]
        struct Body {
            status: String,
        }
        match self.expected::<Body>()?.status.as_str() {
            "IN_PROGRESS" => Ok(Status::InProgress),
            "DONE" => Ok(Status::Done),
            "FAILED" => Ok(Status::Failed),
            other => {
                let message = format!("an unknown operation status '{}'", one_line(other));
                Err(self.bad(BadReply::Other, message))
            }
        }
    }

    /// The IDs of all operations that may be of this kind, including those of unknown type.
    pub(crate) fn ids(&self, kind: OperationKind) -> Result<Vec<String>, Error> {
        Ok(self
            .operations()?
            .into_iter()
            .filter(|listed| listed.may_be(kind))
            .map(|listed| listed.id)
            .collect())
    }

    /// Every operation.
    pub(crate) fn operations(&self) -> Result<Vec<Listed>, Error> {
        #[derive(Deserialize)]
        struct Body {
            operations: Vec<Listed>,
        }
        let Body { operations } = self.expected().map_err(|error| {
            if !self.is_plain_list() {
                return error;
            }
            let message = "the list of operations has plain strings, so pg-backup-api is older than 2.0";
            self.bad(BadReply::TooOld, message.into())
        })?;
        let sound = operations.iter().all(|operation| is_id(&operation.id));
        if sound { Ok(operations) } else { Err(self.bad(BadReply::Other, "an invalid operation ID".into())) }
    }

    /// Whether this is a list of operations as pg-backup-api before 2.0 writes it: their IDs alone.
    fn is_plain_list(&self) -> bool {
        #[derive(Deserialize)]
        struct Body {
            operations: Vec<String>,
        }
        self.status == 200 && self.json::<Body>().is_ok_and(|body| !body.operations.is_empty())
    }

    /// What the reply to `Diagnose` says about this server.
    pub(crate) fn diagnosis(&self, server: &str) -> Result<Diagnosis, Error> {
        match (self.status, &self.cut) {
            (200, None) => {
                Diagnosis::read(&self.body, server).map_err(|(why, message)| self.bad(why, message))
            }
            (200, Some(why)) => Err(self.bad(BadReply::Other, why.clone())),
            _ => Err(self.refusal()),
        }
    }

    /// The content of a good answer.
    fn expected<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        if self.status != 200 {
            return Err(self.refusal());
        }
        self.json().map_err(|why| self.bad(BadReply::Other, format!("an unexpected answer ({why})")))
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| match &self.cut {
            Some(why) => why.clone(),
            None if self.body.is_empty() => "its body is empty".into(),
            None => one_line(&error.to_string()),
        })
    }

    /// The HTTP status and the server's own words: the target of a redirect, `error` of a JSON reply, or the `<p>` of
    /// an HTML page.
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
        // The API repeats the status in its text: "404 Not Found: Server 'x' does not exist".
        let status = self.status.to_string();
        let words = words
            .strip_prefix(&status)
            .and_then(|rest| rest.split_once(": "))
            .map_or(words.as_str(), |w| w.1);
        if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {words}") }
    }
}

/// Whether this ID can be put into a request and a log line.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 200 && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.into(), cut: None, retry_after: None, date: None, location: None }
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

    /// The body of a recorded response.
    fn recorded(name: &str) -> Reply {
        let path = format!("{}/tests/recordings/{name}.http", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        reply(head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    #[test]
    fn a_create_is_named_refused_not_started_or_in_doubt() {
        let id = r#"{"operation_id":"20261122T102257"}"#;
        for status in [200, 202] {
            assert_eq!(reply(status, id).created(), Created::Named("20261122T102257".into()));
        }
        for status in [301, 307, 400, 401, 403, 404, 405, 415] {
            assert!(matches!(reply(status, "{}").created(), Created::Refused(_)), "{status}");
        }
        assert!(matches!(reply(429, "").created(), Created::NotStarted(_)));
        for (status, body) in [
            (301, id),
            (400, id),
            (404, id),
            (408, ""),
            (429, id),
            (500, id),
            (500, ""),
            (500, "<p>x</p>"),
            (500, r#"{"error":"500 Internal Server Error: x"}"#),
            (502, ""),
            (503, ""),
            (504, ""),
            (202, ""),
            (202, "{"),
            (202, "[]"),
            (202, "{}"),
            (202, r#"{"operation_id":""}"#),
            (202, r#"{"operation_id":7}"#),
            (101, ""),
            (999, ""),
            (202, r#"{"operation_id":"a\u0000b"}"#),
        ] {
            assert!(matches!(reply(status, body).created(), Created::InDoubt(_)), "{status} {body}");
        }
    }

    #[test]
    fn only_the_apis_own_500_started_nothing() {
        let own = recorded("create-recovery-same-second");
        assert!(matches!(own.created(), Created::NotStarted(_)));
        let own = String::from_utf8(own.body).unwrap();
        for status in [502, 503, 504] {
            assert!(matches!(reply(status, &own).created(), Created::InDoubt(_)), "{status}");
        }
        assert!(matches!(recorded("create-gunicorn-500").created(), Created::InDoubt(_)));
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = "[".repeat(1_000_000);
        assert!(reply(200, &deep).operation().is_err());
        assert!(reply(200, &format!(r#"{{"operations":{deep}"#)).ids(OperationKind::Recovery).is_err());
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
        assert_eq!(list.ids(OperationKind::Recovery).unwrap(), ["a", "c", "d", "e"]);
        assert_eq!(list.ids(OperationKind::ConfigSwitch).unwrap(), ["b", "d", "e"]);
        assert_eq!(list.ids(OperationKind::Any).unwrap(), ["a", "b", "c", "d", "e"]);
        for id in ["", "a\\nb", &"x".repeat(201)] {
            let list = reply(200, &format!("{{\"operations\":[{{\"id\":\"{id}\"}}]}}"));
            assert!(list.ids(OperationKind::Recovery).is_err(), "{id}");
        }
    }

    #[test]
    fn a_list_of_plain_strings_names_the_version_that_writes_it() {
        for (status, body, is_plain) in [
            (200, r#"{"operations":["20261122T102257"]}"#, true),
            (200, r#"{"operations":[]}"#, false),
            (200, r#"{"operations":[{"id":"a","type":"recovery"}]}"#, false),
            (200, r#"{"operations":["a",7]}"#, false),
            (404, r#"{"operations":["a"]}"#, false),
        ] {
            let list = reply(status, body);
            let said = list.operations().is_err_and(|error| error.message.contains("older than 2.0"));
            assert_eq!((list.is_plain_list(), said), (is_plain, is_plain), "{body}");
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
            assert_eq!(reply(status, body).api_ok().unwrap_err().is_final(), !again, "{status} {body}");
        }
    }
}
