//! Follows an operation of known ID to its end, where nothing but the API tells of it. (A recovery has the data
//! directory as a witness, and its own way in `machine/poll.rs`.) Pure.

use std::time::Duration;

use crate::backoff::{Outage, Random, SHORTEST, poll_wait, retry_wait};
use crate::config::Settings;
use crate::machine::{Seen, seconds};
use crate::protocol::Status;

/// A 404 may be an answer that was read half-written; so many in a row are none.
const MOST_UNKNOWN: u32 = 3;

pub(crate) struct Follow {
    pub(crate) id: String,
    /// When it was created, or first heard of.
    began: Duration,
    /// Longest wait between two looks.
    loop_wait: Duration,
    outage: Outage,
    unknown: u32,
    told: Option<Duration>,
}

/// What an answer about the operation means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is in progress; true when it is time to say so.
    Wait(Duration, bool),
    /// No good answer; why, in a line.
    Again(Duration, String),
    Ended(Status),
    /// The API does not know it; its words.
    Unknown(String),
    /// No good answer for too long; why.
    Lost(String),
}

impl Follow {
    pub(crate) fn new(id: String, began: Duration, loop_wait: Duration) -> Follow {
        Follow { id, began, loop_wait, outage: Outage::default(), unknown: 0, told: None }
    }

    /// Takes what came of a poll.
    pub(crate) fn saw(
        &mut self,
        seen: Seen,
        now: Duration,
        settings: &Settings,
        random: &mut Random,
    ) -> Next {
        let (answer, status, retry_after) = match seen {
            Seen::Reply(reply) => (reply.operation(), reply.status, reply.retry_after),
            Seen::NoReply(none) => (Err(none.text), 0, None),
            _ => return Next::Again(Duration::ZERO, "no answer".into()),
        };
        let why = match answer {
            Ok(Status::InProgress) => {
                (self.outage, self.unknown) = (Outage::default(), 0);
                let tell = self.told.is_none_or(|told| now.saturating_sub(told) >= self.loop_wait);
                if tell {
                    self.told = Some(now);
                }
                return Next::Wait(poll_wait(now.saturating_sub(self.began), self.loop_wait), tell);
            }
            Ok(ended) => return Next::Ended(ended),
            Err(why) => why,
        };
        self.unknown = if status == 404 { self.unknown + 1 } else { 0 };
        if self.unknown >= MOST_UNKNOWN {
            return Next::Unknown(why);
        }
        let spent = self.outage.miss(now);
        let misses = self.outage.misses;
        if spent >= settings.max_outage && misses >= settings.min_misses && self.unknown == 0 {
            return Next::Lost(format!(
                "no good answer for {} ({misses} tries), the last: {why}",
                seconds(spent)
            ));
        }
        let wait = retry_wait(misses, settings.retry_wait, self.loop_wait, retry_after, random);
        let left = settings.max_outage.saturating_sub(spent);
        let line = format!("Attempt {misses} to ask about operation {} failed: {why}", self.id);
        Next::Again(if left.is_zero() { wait } else { wait.min(left).max(SHORTEST) }, line)
    }
}
