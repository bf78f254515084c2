//! Waiting times, and the outage budget of a running operation. Pure: time and randomness are passed in.

use std::time::Duration;

use crate::api::{Reply, TransportError};
use crate::config::Connection;

/// Shortest wait between two requests.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);

/// The API's IDs have a resolution of one second: a create that failed because of another node's can't
/// succeed before.
pub(crate) const ID_RESOLUTION: Duration = Duration::from_secs(1);

/// A random time in `[0, limit)`, evenly distributed.
pub(crate) fn below(limit: Duration, random: u64) -> Duration {
    let bits = u32::try_from(random >> 40).unwrap_or_default(); // 24 bits
    limit.mul_f64(f64::from(bits) / f64::from(1_u32 << 24))
}

/// Wait before asking again about an operation that has run for `age`: a tenth of its age (including the time of the
/// request itself, hence 11), so that the delay in noticing its end is proportional. If the data directory can be
/// seen, its last mark says when to ask, and a quarter of the age is good enough.
pub(crate) fn poll_wait(age: Duration, loop_wait: Duration, seen: bool) -> Duration {
    if seen { (age / 4).min(loop_wait).max(SHORTEST * 2) } else { (age / 11).min(loop_wait).max(SHORTEST) }
}

/// Wait before the `n`th retry (from 1): doubled each time up to `cap`, plus up to a quarter as jitter. `Retry-After`
/// is honoured up to the cap.
pub(crate) fn retry_wait(
    n: u32,
    first: Duration,
    cap: Duration,
    retry_after: Option<Duration>,
    random: u64,
) -> Duration {
    let cap = cap.max(first);
    let doubled = first
        .max(SHORTEST)
        .saturating_mul(1 << n.saturating_sub(1).min(16))
        .clamp(SHORTEST, cap.max(SHORTEST));
    let wanted = doubled + below(doubled / 4, random);
    wanted.max(retry_after.unwrap_or_default().min(cap))
}

/// When something that is rate-limited was last done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Every(Option<Duration>);

impl Every {
    /// Whether it is due (again); if so, counts it as done now.
    pub(crate) fn is_due(&mut self, now: Duration, every: Duration) -> bool {
        let due = self.0.is_none_or(|last| now.saturating_sub(last) >= every);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// The time without a good answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage {
    since: Option<Duration>,
    misses: u32,
}

/// Why there is no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) why: String,
    /// What to do about it; empty if the caller knows better.
    pub(crate) hint: String,
    /// Whether a retry would get the same answer.
    pub(crate) permanent: bool,
    /// `Retry-After` of the reply.
    pub(crate) retry_after: Option<Duration>,
}

impl Missed {
    /// A reply that is not a good answer.
    pub(crate) fn by(reply: &Reply, why: String) -> Missed {
        let permanent = matches!(reply.status, 400..=499) && !matches!(reply.status, 408 | 429);
        Missed { why, hint: String::new(), permanent, retry_after: reply.retry_after }
    }
}

impl From<TransportError> for Missed {
    fn from(error: TransportError) -> Missed {
        let (hint, permanent) = (error.hint().unwrap_or_default().into(), error.is_permanent());
        Missed { why: error.message, hint, permanent, retry_after: None }
    }
}

/// An outage, as of its latest miss.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) lasted: Duration,
    pub(crate) tries: u32,
    /// Whether the budget is used up: both the time and the minimum number of tries.
    pub(crate) too_long: bool,
    /// Until the next try.
    pub(crate) wait: Duration,
}

impl Outage {
    /// Counts a miss; `cap` is the longest wait. While data `arrives` the budget is not used up.
    pub(crate) fn miss(
        &mut self,
        now: Duration,
        connection: &Connection,
        cap: Duration,
        missed: &Missed,
        arrives: bool,
        random: u64,
    ) -> Miss {
        self.misses = self.misses.saturating_add(1);
        if arrives {
            self.since = Some(now);
        }
        let lasted = now.saturating_sub(*self.since.get_or_insert(now));
        let left = connection.max_outage.saturating_sub(lasted);
        let too_long = !arrives && left.is_zero() && self.misses >= connection.min_misses;
        // Fits the minimum number of tries into the budget; once it is spent, the remaining ones follow quickly.
        let more = connection.min_misses.saturating_sub(self.misses).max(1);
        let most = match left {
            _ if arrives => cap,
            Duration::ZERO => connection.retry_wait,
            left => left / more,
        };
        let wait = retry_wait(self.misses, connection.retry_wait, cap, missed.retry_after, random);
        Miss { lasted, tries: self.misses, too_long, wait: wait.min(most).max(SHORTEST) }
    }

    /// Records a good answer; returns how long the outage was, if there was one.
    pub(crate) fn over(&mut self, now: Duration) -> Option<Duration> {
        self.misses = 0;
        self.since.take().map(|since| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn an_operations_end_is_noticed_in_proportion_to_its_length() {
        for length in [3_u32, 10, 60, 3_600, 86_400] {
            for (seen, share) in [(false, 10), (true, 4)] {
                let (end, mut now, mut polls) = (S * length, Duration::ZERO, 0);
                while now < end {
                    now += poll_wait(now, S * 10, seen);
                    polls += 1;
                }
                assert!(now - end <= (end / share).min(S * 10), "{length}: {:?}", now - end);
                assert!(polls < 80 + length / 10, "{length}: {polls} polls");
                assert!(!(seen && length == 60) || polls <= 35, "{polls} polls in a minute");
            }
        }
    }

    #[test]
    fn waits_grow_to_the_cap_with_jitter() {
        for random in [0, u64::MAX / 2, u64::MAX] {
            for (n, least, most) in
                [(1, 2.0, 2.5), (2, 4.0, 5.0), (3, 8.0, 10.0), (4, 10.0, 12.5), (99, 10.0, 12.5)]
            {
                let wait = retry_wait(n, S * 2, S * 10, None, random).as_secs_f64();
                assert!((least..=most).contains(&wait), "{n}: {wait}");
            }
        }
        assert_eq!(retry_wait(1, S * 2, S * 10, Some(S * 7), 0), S * 7);
        assert_eq!(retry_wait(1, S * 2, S * 10, Some(S * 3600), 0), S * 10);
        assert!(retry_wait(1, Duration::ZERO, Duration::ZERO, None, 0) >= SHORTEST);
    }
}
