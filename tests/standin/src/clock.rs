//! Times as pg-backup-api writes them: operation ids, job files, the `Date` header. UTC, where the real
//! API takes the Barman host's local time.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description as format;

const ID: &[BorrowedFormatItem] = format!("[year][month][day]T[hour][minute][second]");
const EVENT: &[BorrowedFormatItem] =
    format!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
const HTTP: &[BorrowedFormatItem] =
    format!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

fn written(at: SystemTime, format: &[BorrowedFormatItem]) -> String {
    OffsetDateTime::from(at).format(&format).unwrap()
}

/// `20261122T101942`: the id of an operation that is created at this moment.
pub fn operation_id(at: SystemTime) -> String {
    written(at, ID)
}

/// `2026-11-22T10:19:42.259000`: `start_time` and `end_time` of job and output files.
pub fn event_time(at: SystemTime) -> String {
    written(at, EVENT)
}

/// `Sun, 22 Nov 2026 10:23:05 GMT`.
pub fn http_date(at: SystemTime) -> String {
    written(at, HTTP)
}
