//! What the API says: whether it is up, whether it knows the server, and what it says of it.

use std::time::Duration;

use super::asked::Asked;
use super::finding::{Finding, Report};
use super::{backup, barman};
use crate::api::diagnose::{Diagnosis, Unknown};
use crate::api::{Reply, Request, TransportError};
use crate::recovery::problems::{API_HINT, refusal_hint};
use crate::text::seconds;
use crate::world::World;
use crate::world::host::Host;

const API: &str = "API";
const SERVER: &str = "server";

type Answer = Result<Reply, TransportError>;

/// What `/diagnose` says; or why that is not known. What is skipped then has been named.
pub(super) fn look(
    world: &mut dyn World,
    asked: &Asked,
    host: &Host,
    report: &mut Report,
) -> Result<Diagnosis, &'static str> {
    let found = ask(world, asked, report);
    let skip = |report: &mut Report, why| {
        report.skip(barman::ALL, why);
        report.skip(backup::ALL, why);
    };
    match found {
        _ if host.interrupt().is_some() => Err("interrupted"),
        Ok(diagnosis) => Ok(diagnosis),
        Err(why) => {
            skip(report, why);
            Err(why)
        }
    }
}

fn ask(world: &mut dyn World, asked: &Asked, report: &mut Report) -> Result<Diagnosis, &'static str> {
    let begun = world.now();
    let status = of_status(asked, once(world, asked, &Request::Status));
    match status {
        Ok(detail) => {
            let took = world.now().saturating_sub(begun);
            report.add(Finding::ok(API, format!("{detail} in {} ms", took.as_millis())));
        }
        Err(finding) => {
            report.add(finding);
            report.skip(&[SERVER], "the API is not working");
            return Err("the API is not working");
        }
    }
    match of_server(asked, once(world, asked, &Request::List)) {
        Ok(detail) => report.add(Finding::ok(SERVER, detail)),
        Err(finding) => {
            report.add(finding);
            return Err("the API does not know the server");
        }
    }
    if asked.restore.operation_id.is_some() {
        return Err("--operation-id: the operation has been created");
    }
    if !asked.restore.diagnose {
        return Err("--no-diagnose: the API is not asked for it");
    }
    let answer = once(world, asked, &Request::Diagnose);
    of_diagnose(asked, answer).map_err(|finding| {
        report.add(finding);
        "the API does not say it"
    })
}

/// Once, and no longer than the option says: whoever checks can do so again.
fn once(world: &mut dyn World, asked: &Asked, request: &Request) -> Answer {
    world.send(request, asked.connection.request_timeout)
}

fn of_status(asked: &Asked, answer: Answer) -> Result<String, Finding> {
    let url = &asked.connection.api_url;
    let (why, hint) = match answer {
        Ok(reply) => match reply.api_ok() {
            Ok(()) => {
                let how =
                    if url.https { "over TLS with a certificate that is trusted" } else { "without TLS" };
                return Ok(format!("{url}/status answers OK {how}"));
            }
            Err((_, why)) => {
                let is_refused = matches!(reply.status, 401 | 403);
                let hint =
                    if is_refused { refusal_hint(&format!("HTTP {}", reply.status)) } else { String::new() };
                (format!("{url}/status: {why}"), hint)
            }
        },
        Err(none) => (none.text, none.hint),
    };
    Err(Finding::failed(API, why, if hint.is_empty() { API_HINT } else { &hint }))
}

fn of_server(asked: &Asked, answer: Answer) -> Result<String, Finding> {
    let server = &asked.connection.barman_server;
    let answer = match answer {
        Ok(reply) => {
            let hint = refusal_hint(&format!("HTTP {}", reply.status));
            reply.operations().map_err(|why| (why, hint))
        }
        Err(none) => Err((none.text, none.hint)),
    };
    match answer {
        Ok(list) => Ok(format!("{server} exists, {} operations so far", list.len())),
        Err((why, hint)) => Err(Finding::failed(SERVER, format!("{server}: {why}"), hint)),
    }
}

/// A restore does not need this answer.
fn of_diagnose(asked: &Asked, answer: Answer) -> Result<Diagnosis, Finding> {
    let limit: Duration = asked.connection.request_timeout;
    let (why, hint) = match answer.map(|reply| reply.diagnosis(&asked.connection.barman_server)) {
        Ok(Ok(diagnosis)) => return Ok(diagnosis),
        Ok(Err(Unknown::Answer(why))) => {
            (why, "a restore does not need this answer; see the log of pg-backup-api".to_string())
        }
        Ok(Err(unknown)) => (unknown.to_string(), refusal_hint("HTTP 404")),
        Err(none) if none.timed_out => (
            none.text,
            format!(
                "Barman looks at all its servers for it, which may take longer than {}: --request-timeout allows more",
                seconds(limit)
            ),
        ),
        Err(none) => (none.text, none.hint),
    };
    Err(Finding::warning("diagnose", format!("the API does not say what Barman knows: {why}"), hint))
}
