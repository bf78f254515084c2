//! After a create whose answer does not say what it started: finds the operations that it may have started, and
//! follows them to their end.

use std::collections::HashSet;
use std::time::Duration;

use crate::api::date::{Date, is_recent};

use super::create::{Started, in_doubt};
use super::follow::{Ended, Fate, follow, miss};
use super::judge::{Operations, Origin};
use super::run::{End, Run};
use super::start::Baseline;
use super::watch::Watch;

/// How often the list is checked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Follows what a create has started, or may have started, to its end.
pub(crate) fn follow_started(
    run: &mut Run,
    watch: &mut Watch,
    baseline: &mut Baseline,
    started: Started,
) -> Result<Operations, End> {
    let doubt = match started {
        Started::InDoubt(doubt) => doubt,
        Started::Named(id) if baseline.0.as_ref().is_some_and(|known| known.contains(&id)) => {
            in_doubt(run, format!("it named operation {id}, which existed before"), false)
        }
        Started::Named(id) => {
            let ended = follow(run, watch, std::slice::from_ref(&id))?;
            if ended.iter().all(|ended| ended.fate != Fate::Unknown) {
                return Ok(Operations { origin: Origin::Named, ended });
            }
            in_doubt(run, format!("it named operation {id}, which the API does not know"), false)
        }
    };
    let ended = follow_candidates(run, watch, baseline.0.as_ref(), doubt.last_look)?;
    // Operations that have ended are not candidates after another create.
    baseline.add(ended.iter().map(|ended| ended.id.clone()));
    Ok(Operations { origin: Origin::InDoubt { timed_out: doubt.timed_out }, ended })
}

/// Checks the list until `last_look`, and follows every operation that was not `known` before the create. What is in
/// the data directory is no reason to finish earlier: it may come from a still older restore, while the create is yet
/// to be processed.
pub(crate) fn follow_candidates(
    run: &mut Run,
    watch: &mut Watch,
    known: Option<&HashSet<String>>,
    last_look: Duration,
) -> Result<Vec<Ended>, End> {
    let mut ended: Vec<Ended> = Vec::new();
    loop {
        let looked = run.now();
        let open: Vec<String> = candidates(run, watch, known)?
            .into_iter()
            .filter(|id| !ended.iter().any(|known| known.id == *id))
            .collect();
        for id in &open {
            run.info(format!("operation {id} is new and may be ours: following it"));
        }
        let followed = follow(run, watch, &open)?;
        for Ended { id, fate } in &followed {
            run.info(format!("operation {id} has ended: {}", fate.name()));
        }
        ended.extend(followed);
        if looked >= last_look {
            return Ok(ended);
        }
        let left = last_look.saturating_sub(run.now());
        watch.wait(run, LOOK_AGAIN.min(left))?;
    }
}

/// The recoveries that the create may have started: without a list from before it, the recent ones.
fn candidates(run: &mut Run, watch: &mut Watch, known: Option<&HashSet<String>>) -> Result<Vec<String>, End> {
    loop {
        let missed = match run.list()? {
            Ok((ids, date)) => {
                run.good_answer();
                return Ok(ids.into_iter().filter(|id| is_new(id, known, date)).collect());
            }
            Err(missed) => missed,
        };
        let Some(wait) = miss(run, watch, &missed, &[])? else { return Ok(Vec::new()) };
        watch.wait(run, wait)?;
    }
}

fn is_new(id: &str, known: Option<&HashSet<String>>, now: Option<Date>) -> bool {
    match (known, now) {
        (Some(known), _) => !known.contains(id),
        (None, Some(now)) => is_recent(id, now),
        (None, None) => true,
    }
}
