//! The operations of the API that are not this run's. What is new among the others may have come of a create whose reply
//! was lost.

use std::collections::HashSet;

use crate::api::Request;
use crate::api::date::{Date, is_recent};
use crate::error::Error;

use super::session::Session;

/// The operations that are not ours: those from before the create, and those that have ended since. None if they could
/// not be listed.
pub(crate) struct KnownOperations(Option<HashSet<String>>);

impl KnownOperations {
    /// Asks for the list before the first create. A restore does not need it: it only makes a lost reply clearer.
    pub(crate) fn list(run: &mut Session) -> Result<KnownOperations, Error> {
        let kind = run.kind;
        match run.ask_again(&Request::List, "the list of operations", |reply| reply.ids(kind)) {
            Ok(ids) => Ok(KnownOperations(Some(ids.into_iter().collect()))),
            Err(error) if error.is_interrupt() => Err(error),
            Err(error) => {
                let why = error.message;
                run.warn(format!("the operations can't be listed ({why}): continuing without the list"));
                Ok(KnownOperations(None))
            }
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|known| known.contains(id))
    }

    /// The newest of them: their IDs begin with the time.
    pub(crate) fn newest(&self, most: usize) -> Vec<String> {
        let mut ids: Vec<String> = self.0.iter().flatten().cloned().collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(most);
        ids
    }

    /// Adds operations; returns whether any of them is new.
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = String>) -> bool {
        let known = self.0.get_or_insert_default();
        let before = known.len();
        known.extend(ids);
        known.len() > before
    }

    /// Asks once for the operations that are new; without a list from before the create, for the recent ones.
    pub(crate) fn new_ones(&self, run: &mut Session) -> Result<Vec<String>, Error> {
        let kind = run.kind;
        let (ids, date) = run.ask(&Request::List, |reply| Ok((reply.ids(kind)?, reply.date)))?;
        let is_new = |id: &String, now: Option<Date>| match (&self.0, now) {
            (Some(known), _) => !known.contains(id),
            (None, Some(now)) => is_recent(id, now),
            (None, None) => true,
        };
        Ok(ids.into_iter().filter(|id| is_new(id, date)).collect())
    }
}
