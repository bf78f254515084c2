//! Every duration of the library that is no option, with its reason, and how waits grow. Pure: time and randomness are
//! passed in.

use std::time::Duration;

// ---- A recovery -------------------------------------------------------------------------------------------------

/// How often the data directory and the log of the lease are looked at while an operation runs.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Shortest wait between two requests.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);

/// How often to ask between two commands of Barman: the next one usually comes within a few tenths of a
/// second, and asking does not help.
pub(crate) const BETWEEN_COMMANDS: Duration = Duration::from_secs(1);

/// If Barman has run no command for so long, it has ended, or is at work on its own host for an unknown time.
pub(crate) const LONG_IDLE: Duration = Duration::from_secs(10);

/// How often to ask once the operation may end at any moment: the run has to end within 0.3 s after it.
pub(crate) const NEAR_THE_END: Duration = Duration::from_millis(200);

/// The API's IDs have a resolution of one second: a create that failed because of another node's can't succeed before.
pub(crate) const ID_RESOLUTION: Duration = Duration::from_secs(1);

/// If another node's operation has the same ID, both fail within this time: that node ends the second Barman at once.
pub(crate) const SAME_ID: Duration = Duration::from_secs(60);

/// How often the list is asked for an operation whose create got no clear reply.
pub(crate) const LIST_AGAIN: Duration = Duration::from_secs(2);

/// How often to check whether another run, or an rsync that this run did not start, has ended.
pub(crate) const GONE_AGAIN: Duration = Duration::from_millis(500);

/// How long a node waits its turn while the API serves other nodes.
pub(crate) const QUEUE: Duration = Duration::from_secs(600);

/// Nodes spread their retries over a window that grows with every failure, up to this.
pub(crate) const WIDEST_SPREAD: Duration = Duration::from_secs(32);

/// A restore in which nothing has happened for so long is worth a warning.
pub(crate) const STALL: Duration = Duration::from_secs(300);

/// Complete data counts as done if nothing has happened for so long, although the API says that the operation
/// runs: an operation whose process died stays in progress forever. The time is long, because scripts of the
/// operator may run after the copy.
pub(crate) const COMPLETE_IN_PROGRESS: Duration = Duration::from_secs(600);

/// The same if the API does not answer, or does not know the operation.
pub(crate) const COMPLETE_UNANSWERED: Duration = Duration::from_secs(60);

/// A command on this node counts as at work for so long without a byte. After that its connection may be
/// dead, because nothing ends an rsync whose other host has lost power; or it has ended, and its last line
/// could not be logged.
pub(crate) const SILENT_COMMAND: Duration = Duration::from_secs(600);

/// How often to ask whether running commands move data, if nothing else shows it.
pub(crate) const MOVED_AGAIN: Duration = Duration::from_secs(10);

/// How often to try to lock a revoked lease. Its commands end within a few hundredths of a second.
pub(crate) const DRAIN_AGAIN: Duration = Duration::from_millis(20);

/// A drain that takes longer says who holds the lease, and kills those of the same user.
pub(crate) const DRAIN_KILL: Duration = Duration::from_secs(4);

/// A drain takes no longer: Patroni sends SIGKILL ten seconds after SIGTERM.
pub(crate) const DRAIN: Duration = Duration::from_secs(8);

/// How long to try to read the log of a revoked lease. Together with a drain it is no longer than Patroni
/// waits.
pub(crate) const LAST_LINES: Duration = Duration::from_millis(900);

/// The longest wait for what a dead run has left: it was killed when that run died, and what is still there
/// after this time is stuck in the kernel, or belongs to another user.
pub(crate) const LEFT: Duration = Duration::from_secs(60);

/// How long to look again at a directory that can't be seen.
pub(crate) const UNSEEN: Duration = Duration::from_secs(10);

// ---- Requests ---------------------------------------------------------------------------------------------------

/// How long a connection may take, from the lookup of the name to the end of the handshake.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// The least time limit of a connection, if the request has no time left.
pub(crate) const LEAST_CONNECT: Duration = Duration::from_millis(1);

/// How long to wait for what a server said before it closed a connection: it is here already, or on its way.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long to wait for the size of the backup: for `/diagnose`, Barman connects to the PostgreSQL of every server.
pub(crate) const BACKUP_SIZE: Duration = Duration::from_secs(120);

// ---- This node --------------------------------------------------------------------------------------------------

/// Between two looks at something that is over in a moment, such as a fork or the end of a thread.
pub(crate) const MOMENT: Duration = Duration::from_millis(1);

/// How long to wait for a thread that has been told to end. It may hang in a system call.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);

/// How often to open a state directory again while another run is making or removing it.
pub(crate) const OPEN_AGAIN: Duration = Duration::from_millis(5);

/// How often to look who holds a revoked lease: that takes a walk through all processes.
pub(crate) const HOLDERS_AGAIN: Duration = Duration::from_secs(1);

/// The shortest wait between two counts of what is in the data directory: more often than this nobody looks.
pub(crate) const COUNT_AGAIN: Duration = Duration::from_millis(200);

/// The longest: a command under which no figure changes for [`SILENT_COMMAND`] counts as silent.
pub(crate) const COUNT_LONGEST: Duration = Duration::from_secs(60);

/// The first wait for the end of a flush: most take no time. It is doubled up to the longest.
pub(crate) const FLUSH_FIRST: Duration = Duration::from_millis(2);
pub(crate) const FLUSH_LONGEST: Duration = Duration::from_millis(100);

// ---- Progress figures -------------------------------------------------------------------------------------------

/// Figures are reported at each look in the first seconds, and then at this interval.
pub(crate) const PROGRESS: Duration = Duration::from_secs(1);

/// The current rate is measured over this time.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(10);

/// The rate needs no more than one sample in this time.
pub(crate) const RATE_SAMPLE: Duration = Duration::from_millis(200);

// ---- Other commands ---------------------------------------------------------------------------------------------

/// How often `settle` logs that its wait goes on.
pub(crate) const SAY_AGAIN: Duration = Duration::from_secs(10);

/// The longest wait between two polls of a config switch, as in the Python program.
pub(crate) const SWITCH_LOOP_WAIT: Duration = Duration::from_secs(5);

/// How long `check` counts what is in the data directory.
pub(crate) const CHECK_COUNT: Duration = Duration::from_secs(2);

/// When the probe of `check` creates its operation again: of two creates in the same second, the second fails.
pub(crate) const PROBE_AGAIN: Duration = Duration::from_millis(1300);

/// How often the probe asks about its operation.
pub(crate) const PROBE_POLL: Duration = Duration::from_millis(500);

/// How long the probe waits at the end until nothing holds its lease any more; only `true` can still hold it.
pub(crate) const PROBE_DRAIN: Duration = Duration::from_secs(2);

// ---- How waits grow ---------------------------------------------------------------------------------------------

/// A random time in `[0, limit)`, evenly distributed.
pub(crate) fn below(limit: Duration, random: u64) -> Duration {
    let bits = u32::try_from(random >> 40).unwrap_or_default(); // 24 bits
    limit.mul_f64(f64::from(bits) / f64::from(1_u32 << 24))
}

/// Wait before asking again about an operation that has run no command here for `idle`: a tenth of that.
pub(crate) fn idle_wait(idle: Duration, loop_wait: Duration) -> Duration {
    (idle / 10).min(loop_wait).max(BETWEEN_COMMANDS)
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
    let cap = cap.max(first).max(SHORTEST);
    let doubled = first.max(SHORTEST).saturating_mul(1 << n.saturating_sub(1).min(16)).clamp(SHORTEST, cap);
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

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

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

    #[test]
    fn an_idle_operation_is_asked_about_in_proportion() {
        assert_eq!(idle_wait(Duration::ZERO, S * 10), BETWEEN_COMMANDS);
        assert_eq!(idle_wait(S * 30, S * 10), S * 3);
        assert_eq!(idle_wait(S * 300, S * 10), S * 10);
    }
}
