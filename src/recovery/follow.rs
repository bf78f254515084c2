//! Follows an operation to its end: one that a reply named, or whatever a lost create may have started.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::api::{Reply, Request, Status};
use crate::error::Error;
use crate::outcome::{Code, OperationState};
use crate::text::{first_few, printable, seconds};

use super::create::Created;
use super::known_operations::KnownOperations;
use super::monitor::Monitor;
use super::session::{Outage, Session};
use super::verdict::Ended;
use crate::timing::{COMPLETE_IN_PROGRESS, COMPLETE_UNANSWERED, ID_RESOLUTION, LIST_AGAIN, LOOK, SHORTEST};

/// Follows what a create has started to its end.
pub(crate) fn follow(
    run: &mut Session,
    monitor: &mut Monitor,
    created: Created,
    known: &mut KnownOperations,
) -> Result<Ended, Error> {
    match created {
        Created::Named(id) => follow_named(run, monitor, &id),
        Created::InDoubt { why, last_look } => follow_candidates(run, monitor, known, &why, last_look),
        Created::NotStarted(failure) => Ok(Ended::Nothing(failure)),
    }
}

/// When to ask next, and what the last answer was.
struct Questions {
    next: Duration,
    outage: Outage,
}

impl Questions {
    /// Logs that the API answers again, if it did not.
    fn answered(&mut self, run: &mut Session) {
        let now = run.now();
        if let Some(outage) = self.outage.over(now) {
            run.info(format!("the API answers again, after {}", seconds(outage)));
        }
    }

    /// Counts a bad answer and logs it. Returns how the operation has ended if the outage has lasted too
    /// long. Data that arrived during the wait for that answer counts too.
    fn missed(
        &mut self,
        run: &mut Session,
        monitor: &mut Monitor,
        missed: &Error,
        about: &str,
    ) -> Result<Option<Ended>, Error> {
        if let Some(ended) = monitor.look(run)? {
            return Ok(Some(ended));
        }
        let news = monitor.news(run.now());
        let miss = self.outage.miss(run, missed, news);
        let (lasted, tries, why) = (seconds(miss.lasted), miss.tries, &missed.message);
        if miss.too_long {
            let url = &run.connection.api_url;
            return Ok(Some(Ended::Unclear(format!(
                "no valid answer about {about} from {url} for {lasted} ({tries} tries), the last error: {why}"
            ))));
        }
        let budget = seconds(run.connection.max_outage);
        run.warn(format!(
            "Attempt {tries} to ask about {about} failed: {why} (no valid answer for {lasted}, giving up after {budget} in which nothing arrives)"
        ));
        self.next = run.now() + miss.wait;
        Ok(None)
    }

    /// How long nothing must have happened before complete data counts as done without the API's answer.
    fn enough(&self) -> Duration {
        if self.outage.is_over() { COMPLETE_IN_PROGRESS } else { COMPLETE_UNANSWERED }
    }

    /// Waits until the next look or question.
    fn pause(&self, run: &mut Session) -> Result<(), Error> {
        let left = self.next.saturating_sub(run.now());
        run.pause(left.clamp(SHORTEST, LOOK))
    }
}

fn follow_named(run: &mut Session, monitor: &mut Monitor, id: &str) -> Result<Ended, Error> {
    let about = format!("operation {}", printable(id));
    let mut questions = Questions { next: Duration::ZERO, outage: Outage::default() };
    let mut asked = run.now();
    loop {
        if let Some(ended) = monitor.look(run)? {
            return Ok(ended);
        }
        let now = run.now();
        if questions.outage.is_over() {
            questions.next = asked + monitor.ask_wait(run);
        }
        if now >= questions.next {
            asked = now;
            match poll(run, id) {
                Ok(Status::Done) if monitor.believes_done(run) => return Ok(Ended::Done),
                Ok(Status::Failed) => return Ok(Ended::Failed),
                Ok(Status::Done | Status::InProgress) => {
                    questions.answered(run);
                    monitor.log_progress(run, id);
                }
                Err(error) if error.is_interrupt() => return Err(error),
                Err(missed) => {
                    if let Some(ended) = questions.missed(run, monitor, &missed, &about)? {
                        return Ok(ended);
                    }
                }
            }
        }
        if monitor.is_complete_for(run, questions.enough()) {
            return Ok(long_complete(&about));
        }
        questions.pause(run)?;
    }
}

/// Asks once about an operation. If the API does not know an operation that it has named itself, that is a
/// problem of the API, and no sign that the operation has ended.
pub(crate) fn poll(run: &mut Session, id: &str) -> Result<Status, Error> {
    run.ask(&Request::Poll(id.into()), Reply::operation)
}

fn nothing_came(why: &str) -> Ended {
    let why = format!("the create request has led to no operation ({why})");
    Ended::Nothing(Error::new(Code::HttpError, why))
}

fn long_complete(about: &str) -> Ended {
    Ended::Unclear(format!("the API does not say that {about} has ended, but the data is complete"))
}

/// How many of the operations that may be ours are asked about at a time. Otherwise an API that was too busy
/// to answer the creates of very many nodes would be asked by each node about the operations of all.
const ASKED_AT_ONCE: usize = 8;

/// The operations that a lost create may have started, each with its end.
#[derive(Default)]
struct Candidates {
    found: BTreeMap<String, Option<Status>>,
    /// How many questions about them have been asked: they take turns.
    asked: usize,
}

impl Candidates {
    fn open(&self) -> Vec<String> {
        self.found.iter().filter(|(_, end)| end.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// Those that are to be asked about now.
    fn next_ones(&mut self) -> Vec<String> {
        let mut open = self.open();
        let turn = self.asked.checked_rem(open.len()).unwrap_or_default();
        open.rotate_left(turn);
        open.truncate(ASKED_AT_ONCE);
        self.asked += open.len();
        open
    }

    fn have_all_ended(&self) -> bool {
        !self.found.is_empty() && self.found.values().all(Option::is_some)
    }

    fn has_any_ended(&self) -> bool {
        self.found.values().any(Option::is_some)
    }

    fn names(&self) -> String {
        match self.found.len() {
            0 => "an operation".into(),
            1 => format!("operation {}", first_few(self.found.keys().map(String::as_str))),
            _ => format!("one of the operations {}", first_few(self.found.keys().map(String::as_str))),
        }
    }

    /// How they have ended, all of them.
    fn end(&self) -> Ended {
        let all = |status| self.found.values().all(|end| *end == Some(status));
        if all(Status::Done) {
            Ended::Done
        } else if all(Status::Failed) {
            Ended::Failed
        } else {
            Ended::Unclear(format!(
                "it is not known which of the operations was this node's: {}",
                self.names()
            ))
        }
    }

    /// Asks for the list, and for the states of operations that have not ended, a few at a time. If Barman
    /// has used the lease, its operation must be in the list: a list without it is not a good answer. A bad answer about
    /// one operation counts if there is no good one about another that runs: one whose output is broken may be
    /// another node's.
    fn ask(
        &mut self,
        run: &mut Session,
        monitor: &mut Monitor,
        known: &KnownOperations,
    ) -> Result<(), Error> {
        let must_be_there = monitor.lease_is_used();
        for id in known.new_ones(run)? {
            if let Entry::Vacant(place) = self.found.entry(id) {
                run.info(format!("operation {} is new and may be ours: following it", place.key()));
                place.insert(None);
            }
        }
        if must_be_there && self.found.is_empty() {
            return Err(Error::new(Code::HttpError, "the API lists no operation that may be ours"));
        }
        if let [id] = self.open().as_slice()
            && self.found.len() == 1
        {
            run.set_operation(Some(id), OperationState::InProgress);
            monitor.note_operation(run, id);
        } else if self.found.len() > 1 {
            run.set_operation(None, OperationState::MaybeCreated);
        }
        let (mut runs_one, mut bad_answer) = (false, None);
        for id in self.next_ones() {
            match poll(run, &id) {
                Ok(Status::InProgress) => {
                    runs_one = true;
                    monitor.log_progress(run, &id);
                }
                Ok(status) => {
                    let state: OperationState = status.into();
                    run.info(format!("operation {id} has ended: {}", state.name()));
                    self.found.insert(id, Some(status));
                }
                Err(error) if error.bad_reply().is_some() => bad_answer = Some(error),
                Err(error) => return Err(error),
            }
        }
        bad_answer.filter(|_| !runs_one).map_or(Ok(()), Err)
    }
}

/// Finds what a create without a clear reply has started. If Barman uses the lease, the restore runs and is
/// followed. If the lease has not been used by `last_look`, the create has led to nothing.
fn follow_candidates(
    run: &mut Session,
    monitor: &mut Monitor,
    known: &mut KnownOperations,
    why: &str,
    last_look: Duration,
) -> Result<Ended, Error> {
    let mut candidates = Candidates::default();
    let mut questions = Questions { next: run.now(), outage: Outage::default() };
    loop {
        if let Some(ended) = monitor.look(run)? {
            return Ok(ended);
        }
        let now = run.now();
        // If the lease has been used by now, the list that is read next must have the operation.
        let is_used = !monitor.has_lease() || monitor.lease_is_used();
        if now >= questions.next {
            match candidates.ask(run, monitor, known) {
                Ok(()) => {
                    questions.answered(run);
                    questions.next = now + list_wait(monitor.ask_wait(run), now, last_look);
                    if is_used && has_ended(run, monitor, &candidates, last_look) {
                        known.add(candidates.found.keys().cloned());
                        return Ok(candidates.end());
                    }
                }
                Err(error) if error.is_interrupt() => return Err(error),
                Err(missed) => {
                    let ended = questions.missed(run, monitor, &missed, &candidates.names())?;
                    if let Some(ended) = ended.filter(|_| is_used && now >= last_look) {
                        return Ok(ended);
                    }
                    questions.next = questions.next.min(now + LIST_AGAIN);
                }
            }
        }
        // Without a lease only the list shows what the create started, so a missing list proves nothing.
        let is_unlisted = !monitor.has_lease() && candidates.found.is_empty() && questions.outage.is_over();
        if now >= last_look && (!is_used || is_unlisted) {
            // The questions may have taken long, and Barman may have come meanwhile.
            if let Some(ended) = monitor.look(run)? {
                return Ok(ended);
            }
            if monitor.lease_is_used() {
                continue;
            }
            known.add(candidates.found.into_keys());
            return Ok(nothing_came(why));
        }
        if candidates.has_any_ended() && monitor.has_lease() && monitor.is_complete(run) {
            return Ok(Ended::Unclear(format!("{} has ended", candidates.names())));
        }
        let enough = if candidates.found.is_empty() { COMPLETE_UNANSWERED } else { questions.enough() };
        if monitor.is_complete_for(run, enough) {
            return Ok(long_complete(&candidates.names()));
        }
        questions.pause(run)?;
    }
}

/// The wait before the list is read again. Until the last look a new operation may appear in it, one a second at most.
fn list_wait(wait: Duration, now: Duration, last_look: Duration) -> Duration {
    if now < last_look { LIST_AGAIN.min(wait.max(ID_RESOLUTION)) } else { wait }
}

/// Whether all candidates have ended, and no command shows that ours goes on. Without a lease another may still come
/// until the last look.
fn has_ended(run: &Session, monitor: &Monitor, candidates: &Candidates, last_look: Duration) -> bool {
    let (now, history) = (run.now(), &monitor.history);
    let is_quiet = !history.is_at_work(now) && history.idle(now).is_none_or(|idle| idle >= ID_RESOLUTION);
    candidates.have_all_ended() && if monitor.has_lease() { is_quiet } else { now >= last_look }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_that_may_be_ours_is_asked_about_in_its_turn() {
        for count in [0, 1, ASKED_AT_ONCE, ASKED_AT_ONCE + 1, 200] {
            let ids: Vec<String> = (0..count).map(|number| format!("{number:03}")).collect();
            let found = ids.iter().map(|id| (id.clone(), None)).collect();
            let mut candidates = Candidates { found, asked: 0 };
            let mut asked = Vec::new();
            while asked.len() < count {
                let next = candidates.next_ones();
                assert!((1..=ASKED_AT_ONCE).contains(&next.len()));
                asked.extend(next);
            }
            asked.truncate(count);
            asked.sort_unstable();
            assert_eq!(asked, ids);
        }
    }
}
