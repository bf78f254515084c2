//! What arrives in the data directory while an operation runs: figures for the log, and stalls.

use std::time::Duration;

use crate::event::Progress;
use crate::world::fs::directory::Arrived;

/// Nothing new for this long is worth a warning.
const STALL: Duration = Duration::from_secs(300);

/// Follows the bytes in the data directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    began: Duration,
    last: Option<Arrived>,
    /// When the bytes last changed, and how often the directory had been counted through by then.
    changed: Duration,
    passes: u32,
    warned: bool,
}

impl Watch {
    pub(super) fn new(now: Duration) -> Watch {
        Watch { began: now, changed: now, ..Watch::default() }
    }

    /// Takes a look's figures.
    pub(super) fn see(&mut self, arrived: Arrived, now: Duration) {
        if self.last.is_none_or(|last| last.bytes != arrived.bytes) {
            (self.changed, self.passes, self.warned) = (now, arrived.passes, false);
        }
        self.last = Some(arrived);
    }

    /// The figures, once something has arrived.
    pub(super) fn progress(&self, now: Duration) -> Option<Progress> {
        let last = self.last.filter(|last| last.bytes > 0)?;
        let elapsed = now.saturating_sub(self.began);
        let millis = elapsed.as_millis().max(1);
        let per_second = u64::try_from(u128::from(last.bytes) * 1000 / millis).unwrap_or(u64::MAX);
        let left = last
            .total
            .filter(|_| per_second > 0)
            .map(|total| Duration::from_secs(total.saturating_sub(last.bytes).div_ceil(per_second)));
        Some(Progress { bytes: last.bytes, total: last.total, bytes_per_second: per_second, elapsed, left })
    }

    /// What was there last.
    pub(super) fn arrived(&self) -> Option<Arrived> {
        self.last
    }

    /// For how long nothing new has arrived. A large directory must have been counted through twice since.
    pub(super) fn stalled(&self, now: Duration) -> Option<Duration> {
        let last = self.last?;
        let seen = last.passes.saturating_sub(self.passes) >= 2;
        seen.then(|| now.saturating_sub(self.changed))
    }

    /// Whether it is time to warn of a stall; once for each.
    pub(super) fn warns(&mut self, stalled: Duration) -> bool {
        stalled >= STALL && !std::mem::replace(&mut self.warned, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn arrived(bytes: u64, passes: u32) -> Arrived {
        Arrived { bytes, passes, total: Some(1000) }
    }

    #[test]
    fn figures_tell_share_rate_and_time_left() {
        let mut watch = Watch::new(S * 5);
        assert_eq!(watch.progress(S * 6), None);
        watch.see(arrived(250, 1), S * 10);
        let progress = watch.progress(S * 10).unwrap();
        assert_eq!((progress.bytes_per_second, progress.left), (50, Some(S * 15)));
        assert_eq!(progress.to_string(), "250 bytes of 1.0 kB (25 %), 50 bytes/s, 5 s, about 15 s left");
        watch.see(Arrived { total: None, ..arrived(250, 2) }, S * 10);
        assert_eq!(watch.progress(S * 10).unwrap().to_string(), "250 bytes, 50 bytes/s, 5 s");
    }

    #[test]
    fn a_stall_is_warned_of_once_and_again_after_new_data() {
        let mut watch = Watch::new(Duration::ZERO);
        watch.see(arrived(0, 0), S);
        watch.see(arrived(0, 1), S * 301);
        assert_eq!(watch.stalled(S * 301), None, "not counted through twice");
        watch.see(arrived(0, 2), S * 302);
        assert_eq!(watch.stalled(S * 302), Some(S * 301));
        assert!(watch.warns(S * 301) && !watch.warns(S * 400));
        watch.see(arrived(9, 2), S * 500);
        watch.see(arrived(9, 4), S * 800);
        assert!(watch.warns(watch.stalled(S * 800).unwrap()));
    }
}
