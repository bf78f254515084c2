//! What the API says: whether it is up, whether it knows the server, and what `/diagnose` says about that.

use super::finding::{Finding, Recorder, Verdict};
use super::{backup, barman, space};
use crate::api::diagnose::Diagnosis;
use crate::api::{Reply, Request};
use crate::config::Connection;
use crate::config::url::{Scheme, Url};
use crate::error::{BadReply, Error};
use crate::recovery::explain::{api_hint, hint, problem};
use crate::text::seconds;
use crate::world::World;
use crate::world::caller::Caller;

const API: &str = "API";
const SERVER: &str = "server";

/// What `/diagnose` says; None if it gave no usable answer, because a restore does not need one. An error
/// says why a restore can't be requested. Without an answer, the checks that need it are recorded as skipped.
pub(super) fn look(
    world: &mut dyn World,
    connection: &Connection,
    caller: &Caller,
    record: &mut Recorder,
) -> Result<Option<Diagnosis>, &'static str> {
    let found = ask(world, connection, record);
    if caller.interrupt().is_some() {
        return Err("interrupted");
    }
    let why = match &found {
        Ok(Some(_)) => return found,
        Ok(None) => "/diagnose gave no usable answer",
        Err(why) => why,
    };
    record.skip(barman::ALL, why);
    record.skip(backup::ALL, why);
    record.skip(space::ALL, why);
    found
}

fn ask(
    world: &mut dyn World,
    connection: &Connection,
    record: &mut Recorder,
) -> Result<Option<Diagnosis>, &'static str> {
    let (url, server) = (&connection.api_url, &connection.barman_server);
    let begun = world.now();
    let answer = once(world, connection, &Request::Status).and_then(|reply| status(url, &reply));
    let took = world.now().saturating_sub(begun);
    if let Err(error) = answer {
        record.add(Finding::failed(API, &error.message, api_hint(&error)));
        record.skip(&[SERVER], "the API is not working");
        return Err("the API is not working");
    }
    let how = match url.scheme {
        Scheme::Https => "over TLS with a certificate that is trusted",
        Scheme::Http => "without TLS",
    };
    record.add(Finding::ok(API, format!("{url}/status answers OK {how} in {} ms", took.as_millis())));
    match once(world, connection, &Request::List).and_then(|reply| reply.operations()) {
        Ok(all) => {
            record.add(Finding::ok(SERVER, format!("{server} exists, {} operations so far", all.len())));
        }
        Err(error) => {
            record.add(Finding::problem(SERVER, problem(error.about(server))));
            return Err("the operations of the server could not be listed");
        }
    }
    let answer = once(world, connection, &Request::Diagnose).and_then(|reply| reply.diagnosis(server));
    Ok(answer.map_err(|error| record.add(no_diagnosis(connection, error))).ok())
}

/// Asks once, and no longer than the option allows: the user can simply check again.
fn once(world: &mut dyn World, connection: &Connection, request: &Request) -> Result<Reply, Error> {
    world.send(request, connection.request_timeout)
}

fn status(url: &Url, reply: &Reply) -> Result<(), Error> {
    reply.api_ok().map_err(|error| error.about(format_args!("{url}/status")))
}

/// A restore does not need this answer.
fn no_diagnosis(connection: &Connection, error: Error) -> Finding {
    let limit = seconds(connection.request_timeout);
    let hint = match error.bad_reply() {
        Some(BadReply::NoServer) | None if !error.is_late() => hint(&error),
        None => Some(format!(
            "to answer /diagnose, Barman connects to PostgreSQL on all its servers, and waits for any that does not answer: raise --request-timeout above {limit}, or run 'barman list-backups' on the Barman host to see which backup is the latest"
        )),
        Some(_) => Some("a restore does not need this answer; see the log of pg-backup-api".into()),
    };
    let detail = format!("/diagnose gave no usable answer: {}", error.message);
    Finding { hint, ..Finding::new(Verdict::Warning, "diagnose", detail) }
}
