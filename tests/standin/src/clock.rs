//! Times as pg-backup-api writes them: operation ids, job files, the `Date` header. UTC, where the real
//! API takes the Barman host's local time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Year, month, day, hour, minute, second.
type Civil = (u64, u64, u64, u64, u64, u64);

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Days are counted in eras of 400 years that begin on 1 March, so that the leap day comes last.
fn civil(seconds: u64) -> Civil {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let day = day - (153 * shifted + 2) / 5 + 1;
    (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
}

/// `20261122T101942`: the id of an operation that is created at this moment.
pub fn operation_id(at: SystemTime) -> String {
    let (year, month, day, hour, minute, second) = civil(since_epoch(at).as_secs());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}")
}

/// `2026-11-22T10:19:42.259000`: `start_time` and `end_time` of job and output files.
pub fn event_time(at: SystemTime) -> String {
    let since = since_epoch(at);
    let (year, month, day, hour, minute, second) = civil(since.as_secs());
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// `Sun, 22 Nov 2026 10:23:05 GMT`.
pub fn http_date(at: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = since_epoch(at).as_secs();
    let (year, month, day, hour, minute, second) = civil(seconds);
    let weekday = DAYS.into_iter().cycle().nth((seconds / 86_400 % 7).try_into().unwrap_or(0));
    let month = MONTHS.into_iter().nth((month - 1).try_into().unwrap_or(0));
    let (weekday, month) = (weekday.unwrap_or_default(), month.unwrap_or_default());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}
