//! What the API says: whether it is up, whether it knows the server, and what `/diagnose` says about that.

use super::finding::{Finding, Report};
use super::{backup, barman};
use crate::api::diagnose::{Diagnosis, Unknown};
use crate::api::{Reply, Request, TransportError};
use crate::config::Connection;
use crate::recovery::explain::{API_HINT, refusal_hint, status_hint};
use crate::text::seconds;
use crate::world::World;
use crate::world::host::Host;

const API: &str = "API";
const SERVER: &str = "server";

/// What is wrong with an answer, and what to do about it.
type Fault = (String, String);

/// What `/diagnose` says; None if it gave no usable answer, which a restore does not need. An error says why a restore
/// can't be asked for. The skipped checks have then been recorded.
pub(super) fn look(
    world: &mut dyn World,
    connection: &Connection,
    host: &Host,
    report: &mut Report,
) -> Result<Option<Diagnosis>, &'static str> {
    let found = ask(world, connection, report);
    if host.interrupt().is_some() {
        return Err("interrupted");
    }
    let why = match &found {
        Ok(Some(_)) => return found,
        Ok(None) => "/diagnose gave no usable answer",
        Err(why) => why,
    };
    report.skip(barman::ALL, why);
    report.skip(backup::ALL, why);
    found
}

fn ask(
    world: &mut dyn World,
    connection: &Connection,
    report: &mut Report,
) -> Result<Option<Diagnosis>, &'static str> {
    let (url, server) = (&connection.api_url, &connection.barman_server);
    let begun = world.now();
    let answer = once(world, connection, &Request::Status);
    let took = world.now().saturating_sub(begun);
    if let Err((why, hint)) = answer.map_err(of_none).and_then(|reply| status(connection, &reply)) {
        report.add(Finding::failed(API, why, if hint.is_empty() { API_HINT } else { &hint }));
        report.skip(&[SERVER], "the API is not working");
        return Err("the API is not working");
    }
    let how = if url.https { "over TLS with a certificate that is trusted" } else { "without TLS" };
    report.add(Finding::ok(API, format!("{url}/status answers OK {how} in {} ms", took.as_millis())));
    match once(world, connection, &Request::List).map_err(of_none).and_then(|reply| count(&reply)) {
        Ok(count) => report.add(Finding::ok(SERVER, format!("{server} exists, {count} operations so far"))),
        Err((why, hint)) => {
            report.add(Finding::failed(SERVER, format!("{server}: {why}"), hint));
            return Err("the operations of the server could not be listed");
        }
    }
    let answer = once(world, connection, &Request::Diagnose);
    Ok(diagnosis(connection, answer)
        .map_err(|(why, hint)| {
            let detail = format!("/diagnose gave no usable answer: {why}");
            report.add(Finding::warning("diagnose", detail, hint));
        })
        .ok())
}

/// Asks once, and no longer than the option allows: the user can simply check again.
fn once(world: &mut dyn World, connection: &Connection, request: &Request) -> Result<Reply, TransportError> {
    world.send(request, connection.request_timeout)
}

fn of_none(none: TransportError) -> Fault {
    let hint = none.hint().unwrap_or_default().into();
    (none.message, hint)
}

fn status(connection: &Connection, reply: &Reply) -> Result<(), Fault> {
    reply
        .api_ok()
        .map_err(|(_, why)| (format!("{}/status: {why}", connection.api_url), status_hint(reply.status)))
}

/// How many operations the server has had.
fn count(reply: &Reply) -> Result<usize, Fault> {
    let all = reply.operations();
    all.map(|all| all.len()).map_err(|why| (why, refusal_hint(&format!("HTTP {}", reply.status))))
}

/// A restore does not need this answer.
fn diagnosis(connection: &Connection, answer: Result<Reply, TransportError>) -> Result<Diagnosis, Fault> {
    let reply = answer.map_err(|none| {
        let limit = seconds(connection.request_timeout);
        let hint = format!(
            "Barman examines all its servers for this, which may take longer than {limit}: raise --request-timeout"
        );
        if none.is_late() { (none.message, hint) } else { of_none(none) }
    })?;
    reply.diagnosis(&connection.barman_server).map_err(|unknown| {
        let hint = match unknown {
            Unknown::Answer(_) => "a restore does not need this answer; see the log of pg-backup-api".into(),
            _ => refusal_hint("HTTP 404"),
        };
        (unknown.to_string(), hint)
    })
}
