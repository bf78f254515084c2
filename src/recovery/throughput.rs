//! Progress figures for people: share, current rate, time left. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Progress;
use crate::timing::{RATE_SAMPLE, RATE_WINDOW};
use crate::world::Usage;

/// Bytes over time.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    began: Duration,
    /// What was there before.
    before: u64,
    samples: VecDeque<(Duration, u64)>,
    total: Option<u64>,
    /// Bytes of WAL, once the base backup is complete.
    wal: Option<u64>,
}

impl Throughput {
    pub(super) fn new(began: Duration, before: u64) -> Throughput {
        Throughput { began, before, samples: VecDeque::from([(began, 0)]), total: None, wal: None }
    }

    /// Adds the figures of a look.
    pub(super) fn add(&mut self, now: Duration, usage: &Usage) {
        let base_is_complete = usage.wal_bytes > 0; // Barman copies WAL last
        self.total = usage.total.or(self.total);
        let bytes = usage.bytes.saturating_sub(self.before);
        if base_is_complete && self.wal.is_none() {
            self.samples = VecDeque::from([(now, bytes)]); // from here on the rate is that of WAL
        }
        self.wal = base_is_complete.then_some(usage.wal_bytes);
        // One more sample than those of the window: the last one before it.
        if self.samples.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= RATE_SAMPLE) {
            self.samples.push_back((now, bytes));
        } else if let Some(last) = self.samples.back_mut() {
            last.1 = bytes;
        }
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATE_WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes that have arrived; `None` until there are some.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.samples.back().map(|(_, bytes)| *bytes).filter(|bytes| *bytes > 0)
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The figures, once something has arrived.
    pub(super) fn progress(&self, now: Duration) -> Option<Progress> {
        let (since, then) = *self.samples.front()?;
        let progress = self.since(since, then, now)?;
        let is_copying = progress.bytes_per_second > 0 && self.wal.is_none();
        let rest = self.total.filter(|_| is_copying).map(|total| total.saturating_sub(progress.bytes));
        let left = rest.map(|rest| Duration::from_secs(rest.div_ceil(progress.bytes_per_second)));
        Some(Progress { left, ..progress })
    }

    /// The last figures of a restore that is done: they have the rate over the whole time.
    pub(super) fn result(&self, now: Duration) -> Option<Progress> {
        Some(Progress { is_done: true, ..self.since(self.began, 0, now)? })
    }

    /// The figures with the rate since a time at which so many bytes had arrived.
    fn since(&self, since: Duration, then: u64, now: Duration) -> Option<Progress> {
        let bytes = self.bytes()?;
        let millis = now.saturating_sub(since).as_millis().max(1);
        let rate = u128::from(bytes.saturating_sub(then)) * 1000 / millis;
        let bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
        Some(Progress {
            bytes,
            total: self.total,
            wal_bytes: self.wal,
            bytes_per_second,
            elapsed: now.saturating_sub(self.began),
            left: None,
            is_done: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn usage(bytes: u64) -> Usage {
        Usage { bytes, total: Some(1000), ..Usage::default() }
    }

    #[test]
    fn figures_have_share_rate_and_time_left() {
        let mut throughput = Throughput::new(S * 5, 50);
        assert_eq!(throughput.progress(S * 6), None);
        throughput.add(S * 10, &usage(300));
        let progress = throughput.progress(S * 10).unwrap();
        assert_eq!((progress.bytes_per_second, progress.left), (50, Some(S * 15)));
        assert_eq!(progress.to_string(), "250 bytes of 1.0 kB (25 %), 50 bytes/s, 5 s, about 15 s left");
        throughput.add(S * 10, &Usage { wal_bytes: 1, ..usage(1050) });
        throughput.add(S * 14, &Usage { wal_bytes: 16, ..usage(1066) });
        let text = throughput.progress(S * 14).unwrap().to_string();
        assert_eq!(text, "base backup copied, copying WAL: 16 bytes, 4 bytes/s, 9 s");
        assert_eq!(throughput.result(S * 14).unwrap().percent(), Some(100));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut throughput = Throughput::new(Duration::ZERO, 0);
        for second in 0..100 {
            throughput.add(S * second, &usage(u64::from(second.min(50)) * 1000));
        }
        assert_eq!(throughput.progress(S * 99).unwrap().bytes_per_second, 0);
    }
}
