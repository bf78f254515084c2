//! Waiting times: repetition with jitter, and the outage budget of a running operation. Pure: time and
//! seed are passed in.

use std::time::Duration;

use crate::config::Settings;

/// Shortest wait between two requests.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);

/// The API's IDs have a resolution of one second: a create that failed because of another node's can't
/// succeed before.
pub(crate) const ID_RESOLUTION: Duration = Duration::from_secs(1);

/// A small generator (xorshift64*): spreads nodes that start together, guards no secret.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// Evenly spread in `[0, limit)`.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as u32; // 24 bits
        limit.mul_f64(f64::from(bits) / f64::from(1_u32 << 24))
    }
}

/// Wait before looking again at an operation that has run for `age`: a share of its age, so that its end is
/// noticed within a tenth of its length (the request's own time included, hence 11) for a number of
/// requests that grows with the logarithm.
pub(crate) fn poll_wait(age: Duration, loop_wait: Duration) -> Duration {
    (age / 11).min(loop_wait).max(SHORTEST)
}

/// Wait before the `n`th repetition (from 1): doubled each time up to `cap`, and up to a quarter more.
/// `Retry-After` is honoured up to the cap.
pub(crate) fn retry_wait(
    n: u32,
    first: Duration,
    cap: Duration,
    retry_after: Option<Duration>,
    random: &mut Random,
) -> Duration {
    let cap = cap.max(first);
    let doubled = first.saturating_mul(1 << n.saturating_sub(1).min(16)).clamp(SHORTEST, cap.max(SHORTEST));
    let wanted = doubled + random.below(doubled / 4);
    wanted.max(retry_after.unwrap_or_default().min(cap))
}

/// Wait before another create: the second of which another node may have taken the ID, and up to one more, as
/// that node may ask again too.
pub(crate) fn create_wait(
    first: Duration,
    cap: Duration,
    retry_after: Option<Duration>,
    random: &mut Random,
) -> Duration {
    retry_wait(1, first.max(ID_RESOLUTION), cap, retry_after, random) + random.below(ID_RESOLUTION)
}

/// When something was told that is told at most so often.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Option<Duration>);

impl Told {
    /// Whether it is time to tell it (again), which is then taken as told.
    pub(crate) fn is_due(&mut self, now: Duration, every: Duration) -> bool {
        let due = self.0.is_none_or(|told| now.saturating_sub(told) >= every);
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

/// An outage at its latest miss.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) lasted: Duration,
    pub(crate) tries: u32,
    /// Whether its budget is used up: the time, and the tries that it takes at least.
    pub(crate) too_long: bool,
    /// Until the next try.
    pub(crate) wait: Duration,
}

impl Outage {
    /// Counts a miss; `cap` is the longest wait.
    pub(crate) fn miss(
        &mut self,
        now: Duration,
        settings: &Settings,
        cap: Duration,
        retry_after: Option<Duration>,
        random: &mut Random,
    ) -> Miss {
        self.misses = self.misses.saturating_add(1);
        let lasted = now.saturating_sub(*self.since.get_or_insert(now));
        let left = settings.max_outage.saturating_sub(lasted);
        let too_long = left.is_zero() && self.misses >= settings.min_misses;
        // The tries that it takes at least are to fit into the budget; those that don't follow fast.
        let more = settings.min_misses.saturating_sub(self.misses).max(1);
        let most = if left.is_zero() { settings.retry_wait } else { left / more };
        let wait = retry_wait(self.misses, settings.retry_wait, cap, retry_after, random);
        Miss { lasted, tries: self.misses, too_long, wait: wait.min(most).max(SHORTEST) }
    }

    /// A good answer: how long the outage was, if there was one.
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
    fn an_operations_end_is_noticed_within_a_tenth_of_its_length() {
        for length in [3_u64, 10, 60, 3_600, 86_400] {
            let (end, mut now, mut polls) = (S * u32::try_from(length).unwrap(), Duration::ZERO, 0);
            while now < end {
                now += poll_wait(now, S * 10);
                polls += 1;
            }
            assert!(now - end <= (end / 10).min(S * 10), "{length}: {:?}", now - end);
            assert!(polls < 80 + length / 10, "{length}: {polls} polls");
        }
    }

    #[test]
    fn waits_grow_to_the_cap_with_jitter() {
        let mut random = Random::new(7);
        for (n, least, most) in
            [(1, 2.0, 2.5), (2, 4.0, 5.0), (3, 8.0, 10.0), (4, 10.0, 12.5), (99, 10.0, 12.5)]
        {
            let wait = retry_wait(n, S * 2, S * 10, None, &mut random).as_secs_f64();
            assert!((least..=most).contains(&wait), "{n}: {wait}");
        }
        assert_eq!(retry_wait(1, S * 2, S * 10, Some(S * 7), &mut random), S * 7);
        assert_eq!(retry_wait(1, S * 2, S * 10, Some(S * 3600), &mut random), S * 10);
        assert!(retry_wait(1, Duration::ZERO, Duration::ZERO, None, &mut random) >= SHORTEST);
    }

    #[test]
    fn jitter_spreads_evenly() {
        let mut random = Random::new(1);
        let mut buckets = [0_u32; 10];
        for _ in 0..10_000 {
            buckets[usize::try_from(random.below(S).as_millis() / 100).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|n| (800..1200).contains(n)), "{buckets:?}");
    }
}
