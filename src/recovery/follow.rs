//! Follows an operation of known ID to its end, where nothing but the API tells of it. (A recovery has the data
//! directory as a witness, and its own way in `machine/poll.rs`.) Pure.

use std::time::Duration;

use crate::api::Status;
use crate::config::Settings;
use crate::recovery::backoff::{Outage, Random, Told, poll_wait};
use crate::recovery::machine::Seen;
use crate::text::seconds;

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
    told: Told,
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
        Follow { id, began, loop_wait, outage: Outage::default(), unknown: 0, told: Told::default() }
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
            Seen::Unanswered(none) => (Err(none.text), 0, None),
            _ => return Next::Again(Duration::ZERO, "no answer".into()),
        };
        let why = match answer {
            Ok(Status::InProgress) => {
                (self.outage, self.unknown) = (Outage::default(), 0);
                let tell = self.told.is_due(now, self.loop_wait);
                return Next::Wait(poll_wait(now.saturating_sub(self.began), self.loop_wait), tell);
            }
            Ok(ended) => return Next::Ended(ended),
            Err(why) => why,
        };
        self.unknown = if status == 404 { self.unknown + 1 } else { 0 };
        if self.unknown >= MOST_UNKNOWN {
            return Next::Unknown(why);
        }
        let miss = self.outage.miss(now, settings, self.loop_wait, retry_after, random);
        // Whether the API knows the operation is still open: that is told, not that it can't be sent.
        if miss.too_long && self.unknown == 0 {
            let (lasted, tries) = (seconds(miss.lasted), miss.tries);
            return Next::Lost(format!("no good answer for {lasted} ({tries} tries), the last: {why}"));
        }
        let line = format!("Attempt {} to ask about operation {} failed: {why}", miss.tries, self.id);
        Next::Again(miss.wait, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Reply, TransportError};
    use crate::config::Config;
    use crate::config::options::{Command, Opt};

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn settings(options: &[(Opt, u32)]) -> Settings {
        let mut config = Config::new();
        config.set(Opt::ApiUrl, "http://h").unwrap().set(Opt::BarmanServer, "main").unwrap();
        for (option, value) in options {
            config.set(*option, *value).unwrap();
        }
        config.settings(Command::Operations).unwrap()
    }

    fn refused() -> Seen {
        Seen::Unanswered(TransportError {
            sent: false,
            timed_out: false,
            permanent: false,
            text: "refused".into(),
            hint: String::new(),
        })
    }

    fn unknown() -> Seen {
        Seen::Reply(Reply {
            status: 404,
            body: Vec::new(),
            cut: None,
            retry_after: None,
            date: None,
            location: None,
        })
    }

    /// Asks until it is over; tells when that was, after how many answers, and what was the end.
    fn until_over(options: &[(Opt, u32)], answer: impl Fn(u32) -> Seen) -> (Duration, u32, Next) {
        let settings = settings(options);
        let (mut random, mut now) = (Random::new(7), Duration::ZERO);
        let mut follow = Follow::new("x".into(), now, settings.loop_wait);
        for answers in 1.. {
            match follow.saw(answer(answers), now, &settings, &mut random) {
                Next::Wait(wait, _) | Next::Again(wait, _) => now += wait,
                end => return (now, answers, end),
            }
            assert!(answers < 100_000, "it does not end");
        }
        unreachable!()
    }

    /// The machine has the same table.
    #[test]
    fn the_outage_budget() {
        for (options, least, most, tries) in [
            (&[][..], secs(300), secs(301), 1),
            (&[(Opt::MaxOutage, 1000)], secs(1000), secs(1001), 1),
            (&[(Opt::MaxOutage, 0)], secs(0), secs(1), 1),
            (&[(Opt::RetryWait, 3)], secs(15), secs(16), 5),
            (&[(Opt::MaxRetries, 50)], secs(100), secs(101), 50),
            (&[(Opt::RetryWait, 0)], secs(0), secs(1), 5),
        ] {
            let (lasted, asked, end) = until_over(options, |_| refused());
            assert!(matches!(end, Next::Lost(_)), "{options:?}: {end:?}");
            assert!((least..=most).contains(&lasted) && asked >= tries, "{options:?}: {lasted:?}, {asked}");
        }
    }

    #[test]
    fn an_operation_is_unknown_after_three_404s_in_a_row_whatever_the_budget() {
        for options in [&[][..], &[(Opt::MaxOutage, 0)], &[(Opt::MaxRetries, 1)]] {
            let (_, asked, end) = until_over(options, |_| unknown());
            assert!(asked == 3 && matches!(end, Next::Unknown(_)), "{options:?}: {asked}, {end:?}");
        }
        let mixed = |answer: u32| if answer.is_multiple_of(3) { refused() } else { unknown() };
        let (_, _, end) = until_over(&[(Opt::MaxOutage, 60)], mixed);
        assert!(matches!(end, Next::Lost(_)), "{end:?}");
    }
}
