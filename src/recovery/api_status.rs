//! The first question of every run that starts something: is the API up? Pure.

use std::time::Duration;

use crate::config::Settings;
use crate::recovery::backoff::{Random, SHORTEST, retry_wait};
use crate::recovery::machine::Seen;

/// What to do when nothing better is known.
pub(crate) const HINT: &str =
    "check --api-url, and on the Barman host whether pg-backup-api runs ('pg-backup-api status')";

pub(crate) enum ApiStatus {
    Up,
    /// To be asked again after this time; why.
    Again(Duration, String),
    /// Not up and running, for good or for too long: what to say, and a hint.
    Down(String, String),
}

/// Takes what came of the `attempt`th question, from 1.
pub(crate) fn judge(seen: Seen, attempt: u32, settings: &Settings, random: &mut Random) -> ApiStatus {
    let mut retry_after = None;
    let (again, why, hint) = match seen {
        Seen::Reply(reply) => match reply.api_ok() {
            Ok(()) => return ApiStatus::Up,
            Err((again, why)) => {
                retry_after = reply.retry_after;
                (again, format!("{}: {why}", settings.api_url.join(&["status"])), String::new())
            }
        },
        Seen::Unanswered(none) => (!none.permanent, none.text, none.hint),
        _ => (true, "no answer".into(), String::new()),
    };
    let most = settings.max_retries.max(1);
    if !again || attempt >= most {
        let tries = if attempt > 1 { format!(" ({attempt} tries)") } else { String::new() };
        let hint = if hint.is_empty() { HINT.into() } else { hint };
        let message = format!("pg-backup-api is not working: {why}{tries}");
        return ApiStatus::Down(message, hint);
    }
    let line = format!("Attempt {attempt} of {most} to ask for the status of the API failed: {why}");
    let first = settings.retry_wait;
    let cap = settings.loop_wait.max(first);
    let wait = retry_wait(1, first, cap, retry_after, random).min(cap.max(SHORTEST));
    ApiStatus::Again(wait, line)
}
